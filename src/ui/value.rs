//! Values of cgroup files as an operator writes and reads them. Knows names of files, opens none.

use super::format;
use crate::engine::snapshot::Counters;

/// Bytes from this on mean "no limit" in the files of cgroup v1.
const V1_NO_LIMIT: u64 = 1 << 62;
/// The period of the CPU quota that a percentage is written for, in microseconds.
const PERIOD_US: u64 = 100_000;

/// Which kind of value a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bytes { version: u8 },
    Weight { least: u64, most: u64 },
    Quota,
    QuotaUs,
    Count,
    Other,
}

fn kind(file: &str) -> Kind {
    match file {
        "memory.max" | "memory.high" | "memory.low" | "memory.min" | "memory.swap.max"
        | "memory.swap.high" | "memory.current" | "memory.peak" => Kind::Bytes { version: 2 },
        "memory.limit_in_bytes"
        | "memory.soft_limit_in_bytes"
        | "memory.memsw.limit_in_bytes"
        | "memory.kmem.limit_in_bytes"
        | "memory.usage_in_bytes"
        | "memory.max_usage_in_bytes" => Kind::Bytes { version: 1 },
        "cpu.weight" | "io.weight" => Kind::Weight { least: 1, most: 10_000 },
        "cpu.shares" => Kind::Weight { least: 2, most: 262_144 },
        "blkio.weight" => Kind::Weight { least: 10, most: 1000 },
        "cpu.max" => Kind::Quota,
        "cpu.cfs_quota_us" => Kind::QuotaUs,
        "pids.max" => Kind::Count,
        _ => Kind::Other,
    }
}

/// Tells what the value of `file` may be, for the line under the field.
pub fn advice(file: &str) -> &'static str {
    match kind(file) {
        Kind::Bytes { .. } => "512M, 1.5G, 25% of the host, max",
        Kind::Weight { most: 10_000, .. } => "1 to 10000, 100 is normal",
        Kind::Weight { most: 262_144, .. } => "2 to 262144, 1024 is normal",
        Kind::Weight { .. } => "10 to 1000, 500 is normal",
        Kind::Quota | Kind::QuotaUs => "50% of one processor, 200% for two, max",
        Kind::Count => "a number, or max",
        Kind::Other => "as the kernel takes it",
    }
}

/// Turns what the operator typed into what the kernel takes, or says what is wrong with it.
pub fn parse(file: &str, typed: &str, host_memory: Option<u64>) -> Result<String, String> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Err(format!("empty; {}", advice(file)));
    }
    let unlimited = matches!(typed, "max" | "none" | "unlimited");
    match kind(file) {
        Kind::Bytes { version: 1 } | Kind::QuotaUs if unlimited || typed == "-1" => {
            Ok("-1".to_owned())
        }
        Kind::Bytes { .. } | Kind::Count if unlimited => Ok("max".to_owned()),
        Kind::Bytes { .. } => bytes(typed, host_memory).map(|it| it.to_string()),
        Kind::Weight { least, most } => match typed.parse::<u64>() {
            Ok(it) if (least..=most).contains(&it) => Ok(it.to_string()),
            Ok(_) | Err(_) => Err(format!("{typed} is not in {least} to {most}")),
        },
        Kind::Quota if unlimited => Ok(format!("max {PERIOD_US}")),
        Kind::Quota if typed.ends_with('%') => Ok(format!("{} {PERIOD_US}", quota(typed)?)),
        Kind::QuotaUs if typed.ends_with('%') => Ok(quota(typed)?.to_string()),
        Kind::Count => match typed.parse::<u64>() {
            Ok(it) => Ok(it.to_string()),
            Err(_) => Err(format!("{typed} is neither a number nor max")),
        },
        Kind::Quota | Kind::QuotaUs => {
            let numbers = typed.split_whitespace().map(str::parse::<u64>);
            let most = if kind(file) == Kind::Quota { 2 } else { 1 };
            let fits = numbers.clone().all(|it| it.is_ok()) && numbers.count() <= most;
            let wrong = || format!("{typed} is no share of a processor; {}", advice(file));
            fits.then(|| typed.to_owned()).ok_or_else(wrong)
        }
        Kind::Other => Ok(typed.to_owned()),
    }
}

