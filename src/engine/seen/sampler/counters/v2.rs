//! The counter files of cgroup v2, pressure included. Pure text to numbers.

use super::CounterSet;
use super::source::{CounterSource, RawCounters, keyed, limit, number};

pub(super) const SOURCES: &[CounterSource] = &[
    CounterSource::new("cpu-usage", "cpu.stat", CounterSet::CPU, |text, raw| {
        raw.cpu_ns = keyed(text, "usage_usec").and_then(|it| it.checked_mul(1000));
        raw.periods = keyed(text, "nr_periods");
        raw.throttled_periods = keyed(text, "nr_throttled");
    }),
    CounterSource::new("cpu", "cpu.max", CounterSet::LIMITS, cpu_max),
    CounterSource::new("memory", "memory.current", CounterSet::MEMORY, |text, raw| {
        raw.memory_usage_bytes = number(text);
    }),
    CounterSource::new("memory", "memory.stat", CounterSet::MEMORY, |text, raw| {
        raw.memory_inactive_bytes = keyed(text, "inactive_file");
    }),
    CounterSource::new("memory", "memory.max", CounterSet::LIMITS, |text, raw| {
        raw.memory_max_bytes = limit(text);
    }),
    CounterSource::new("memory", "memory.peak", CounterSet::HITS, |text, raw| {
        raw.memory_peak_bytes = number(text);
    }),
    CounterSource::new("memory", "memory.events", CounterSet::HITS, |text, raw| {
        raw.oom_kills = keyed(text, "oom_kill");
        raw.memory_hits = keyed(text, "high");
    }),
    CounterSource::new("io", "io.stat", CounterSet::IO, |text, raw| {
        raw.io_read_bytes = Some(transferred(text, "rbytes="));
        raw.io_write_bytes = Some(transferred(text, "wbytes="));
    }),
    CounterSource::new("psi", "cpu.pressure", CounterSet::PRESSURE, |text, raw| {
        raw.psi.cpu = some(text);
    }),
    CounterSource::new("psi", "memory.pressure", CounterSet::PRESSURE, |text, raw| {
        raw.psi.memory = some(text);
    }),
    CounterSource::new("psi", "io.pressure", CounterSet::PRESSURE, |text, raw| {
        raw.psi.io = some(text);
    }),
];

/// Names the v1 controller that counts instead if it is mounted. Only v2 has pressure.
pub(super) fn served_by(controller: &str) -> Option<&'static str> {
    match controller {
        "cpu-usage" => Some("cpuacct"),
        "cpu" => Some("cpu"),
        "memory" => Some("memory"),
        "pids" => Some("pids"),
        "io" => Some("blkio"),
        _ => None,
    }
}

/// Reads `max 100000`: the quota and the period.
fn cpu_max(text: &str, raw: &mut RawCounters) {
    if let Some((quota, period)) = text.trim().split_once(' ') {
        raw.cpu_quota_us = limit(quota);
        raw.cpu_period_us = number(period);
    }
}

/// Adds up `key` over the lines `8:0 rbytes=4096 wbytes=0 …` of all devices.
fn transferred(text: &str, key: &str) -> u64 {
    let words = text.split_ascii_whitespace().filter_map(|it| it.strip_prefix(key));
    words.filter_map(|it| it.parse::<u64>().ok()).fold(0, u64::saturating_add)
}

/// Returns the ten seconds' average of the line `some avg10=1.53 …`.
pub(in crate::engine::seen::sampler) fn some(text: &str) -> Option<f32> {
    let line = text.lines().find_map(|it| it.strip_prefix("some avg10="))?;
    line.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::seen::sample::Limit;

    #[test]
    fn pressure_is_the_ten_seconds_average_of_some() {
        let text =
            "some avg10=1.53 avg60=0.20 avg300=0.00 total=1\nfull avg10=9.0 avg60=0 total=0\n";
        assert_eq!(some(text), Some(1.53));
        assert_eq!(some(""), None);
    }

    #[test]
    fn quota_and_period_share_a_file() {
        let mut raw = RawCounters::default();
        cpu_max("50000 100000\n", &mut raw);
        assert_eq!((raw.cpu_quota_us, raw.cpu_period_us), (Some(Limit::At(50_000)), Some(100_000)));
        cpu_max("max 100000\n", &mut raw);
        assert_eq!(raw.cpu_quota_us, Some(Limit::Max));
    }

    #[test]
    fn devices_are_added_up() {
        let text = "8:0 rbytes=10 wbytes=1 rios=1\n8:16 rbytes=5 wbytes=2\n";
        assert_eq!((transferred(text, "rbytes="), transferred(text, "wbytes=")), (15, 3));
    }
}
