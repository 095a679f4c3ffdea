//! Values of cgroup files, and of the keys of a configuration that set them, as an operator writes
//! and reads them. Knows names of files, opens none.

use crate::engine::cgroup::knob::{self, KnobKind, Over};
pub use crate::engine::cgroup::value::Whole;
use crate::engine::cgroup::value::{self, PERIOD_US};
use crate::engine::limits;
use crate::engine::sample::Counters;
use crate::format;

/// Bytes from this on mean "no limit" in the files of cgroup v1.
const V1_NO_LIMIT: i128 = 1 << 62;

/// Returns the file that `row` is, or that it names as a key of the configuration.
pub fn file_of(row: &str) -> &str {
    limits::of_key(row).map_or(row, |(_, file)| file)
}

/// Returns whether `row` is a key of the configuration.
pub fn is_key(row: &str) -> bool {
    limits::of_key(row).is_some()
}

/// Describes the possible values of `file`, for the line under the field.
pub fn advice(file: &str) -> String {
    let advice = knob::of(file_of(file)).advice();
    if is_key(file) { format!("{advice}; empty: not set") } else { advice.to_owned() }
}

/// Explains what `row` is, and what it may be if it can be set.
pub fn explained(row: &str) -> String {
    let knob = knob::of(file_of(row));
    let advised = knob.stays && knob.value != KnobKind::Other;
    if advised { format!("{}: {}", knob.meaning, knob.advice()) } else { knob.meaning.to_owned() }
}

/// Turns the operator's input into what the kernel accepts, or returns what is wrong with it.
pub fn parse(file: &str, typed: &str, whole: Whole) -> Result<String, String> {
    value::parse(file_of(file), typed, whole)
}

/// Shows the kernel's value the way it can be typed again.
pub fn shown(file: &str, value: &str) -> String {
    let value = value.trim();
    let knob = knob::of(file_of(file));
    match (knob.value, value.parse::<i128>()) {
        (KnobKind::Bytes, Ok(it)) if !(0..V1_NO_LIMIT).contains(&it) => "max".to_owned(),
        (KnobKind::Bytes, Ok(it)) => short_bytes(it.unsigned_abs() as u64),
        (KnobKind::QuotaUs, Ok(it)) if it < 0 => "max".to_owned(),
        (
            KnobKind::Bytes
            | KnobKind::Weight { .. }
            | KnobKind::Quota
            | KnobKind::QuotaUs
            | KnobKind::Count
            | KnobKind::List
            | KnobKind::Devices
            | KnobKind::Other,
            _,
        ) => value.to_owned(),
    }
}

/// Returns the `value` of a counter as [`shown`], but a size as it is written elsewhere on the
/// screen: nobody types it again.
pub fn rounded(file: &str, value: &str) -> String {
    let size = matches!(knob::of(file_of(file)).value, KnobKind::Bytes);
    match value.trim().parse::<u64>() {
        Ok(bytes) if size && bytes < V1_NO_LIMIT as u64 => format::bytes(bytes),
        Ok(_) | Err(_) => shown(file, value),
    }
}

/// Describes the immediate effect of the `kernel`'s value in `file` with the current usage. `other`
/// returns the content of another file of the same version.
pub fn warning(
    file: &str,
    kernel: &str,
    counters: &Counters,
    other: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    // On v1, "no limit" is written as -1, and read back as more than is possible.
    let most = kernel.parse::<u64>().unwrap_or(u64::MAX);
    let size = |file: &str| other(file)?.trim().parse::<u64>().ok();
    let file = file_of(file);
    match file {
        "memory.limit_in_bytes" => {
            let both = "memory.memsw.limit_in_bytes";
            if let Some(with_swap) = size(both).filter(|it| most > *it) {
                let with_swap = format::bytes(with_swap);
                return Some(format!("refused above {both} ({with_swap}); raise that first"));
            }
        }
        "memory.memsw.limit_in_bytes" => {
            let alone = "memory.limit_in_bytes";
            if let Some(memory) = size(alone).filter(|it| most < *it) {
                return Some(format!("refused below {alone} ({})", format::bytes(memory)));
            }
        }
        _ => (),
    }
    let below = |used: Option<u64>| used.filter(|used| most < *used);
    match knob::of(file).over {
        Over::Kills => {
            let used = format::bytes(below(counters.memory_bytes)?);
            Some(format!("below the {used} in use: reclaims, then kills"))
        }
        Over::Refused => {
            let used = below(counters.memory_bytes)?;
            let (used, over) = (format::bytes(used), format::bytes(used - most));
            Some(format!("below the {used} in use: refused unless {over} can be reclaimed"))
        }
        Over::Slows => {
            let used = format::bytes(below(counters.memory_bytes)?);
            Some(format!("below the {used} in use: slows down"))
        }
        Over::Refuses => {
            let used = below(counters.pids)?;
            Some(format!("below the {used} in use: no new process can start"))
        }
        Over::Nothing => None,
    }
}

