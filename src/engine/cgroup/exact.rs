//! What a limit of one version of cgroups is called under the other, and its value there, if both mean
//! the same. Opens no file.

use super::knob::{self, KnobKind};
use super::value::{self, PERIOD_US, Whole};

/// A file, and what is written to it.
pub(in crate::engine) type Translated = (String, String);

/// The kernel's own scale: a weight of 100 is a share of 1024 (`sched_weight_from_cgroup`).
const SHARES_OF_100: u64 = 1024;
const WEIGHTS: std::ops::RangeInclusive<u64> = 1..=10_000;
/// The normal weights of block devices are 500 and 100.
const BLKIO_OF_1: u64 = 5;
const BLKIO: std::ops::RangeInclusive<u64> = 10..=1000;

/// Files that both versions have, with the same meaning.
const SAME: [&str; 6] =
    ["cpuset.cpus", "cpuset.mems", "pids.max", "rdma.max", "misc.max", "cpu.idle"];

/// Files with the same values under another name: on v1, on v2.
const RENAMED: [(&str, &str); 4] = [
    ("memory.limit_in_bytes", "memory.max"),
    ("cpu.cfs_burst_us", "cpu.max.burst"),
    ("blkio.bfq.weight", "io.bfq.weight"),
    ("blkio.bfq.weight_device", "io.bfq.weight"),
];

/// Limits of transfers, each a file on v1 and a word on v2.
const THROTTLES: [(&str, &str); 4] = [
    ("blkio.throttle.read_bps_device", "rbps"),
    ("blkio.throttle.write_bps_device", "wbps"),
    ("blkio.throttle.read_iops_device", "riops"),
    ("blkio.throttle.write_iops_device", "wiops"),
];

/// Translates `file` set to `value` for the other version; `sibling` returns what another file is set
/// to. Nothing to write: another line, or the kernel itself, says the same. The error says why there
/// is nothing that means the same, and what to write instead.
pub(in crate::engine) fn exact(
    file: &str,
    value: &str,
    sibling: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Translated>, String> {
    let plain = checked(file, value, sibling)?;
    let one = |file: &str, value: String| Ok(vec![(file.to_owned(), value)]);
    if SAME.contains(&file) {
        return one(file, value.to_owned());
    }
    if let Some(other) = renamed(file, value) {
        return one(&other, sized(&other, value));
    }
    match file {
        "memory.memsw.limit_in_bytes" => one("memory.swap.max", swap_alone(&plain, sibling)?),
        "memory.swap.max" => one("memory.memsw.limit_in_bytes", with_swap(&plain, sibling)?),
        "memory.use_hierarchy" if value == "1" => Ok(Vec::new()),
        "cpu.shares" => {
            let weight = rounded(number(&plain)? * 100, SHARES_OF_100);
            one("cpu.weight", weight.clamp(*WEIGHTS.start(), *WEIGHTS.end()).to_string())
        }
        "cpu.weight" => {
            one("cpu.shares", rounded(number(&plain)? * SHARES_OF_100, 100).to_string())
        }
        "cpu.cfs_quota_us" => {
            let period = sibling(PERIOD).unwrap_or_else(|| PERIOD_US.to_string());
            let quota = if plain == "-1" { "max" } else { &plain };
            one("cpu.max", format!("{quota} {period}"))
        }
        PERIOD if sibling("cpu.cfs_quota_us").is_some() => Ok(Vec::new()),
        PERIOD => one("cpu.max", format!("max {value}")),
        "cpu.max" => Ok(quota(&plain)),
        "blkio.weight" | "blkio.weight_device" => one("io.weight", weighed(value, on_v2)?),
        "io.weight" if is_of_device(value) => one("blkio.weight_device", weighed(value, on_v1)?),
        "io.weight" => one("blkio.weight", weighed(bare(value), on_v1)?),
        "io.max" => throttles(value),
        "freezer.state" if value == "THAWED" => one("cgroup.freeze", "0".to_owned()),
        "cgroup.freeze" if value == "0" => one("freezer.state", "THAWED".to_owned()),
        _ => throttle(file, value).map(|it| vec![it]).ok_or_else(|| lost(file)),
    }
}

const PERIOD: &str = "cpu.cfs_period_us";

/// Returns the value as the kernel takes it for `file`.
fn checked(
    file: &str,
    value: &str,
    sibling: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let period = sibling(PERIOD).and_then(|it| it.parse().ok());
    value::parse(file, value, Whole { period, ..Whole::of_host(value) })
}

fn renamed(file: &str, value: &str) -> Option<String> {
    if let Some(size) = file.strip_prefix("hugetlb.") {
        let named = |from, to| size.strip_suffix(from).map(|it| format!("hugetlb.{it}{to}"));
        return named(".limit_in_bytes", ".max").or_else(|| named(".max", ".limit_in_bytes"));
    }
    let mut all = RENAMED.iter();
    let found = all.find_map(|(v1, v2)| {
        let is_v1 = *v1 == file;
        (is_v1 || *v2 == file).then_some(if is_v1 { *v2 } else { *v1 })
    })?;
    // On v1 devices have a file of their own.
    let by_device = found == "blkio.bfq.weight" && is_of_device(value);
    Some(if by_device { "blkio.bfq.weight_device" } else { found }.to_owned())
}

/// "No limit" has another word in each version, and -1 and `max` both mean it.
fn sized(other: &str, value: &str) -> String {
    let bytes = knob::of(other).value == KnobKind::Bytes || other.starts_with("hugetlb.");
    match value {
        "max" | "-1" if bytes => unlimited(other).to_owned(),
        _ => value.strip_prefix("default ").unwrap_or(value).to_owned(),
    }
}

fn unlimited(file: &str) -> &'static str {
    if file.ends_with("_in_bytes") { "-1" } else { "max" }
}

