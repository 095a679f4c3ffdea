//! A rounded box with titles set into its lines.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::look::Look;
use super::pen::{Pen, Piece, clear, pieces_width};

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
const TITLE_MARGIN: usize = 6;

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
        let left = pieces_width(self.left).min(room);
        if left > 0 {
            let place = Rect::new(area.x + 2, area.y, left as u16 + 2, 1);
            clear(buf, place.intersection(area), self.look.fg);
            let mut pen = Pen::line(buf, place);
            pen.put(" ", self.look.fg);
            pen.part(left).pieces(self.left);
            pen.put(" ", self.look.fg);
        }
        let taken = if left > 0 { left + 3 } else { 0 };
        at_right(self.look, self.right, room.saturating_sub(taken), area.right(), (area.y, buf));
        at_right(self.look, self.foot, room, area.right(), (area.bottom() - 1, buf));
    }
}

/// Sets `pieces` into a line so that they end before `edge`; leaves them out when they do not fit.
fn at_right(
    look: &Look,
    pieces: &[Piece<'_>],
    room: usize,
    edge: u16,
    (y, buf): (u16, &mut Buffer),
) {
    let width = pieces_width(pieces);
    if width == 0 || width > room {
        return;
    }
    let width = width as u16 + 2;
    let place = Rect::new(edge.saturating_sub(width + 2), y, width, 1);
    clear(buf, place, look.fg);
    let mut pen = Pen::line(buf, place);
    pen.put(" ", look.fg).pieces(pieces).put(" ", look.fg);
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
        assert_eq!(super::super::look::tests::lines(&buf)[0], "╭─ Processe ─╮");
    }
}