/// The direction of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

/// Returns the next larger or smaller useful value of `file`, as it can be typed; none if `typed`
/// is not a number.
pub fn step(file: &str, typed: &str, direction: Direction) -> Option<String> {
    let file = file_of(file);
    let typed = typed.trim();
    if let Some(percent) = typed.strip_suffix('%') {
        let percent = moved(percent.trim().parse().ok()?, PERCENT_STEP, direction);
        return Some(format!("{}%", percent.max(PERCENT_STEP)));
    }
    match knob::of(file).value {
        KnobKind::Bytes => {
            let now: u64 = parse(file, typed, Whole::default()).ok()?.parse().ok()?;
            let eighth = (now.max(1).ilog2()).saturating_sub(3);
            Some(short_bytes(moved(now, 1 << eighth.max(PAGE_BITS), direction)))
        }
        KnobKind::Weight { least, most, .. } => {
            let now: u64 = typed.parse().ok()?;
            Some(moved(now, tenth(now), direction).clamp(least, most).to_string())
        }
        KnobKind::Quota => {
            let (quota, period) = typed.split_once(' ')?;
            let quota = moved(quota.parse().ok()?, PERIOD_US / 20, direction);
            Some(format!("{} {period}", quota.max(PERIOD_US / 100)))
        }
        KnobKind::QuotaUs => {
            let quota = moved(typed.parse().ok()?, PERIOD_US / 20, direction);
            Some(quota.max(PERIOD_US / 100).to_string())
        }
        KnobKind::Count | KnobKind::List | KnobKind::Devices | KnobKind::Other => {
            let now: u64 = typed.parse().ok()?;
            Some(moved(now, tenth(now), direction).to_string())
        }
    }
}

/// The smallest step of a size is a page, that of a quota 5 percent.
const PAGE_BITS: u32 = 12;
const PERCENT_STEP: u64 = 5;

const fn moved(value: u64, by: u64, direction: Direction) -> u64 {
    match direction {
        Direction::Up => value.saturating_add(by),
        Direction::Down => value.saturating_sub(by),
    }
}

fn tenth(value: u64) -> u64 {
    (value / 10).max(1)
}

