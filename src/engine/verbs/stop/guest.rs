//! How stop and restart ask the guest, and how long they wait for it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::{Stop, StopError};
use crate::engine::cgroup::Cgroup;
use crate::engine::running::command_socket::wire::Wish;
use crate::engine::running::command_socket::{Client, Init, StateClient, StateWatch};
use crate::engine::running::event::{self, Follower, What};
use crate::engine::running::groups::{self, Holding};
use crate::engine::running::halt::{self, Asking, LOOK_AGAIN, MOMENT};
use crate::engine::running::reclaim;
use crate::engine::terms::state::State;
use crate::engine::verbs::start::Start;
use crate::engine::{Engine, Name, sys};

/// How long a container may take to run again once its init has ended.
const STARTING: Duration = Duration::from_secs(30);

/// How long a container may take to end by `lxc.signal.stop` before it is killed.
const STOPPING: Duration = Duration::from_secs(5);

/// How often to check whether a shell that was asked to restart still exists.
const LOOK_AT_SHELL: Duration = Duration::from_secs(3);

/// The result of asking init to restart.
enum Restart {
    /// The state reported after that; none: it took too long.
    Asked(Option<State>),
    /// It does not react to that signal.
    Unheard,
}

/// A running container's init, and what is needed to signal it.
struct Guest<'a> {
    engine: &'a Engine,
    name: &'a Name,
    client: &'a Client,
    pid: i32,
    pidfd: OwnedFd,
    cgroup: Option<Cgroup>,
}

impl Engine {
    /// Asks init to halt, without waiting for the result.
    pub(super) fn ask(&self, name: &Name, client: &Client) -> Result<(), StopError> {
        let guest = Guest::of(self, name, client)?;
        match guest.asking() {
            Asking::Deaf(signal) => guest.is_deaf(signal),
            asking @ (Asking::Halt(_) | Asking::Terminate) => guest.say(asking),
        }
    }

    /// Asks init to halt, waits, and kills what is left if permitted.
    pub(super) fn gently(
        &self,
        name: &Name,
        client: &Client,
        timeout: Option<Duration>,
        then_kill: bool,
    ) -> Result<(), StopError> {
        // Before the signal, so that its effect cannot be missed.
        let watch = client.add_state_client(&[State::Stopped]).map_err(StopError::Socket)?;
        let StateWatch::Waiting(end) = watch else { return Ok(()) };
        let guest = Guest::of(self, name, client)?;
        let asking = guest.asking();
        if let (Asking::Deaf(signal), false) = (asking, then_kill) {
            return guest.is_deaf(signal);
        }
        let wished = match asking {
            Asking::Deaf(signal) => client.wish(Wish::Unheard(signal)).ok(),
            Asking::Halt(_) | Asking::Terminate => None,
        };
        match guest.halts(asking, &end, timeout)? {
            Some(_stopped) => Ok(()),
            None if !then_kill => Err(StopError::TimedOut),
            None => {
                let killed = self.kill(name, Some(client));
                // Until now it determined how the end of init is handled.
                drop(wished);
                killed
            }
        }
    }

    /// Sends init `lxc.signal.stop` unless that is SIGKILL, and returns whether the container has
    /// ended by it. LXC waits for that for ever; a kill must end.
    pub(super) fn ends_by_signal(&self, name: &Name, client: &Client, end: &StateClient) -> bool {
        let configured = configured(client, "lxc.signal.stop");
        let Some(signal) = configured.filter(|it| *it != libc::SIGKILL) else { return false };
        let Ok(guest) = Guest::of(self, name, client) else { return false };
        let heard = halt::hears(guest.pid, signal) && guest.signal(signal).is_ok();
        heard && matches!(end.wait(Some(STOPPING)), Ok(Some(_stopped)))
    }

    /// Asks init to restart its container, without waiting for the result.
    pub(super) fn ask_to_reboot(&self, name: &Name, client: &Client) -> Result<(), StopError> {
        let guest = Guest::of(self, name, client)?;
        let signal = guest.reboot_signal();
        if halt::reboots(guest.pid, signal) {
            guest.signal(signal)
        } else {
            Err(guest.does_not_reboot(signal))
        }
    }

