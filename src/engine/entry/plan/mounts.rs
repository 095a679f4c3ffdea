//! One configured mount as a step: flags translated to the new mount API. Pure.

use std::ffi::CString;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::{PlanError, cstring};
use crate::engine::sys::{Recursive, attr};
use crate::engine::terms::spec::{At, ConfigPlace, Mount, MountUsers, TargetKind};

/// A key, and its value if it has one.
pub(in crate::engine) type FsOption = (CString, Option<CString>);

/// A mount below the container's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct MountStep {
    pub source: MountSource,
    /// Relative to the container's root.
    pub target: CString,
    pub create: Option<TargetKind>,
    pub optional: bool,
    /// Attributes to set, of mount_setattr(2).
    pub set: u64,
    /// Attributes to clear first.
    pub clear: u64,
    /// Propagation to apply after the mount; 0 for none.
    pub propagation: u64,
    /// Whose its files are shown to be.
    pub users: Option<MountUsers>,
    pub place: Option<ConfigPlace>,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum MountSource {
    /// A part of the host's tree, or of the container's with `relative`.
    Bind { path: CString, recursive: Recursive, relative: bool },
    /// A new instance of a file system, with its options.
    New { fstype: CString, device: CString, options: Vec<FsOption> },
    /// An existing mount gets other attributes.
    Remount,
}

impl MountStep {
    /// Changes the mount of the container's root, once everything in it has been made.
    pub(super) fn of_root(flags: &At<libc::c_ulong>) -> Self {
        let (set, clear) = attributes(flags.value);
        Self {
            source: MountSource::Remount,
            target: c".".to_owned(),
            create: None,
            optional: false,
            set,
            clear,
            propagation: 0,
            users: None,
            place: flags.place.clone(),
        }
    }

    pub(super) fn new(mount: &Mount, place: Option<ConfigPlace>) -> Result<Self, PlanError> {
        let target = cstring("a mount's target", mount.target.as_os_str().as_bytes())?;
        let (set, clear) = attributes(mount.flags);
        Ok(Self {
            source: source(mount)?,
            target,
            create: mount.create,
            optional: mount.optional,
            set,
            clear,
            propagation: mount.propagation & !libc::MS_REC,
            users: mount.users.clone(),
            place,
        })
    }
}

fn source(mount: &Mount) -> Result<MountSource, PlanError> {
    if mount.flags & libc::MS_REMOUNT != 0 || only_propagation(mount) {
        return Ok(MountSource::Remount);
    }
    let device = cstring("a mount's source", mount.source.as_bytes())?;
    if mount.flags & libc::MS_BIND != 0 {
        let recursive =
            if mount.flags & libc::MS_REC != 0 { Recursive::Yes } else { Recursive::No };
        return Ok(MountSource::Bind { path: device, recursive, relative: mount.relative });
    }
    let options = fs_options(&mount.data, mount.flags)?;
    let fstype = cstring("a file system type", mount.fstype.as_bytes())?;
    Ok(MountSource::New { fstype, device, options })
}

/// Lists the options of a file system: what `data` says, and those among the flags.
pub(super) fn fs_options(data: &str, flags: libc::c_ulong) -> Result<Vec<FsOption>, PlanError> {
    let mut options = Vec::new();
    for option in data.split(',').filter(|it| !it.is_empty()) {
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, Some(cstring("a mount option", value.as_bytes())?)),
            None => (option, None),
        };
        options.push((cstring("a mount option", key.as_bytes())?, value));
    }
    for (flag, key) in SUPERBLOCK_FLAGS {
        if flags & flag != 0 {
            options.push((cstring("a mount option", key.as_bytes())?, None));
        }
    }
    Ok(options)
}

/// Returns whether `mount` certainly mounts something on an existing `target`: a new file system,
/// or a source that is not optional.
pub(super) fn covers(mount: &Mount, target: &str) -> bool {
    let changes = mount.flags & libc::MS_REMOUNT != 0 || only_propagation(mount);
    let may_lack = mount.optional && mount.flags & libc::MS_BIND != 0;
    mount.target == Path::new(target) && !changes && !may_lack
}

fn only_propagation(mount: &Mount) -> bool {
    mount.propagation != 0 && mount.flags & libc::MS_BIND == 0 && mount.fstype == "none"
}

/// Flags of mount(2) that belong to the file system, not to the mount, by their option names.
const SUPERBLOCK_FLAGS: [(libc::c_ulong, &str); 5] = [
    (libc::MS_RDONLY, "ro"),
    (libc::MS_SYNCHRONOUS, "sync"),
    (libc::MS_DIRSYNC, "dirsync"),
    (libc::MS_LAZYTIME, "lazytime"),
    (libc::MS_MANDLOCK, "mand"),
];

/// Returns the attributes of mount_setattr(2) that mount(2) means by `flags`: to set, to clear first.
pub(in crate::engine) fn attributes(flags: libc::c_ulong) -> (u64, u64) {
    const PLAIN: [(libc::c_ulong, u64); 5] = [
        (libc::MS_RDONLY, attr::RDONLY),
        (libc::MS_NOSUID, attr::NOSUID),
        (libc::MS_NODEV, attr::NODEV),
        (libc::MS_NOEXEC, attr::NOEXEC),
        (libc::MS_NODIRATIME, attr::NODIRATIME),
    ];
    let mut set = 0;
    for (flag, attribute) in PLAIN {
        if flags & flag != 0 {
            set |= attribute;
        }
    }
    // The three ways to keep access times share one field, which must be cleared to be set;
    // relatime is its zero.
    let times = [
        (libc::MS_NOATIME, attr::NOATIME),
        (libc::MS_STRICTATIME, attr::STRICTATIME),
        (libc::MS_RELATIME, 0),
    ];
    match times.into_iter().find(|(flag, _)| flags & flag != 0) {
        Some((_, attribute)) => (set | attribute, attr::ATIME),
        None => (set, 0),
    }
}

impl fmt::Display for MountStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.to_string_lossy();
        match &self.source {
            MountSource::Bind { path, .. } => {
                write!(f, "mount {} on /{target}", path.to_string_lossy())
            }
            MountSource::New { fstype, .. } => {
                write!(f, "mount a {} on /{target}", fstype.to_string_lossy())
            }
            MountSource::Remount if self.target.as_bytes() == b"." => {
                write!(f, "lxc.rootfs.options")
            }
            MountSource::Remount => write!(f, "change the mount on /{target}"),
        }
    }
}
