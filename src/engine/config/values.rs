//! The forms of plain values: numbers, sizes, paths, times, commands. Pure.

use super::error::Reason;
use super::lexer::trim;
use crate::engine::terms::id::Id;
use crate::engine::terms::spec::ClockOffset;

/// `auto` for the console's buffer and log.
const AUTO_SIZE: u64 = 128 * 1024;
/// Sizes are whole pages; LXC uses the machine's page size, which is this on all targets of wharf.
const PAGE: u64 = 4096;

/// Reads an unsigned number the way strtoul(3) with base 0 does: `0x10` is 16, `010` is 8.
pub(super) fn unsigned(text: &str) -> Result<u64, Reason> {
    let text = trim(text);
    let (digits, radix) = match text.strip_prefix('0') {
        None | Some("") => (text, 10),
        Some(rest) => match rest.strip_prefix(['x', 'X']) {
            Some(digits) => (digits, 16),
            None => (rest, 8),
        },
    };
    if digits.is_empty() || !digits.chars().all(|it| it.is_digit(radix)) {
        return Err(Reason::Expected("a number that is not negative"));
    }
    u64::from_str_radix(digits, radix).map_err(|_overflow| Reason::TooLarge)
}

/// Reads an unsigned number of 32 bits.
pub(super) fn unsigned32(text: &str) -> Result<u32, Reason> {
    u32::try_from(unsigned(text)?).map_err(|_overflow| Reason::TooLarge)
}

/// Reads the number of a user or group.
pub(super) fn id(text: &str) -> Result<Id, Reason> {
    Id::try_from(unsigned32(text)?).map_err(Reason::Id)
}

/// Reads a signed number of 32 bits.
pub(super) fn signed(text: &str) -> Result<i32, Reason> {
    let text = trim(text);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let size = unsigned(digits).map_err(|reason| {
        if matches!(reason, Reason::TooLarge) { reason } else { Reason::Expected("a whole number") }
    })?;
    let size = i64::try_from(size).map_err(|_overflow| Reason::TooLarge)?;
    i32::try_from(if negative { -size } else { size }).map_err(|_overflow| Reason::TooLarge)
}

/// Reads `0` or `1`; LXC has no other words for no and yes.
pub(super) fn boolean(text: &str) -> Result<bool, Reason> {
    match unsigned(text) {
        Ok(0) => Ok(false),
        Ok(1) => Ok(true),
        _ => Err(Reason::Expected("0 or 1")),
    }
}

/// Reads a byte size as LXC does for the console: two-letter suffixes multiply, one-letter suffixes
/// are ignored, and the result is a power of two of at least a page. 0 stays 0.
pub(super) fn size(text: &str) -> Result<u64, Reason> {
    const EXPECTED: Reason = Reason::Expected("a size such as 64KB, 1MB or auto");
    if text == "auto" {
        return Ok(AUTO_SIZE);
    }
    let text = trim(text);
    let end = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let unit: u64 = match trim(suffix).to_ascii_uppercase().as_str() {
        "KB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        other if other.len() <= 1 => 1,
        _ => return Err(EXPECTED),
    };
    let number: u64 = digits.parse().map_err(|_not_a_number| EXPECTED)?;
    let bytes = number.checked_mul(unit).ok_or(Reason::TooLarge)?;
    if bytes == 0 {
        return Ok(0);
    }
    bytes.max(PAGE).checked_next_power_of_two().ok_or(Reason::TooLarge)
}

/// Collapses repeated slashes and removes those at the end, as LXC does with every path.
pub(super) fn path(text: &str) -> String {
    let mut simple = String::with_capacity(text.len());
    for it in text.chars() {
        if it != '/' || !simple.ends_with('/') {
            simple.push(it);
        }
    }
    if simple.len() > 1 && simple.ends_with('/') {
        simple.pop();
    }
    simple
}

/// Splits a command line at blanks outside of quotes. No escapes. Fails for a quote that is not
/// closed.
pub fn words(text: &str) -> Result<Vec<String>, Reason> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for it in text.chars() {
        match quote {
            Some(open) if it == open => quote = None,
            None if it == '"' || it == '\'' => {
                quote = Some(it);
                word.get_or_insert_default();
            }
            None if it == ' ' || it == '\t' => words.extend(word.take()),
            Some(_) | None => word.get_or_insert_default().push(it),
        }
    }
    words.extend(word);
    if quote.is_some() {
        return Err(Reason::Expected("a closing quote"));
    }
    Ok(words)
}

/// Reads `soft[:hard]`, each a decimal number or `unlimited`; returns it without blanks, as LXC
/// does. An empty soft limit is 0, an empty hard limit is omitted.
pub(super) fn limits(text: &str) -> Result<String, Reason> {
    const EXPECTED: Reason = Reason::Expected("SOFT or SOFT:HARD, numbers or unlimited");
    let one = |it: &str| match trim(it) {
        "unlimited" => Ok("unlimited".to_owned()),
        "" => Ok("0".to_owned()),
        digits if digits.bytes().all(|it| it.is_ascii_digit()) => {
            let number: u64 = digits.parse().map_err(|_overflow| Reason::TooLarge)?;
            Ok(number.to_string())
        }
        _ => Err(EXPECTED),
    };
    match text.split_once(':') {
        Some((soft, hard)) if !trim(hard).is_empty() => {
            Ok(format!("{}:{}", one(soft)?, one(hard)?))
        }
        Some((soft, _)) => one(soft),
        None => one(text),
    }
}

