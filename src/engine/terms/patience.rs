//! Waits for the kernel where it offers nothing to poll: ever longer pauses until a deadline.

use std::time::{Duration, Instant};

use nix::poll::ppoll;

/// The first wait; most of what is waited for takes less than a millisecond.
const FIRST: Duration = Duration::from_micros(50);
/// The longest wait between two checks.
const LONGEST: Duration = Duration::from_millis(5);

/// Decides whether to check again.
#[derive(Debug)]
pub(in crate::engine) struct Patience {
    deadline: Instant,
    next: Duration,
}

impl Patience {
    pub(in crate::engine) const fn until(deadline: Instant) -> Self {
        Self { deadline, next: FIRST }
    }

    /// Waits a moment and returns true, or returns false at once when the deadline has passed.
    pub(in crate::engine) fn again(&mut self) -> bool {
        let left = self.left();
        if left.is_zero() {
            return false;
        }
        // Being woken early by a signal only causes an earlier check.
        _ = ppoll(&mut [], Some(self.next.min(left).into()), None);
        self.next = (self.next * 2).min(LONGEST);
        true
    }

    /// Returns the time that is left.
    pub(in crate::engine) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}
