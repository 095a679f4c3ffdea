//! A message above the last row: one line, or as many as its text needs.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::look::Look;
use super::pen::{Pen, Piece, pieces_width, width};
use super::text::wrap;

/// Cells between the text and the hints.
const GAP: usize = 2;

/// A glyph in a colour, a text, and hints at the right, each a key and its word, that give way to
/// the text from the last.
#[derive(Clone, Debug)]
pub struct Toast<'a> {
    pub look: &'a Look,
    pub glyph: Piece<'a>,
    pub text: &'a str,
    pub style: Style,
    pub hints: &'a [Piece<'a>],
    /// This many hints always stay; the text is cut to make room.
    pub kept: usize,
}

/// Where the parts of a toast are.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The text, a row each; only the last can be longer than its row.
    pub lines: Vec<Cow<'a, str>>,
    /// This many pieces of the hints are shown, in the last row from this cell on.
    pub hints: usize,
    pub hints_at: usize,
    pub rows: usize,
    /// Some of the text is not shown.
    pub cut: bool,
}

impl<'a> Toast<'a> {
    /// Returns where the parts are in up to `rows` rows of `wide` cells. The text is wrapped only
    /// if it does not fit into one row.
    pub fn parts(&self, wide: usize, rows: usize) -> Parts<'a> {
        let start = self.start();
        let room = wide.saturating_sub(start);
        let all = pieces_width(self.hints);
        let text = width(self.text);
        if rows > 1 && text > self.text_room(room) {
            return self.wrapped(wide, rows);
        }
        let fits = |hints: &[Piece<'_>]| text + pieces_width(hints) + GAP < room;
        // Each hint is a key and its word; the first is dropped last.
        let pairs = (1..=self.hints.len() / 2).rev().map(|it| 2 * it);
        let shown = pairs.into_iter().find(|it| fits(self.hints.get(..*it).unwrap_or_default()));
        let kept = 2 * self.kept;
        let (hints, margin) = shown.map_or((kept, 0), |it| (it, 1));
        let taken = self.hints.get(..hints).map_or(all, pieces_width);
        Parts {
            lines: vec![self.text.into()],
            hints,
            hints_at: wide.saturating_sub(taken + margin),
            rows: 1,
            cut: shown.is_none() && text > self.text_room(room),
        }
    }

    /// Draws into `area`, at most one row if `rows` is one.
    pub fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        let (start, wide) = (self.start(), usize::from(area.width));
        let parts = self.parts(wide, usize::from(area.height));
        let (glyph, colour) = self.glyph;
        let hints = self.hints.get(..parts.hints).unwrap_or_default();
        for (at, row) in area.rows().enumerate().take(parts.rows) {
            let mut pen = Pen::line(buf, row);
            let last = at + 1 == parts.rows;
            if parts.rows > 1 {
                // It covers something else, and must not look like a part of it.
                pen.wash(self.look.bar);
            }
            if at == 0 {
                pen.skip(1).put(glyph, colour);
            }
            pen.to(start);
            let room =
                if last && !hints.is_empty() { parts.hints_at.saturating_sub(GAP) } else { wide };
            if let Some(line) = parts.lines.get(at) {
                pen.part(room.saturating_sub(start)).clip(
                    line,
                    self.style,
                    self.look.glyphs.ellipsis,
                );
            }
            if last {
                pen.to(parts.hints_at).pieces(hints);
            }
        }
    }

    /// The cell at which the text begins.
    fn start(&self) -> usize {
        let (glyph, _) = self.glyph;
        1 + width(glyph) + usize::from(!glyph.is_empty())
    }

    /// How many cells the text has in one row beside the hints that stay.
    fn text_room(&self, room: usize) -> usize {
        let kept = self.hints.get(..2 * self.kept).unwrap_or_default();
        room.saturating_sub(pieces_width(kept) + if kept.is_empty() { 0 } else { GAP })
    }

    /// The text in several rows, with the hints in the last one.
    fn wrapped(&self, wide: usize, rows: usize) -> Parts<'a> {
        let room = wide.saturating_sub(self.start() + 1);
        let mut lines: Vec<Cow<'a, str>> =
            wrap(self.text, room).into_iter().map(Cow::Borrowed).collect();
        let taken = pieces_width(self.hints);
        let last = lines.last().map_or(0, |it| width(it));
        let own_row = usize::from(taken > 0 && last + GAP + taken > room);
        let cut = lines.len() + own_row > rows;
        if cut {
            let rest = lines.split_off(rows - 1).join(" ");
            lines.push(rest.into());
        }
        Parts {
            rows: (lines.len() + own_row).min(rows),
            lines,
            hints: self.hints.len(),
            hints_at: wide.saturating_sub(taken + 1),
            cut,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::{lines, plain};
    use super::*;

    /// Draws a text with two hints into this many cells and rows.
    fn toast(text: &str, cells: u16, rows: u16, kept: usize) -> (Vec<String>, bool) {
        let look = plain();
        let hints = [("z", look.key), (" undo ", look.dim), ("J", look.key), (" all", look.dim)];
        let glyph = ("✓", look.ok);
        let toast = Toast { look: &look, glyph, text, style: look.fg, hints: &hints, kept };
        let parts = toast.parts(cells.into(), rows.into());
        let (rows, cut) = (parts.rows as u16, parts.cut);
        let mut buf = Buffer::empty(Rect::new(0, 0, cells, rows));
        toast.render(buf.area, &mut buf);
        (lines(&buf), cut)
    }

    #[test]
    fn hints_give_way_to_the_text() {
        let one = |width, kept| toast("web frozen", width, 1, kept).0.remove(0);
        assert_eq!(one(28, 0), " ✓ web frozen  z undo J all ");
        assert_eq!(one(24, 1), " ✓ web frozen   z undo  ");
        assert_eq!(one(14, 0), " ✓ web frozen ");
        assert_eq!(one(10, 0), " ✓ web fr…");
        assert_eq!(one(18, 1), " ✓ web f…  z undo ");
    }

    #[test]
    fn a_long_text_takes_the_rows_that_it_needs() {
        let long = "cannot stop web: it is stopped";
        assert_eq!(toast("web frozen", 20, 3, 0), (vec![" ✓ web frozen       ".to_owned()], false));
        let (lines, cut) = toast(long, 20, 4, 0);
        let rows = [
            " ✓ cannot stop      ",
            "   web: it is       ",
            "   stopped          ",
            "       z undo J all ",
        ];
        assert_eq!((lines, cut), (rows.map(str::to_owned).to_vec(), false));
        let (lines, cut) = toast(long, 34, 4, 0);
        assert_eq!(lines, [" ✓ cannot stop web: it is stopped "], "{cut}");
        let (lines, cut) = toast(long, 20, 2, 0);
        assert!(cut && lines[1].contains('…') && lines[1].ends_with("J all "), "{lines:?}");
    }
}