/// v2 limits swap alone: what is left of both together above the limit of memory.
fn swap_alone(both: &str, sibling: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    const MEMORY: &str = "memory.limit_in_bytes";
    if both == "-1" {
        return Ok("max".to_owned());
    }
    let memory = memory_of(MEMORY, sibling)?;
    let swap = number(both)?.checked_sub(memory);
    swap.map(|it| it.to_string()).ok_or_else(|| format!("it is below {MEMORY}"))
}

/// v1 limits both together.
fn with_swap(swap: &str, sibling: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    if swap == "max" {
        return Ok("-1".to_owned());
    }
    let memory = memory_of("memory.max", sibling)?;
    Ok(memory.saturating_add(number(swap)?).to_string())
}

/// Returns the limit of memory alone, in bytes.
fn memory_of(file: &str, sibling: &dyn Fn(&str) -> Option<String>) -> Result<u64, String> {
    let lacking =
        || format!("its counterpart needs a limit of memory as well, and {file} sets none");
    let set = sibling(file).ok_or_else(lacking)?;
    let plain = value::parse(file, &set, Whole::of_host(&set))?;
    plain.parse().map_err(|_unlimited| lacking())
}

/// `QUOTA PERIOD` is two files on v1; the period first, as a quota must not exceed it by much.
fn quota(both: &str) -> Vec<Translated> {
    let (quota, period) = both.split_once(' ').unwrap_or((both, ""));
    let quota = if quota == "max" { "-1" } else { quota };
    let usual = period.is_empty() || period == PERIOD_US.to_string();
    let period = (!usual).then(|| (PERIOD.to_owned(), period.to_owned()));
    let quota = ("cpu.cfs_quota_us".to_owned(), quota.to_owned());
    period.into_iter().chain([quota]).collect()
}

fn on_v2(weight: u64) -> Option<u64> {
    BLKIO.contains(&weight).then(|| rounded(weight, BLKIO_OF_1))
}

fn on_v1(weight: u64) -> Option<u64> {
    weight.checked_mul(BLKIO_OF_1).filter(|it| BLKIO.contains(it))
}

/// Converts a weight, or that of a device: `8:0 500`.
fn weighed(value: &str, convert: fn(u64) -> Option<u64>) -> Result<String, String> {
    let (device, weight) = value.rsplit_once(' ').unwrap_or(("", value));
    let converted = convert(number(weight)?);
    let converted = converted.ok_or("the other version of cgroups has no such weight")?;
    Ok(format!("{device} {converted}").trim_start().to_owned())
}

fn bare(value: &str) -> &str {
    value.strip_prefix("default ").unwrap_or(value)
}

fn is_of_device(value: &str) -> bool {
    value.split_once(' ').is_some_and(|(device, _)| device.contains(':'))
}

/// One file on v1 for each word on v2.
fn throttles(value: &str) -> Result<Vec<Translated>, String> {
    let (device, words) = value.split_once(' ').ok_or_else(|| lost("io.max"))?;
    let limit = |word: &str| {
        let (name, limit) = word.split_once('=')?;
        let (file, _) = THROTTLES.iter().find(|(_, it)| *it == name)?;
        let limit = if limit == "max" { "0" } else { limit };
        Some(((*file).to_owned(), format!("{device} {limit}")))
    };
    words.split_whitespace().map(|it| limit(it).ok_or_else(|| lost("io.max"))).collect()
}

