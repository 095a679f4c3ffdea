//! Takes the container's root: mounts it where only this process sees it.

use std::ffi::{CStr, CString, OsStr};
use std::fs::{DirBuilder, File, TryLockError};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::{Broken, StepPart};
use crate::engine::entry::plan::{FsOption, RootMaker, RootMount, RootSource, RootStep};
use crate::engine::entry::report::Asker;
use crate::engine::entry::superblock::{self, FsKind};
use crate::engine::sys::{self, Recursive, attr, loop_device};

const PLACE: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
/// The longest value that fsconfig(2) takes.
const LONGEST_VALUE: usize = 255;
/// The modes of the directories that an overlay needs, as LXC makes them, and of the stage.
const LAYER_MODE: u32 = 0o755;
const STAGE_MODE: u32 = 0o711;

/// Opens the container's root, mounted and not yet `/`. `opened`: its directory, or those of which it
/// is made, if they are open. `devices`: the device nodes in it are the container's. The supervisor `shifts` it, if its files are
/// shown as another's.
pub(super) fn take(
    root: &RootStep,
    opened: Vec<OwnedFd>,
    devices: bool,
    (shifts, supervisor): (bool, Asker<'_>),
) -> Result<OwnedFd, Broken> {
    let (new, place) = match root {
        RootStep::Host => return Ok(open(c"/", PLACE, Mode::empty())?),
        RootStep::Directory(dir) => {
            let open = || open(dir.as_c_str(), PLACE, Mode::empty());
            let place = opened.into_iter().next().map_or_else(open, Ok)?;
            (sys::open_tree(place.as_raw_fd(), c"", Recursive::Yes)?, place)
        }
        RootStep::Mounted(RootMount { maker: RootMaker::Supervisor, .. }) => {
            return supervisor.fetch().map_err(|(part, errno)| Broken(part, errno));
        }
        RootStep::Mounted(mount) => {
            let shift = |new: BorrowedFd<'_>| {
                if shifts { supervisor.ask(Some(new)) } else { Ok(()) }
            };
            return match of_opened(mount, &opened) {
                Some(mount) => make(&mount, devices, &shift),
                None => make(mount, devices, &shift),
            };
        }
    };
    if shifts {
        supervisor.ask(Some(new.as_fd()))?;
    }
    attach(new, place.as_fd(), devices)
}

/// Mounts the root of a container that another program makes again below it: at its place, in this
/// process's mount namespace.
pub(in crate::engine) fn mount_in_place(root: &RootStep, devices: bool) -> Result<OwnedFd, Broken> {
    match root {
        RootStep::Host => Err(Errno::EINVAL.into()),
        RootStep::Directory(dir) => {
            let place = open(dir.as_c_str(), PLACE, Mode::empty())?;
            let new = sys::open_tree(place.as_raw_fd(), c"", Recursive::Yes)?;
            attach(new, place.as_fd(), devices)
        }
        RootStep::Mounted(mount) => make(mount, devices, &|_| Ok(())),
    }
}

