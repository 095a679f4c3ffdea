//! Trials of mounts and file systems. Each is for a process that ends after it.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::fcntl::AT_FDCWD;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::users;
use crate::engine::Lxcpath;
use crate::engine::sys::{self, Recursive, attr, loop_device};

/// Large enough for a block.
const IMAGE_BYTES: u64 = 1 << 20;
/// A directory that exists everywhere, to be covered in a namespace of its own.
const PLACE: &str = "/tmp";

pub(super) fn own_mounts(_: &Lxcpath) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let (none, private) = (None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
    Ok(mount(none, "/", none, private, none)?)
}

fn tmpfs(lxcpath: &Lxcpath) -> io::Result<OwnedFd> {
    own_mounts(lxcpath)?;
    let context = sys::fsopen(c"tmpfs")?;
    Ok(sys::fsmount(context.as_fd(), 0)?)
}

pub(super) fn change_mount(lxcpath: &Lxcpath) -> io::Result<()> {
    let mount = tmpfs(lxcpath)?;
    Ok(sys::mount_setattr(mount.as_fd(), Recursive::No, attr::RDONLY, 0, 0)?)
}

pub(super) fn open_safely(_: &Lxcpath) -> io::Result<()> {
    use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    Ok(openat2(AT_FDCWD, "/", how).map(drop)?)
}

pub(super) fn map_tmpfs(lxcpath: &Lxcpath) -> io::Result<()> {
    let mount = tmpfs(lxcpath)?;
    Ok(sys::map_mount(mount.as_fd(), Recursive::No, users::others()?.as_fd())?)
}

/// Maps the file system that the containers are on, or will be.
pub(super) fn map_files(lxcpath: &Lxcpath) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    own_mounts(lxcpath)?;
    let place = lxcpath.dir().ancestors().find(|it| it.is_dir()).unwrap_or_else(|| Path::new("/"));
    let place = std::ffi::CString::new(place.as_os_str().as_bytes())?;
    let copy = sys::open_tree(AT_FDCWD.as_raw_fd(), &place, Recursive::No)?;
    Ok(sys::map_mount(copy.as_fd(), Recursive::No, users::others()?.as_fd())?)
}

pub(super) fn make_overlay(lxcpath: &Lxcpath) -> io::Result<()> {
    own_mounts(lxcpath)?;
    mount(Some("tmpfs"), PLACE, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    let context = sys::fsopen(c"overlay")?;
    for (key, dir) in
        [(c"lowerdir", c"/tmp/lower"), (c"upperdir", c"/tmp/upper"), (c"workdir", c"/tmp/work")]
    {
        fs::create_dir(Path::new(std::ffi::OsStr::from_bytes(dir.to_bytes())))?;
        sys::fsconfig(context.as_fd(), key, Some(dir))?;
    }
    Ok(sys::fsmount(context.as_fd(), 0).map(drop)?)
}

/// The device goes with this process.
pub(super) fn make_loop(_: &Lxcpath) -> io::Result<()> {
    let image = File::from(memfd_create(c"image", MFdFlags::MFD_CLOEXEC)?);
    image.set_len(IMAGE_BYTES)?;
    let control = loop_device::open_control()?;
    Ok(loop_device::attach(control.as_fd(), image.as_fd(), true).map(drop)?)
}

pub(super) fn driver(kind: &CStr) -> io::Result<()> {
    Ok(sys::fsopen(kind).map(drop)?)
}
