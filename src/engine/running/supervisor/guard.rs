//! Watches for lost limits: by inotify(7) on the files of the group and of those that enable its
//! controllers, so that nothing is read while nobody writes. Sets nothing itself.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::life::Life;
use crate::engine::cgroup::Cgroup;
use crate::engine::running::record::Limits;

/// The minimum interval, for a container that keeps writing its own files. A run that is over before
/// has no watch: the kernel takes up to 20 ms to end one, and whoever runs a command waits for that.
const REST: Duration = Duration::from_secs(1);

/// The watch, and when to check after something was written.
#[derive(Debug)]
pub(super) struct LimitGuard {
    /// None: it has not begun, or the kernel allows no further watch.
    inotify: Option<Inotify>,
    look_at: Option<Instant>,
}

impl LimitGuard {
    /// Will watch; what was written until then is found by the first check.
    pub(super) fn begin() -> Self {
        Self { inotify: None, look_at: Some(Instant::now() + REST) }
    }

    /// Returns what to poll; nothing during the minimum interval.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().filter(|_| self.look_at.is_none()).map(Inotify::as_fd)
    }

    /// Returns when to check.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.look_at
    }

    /// Notes that something was written; a process that sets a limit gets time to record it.
    pub(super) fn notice(&mut self) {
        self.look_at = Some(Instant::now() + REST);
    }

    /// Checks, if it is time, and returns limits that are lost.
    pub(super) fn look(&mut self, life: &mut Life, cgroup: &Cgroup) {
        if self.look_at.is_none_or(|it| it > Instant::now()) {
            return;
        }
        self.look_at = None;
        match &self.inotify {
            Some(watch) => while watch.read_events().is_ok_and(|it| !it.is_empty()) {},
            None => self.inotify = watch(cgroup),
        }
        // If the record cannot be read now, it is compared at the next change.
        if let Ok(limits) = Limits::read(&life.lxcpath, &life.record.name, cgroup) {
            life.miss(limits.lost(cgroup), cgroup);
        }
    }
}

fn watch(cgroup: &Cgroup) -> Option<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok()?;
    for place in cgroup.limit_places() {
        inotify.add_watch(&place, AddWatchFlags::IN_MODIFY).ok()?;
    }
    Some(inotify)
}
