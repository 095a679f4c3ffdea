//! A rounded box with titles set into its lines.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::look::Look;
use super::pen::{Pen, Piece, clear, pieces_width, shortened, width};

/// A box. Titles that do not fit give way: first the one on the right, then the end of the left.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    pub look: &'a Look,
    /// In the upper line, from the left.
    pub left: &'a [Piece<'a>],
    /// In the upper line, at the right.
    pub right: &'a [Piece<'a>],
    /// In the lower line, at the right.
    pub foot: &'a [Piece<'a>],
    /// Whether the box has the keyboard.
    pub focused: bool,
}

/// A corner, a line, a space, and the same at the other end.
pub const TITLE_MARGIN: usize = 6;
/// A name is not shortened below this for the title on the right.
const LEAST_NAME: usize = 12;

impl<'a> Frame<'a> {
    /// A box with a title on the left and no more.
    pub const fn titled(look: &'a Look, left: &'a [Piece<'a>]) -> Self {
        Self { look, left, right: &[], foot: &[], focused: false }
    }

    /// Draws the box and returns the area within.
    pub fn render(self, area: Rect, buf: &mut Buffer) -> Rect {
        let area = area.intersection(buf.area);
        if area.width < 2 || area.height < 2 {
            return Rect { width: 0, height: 0, ..area };
        }
        let glyphs = self.look.glyphs;
        let line = if self.focused { self.look.accent } else { self.look.line };
        let inner = usize::from(area.width - 2);
        let (right, bottom) = (area.right() - 1, area.bottom() - 1);
        for (y, open, close) in [
            (area.y, glyphs.top_left, glyphs.top_right),
            (bottom, glyphs.bottom_left, glyphs.bottom_right),
        ] {
            let mut pen = Pen::new(buf, area.x, y, area.width);
            pen.put(open, line).repeat(glyphs.horizontal, inner, line).put(close, line);
        }
        for y in area.y + 1..bottom {
            Pen::new(buf, area.x, y, 1).put(glyphs.vertical, line);
            Pen::new(buf, right, y, 1).put(glyphs.vertical, line);
        }
        self.titles(area, buf);
        Rect::new(area.x + 1, area.y + 1, area.width - 2, area.height - 2)
    }

    fn titles(&self, area: Rect, buf: &mut Buffer) {
        let room = usize::from(area.width).saturating_sub(TITLE_MARGIN);
        let pieces = self.fitting(room);
        let left = pieces.iter().map(|(text, _)| width(text)).sum::<usize>().min(room);
        if left > 0 {
            let place = Rect::new(area.x + 2, area.y, left as u16 + 2, 1);
            clear(buf, place.intersection(area), self.look.fg);
            let mut pen = Pen::line(buf, place);
            pen.put(" ", self.look.fg);
            let mut part = pen.part(left);
            for (text, style) in &pieces {
                part.clip(text, *style, self.look.glyphs.ellipsis);
            }
            pen.put(" ", self.look.fg);
        }
        let taken = if left > 0 { left + 3 } else { 0 };
        let upper = Rect { height: 1, ..area };
        self.at_right(self.right, room.saturating_sub(taken), upper, buf);
        let lower = Rect { y: area.bottom() - 1, ..upper };
        self.at_right(self.foot, room, lower, buf);
    }

    /// Sets `pieces` into a line of the box so that they end before its corner; leaves them out
    /// when they do not fit into `room`.
    fn at_right(&self, pieces: &[Piece<'_>], room: usize, line: Rect, buf: &mut Buffer) {
        let width = pieces_width(pieces);
        if width == 0 || width > room {
            return;
        }
        let width = width as u16 + 2;
        let place = Rect { x: line.right().saturating_sub(width + 2), width, ..line };
        clear(buf, place, self.look.fg);
        let mut pen = Pen::line(buf, place);
        pen.put(" ", self.look.fg).pieces(pieces).put(" ", self.look.fg);
    }

    /// Shortens the longest piece in its middle so that the titles on the left fit; if it is a
    /// name, which has no blanks, so that those on the right fit, too.
    fn fitting(&self, room: usize) -> Vec<(Cow<'a, str>, Style)> {
        let mut pieces: Vec<_> = self.left.iter().map(|it| (Cow::Borrowed(it.0), it.1)).collect();
        let all = pieces_width(self.left);
        let right = match pieces_width(self.right) {
            0 => 0,
            right => right + 3,
        };
        let ellipsis = self.look.glyphs.ellipsis;
        if let Some((text, _)) = pieces.iter_mut().max_by_key(|(text, _)| width(text)) {
            let longest = width(text);
            let left_for = |room: usize| (longest + room).checked_sub(all);
            let beside = left_for(room.saturating_sub(right))
                .filter(|it| *it >= LEAST_NAME && !text.contains(' '));
            if let Some(cells) = beside.or_else(|| left_for(room)).filter(|it| *it < longest) {
                *text = Cow::Owned(shortened(text, cells, ellipsis).into_owned());
            }
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::plain;
    use super::*;

    #[test]
    fn titles_sit_in_the_upper_line() {
        let look = plain();
        let mut buf = Buffer::empty(Rect::new(0, 0, 24, 3));
        let right = [("live", look.dim)];
        let foot = [("1/2", look.dim)];
        let title = [("Cgroup", look.accent)];
        let frame = Frame { right: &right, foot: &foot, ..Frame::titled(&look, &title) };
        assert_eq!(frame.render(buf.area, &mut buf), Rect::new(1, 1, 22, 1));
        let expected =
            ["╭─ Cgroup ────── live ─╮", "│                      │", "╰──────────────── 1/2 ─╯"];
        assert_eq!(super::super::look::tests::lines(&buf), expected);
    }

    #[test]
    fn the_right_title_gives_way_first() {
        let look = plain();
        let mut buf = Buffer::empty(Rect::new(0, 0, 14, 2));
        let right = [("live", look.dim)];
        let title = [("Processes", look.accent)];
        let frame = Frame { right: &right, ..Frame::titled(&look, &title) };
        frame.render(buf.area, &mut buf);
        assert_eq!(super::super::look::tests::lines(&buf)[0], "╭─ Proc…ses ─╮");
    }

    #[test]
    fn a_long_name_leaves_room_for_the_titles_beside_it() {
        let look = plain();
        let mut buf = Buffer::empty(Rect::new(0, 0, 40, 2));
        let right = [("forest", look.dim)];
        let title = [("cluster-of-the-north-sea-01", look.accent), ("  proc", look.dim)];
        let frame = Frame { right: &right, ..Frame::titled(&look, &title) };
        frame.render(buf.area, &mut buf);
        let expected = "╭─ cluster-o…th-sea-01  proc ─ forest ─╮";
        assert_eq!(super::super::look::tests::lines(&buf)[0], expected);
    }
}
