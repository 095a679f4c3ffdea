//! Signal names as LXC accepts them: a number, `SIGNAME`, `SIGRTMIN+n`, `SIGRTMAX-n`.

use super::error::Reason;
use super::values::unsigned;
use crate::engine::terms::signal::{MAX, NAMES};

/// Reads a signal. Like LXC, accepts any number; whether it is a signal is checked at start.
pub(super) fn number(text: &str) -> Result<i32, Reason> {
    const EXPECTED: Reason =
        Reason::Expected("a signal number or name, such as SIGTERM or SIGRTMIN+3");
    if text.starts_with(|it: char| it.is_ascii_digit()) {
        return i32::try_from(unsigned(text)?).map_err(|_too_large| Reason::TooLarge);
    }
    let upper = text.to_ascii_uppercase();
    if let Some((_, number)) = NAMES.iter().find(|(name, _)| *name == upper) {
        return Ok(*number);
    }
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    let found = match (upper.strip_prefix("SIGRTMIN"), upper.strip_prefix("SIGRTMAX")) {
        (Some(""), _) => Some(first),
        (_, Some("")) => Some(last),
        (Some(offset), _) => offset.strip_prefix('+').and_then(distance).map(|it| first + it),
        (_, Some(offset)) => offset.strip_prefix('-').and_then(distance).map(|it| last - it),
        (None, None) => None,
    };
    found.filter(|it| (first..=last).contains(it)).ok_or(EXPECTED)
}

/// Lists the names of signals, but for real-time ones.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|it| it.0)
}

/// Reads a signal that can be sent.
pub fn of_word(text: &str) -> Option<i32> {
    number(text).ok().filter(|it| (1..=MAX).contains(it))
}

/// Reads the distance from the first or last real-time signal; no larger one makes sense.
fn distance(text: &str) -> Option<i32> {
    text.parse().ok().filter(|it| (0..=MAX).contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::terms::signal::name;

    #[test]
    fn every_notation_is_read() {
        for (text, expected) in [
            ("SIGPWR", libc::SIGPWR),
            ("sigterm", libc::SIGTERM),
            ("9", 9),
            ("999", 999),
            ("SIGRTMIN+3", libc::SIGRTMIN() + 3),
            ("SIGRTMAX-1", libc::SIGRTMAX() - 1),
        ] {
            assert_eq!(number(text).unwrap(), expected, "{text}");
        }
        for text in ["SIGHUP", "SIGPWR", "SIGRTMIN+3"] {
            assert_eq!(name(number(text).unwrap()), text);
        }
        assert_eq!(name(999), "signal 999");
    }

    #[test]
    fn an_unknown_signal_is_refused() {
        for text in ["TERM", "SIG", "SIGRTMIN+99", "SIGRTMIN-1", "SIGRTMAX+1", "-9", "9x"] {
            assert!(number(text).is_err(), "{text} was accepted");
        }
    }
}
