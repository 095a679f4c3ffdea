//! One line of text that the operator edits.

use ratatui::style::{Modifier, Style};

use super::look::Look;
use super::pen::{Pen, width};

/// Longest text that can be typed or pasted, in bytes.
const MAX_BYTES: usize = 4096;

/// The text and the place of the caret, always between two characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    before: String,
    after: String,
    /// The text is a suggestion: typing replaces it, moving the caret accepts it.
    offered: bool,
}

impl Input {
    /// Starts with `text` and the caret at its end.
    pub fn new(text: &str) -> Self {
        let mut input = Self::default();
        input.insert(text);
        input
    }

    /// Starts with `text` as a suggestion.
    pub fn offer(text: &str) -> Self {
        Self { offered: !text.is_empty(), ..Self::new(text) }
    }

    /// Returns the whole text.
    pub fn text(&self) -> String {
        [self.before.as_str(), self.after.as_str()].concat()
    }

    /// Returns what is before the caret and what is after it.
    pub fn halves(&self) -> (&str, &str) {
        (&self.before, &self.after)
    }

    /// Returns whether the text is still the suggestion.
    pub const fn is_offer(&self) -> bool {
        self.offered
    }

    pub const fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// Types or pastes `text` at the caret. Control characters are left out.
    pub fn insert(&mut self, text: &str) {
        if std::mem::take(&mut self.offered) {
            self.clear();
        }
        for it in text.chars().filter(|it| !it.is_control()) {
            if self.before.len() + self.after.len() + it.len_utf8() > MAX_BYTES {
                return;
            }
            self.before.push(it);
        }
    }

    /// Replaces everything, the caret at the end.
    pub fn set(&mut self, text: &str) {
        self.clear();
        self.insert(text);
    }

    pub fn clear(&mut self) {
        self.offered = false;
        self.before.clear();
        self.after.clear();
    }

    /// Removes the character before the caret; returns whether there was one.
    pub fn backspace(&mut self) -> bool {
        self.offered = false;
        self.before.pop().is_some()
    }

    /// Removes the character after the caret.
    pub fn delete(&mut self) {
        self.offered = false;
        if let Some(first) = self.after.chars().next() {
            self.after.drain(..first.len_utf8());
        }
    }

    pub fn left(&mut self) {
        self.offered = false;
        if let Some(last) = self.before.pop() {
            self.after.insert(0, last);
        }
    }

    pub fn right(&mut self) {
        self.offered = false;
        if let Some(first) = self.after.chars().next() {
            self.after.drain(..first.len_utf8());
            self.before.push(first);
        }
    }

    pub fn home(&mut self) {
        self.offered = false;
        self.after.insert_str(0, &self.before);
        self.before.clear();
    }

    pub fn end(&mut self) {
        self.offered = false;
        self.before.push_str(&self.after);
        self.after.clear();
    }

    /// Removes the word before the caret and the blanks after it.
    pub fn delete_word(&mut self) {
        self.offered = false;
        let trimmed = self.before.trim_end();
        let keep = trimmed.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        self.before.truncate(keep);
    }

    /// Removes everything before the caret.
    pub fn delete_to_start(&mut self) {
        self.offered = false;
        self.before.clear();
    }

    /// Removes everything after the caret.
    pub fn delete_to_end(&mut self) {
        self.offered = false;
        self.after.clear();
    }
}

/// Draws `input` into the cells that `pen` has left; the caret is a reversed cell, and is always
/// visible. `hint` is shown dim while nothing is typed.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub look: &'a Look,
    pub input: &'a Input,
    pub hint: &'a str,
    pub focused: bool,
    pub style: Style,
}

impl Field<'_> {
    pub fn draw(self, pen: &mut Pen<'_>) {
        let (before, after) = self.input.halves();
        let room = pen.left();
        if !self.focused {
            let text = if self.input.is_empty() { self.hint } else { before };
            let style = if self.input.is_empty() { self.look.dim } else { self.style };
            if after.is_empty() || self.input.is_empty() {
                pen.clip(text, style, self.look.glyphs.ellipsis);
            } else {
                pen.clip(&self.input.text(), style, self.look.glyphs.ellipsis);
            }
            return;
        }
        let offer = if self.input.is_offer() { Modifier::REVERSED } else { Modifier::empty() };
        pen.put(tail(before, room.saturating_sub(1)), self.style.add_modifier(offer));
        let mut rest = after.chars();
        let caret = rest.next();
        let under = caret.map_or_else(|| " ".to_owned(), String::from);
        pen.put(&under, self.style.add_modifier(Modifier::REVERSED));
        if self.input.is_empty() {
            pen.clip(self.hint, self.look.dim, self.look.glyphs.ellipsis);
        } else {
            pen.put(rest.as_str(), self.style);
        }
    }
}

/// Returns as much of the end of `text` as fits into `room` cells.
fn tail(text: &str, room: usize) -> &str {
    let mut rest = text.chars();
    while width(rest.as_str()) > room && rest.next().is_some() {}
    rest.as_str()
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    use super::super::look::tests::{lines, plain};
    use super::*;

    #[test]
    fn editing_moves_by_characters() {
        let mut input = Input::new("añ漢");
        input.left();
        input.left();
        input.delete();
        input.insert("b\u{1b}\n");
        assert_eq!(input.halves(), ("ab", "漢"));
        input.home();
        input.right();
        assert_eq!(input.halves(), ("a", "b漢"));
        assert!(input.backspace());
        assert!(!input.backspace());
        input.end();
        assert_eq!(input.text(), "b漢");
    }

    #[test]
    fn typing_replaces_an_offer_and_moving_accepts_it() {
        let mut input = Input::offer("64M");
        input.insert("1");
        input.insert("G");
        assert_eq!(input.text(), "1G");
        let mut input = Input::offer("64M");
        input.left();
        input.insert("0");
        assert_eq!(input.text(), "640M");
        let mut input = Input::offer("64M");
        input.backspace();
        assert_eq!(input.text(), "64");
    }

    #[test]
    fn words_go_as_a_whole() {
        let mut input = Input::new("one two  ");
        input.delete_word();
        assert_eq!(input.text(), "one ");
        input.delete_word();
        assert_eq!(input.text(), "");
    }

    #[test]
    fn typed_text_is_bounded() {
        let mut input = Input::new(&"x".repeat(MAX_BYTES * 2));
        assert_eq!(input.text().len(), MAX_BYTES);
        input.set("y");
        assert_eq!(input.text(), "y");
    }

    #[test]
    fn the_caret_stays_in_sight() {
        let look = plain();
        let mut buf = Buffer::empty(Rect::new(0, 0, 5, 1));
        let input = Input::new("abcdefgh");
        let field = Field { look: &look, input: &input, hint: "", focused: true, style: look.fg };
        field.draw(&mut Pen::new(&mut buf, 0, 0, 5));
        assert_eq!(lines(&buf), ["efgh "]);
        assert!(buf.content[4].modifier.contains(Modifier::REVERSED));
    }
}
