//! One line that reports a result.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::look::Look;
use super::pen::{Pen, Piece, pieces_width};

/// A glyph in a colour, a text, and hints at the right, each a key and its word, that give way to
/// the text from the last.
#[derive(Clone, Debug)]
pub struct Toast<'a> {
    pub look: &'a Look,
    pub glyph: Piece<'a>,
    pub text: &'a str,
    pub style: Style,
    pub hints: &'a [Piece<'a>],
    /// So many hints stay, and the text is cut for them.
    pub kept: usize,
}

impl Toast<'_> {
    /// Draws into the first row of `area`.
    pub fn render(self, area: Rect, buf: &mut Buffer) {
        let mut pen = Pen::line(buf, area.intersection(buf.area));
        let (glyph, colour) = self.glyph;
        pen.skip(1).put(glyph, colour);
        if !glyph.is_empty() {
            pen.put(" ", self.style);
        }
        let room = pen.left();
        let fits =
            |hints: &[Piece<'_>]| super::pen::width(self.text) + pieces_width(hints) + 3 <= room;
        // Each hint is a key and its word; the first is dropped last.
        let pairs = (1..=self.hints.len() / 2).rev().filter_map(|it| self.hints.get(..2 * it));
        if let Some(hints) = pairs.into_iter().find(|it| fits(it)) {
            pen.put(self.text, self.style);
            pen.skip(pen.left().saturating_sub(pieces_width(hints) + 1)).pieces(hints);
        } else {
            let kept = self.hints.get(..2 * self.kept).unwrap_or_default();
            let gap = if kept.is_empty() { 0 } else { 2 };
            let text = pen.left().saturating_sub(pieces_width(kept) + gap);
            pen.part(text).clip(self.text, self.style, self.look.glyphs.ellipsis);
            pen.skip(gap).pieces(kept);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::{lines, plain};
    use super::*;

    #[test]
    fn hints_give_way_to_the_text() {
        let look = plain();
        let toast = |width, kept| {
            let mut buf = Buffer::empty(Rect::new(0, 0, width, 1));
            let hints =
                [("z", look.key), (" undo ", look.dim), ("J", look.key), (" all", look.dim)];
            let toast = Toast {
                look: &look,
                glyph: ("✓", look.ok),
                text: "web frozen",
                style: look.fg,
                hints: &hints,
                kept,
            };
            toast.render(buf.area, &mut buf);
            lines(&buf).remove(0)
        };
        assert_eq!(toast(28, 0), " ✓ web frozen  z undo J all ");
        assert_eq!(toast(24, 1), " ✓ web frozen   z undo  ");
        assert_eq!(toast(14, 0), " ✓ web frozen ");
        assert_eq!(toast(10, 0), " ✓ web fr…");
        assert_eq!(toast(18, 1), " ✓ web f…  z undo ");
    }
}
