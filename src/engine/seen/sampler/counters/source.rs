//! A counter file, and the numbers that are read from it. Pure text to numbers.

use super::CounterSet;
use crate::engine::seen::sample::{Limit, Psi};

/// Counters as the kernel keeps them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::engine::seen::sampler) struct RawCounters {
    pub(in crate::engine::seen::sampler) cpu_ns: Option<u64>,
    pub(in crate::engine::seen::sampler) cpu_quota_us: Option<Limit>,
    pub(in crate::engine::seen::sampler) cpu_period_us: Option<u64>,
    pub(in crate::engine::seen::sampler) periods: Option<u64>,
    pub(in crate::engine::seen::sampler) throttled_periods: Option<u64>,
    /// All charged memory, including the page cache.
    pub(in crate::engine::seen::sampler) memory_usage_bytes: Option<u64>,
    /// The page cache that the kernel would drop first.
    pub(in crate::engine::seen::sampler) memory_inactive_bytes: Option<u64>,
    pub(in crate::engine::seen::sampler) memory_max_bytes: Option<Limit>,
    pub(in crate::engine::seen::sampler) memory_peak_bytes: Option<u64>,
    pub(in crate::engine::seen::sampler) oom_kills: Option<u64>,
    pub(in crate::engine::seen::sampler) memory_hits: Option<u64>,
    pub(in crate::engine::seen::sampler) pids: Option<u64>,
    pub(in crate::engine::seen::sampler) pids_max: Option<Limit>,
    pub(in crate::engine::seen::sampler) io_read_bytes: Option<u64>,
    pub(in crate::engine::seen::sampler) io_write_bytes: Option<u64>,
    pub(in crate::engine::seen::sampler) psi: Psi,
}

impl RawCounters {
    /// Returns only what hardly ever changes.
    pub(super) fn limits(self) -> Self {
        Self {
            cpu_quota_us: self.cpu_quota_us,
            cpu_period_us: self.cpu_period_us,
            memory_max_bytes: self.memory_max_bytes,
            pids_max: self.pids_max,
            ..Self::default()
        }
    }

    /// Copies how much memory and how many tasks there are.
    pub(super) const fn copy_memory_and_tasks(&self, to: &mut Self) {
        to.memory_usage_bytes = self.memory_usage_bytes;
        to.memory_inactive_bytes = self.memory_inactive_bytes;
        to.pids = self.pids;
    }
}

/// One file and how to read it.
#[derive(Debug)]
pub(super) struct CounterSource {
    pub(super) controller: &'static str,
    pub(super) file: &'static str,
    /// Which set it belongs to, alone.
    pub(super) of: CounterSet,
    pub(super) read: fn(&str, &mut RawCounters),
}

impl CounterSource {
    pub(super) const fn new(
        controller: &'static str,
        file: &'static str,
        of: CounterSet,
        read: fn(&str, &mut RawCounters),
    ) -> Self {
        Self { controller, file, of, read }
    }
}

/// The files that both versions have.
pub(super) const OF_BOTH: &[CounterSource] = &[
    CounterSource::new("pids", "pids.current", CounterSet::TASKS, |text, raw| {
        raw.pids = number(text);
    }),
    CounterSource::new("pids", "pids.max", CounterSet::LIMITS, |text, raw| {
        raw.pids_max = limit(text);
    }),
];

/// Returns the number on the line `key number`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|it| it.split_once(' '));
    lines.find(|(it, _)| *it == key)?.1.trim().parse().ok()
}

/// Returns the number that a file consists of.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Returns a limit, for which the kernel writes `max` when there is none.
pub(super) fn limit(text: &str) -> Option<Limit> {
    if text.trim() == "max" { Some(Limit::Max) } else { number(text).map(Limit::At) }
}
