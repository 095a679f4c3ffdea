//! The verb `stop`: asks, waits, kills; and restarts.

mod guest;

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::engine::cgroup::CgroupError;
use crate::engine::entry::script;
use crate::engine::running::command_socket::wire::Wish;
use crate::engine::running::command_socket::{Client, Init, Seat, SocketError, StateWatch};
use crate::engine::running::groups::{self, GroupError, Holding};
use crate::engine::running::reclaim::{self, ReclaimError, Reclaimed};
use crate::engine::running::record::Record;
use crate::engine::running::saving;
use crate::engine::store::Store;
use crate::engine::terms::patience::Patience;
use crate::engine::terms::signal;
use crate::engine::terms::state::State;
use crate::engine::{Engine, Error, ErrorKind, Name, Verb, sys};

/// How long killed processes may take to disappear.
const DYING: Duration = Duration::from_secs(10);
/// How long the supervisor may take to clean up after the last process.
const CLEANING: Duration = Duration::from_secs(5);

/// How to stop a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sends the halt signal and returns at once (`-W`).
    Ask,
    /// Sends the halt signal, waits, and kills what is left (`--nokill`: fails instead).
    Gently { timeout: Option<Duration>, then_kill: bool },
    /// Sends `lxc.signal.stop` if that is not SIGKILL and init handles it, and soon kills every
    /// process (`-k`).
    Kill,
    /// Sends the reboot signal and returns at once (`-r -W`).
    AskToReboot,
    /// Has the guest restart itself; failing that, stops it and starts it again (`-r`).
    Reboot { timeout: Option<Duration>, then_kill: bool },
}

#[derive(Debug, thiserror::Error)]
enum StopError {
    #[error("it is not running")]
    NotRunning,
    #[error(transparent)]
    Socket(SocketError),
    #[error("{0}")]
    Cgroup(#[source] CgroupError),
    #[error(transparent)]
    Reclaim(ReclaimError),
    #[error("signal init")]
    Signal(#[source] Errno),
    #[error("its init (pid {0}) was killed but has not ended")]
    Alive(i32),
    #[error("it did not stop in time")]
    TimedOut,
    #[error("its init has no handler for {}, so asking it has no effect; stop it without -W or --nokill, or kill it with -k", signal::name(*.0))]
    Deaf(i32),
    #[error("its init has no handler for {}, so asking it to restart has no effect; stop it and start it again instead", signal::name(*.0))]
    DeafToReboot(i32),
    #[error("its init is a shell, which does not restart on {}; stop it and start it again instead", signal::name(*.0))]
    Shell(i32),
    #[error("it stopped and did not start again: {0}")]
    NotBack(String),
    #[error("its processes are dead, but its supervisor has not ended")]
    Supervisor,
    #[error("its cgroup is unknown: its supervisor does not answer and left no record")]
    Lost,
}

impl StopError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotRunning | Self::Socket(SocketError::Stranger(_)) => ErrorKind::NotRunning,
            Self::Alive(_)
            | Self::TimedOut
            | Self::Supervisor
            | Self::Socket(SocketError::Silent | SocketError::Halted { .. }) => ErrorKind::TimedOut,
            Self::Cgroup(error) => error.kind(),
            Self::Signal(Errno::EPERM) | Self::Socket(SocketError::Denied { .. }) => {
                ErrorKind::Denied
            }
            Self::Socket(_)
            | Self::Reclaim(_)
            | Self::Signal(_)
            | Self::Deaf(_)
            | Self::DeafToReboot(_)
            | Self::Shell(_)
            | Self::NotBack(_)
            | Self::Lost => ErrorKind::Failed,
        }
    }
}

impl StopError {
    /// Returns whether it may be caused by an end that was not waited for.
    const fn is_of_an_end(&self) -> bool {
        match self {
            Self::Socket(
                SocketError::Silent
                | SocketError::Halted { .. }
                | SocketError::Stranger(_)
                | SocketError::Denied { .. },
            )
            // A process that did not die in all that time is not about to.
            | Self::Cgroup(CgroupError::Undying { .. })
            | Self::Reclaim(
                ReclaimError::Alive { .. } | ReclaimError::Cgroup(CgroupError::Undying { .. }),
            )
            | Self::NotRunning
            | Self::Alive(_)
            | Self::TimedOut
            | Self::Deaf(_)
            | Self::DeafToReboot(_)
            | Self::Shell(_)
            | Self::NotBack(_)
            | Self::Supervisor => false,
            Self::Socket(_) | Self::Cgroup(_) | Self::Reclaim(_) | Self::Signal(_) | Self::Lost => {
                true
            }
        }
    }
}

