//! The container's /dev: always a fresh tmpfs, whatever the root holds at that place.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknodat};
use nix::unistd::symlinkat;

use super::files::{Links, inside, target};
use crate::engine::spec::Create;
use crate::engine::sys::{self, Recursive, attr};

/// Name, major and minor number of every device a container gets.
const DEVICES: [(&CStr, u64, u64); 6] = [
    (c"null", 1, 3),
    (c"zero", 1, 5),
    (c"full", 1, 7),
    (c"random", 1, 8),
    (c"urandom", 1, 9),
    (c"tty", 5, 0),
];
const LINKS: [(&CStr, &CStr); 5] = [
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
    (c"pts/ptmx", c"ptmx"),
];
const DEV_BYTES: &CStr = c"500000";
const SHM_BYTES: &CStr = c"64m";

/// Mounts a tmpfs on /dev with the devices, links and directories every program expects.
pub(super) fn make_dev(root: BorrowedFd<'_>, links: Links, inodes: &CStr) -> nix::Result<OwnedFd> {
    let place = target(root, c"dev", links, Some(Create::Dir))?;
    let options = [(c"mode", c"755"), (c"size", DEV_BYTES), (c"nr_inodes", inodes)];
    let dev = tmpfs(&options, attr::NOSUID | attr::NOEXEC)?;
    sys::move_mount(dev.as_fd(), place.as_fd())?;
    for (name, major, minor) in DEVICES {
        make_device(dev.as_fd(), name, major, minor)?;
    }
    for (to, name) in LINKS {
        symlinkat(to, dev.as_fd(), name)?;
    }
    for name in [c"pts", c"shm", c"mqueue"] {
        mkdirat(&dev, name, Mode::from_bits_truncate(0o755))?;
    }
    let shm = tmpfs(&[(c"mode", c"1777"), (c"size", SHM_BYTES)], attr::NOSUID | attr::NODEV)?;
    sys::move_mount(shm.as_fd(), child(dev.as_fd(), c"shm")?.as_fd())?;
    match sys::fsopen(c"mqueue") {
        Ok(context) => {
            let queues = sys::fsmount(context.as_fd(), attr::NOSUID | attr::NODEV | attr::NOEXEC)?;
            sys::move_mount(queues.as_fd(), child(dev.as_fd(), c"mqueue")?.as_fd())?;
        }
        // A kernel may be built without message queues.
        Err(Errno::ENODEV) => (),
        Err(errno) => return Err(errno),
    }
    Ok(dev)
}

fn tmpfs(options: &[(&CStr, &CStr)], attributes: u64) -> nix::Result<OwnedFd> {
    let context = sys::fsopen(c"tmpfs")?;
    sys::fsconfig(context.as_fd(), c"source", Some(c"tmpfs"))?;
    for (key, value) in options {
        sys::fsconfig(context.as_fd(), key, Some(value))?;
    }
    sys::fsmount(context.as_fd(), attributes)
}

fn child(dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    inside(dir, name, OFlag::O_PATH, Links::Refused)
}

/// Makes a device node, or where that is forbidden shows the host's.
fn make_device(dev: BorrowedFd<'_>, name: &CStr, major: u64, minor: u64) -> nix::Result<()> {
    let mode = Mode::from_bits_truncate(0o666);
    match mknodat(dev, name, SFlag::S_IFCHR, mode, makedev(major, minor)) {
        Err(Errno::EPERM) => (),
        result => return result,
    }
    let mut path = b"/dev/".to_vec();
    path.extend_from_slice(name.to_bytes());
    let path = CString::new(path).map_err(|_nul| Errno::EINVAL)?;
    let host = sys::open_tree(AT_FDCWD.as_raw_fd(), &path, Recursive::No)?;
    let place = touch(dev, name)?;
    sys::move_mount(host.as_fd(), place.as_fd())
}

fn touch(dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::from_bits_truncate(0o600))?;
    child(dir, name)
}

/// Mounts a devpts of the container's own on /dev/pts.
pub(super) fn mount_pts(dev: BorrowedFd<'_>, max: &CStr) -> nix::Result<OwnedFd> {
    /// The group `tty`, which has this number everywhere.
    const TTY_GROUP: &CStr = c"5";
    let context = sys::fsopen(c"devpts")?;
    let options = [(c"gid", TTY_GROUP), (c"mode", c"620"), (c"ptmxmode", c"666"), (c"max", max)];
    for (key, value) in options {
        sys::fsconfig(context.as_fd(), key, Some(value))?;
    }
    let pts = sys::fsmount(context.as_fd(), attr::NOSUID | attr::NOEXEC)?;
    sys::move_mount(pts.as_fd(), child(dev, c"pts")?.as_fd())?;
    Ok(pts)
}

/// A directory below `/dev` for the terminals.
#[derive(Debug)]
pub(super) struct TtyDir {
    name: CString,
    dir: OwnedFd,
}

impl TtyDir {
    pub(super) fn make(dev: BorrowedFd<'_>, name: &CStr) -> nix::Result<Self> {
        mkdirat(dev, name, Mode::from_bits_truncate(0o755))?;
        Ok(Self { name: name.to_owned(), dir: child(dev, name)? })
    }

    /// Leads from the terminal's usual place to the one in here.
    fn link(&self, dev: BorrowedFd<'_>, name: &CStr) -> nix::Result<()> {
        let mut to = self.name.to_bytes().to_vec();
        to.push(b'/');
        to.extend_from_slice(name.to_bytes());
        let to = CString::new(to).map_err(|_nul| Errno::EINVAL)?;
        symlinkat(to.as_c_str(), dev, name)
    }
}

/// Makes a pty in the container's devpts and shows its slave as `/dev/NAME`, or in `within` with a
/// link there. Returns the supervisor's side and the container's.
pub(super) fn make_terminal(
    dev: BorrowedFd<'_>,
    pts: BorrowedFd<'_>,
    within: Option<&TtyDir>,
    name: &str,
) -> nix::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let ptmx = openat(pts, c"ptmx", flags, Mode::empty())?;
    let number = sys::unlock_pty(ptmx.as_fd())?;
    let peer = sys::open_pty_peer(ptmx.as_fd())?;
    let slave = CString::new(number.to_string()).map_err(|_nul| Errno::EINVAL)?;
    let name = CString::new(name).map_err(|_nul| Errno::EINVAL)?;
    let copy = sys::open_tree(pts.as_raw_fd(), &slave, Recursive::No)?;
    let place = match within {
        Some(within) => {
            within.link(dev, &name)?;
            touch(within.dir.as_fd(), &name)?
        }
        None => touch(dev, &name)?,
    };
    sys::move_mount(copy.as_fd(), place.as_fd())?;
    Ok((ptmx, peer))
}