fn throttle(file: &str, value: &str) -> Option<Translated> {
    let (_, word) = THROTTLES.iter().find(|(it, _)| *it == file)?;
    let (device, limit) = value.split_once(' ')?;
    let limit = if limit.trim() == "0" { "max" } else { limit.trim() };
    Some(("io.max".to_owned(), format!("{device} {word}={limit}")))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_not_one| format!("{text:?} is not a number"))
}

const fn rounded(value: u64, by: u64) -> u64 {
    (value + by / 2) / by
}

/// What has no counterpart: how the name begins, and why, with what to write instead.
const LOST: &[(&str, &str)] = &[
    (
        "memory.soft_limit_in_bytes",
        "cgroup v2 has no soft limit; lxc.cgroup2.memory.low keeps memory for it, \
         lxc.cgroup2.memory.high slows it down",
    ),
    ("memory.kmem.", "cgroup v2 counts the kernel's memory in lxc.cgroup2.memory.max"),
    (
        "memory.swappiness",
        "cgroup v2 has no such file; lxc.cgroup2.memory.swap.max = 0 keeps it from swapping",
    ),
    (
        "memory.oom_control",
        "cgroup v2 always kills; lxc.cgroup2.memory.oom.group = 1 kills all of it at once",
    ),
    ("memory.high", "cgroup v1 does not slow down; lxc.cgroup.memory.limit_in_bytes limits it"),
    (
        "memory.low",
        "cgroup v1 protects no memory; lxc.cgroup.memory.soft_limit_in_bytes comes nearest",
    ),
    (
        "memory.min",
        "cgroup v1 protects no memory; lxc.cgroup.memory.soft_limit_in_bytes comes nearest",
    ),
    ("cpu.rt_", "cgroup v2 shares out no real-time processor time"),
    ("cpu.weight.nice", "cgroup v1 has no such file; lxc.cgroup.cpu.shares is its share"),
    (
        "cpuset.cpu_exclusive",
        "cgroup v2 has no such file; lxc.cgroup2.cpuset.cpus.partition = root comes nearest",
    ),
    ("net_", "cgroup v2 marks no packets; nftables recognises a container's by `socket cgroupv2`"),
    ("freezer.state", "a container that is frozen cannot start; `wharf freeze` freezes it"),
    ("cgroup.freeze", "a container that is frozen cannot start; `wharf freeze` freezes it"),
    ("cgroup.max.", "cgroup v1 does not limit how many groups a container makes"),
];

fn lost(file: &str) -> String {
    let known = LOST.iter().find(|(start, _)| file.starts_with(start));
    let why = known.map(|(_, why)| (*why).to_owned());
    why.unwrap_or_else(|| format!("this host's version of cgroups has no counterpart of {file}"))
}

