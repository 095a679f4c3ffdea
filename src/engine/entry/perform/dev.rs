//! The container's /dev: a fresh tmpfs, whatever the root contains there, or what it contains if the
//! configuration says so.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknodat};
use nix::unistd::symlinkat;

use super::Made;
use super::files::{Links, inside, instance, target};
use crate::engine::entry::plan::DevStep;
use crate::engine::sys::{self, Recursive, attr};
use crate::engine::terms::spec::TargetKind;

/// Name, major and minor number of every device a container gets.
const DEVICES: [(&CStr, u64, u64); 6] = [
    (c"full", 1, 7),
    (c"null", 1, 3),
    (c"random", 1, 8),
    (c"tty", 5, 0),
    (c"urandom", 1, 9),
    (c"zero", 1, 5),
];
const STREAMS: [(&CStr, &CStr); 4] = [
    (c"/proc/self/fd", c"fd"),
    (c"/proc/self/fd/0", c"stdin"),
    (c"/proc/self/fd/1", c"stdout"),
    (c"/proc/self/fd/2", c"stderr"),
];
const SHM_BYTES: &CStr = c"64m";
const CONSOLE: &CStr = c"console";

/// Carries out one step.
pub(super) fn perform(step: &DevStep, made: &mut Made) -> nix::Result<()> {
    match step {
        DevStep::New { bytes } => made.dev = Some(make_dev(made.root()?, made.links(), bytes)?),
        DevStep::Own => {
            made.dev = Some(take_dev(made.root()?, made.links())?);
            made.missing = if made.foreign_root { Missing::Made } else { Missing::Skipped };
            if made.missing == Missing::Made {
                link_streams(made.dev()?)?;
            }
        }
        DevStep::SharedMemory => mount_shm(made.dev()?)?,
        DevStep::MessageQueues => mount_mqueue(made.dev()?)?,
        DevStep::Pts { max, group } => {
            made.pts = Some(mount_pts(made.dev()?, max, group.as_deref())?);
        }
        DevStep::Ptmx => show_ptmx(made.dev()?, made.pts()?)?,
        DevStep::TtyDir { name } => made.tty_dir = Some(TtyDir::make(made.dev()?, name)?),
        DevStep::BootId => give_boot_id(made.root()?, made.dev()?)?,
    }
    Ok(())
}

/// Mounts a tmpfs on /dev with the devices, links and directories every program expects.
fn make_dev(root: BorrowedFd<'_>, links: Links, bytes: &CStr) -> nix::Result<OwnedFd> {
    let place = target(root, c"dev", links, Some(TargetKind::Dir))?;
    // As with LXC: where noexec is set, programs cannot map /dev/zero as memory to execute, and udev
    // needs as many links as there are devices.
    let dev = instance(c"tmpfs", c"none", &[(c"mode", c"755"), (c"size", bytes)], 0)?;
    // The host's are opened first: in a shared root they are hidden by the new /dev.
    let mut borrowed = Vec::new();
    for (name, major, minor) in DEVICES {
        borrowed.extend(make_device(dev.as_fd(), name, major, minor)?.map(|it| (name, it)));
    }
    sys::move_mount(dev.as_fd(), place.as_fd())?;
    for (name, host) in borrowed {
        sys::move_mount(host.as_fd(), touch(dev.as_fd(), name)?.as_fd())?;
    }
    link_streams(dev.as_fd())?;
    symlinkat(c"pts/ptmx", dev.as_fd(), c"ptmx")?;
    for name in [c"pts", c"shm", c"mqueue"] {
        mkdirat(&dev, name, Mode::from_bits_truncate(0o755))?;
    }
    Ok(dev)
}

/// Opens the /dev that is in the root, for a devpts and terminals.
fn take_dev(root: BorrowedFd<'_>, links: Links) -> nix::Result<OwnedFd> {
    let dev = target(root, c"dev", links, Some(TargetKind::Dir))?;
    make_dir(dev.as_fd(), c"pts")?;
    Ok(dev)
}

/// Shows the multiplexer of the container's devpts as `/dev/ptmx`. A link there is left as it is.
fn show_ptmx(dev: BorrowedFd<'_>, pts: BorrowedFd<'_>) -> nix::Result<()> {
    let place = match child(dev, c"ptmx") {
        Err(Errno::ELOOP) => return Ok(()),
        Err(Errno::ENOENT) => return symlinkat(c"pts/ptmx", dev, c"ptmx"),
        result => result?,
    };
    let copy = sys::open_tree(pts.as_raw_fd(), c"ptmx", Recursive::No)?;
    sys::move_mount(copy.as_fd(), place.as_fd())
}