    /// Ends the wait of a container that keeps restarting itself, so that it starts at once.
    pub(super) fn restart_now(
        &self,
        name: &Name,
        client: &Client,
        stop: Stop,
    ) -> Result<(), StopError> {
        let mut news = event::follow(self.lxcpath.host()).ok();
        let watch = client.add_state_client_anew(&[State::Running]).map_err(StopError::Socket)?;
        // No signal is sent, since there is no init.
        let _wished = client.wish(Wish::Restart(0)).map_err(StopError::Socket)?;
        let StateWatch::Waiting(life) = watch else { return Ok(()) };
        let runs = || client.state().is_ok_and(|it| it == State::Running);
        if stop == Stop::AskToReboot || runs() {
            return Ok(());
        }
        match life.wait(Some(STARTING)).map_err(StopError::Socket)? {
            Some(State::Stopped) => Err(StopError::NotBack(reason(&mut news, name))),
            Some(_running) => Ok(()),
            None => Err(StopError::TimedOut),
        }
    }

    /// Has the guest restart itself; if it would not receive the signal, or does not restart in
    /// time, it is stopped and started again.
    pub(super) fn reboot(
        &self,
        name: &Name,
        client: &Client,
        timeout: Option<Duration>,
        then_kill: bool,
    ) -> Result<(), StopError> {
        // A failure of the next start is reported there.
        let mut news = event::follow(self.lxcpath.host()).ok();
        let watch = client.add_state_client_anew(&[State::Running]).map_err(StopError::Socket)?;
        let StateWatch::Waiting(life) = watch else { return Ok(()) };
        let guest = Guest::of(self, name, client)?;
        // A supervisor of ours then starts the container again however init ends.
        let signal = guest.reboot_signal();
        let ours = client.wish(Wish::Restart(signal)).ok();
        let state = match guest.restarts(signal, &life, timeout)? {
            Restart::Asked(state) => state,
            Restart::Unheard if then_kill => guest.halts(guest.asking(), &life, timeout)?,
            Restart::Unheard => return Err(guest.does_not_reboot(signal)),
        };
        let state = match (state, &ours) {
            (None, _) if !then_kill => return Err(StopError::TimedOut),
            (None, None) => {
                self.kill(name, Some(client))?;
                Some(State::Stopped)
            }
            (None, Some(_)) => {
                guest.end()?;
                life.wait(Some(STARTING)).map_err(StopError::Socket)?
            }
            (state, _) => state,
        };
        match state {
            Some(State::Stopped) if ours.is_none() => {
                self.start(name, &Start::default()).map_err(|it| StopError::NotBack(it.reason()))
            }
            Some(State::Stopped) => Err(StopError::NotBack(reason(&mut news, name))),
            Some(_running) => Ok(()),
            None => Err(StopError::TimedOut),
        }
    }
}

impl<'a> Guest<'a> {
    fn of(engine: &'a Engine, name: &'a Name, client: &'a Client) -> Result<Self, StopError> {
        let Init { pid, pidfd } = client.init().map_err(StopError::Socket)?;
        let cgroup = groups::find(&engine.lxcpath, name, Some(client), Holding::Limits);
        let cgroup = cgroup.ok().flatten();
        Ok(Self { engine, name, client, pid, pidfd, cgroup })
    }

    /// Reports that init cannot be asked, unless it has just ended, which looks the same.
    fn is_deaf(&self, signal: i32) -> Result<(), StopError> {
        let ended = reclaim::has_ended(self.pidfd.as_fd(), Duration::ZERO);
        if ended { Ok(()) } else { Err(StopError::Deaf(signal)) }
    }

    fn does_not_reboot(&self, signal: i32) -> StopError {
        if halt::hears(self.pid, signal) {
            StopError::Shell(signal)
        } else {
            StopError::DeafToReboot(signal)
        }
    }

    fn reboot_signal(&self) -> i32 {
        configured(self.client, "lxc.signal.reboot").unwrap_or(libc::SIGINT)
    }

    fn asking(&self) -> Asking {
        Asking::of(configured(self.client, "lxc.signal.halt"), self.pid)
    }

