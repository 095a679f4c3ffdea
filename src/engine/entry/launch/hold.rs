//! Stops the child of another process at its first instruction, by ptrace(2), so that it can be
//! moved before it does anything.

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A child of this process that is watched for a child of its own.
#[derive(Debug)]
pub(super) struct Hold(Pid);

/// A process that is stopped until it is released.
#[derive(Debug)]
pub(super) struct Held {
    first: Pid,
    pub(super) second: Pid,
}

impl Hold {
    /// Watches `pid`. A stopped process dies if this process does.
    pub(super) fn on(pid: i32) -> nix::Result<Self> {
        let pid = Pid::from_raw(pid);
        // Which of the first three it is depends on how the child is created.
        let options = Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(pid, options)?;
        Ok(Self(pid))
    }

    /// Waits for the child; none if the process has ended without one.
    pub(super) fn wait(self) -> nix::Result<Option<Held>> {
        let first = self.0;
        loop {
            match wait(first)? {
                WaitStatus::PtraceEvent(_, _, event) if makes_a_child(event) => {
                    let second = Pid::from_raw(ptrace::getevent(first)? as libc::pid_t);
                    // It stops before its first instruction.
                    wait(second)?;
                    return Ok(Some(Held { first, second }));
                }
                WaitStatus::Stopped(_, signal) => ptrace::cont(first, signal)?,
                WaitStatus::PtraceEvent(..)
                | WaitStatus::PtraceSyscall(_)
                | WaitStatus::Continued(_)
                | WaitStatus::StillAlive => ptrace::cont(first, None)?,
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Ok(None),
            }
        }
    }
}

impl Held {
    /// Lets both processes continue.
    pub(super) fn release(self) -> nix::Result<()> {
        ptrace::detach(self.second, None)?;
        ptrace::detach(self.first, None)
    }
}

const fn makes_a_child(event: i32) -> bool {
    matches!(event, libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK)
}

/// Waits for the next event of `pid`, and does not reap it.
fn wait(pid: Pid) -> nix::Result<WaitStatus> {
    loop {
        match waitpid(pid, Some(WaitPidFlag::__WALL)) {
            Err(Errno::EINTR) => (),
            result => return result,
        }
    }
}