/// Shows the kernel's value the way it can be typed again.
pub fn shown(file: &str, value: &str) -> String {
    let value = value.trim();
    match (kind(file), value.parse::<i64>()) {
        (Kind::Bytes { .. }, Ok(it)) if it < 0 || it.unsigned_abs() >= V1_NO_LIMIT => {
            "max".to_owned()
        }
        (Kind::Bytes { .. }, Ok(it)) => short_bytes(it.unsigned_abs()),
        (Kind::QuotaUs, Ok(it)) if it < 0 => "max".to_owned(),
        (
            Kind::Bytes { .. }
            | Kind::Weight { .. }
            | Kind::Quota
            | Kind::QuotaUs
            | Kind::Count
            | Kind::Other,
            _,
        ) => value.to_owned(),
    }
}

/// Says what happens at once when `file` gets the `kernel`'s value while so much is in use.
pub fn warning(file: &str, kernel: &str, counters: &Counters) -> Option<String> {
    let most = kernel.parse::<u64>().ok()?;
    let below = |used: Option<u64>| used.filter(|used| most < *used);
    match file {
        "memory.max" | "memory.limit_in_bytes" => {
            let used = format::bytes(below(counters.memory_bytes)?);
            Some(format!("below the {used} in use: reclaims, then kills"))
        }
        "memory.high" => {
            let used = format::bytes(below(counters.memory_bytes)?);
            Some(format!("below the {used} in use: slows down"))
        }
        "pids.max" => {
            let used = below(counters.pids)?;
            Some(format!("below the {used} in use: nothing new starts"))
        }
        _ => None,
    }
}

/// Which way a value is stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Up,
    Down,
}

/// Returns the next larger or smaller value of `file` that is worth a look, as it can be typed;
/// none where `typed` is no number.
pub fn step(file: &str, typed: &str, step: Step) -> Option<String> {
    let typed = typed.trim();
    if let Some(percent) = typed.strip_suffix('%') {
        let percent = moved(percent.trim().parse().ok()?, PERCENT_STEP, step);
        return Some(format!("{}%", percent.max(PERCENT_STEP)));
    }
    match kind(file) {
        Kind::Bytes { .. } => {
            let now = bytes(typed, None).ok()?;
            let eighth = (now.max(1).ilog2()).saturating_sub(3);
            Some(short_bytes(moved(now, 1 << eighth.max(PAGE_BITS), step)))
        }
        Kind::Weight { least, most } => {
            let now: u64 = typed.parse().ok()?;
            Some(moved(now, tenth(now), step).clamp(least, most).to_string())
        }
        Kind::Quota => {
            let (quota, period) = typed.split_once(' ')?;
            let quota = moved(quota.parse().ok()?, PERIOD_US / 20, step);
            Some(format!("{} {period}", quota.max(PERIOD_US / 100)))
        }
        Kind::QuotaUs => {
            let quota = moved(typed.parse().ok()?, PERIOD_US / 20, step);
            Some(quota.max(PERIOD_US / 100).to_string())
        }
        Kind::Count | Kind::Other => {
            let now: u64 = typed.parse().ok()?;
            Some(moved(now, tenth(now), step).to_string())
        }
    }
}

/// The least step of a size is a page, that of a quota 5 percent.
const PAGE_BITS: u32 = 12;
const PERCENT_STEP: u64 = 5;

const fn moved(value: u64, by: u64, step: Step) -> u64 {
    match step {
        Step::Up => value.saturating_add(by),
        Step::Down => value.saturating_sub(by),
    }
}

fn tenth(value: u64) -> u64 {
    (value / 10).max(1)
}

