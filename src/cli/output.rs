//! How the command line writes: aligned columns, sizes and times, safe JSON. Pure.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::SystemTime;

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::failure::Usage;
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

/// Writes a line for each object: `{field}` stands for what JSON has under that name, `{a.b}` for
/// what is inside, `\\t` and `\\n` for a tab and a new line, `{{` for a brace.
pub(super) fn formatted(
    template: &str,
    objects: impl Iterator<Item = Value>,
) -> Result<String, Usage> {
    let pieces = pieces(template)?;
    let objects: Vec<Value> = objects.collect();
    let is_unknown = |path: &&String| !objects.iter().any(|it| field(it, path).is_some());
    let named = pieces.iter().filter_map(TemplatePart::field);
    match named.filter(|_| !objects.is_empty()).find(is_unknown) {
        Some(path) => Err(no_field(path, &objects)),
        None => Ok(objects.iter().map(|it| filled_in(&pieces, it)).collect()),
    }
}

/// Writes such a line for one of many objects, of which not each has every field.
pub(super) fn formatted_one(template: &str, object: &Value) -> Result<String, Usage> {
    Ok(filled_in(&pieces(template)?, object))
}

fn filled_in(pieces: &[TemplatePart], object: &Value) -> String {
    let text = |piece: &TemplatePart| match piece {
        TemplatePart::Text(it) => it.clone(),
        // Not every object has every field.
        TemplatePart::Field(path) => field(object, path).map_or_else(|| UNKNOWN.to_owned(), plain),
    };
    pieces.iter().map(text).collect::<String>() + "\n"
}

fn no_field(path: &str, objects: &[Value]) -> Usage {
    let fields = objects.iter().filter_map(Value::as_object).flat_map(serde_json::Map::keys);
    let known: BTreeSet<&str> = fields.map(String::as_str).collect();
    let known: Vec<&str> = known.into_iter().collect();
    Usage(format!("there is no field `{path}`; known: {}", known.join(" ")))
}

/// A part of a template.
enum TemplatePart {
    Text(String),
    Field(String),
}

impl TemplatePart {
    const fn field(&self) -> Option<&String> {
        match self {
            Self::Text(_) => None,
            Self::Field(path) => Some(path),
        }
    }
}

fn pieces(template: &str) -> Result<Vec<TemplatePart>, Usage> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template.chars();
    while let Some(it) = rest.next() {
        match (it, rest.as_str().chars().next()) {
            ('{', Some('{')) | ('}', Some('}')) => {
                text.push(it);
                rest.next();
            }
            ('{', _) => {
                let name = rest.as_str().split_once('}').map(|(name, _)| name.to_owned());
                let name = name.ok_or_else(|| Usage(format!("`{template}`: a `}}` is missing")))?;
                rest.by_ref().take(name.chars().count() + 1).for_each(drop);
                pieces.push(TemplatePart::Text(std::mem::take(&mut text)));
                pieces.push(TemplatePart::Field(name.trim().to_owned()));
            }
            ('\\', Some(letter @ ('t' | 'n' | '\\'))) => {
                text.push(match letter {
                    't' => '\t',
                    'n' => '\n',
                    other => other,
                });
                rest.next();
            }
            (other, _) => text.push(other),
        }
    }
    pieces.push(TemplatePart::Text(text));
    Ok(pieces)
}

/// Returns the value at `path`; what is not known has no parts either, and is null.
fn field<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |it, name| if it.is_null() { Some(it) } else { it.get(name) })
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => UNKNOWN.to_owned(),
        Value::String(text) => shown(text).into_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            safe_json(&other.to_string())
        }
    }
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
    fn a_template_is_filled_from_the_fields() {
        let object = || {
            serde_json::json!({ "name": "a\u{1b}", "pid": 7, "none": null,
            "ips": ["1", "2"], "in": { "x": true } })
        };
        let filled = |template| formatted(template, [object()].into_iter()).map_err(|it| it.0);
        assert_eq!(
            filled("{name}\\t{pid} {{}} {none} {ips} {in.x}").unwrap(),
            "a\\x1b\t7 {} - 1,2 true\n"
        );
        assert_eq!(filled("{none.pid}é").unwrap(), "-é\n");
        assert!(filled("{label}").unwrap_err().contains("known: in ips name none pid"));
        assert!(filled("{name").is_err() && filled("{pid.x}").is_err());
        let one = formatted_one("{name} {label}", &object()).map_err(|it| it.0);
        assert_eq!(one.unwrap(), "a\\x1b -\n");
        assert_eq!(formatted("x", std::iter::empty()).map_err(|it| it.0).unwrap(), "");
    }

    #[test]
    fn json_holds_nothing_a_terminal_acts_on() {
        let json = serde_json::json!({ "a": "\u{1b}x\u{9b}\u{202e}\u{e0001}é" }).to_string();
        let safe = safe_json(&json);
        assert_eq!(safe, r#"{"a":"\u001bx\u009b\u202e\udb40\udc01é"}"#);
        assert_eq!(
            serde_json::from_str::<Value>(&safe).unwrap(),
            serde_json::from_str::<Value>(&json).unwrap()
        );
    }
}
