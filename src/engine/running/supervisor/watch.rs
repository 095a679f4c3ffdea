//! The poll loop: everything a supervisor does between RUNNING and the end of init.

use std::os::fd::AsFd as _;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;

use super::desk::Desk;
use super::ending::{Ending, TimeLimit};
use super::guard::LimitGuard;
use super::oom::Oom;
use super::server::{Relay, Server};
use super::terminal::ConsoleTerminal;
use super::ttys::Holder;
use super::viewer::Viewer;
use crate::engine::entry::notifier::Notifier;
use crate::engine::entry::plan::Payload;
use crate::engine::running::command_socket::wire::Wish;
use crate::engine::running::record::last_words;
use crate::engine::sys;

/// What the loop serves.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) desk: Desk,
    pub(super) server: Server,
    pub(super) viewer: Option<Viewer>,
    pub(super) signals: SignalFd,
    pub(super) oom: Option<Oom>,
    /// Reports lost limits.
    pub(super) guard: Option<LimitGuard>,
    pub(super) payload: Payload,
    /// `lxc.signal.halt`, sent to init when the supervisor itself is asked to end.
    pub(super) halt: Option<i32>,
    /// The end that the supervisor itself was asked for.
    pub(super) ending: Option<Ending>,
    /// How long it may run.
    pub(super) limit: Option<TimeLimit>,
    /// How the end of init was to be handled when it came.
    pub(super) wish: Option<Wish>,
    /// Init has ended, and the next run is delayed.
    pub(super) resting: bool,
}

/// Whose descriptor is ready.
#[derive(Clone, Copy, Debug)]
enum PollSource {
    Init,
    Signals,
    Memory,
    Limits,
    Calls,
    Listener,
    Console,
    Input,
    Output,
    Client(Holder),
    Relay(Holder),
}

impl Watch {
    /// Serves until init has ended.
    pub(super) fn run(&mut self) -> nix::Result<()> {
        loop {
            let ready = self.turn(None)?;
            let now = Instant::now();
            self.look_at_memory();
            if let Some(notifier) =
                self.desk.notifier.as_mut().filter(|it| it.due().is_some_and(|due| due <= now))
            {
                notifier.go_on();
            }
            if let Some(guard) = &mut self.guard {
                guard.look(&mut self.desk.life, &self.desk.cgroup);
            }
            if self.desk.life.look_at_freeze().is_some_and(|it| it <= now) {
                self.desk.settle_freeze();
            }
            if ready.iter().any(|(source, _)| matches!(source, PollSource::Init)) {
                self.finish();
                return Ok(());
            }
            if self.limit.as_mut().is_some_and(TimeLimit::has_come) {
                match &mut self.ending {
                    Some(ending) => ending.be_late(),
                    None => self.ending = Some(Ending::begin_late(&mut self.desk, self.halt)),
                }
            }
            if let Some(ending) = &mut self.ending {
                ending.go_on(&mut self.desk, self.halt);
            }
        }
    }

    /// Serves until `end`, or until a restart is asked for, between two runs, and returns whether
    /// the next one was cancelled.
    pub(super) fn rest(&mut self, end: Instant) -> nix::Result<bool> {
        self.resting = true;
        (self.oom, self.guard, self.desk.notifier) = (None, None, None);
        let (mut called_off, mut hurried) = (false, false);
        while !called_off && !hurried && Instant::now() < end {
            self.turn(Some(end))?;
            let wish = self.server.wish();
            called_off =
                self.ending.is_some() || matches!(wish, Some(Wish::Stop | Wish::Unheard(_)));
            hurried = matches!(wish, Some(Wish::Restart(_)));
        }
        self.resting = false;
        Ok(called_off)
    }

    /// Waits for events, until `end` at most, and handles them.
    fn turn(&mut self, end: Option<Instant>) -> nix::Result<Vec<(PollSource, PollFlags)>> {
        self.server.report_state(&mut self.desk);
        let ready = self.wait(end)?;
        // Before they are served, so that no client is dropped because we are slow.
        let now = Instant::now();
        for (source, flags) in &ready {
            self.serve(*source, *flags);
        }
        self.server.expire(now, &mut self.desk);
        Ok(ready)
    }

