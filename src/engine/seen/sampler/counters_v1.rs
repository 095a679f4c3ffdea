//! The counter files of cgroup v1. Pure text to numbers.

use super::counters::{CounterSource, Need, keyed, limit, number};
use crate::engine::seen::sample::Limit;

/// Limits from here on mean that there is none: the kernel keeps the largest whole number of pages.
const NO_LIMIT: u64 = 1 << 62;

pub(super) const SOURCES: &[CounterSource] = &[
    CounterSource {
        controller: "cpuacct",
        file: "cpuacct.usage",
        need: Need::Always,
        read: |text, raw| raw.cpu_ns = number(text),
    },
    CounterSource {
        controller: "cpu",
        file: "cpu.cfs_quota_us",
        need: Need::RowLimit,
        read: |text, raw| raw.cpu_quota_us = quota(text),
    },
    CounterSource {
        controller: "cpu",
        file: "cpu.cfs_period_us",
        need: Need::RowLimit,
        read: |text, raw| raw.cpu_period_us = number(text),
    },
    CounterSource {
        controller: "cpu",
        file: "cpu.stat",
        need: Need::Detail,
        read: |text, raw| {
            raw.periods = keyed(text, "nr_periods");
            raw.throttled_periods = keyed(text, "nr_throttled");
        },
    },
    CounterSource {
        controller: "memory",
        file: "memory.usage_in_bytes",
        need: Need::Row,
        read: |text, raw| raw.memory_usage_bytes = number(text),
    },
    CounterSource {
        controller: "memory",
        file: "memory.stat",
        need: Need::Row,
        read: |text, raw| raw.memory_inactive_bytes = keyed(text, "total_inactive_file"),
    },
    CounterSource {
        controller: "memory",
        file: "memory.limit_in_bytes",
        need: Need::RowLimit,
        read: |text, raw| raw.memory_max_bytes = bytes_limit(text),
    },
    CounterSource {
        controller: "memory",
        file: "memory.max_usage_in_bytes",
        need: Need::Detail,
        read: |text, raw| raw.memory_peak_bytes = number(text),
    },
    CounterSource {
        controller: "memory",
        file: "memory.failcnt",
        need: Need::Detail,
        read: |text, raw| raw.memory_hits = number(text),
    },
    CounterSource {
        controller: "memory",
        file: "memory.oom_control",
        need: Need::Detail,
        read: |text, raw| raw.oom_kills = keyed(text, "oom_kill"),
    },
    CounterSource {
        controller: "pids",
        file: "pids.current",
        need: Need::Row,
        read: |text, raw| raw.pids = number(text),
    },
    CounterSource {
        controller: "pids",
        file: "pids.max",
        need: Need::RowLimit,
        read: |text, raw| raw.pids_max = limit(text),
    },
    CounterSource {
        controller: "blkio",
        file: "blkio.throttle.io_service_bytes_recursive",
        need: Need::Row,
        read: |text, raw| {
            raw.io_read_bytes = Some(transferred(text, "Read"));
            raw.io_write_bytes = Some(transferred(text, "Write"));
        },
    },
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
