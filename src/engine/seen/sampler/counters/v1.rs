//! The counter files of cgroup v1. Pure text to numbers.

use super::CounterSet;
use super::source::{CounterSource, keyed, number};
use crate::engine::seen::sample::Limit;

/// Limits from here on mean "no limit": the kernel keeps the largest whole number of pages.
const NO_LIMIT: u64 = 1 << 62;

pub(super) const SOURCES: &[CounterSource] = &[
    CounterSource::new("cpuacct", "cpuacct.usage", CounterSet::CPU, |text, raw| {
        raw.cpu_ns = number(text);
    }),
    CounterSource::new("cpu", "cpu.cfs_quota_us", CounterSet::LIMITS, |text, raw| {
        raw.cpu_quota_us = quota(text);
    }),
    CounterSource::new("cpu", "cpu.cfs_period_us", CounterSet::LIMITS, |text, raw| {
        raw.cpu_period_us = number(text);
    }),
    CounterSource::new("cpu", "cpu.stat", CounterSet::HITS, |text, raw| {
        raw.periods = keyed(text, "nr_periods");
        raw.throttled_periods = keyed(text, "nr_throttled");
    }),
    CounterSource::new("memory", "memory.usage_in_bytes", CounterSet::MEMORY, |text, raw| {
        raw.memory_usage_bytes = number(text);
    }),
    CounterSource::new("memory", "memory.stat", CounterSet::MEMORY, |text, raw| {
        raw.memory_inactive_bytes = keyed(text, "total_inactive_file");
    }),
    CounterSource::new("memory", "memory.limit_in_bytes", CounterSet::LIMITS, |text, raw| {
        raw.memory_max_bytes = bytes_limit(text);
    }),
    CounterSource::new("memory", "memory.max_usage_in_bytes", CounterSet::HITS, |text, raw| {
        raw.memory_peak_bytes = number(text);
    }),
    CounterSource::new("memory", "memory.failcnt", CounterSet::HITS, |text, raw| {
        raw.memory_hits = number(text);
    }),
    CounterSource::new("memory", "memory.oom_control", CounterSet::HITS, |text, raw| {
        raw.oom_kills = keyed(text, "oom_kill");
    }),
    CounterSource::new(
        "blkio",
        "blkio.throttle.io_service_bytes_recursive",
        CounterSet::IO,
        |text, raw| {
            raw.io_read_bytes = Some(transferred(text, "Read"));
            raw.io_write_bytes = Some(transferred(text, "Write"));
        },
    ),
];

/// The quota is -1 when there is none.
fn quota(text: &str) -> Option<Limit> {
    if text.trim() == "-1" { Some(Limit::Max) } else { number(text).map(Limit::At) }
}

fn bytes_limit(text: &str) -> Option<Limit> {
    number(text).map(|it| if it >= NO_LIMIT { Limit::Max } else { Limit::At(it) })
}

/// Adds up the lines `8:0 Read 4096` of all devices.
fn transferred(text: &str, direction: &str) -> u64 {
    let of_line = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        (words.next() == Some(direction)).then(|| words.next()?.parse::<u64>().ok())?
    };
    text.lines().filter_map(of_line).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_ways_to_say_no_limit() {
        assert_eq!(bytes_limit("9223372036854771712\n"), Some(Limit::Max));
        assert_eq!(bytes_limit("536870912\n"), Some(Limit::At(536_870_912)));
        assert_eq!(quota("-1\n"), Some(Limit::Max));
        assert_eq!(quota("50000\n"), Some(Limit::At(50_000)));
        assert_eq!(quota("x"), None);
    }

    #[test]
    fn devices_are_added_up() {
        let text = "8:0 Read 10\n8:0 Write 1\n8:0 Total 11\n8:16 Read 5\n8:16 Write 2\nTotal 18\n";
        assert_eq!((transferred(text, "Read"), transferred(text, "Write")), (15, 3));
    }
}
