//! Turns text from containers, files and operators into text that is safe on a terminal.
//!
//! Everything that wharf did not write itself passes through here before it is printed or painted.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Makes every character that a terminal would act on, or that would hide or reorder text,
/// visible: control bytes as `\xNN`, the rest as `<U+NNNN>`. Other text is returned as it is.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for it in text.chars() {
        if !is_hostile(it) {
            safe.push(it);
        } else if (it as u32) < 0x100 {
            // Writing to a String cannot fail.
            _ = write!(safe, "\\x{:02x}", it as u32);
        } else {
            _ = write!(safe, "<U+{:04X}>", it as u32);
        }
    }
    Cow::Owned(safe)
}

/// The same for bytes; what is not UTF-8 is shown as `\xNN`.
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

/// C0, DEL, C1, and the characters of Unicode that are invisible or change direction.
const fn is_hostile(it: char) -> bool {
    matches!(it,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
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
        assert_eq!(shown_bytes(b"ok\xff\x1b"), "ok\\xff\\x1b");
    }
}
