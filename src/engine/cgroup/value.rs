//! The one parser of cgroup values: turns what operators write (`512M`, `25%`, `max`, `-1`) into
//! what the kernel takes, or says what is wrong. The screen, the command line and the configuration
//! share it. Opens no file of a cgroup.

use procfs::Current as _;

use super::knob::{self, Clear, Knob, KnobKind};

/// The kernel's own period of a CPU quota, in µs, and its bounds.
pub const PERIOD_US: u64 = 100_000;
const PERIODS: std::ops::RangeInclusive<u64> = 1000..=1_000_000;
const LEAST_QUOTA: u64 = 1000;

/// What percentages refer to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whole {
    /// The host's memory in bytes.
    pub memory: Option<u64>,
    /// The period of the container's CPU quota, in µs.
    pub period: Option<u64>,
}

impl Whole {
    /// Reads what the percentage in `typed` refers to from the host.
    pub fn of_host(typed: &str) -> Self {
        let memory = || Some(procfs::Meminfo::current().ok()?.mem_total);
        Self { memory: typed.contains('%').then(memory).flatten(), period: None }
    }
}

/// Returns what to write to `file` for `typed`, or what is wrong with that.
pub fn parse(file: &str, typed: &str, whole: Whole) -> Result<String, String> {
    let knob = knob::of(file);
    let text = typed.trim();
    if text.is_empty() {
        return empty(&knob);
    }
    if matches!(text, "max" | "none" | "unlimited" | "-1")
        && let Clear::By(word) = knob.clear
    {
        let period = whole.period.unwrap_or(PERIOD_US);
        let both = knob.value == KnobKind::Quota;
        return Ok(if both { format!("{word} {period}") } else { word.to_owned() });
    }
    match knob.value {
        KnobKind::Bytes => bytes(&knob, text, whole.memory).map(|it| it.to_string()),
        KnobKind::Weight { least, most, .. } => match text.parse::<u64>() {
            Ok(it) if (least..=most).contains(&it) => Ok(it.to_string()),
            Ok(_) | Err(_) => Err(format!("expected a number from {least} to {most}")),
        },
        KnobKind::Quota => quota(&knob, text, whole.period),
        KnobKind::QuotaUs => {
            let period = whole.period.unwrap_or(PERIOD_US);
            let number = match text.strip_suffix('%') {
                Some(percent) => share(percent, period)?,
                None => text.parse().map_err(|_not_one| no_share(&knob))?,
            };
            at_least(number).map(|it| it.to_string())
        }
        KnobKind::Count => match text.parse::<u64>() {
            Ok(it) => Ok(it.to_string()),
            Err(_) => Err("expected a number, or max".to_owned()),
        },
        KnobKind::List => {
            let fits = |it: char| it.is_ascii_digit() || ",-:/ ".contains(it) || it.is_alphabetic();
            let wrong = || format!("expected a list, {}", knob.advice());
            text.chars().all(fits).then(|| text.to_owned()).ok_or_else(wrong)
        }
        KnobKind::Devices | KnobKind::Other => Ok(text.to_owned()),
    }
}

/// The meaning of an empty value, if it has one.
fn empty(knob: &Knob) -> Result<String, String> {
    match knob.clear {
        Clear::Newline => Ok("\n".to_owned()),
        Clear::By(word) => Err(format!("an empty value clears nothing here; write {word}")),
        Clear::Device => {
            Err("an empty value clears nothing here; write, for example, `8:0 rbps=max` \
                              (on cgroup v1 `8:0 0`) for each device"
                .to_owned())
        }
        Clear::Never => match knob.value {
            KnobKind::Weight { normal, .. } => {
                Err(format!("an empty value clears nothing here; {normal} is normal"))
            }
            KnobKind::Bytes
            | KnobKind::Quota
            | KnobKind::QuotaUs
            | KnobKind::Count
            | KnobKind::List
            | KnobKind::Devices
            | KnobKind::Other => Err("an empty value clears nothing here".to_owned()),
        },
    }
}

/// Reads a size with an optional unit of 1024s, or a share of the host's memory.
fn bytes(knob: &Knob, text: &str, memory: Option<u64>) -> Result<u64, String> {
    let wrong = || format!("expected a size, such as {}", knob.advice());
    let end = text.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim();
    if unit == "%" {
        return share(number, memory.ok_or("the host's memory is not known")?);
    }
    let shift = match unit.to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" if !unit.eq_ignore_ascii_case("i") => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(wrong()),
    };
    match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(1 << shift).ok_or_else(wrong),
        // A fraction; sizes are far below what a double holds exactly.
        Err(_) => match number.parse::<f64>() {
            Ok(it) if number.contains('.') && it.is_finite() => {
                Ok((it * (1_u64 << shift) as f64) as u64)
            }
            Ok(_) | Err(_) => Err(wrong()),
        },
    }
}

