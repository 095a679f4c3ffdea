//! The steps of a process that enters a running container. It is not visible there until it has
//! nothing of the host left, see [`crate::engine::entry::plan::enter`].

use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

use super::{Door, Site, place_standard, propagate};
use crate::engine::entry::report;
use crate::engine::sys::{self, Side};

/// What the container sees as the command line until the program is executed.
const TITLE: &CStr = c"wharf-attach";

/// Enters the namespaces; for the pid namespace this affects only its children.
pub(super) fn enter_namespaces(door: Door<'_>, flags: i32) -> nix::Result<()> {
    if flags == 0 { Ok(()) } else { sys::setns(door.init, flags) }
}

/// Makes init's root the root of this process.
pub(super) fn enter_root(door: Door<'_>) -> nix::Result<()> {
    nix::unistd::fchdir(door.root)?;
    nix::unistd::chroot(".")
}

/// Mounts /proc and /sys for this process alone, so that they show the namespaces that it has entered.
pub(super) fn remount() -> nix::Result<()> {
    const NONE: Option<&CStr> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    propagate(MsFlags::MS_SLAVE)?;
    for (kind, at) in [(c"proc", c"/proc"), (c"sysfs", c"/sys")] {
        match umount2(at, MntFlags::MNT_DETACH) {
            // Nothing was mounted there.
            Err(Errno::EINVAL) | Ok(()) => (),
            Err(errno) => return Err(errno),
        }
        mount(Some(kind), at, Some(kind), MsFlags::empty(), NONE)?;
    }
    Ok(())
}

/// Opens a pty in the container's devpts: our side, and the container's. The container may have put
/// anything there, so this checks that it is a pty.
pub(super) fn open_pty() -> nix::Result<(OwnedFd, OwnedFd)> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let ptmx = open("/dev/pts/ptmx", flags | OFlag::O_NONBLOCK, Mode::empty())?;
    let facts = nix::sys::statfs::fstatfs(&ptmx)?;
    if facts.filesystem_type() != nix::sys::statfs::DEVPTS_SUPER_MAGIC {
        return Err(Errno::ENOTTY);
    }
    sys::unlock_pty(ptmx.as_fd())?;
    let peer = sys::open_pty_peer(ptmx.as_fd())?;
    Ok((ptmx, peer))
}

/// Gives up the session, the terminal, every descriptor, and the command line and environment of the
/// host.
pub(super) fn leave_host(site: &Site<'_>) -> nix::Result<()> {
    site.actions.reset();
    // Otherwise /dev/tty would still be the operator's.
    nix::unistd::setsid()?;
    match &site.made.console {
        Some(pty) => {
            place_standard(pty, site.inherit)?;
            sys::close_all_but([site.supervisor, pty.as_fd()]);
        }
        None => sys::close_all_but([site.supervisor]),
    }
    sys::forget_origin(TITLE);
    Ok(())
}

/// Creates the process that stays in the container, which continues here; this one is done. By
/// clone(2), as many filters deny clone3(2), whose flags they cannot see.
/// If it is `awaited`, it waits until its maker knows it: both report on one socket.
pub(super) fn appear(maker: BorrowedFd<'_>, namespaces: i32, awaited: bool) -> nix::Result<()> {
    match sys::clone_sibling(namespaces)? {
        Side::Child if awaited => report::answered(maker).map(drop).map_err(|(_, errno)| errno),
        Side::Child => Ok(()),
        Side::Parent { pidfd, .. } => {
            if report::born(maker, pidfd.as_fd()).is_err() {
                // Nothing would supervise it.
                _ = sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
            }
            sys::exit_now(0)
        }
    }
}
