//! Ends the container because its supervisor is asked to end: by systemd, by a host that shuts
//! down, by the terminal it runs on. Init is asked, waited for, and killed.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use super::desk::Desk;
use crate::engine::running::command_socket::wire::Wish;
use crate::engine::running::halt::{self, Asking, LOOK_AGAIN, MOMENT};
use crate::engine::sys;

/// How long init may take. The units in `assets/systemd` wait longer than this, and so does systemd
/// itself for remaining processes when a host shuts down.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a systemd that does not end is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// The progress.
#[derive(Debug)]
pub(super) struct Ending {
    asking: Asking,
    /// When it was asked last.
    asked_at: Instant,
    kill_at: Instant,
    killed: bool,
}

impl Ending {
    /// Asks init to end.
    pub(super) fn begin(desk: &mut Desk, halt: Option<i32>) -> Self {
        let asking = Asking::of(halt, desk.init.pid);
        let now = Instant::now();
        let mut ending = Self { asking, asked_at: now, kill_at: now, killed: false };
        ending.ask(desk);
        ending
    }

    /// Asks init to end, and kills it soon: it has had its time.
    pub(super) fn begin_late(desk: &mut Desk, halt: Option<i32>) -> Self {
        let mut ending = Self::begin(desk, halt);
        ending.be_late();
        ending
    }

    /// Kills it soon, as its time is over while it ends.
    pub(super) fn be_late(&mut self) {
        self.kill_at = self.kill_at.min(Instant::now() + MOMENT);
    }

    /// Stops waiting, since it was asked twice.
    pub(super) fn hurry(&mut self) {
        self.kill_at = Instant::now();
    }

    /// Returns when [`Self::go_on`] must be called.
    pub(super) fn due(&self) -> Option<Instant> {
        let soon = Instant::now() + LOOK_AGAIN;
        match self.asking {
            _ if self.killed => None,
            Asking::Deaf(_) => Some(self.kill_at.min(soon)),
            Asking::Halt(_) | Asking::Terminate => {
                Some(self.kill_at.min(self.asked_at + ASK_AGAIN))
            }
        }
    }

    /// Kills once it is time to.
    pub(super) fn go_on(&mut self, desk: &mut Desk, halt: Option<i32>) {
        if self.killed {
            return;
        }
        if let Asking::Deaf(_) = self.asking {
            let now = Asking::of(halt, desk.init.pid);
            if now != self.asking && !now.is_deaf() {
                // It was asked before it had installed its handlers.
                self.asking = now;
                self.ask(desk);
            } else if desk.cgroup.pids().iter().all(|it| *it == desk.init.pid) {
                self.kill_at = Instant::now();
            }
        }
        if self.asked_at + ASK_AGAIN <= Instant::now() {
            self.asked_at = Instant::now();
            if let Some(again) = halt::asking_again(halt, desk.init.pid) {
                self.asking = again;
                self.say(desk);
            }
        }
        if self.kill_at <= Instant::now() {
            // Its end kills the others; processes that do not die at once are waited for.
            _ = sys::pidfd_send_signal(desk.init.pidfd.as_fd(), libc::SIGKILL);
            desk.thaw_all();
            self.killed = true;
        }
    }

    /// Returns how the end of init is handled.
    pub(super) const fn wish(&self) -> Wish {
        match self.asking {
            Asking::Deaf(signal) => Wish::Unheard(signal),
            Asking::Halt(_) | Asking::Terminate => Wish::Stop,
        }
    }

    fn ask(&mut self, desk: &mut Desk) {
        let patience = if self.asking.is_deaf() { MOMENT } else { PATIENCE };
        self.kill_at = Instant::now() + patience;
        self.say(desk);
    }

    fn say(&mut self, desk: &mut Desk) {
        self.asked_at = Instant::now();
        // A process that cannot be signalled is killed when the time is over.
        _ = self.asking.say(desk.init.pid, desk.init.pidfd.as_fd(), Some(&desk.cgroup));
        // It receives signals only once it is thawed.
        desk.thaw();
    }
}

/// How long a run may take.
#[derive(Debug)]
pub(super) struct TimeLimit {
    pub(super) time: Duration,
    end: Instant,
    over: bool,
}

impl TimeLimit {
    /// Begins to count; none: no clock can show the end.
    pub(super) fn begin(time: Duration) -> Option<Self> {
        Instant::now().checked_add(time).map(|end| Self { time, end, over: false })
    }

    /// Returns when [`Self::has_come`] must be asked.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.over).then_some(self.end)
    }

    /// Returns, once, whether the time is over.
    pub(super) fn has_come(&mut self) -> bool {
        let now = !self.over && self.end <= Instant::now();
        self.over |= now;
        now
    }

    /// Returns whether the time was over before the end.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }
}
