//! Slows down a container that keeps restarting itself. Decides how long the next start is delayed;
//! the poll loop waits, and serves clients meanwhile.

use std::time::{Duration, Instant};

use super::watch::Watch;

/// A run shorter than this counts as quick.
const QUICK: Duration = Duration::from_secs(10);
/// How many of them in a row are not delayed, since somebody may be testing.
const FREE: u32 = 5;
/// The first delay after that; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// The runs so far.
#[derive(Debug)]
pub(super) struct Brake {
    born: Instant,
    /// How many quick runs in a row have ended by a restart.
    quick: u32,
}

impl Brake {
    /// Begins with the first run.
    pub(super) fn new() -> Self {
        Self { born: Instant::now(), quick: 0 }
    }

    /// Waits if necessary after a run that ended by a restart, and returns whether the next may
    /// begin: nobody has stopped the container meanwhile.
    pub(super) fn lets_go_on(&mut self, watch: &mut Watch) -> bool {
        // A restart that somebody asked for is not a loop.
        let asked_for = watch.wish.is_some();
        let wait = if asked_for { None } else { self.wait_after(self.born.elapsed()) };
        let goes_on = wait.is_none_or(|wait| {
            watch.desk.life.brakes(self.quick, wait);
            watch.rest(Instant::now() + wait).is_ok_and(|called_off| !called_off)
        });
        self.born = Instant::now();
        goes_on
    }

    /// Counts the end of a run of this length.
    fn wait_after(&mut self, lived: Duration) -> Option<Duration> {
        self.quick = if lived < QUICK { self.quick.saturating_add(1) } else { 0 };
        let further = self.quick.checked_sub(FREE)?;
        let factor = 2_u32.checked_pow(further).unwrap_or(u32::MAX);
        Some(FIRST_WAIT.saturating_mul(factor).min(LONGEST_WAIT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_grow_to_a_minute_and_one_long_life_ends_them() {
        let mut brake = Brake::new();
        let short = Duration::from_millis(5);
        let waits: Vec<u64> =
            (0..13).map(|_| brake.wait_after(short).unwrap_or_default().as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        brake.quick = u32::MAX;
        assert_eq!(brake.wait_after(short), Some(LONGEST_WAIT));
        assert_eq!(brake.wait_after(QUICK), None);
        assert_eq!(brake.wait_after(short), None);
    }
}
