//! Reports OOM kills in the container. Kills nothing.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::life::{Kills, Life};
use crate::engine::cgroup::OomWatch;
use crate::engine::running::oom::{Death, KernelLog};
use crate::engine::running::record::now_ms;

/// cgroup v1 gives notice before it kills, so the count is checked again for this long, this often.
const LATE: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The kernel counts a kill before it logs it; how long to wait for the log.
const LOGGED: Duration = Duration::from_secs(1);

/// The watch, and until when the kill behind the last notice may be counted; none: no notice.
#[derive(Debug)]
pub(super) struct Oom {
    watch: OomWatch,
    look_until: Option<Instant>,
    log: KernelLog,
    /// The kills that were counted last and are not reported yet.
    unreported: Option<Unreported>,
    reported: u64,
}

/// Counted kills, and what the log says about them so far.
#[derive(Debug)]
struct Unreported {
    count: u64,
    until: Instant,
    deaths: Vec<Death>,
}

impl Oom {
    /// Reports what `watch` has seen since it began.
    pub(super) fn begin(watch: OomWatch) -> Self {
        Self { watch, look_until: None, log: KernelLog::default(), unreported: None, reported: 0 }
    }

    /// What to poll the descriptor for.
    pub(super) const fn interest(&self) -> PollFlags {
        self.watch.interest()
    }

    /// Returns when to check again without a notice.
    pub(super) fn look_again(&self) -> Option<Instant> {
        let waits = self.look_until.is_some() || self.unreported.is_some();
        waits.then(|| Instant::now() + LOOK_AGAIN)
    }

    /// Notes that the descriptor polled, or that this is the last check.
    pub(super) fn notice(&mut self) {
        let late = if self.watch.notifies_early() { LATE } else { Duration::ZERO };
        self.look_until = Some(Instant::now() + late);
    }

    /// After a notice, checks the count, and returns new kills once the kernel has logged them.
    pub(super) fn look(&mut self, life: &mut Life) {
        if let Some(until) = self.look_until {
            if let Some(count) = self.watch.grown() {
                self.look_until = None;
                let deaths = self.unreported.take().map(|it| it.deaths).unwrap_or_default();
                self.unreported =
                    Some(Unreported { count, until: Instant::now() + LOGGED, deaths });
            } else if until <= Instant::now() {
                self.look_until = None;
            }
        }
        self.report(life);
    }

    /// Checks for the last time, and waits for what the kernel has yet to log.
    pub(super) fn finish(&mut self, life: &mut Life) {
        life.record.memory_max_bytes = self.watch.limit_bytes();
        self.notice();
        self.look(life);
        while self.unreported.is_some() {
            if let Some(news) = self.log.news() {
                let timeout = PollTimeout::try_from(LOOK_AGAIN).unwrap_or(PollTimeout::ZERO);
                // A signal also ends the wait.
                _ = poll(&mut [PollFd::new(news, PollFlags::POLLIN)], timeout);
            }
            self.report(life);
        }
        self.catch_up(life);
    }

    /// Finds init among the kills that were logged only after they had been reported. Whoever logs
    /// a kill may lose the processor, and init may die much later: it waits for every process in
    /// its namespace, the logging one included.
    fn catch_up(&mut self, life: &mut Life) {
        if self.log.news().is_none() {
            return;
        }
        let mut late = self.log.read(now_ms()).into_iter().flatten();
        if let Some(death) = late.find(|it| life.is_init(it.kill.pid)) {
            life.memory_ended_init(death.kill);
        }
    }

    fn report(&mut self, life: &mut Life) {
        let Some(unreported) = &mut self.unreported else { return };
        let logged = self.log.read(now_ms());
        let readable = logged.is_some();
        let ours = |it: &Death| life.is_init(it.kill.pid) || life.owns(it);
        unreported.deaths.extend(logged.into_iter().flatten().filter(ours));
        // The kernel counts a kill before it logs it, so now every logged one is counted.
        unreported.count = self.watch.grown().unwrap_or(unreported.count);
        let expected = usize::try_from(unreported.count - self.reported).unwrap_or(usize::MAX);
        if readable && unreported.deaths.len() < expected && Instant::now() < unreported.until {
            return;
        }
        // Older kills belong to an earlier container with the same name.
        let old = unreported.deaths.len().saturating_sub(expected);
        let deaths = unreported.deaths.get(old..).unwrap_or_default();
        // The log may be late, and the kernel drops messages that come too fast.
        let whole = readable && deaths.len() >= expected;
        let died = deaths.iter().any(|it| life.is_init(it.kill.pid));
        let init = (whole || died).then_some(died);
        let last = deaths.last().map(|it| it.kill.clone());
        let kills = Kills { count: unreported.count, last, init };
        (self.reported, self.unreported) = (unreported.count, None);
        life.killed_for_memory(kills);
    }
}

impl AsFd for Oom {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}
