//! How the command line writes: aligned columns, sizes and times, safe JSON. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::SystemTime;

use unicode_width::UnicodeWidthStr as _;

use crate::engine::shown::shown;
use crate::format;

/// Printed where a value is not known or does not apply.
pub(super) const UNKNOWN: &str = "-";

/// The width of running text.
const COLUMNS: usize = 80;
const INDENT: &str = "  ";

/// Breaks a text into lines, at blanks. All but the first are indented.
pub(super) fn filled(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("{INDENT}{word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines.into_iter().flat_map(|it| [it, "\n".to_owned()]).collect()
}

/// How a cell is aligned in its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Justify {
    Left,
    Right,
}

/// Rows of cells under heads.
#[derive(Debug)]
pub(super) struct TextTable {
    pub(super) heads: Vec<(String, Justify)>,
    pub(super) rows: Vec<Vec<String>>,
}

impl TextTable {
    /// Lays the table out, one blank between columns and none at the end of a line.
    pub(super) fn layout(&self) -> String {
        let heads: Vec<String> = self.heads.iter().map(|(head, _)| head.clone()).collect();
        let mut widths: Vec<usize> = heads.iter().map(|it| it.width()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(heads)
            .chain(self.rows.iter().map(|row| row.iter().map(|it| shown(it).into()).collect()))
            .collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, align)) in row.iter().zip(widths).zip(&self.heads) {
            let blanks = " ".repeat(width - cell.width());
            let (before, after) = match align {
                Justify::Left => ("", blanks.as_str()),
                Justify::Right => (blanks.as_str(), ""),
            };
            // Writing to a String cannot fail.
            _ = write!(line, "{before}{cell}{after} ");
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// Prints a size as LXC does: bytes up to a KiB, then two decimals.
pub(super) fn long_size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes <= 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in UNITS.into_iter().skip(1) {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.2} {unit}")
}

/// Prints how long ago `then` was.
pub(super) fn age(then: SystemTime) -> String {
    format::since(then, SystemTime::now())
}

/// Escapes in JSON what a terminal would act on; JSON itself asks only for the ASCII ones.
pub(super) fn safe_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for it in json.chars() {
        let mut buffer = [0; 4];
        let text = it.encode_utf8(&mut buffer);
        if it == '\n' || matches!(shown(text), Cow::Borrowed(_)) {
            safe.push(it);
        } else {
            for unit in text.encode_utf16() {
                // Writing to a String cannot fail.
                _ = write!(safe, "\\u{unit:04x}");
            }
        }
    }
    safe
}

/// Returns milliseconds since the epoch, for JSON.
pub(super) fn epoch_ms(time: SystemTime) -> Option<u64> {
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|it| it.as_millis() as u64)
}

/// Returns `value` as text, or the sign for unknown.
pub(super) fn or_unknown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |it| it.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let table = TextTable {
            heads: vec![("NAME".into(), Justify::Left), ("PID".into(), Justify::Right)],
            rows: vec![vec!["a".into(), "4231".into()], vec!["b\u{1b}".into(), "1".into()]],
        };
        assert_eq!(table.layout(), "NAME   PID\na     4231\nb\\x1b    1\n");
    }

    #[test]
    fn sizes_read_like_lxcs() {
        assert_eq!(long_size(1024), "1024 bytes");
        assert_eq!(long_size(1669), "1.63 KiB");
        assert_eq!(long_size(97_202_995), "92.70 MiB");
    }

    #[test]
    fn json_holds_nothing_a_terminal_acts_on() {
        let json = serde_json::json!({ "a": "\u{1b}x\u{9b}\u{202e}\u{e0001}é" }).to_string();
        let safe = safe_json(&json);
        assert_eq!(safe, r#"{"a":"\u001bx\u009b\u202e\udb40\udc01é"}"#);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&safe).unwrap(),
            serde_json::from_str::<serde_json::Value>(&json).unwrap()
        );
    }
}
