//! Turns what operators write (`512M`, `25%`, `max`, `-1`) into what the kernel takes.
//! Only files whose unit is plain are touched; everything else is passed on as it is.

use std::sync::LazyLock;

use cgroups_rs::fs::MaxValue;
use procfs::Current as _;
use regex::Regex;

use super::{CgroupError, control};

/// Files whose value is a number of bytes.
const BYTES: [&str; 13] = [
    "memory.max",
    "memory.high",
    "memory.low",
    "memory.min",
    "memory.swap.max",
    "memory.swap.high",
    "memory.zswap.max",
    "memory.limit_in_bytes",
    "memory.soft_limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.kmem.limit_in_bytes",
    "memory.kmem.tcp.limit_in_bytes",
    "memory.reclaim",
];
const CPU_QUOTA_V1: &str = "cpu.cfs_quota_us";
const CPU_QUOTA_V2: &str = "cpu.max";
/// The kernel's own period, in µs.
const PERIOD: u64 = 100_000;

static SIZE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)^([0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)(?:i?b)?$").ok());

/// Returns what to write to `file` for `value`. `period` tells the CPU quota's period in µs.
pub(super) fn kernel_value(
    file: &str,
    value: &str,
    period: &dyn Fn() -> Option<u64>,
) -> Result<String, CgroupError> {
    let text = value.trim();
    let takes_bytes = BYTES.contains(&file) || file.starts_with("hugetlb.") && is_limit(file);
    let wrong = |why| CgroupError::Value { file: file.to_owned(), value: value.to_owned(), why };
    if let Some(MaxValue::Max) = control::limit(text).filter(|_| takes_bytes || is_limit(file)) {
        return Ok(unlimited(file).to_owned());
    }
    if let Some(share) = text.strip_suffix('%') {
        let share = share.trim_end().parse::<f64>().ok().filter(|it| it.is_finite() && *it >= 0.0);
        let share = share.ok_or_else(|| wrong("a percentage is a number from 0 up"))?;
        let part = |whole: u64| (whole as f64 * share / 100.0) as u64;
        if file == CPU_QUOTA_V1 || file == CPU_QUOTA_V2 {
            return Ok(quota(file, part, period().unwrap_or(PERIOD)));
        }
        if takes_bytes {
            let host = procfs::Meminfo::current().ok();
            let host = host.ok_or_else(|| wrong("/proc/meminfo is unreadable"))?;
            return Ok(part(host.mem_total).to_string());
        }
    }
    if takes_bytes && let Some(bytes) = bytes(text) {
        return Ok(bytes.to_string());
    }
    Ok(value.to_owned())
}

/// Reads a size with an optional unit of 1024s; none if it is no size.
fn bytes(text: &str) -> Option<u64> {
    let (_, [number, unit]) = SIZE.as_ref()?.captures(text)?.extract();
    let power = match unit.to_ascii_lowercase().as_str() {
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => 0,
    };
    let factor = 1024_u64.pow(power);
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(factor),
        // A fraction; a size is far below what a double holds exactly.
        Err(_) => number.parse::<f64>().ok().map(|it| (it * factor as f64) as u64),
    }
}

/// Tells whether `file` is a limit that can be lifted.
fn is_limit(file: &str) -> bool {
    let knob = file.rsplit('.').next();
    knob == Some("max") || file.ends_with("limit_in_bytes") || file == CPU_QUOTA_V1
}

/// Returns the version's word for no limit.
fn unlimited(file: &str) -> &'static str {
    if file.ends_with("_in_bytes") || file == CPU_QUOTA_V1 { "-1" } else { "max" }
}

/// Says a share of one processor as a quota.
fn quota(file: &str, part: impl Fn(u64) -> u64, period: u64) -> String {
    if file == CPU_QUOTA_V2 {
        format!("{} {period}", part(period))
    } else {
        part(period).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(file: &str, text: &str) -> String {
        kernel_value(file, text, &|| Some(50_000)).unwrap()
    }

    #[test]
    fn sizes_become_bytes() {
        for (text, bytes) in [
            ("512M", "536870912"),
            ("512MiB", "536870912"),
            ("1.5G", "1610612736"),
            ("64 k", "65536"),
            ("4096", "4096"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(value("memory.max", text), bytes);
            assert_eq!(value("memory.limit_in_bytes", text), bytes);
        }
    }

    #[test]
    fn no_limit_is_said_as_the_version_says_it() {
        for text in ["max", "-1"] {
            assert_eq!(value("memory.max", text), "max");
            assert_eq!(value("pids.max", text), "max");
            assert_eq!(value("memory.limit_in_bytes", text), "-1");
            assert_eq!(value("cpu.cfs_quota_us", text), "-1");
        }
    }

    #[test]
    fn a_share_is_of_a_processor_or_of_the_memory() {
        assert_eq!(value("cpu.max", "150%"), "75000 50000");
        assert_eq!(value("cpu.cfs_quota_us", "50%"), "25000");
        let half: u64 = value("memory.max", "50%").parse().unwrap();
        assert!(half > 1 << 20);
        assert!(kernel_value("memory.max", "x%", &|| None).is_err());
    }

    #[test]
    fn other_files_get_what_was_written() {
        assert_eq!(value("cpuset.cpus", "0-1"), "0-1");
        assert_eq!(value("io.max", "8:0 rbps=1M"), "8:0 rbps=1M");
        assert_eq!(value("cpu.shares", "512"), "512");
        assert_eq!(value("memory.max", "lots"), "lots");
    }
}