    /// Sends it, and thaws a frozen guest so that it receives it: the signal is sent first, or the
    /// guest would run for a moment without it.
    fn say(&self, asking: Asking) -> Result<(), StopError> {
        let cgroup = self.cgroup.as_ref();
        asking.say(self.pid, self.pidfd.as_fd(), cgroup).map_err(StopError::Signal)?;
        self.wake();
        Ok(())
    }

    fn signal(&self, signal: i32) -> Result<(), StopError> {
        match sys::pidfd_send_signal(self.pidfd.as_fd(), signal) {
            // It ended just now.
            Ok(()) | Err(Errno::ESRCH) => {
                self.wake();
                Ok(())
            }
            Err(errno) => Err(StopError::Signal(errno)),
        }
    }

    fn wake(&self) {
        if self.cgroup.as_ref().is_some_and(|it| it.thawed() == Some(false)) {
            // It may have ended by now. If it stays frozen, it is killed when the time is over.
            _ = self.engine.unfreeze(self.name);
        }
    }

    /// Asks init to halt and waits for a state from `states`; none: it did not halt. If init would
    /// not receive the signal, this waits no longer than the other processes take to end.
    fn halts(
        &self,
        mut asking: Asking,
        states: &StateClient,
        timeout: Option<Duration>,
    ) -> Result<Option<State>, StopError> {
        self.say(asking)?;
        let moment = Instant::now() + timeout.map_or(MOMENT, |it| it.min(MOMENT));
        let deaf = asking.is_deaf();
        while asking.is_deaf() {
            let state = states.wait(Some(LOOK_AGAIN)).map_err(StopError::Socket)?;
            if state.is_some() || self.is_alone() || Instant::now() >= moment {
                return Ok(state);
            }
            asking = self.asking();
        }
        if deaf {
            // It was asked before it had installed its handlers.
            self.say(asking)?;
        }
        states.wait(timeout).map_err(StopError::Socket)
    }

    /// Asks init to restart and waits for one of the states that `states` reports. If a shell executes
    /// a program at that moment, the signal is lost.
    fn restarts(
        &self,
        signal: i32,
        states: &StateClient,
        timeout: Option<Duration>,
    ) -> Result<Restart, StopError> {
        if !halt::reboots(self.pid, signal) {
            return Ok(Restart::Unheard);
        }
        let shell = halt::is_shell(self.pid);
        self.signal(signal)?;
        // A time beyond the clock's end means for ever.
        let deadline = timeout.and_then(|it| Instant::now().checked_add(it));
        loop {
            let left = deadline.map(|it| it.saturating_duration_since(Instant::now()));
            let step = left.map_or(LOOK_AT_SHELL, |it| it.min(LOOK_AT_SHELL));
            let state = states.wait(Some(step)).map_err(StopError::Socket)?;
            if state.is_some() || left == Some(step) {
                return Ok(Restart::Asked(state));
            }
            if shell && !halt::is_shell(self.pid) && !halt::hears(self.pid, signal) {
                return Ok(Restart::Unheard);
            }
        }
    }

    /// Returns whether no process is left but init.
    fn is_alone(&self) -> bool {
        let others = |it: &Cgroup| it.pids().into_iter().any(|pid| pid != self.pid);
        !self.cgroup.as_ref().is_some_and(others)
    }

    /// Kills init, and all other processes with it.
    fn end(&self) -> Result<(), StopError> {
        self.signal(libc::SIGKILL)?;
        if let Some(cgroup) = &self.cgroup {
            cgroup.thaw_below();
        }
        Ok(())
    }
}

/// Returns the signal that the configuration of the running container names.
fn configured(client: &Client, key: &str) -> Option<i32> {
    let value = client.config_item(key).ok().flatten()?;
    value.trim().parse().ok().filter(|it| *it > 0)
}

/// Returns why the container could not be started again, according to its supervisor's last report.
fn reason(news: &mut Option<Follower>, name: &Name) -> String {
    let mut why = "it ended by itself; `wharf start` starts it".to_owned();
    while let Some(Ok(Some(event))) = news.as_mut().map(|it| it.next(Some(Duration::ZERO))) {
        if let (What::Failed { reason }, true) = (event.what, event.name == *name) {
            why = reason;
        }
    }
    why
}
