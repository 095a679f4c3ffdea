//! Numbers as people read them, in as few cells as possible, and the lines of a tree. Pure; unknown
//! is left to the caller.

use std::time::{Duration, SystemTime};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;
/// Powers of 1024, from the first.
const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];

/// How far a long piece of work is: `unpacking 25% of 4.0M (1.0M)`.
pub fn progress(stage: &str, done_bytes: u64, whole_bytes: u64) -> String {
    if stage.is_empty() {
        return "working".to_owned();
    }
    match done_bytes.saturating_mul(100).checked_div(whole_bytes) {
        None if done_bytes == 0 => stage.to_owned(),
        None => format!("{stage} {}", bytes(done_bytes)),
        Some(percent) => {
            let [done, whole] = [done_bytes, whole_bytes].map(bytes);
            format!("{stage} {}% of {whole} ({done})", percent.min(100))
        }
    }
}

/// Bytes in at most four cells: `0`, `812`, `9.8K`, `488M`, `1.4G`.
pub fn bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return bytes.to_string();
    }
    let mut value = bytes as f64;
    for unit in UNITS {
        value /= 1024.0;
        // 9.95 would become 10.0, and 999.5 would become 1000.
        if value < 9.95 {
            return format!("{value:.1}{unit}");
        }
        if value < 999.5 {
            return format!("{value:.0}{unit}");
        }
    }
    format!("{value:.0}E")
}

/// A rate of bytes: as [`bytes`], the fraction of a byte dropped.
pub fn rate(per_second: f64) -> String {
    #[expect(clippy::cast_sign_loss, reason = "a negative rate or NaN becomes 0")]
    bytes(per_second as u64)
}

/// Percent without decimals: `95`.
pub fn whole(percent: f32) -> String {
    let value = if percent.is_finite() { percent.max(0.0) } else { 0.0 };
    format!("{value:.0}")
}

/// A duration, in at most six cells: `4s`, `2m`, `2h11m`, `3d04h`, `412d`, `3y041d`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..MINUTE => format!("{seconds}s"),
        MINUTE..HOUR => format!("{}m{:02}s", seconds / MINUTE, seconds % MINUTE),
        HOUR..DAY => format!("{}h{:02}m", seconds / HOUR, seconds % HOUR / MINUTE),
        DAY..YEAR if seconds < 100 * DAY => {
            format!("{}d{:02}h", seconds / DAY, seconds % DAY / HOUR)
        }
        DAY..YEAR => format!("{}d", seconds / DAY),
        _ => format!("{}y{:03}d", seconds / YEAR, seconds % YEAR / DAY),
    }
}

/// A duration within a sentence: `12 s`, `2m15s`.
pub fn duration_in_text(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..MINUTE => format!("{seconds} s"),
        _ => duration(time),
    }
}

/// How long an act took: `84 ms`, `9.3 s`, `2m15s`.
pub fn took(took: Duration) -> String {
    match took.as_millis() {
        milliseconds @ 0..1000 => format!("{milliseconds} ms"),
        1000..60_000 => format!("{:.1} s", took.as_secs_f64()),
        _ => duration(took),
    }
}

/// The time since `then`, as [`duration`]; a `then` in the future is now.
pub fn since(then: SystemTime, now: SystemTime) -> String {
    duration(now.duration_since(then).unwrap_or_default())
}

/// Cells of a level of a tree.
pub const LEVEL: usize = 3;

/// The lines in front of a node of a tree, drawn with `[pipe, branch, last]`, each a level wide.
/// `later` says for every level below the root, the node's own last, whether a later sibling follows
/// there; a root has no levels and gets no lines.
pub fn branches(later: &[bool], [pipe, branch, last]: [&str; 3]) -> String {
    let Some((own, above)) = later.split_last() else { return String::new() };
    let above = above.iter().map(|more| if *more { pipe } else { "   " });
    above.chain([if *own { branch } else { last }]).collect()
}

/// The time of day where the operator is: `16:41:07`.
pub fn clock(at: SystemTime) -> String {
    local(at).map_or_else(String::new, |it| it.strftime("%H:%M:%S").to_string())
}

