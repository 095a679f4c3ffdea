//! A small box in the lower right corner: which keys may follow the one just pressed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::frame::Frame;
use super::look::Look;
use super::pen::{Pen, clear, width};

/// One key, what it does, and whether it can be done now.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    pub key: &'a str,
    pub label: &'a str,
    pub enabled: bool,
}

/// The keys that may follow.
#[derive(Clone, Debug)]
pub struct Popup<'a> {
    pub look: &'a Look,
    pub title: &'a str,
    pub choices: &'a [Choice<'a>],
}

impl Popup<'_> {
    /// Returns how many rows the box takes.
    pub fn height(&self) -> u16 {
        u16::try_from(self.choices.len() + 2).unwrap_or(u16::MAX)
    }

    /// Draws the box into the lower right corner of `area`.
    pub fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        let keys = self.choices.iter().map(|it| width(it.key)).max().unwrap_or(0);
        let labels = self.choices.iter().map(|it| width(it.label)).max().unwrap_or(0);
        let wide = (keys + labels + 6).max(width(self.title) + 6);
        let wide = u16::try_from(wide).unwrap_or(u16::MAX).min(area.width);
        let high = self.height().min(area.height);
        let place = Rect::new(area.right() - wide, area.bottom() - high, wide, high);
        clear(buf, place, self.look.fg);
        let title = [(self.title, self.look.accent)];
        let inner = Frame { focused: true, ..Frame::titled(self.look, &title) }.render(place, buf);
        for (choice, row) in self.choices.iter().zip(inner.rows()) {
            let (key, text) = if choice.enabled {
                (self.look.key, self.look.fg)
            } else {
                (self.look.dim, self.look.dim)
            };
            let mut pen = Pen::line(buf, row);
            pen.skip(1 + keys - width(choice.key)).put(choice.key, key);
            pen.skip(2).clip(choice.label, text, self.look.glyphs.ellipsis);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::{lines, plain};
    use super::*;

    #[test]
    fn keys_stand_in_a_column() {
        let look = plain();
        let mut buf = Buffer::empty(Rect::new(0, 0, 18, 5));
        let choices = [
            Choice { key: "c", label: "by CPU", enabled: true },
            Choice { key: "Esc", label: "back", enabled: true },
        ];
        Popup { look: &look, title: "sort", choices: &choices }.render(buf.area, &mut buf);
        let expected = ["   ╭─ sort ──────╮", "   │   c  by CPU │", "   │ Esc  back   │"];
        assert_eq!(lines(&buf)[1..4], expected);
    }
}
