//! Passes text, control characters and control sequences to the emulator. Strings (titles,
//! clipboard, hyperlinks, device control) are dropped, since nothing here acts on them and an
//! emulator would store them at any length; so are excess accents on one character.

use unicode_width::UnicodeWidthChar as _;

/// Accents kept on one character.
const MAX_ACCENTS: u8 = 2;
/// Longest control sequence that is passed on.
const MAX_SEQUENCE: usize = 128;

/// Where in the stream we are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ParserState {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC and intermediates, such as `ESC (`.
    Designation,
    /// After `ESC [`.
    Control,
    /// Within OSC, DCS, APC, PM or SOS.
    String,
}

/// The state between two chunks.
#[derive(Debug, Default)]
pub(super) struct Sanitizer {
    state: ParserState,
    /// The escape sequence so far.
    sequence: String,
    /// An incomplete character at the end of the last chunk.
    partial: Vec<u8>,
    /// Accents that the character just passed may still get.
    accents: u8,
    /// Whether the last character passed was an accent, which must not be repeated (REP).
    accented: bool,
}

impl Sanitizer {
    /// Appends the permitted part of `bytes` to `passed`.
    pub(super) fn pass(&mut self, bytes: &[u8], passed: &mut String) {
        let mut all = std::mem::take(&mut self.partial);
        all.extend_from_slice(bytes);
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            for it in chunk.valid().chars() {
                self.step(it, passed);
            }
            let invalid = chunk.invalid();
            let unfinished = std::str::from_utf8(invalid).is_err_and(|it| it.error_len().is_none());
            if unfinished && chunks.peek().is_none() {
                self.partial = invalid.to_vec();
            } else if !invalid.is_empty() {
                self.step(char::REPLACEMENT_CHARACTER, passed);
            }
        }
    }

    fn step(&mut self, it: char, passed: &mut String) {
        match (self.state, it) {
            (_, '\u{1b}') => self.start(),
            // CAN and SUB end any sequence.
            (_, '\u{18}' | '\u{1a}') | (ParserState::String, '\u{7}') => {
                self.state = ParserState::Text;
            }
            (ParserState::String, _) | (_, '\u{80}'..='\u{9f}') => (),
            (ParserState::Text, _) => self.text(it, passed),
            (_, '\0'..='\u{1f}' | '\u{7f}') => passed.push(it),
            (ParserState::Escape, '[') => self.go(ParserState::Control, it),
            (ParserState::Escape, ']' | 'P' | 'X' | '^' | '_') => self.state = ParserState::String,
            (ParserState::Escape, ' '..='/') => self.go(ParserState::Designation, it),
            (ParserState::Designation, ' '..='/') | (ParserState::Control, ' '..='?') => {
                self.go(self.state, it);
            }
            (ParserState::Escape | ParserState::Designation | ParserState::Control, _) => {
                self.finish(it, passed);
            }
        }
    }

    fn start(&mut self) {
        self.state = ParserState::Escape;
        self.sequence.clear();
        self.sequence.push('\u{1b}');
        self.accents = 0;
    }

    fn go(&mut self, state: ParserState, it: char) {
        self.state = state;
        if self.sequence.len() <= MAX_SEQUENCE {
            self.sequence.push(it);
        }
    }

    fn finish(&mut self, it: char, passed: &mut String) {
        let repeat = self.state == ParserState::Control && it == 'b';
        self.state = ParserState::Text;
        let sane = it.is_ascii() && self.sequence.len() <= MAX_SEQUENCE;
        if sane && !(repeat && self.accented) {
            passed.push_str(&self.sequence);
            passed.push(it);
        }
    }

    fn text(&mut self, it: char, passed: &mut String) {
        if it.is_ascii_graphic() || it == ' ' || it.width().is_some_and(|width| width > 0) {
            self.accents = MAX_ACCENTS;
            self.accented = false;
            passed.push(it);
        } else if it.is_control() {
            self.accents = 0;
            passed.push(it);
        } else if let Some(left) = self.accents.checked_sub(1) {
            self.accents = left;
            self.accented = true;
            passed.push(it);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(chunks: &[&[u8]]) -> String {
        let mut sanitizer = Sanitizer::default();
        let mut passed = String::new();
        for chunk in chunks {
            sanitizer.pass(chunk, &mut passed);
        }
        passed
    }

    #[test]
    fn text_and_sequences_pass_however_they_are_cut() {
        let bytes = "a\u{1b}[1;31mñ漢\u{1b}(B\r\n\u{1b}7é\u{1b}[?25l".as_bytes();
        let whole = passed(&[bytes]);
        assert_eq!(whole.as_bytes(), bytes);
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(passed(&single), whole);
    }

    #[test]
    fn strings_are_dropped_whole() {
        assert_eq!(passed(&[b"a\x1b]0;title\x07b"]), "ab");
        assert_eq!(passed(&[b"a\x1b]52;c;aGk=\x1b\\b"]), "a\u{1b}\\b");
        assert_eq!(passed(&[b"a\x1bPq#0~\x1b\\", b"b"]), "a\u{1b}\\b");
        let endless = [b"\x1b]0;".as_slice(), &b"x".repeat(100_000)].concat();
        assert_eq!(passed(&[&endless, b"y\x18z"]), "z");
    }

    #[test]
    fn accents_have_an_end() {
        let flood = format!("a{}", "\u{301}".repeat(1000));
        assert_eq!(passed(&[flood.as_bytes()]).chars().count(), 3);
        let homed = "a".to_owned() + &"\u{1b}[H\u{301}".repeat(100);
        assert!(!passed(&[homed.as_bytes()]).contains('\u{301}'));
        assert_eq!(passed(&["a\u{301}\u{1b}[65535b".as_bytes()]), "a\u{301}");
    }

    #[test]
    fn broken_text_is_replaced() {
        assert_eq!(passed(&[b"a\xffb\xe6\xbc", b"\xa2"]), "a\u{fffd}b漢");
        assert_eq!(passed(&[b"\xe6\xbc", b"x"]), "\u{fffd}x");
        assert_eq!(passed(&["\u{9b}31m".as_bytes()]), "31m");
    }
}