/// Checks an id map line: `u|g`, id inside, id on the host, count.
pub(super) fn id_map(text: &str) -> Result<String, Reason> {
    const EXPECTED: Reason = Reason::Expected("u or g, id inside, id on the host, count");
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [kind @ ("u" | "g"), inside, outside, count] = fields.as_slice() else {
        return Err(EXPECTED);
    };
    let first = |it: &str| id(it).map_err(|_no_id| EXPECTED);
    let count = unsigned32(count).map_err(|_no_number| EXPECTED)?;
    Ok(format!("{kind} {} {} {count}", first(inside)?, first(outside)?))
}

/// Reads a time offset, a signed number and a unit, which is mandatory; returns it as LXC shows
/// it: whole seconds or nanoseconds, with `gap` before the unit.
pub(super) fn offset(text: &str, gap: &str) -> Result<(String, ClockOffset), Reason> {
    const EXPECTED: Reason = Reason::Expected("a whole number and one of h, m, s, ms, us, ns");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|it: char| !it.is_ascii_digit()).ok_or(EXPECTED)?;
    let (digits, unit) = digits.split_at(end);
    let number: i64 = digits.parse().map_err(|_no_number| EXPECTED)?;
    let (factor, unit) = match trim(unit) {
        "h" => (3600, "s"),
        "m" => (60, "s"),
        "s" => (1, "s"),
        "ms" => (1_000_000, "ns"),
        "us" => (1000, "ns"),
        "ns" => (1, "ns"),
        _ => return Err(EXPECTED),
    };
    let number = number.checked_mul(factor * sign).ok_or(Reason::TooLarge)?;
    let offset = if unit == "s" {
        ClockOffset { seconds: number, nanoseconds: 0 }
    } else {
        // The kernel wants the nanoseconds within one second, and not negative.
        let nanoseconds = number.rem_euclid(1_000_000_000) as u32;
        ClockOffset { seconds: number.div_euclid(1_000_000_000), nanoseconds }
    };
    let unit = if number == 0 { "ns" } else { unit };
    Ok((format!("{number}{gap}{unit}"), offset))
}

/// Checks a path below the cgroup root: relative, and without `..`.
pub(super) fn cgroup_dir(text: &str) -> Result<String, Reason> {
    let simple = path(text);
    if simple.starts_with('/') || simple.split('/').any(|it| it == "..") {
        return Err(Reason::Expected("a relative path without .."));
    }
    if simple.split('/').all(|it| it == ".") {
        return Err(Reason::Expected("the path of a group below the root"));
    }
    Ok(simple)
}

/// Checks the name of one group.
pub(super) fn cgroup_name(text: &str) -> Result<String, Reason> {
    if text.contains('/') || matches!(text, "." | "..") {
        return Err(Reason::Expected("the name of a single directory"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_cs_bases() {
        for (text, expected) in [("0x10", 16), ("010", 8), ("0", 0), (" 12", 12), ("00", 0)] {
            assert_eq!(unsigned(text).unwrap(), expected, "{text}");
        }
        for text in ["", "-1", "12a", "0x", "08", "1 2", "+1", "99999999999999999999"] {
            assert!(unsigned(text).is_err(), "{text} was accepted");
        }
        assert_eq!(signed("-5").unwrap(), -5);
        assert!(signed("--5").is_err());
        assert!(unsigned32("4294967296").is_err());
        assert!(id("4294967295").is_err());
        assert!(id("0xffffffff").is_err());
        assert_eq!(id("1000").unwrap().number(), 1000);
    }

    #[test]
    fn sizes_follow_lxcs_odd_suffixes() {
        for (text, expected) in [
            ("auto", AUTO_SIZE),
            ("12B", 4096),
            ("12M", 4096),
            ("1MB", 1 << 20),
            ("3 kb", 4096),
            ("5000", 8192),
            ("0", 0),
        ] {
            assert_eq!(size(text).unwrap(), expected, "{text}");
        }
        for text in ["", "x", "1TB", "1KiB", "99999999999GB"] {
            assert!(size(text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn paths_lose_spare_slashes() {
        assert_eq!(path("/A///B//C/"), "/A/B/C");
        assert_eq!(path("/"), "/");
        assert_eq!(path("//"), "/");
        assert_eq!(path("a/"), "a");
    }

    #[test]
    fn commands_are_split_like_a_shell_would_without_escapes() {
        assert_eq!(words("/bin/a 'b c'  \"\" d\"e\"").unwrap(), ["/bin/a", "b c", "", "de"]);
        assert!(words("/bin/a 'b").is_err());
    }

    #[test]
    fn composite_values_are_checked() {
        assert_eq!(id_map("u  0 100000 65536").unwrap(), "u 0 100000 65536");
        assert!(id_map("b 0 1 2").is_err());
        assert!(id_map("u 0 1").is_err());
        for (text, shown) in [
            ("1024:unlimited", "1024:unlimited"),
            ("1024 : 2048", "1024:2048"),
            ("010", "10"),
            ("5:", "5"),
            (":5", "0:5"),
        ] {
            assert_eq!(limits(text).unwrap(), shown, "{text}");
        }
        for text in ["1024:lots", "0x10", "-1", "99999999999999999999"] {
            assert!(limits(text).is_err(), "{text} was accepted");
        }
        for (text, shown) in [
            ("5 h", "18000 s"),
            ("-5s", "-5 s"),
            ("3m", "180 s"),
            ("-5ms", "-5000000 ns"),
            ("+5us", "5000 ns"),
            ("0s", "0 ns"),
        ] {
            assert_eq!(offset(text, " ").unwrap().0, shown, "{text}");
        }
        assert_eq!(offset("5 h", "").unwrap().0, "18000s");
        for text in ["5", "5S", "h", "99999999999999999h"] {
            assert!(offset(text, "").is_err(), "{text} was accepted");
        }
        assert!(cgroup_dir("a/../b").is_err());
        assert_eq!(cgroup_dir("a//b/").unwrap(), "a/b");
    }
}