/// A day and a time of it where the operator is: `2026-11-27 16:41:07`.
pub fn moment(at: SystemTime) -> String {
    local(at).map_or_else(String::new, |it| it.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A time as LXC writes it, with colons between the parts of the date, too.
pub fn lxc_time(written: &str) -> String {
    match written.split_once(' ') {
        Some((date, time)) => format!("{} {time}", date.replace(':', "-")),
        None => written.to_owned(),
    }
}

/// How long ago something happened that is not of the last day, whose time of day would be taken
/// for today's.
pub fn aged(at: SystemTime, now: SystemTime) -> Option<String> {
    let age = now.duration_since(at).ok()?;
    (age.as_secs() >= DAY).then(|| duration(age))
}

fn local(at: SystemTime) -> Option<jiff::civil::DateTime> {
    let at = jiff::Timestamp::try_from(at).ok()?;
    Some(jiff::tz::TimeZone::system().to_datetime(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_told_where_the_whole_is_known() {
        assert_eq!(progress("", 0, 0), "working");
        assert_eq!(progress("fetching", 0, 0), "fetching");
        assert_eq!(progress("copying", 2 << 20, 0), "copying 2.0M");
        assert_eq!(progress("unpacking", 1 << 20, 4 << 20), "unpacking 25% of 4.0M (1.0M)");
    }

    #[test]
    fn bytes_take_four_cells() {
        for (value, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0K"),
            (10_188, "9.9K"),
            (10_189, "10K"),
            (488 << 20, "488M"),
            (1023 << 20, "1.0G"),
            (1_503_238_553, "1.4G"),
            (u64::MAX, "16E"),
        ] {
            assert_eq!(bytes(value), expected, "{value}");
        }
        for shift in 0..64 {
            assert!(bytes(u64::MAX >> shift).len() <= 4, "{}", bytes(u64::MAX >> shift));
        }
    }

    #[test]
    fn rates_and_shares_survive_nonsense() {
        assert_eq!(rate(-3.0), "0");
        assert_eq!(rate(f64::NAN), "0");
        assert_eq!(rate(1.3e6), "1.2M");
        assert_eq!(whole(94.6), "95");
        assert_eq!(whole(f32::INFINITY), "0");
    }

    #[test]
    fn durations_name_two_units_at_most() {
        for (seconds, expected) in [
            (4, "4s"),
            (135, "2m15s"),
            (2 * HOUR + 11 * MINUTE, "2h11m"),
            (3 * DAY + 4 * HOUR, "3d04h"),
            (41 * DAY + 2 * HOUR, "41d02h"),
            (200 * DAY, "200d"),
            (YEAR + 41 * DAY, "1y041d"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
        assert_eq!(since(SystemTime::now() + Duration::from_secs(9), SystemTime::now()), "0s");
    }

    #[test]
    fn long_times_are_shown_in_seconds() {
        let written = [0, 84, 999, 1000, 9349, 135_000].map(Duration::from_millis).map(took);
        assert_eq!(written, ["0 ms", "84 ms", "999 ms", "1.0 s", "9.3 s", "2m15s"]);
    }

    #[test]
    fn times_in_sentences_have_a_blank_before_their_unit() {
        let written = [0, 12, 59, 60, 135].map(Duration::from_secs).map(duration_in_text);
        assert_eq!(written, ["0 s", "12 s", "59 s", "1m00s", "2m15s"]);
    }

    #[test]
    fn the_clock_has_a_fixed_width() {
        assert_eq!(clock(SystemTime::now()).len(), 8);
    }

    #[test]
    fn lines_join_siblings() {
        let rows: [&[bool]; 4] = [&[], &[true], &[true, false], &[false]];
        let drawn = rows.map(|it| branches(it, ["│  ", "├─ ", "└─ "]));
        assert_eq!(drawn, ["", "├─ ", "│  └─ ", "└─ "]);
        assert_eq!(branches(&[false; 12], ["|  ", "|- ", "`- "]).len(), 12 * LEVEL);
    }

    #[test]
    fn only_what_is_a_day_old_has_an_age() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10 * DAY);
        let age = |seconds| aged(now - Duration::from_secs(seconds), now);
        assert_eq!(age(DAY - 1), None);
        assert_eq!(age(DAY).as_deref(), Some("1d00h"));
        assert_eq!(age(9 * DAY + 5 * HOUR).as_deref(), Some("9d05h"));
        assert_eq!(aged(now + Duration::from_secs(1), now), None, "a clock that was set back");
    }
}
