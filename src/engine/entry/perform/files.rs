//! Mounts below the container's root, by descriptors only: no path that the container controls
//! is ever resolved outside its root (CVE-2015-1335 and its class).

use std::ffi::CStr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FcntlArg, OFlag, OpenHow, ResolveFlag, SealFlag, fcntl, openat};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, mkdirat};

use super::{Broken, StepPart};
use crate::engine::entry::plan::{MountSource, MountStep, NetworkSettings};
use crate::engine::entry::report::Asker;
use crate::engine::sys::{self, Recursive, attr};
use crate::engine::terms::spec::{AutoMode, TargetKind};

/// Whether symbolic links in a target are followed (inside the root).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    Followed,
    Refused,
}

/// Opens `path` below `root` without leaving it.
pub(super) fn inside<P: ?Sized + nix::NixPath>(
    root: BorrowedFd<'_>,
    path: &P,
    flags: OFlag,
    links: Links,
) -> nix::Result<OwnedFd> {
    let mut resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    if links == Links::Refused {
        resolve |= ResolveFlag::RESOLVE_NO_SYMLINKS;
    }
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    sys::open_within(root, path, how)
}

/// Opens a mount target, which is created first if `create` says so.
pub(super) fn target(
    root: BorrowedFd<'_>,
    path: &CStr,
    links: Links,
    create: Option<TargetKind>,
) -> nix::Result<OwnedFd> {
    match inside(root, path, OFlag::O_PATH, links) {
        Err(Errno::ENOENT) => (),
        result => return result,
    }
    let create = create.ok_or(Errno::ENOENT)?;
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    let mut here = inside(root, c".", OFlag::O_PATH | OFlag::O_DIRECTORY, links)?;
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        let Component::Normal(part) = part else {
            return Err(Errno::EINVAL);
        };
        if parts.peek().is_none() && create == TargetKind::File {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            openat(&here, part, flags, Mode::from_bits_truncate(0o644)).map(drop)?;
        } else {
            match mkdirat(&here, part, Mode::from_bits_truncate(0o755)) {
                Err(Errno::EEXIST) | Ok(()) => (),
                Err(errno) => return Err(errno),
            }
        }
        here = inside(here.as_fd(), part, OFlag::O_PATH, links)?;
    }
    Ok(here)
}

/// Makes a new file system that is not mounted anywhere yet; `source` is what the mount table calls
/// it.
pub(super) fn instance(
    fstype: &CStr,
    source: &CStr,
    options: &[(&CStr, &CStr)],
    attributes: u64,
) -> nix::Result<OwnedFd> {
    let context = sys::fsopen(fstype)?;
    sys::fsconfig(context.as_fd(), c"source", Some(source))?;
    for (key, value) in options {
        sys::fsconfig(context.as_fd(), key, Some(value))?;
    }
    sys::fsmount(context.as_fd(), attributes)
}

/// Mounts a new proc, which is then made writable as `mode` says.
pub(super) fn mount_proc(
    root: BorrowedFd<'_>,
    links: Links,
    mode: AutoMode,
    network: NetworkSettings,
) -> nix::Result<()> {
    const GUARDED: [&CStr; 2] = [c"sys", c"sysrq-trigger"];
    let place = target(root, c"proc", links, Some(TargetKind::Dir))?;
    let safe = attr::NOSUID | attr::NODEV | attr::NOEXEC;
    let read_only = if mode == AutoMode::ReadOnly { attr::RDONLY } else { 0 };
    let proc = instance(c"proc", c"proc", &[], safe | read_only)?;
    sys::move_mount(proc.as_fd(), place.as_fd())?;
    if mode == AutoMode::Mixed {
        for path in GUARDED {
            guard(proc.as_fd(), path)?;
        }
    }
    if mode == AutoMode::Mixed && network == NetworkSettings::Open {
        leave_open(proc.as_fd(), c"sys/net")?;
    }
    Ok(())
}

/// Mounts a new sysfs.
pub(super) fn mount_sys(
    root: BorrowedFd<'_>,
    links: Links,
    mode: AutoMode,
    network: NetworkSettings,
) -> nix::Result<()> {
    let place = target(root, c"sys", links, Some(TargetKind::Dir))?;
    let safe = attr::NOSUID | attr::NODEV | attr::NOEXEC;
    let read_only = if mode == AutoMode::ReadWrite { 0 } else { attr::RDONLY };
    let mounted = match instance(c"sysfs", c"sysfs", &[], safe | read_only) {
        Err(Errno::EPERM) => host_sys(safe | read_only)?,
        result => result?,
    };
    sys::move_mount(mounted.as_fd(), place.as_fd())?;
    if mode == AutoMode::Mixed && network == NetworkSettings::Open {
        leave_open(mounted.as_fd(), c"devices/virtual/net")?;
    }
    Ok(())
}

/// Takes the host's sysfs and what is mounted in it: the root of a user namespace may not mount a
/// new one where the network is the host's.
fn host_sys(attributes: u64) -> nix::Result<OwnedFd> {
    let copy = sys::open_tree(AT_FDCWD.as_raw_fd(), c"/sys", Recursive::Yes)?;
    sys::mount_setattr(copy.as_fd(), Recursive::Yes, attributes, 0, 0)?;
    Ok(copy)
}