/// Returns whether the machine, or this process, lacks a resource, which the container's end does
/// not explain.
fn is_for_want(error: &(dyn std::error::Error + 'static)) -> bool {
    let found = error.downcast_ref::<Errno>().copied().or_else(|| {
        let raw = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        raw.map(Errno::from_raw)
    });
    let wanting = [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::ENOBUFS, Errno::ENOSPC];
    found.is_some_and(|it| wanting.contains(&it)) || error.source().is_some_and(is_for_want)
}

impl Engine {
    /// Stops the container; returns once it is STOPPED, or runs again, except for ways that only
    /// ask.
    pub fn stop(&self, name: &Name, stop: Stop) -> Result<(), Error> {
        let verb = match stop {
            Stop::Ask | Stop::Gently { .. } | Stop::Kill => Verb::Stop,
            Stop::AskToReboot | Stop::Reboot { .. } => Verb::Restart,
        };
        _ = saving::settle_if_free(&self.lxcpath, name);
        self.try_stop(name, stop).map_err(|error| Error::new(verb, name, error.kind(), error))
    }

    fn try_stop(&self, name: &Name, stop: Stop) -> Result<(), StopError> {
        let client = match (Client::connect(&self.lxcpath, name), stop) {
            (Ok(Some(client)), _) => client,
            (Ok(None), _) => return self.bury(name),
            // It is not running, or its supervisor is dead.
            (Err(error @ SocketError::Stranger(_)), _) => match self.bury(name) {
                Err(StopError::NotRunning) => return Err(StopError::Socket(error)),
                buried => return buried,
            },
            // There is no connection: the supervisor hangs, but its processes can be killed.
            (Err(_), Stop::Kill) => return self.kill(name, None),
            (Err(error), _) => return Err(StopError::Socket(error)),
        };
        // Another user may not even ask; any other failure would be reported differently.
        let state = client.state();
        if let Err(error @ SocketError::Denied { .. }) = state {
            return Err(StopError::Socket(error));
        }
        if matches!(stop, Stop::AskToReboot | Stop::Reboot { .. })
            && self.restarts_in(name).is_some()
        {
            return self.restart_now(name, &client, stop);
        }
        // From here on the container stays stopped, however init ends, even if it has ended and is
        // about to start again. LXC's supervisors do not support wishes.
        let is_end = matches!(stop, Stop::Ask | Stop::Gently { .. } | Stop::Kill);
        let _wished = (is_end && state.is_ok()).then(|| client.wish(Wish::Stop));
        let stopped = match stop {
            Stop::Kill => self.kill(name, Some(&client)),
            Stop::Ask => self.ask(name, &client),
            Stop::Gently { timeout, then_kill } => self.gently(name, &client, timeout, then_kill),
            Stop::AskToReboot => self.ask_to_reboot(name, &client),
            // Its end was not requested.
            Stop::Reboot { timeout, then_kill } => {
                return self.reboot(name, &client, timeout, then_kill);
            }
        };
        match stopped {
            // It was running when this began, and ended by itself or by another stop meanwhile.
            Err(error) if error.is_of_an_end() && !is_for_want(&error) && self.has_ended(name) => {
                Ok(())
            }
            other => other,
        }
    }

    /// Returns whether the container is stopped, or soon will be because its supervisor is exiting.
    fn has_ended(&self, name: &Name) -> bool {
        let mut patience = Patience::until(Instant::now() + CLEANING);
        loop {
            if self.state(name).is_ok_and(|it| !it.is_active()) {
                return true;
            }
            if !patience.again() {
                return false;
            }
        }
    }

    /// Cleans up after a supervisor that died before it could. This stops processes that outlived
    /// it, being frozen; a container that died with it was not running any more.
    fn bury(&self, name: &Name) -> Result<(), StopError> {
        let lived = self.state(name).is_ok_and(State::is_active);
        let reclaimed = reclaim::reclaim(&self.lxcpath, name).map_err(StopError::Reclaim)?;
        Seat::tidy(&self.lxcpath, name);
        Store::new(&self.lxcpath).tidy_lock(name);
        match reclaimed {
            Reclaimed::DeadRun if lived => Ok(()),
            Reclaimed::DeadRun | Reclaimed::Nothing => Err(StopError::NotRunning),
        }
    }

    fn kill(&self, name: &Name, client: Option<&Client>) -> Result<(), StopError> {
        let watch = client.and_then(|it| it.add_state_client(&[State::Stopped]).ok());
        if let (Some(client), Some(StateWatch::Waiting(end))) = (client, &watch)
            && self.ends_by_signal(name, client, end)
        {
            let reclaimed = reclaim::reclaim(&self.lxcpath, name);
            return reclaimed.map(|_| ()).map_err(StopError::Reclaim);
        }
        let supervisor = client.and_then(|it| it.supervisor().ok());
        let init = self.init_of(name, client);
        let cgroup = match groups::find(&self.lxcpath, name, client, Holding::Limits) {
            Ok(cgroup) => cgroup,
            // Without a reported cgroup it is enough to wait for init: all other processes end with
            // it.
            Err(GroupError::Socket(_)) => None,
            Err(GroupError::Cgroup(error)) => return Err(StopError::Cgroup(error)),
        };
        if cgroup.is_none() && init.is_none() {
            return Err(StopError::Lost);
        }
        if let Some(cgroup) = cgroup {
            cgroup.kill_all(Instant::now() + DYING).map_err(StopError::Cgroup)?;
        }
        if let Some(Init { pid, pidfd }) = init
            && !reclaim::end_process(pidfd.as_fd(), DYING)
        {
            return Err(StopError::Alive(pid));
        }
        match watch {
            Some(StateWatch::Already) => Ok(()),
            Some(StateWatch::Waiting(waiter)) => {
                match waiter.wait(Some(self.cleaning(name))).map_err(StopError::Socket)? {
                    // A killed supervisor closes the connection as well.
                    Some(_stopped) => reclaim::reclaim(&self.lxcpath, name)
                        .map(|_reclaimed| ())
                        .map_err(StopError::Reclaim),
                    None => Err(StopError::Supervisor),
                }
            }
            // It has too many clients to inform one more of the end, but its own end is visible.
            None if supervisor
                .is_some_and(|it| reclaim::has_ended(it.as_fd(), self.cleaning(name))) =>
            {
                let reclaimed = reclaim::reclaim(&self.lxcpath, name);
                reclaimed.map(|_| ()).map_err(StopError::Reclaim)
            }
            None => self.end_supervisor(name),
        }
    }

    /// Returns how long a supervisor may take to clean up, with the hooks that it runs at the end.
    fn cleaning(&self, name: &Name) -> Duration {
        let ends = |it: Record| it.host_steps.iter().filter(|it| it.ends_with_script()).count();
        // LXC's supervisors keep no record of what they run, but ours may have left one.
        let record = Record::read(&self.lxcpath, name);
        let hooks = record.filter(|it| it.is_live(self.lxcpath.host())).map_or(1, ends);
        CLEANING + script::PATIENCE * u32::try_from(hooks).unwrap_or(u32::MAX)
    }

    /// Kills a supervisor that does not answer and whose container is dead.
    fn end_supervisor(&self, name: &Name) -> Result<(), StopError> {
        let Some(record) = Record::read(&self.lxcpath, name) else {
            return Err(StopError::Supervisor);
        };
        // Checked twice, since the pid may have been reused in between.
        let pidfd = sys::pidfd_open(record.supervisor.pid);
        if let (Ok(pidfd), true) = (pidfd, record.supervisor.lives(self.lxcpath.host())) {
            sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL).map_err(StopError::Signal)?;
            let mut fds = [nix::poll::PollFd::new(pidfd.as_fd(), nix::poll::PollFlags::POLLIN)];
            // If it does not die, the socket is still held, which is reported below.
            _ = nix::poll::poll(&mut fds, 2000_u16);
        }
        match reclaim::reclaim(&self.lxcpath, name).map_err(StopError::Reclaim)? {
            Reclaimed::DeadRun => Ok(()),
            // It cleaned up before it ended.
            Reclaimed::Nothing if self.state(name).is_ok_and(|it| !it.is_active()) => Ok(()),
            Reclaimed::Nothing => Err(StopError::Supervisor),
        }
    }

    /// Opens a pidfd of init, without needing its supervisor to answer if that is one of ours.
    fn init_of(&self, name: &Name, client: Option<&Client>) -> Option<Init> {
        let host = self.lxcpath.host();
        let record = Record::read(&self.lxcpath, name).filter(|it| it.is_live(host));
        let recorded = record
            .and_then(|it| it.init)
            .and_then(|init| Some(Init { pid: init.pid, pidfd: init.hold(host)? }));
        recorded.or_else(|| client?.init().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_not_die_is_reported_without_a_second_wait() {
        let undying = || CgroupError::Undying { who: "pid 7".to_owned(), waited: DYING };
        assert!(!StopError::Cgroup(undying()).is_of_an_end());
        assert!(!StopError::Reclaim(ReclaimError::Cgroup(undying())).is_of_an_end());
        assert!(!StopError::Reclaim(ReclaimError::Alive { pid: 7 }).is_of_an_end());
        assert!(StopError::Socket(SocketError::Closed).is_of_an_end());
    }

    #[test]
    fn a_missing_resource_is_reported_at_once_and_not_taken_for_an_end() {
        let connect = |errno| StopError::Socket(SocketError::Connect(errno));
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::ENOSPC] {
            assert!(is_for_want(&connect(errno)), "{errno}");
            assert!(is_for_want(&StopError::Signal(errno)), "{errno}");
            let speak = SocketError::Speak(std::io::Error::from(errno));
            assert!(is_for_want(&StopError::Socket(speak)), "{errno}");
        }
        assert!(!is_for_want(&connect(Errno::ECONNRESET)));
        assert!(!is_for_want(&StopError::Socket(SocketError::Closed)));
    }
}