/// Mounts a root that is a file system of its own; `shift` has its files shown as another's.
pub(in crate::engine) fn make(
    mount: &RootMount,
    devices: bool,
    shift: &dyn Fn(BorrowedFd<'_>) -> nix::Result<()>,
) -> Result<OwnedFd, Broken> {
    let (new, place) = (detached(mount)?, stage(mount)?);
    shift(new.as_fd())?;
    attach(new, place.as_fd(), devices)
}

/// Mounts a root for whoever completes it, at no place: it is reached by this descriptor, and gone
/// when nobody holds that any more.
pub(in crate::engine) fn mount_aside(source: RootSource) -> nix::Result<OwnedFd> {
    let mount = RootMount {
        source,
        read_only: false,
        options: Vec::new(),
        stage: CString::default(),
        stage_is_ours: false,
        maker: RootMaker::Itself,
        written: String::new(),
    };
    detached(&mount).map_err(|Broken(_part, errno)| errno)
}

fn attach(new: OwnedFd, place: BorrowedFd<'_>, devices: bool) -> Result<OwnedFd, Broken> {
    if !devices {
        // They are not used: the container's devices are in a /dev of its own.
        sys::mount_setattr(new.as_fd(), Recursive::No, attr::NODEV, 0, 0)?;
    }
    sys::move_mount(new.as_fd(), place)?;
    Ok(new)
}

/// Opens the directory on which it is mounted.
fn stage(mount: &RootMount) -> Result<OwnedFd, Broken> {
    if mount.stage_is_ours {
        match nix::unistd::mkdir(mount.stage.as_c_str(), Mode::from_bits_truncate(STAGE_MODE)) {
            Ok(()) | Err(Errno::EEXIST) => (),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(open(mount.stage.as_c_str(), PLACE, Mode::empty())?)
}

/// Names by descriptors of this process what an overlay is made of: its upper and its work directory,
/// then the layers below, on the first of which it is mounted.
fn of_opened(mount: &RootMount, opened: &[OwnedFd]) -> Option<RootMount> {
    let [upper, work, lower @ ..] = opened else { return None };
    let lower: Vec<CString> = lower.iter().map(by_number).collect::<nix::Result<_>>().ok()?;
    let (upper, work) = (by_number(upper).ok()?, by_number(work).ok()?);
    let stage = lower.first()?.clone();
    Some(RootMount { source: RootSource::Overlay { lower, upper, work }, stage, ..mount.clone() })
}

/// Makes the mount, which is not attached anywhere yet.
fn detached(mount: &RootMount) -> Result<OwnedFd, Broken> {
    match &mount.source {
        RootSource::Overlay { lower, upper, work } => overlay(&mount.options, lower, [upper, work]),
        RootSource::Image(path) => image(mount, path),
        RootSource::Device(path) => {
            let device = open(path.as_c_str(), READ, Mode::empty()).map_err(at_source)?;
            let device = File::from(device);
            if !device.metadata().is_ok_and(|it| it.file_type().is_block_device()) {
                return Err(at_source(Errno::ENOTBLK));
            }
            let kind = recognise(&device)?;
            on_device(mount, path, kind, mount.read_only || kind.read_only)
        }
        RootSource::Dataset(name) => {
            let context = new_context(c"zfs", name)?;
            sys::fsconfig(context.as_fd(), c"zfsutil", None)?;
            sys::fsconfig(context.as_fd(), c"mntpoint", Some(name))?;
            if mount.read_only {
                sys::fsconfig(context.as_fd(), c"ro", None)?;
            }
            finish(context.as_fd(), &mount.options)
        }
    }
}

/// A read-only one is made so at the end, like every root: what is missing in it can still be made.
fn overlay(
    options: &[FsOption],
    lower: &[CString],
    changed: [&CString; 2],
) -> Result<OwnedFd, Broken> {
    let path = |it: &CString| PathBuf::from(OsStr::from_bytes(it.to_bytes()));
    for dir in changed {
        make_layer(&path(dir), lower.first().map(path).as_deref())
            .map_err(|error| at_target(error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)))?;
    }
    let lowers: Vec<&[u8]> = lower.iter().map(|it| it.to_bytes()).collect();
    let joined = joined(&lowers)?;
    let context = new_context(c"overlay", &joined)?;
    // Kept open until the kernel has looked at them.
    let mut held = Vec::new();
    let plain = joined.as_bytes().len() <= LONGEST_VALUE && lower.iter().all(|it| is_plain(it));
    let lowers = if plain {
        joined
    } else {
        let names = lower.iter().map(|it| by_descriptor(it, &mut held).map_err(at_source));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        self::joined(&names.iter().map(|it| it.to_bytes()).collect::<Vec<_>>())?
    };
    sys::fsconfig(context.as_fd(), c"lowerdir", Some(&lowers))?;
    for (key, dir) in [c"upperdir", c"workdir"].into_iter().zip(changed) {
        let fits = dir.as_bytes().len() <= LONGEST_VALUE && is_plain(dir);
        let dir =
            if fits { dir.clone() } else { by_descriptor(dir, &mut held).map_err(at_target)? };
        sys::fsconfig(context.as_fd(), key, Some(&dir))?;
    }
    finish(context.as_fd(), options)
}

/// Makes a directory of an overlay that is missing. As the root of the whole it belongs to who owns
/// that of the layer below.
pub(in crate::engine) fn make_layer(dir: &Path, below: Option<&Path>) -> std::io::Result<()> {
    if dir.exists() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(LAYER_MODE).create(dir)?;
    let Some(below) = below.and_then(|it| it.metadata().ok()) else { return Ok(()) };
    std::os::unix::fs::chown(dir, Some(below.uid()), Some(below.gid()))
}

fn joined(paths: &[&[u8]]) -> nix::Result<CString> {
    CString::new(paths.join(&b':')).map_err(|_nul| Errno::EINVAL)
}

/// Returns whether a path has nothing that overlay reads as its own syntax.
fn is_plain(path: &CStr) -> bool {
    !path.to_bytes().iter().any(|it| matches!(it, b':' | b',' | b'\\'))
}

/// Names a directory by a descriptor of this process, for values in which its path does not fit.
fn by_descriptor(dir: &CStr, held: &mut Vec<OwnedFd>) -> nix::Result<CString> {
    let fd = open(dir, PLACE, Mode::empty())?;
    let name = by_number(&fd);
    held.push(fd);
    name
}

fn by_number(fd: &OwnedFd) -> nix::Result<CString> {
    CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())).map_err(|_nul| Errno::EINVAL)
}

