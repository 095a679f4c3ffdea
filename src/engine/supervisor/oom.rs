//! Tells everybody when the kernel kills in the container for want of memory. Kills nothing.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::life::Life;
use crate::engine::cgroup::{Cgroup, OomWatch};

/// cgroup v1 gives notice before it kills, so the count is looked at again for so long, so often.
const LATE: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The watch, and until when the kill behind the last notice may be counted; none: no notice.
#[derive(Debug)]
pub(super) struct Oom {
    watch: OomWatch,
    look_until: Option<Instant>,
}

impl Oom {
    /// Begins to watch; none where the kernel tells nothing.
    pub(super) fn begin(cgroup: &Cgroup) -> Option<Self> {
        Some(Self { watch: cgroup.watch_oom()?, look_until: None })
    }

    /// What to poll the descriptor for.
    pub(super) const fn interest(&self) -> PollFlags {
        self.watch.interest()
    }

    /// Returns when to look again without a notice.
    pub(super) fn look_again(&self) -> Option<Instant> {
        self.look_until.map(|_| Instant::now() + LOOK_AGAIN)
    }

    /// Notes that the descriptor polled, or that this is the last chance to look.
    pub(super) fn notice(&mut self) {
        let late = if self.watch.tells_early() { LATE } else { Duration::ZERO };
        self.look_until = Some(Instant::now() + late);
    }

    /// After a notice, looks at the count and tells of new kills.
    pub(super) fn look(&mut self, life: &mut Life) {
        let Some(until) = self.look_until else { return };
        if let Some(count) = self.watch.grown() {
            self.look_until = None;
            life.killed_for_memory(count);
        } else if until <= Instant::now() {
            self.look_until = None;
        }
    }
}

impl AsFd for Oom {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}