/// Returns whether cgroup v2 has a file of this name.
pub(in crate::engine) fn is_of_v2(file: &str) -> bool {
    let knob = knob::of(file);
    !knob.file.is_empty() && !knob.is_v1()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Translates the last of `lines`, of which the others are siblings.
    fn last(lines: &[(&str, &str)]) -> Result<String, String> {
        let sibling = |file: &str| {
            let found = lines.iter().rev().find(|it| it.0 == file);
            found.map(|it| it.1.to_owned())
        };
        let (file, value) = lines.last().unwrap();
        let all = exact(file, value, &sibling)?;
        Ok(all
            .iter()
            .map(|(file, value)| format!("{file} = {value}"))
            .collect::<Vec<_>>()
            .join(", "))
    }

    #[test]
    fn a_limit_means_the_same_under_its_other_name() {
        for (file, value, there) in [
            ("memory.limit_in_bytes", "512M", "memory.max = 512M"),
            ("memory.limit_in_bytes", "-1", "memory.max = max"),
            ("memory.max", "max", "memory.limit_in_bytes = -1"),
            ("hugetlb.2MB.limit_in_bytes", "4M", "hugetlb.2MB.max = 4M"),
            ("hugetlb.1GB.rsvd.max", "max", "hugetlb.1GB.rsvd.limit_in_bytes = -1"),
            ("cpu.shares", "1024", "cpu.weight = 100"),
            ("cpu.shares", "512", "cpu.weight = 50"),
            ("cpu.shares", "2", "cpu.weight = 1"),
            ("cpu.weight", "10000", "cpu.shares = 102400"),
            ("cpu.weight", "1", "cpu.shares = 10"),
            ("cpu.cfs_quota_us", "50000", "cpu.max = 50000 100000"),
            ("cpu.cfs_quota_us", "-1", "cpu.max = max 100000"),
            ("cpu.cfs_period_us", "20000", "cpu.max = max 20000"),
            ("cpu.cfs_burst_us", "1000", "cpu.max.burst = 1000"),
            ("cpu.max", "50%", "cpu.cfs_quota_us = 50000"),
            ("cpu.max", "9000 20000", "cpu.cfs_period_us = 20000, cpu.cfs_quota_us = 9000"),
            ("cpu.max", "max", "cpu.cfs_quota_us = -1"),
            ("cpuset.cpus", "0-1,3", "cpuset.cpus = 0-1,3"),
            ("pids.max", "77", "pids.max = 77"),
            ("blkio.weight", "500", "io.weight = 100"),
            ("blkio.weight", "10", "io.weight = 2"),
            ("blkio.weight_device", "8:0 1000", "io.weight = 8:0 200"),
            ("blkio.bfq.weight", "300", "io.bfq.weight = 300"),
            ("io.bfq.weight", "8:0 300", "blkio.bfq.weight_device = 8:0 300"),
            ("io.weight", "default 150", "blkio.weight = 750"),
            ("io.weight", "8:16 20", "blkio.weight_device = 8:16 100"),
            ("blkio.throttle.read_bps_device", "8:0 1048576", "io.max = 8:0 rbps=1048576"),
            ("blkio.throttle.write_iops_device", "8:0 0", "io.max = 8:0 wiops=max"),
            (
                "io.max",
                "8:0 rbps=1 wiops=max",
                "blkio.throttle.read_bps_device = 8:0 1, blkio.throttle.write_iops_device = 8:0 0",
            ),
            ("freezer.state", "THAWED", "cgroup.freeze = 0"),
            ("memory.use_hierarchy", "1", ""),
        ] {
            assert_eq!(last(&[(file, value)]).as_deref(), Ok(there), "{file} {value}");
        }
    }

    #[test]
    fn some_limits_are_one_line_here_and_two_there() {
        let (memory, both) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
        for (first, second, there) in [
            ((memory, "512M"), (both, "1G"), "memory.swap.max = 536870912"),
            ((memory, "512M"), (both, "512M"), "memory.swap.max = 0"),
            ((memory, "-1"), (both, "-1"), "memory.swap.max = max"),
            (
                ("memory.max", "1M"),
                ("memory.swap.max", "1M"),
                "memory.memsw.limit_in_bytes = 2097152",
            ),
            (("memory.max", "1M"), ("memory.swap.max", "max"), "memory.memsw.limit_in_bytes = -1"),
            (("cpu.cfs_period_us", "20000"), ("cpu.cfs_quota_us", "9000"), "cpu.max = 9000 20000"),
            (("cpu.cfs_quota_us", "9000"), ("cpu.cfs_period_us", "20000"), ""),
        ] {
            assert_eq!(last(&[first, second]).as_deref(), Ok(there), "{first:?} {second:?}");
        }
        for lines in
            [&[(both, "1G")][..], &[(memory, "-1"), (both, "1G")], &[(memory, "2G"), (both, "1G")]]
        {
            assert!(last(lines).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn what_has_no_counterpart_is_told_with_what_to_write_instead() {
        for (file, value, word) in [
            ("memory.soft_limit_in_bytes", "1G", "lxc.cgroup2.memory.low"),
            ("memory.swappiness", "0", "lxc.cgroup2.memory.swap.max = 0"),
            ("memory.oom_control", "1", "lxc.cgroup2.memory.oom.group"),
            ("memory.use_hierarchy", "0", "no counterpart of memory.use_hierarchy"),
            ("memory.high", "1G", "lxc.cgroup.memory.limit_in_bytes"),
            ("net_cls.classid", "1", "nftables"),
            ("freezer.state", "FROZEN", "wharf freeze"),
            ("io.latency", "8:0 target=1", "no counterpart of io.latency"),
            ("io.weight", "10000", "no such weight"),
            ("blkio.leaf_weight", "500", "no counterpart"),
            // What its own version refuses has no meaning that could be translated.
            ("cpu.shares", "0", "a number from 2"),
            ("pids.max", "many", "expected a number"),
        ] {
            let why = last(&[(file, value)]).unwrap_err();
            assert!(why.contains(word), "{file} {value}: {why}");
        }
    }
}
