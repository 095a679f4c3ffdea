//! The supervisor's own group, `lxc.monitor.NAME`, which takes it out of the operator's login
//! session, so that its end does not end the container. Never moves a process into a v2 group,
//! which makes the kernel wait for every processor: processes are born there instead.

use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{pipe2, read};

use super::error::RunError;
use super::life::Life;
use crate::engine::cgroup::{Cgroup, CgroupFds, Hierarchies, PlannedGroups};
use crate::engine::host::identity::Identity;
use crate::engine::sys::{self, Side};

/// The group that this process is in, left and removed when this is dropped.
#[derive(Debug)]
pub(super) struct Monitor(Cgroup, PlannedGroups);

impl Monitor {
    /// Goes on in the background, as a new process in the group. The calling process has ended when
    /// this returns. None: there is no group, and the supervisor ends with the login.
    pub(super) fn enter(
        hierarchies: &Hierarchies,
        life: &mut Life,
    ) -> Result<Option<Self>, RunError> {
        let (waits, recorded) = pipe2(OFlag::O_CLOEXEC).map_err(RunError::Settle)?;
        let group = make(hierarchies, life);
        let entry = group.as_ref().and_then(|it| it.entry().ok());
        let unified = entry.as_ref().and_then(|it| it.unified.as_ref());
        let born = sys::clone3(0, unified.map(OwnedFd::as_fd));
        let (born, side) = match born {
            Ok(side) => (true, Ok(side)),
            Err(_) => (false, sys::clone3(0, None)),
        };
        let side = side.map_err(|errno| {
            // It contains no process.
            _ = group.as_ref().map(Cgroup::remove);
            RunError::Settle(errno)
        })?;
        if matches!(side, Side::Parent { .. }) {
            drop(recorded);
            // Until the record names the new process, it names this one, which must be alive.
            while read(&waits, &mut [0]) == Err(Errno::EINTR) {}
            sys::exit_now(0);
        }
        drop(waits);
        let this = Identity::of(life.lxcpath.host(), std::process::id() as i32);
        life.record.supervisor = this.unwrap_or(life.record.supervisor);
        life.save();
        drop(recorded);
        let monitor = group.zip(life.record.planned.clone()).map(|(it, plan)| Self(it, plan));
        life.saved()?;
        Ok(monitor.filter(|it| it.join(entry, born)))
    }

    /// Joins the hierarchies that this process was not `born` into; returns whether it is in all.
    fn join(&self, entry: Option<CgroupFds>, born: bool) -> bool {
        match entry {
            Some(entry) if born => entry.join_v1(),
            _ => self.0.join().is_ok(),
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        leave(&self.0, &self.1);
    }
}

fn make(hierarchies: &Hierarchies, life: &mut Life) -> Option<Cgroup> {
    let made = life.record.planned.as_ref().map(|it| it.create_monitor(hierarchies));
    let group = made.and_then(Result::ok).unwrap_or_else(Cgroup::none);
    life.record.monitor_cgroup = Some(group.path().clone());
    life.record.monitor_inodes = group.inodes();
    life.save();
    (!group.dirs().is_empty()).then_some(group)
}

/// Leaves the group and has it removed. On v2 a process born outside does so once this one has
/// ended; it holds nothing of ours, so nobody waits for it.
fn leave(group: &Cgroup, planned: &PlannedGroups) {
    let this = sys::pidfd_open(std::process::id() as i32);
    if let (Some(outside), Ok(this)) = (group.outside(), this) {
        group.leave_v1();
        match sys::clone3(0, Some(outside.as_fd())) {
            Ok(Side::Parent { .. }) => return,
            Ok(Side::Child) => {
                sys::close_all_but([this.as_fd()]);
                let mut fds = [PollFd::new(this.as_fd(), PollFlags::POLLIN)];
                while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
                // A group that cannot be removed is empty, and the next start reuses it.
                _ = group.remove();
                planned.remove_above();
                group.restore_parent();
                sys::exit_now(0);
            }
            // The kernel refuses to create processes there; use the slow way.
            Err(_) => (),
        }
    }
    _ = group.leave_to_root();
    _ = group.remove();
    planned.remove_above();
    group.restore_parent();
}
