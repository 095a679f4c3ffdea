//! Encodes keys as the bytes that a program on an xterm expects. Pure.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::widgets::grid::Modes;

/// Marks around pasted text.
const PASTE: [&str; 2] = ["\u{1b}[200~", "\u{1b}[201~"];

/// Returns what a terminal sends for `key`; nothing for keys it has no code for.
pub fn encode(key: KeyEvent, modes: Modes) -> Vec<u8> {
    let mut bytes = Vec::new();
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let modifier = modifier(key.modifiers);
    match key.code {
        KeyCode::Char(it) => {
            prefix(alt, &mut bytes);
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            match control.then(|| control_code(it)).flatten() {
                Some(code) => bytes.push(code),
                None => bytes.extend_from_slice(it.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        KeyCode::Enter => plain(alt, b"\r", &mut bytes),
        KeyCode::Tab => plain(alt, b"\t", &mut bytes),
        KeyCode::Backspace => plain(alt, b"\x7f", &mut bytes),
        KeyCode::Esc => plain(alt, b"\x1b", &mut bytes),
        KeyCode::Null => plain(alt, b"\0", &mut bytes),
        KeyCode::BackTab => bytes.extend_from_slice(b"\x1b[Z"),
        KeyCode::Up => cursor('A', modifier, modes, &mut bytes),
        KeyCode::Down => cursor('B', modifier, modes, &mut bytes),
        KeyCode::Right => cursor('C', modifier, modes, &mut bytes),
        KeyCode::Left => cursor('D', modifier, modes, &mut bytes),
        KeyCode::Home => cursor('H', modifier, modes, &mut bytes),
        KeyCode::End => cursor('F', modifier, modes, &mut bytes),
        KeyCode::Insert => numbered(2, modifier, &mut bytes),
        KeyCode::Delete => numbered(3, modifier, &mut bytes),
        KeyCode::PageUp => numbered(5, modifier, &mut bytes),
        KeyCode::PageDown => numbered(6, modifier, &mut bytes),
        KeyCode::F(number) => function(number, modifier, &mut bytes),
        KeyCode::CapsLock
        | KeyCode::ScrollLock
        | KeyCode::NumLock
        | KeyCode::PrintScreen
        | KeyCode::Pause
        | KeyCode::Menu
        | KeyCode::KeypadBegin
        | KeyCode::Media(_)
        | KeyCode::Modifier(_) => (),
    }
    bytes
}

/// Returns what a terminal sends for pasted `text`. The text cannot end the paste by itself.
pub fn paste(text: &str, modes: Modes) -> Vec<u8> {
    let text: String = text
        .replace("\r\n", "\r")
        .replace('\n', "\r")
        .chars()
        .filter(|it| !it.is_control() || matches!(it, '\r' | '\t'))
        .collect();
    if modes.bracketed_paste {
        let [start, end] = PASTE;
        return [start, &text, end].concat().into_bytes();
    }
    text.into_bytes()
}

fn prefix(alt: bool, bytes: &mut Vec<u8>) {
    if alt {
        bytes.push(0x1b);
    }
}

fn plain(alt: bool, code: &[u8], bytes: &mut Vec<u8>) {
    prefix(alt, bytes);
    bytes.extend_from_slice(code);
}

/// The control code of a character, as on a VT keyboard.
fn control_code(it: char) -> Option<u8> {
    let byte = u8::try_from(it).ok()?;
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'[' | b'\\' | b']' | b'^' | b'_' | b'@' => Some(byte & 0x1f),
        b' ' | b'2' => Some(0),
        b'3'..=b'7' => Some(byte - b'3' + 0x1b),
        b'8' | b'?' => Some(0x7f),
        b'/' => Some(0x1f),
        _ => None,
    }
}

/// xterm's number for modifiers: one more than the sum of shift 1, alt 2, control 4.
fn modifier(keys: KeyModifiers) -> u8 {
    1 + u8::from(keys.contains(KeyModifiers::SHIFT))
        + 2 * u8::from(keys.contains(KeyModifiers::ALT))
        + 4 * u8::from(keys.contains(KeyModifiers::CONTROL))
}

fn cursor(letter: char, modifier: u8, modes: Modes, bytes: &mut Vec<u8>) {
    let text = if modifier > 1 {
        format!("\u{1b}[1;{modifier}{letter}")
    } else if modes.application_cursor {
        format!("\u{1b}O{letter}")
    } else {
        format!("\u{1b}[{letter}")
    };
    bytes.extend_from_slice(text.as_bytes());
}

fn numbered(number: u8, modifier: u8, bytes: &mut Vec<u8>) {
    let text = if modifier > 1 {
        format!("\u{1b}[{number};{modifier}~")
    } else {
        format!("\u{1b}[{number}~")
    };
    bytes.extend_from_slice(text.as_bytes());
}

fn function(number: u8, modifier: u8, bytes: &mut Vec<u8>) {
    let code = match number {
        1..=4 => {
            let letter = char::from(b'P' + number - 1);
            let text = if modifier > 1 {
                format!("\u{1b}[1;{modifier}{letter}")
            } else {
                format!("\u{1b}O{letter}")
            };
            return bytes.extend_from_slice(text.as_bytes());
        }
        5 => 15,
        6..=10 => number + 11,
        11..=14 => number + 12,
        15 | 16 => number + 13,
        17..=20 => number + 14,
        _ => return,
    };
    numbered(code, modifier, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(code: KeyCode, modifiers: KeyModifiers, modes: Modes) -> String {
        String::from_utf8(encode(KeyEvent::new(code, modifiers), modes)).unwrap()
    }

    #[test]
    fn keys_are_sent_as_xterm_sends_them() {
        let none = KeyModifiers::NONE;
        let (control, alt, shift) = (KeyModifiers::CONTROL, KeyModifiers::ALT, KeyModifiers::SHIFT);
        for (code, modifiers, expected) in [
            (KeyCode::Char('ñ'), none, "ñ"),
            (KeyCode::Char('c'), control, "\x03"),
            (KeyCode::Char(' '), control, "\0"),
            (KeyCode::Char(']'), control, "\x1d"),
            (KeyCode::Char('5'), control, "\x1d"),
            (KeyCode::Char('x'), alt, "\x1bx"),
            (KeyCode::Char('X'), shift, "X"),
            (KeyCode::Enter, none, "\r"),
            (KeyCode::Backspace, alt, "\x1b\x7f"),
            (KeyCode::BackTab, shift, "\x1b[Z"),
            (KeyCode::Up, none, "\x1b[A"),
            (KeyCode::Left, control, "\x1b[1;5D"),
            (KeyCode::Delete, none, "\x1b[3~"),
            (KeyCode::PageUp, shift, "\x1b[5;2~"),
            (KeyCode::F(1), none, "\x1bOP"),
            (KeyCode::F(5), none, "\x1b[15~"),
            (KeyCode::F(10), none, "\x1b[21~"),
            (KeyCode::F(12), none, "\x1b[24~"),
            (KeyCode::F(2), control, "\x1b[1;5Q"),
            (KeyCode::F(99), none, ""),
        ] {
            assert_eq!(sent(code, modifiers, Modes::default()), expected, "{code:?} {modifiers:?}");
        }
        let application = Modes { application_cursor: true, ..Modes::default() };
        assert_eq!(sent(KeyCode::Up, none, application), "\x1bOA");
        assert_eq!(sent(KeyCode::Up, shift, application), "\x1b[1;2A");
    }

    #[test]
    fn pasted_text_cannot_end_the_paste() {
        assert_eq!(paste("a\nb\x1b[201~c", Modes::default()), b"a\rb[201~c");
        let bracketed = Modes { bracketed_paste: true, ..Modes::default() };
        assert_eq!(paste("a", bracketed), b"\x1b[200~a\x1b[201~");
    }
}
