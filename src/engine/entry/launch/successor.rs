//! Follows a process that creates another in its place, which is the one that stays: none that has
//! entered the users of another comes back. Creates none itself.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, waitid};

use super::{LaunchError, Launched, end, error, wait_for_report};
use crate::engine::entry::plan::Step;
use crate::engine::entry::report::{ChildReport, go, receive};
use crate::engine::sys;

/// Returns whether the plan has one.
pub(super) fn is_planned(steps: &[Step]) -> bool {
    steps.iter().any(|it| matches!(it, Step::Appear { .. }))
}

/// Waits for it and puts it in the place of the first, which has ended by then.
pub(super) fn take(
    steps: &[Step],
    socket: BorrowedFd<'_>,
    launched: &mut Launched,
) -> Result<(), LaunchError> {
    wait_for_report(launched.pid, socket, None)?;
    let pidfd = match receive(socket).map_err(LaunchError::Report)? {
        ChildReport::Born(pidfd) => pidfd,
        ChildReport::Failed(failure) => return Err(error::of_step(steps, failure)),
        ChildReport::End => return Err(LaunchError::Died),
        ChildReport::Ready(_) | ChildReport::Listens(_) | ChildReport::Asks(..) => {
            return Err(LaunchError::Report(Errno::EPROTO));
        }
    };
    let pid = child(&pidfd).map_err(LaunchError::Report)?;
    // It has ended by itself, or has nothing left to do.
    end(launched.pid, launched.pidfd.as_fd());
    (launched.pid, launched.pidfd) = (pid, pidfd);
    go(socket).map_err(LaunchError::Report)
}

/// Returns the pid of the process, which must be a child of this one: it is not reaped, and so nobody
/// else has its pid.
fn child(pidfd: &OwnedFd) -> nix::Result<i32> {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::PIDFd(pidfd.as_fd()), look)?;
    sys::pid_of(pidfd.as_fd()).ok_or(Errno::ESRCH)
}