fn quota(knob: &Knob, text: &str, period: Option<u64>) -> Result<String, String> {
    let period = period.unwrap_or(PERIOD_US);
    if let Some(percent) = text.strip_suffix('%') {
        return Ok(format!("{} {period}", at_least(share(percent, period)?)?));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let wrong = || no_share(knob);
    if let [_, period] = words.as_slice()
        && !period.parse::<u64>().is_ok_and(|it| PERIODS.contains(&it))
    {
        return Err("the period must be from 1000 to 1000000 µs".to_owned());
    }
    match words.as_slice() {
        ["max", _] => Ok(text.to_owned()),
        [quota] | [quota, _] => {
            at_least(quota.parse().map_err(|_not_one| wrong())?)?;
            Ok(text.to_owned())
        }
        _ => Err(wrong()),
    }
}

fn at_least(quota: u64) -> Result<u64, String> {
    match quota {
        0 => Err("a quota of 0 would stop every process; freeze the container instead".to_owned()),
        1..LEAST_QUOTA => Err("the smallest quota is 1000 µs".to_owned()),
        _ => Ok(quota),
    }
}

fn no_share(knob: &Knob) -> String {
    format!("expected a quota, such as {}", knob.advice())
}

fn share(percent: &str, whole: u64) -> Result<u64, String> {
    let percent = percent.trim();
    match percent.parse::<f64>() {
        Ok(it) if it.is_finite() && it >= 0.0 => Ok((whole as f64 * it / 100.0) as u64),
        Ok(_) | Err(_) => Err("expected a percentage of 0% or more".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: Whole = Whole { memory: Some(1000), period: Some(50_000) };

    fn value(file: &str, text: &str) -> String {
        parse(file, text, WHOLE).unwrap()
    }

    #[test]
    fn sizes_become_bytes() {
        for (text, bytes) in [
            ("512M", "536870912"),
            ("512MiB", "536870912"),
            ("512mb", "536870912"),
            ("1.5G", "1610612736"),
            ("64 k", "65536"),
            ("4096", "4096"),
            ("25%", "250"),
            ("18446744073709551615", "18446744073709551615"),
        ] {
            assert_eq!(value("memory.max", text), bytes);
            assert_eq!(value("memory.limit_in_bytes", text), bytes);
        }
        for wrong in ["lots", "x%", "-5", "99999999T", "1i", "M", ".", "1e9", "nan", "1 2"] {
            assert!(parse("memory.max", wrong, WHOLE).is_err(), "{wrong}");
        }
    }

    #[test]
    fn no_limit_is_said_as_the_version_says_it() {
        for text in ["max", "-1", "none"] {
            assert_eq!(value("memory.max", text), "max");
            assert_eq!(value("pids.max", text), "max");
            assert_eq!(value("cpu.max", text), "max 50000");
            assert_eq!(value("memory.limit_in_bytes", text), "-1");
            assert_eq!(value("cpu.cfs_quota_us", text), "-1");
        }
    }

    #[test]
    fn a_quota_may_be_a_percentage() {
        assert_eq!(value("cpu.max", "150%"), "75000 50000");
        assert_eq!(value("cpu.cfs_quota_us", "50%"), "25000");
        assert_eq!(value("cpu.max", "50000 100000"), "50000 100000");
        assert_eq!(value("cpu.max", "max 100000"), "max 100000");
        for wrong in ["0%", "64m", "1 2 3", "half", "0", "500", "50000 1", "-5%"] {
            assert!(parse("cpu.max", wrong, WHOLE).is_err(), "{wrong}");
        }
        assert!(parse("cpu.cfs_quota_us", "1000 2000", WHOLE).is_err());
        assert!(parse("cpu.weight", "0", WHOLE).is_err());
        assert!(parse("cpu.shares", "1", WHOLE).is_err());
    }

    #[test]
    fn an_empty_value_clears_a_list_and_nothing_else() {
        assert_eq!(value("cpuset.cpus", ""), "\n");
        for file in ["memory.max", "io.max", "cpu.weight", "cpu.idle", "no.such"] {
            let refused = parse(file, " ", WHOLE).unwrap_err();
            assert!(refused.contains("an empty value clears nothing here"), "{file}: {refused}");
        }
        assert!(parse("memory.max", "", WHOLE).unwrap_err().contains("write max"));
    }

    #[test]
    fn other_files_get_what_was_written() {
        assert_eq!(value("cpuset.cpus", "0-1"), "0-1");
        assert_eq!(value("io.max", "8:0 rbps=1M"), "8:0 rbps=1M");
        assert_eq!(value("cpu.shares", "512"), "512");
        assert_eq!(value("cgroup.kill", "1"), "1");
    }
}
