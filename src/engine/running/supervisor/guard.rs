//! Watches that the limits stay: by inotify(7) on the files of the group and on what hands its
//! controllers down, so that nothing is read while nobody writes. Sets nothing itself.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::life::Life;
use crate::engine::cgroup::Cgroup;
use crate::engine::running::record::Limits;

/// A container that writes its own files again and again wakes its supervisor no more often.
const REST: Duration = Duration::from_secs(1);

/// The watch, and when to look after something was written.
#[derive(Debug)]
pub(super) struct LimitGuard {
    inotify: Inotify,
    look_at: Option<Instant>,
}

impl LimitGuard {
    /// Begins to watch; none: the kernel has no room for another watch.
    pub(super) fn begin(cgroup: &Cgroup) -> Option<Self> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        let inotify = Inotify::init(flags).ok()?;
        for place in cgroup.limit_places() {
            inotify.add_watch(&place, AddWatchFlags::IN_MODIFY).ok()?;
        }
        Some(Self { inotify, look_at: None })
    }

    /// Returns what to poll; nothing while it rests.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        self.look_at.is_none().then(|| self.inotify.as_fd())
    }

    /// Returns when to look.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.look_at
    }

    /// Notes that something was written; whoever sets a limit is given time to say so.
    pub(super) fn notice(&mut self) {
        self.look_at = Some(Instant::now() + REST);
    }

    /// Looks, if it is time, and tells of limits that are gone.
    pub(super) fn look(&mut self, life: &mut Life, cgroup: &Cgroup) {
        if self.look_at.is_none_or(|it| it > Instant::now()) {
            return;
        }
        self.look_at = None;
        while self.inotify.read_events().is_ok_and(|it| !it.is_empty()) {}
        // What cannot be read now is compared at the next change.
        if let Ok(limits) = Limits::read(&life.lxcpath, &life.record.name, cgroup) {
            life.miss(limits.lost(cgroup), cgroup);
        }
    }
}
