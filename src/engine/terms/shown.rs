//! Turns text from containers, files and operators into text that is safe on a terminal.
//!
//! Everything that wharf did not write itself passes through here before it is printed or painted.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Characters that a terminal acts on, or that hide or reorder text: control characters, line and
/// paragraph separators, and those that Unicode calls ignorable or directional controls. The three
/// interlinear marks are invisible too, and have no fitting property.
const HOSTILE: &str =
    r"[\p{Cc}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}\x{fff9}-\x{fffb}]";

/// Compiled for the first text that is not plain ASCII.
static HOSTILE_CHARACTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(HOSTILE).ok());

/// Makes every character that a terminal would act on, or that would hide or reorder text,
/// visible: control bytes as `\xNN`, the rest as `<U+NNNN>`. Other text is returned as it is.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|it| matches!(it, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    // Without the table, which takes a millisecond to make: a control character may be the newline
    // at the end of a number.
    if text.is_ascii() {
        return Cow::Owned(text.chars().map(visible).collect());
    }
    // Without the table, whose presence a test checks, only ASCII would be trusted.
    let Some(hostile) = HOSTILE_CHARACTER.as_ref() else {
        return Cow::Owned(text.chars().map(visible).collect());
    };
    hostile.replace_all(text, |found: &Captures<'_>| {
        found
            .get(0)
            .map(|it| it.as_str().chars().map(visible).collect::<String>())
            .unwrap_or_default()
    })
}

/// Spells out a character unless it is printable ASCII.
fn visible(it: char) -> String {
    match it {
        ' '..='~' => it.to_string(),
        '\0'..='\u{ff}' => format!("\\x{:02x}", it as u32),
        _ => format!("<U+{:04X}>", it as u32),
    }
}

/// The same for bytes; invalid UTF-8 is shown as `\xNN`.
pub fn shown_bytes(bytes: &[u8]) -> String {
    let mut safe = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        safe.push_str(&shown(chunk.valid()));
        for byte in chunk.invalid() {
            _ = write!(safe, "\\x{byte:02x}");
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_is_not_copied() {
        assert!(matches!(shown("nginx: worker é 漢"), Cow::Borrowed(_)));
    }

    #[test]
    fn control_sequences_become_visible() {
        assert_eq!(shown("a\u{1b}[2Jb\n"), "a\\x1b[2Jb\\x0a");
        assert_eq!(shown("\u{9b}31m"), "\\x9b31m");
        assert_eq!(shown("x\u{202e}y"), "x<U+202E>y");
        assert_eq!(shown("1\t2\u{7f}"), "1\\x092\\x7f");
        assert_eq!(shown_bytes(b"ok\xff\x1b"), "ok\\xff\\x1b");
    }

    #[test]
    fn invisible_characters_are_escaped() {
        assert!(HOSTILE_CHARACTER.is_some());
        let ranges = [
            (0xad, 0xad),
            (0x34f, 0x34f),
            (0x61c, 0x61c),
            (0x115f, 0x1160),
            (0x17b4, 0x17b5),
            (0x180b, 0x180f),
            (0x200b, 0x200f),
            (0x2028, 0x202e),
            (0x2060, 0x206f),
            (0x3164, 0x3164),
            (0xfe00, 0xfe0f),
            (0xfeff, 0xfeff),
            (0xffa0, 0xffa0),
            (0xfff0, 0xfffb),
            (0x1bca0, 0x1bca3),
            (0x1d173, 0x1d17a),
            (0xe0000, 0xe0fff),
        ];
        for it in ranges.into_iter().flat_map(|(first, last)| first..=last) {
            let it = char::from_u32(it).unwrap();
            let safe = shown(&format!("a{it}b")).into_owned();
            assert!(safe.is_ascii() && safe.len() > 3, "U+{:04X} is shown as {safe:?}", it as u32);
        }
        let names = ["web\u{ad}", "web\u{3164}", "web"].map(|it| shown(it).into_owned());
        assert_eq!(names, ["web\\xad", "web<U+3164>", "web"]);
    }

    #[test]
    fn text_written_by_people_is_kept() {
        for text in
            ["Ünïcode", "日本語", "привет", "שלום", "سلام", "हिन्दी", "e\u{301}", "🚢", "a\u{a0}b"]
        {
            assert!(matches!(shown(text), Cow::Borrowed(_)), "{text}");
        }
    }
}