/// Adds the links to the standard streams that the root's own /dev lacks.
fn link_streams(dev: BorrowedFd<'_>) -> nix::Result<()> {
    for (to, name) in STREAMS {
        match symlinkat(to, dev, name) {
            Err(Errno::EEXIST) | Ok(()) => (),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn make_dir(dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<()> {
    match mkdirat(dir, name, Mode::from_bits_truncate(0o755)) {
        Err(Errno::EEXIST) => Ok(()),
        result => result,
    }
}

/// Mounts shared memory of the container's own on /dev/shm.
fn mount_shm(dev: BorrowedFd<'_>) -> nix::Result<()> {
    let options = [(c"mode", c"1777"), (c"size", SHM_BYTES)];
    let shm = instance(c"tmpfs", c"tmpfs", &options, attr::NOSUID | attr::NODEV)?;
    sys::move_mount(shm.as_fd(), child(dev, c"shm")?.as_fd())
}

/// Mounts message queues of the container's own on /dev/mqueue.
fn mount_mqueue(dev: BorrowedFd<'_>) -> nix::Result<()> {
    let safe = attr::NOSUID | attr::NODEV | attr::NOEXEC;
    match instance(c"mqueue", c"mqueue", &[], safe) {
        Ok(queues) => sys::move_mount(queues.as_fd(), child(dev, c"mqueue")?.as_fd()),
        // A kernel may be built without message queues, and those of the host's are not for the root
        // of a user namespace.
        Err(Errno::ENODEV | Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Replaces the host's boot id with a new one, so that a journal inside distinguishes the runs of
/// the container. Without a mounted proc there is only the file, as with LXC.
fn give_boot_id(root: BorrowedFd<'_>, dev: BorrowedFd<'_>) -> nix::Result<()> {
    const NAME: &CStr = c".lxc-boot-id";
    const PLACE: &CStr = c"proc/sys/kernel/random/boot_id";
    let mut random = [0; 16];
    let source = open(c"/dev/urandom", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    if nix::unistd::read(&source, &mut random)? != random.len() {
        return Err(Errno::EIO);
    }
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let file = openat(dev, NAME, flags, Mode::from_bits_truncate(0o444))?;
    nix::unistd::write(&file, &boot_id(random))?;
    let place = match inside(root, PLACE, OFlag::O_PATH, Links::Refused) {
        // Neither a missing file nor another file system is a proc.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
        result => result?,
    };
    let copy = sys::open_tree(dev.as_raw_fd(), NAME, Recursive::No)?;
    let safe = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC;
    sys::mount_setattr(copy.as_fd(), Recursive::No, safe, 0, 0)?;
    match sys::move_mount(copy.as_fd(), place.as_fd()) {
        // A directory, so it is not a proc either.
        Err(Errno::ENOTDIR) => Ok(()),
        result => result,
    }
}

/// Writes a random number as the kernel writes a boot id: a UUID of version 4 and a line end.
fn boot_id(random: [u8; 16]) -> [u8; 37] {
    const NO_DIGITS: [usize; 5] = [8, 13, 18, 23, 36];
    let version = (0xf << 76, 4 << 76);
    let variant = (3 << 62, 2 << 62);
    let mut number = u128::from_be_bytes(random);
    for (mask, value) in [version, variant] {
        number = number & !mask | value;
    }
    let mut text = *b"00000000-0000-0000-0000-000000000000\n";
    for (_, place) in text.iter_mut().enumerate().filter(|(at, _)| !NO_DIGITS.contains(at)) {
        number = number.rotate_left(4);
        *place = hexadecimal((number & 0xf) as u8);
    }
    text
}

const fn hexadecimal(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

fn child(dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    inside(dir, name, OFlag::O_PATH, Links::Refused)
}

/// Makes a device node, or returns the host's to mount if that is forbidden, as it is in a user
/// namespace.
fn make_device(
    dev: BorrowedFd<'_>,
    name: &CStr,
    major: u64,
    minor: u64,
) -> nix::Result<Option<OwnedFd>> {
    let mode = Mode::from_bits_truncate(0o666);
    match mknodat(dev, name, SFlag::S_IFCHR, mode, makedev(major, minor)) {
        Err(Errno::EPERM) => (),
        result => return result.map(|()| None),
    }
    let mut path = b"/dev/".to_vec();
    path.extend_from_slice(name.to_bytes());
    let path = CString::new(path).map_err(|_nul| Errno::EINVAL)?;
    sys::open_tree(AT_FDCWD.as_raw_fd(), &path, Recursive::No).map(Some)
}

/// Opens a file to mount something on, which is made unless it is there: in the root's own /dev.
fn touch(dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(dir, name, flags, Mode::from_bits_truncate(0o600)) {
        Err(Errno::EEXIST) => (),
        result => drop(result?),
    }
    child(dir, name)
}

/// Mounts a devpts of the container's own on /dev/pts.
fn mount_pts(dev: BorrowedFd<'_>, max: &CStr, group: Option<&CStr>) -> nix::Result<OwnedFd> {
    let mut options = vec![(c"mode", c"620"), (c"ptmxmode", c"666"), (c"max", max)];
    options.extend(group.map(|it| (c"gid", it)));
    let pts = instance(c"devpts", c"devpts", &options, attr::NOSUID | attr::NOEXEC)?;
    sys::move_mount(pts.as_fd(), child(dev, c"pts")?.as_fd())?;
    Ok(pts)
}

/// What happens to a terminal that has no place in `/dev`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Missing {
    #[default]
    Made,
    /// The /dev is the host's, where nothing may be created.
    Skipped,
}

/// A directory below `/dev` for the terminals.
#[derive(Debug)]
pub(super) struct TtyDir {
    name: CString,
    dir: OwnedFd,
}

impl TtyDir {
    fn make(dev: BorrowedFd<'_>, name: &CStr) -> nix::Result<Self> {
        make_dir(dev, name)?;
        Ok(Self { name: name.to_owned(), dir: child(dev, name)? })
    }

    /// Links the terminal's usual place to the one in this directory.
    fn link(&self, dev: BorrowedFd<'_>, name: &CStr) -> nix::Result<()> {
        let mut to = self.name.to_bytes().to_vec();
        to.push(b'/');
        to.extend_from_slice(name.to_bytes());
        let to = CString::new(to).map_err(|_nul| Errno::EINVAL)?;
        match symlinkat(to.as_c_str(), dev, name) {
            // What is in the root's own /dev stays; the console is shown there in any case.
            Err(Errno::EEXIST) => Ok(()),
            result => result,
        }
    }
}

/// Makes a pty in the container's devpts; returns the supervisor's side, the container's, and the
/// name of that in the devpts.
pub(super) fn open_terminal(pts: BorrowedFd<'_>) -> nix::Result<(OwnedFd, OwnedFd, CString)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let ptmx = openat(pts, c"ptmx", flags, Mode::empty())?;
    let number = sys::unlock_pty(ptmx.as_fd())?;
    let peer = sys::open_pty_peer(ptmx.as_fd())?;
    let slave = CString::new(number.to_string()).map_err(|_nul| Errno::EINVAL)?;
    Ok((ptmx, peer, slave))
}

/// Makes a pty in the container's devpts, shows its slave as `/dev/NAME`, and returns the
/// supervisor's side and the container's. With `within` it is shown there, and `/dev/NAME` is a
/// link; but some programs do not follow a link for the console, which is therefore shown in both
/// places.
pub(super) fn make_terminal(
    dev: BorrowedFd<'_>,
    pts: BorrowedFd<'_>,
    within: Option<&TtyDir>,
    name: &str,
    missing: Missing,
) -> nix::Result<(OwnedFd, OwnedFd)> {
    let (ptmx, peer, slave) = open_terminal(pts)?;
    let name = CString::new(name).map_err(|_nul| Errno::EINVAL)?;
    let show = |dir: BorrowedFd<'_>| {
        let place = match missing {
            Missing::Made => touch(dir, &name)?,
            Missing::Skipped => match child(dir, &name) {
                Err(Errno::ENOENT) => return Ok(()),
                result => result?,
            },
        };
        let copy = sys::open_tree(pts.as_raw_fd(), &slave, Recursive::No)?;
        sys::move_mount(copy.as_fd(), place.as_fd())
    };
    if let Some(within) = within {
        show(within.dir.as_fd())?;
    }
    match within {
        Some(within) if name.as_c_str() != CONSOLE => within.link(dev, &name)?,
        Some(_) | None => show(dev)?,
    }
    Ok((ptmx, peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_has_the_kernels_form() {
        let text = |random| String::from_utf8(boot_id(random).to_vec()).unwrap();
        assert_eq!(text([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff\n");
        let counted = std::array::from_fn(|it| it as u8);
        assert_eq!(text(counted), "00010203-0405-4607-8809-0a0b0c0d0e0f\n");
    }
}
