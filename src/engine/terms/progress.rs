//! How far a long piece of work has come, for whoever watches it, and the request to give it up.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Shared by who works and who watches: all copies are one.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<ProgressState>);

#[derive(Debug, Default)]
struct ProgressState {
    stage: Mutex<&'static str>,
    done: AtomicU64,
    whole: AtomicU64,
    cancelled: Arc<AtomicBool>,
    /// When it is given up by itself.
    deadline: OnceLock<Instant>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// What is done now; empty before anything.
    pub stage: &'static str,
    pub done_bytes: u64,
    /// 0: not known.
    pub whole_bytes: u64,
}

impl Progress {
    /// Work that is given up when it has taken this long; none: never. A time that no clock can
    /// show is never over.
    pub fn within(limit: Option<Duration>) -> Self {
        let progress = Self::default();
        if let Some(deadline) = limit.and_then(|it| Instant::now().checked_add(it)) {
            // Nobody else has it yet.
            _ = progress.0.deadline.set(deadline);
        }
        progress
    }

    /// Begins a stage of `whole` bytes.
    pub fn begin(&self, stage: &'static str, whole: u64) {
        *self.0.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
        self.0.done.store(0, Ordering::Relaxed);
        self.0.whole.store(whole, Ordering::Relaxed);
    }

    pub fn advance(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Asks the work to end without a result. It cleans up first.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Returns what a handler of signals sets to cancel it.
    pub fn cancelling(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.cancelled)
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed) || self.is_late()
    }

    /// Returns whether its time is over.
    pub fn is_late(&self) -> bool {
        self.0.deadline.get().is_some_and(|it| *it <= Instant::now())
    }

    pub fn reached(&self) -> Reached {
        Reached {
            stage: *self.0.stage.lock().unwrap_or_else(PoisonError::into_inner),
            done_bytes: self.0.done.load(Ordering::Relaxed),
            whole_bytes: self.0.whole.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_given_up_when_its_time_is_over() {
        assert!(!Progress::within(None).is_cancelled());
        assert!(!Progress::within(Some(Duration::MAX)).is_cancelled());
        assert!(!Progress::within(Some(Duration::from_mins(1))).is_cancelled());
        let over = Progress::within(Some(Duration::ZERO));
        assert!(over.is_late() && over.is_cancelled());
        let cancelled = Progress::default();
        cancelled.cancel();
        assert!(cancelled.is_cancelled() && !cancelled.is_late());
    }
}
