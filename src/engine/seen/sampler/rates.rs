//! Computes rates from two readings and the time between them. Pure; no rate is negative or
//! infinite.

use std::time::{Duration, Instant};

use super::counters::RawCounters;
use crate::engine::seen::sample::{Counters, Limit};

/// Readings closer together mean nothing: counters move in steps of a tick.
const SHORTEST: Duration = Duration::from_millis(5);

/// Counters, and when they were read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) raw: RawCounters,
    pub(super) at: Instant,
}

/// A rate over less time than this would jump.
const STEADY: Duration = Duration::from_millis(250);

/// The readings that the rates of the next one are computed from.
#[derive(Debug, Default)]
pub(super) struct PastReadings {
    last: Option<Reading>,
    /// The one before that.
    earlier: Option<Reading>,
}

impl PastReadings {
    /// Returns whether a counter that only grows has become smaller.
    pub(super) fn exceed(&self, now: &Reading) -> bool {
        self.last.is_some_and(|it| it.raw.cpu_ns > now.raw.cpu_ns)
    }

    /// Takes the newest reading, and returns the one that its rates begin at.
    pub(super) fn take(&mut self, now: &Reading) -> Option<Reading> {
        match self.last {
            Some(last) if now.at.duration_since(last.at) < STEADY => self.earlier.or(Some(last)),
            last => {
                self.earlier = last;
                self.last = Some(*now);
                last
            }
        }
    }
}

/// Makes counters from the newest reading and, for the rates, the previous one.
pub(super) fn counters(before: Option<&Reading>, now: &Reading) -> Counters {
    let raw = &now.raw;
    let rate = |counter: fn(&RawCounters) -> Option<u64>| {
        let before = before?;
        let elapsed = now.at.checked_duration_since(before.at)?;
        per_second(counter(&before.raw)?, counter(raw)?, elapsed)
    };
    Counters {
        cpu_percent: rate(|it| it.cpu_ns).map(|ns_per_second| (ns_per_second / 1e7) as f32),
        cpu_total: raw.cpu_ns.map(Duration::from_nanos),
        cpu_quota_percent: quota_percent(raw),
        periods: raw.periods,
        throttled_periods: raw.throttled_periods,
        memory_bytes: memory_in_use(raw),
        memory_cache_bytes: raw.memory_inactive_bytes,
        memory_max_bytes: raw.memory_max_bytes,
        memory_peak_bytes: raw.memory_peak_bytes,
        oom_kills: raw.oom_kills,
        memory_hits: raw.memory_hits,
        pids: raw.pids,
        pids_max: raw.pids_max,
        io_read_per_second: rate(|it| it.io_read_bytes),
        io_write_per_second: rate(|it| it.io_write_bytes),
        psi: raw.psi,
    }
}

/// Returns the growth per second; none if the counter went back, which means that it is another
/// one, or if hardly any time passed.
pub(super) fn per_second(before: u64, now: u64, elapsed: Duration) -> Option<f64> {
    let grown = now.checked_sub(before)?;
    (elapsed >= SHORTEST).then(|| grown as f64 / elapsed.as_secs_f64())
}

/// Returns the charged memory less the page cache that the kernel would drop first, as docker and
/// kubectl count it.
fn memory_in_use(raw: &RawCounters) -> Option<u64> {
    let usage = raw.memory_usage_bytes?;
    // The two are read one after the other, and the cache may have grown in between.
    Some(usage.saturating_sub(raw.memory_inactive_bytes.unwrap_or(0)))
}

fn quota_percent(raw: &RawCounters) -> Option<f32> {
    let period = raw.cpu_period_us.filter(|it| *it > 0)?;
    match raw.cpu_quota_us? {
        Limit::Max => None,
        Limit::At(quota) => Some((quota as f64 * 100.0 / period as f64) as f32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_over_no_short_time() {
        let mut past = PastReadings::default();
        let begun = Instant::now();
        let reading = |after: u64, cpu_ns: u64| {
            let raw = RawCounters { cpu_ns: Some(cpu_ns), ..RawCounters::default() };
            Reading { raw, at: begun + Duration::from_millis(after) }
        };
        let mut began = |after, cpu_ns| {
            let base = past.take(&reading(after, cpu_ns));
            base.map(|it| it.at.duration_since(begun).as_millis())
        };
        assert_eq!(began(0, 0), None);
        assert_eq!(began(20, 1), Some(0));
        assert_eq!(began(1000, 2), Some(0));
        // Soon after the last one, a rate is over the time since the one before it.
        assert_eq!(began(1010, 3), Some(0));
        assert_eq!(began(2000, 4), Some(1000));
        assert!(past.exceed(&reading(2010, 3)) && !past.exceed(&reading(2010, 4)));
    }

    fn reading(at: Instant, cpu_ns: u64, io: u64) -> Reading {
        let raw =
            RawCounters { cpu_ns: Some(cpu_ns), io_read_bytes: Some(io), ..RawCounters::default() };
        Reading { raw, at }
    }

    #[test]
    fn rates_are_taken_over_the_time_between() {
        let start = Instant::now();
        let before = reading(start, 1_000_000_000, 100);
        let now = reading(start + Duration::from_secs(2), 2_000_000_000, 4100);
        let counters = counters(Some(&before), &now);
        assert_eq!(counters.cpu_percent, Some(50.0));
        assert_eq!(counters.io_read_per_second, Some(2000.0));
        assert_eq!(counters.io_write_per_second, None);
        assert_eq!(counters.cpu_total, Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_counter_that_went_back_has_no_rate() {
        let start = Instant::now();
        let now = reading(start + Duration::from_secs(1), 5, 5);
        assert_eq!(counters(Some(&reading(start, 6, 5)), &now).cpu_percent, None);
        assert_eq!(counters(None, &now).cpu_percent, None);
        assert_eq!(counters(Some(&now), &now).cpu_percent, None);
    }

    #[test]
    fn memory_in_use_is_without_the_cache_that_would_be_dropped() {
        let mut raw = RawCounters { memory_usage_bytes: Some(62 << 20), ..RawCounters::default() };
        assert_eq!(memory_in_use(&raw), Some(62 << 20));
        raw.memory_inactive_bytes = Some(60 << 20);
        assert_eq!(memory_in_use(&raw), Some(2 << 20));
        raw.memory_inactive_bytes = Some(70 << 20);
        assert_eq!(memory_in_use(&raw), Some(0));
        raw.memory_usage_bytes = None;
        assert_eq!(memory_in_use(&raw), None);
    }

    #[test]
    fn the_quota_is_a_share_of_its_period() {
        let mut raw =
            RawCounters { cpu_quota_us: Some(Limit::At(150_000)), ..RawCounters::default() };
        assert_eq!(quota_percent(&raw), None);
        raw.cpu_period_us = Some(100_000);
        assert_eq!(quota_percent(&raw), Some(150.0));
        raw.cpu_period_us = Some(0);
        assert_eq!(quota_percent(&raw), None);
    }
}
