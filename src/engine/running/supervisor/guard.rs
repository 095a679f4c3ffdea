//! Watches for lost limits: the kernel reports what is written to the files of the group and to those
//! that enable its controllers, so that nothing is read while nobody writes. Sets nothing itself.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use super::life::Life;
use crate::engine::cgroup::Cgroup;
use crate::engine::entry::relay::BlockedSignals;
use crate::engine::running::record::Limits;
use crate::engine::sys;

/// The minimum interval, for a container that keeps writing its own files. A run that is over before
/// has no watch.
const REST: Duration = Duration::from_secs(1);
/// How often limits are compared where the kernel reports nothing.
const UNWATCHED: Duration = Duration::from_secs(5);

/// The watch, and when to check after something was written.
#[derive(Debug)]
pub(super) struct LimitGuard {
    /// None: it has not begun, or the kernel has none.
    watch: Option<WrittenWatch>,
    look_at: Option<Instant>,
}

/// Directories whose files the kernel watches. It reports by a signal, since every container has a
/// supervisor, and a host has few instances of inotify(7) for all programs of a user.
#[derive(Debug)]
struct WrittenWatch {
    dirs: Vec<File>,
    signal: SignalFd,
    /// After the signal's descriptor: what is still pending must not end this process.
    _blocked: BlockedSignals,
}

impl LimitGuard {
    /// Will watch; what was written until then is found by the first check.
    pub(super) fn begin() -> Self {
        Self { watch: None, look_at: Some(Instant::now() + REST) }
    }

    /// Returns what to poll; nothing during the minimum interval.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().filter(|_| self.look_at.is_none()).map(|it| it.signal.as_fd())
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
        match &self.watch {
            Some(watch) => watch.forget(),
            None => self.watch = WrittenWatch::begin(cgroup).ok(),
        }
        self.look_at = self.watch.is_none().then(|| Instant::now() + UNWATCHED);
        // If the record cannot be read now, it is compared at the next change.
        if let Ok(limits) = Limits::read(&life.lxcpath, &life.record.name, cgroup) {
            life.miss(limits.lost(cgroup), cgroup);
        }
    }
}

impl WrittenWatch {
    fn begin(cgroup: &Cgroup) -> io::Result<Self> {
        let blocked = BlockedSignals::block([Signal::SIGIO])?;
        let signal = blocked.open()?;
        let mut watch = Self { dirs: Vec::new(), signal, _blocked: blocked };
        for dir in cgroup.limit_dirs() {
            let dir = File::options().read(true).custom_flags(libc::O_DIRECTORY).open(dir)?;
            sys::watch_writes(dir.as_fd())?;
            watch.dirs.push(dir);
        }
        Ok(watch)
    }

    /// Takes what was reported so far.
    fn forget(&self) {
        while matches!(self.signal.read_signal(), Ok(Some(_))) {}
    }
}

impl Drop for WrittenWatch {
    fn drop(&mut self) {
        // No more signals come then.
        self.dirs.clear();
        self.forget();
    }
}
