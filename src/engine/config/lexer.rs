//! LXC's line grammar: one `key = value` per line, `#` comments, all else ignored. Knows no keys.

/// One line of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Blank, or a comment.
    Nothing,
    /// Text that does not start with `lxc.`, which LXC silently ignores.
    Foreign(&'a str),
    /// `key = value`, both trimmed, with one pair of quotes around the value removed.
    Setting { key: &'a str, value: &'a str },
    /// A line that starts with `lxc.` and has no `=`.
    NoValue(&'a str),
}

/// The prefix of every key.
pub(super) const PREFIX: &str = "lxc.";

/// Reads one line.
pub(super) fn line(text: &str) -> Line<'_> {
    let text = trim(text);
    if text.is_empty() || text.starts_with('#') {
        return Line::Nothing;
    }
    if !text.starts_with(PREFIX) {
        return Line::Foreign(text);
    }
    match text.split_once('=') {
        Some((key, value)) => Line::Setting { key: trim(key), value: unquote(trim(value)) },
        None => Line::NoValue(text),
    }
}

/// Trims what isspace(3) calls blank.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|it: char| it.is_ascii_whitespace() || it == '\u{b}')
}

/// Removes one pair of equal quotes that encloses the whole value. There are no escapes.
fn unquote(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|it| it.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(text: &str) -> (&str, &str) {
        let Line::Setting { key, value } = line(text) else { panic!("{text:?} is not a setting") };
        (key, value)
    }

    #[test]
    fn the_first_equals_sign_splits_and_blanks_go() {
        assert_eq!(setting("  lxc.a\t =  b = c \r"), ("lxc.a", "b = c"));
        assert_eq!(setting("lxc.a="), ("lxc.a", ""));
    }

    #[test]
    fn there_are_no_trailing_comments() {
        assert_eq!(setting("lxc.a = 1 # c"), ("lxc.a", "1 # c"));
    }

    #[test]
    fn one_pair_of_matching_quotes_is_taken_off() {
        assert_eq!(setting("lxc.a = \"x\"").1, "x");
        assert_eq!(setting("lxc.a = ''x''").1, "'x'");
        assert_eq!(setting("lxc.a = \"x'").1, "\"x'");
        assert_eq!(setting("lxc.a = \"").1, "\"");
    }

    #[test]
    fn other_lines_are_told_apart() {
        assert_eq!(line("   # lxc.a = 1"), Line::Nothing);
        assert_eq!(line(" \t"), Line::Nothing);
        assert_eq!(line("hello = 1"), Line::Foreign("hello = 1"));
        assert_eq!(line(" lxc.a "), Line::NoValue("lxc.a"));
    }
}