/// Formats bytes with the largest exact unit.
fn short_bytes(bytes: u64) -> String {
    for (shift, unit) in [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')] {
        if bytes >= 1 << shift && bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Whole = Whole { memory: Some(1000), period: None };

    fn warned(file: &str, kernel: &str, counters: &Counters) -> Option<String> {
        let other = |file: &str| match file {
            "memory.limit_in_bytes" => Some("134217728\n".to_owned()),
            "memory.memsw.limit_in_bytes" => Some("268435456".to_owned()),
            _ => None,
        };
        warning(file, kernel, counters, &other)
    }

    #[test]
    fn counters_are_rounded_and_limits_are_not() {
        assert_eq!(shown("memory.max", "322121728"), "314572K");
        assert_eq!(rounded("memory.peak", "322121728"), "307M");
        assert_eq!(rounded("memory.current", "0"), "0");
        assert_eq!(rounded("pids.current", "29"), "29");
        assert_eq!(rounded("memory.events", "low 0\nhigh 0"), "low 0\nhigh 0");
    }

    #[test]
    fn sizes_are_read_as_operators_write_them() {
        let read = |text| parse("memory.max", text, WHOLE);
        assert_eq!(read("512M"), Ok("536870912".to_owned()));
        assert_eq!(read("1.5G"), Ok("1610612736".to_owned()));
        assert_eq!(read("25%"), Ok("250".to_owned()));
        assert_eq!(read("max"), Ok("max".to_owned()));
        assert_eq!(parse("memory.limit_in_bytes", "max", WHOLE), Ok("-1".to_owned()));
        assert!(read("lots").is_err() && read("").is_err() && read("99999999T").is_err());
    }

    #[test]
    fn a_quota_may_be_a_percentage() {
        assert_eq!(parse("cpu.max", "50%", WHOLE), Ok("50000 100000".to_owned()));
        assert_eq!(parse("cpu.cfs_quota_us", "200%", WHOLE), Ok("200000".to_owned()));
        assert_eq!(parse("cpu.max", "50000 100000", WHOLE), Ok("50000 100000".to_owned()));
        for wrong in ["0%", "64m", "1 2 3", "half"] {
            assert!(parse("cpu.max", wrong, WHOLE).is_err(), "{wrong}");
        }
        assert!(parse("cpu.cfs_quota_us", "1 2", WHOLE).is_err());
        assert!(parse("cpu.weight", "0", WHOLE).is_err());
    }

    #[test]
    fn steps_go_up_and_down_in_the_unit_of_the_file() {
        let up = |file, typed| step(file, typed, Direction::Up).unwrap();
        let down = |file, typed| step(file, typed, Direction::Down).unwrap();
        assert_eq!(up("memory.max", "512M"), "576M");
        assert_eq!(down("memory.max", "64M"), "56M");
        assert_eq!(up("cpu.max", "50000 100000"), "55000 100000");
        assert_eq!(down("cpu.max", "5%"), "5%");
        assert_eq!(up("cpu.weight", "100"), "110");
        assert_eq!(up("pids.max", "4"), "5");
        assert_eq!(step("memory.max", "max", Direction::Up), None);
    }

    #[test]
    fn a_limit_below_what_is_used_is_warned_of() {
        let counters =
            Counters { memory_bytes: Some(100 << 20), pids: Some(24), ..Counters::default() };
        let said = warned("memory.max", "1048576", &counters).unwrap();
        assert!(said.contains("below the 100M in use"), "{said}");
        assert_eq!(warned("memory.max", "209715200", &counters), None);
        assert_eq!(warned("memory.max", "max", &counters), None);
        assert!(warned("pids.max", "8", &counters).is_some());
    }

    #[test]
    fn on_v1_nothing_is_promised_that_the_kernel_refuses() {
        let counters = Counters { memory_bytes: Some(100 << 20), ..Counters::default() };
        let said = |file, mib: u64| warned(file, &(mib << 20).to_string(), &counters);
        let low = said("memory.limit_in_bytes", 64).unwrap();
        assert!(low.contains("refused unless 36M can be reclaimed"), "{low}");
        assert!(!low.contains("kills"), "{low}");
        let high = said("memory.limit_in_bytes", 512).unwrap();
        assert!(high.contains("refused above memory.memsw.limit_in_bytes (256M)"), "{high}");
        let below = said("memory.memsw.limit_in_bytes", 64).unwrap();
        assert!(below.contains("refused below memory.limit_in_bytes (128M)"), "{below}");
        assert!(
            warned("memory.limit_in_bytes", "-1", &counters).unwrap().contains("refused above")
        );
        assert_eq!(said("memory.memsw.limit_in_bytes", 256), None);
        assert_eq!(said("memory.limit_in_bytes", 200), None);
    }

    #[test]
    fn what_is_set_is_explained_with_what_it_may_be() {
        let max = explained("lxc.cgroup2.memory.max");
        assert_eq!(max, "most memory it may use: 512M, 1.5G, 25% of the host, or max");
        assert_eq!(explained("memory.current"), "memory in use");
    }

    #[test]
    fn a_key_of_the_configuration_means_its_file() {
        assert_eq!(shown("lxc.cgroup2.memory.max", "67108864"), "64M");
        assert_eq!(parse("lxc.cgroup.memory.limit_in_bytes", "max", WHOLE), Ok("-1".to_owned()));
        assert!(is_key("lxc.cgroup.pids.max") && !is_key("pids.max"));
        assert!(advice("lxc.cgroup.pids.max").ends_with("empty: not set"));
    }

    #[test]
    fn what_is_shown_can_be_typed_again() {
        for (file, value) in [("memory.max", "536870912"), ("pids.max", "max"), ("memory.max", "5")]
        {
            assert_eq!(parse(file, &shown(file, value), WHOLE), Ok(value.to_owned()));
        }
        assert_eq!(shown("memory.limit_in_bytes", "9223372036854771712"), "max");
    }
}
