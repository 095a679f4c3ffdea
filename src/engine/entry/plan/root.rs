//! The container's root as a step: what is mounted as it, and where until it is `/`. Pure.

use std::ffi::CString;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::mounts::{FsOption, fs_options};
use super::{PlanError, cstring};
use crate::engine::terms::rootfs::{Rootfs, Stage, Storage};
use crate::engine::terms::spec::{At, Spec};

/// Where the root comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum RootStep {
    Host,
    /// It is mounted on itself.
    Directory(CString),
    Mounted(RootMount),
}

/// A root that is a file system of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct RootMount {
    pub source: RootSource,
    pub read_only: bool,
    /// Options of the file system, besides those that the source gives.
    pub options: Vec<FsOption>,
    pub stage: CString,
    /// The stage is made if it is missing.
    pub stage_is_ours: bool,
    pub maker: RootMaker,
    /// As configured.
    pub written: String,
}

/// Who mounts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum RootMaker {
    Itself,
    /// The supervisor, where the process is: the root of a user namespace may not.
    Supervisor,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum RootSource {
    /// The upper and the work directory are made if they are missing.
    Overlay {
        lower: Vec<CString>,
        upper: CString,
        work: CString,
    },
    Image(CString),
    Device(CString),
    Dataset(CString),
}

impl RootStep {
    /// Translates the root.
    pub(in crate::engine) fn new(spec: &Spec) -> Result<Self, PlanError> {
        let Some(At { value: root, .. }) = &spec.rootfs else { return Ok(Self::Host) };
        let flags = spec.root_flags.as_ref().map_or(0, |it| it.value);
        let by_users = root.users_layers().is_some();
        let maker = if spec.idmap.is_some() && !by_users {
            RootMaker::Supervisor
        } else {
            RootMaker::Itself
        };
        let mut options = fs_options(&root.data, flags & !libc::MS_RDONLY)?;
        // The attributes by which the kernel marks what hides a layer; others need the host's root.
        options.extend(by_users.then(|| (c"userxattr".to_owned(), None)));
        let source = match &root.storage {
            Storage::Directory(dir) => return Ok(Self::Directory(path(dir)?)),
            Storage::Overlay(layers) => RootSource::Overlay {
                lower: layers.lower.iter().map(|it| path(it)).collect::<Result<_, _>>()?,
                upper: path(&layers.upper)?,
                work: path(&layers.work())?,
            },
            Storage::Image(file) => RootSource::Image(path(file)?),
            Storage::Device(device) => RootSource::Device(path(device)?),
            Storage::Dataset(name) => RootSource::Dataset(cstring(KEY, name.as_bytes())?),
        };
        Ok(Self::Mounted(RootMount {
            source,
            read_only: flags & libc::MS_RDONLY != 0,
            options,
            stage: path(root.place())?,
            stage_is_ours: matches!(root.stage, Stage::Ours(_)),
            maker,
            written: root.written.clone(),
        }))
    }
}

const KEY: &str = "lxc.rootfs.path";

/// Returns the directories of a root that can be opened before it is made, the
/// upper one of an overlay first.
pub(super) fn opened_before(root: &Rootfs) -> Result<Vec<CString>, PlanError> {
    let mut dirs: Vec<PathBuf> = root.storage.directory().map(Into::into).into_iter().collect();
    if let Some(layers) = root.users_layers() {
        dirs.extend([layers.upper.clone(), layers.work()]);
        dirs.extend(layers.lower.iter().cloned());
    }
    dirs.iter().map(|it| path(it)).collect()
}

fn path(path: &Path) -> Result<CString, PlanError> {
    cstring(KEY, path.as_os_str().as_bytes())
}

impl fmt::Display for RootStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => write!(f, "share the host's root"),
            Self::Directory(dir) => write!(f, "{KEY} {}", dir.to_string_lossy()),
            Self::Mounted(mount) => write!(f, "{KEY} {}", mount.written),
        }
    }
}
