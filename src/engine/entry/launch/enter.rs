//! Creates a process that enters a running container and follows it until its program runs.
//!
//! Two processes are needed: the first enters, gives up all that belongs to the host, and only then
//! creates the second, which is the one that the container can see. The second is also a child of
//! the caller.
//!
//! The first joins the container's cgroups, so that the second is born there. If they are full
//! (`pids.max`), only an existing process can be moved in: then the second is born outside and
//! stopped until it has been moved, so that the container cannot use a process outside of all
//! limits.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::hold::Hold;
use super::report::{self, ChildReport, receive};
use super::{BeforeExec, Birth, LaunchError, Newborn, bear, end, error};
use crate::engine::cgroup::{Cgroup, CgroupFds};
use crate::engine::entry::perform::Door;
use crate::engine::entry::plan::Step;
use crate::engine::sys;

/// What to run in which container.
pub(in crate::engine) struct Visit<'a> {
    pub steps: &'a [Step],
    pub door: Door<'a>,
    pub cgroup: Option<&'a Cgroup>,
    /// Which of the descriptors 0, 1 and 2 the program inherits. Never a terminal.
    pub inherit: [bool; 3],
    /// Runs when the first process is inside and the second one is not created yet.
    pub before_exec: &'a mut dyn FnMut() -> Result<(), BeforeExec>,
}

/// A program running in a container.
#[derive(Debug)]
pub(in crate::engine) struct Entered {
    /// A child of this process.
    pub pidfd: OwnedFd,
    /// The other side of its pty, if it has one.
    pub pty: Option<OwnedFd>,
}

/// When the second process joins the cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joins {
    /// It is born there.
    AtBirth,
    /// It is moved there while stopped.
    Late,
}

/// Makes the processes and returns when the program runs.
///
/// The caller must be single-threaded: see "Between clone and exec" in ARCHITECTURE.md.
pub(in crate::engine) fn enter(mut visit: Visit<'_>) -> Result<Entered, LaunchError> {
    match enter_once(&mut visit, Joins::AtBirth) {
        Err(full) if visit.cgroup.is_some() && full.is_full() => {
            match enter_once(&mut visit, Joins::Late) {
                // This machine does not allow ptrace: the error of the first try is more useful.
                Err(LaunchError::Hold(_)) => Err(full),
                result => result,
            }
        }
        result => result,
    }
}

fn enter_once(visit: &mut Visit<'_>, joins: Joins) -> Result<Entered, LaunchError> {
    let birth = Birth {
        steps: visit.steps,
        flags: 0,
        shared: &[],
        inherit: visit.inherit,
        door: Some(visit.door),
        said: None,
        reached: false,
    };
    let first = match (joins, visit.cgroup) {
        (Joins::AtBirth, Some(cgroup)) => in_group(&birth, cgroup)?,
        (Joins::Late, _) | (_, None) => bear(&birth, CgroupFds::default())?,
    };
    let entered = follow(visit, &first, joins);
    // It has ended by itself, unless it waits for a message that will not come.
    let end = end(first.pid, first.pidfd.as_fd());
    entered.map_err(|it| it.with_end(end))
}

/// Creates the process in the container's groups, or in a sibling of those that init created there:
/// on v2 a group that enables controllers for its children may not contain a process.
fn in_group(birth: &Birth<'_>, cgroup: &Cgroup) -> Result<Newborn, LaunchError> {
    match bear(birth, cgroup.entry().map_err(LaunchError::Cgroup)?) {
        Err(LaunchError::Clone(Errno::EBUSY)) => {
            bear(birth, cgroup.entry_beside().map_err(LaunchError::Cgroup)?)
        }
        result => result,
    }
}

fn follow(visit: &mut Visit<'_>, first: &Newborn, joins: Joins) -> Result<Entered, LaunchError> {
    let socket = first.socket.as_fd();
    let pty = match receive(socket).map_err(LaunchError::Report)? {
        ChildReport::Ready(fds) => fds.into_iter().next(),
        ChildReport::Failed(failure) => return Err(error::of_step(visit.steps, failure)),
        ChildReport::End => return Err(LaunchError::Died),
        ChildReport::Born(_) | ChildReport::Listens(_) | ChildReport::Asks(..) => {
            return Err(LaunchError::Report(Errno::EPROTO));
        }
    };
    (visit.before_exec)().map_err(LaunchError::BeforeExec)?;
    match (joins, visit.cgroup) {
        (Joins::Late, Some(cgroup)) => {
            let hold = Hold::on(first.pid).map_err(LaunchError::Hold)?;
            report::go(socket).map_err(LaunchError::Report)?;
            move_in(hold, cgroup)?;
        }
        (Joins::AtBirth, _) | (_, None) => report::go(socket).map_err(LaunchError::Report)?,
    }
    until_it_runs(visit.steps, socket).map(|pidfd| Entered { pidfd, pty })
}

/// Waits for the second process and moves it into the cgroups before it does anything.
fn move_in(hold: Hold, cgroup: &Cgroup) -> Result<(), LaunchError> {
    // If there is none, the report will say why.
    let Some(held) = hold.wait().map_err(LaunchError::Hold)? else { return Ok(()) };
    if let Err(error) = cgroup.admit(held.second.as_raw()) {
        // A stopped process cannot have been reaped by anybody else.
        _ = sys::kill(held.second.as_raw(), libc::SIGKILL);
        return Err(LaunchError::Cgroup(error));
    }
    held.release().map_err(LaunchError::Hold)
}

/// Returns the second process once its program runs.
fn until_it_runs(steps: &[Step], socket: BorrowedFd<'_>) -> Result<OwnedFd, LaunchError> {
    let mut second: Option<OwnedFd> = None;
    loop {
        match receive(socket).map_err(LaunchError::Report)? {
            ChildReport::Born(pidfd) if second.is_none() => second = Some(pidfd),
            ChildReport::End => return second.ok_or(LaunchError::Died),
            ChildReport::Failed(failure) => {
                if let Some(pidfd) = second {
                    // It ends by itself; its exit status does not matter any more.
                    _ = sys::wait_for(pidfd.as_fd());
                }
                return Err(error::of_step(steps, failure));
            }
            ChildReport::Born(_)
            | ChildReport::Ready(_)
            | ChildReport::Listens(_)
            | ChildReport::Asks(..) => {
                return Err(LaunchError::Report(Errno::EPROTO));
            }
        }
    }
}

impl std::fmt::Debug for Visit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visit").field("steps", &self.steps).finish_non_exhaustive()
    }
}