/// Puts a read-only mount of `path` over itself. Paths that this kernel lacks need no guard.
fn guard(mount: BorrowedFd<'_>, path: &CStr) -> nix::Result<()> {
    over_itself(mount, path, attr::RDONLY, 0)
}

/// Puts a writable mount of `path` over itself, within a part that was guarded.
fn leave_open(mount: BorrowedFd<'_>, path: &CStr) -> nix::Result<()> {
    over_itself(mount, path, 0, attr::RDONLY)
}

fn over_itself(mount: BorrowedFd<'_>, path: &CStr, set: u64, clear: u64) -> nix::Result<()> {
    let place = match inside(mount, path, OFlag::O_PATH, Links::Refused) {
        Err(Errno::ENOENT) => return Ok(()),
        result => result?,
    };
    let copy = sys::open_tree(place.as_raw_fd(), c"", Recursive::No)?;
    sys::mount_setattr(copy.as_fd(), Recursive::No, set, clear, 0)?;
    sys::move_mount(copy.as_fd(), place.as_fd())
}

/// Carries out one configured mount.
pub(super) fn mount_one(
    root: BorrowedFd<'_>,
    links: Links,
    mount: &MountStep,
    asker: Asker<'_>,
) -> Result<(), Broken> {
    let mut place = place_of_optional(root, links, mount)?;
    let (new, copied) = match &mount.source {
        MountSource::Remount => {
            let place = target(root, &mount.target, links, None).map_err(at_target)?;
            return change(place.as_fd(), Recursive::No, mount).map_err(at_target);
        }
        MountSource::Bind { path, recursive, relative } => {
            let copy = |it: &OwnedFd| sys::open_tree(it.as_raw_fd(), c"", *recursive);
            let opened = match &place {
                Some(place) if *relative && is_target(path, mount) => copy(place),
                _ if *relative => {
                    inside(root, relative_path(path), OFlag::O_PATH, links).and_then(|it| copy(&it))
                }
                _ => sys::open_tree(nix_cwd(), path, *recursive),
            };
            (opened.map_err(at_source)?, Some(*recursive))
        }
        MountSource::New { fstype, device, options } => {
            let context = sys::fsopen(fstype).map_err(at_source)?;
            sys::fsconfig(context.as_fd(), c"source", Some(device))?;
            for (key, value) in options {
                sys::fsconfig(context.as_fd(), key, value.as_deref())?;
            }
            (sys::fsmount(context.as_fd(), mount.set).map_err(at_source)?, None)
        }
    };
    let place = match place.take() {
        Some(place) => place,
        None => target(root, &mount.target, links, mount.create).map_err(at_target)?,
    };
    if mount.users.is_some() {
        asker.ask(Some(new.as_fd())).map_err(at_source)?;
    }
    // A new file system has no attributes but those that it was mounted with.
    if let Some(recursive) = copied {
        change(new.as_fd(), recursive, mount)?;
    }
    sys::move_mount(new.as_fd(), place.as_fd()).map_err(at_target)?;
    if mount.propagation != 0 {
        let recursive = copied.unwrap_or(Recursive::No);
        sys::mount_setattr(new.as_fd(), recursive, 0, 0, mount.propagation)?;
    }
    Ok(())
}

/// Opens where an optional mount comes, before what it mounts is made: mostly it is passed over because
/// that is not there. Where it cannot be opened for another reason, a missing source counts first.
fn place_of_optional(
    root: BorrowedFd<'_>,
    links: Links,
    mount: &MountStep,
) -> Result<Option<OwnedFd>, Broken> {
    if !mount.optional || mount.create.is_some() {
        return Ok(None);
    }
    match target(root, &mount.target, links, None) {
        Err(Errno::ENOENT) => Err(at_target(Errno::ENOENT)),
        found => Ok(found.ok()),
    }
}

/// Returns whether a mount shows what is at its own place, as those do that make it read-only.
fn is_target(source: &CStr, mount: &MountStep) -> bool {
    relative_path(source).as_os_str().as_bytes() == mount.target.as_bytes()
}

fn change(mount: BorrowedFd<'_>, recursive: Recursive, step: &MountStep) -> nix::Result<()> {
    if step.set == 0 && step.clear == 0 {
        return Ok(());
    }
    sys::mount_setattr(mount, recursive, step.set, step.clear, 0)
}

const fn at_source(errno: Errno) -> Broken {
    Broken(StepPart::Source, errno)
}

const fn at_target(errno: Errno) -> Broken {
    Broken(StepPart::Target, errno)
}

fn nix_cwd() -> i32 {
    AT_FDCWD.as_raw_fd()
}

/// A source inside the root may have a leading slash; it starts at the root.
fn relative_path(path: &CStr) -> &Path {
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    path.strip_prefix("/").unwrap_or(path)
}

/// Makes a file that is empty and stays so. The host's /dev/null would be in reach of a container that
/// has it open.
pub(super) fn nothing() -> nix::Result<OwnedFd> {
    let file = memfd_create(c"null", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::all()))?;
    Ok(file)
}