    fn wait(&self, end: Option<Instant>) -> nix::Result<Vec<(PollSource, PollFlags)>> {
        let (sources, mut fds): (Vec<_>, Vec<_>) = self.sources().into_iter().unzip();
        let memory = self.oom.as_ref().and_then(Oom::look_again);
        let freeze = self.desk.life.look_at_freeze();
        let ending = self.ending.as_ref().and_then(Ending::due);
        let guard = self.guard.as_ref().and_then(LimitGuard::due);
        let calls = self.desk.notifier.as_ref().and_then(Notifier::due);
        let limit = self.limit.as_ref().and_then(TimeLimit::due);
        let due = [end, self.server.next_deadline(), memory, freeze, ending, guard, calls, limit];
        let due = due.into_iter().flatten().min();
        let left = due.map(|it| {
            let left = it.saturating_duration_since(Instant::now());
            PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, left.unwrap_or(PollTimeout::NONE)) {
            Ok(_) | Err(Errno::EINTR) => (),
            Err(errno) => return Err(errno),
        }
        let ready = sources.into_iter().zip(fds).filter_map(|(source, fd)| {
            let flags = fd.revents().filter(|it| !it.is_empty())?;
            Some((source, flags))
        });
        Ok(ready.collect())
    }

    fn sources(&self) -> Vec<(PollSource, PollFd<'_>)> {
        let console = self.desk.console.as_ref();
        let mut sources =
            vec![(PollSource::Signals, PollFd::new(self.signals.as_fd(), PollFlags::POLLIN))];
        // Both would be ready for ever for a run that is over.
        let living = !self.resting;
        if living {
            let init = self.desk.init.pidfd.as_fd();
            sources.push((PollSource::Init, PollFd::new(init, PollFlags::POLLIN)));
        }
        sources.extend(
            self.server
                .seat
                .listeners()
                .iter()
                .map(|it| (PollSource::Listener, PollFd::new(it.as_fd(), PollFlags::POLLIN))),
        );
        if let Some(console) = console.filter(|_| living) {
            let both = PollFlags::POLLIN | PollFlags::POLLOUT;
            let flags = if console.has_typed() { both } else { PollFlags::POLLIN };
            sources.push((PollSource::Console, PollFd::new(console.as_fd(), flags)));
        }
        if let Some(oom) = &self.oom {
            sources.push((PollSource::Memory, PollFd::new(oom.as_fd(), oom.interest())));
        }
        let guard = self.guard.as_ref().and_then(LimitGuard::source);
        sources.extend(guard.map(|it| (PollSource::Limits, PollFd::new(it, PollFlags::POLLIN))));
        let calls = self.desk.notifier.iter().flat_map(Notifier::sources);
        sources.extend(calls.map(|it| (PollSource::Calls, PollFd::new(it, PollFlags::POLLIN))));
        if let Some(viewer) = &self.viewer {
            let input = viewer.input().map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN));
            sources.extend(input.map(|it| (PollSource::Input, it)));
            let output = viewer.output(console);
            let output = output.map(|it| PollFd::new(it.as_fd(), PollFlags::POLLOUT));
            sources.extend(output.map(|it| (PollSource::Output, it)));
        }
        for it in &self.server.connections {
            let fd = PollFd::new(it.stream.as_fd(), it.interest(console));
            sources.push((PollSource::Client(it.id), fd));
            let relay = it.relay(console).map(|(pty, flags)| PollFd::new(pty.as_fd(), flags));
            sources.extend(relay.map(|fd| (PollSource::Relay(it.id), fd)));
        }
        sources
    }

    fn serve(&mut self, source: PollSource, flags: PollFlags) {
        match source {
            PollSource::Init => (),
            PollSource::Signals => self.obey(),
            PollSource::Memory => self.oom.iter_mut().for_each(Oom::notice),
            PollSource::Limits => self.guard.iter_mut().for_each(LimitGuard::notice),
            PollSource::Calls => self.desk.notifier.iter_mut().for_each(Notifier::go_on),
            PollSource::Listener => self.server.accept(&mut self.desk),
            PollSource::Console => self.relieve(flags),
            PollSource::Input => {
                if let (Some(viewer), Some(console)) = self.both() {
                    viewer.hear(console);
                }
            }
            PollSource::Output => {
                if let (Some(viewer), Some(console)) = self.both() {
                    _ = viewer.show(console);
                }
            }
            PollSource::Client(id) => self.server.advance(id, Relay::No, &mut self.desk),
            PollSource::Relay(id) => self.server.advance(id, Relay::Yes, &mut self.desk),
        }
    }

    const fn both(&mut self) -> (Option<&mut Viewer>, Option<&mut ConsoleTerminal>) {
        (self.viewer.as_mut(), self.desk.console.as_mut())
    }

    /// Reads the container's output, and writes its input.
    fn relieve(&mut self, flags: PollFlags) {
        let Some(console) = &mut self.desk.console else { return };
        console.flush();
        if flags.contains(PollFlags::POLLIN) {
            console.drain();
        }
    }

    fn obey(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            let signal = signal.ssi_signo as i32;
            if signal == libc::SIGWINCH {
                self.fit();
            } else if !self.ends_by(signal) {
                // Init may have ended meanwhile.
                _ = sys::pidfd_send_signal(self.desk.init.pidfd.as_fd(), signal);
            } else if let Some(ending) = &mut self.ending {
                ending.hurry();
            } else {
                self.ending = Some(Ending::begin(&mut self.desk, self.halt));
            }
        }
    }

    /// Returns whether `signal` asks for the end of the container; others are passed on to init,
    /// and by our own init to its command.
    fn ends_by(&self, signal: i32) -> bool {
        match (self.payload, signal) {
            // A run on a terminal ends with it.
            (Payload::Application, libc::SIGHUP) => {
                self.viewer.as_ref().is_some_and(|it| it.input().is_some())
            }
            (_, libc::SIGTERM)
            | (Payload::System, libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | libc::SIGPWR) => true,
            (Payload::Application | Payload::System, _) => false,
        }
    }

    /// Gives the console the size of the terminal that shows it.
    pub(super) fn fit(&self) {
        if let (Some(viewer), Some(console)) = (&self.viewer, &self.desk.console) {
            viewer.fit(console);
        }
    }

    fn look_at_memory(&mut self) {
        if let Some(oom) = &mut self.oom {
            oom.look(&mut self.desk.life);
        }
    }

    /// Takes the container's last output.
    fn finish(&mut self) {
        if let Some(oom) = &mut self.oom {
            oom.finish(&mut self.desk.life);
        }
        let Some(console) = &mut self.desk.console else { return };
        while console.drain() {}
        let record = &self.desk.life.record;
        _ = last_words::keep(
            &self.desk.life.lxcpath,
            &record.name,
            &console.ring.copy(0, usize::MAX),
        );
        if let Some(viewer) = &mut self.viewer {
            viewer.finish(console);
        }
    }
}