/// Opened like this, a fifo is not waited for.
const READ: OFlag = OFlag::O_CLOEXEC.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

fn image(mount: &RootMount, path: &CStr) -> Result<OwnedFd, Broken> {
    let (file, writable) = open_image(path, !mount.read_only).map_err(at_source)?;
    if !file.metadata().is_ok_and(|it| it.is_file()) {
        return Err(at_source(Errno::ENOTSUP));
    }
    let kind = recognise(&file)?;
    let read_only = !writable || kind.read_only;
    lock(&file, read_only)?;
    let control = loop_device::open_control().map_err(at_target)?;
    let (_held, number) =
        loop_device::attach(control.as_fd(), file.as_fd(), read_only).map_err(at_target)?;
    let path = CString::new(format!("/dev/loop{number}"));
    let path = path.map_err(|_nul| Errno::EINVAL)?;
    on_device(mount, &path, kind, read_only)
}

/// Opens it, to write if that is possible and `wanted`.
fn open_image(path: &CStr, wanted: bool) -> nix::Result<(File, bool)> {
    if wanted {
        match open(path, READ | OFlag::O_RDWR, Mode::empty()) {
            Ok(file) => return Ok((file.into(), true)),
            Err(Errno::EROFS | Errno::EACCES | Errno::EPERM) => (),
            Err(errno) => return Err(errno),
        }
    }
    Ok((open(path, READ, Mode::empty())?.into(), false))
}

/// Two mounts of one image would destroy it. The lock belongs to the open file, which the loop
/// device keeps.
fn lock(file: &File, shared: bool) -> Result<(), Broken> {
    let locked = if shared { file.try_lock_shared() } else { file.try_lock() };
    match locked {
        Err(TryLockError::WouldBlock) => Err(at_source(Errno::EBUSY)),
        // A file system without locks cannot tell.
        Err(TryLockError::Error(_)) | Ok(()) => Ok(()),
    }
}

fn recognise(file: &File) -> Result<FsKind, Broken> {
    superblock::recognise(|buffer, offset| file.read_at(buffer, offset))
        .ok_or_else(|| at_source(Errno::EMEDIUMTYPE))
}

fn on_device(
    mount: &RootMount,
    device: &CStr,
    kind: FsKind,
    read_only: bool,
) -> Result<OwnedFd, Broken> {
    let context = new_context(kind.name, device)?;
    if read_only {
        sys::fsconfig(context.as_fd(), c"ro", None)?;
    }
    finish(context.as_fd(), &mount.options)
}

fn new_context(fstype: &CStr, source: &CStr) -> Result<OwnedFd, Broken> {
    let context = sys::fsopen(fstype).map_err(|errno| Broken(StepPart::Source, errno))?;
    sys::fsconfig(context.as_fd(), c"source", Some(source))?;
    Ok(context)
}

fn finish(context: BorrowedFd<'_>, options: &[FsOption]) -> Result<OwnedFd, Broken> {
    for (key, value) in options {
        sys::fsconfig(context, key, value.as_deref())?;
    }
    Ok(sys::fsmount(context, 0)?)
}

const fn at_source(errno: Errno) -> Broken {
    Broken(StepPart::Source, errno)
}

const fn at_target(errno: Errno) -> Broken {
    Broken(StepPart::Target, errno)
}