/// Writes bytes with the largest unit that loses nothing.
fn short_bytes(bytes: u64) -> String {
    for (shift, unit) in [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')] {
        if bytes >= 1 << shift && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

fn bytes(typed: &str, host_memory: Option<u64>) -> Result<u64, String> {
    let wrong = || format!("{typed} is not a size; write 512M, 1.5G, 25% or max");
    let number_end =
        typed.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(typed.len());
    let (number, unit) = typed.split_at(number_end);
    let number: f64 = number.parse().map_err(|_not_one| wrong())?;
    let unit = match unit.trim_end_matches("iB").trim_end_matches(['B', 'b']).trim() {
        "" => 1.0,
        "K" | "k" => 1024.0,
        "M" | "m" => 1024.0 * 1024.0,
        "G" | "g" => 1024.0 * 1024.0 * 1024.0,
        "T" | "t" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "%" => {
            host_memory.ok_or_else(|| "the host's memory is not known".to_owned())? as f64 / 100.0
        }
        _ => return Err(wrong()),
    };
    let value = number * unit;
    if !value.is_finite() || value >= V1_NO_LIMIT as f64 {
        return Err(wrong());
    }
    #[expect(clippy::cast_sign_loss, reason = "the number was written without a sign")]
    let value = value as u64;
    Ok(value)
}

fn quota(typed: &str) -> Result<u64, String> {
    let percent: u64 = typed
        .trim_end_matches('%')
        .trim()
        .parse()
        .map_err(|_not_one| format!("{typed} is no percentage; 50% is half a processor"))?;
    if percent == 0 {
        return Err("0% would stop every process; f freezes".to_owned());
    }
    Ok(percent.saturating_mul(PERIOD_US / 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_operators_write_them() {
        let read = |text| parse("memory.max", text, Some(1000));
        assert_eq!(read("512M"), Ok("536870912".to_owned()));
        assert_eq!(read("1.5G"), Ok("1610612736".to_owned()));
        assert_eq!(read("25%"), Ok("250".to_owned()));
        assert_eq!(read("max"), Ok("max".to_owned()));
        assert_eq!(parse("memory.limit_in_bytes", "max", None), Ok("-1".to_owned()));
        assert!(read("lots").is_err() && read("").is_err() && read("99999999T").is_err());
    }

    #[test]
    fn a_quota_may_be_a_percentage() {
        assert_eq!(parse("cpu.max", "50%", None), Ok("50000 100000".to_owned()));
        assert_eq!(parse("cpu.cfs_quota_us", "200%", None), Ok("200000".to_owned()));
        assert_eq!(parse("cpu.max", "50000 100000", None), Ok("50000 100000".to_owned()));
        for wrong in ["0%", "64m", "1 2 3", "half"] {
            assert!(parse("cpu.max", wrong, None).is_err(), "{wrong}");
        }
        assert!(parse("cpu.cfs_quota_us", "1 2", None).is_err());
        assert!(parse("cpu.weight", "0", None).is_err());
    }

    #[test]
    fn steps_go_up_and_down_in_the_unit_of_the_file() {
        let up = |file, typed| step(file, typed, Step::Up).unwrap();
        let down = |file, typed| step(file, typed, Step::Down).unwrap();
        assert_eq!(up("memory.max", "512M"), "576M");
        assert_eq!(down("memory.max", "64M"), "56M");
        assert_eq!(up("cpu.max", "50000 100000"), "55000 100000");
        assert_eq!(down("cpu.max", "5%"), "5%");
        assert_eq!(up("cpu.weight", "100"), "110");
        assert_eq!(up("pids.max", "4"), "5");
        assert_eq!(step("memory.max", "max", Step::Up), None);
    }

    #[test]
    fn a_limit_below_what_is_used_is_warned_of() {
        let counters =
            Counters { memory_bytes: Some(100 << 20), pids: Some(24), ..Counters::default() };
        let said = warning("memory.max", "1048576", &counters).unwrap();
        assert!(said.contains("below the 100M in use"), "{said}");
        assert_eq!(warning("memory.max", "209715200", &counters), None);
        assert_eq!(warning("memory.max", "max", &counters), None);
        assert!(warning("pids.max", "8", &counters).is_some());
    }

    #[test]
    fn what_is_shown_can_be_typed_again() {
        for (file, value) in [("memory.max", "536870912"), ("pids.max", "max"), ("memory.max", "5")]
        {
            assert_eq!(parse(file, &shown(file, value), None), Ok(value.to_owned()));
        }
        assert_eq!(shown("memory.limit_in_bytes", "9223372036854771712"), "max");
    }
}
