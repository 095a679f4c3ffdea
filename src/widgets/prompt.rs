//! A question in a box in the middle of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use super::field::{Field, Input};
use super::frame::Frame;
use super::look::Look;
use super::pen::{Pen, Piece, clear, pieces_width, width};

/// Widest box.
const MAX_WIDTH: u16 = 76;
/// Beside a box so much of the screen is visible, or nothing: a strip would only confuse.
pub const BESIDE: u16 = 4;
/// Lines around the text: two borders, and a blank line before the answers.
pub const AROUND: usize = 4;
/// Lines of a field to type into: a blank one and itself.
pub const FIELD: usize = 2;
/// Cells at both sides of the text: the borders, and two blanks each.
const SIDES: usize = 6;
/// Cells between two names, or two answers.
const GAP: usize = 2;
/// Cells before the text.
const INDENT: usize = 2;
/// Cells around an answer.
const BRACKETS: usize = 4;

/// All names that the question is about; they scroll if they do not fit.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    pub all: &'a [&'a str],
    pub style: Style,
    /// The first row of them that is shown.
    pub first: usize,
}

impl Names<'_> {
    /// None.
    pub const NONE: Self = Self { all: &[], style: Style::new(), first: 0 };
}

/// How names are laid out in a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameGrid {
    /// Cells of each name and the gap after it.
    cells: usize,
    /// Names in a row.
    names: usize,
    /// Rows that all of them take.
    all: usize,
    /// Rows that are shown at once.
    shown: usize,
}

impl NameGrid {
    /// Lays `names` out in a box with so many `others` lines in `area`.
    pub fn arrange(names: &[&str], others: usize, area: Rect) -> Self {
        let cells = names.iter().map(|it| width(it)).max().unwrap_or(0) + GAP;
        let in_row = ((room_for_text(area) + GAP) / cells).max(1);
        let all = names.len().div_ceil(in_row);
        // At least one: a question must show what it is about.
        let room = usize::from(area.height).saturating_sub(others).max(1);
        Self { cells, names: in_row, all, shown: all.min(room) }
    }

    /// Returns how many rows are shown at once.
    pub const fn shown(self) -> usize {
        self.shown
    }

    /// Returns the last row that can be the first one shown.
    pub const fn last_first(self) -> usize {
        self.all - self.shown
    }
}

/// Returns how many cells a line of text has in a box in `area`.
pub fn room_for_text(area: Rect) -> usize {
    usize::from(area.width.min(MAX_WIDTH)).saturating_sub(SIDES)
}

/// A question, an optional line to type into, and the answers.
#[derive(Clone, Debug)]
pub struct Prompt<'a> {
    pub look: &'a Look,
    pub title: Piece<'a>,
    /// Lines of text.
    pub text: &'a [&'a [Piece<'a>]],
    /// Names below the text.
    pub names: Names<'a>,
    /// A field to type into, with its label.
    pub field: Option<(&'a str, &'a Input)>,
    /// The error of the field.
    pub complaint: Option<Piece<'a>>,
    pub answers: &'a [&'a str],
    /// The answer that Enter gives.
    pub chosen: usize,
}

impl Prompt<'_> {
    /// Draws the box in the middle of `area`.
    pub fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        let (rows, place) = self.place(area);
        clear(buf, place, self.look.fg);
        let title = [self.title];
        let last = (self.names.first + rows.shown).min(rows.all);
        let foot = format!("{} {last}/{}", self.look.glyphs.updown, rows.all);
        let foot = [(foot.as_str(), self.look.warn)];
        let foot = if rows.last_first() > 0 { &foot[..] } else { &[] };
        let frame = Frame { focused: true, foot, ..Frame::titled(self.look, &title) };
        let inner = frame.render(place, buf);
        self.inside(inner, rows, buf);
    }

    /// Returns which answer stands at a position, when the box is drawn in `area`.
    pub fn answer_at(&self, area: Rect, at: Position) -> Option<usize> {
        let (rows, place) = self.place(area);
        // The last but one line, inside of the border.
        let line = place.y + 1 + (self.others() + rows.shown - AROUND + 1) as u16;
        if at.y != line || line + 1 >= place.bottom() {
            return None;
        }
        let mut x = usize::from(place.x) + 1 + INDENT;
        for (index, answer) in self.answers.iter().enumerate() {
            let end = x + width(answer) + BRACKETS;
            if (x..end).contains(&usize::from(at.x)) {
                return Some(index);
            }
            x = end + GAP;
        }
        None
    }

    /// Returns how the names are laid out, and where the box is.
    fn place(&self, area: Rect) -> (NameGrid, Rect) {
        let rows = NameGrid::arrange(self.names.all, self.others(), area);
        (rows, middle(area, self.cells(rows), self.others() + rows.shown))
    }

    /// Returns how many lines there are beside the names.
    fn others(&self) -> usize {
        let field = usize::from(self.field.is_some()) * FIELD;
        self.text.len() + field + usize::from(self.complaint.is_some()) + AROUND
    }

    fn cells(&self, rows: NameGrid) -> usize {
        let text = self.text.iter().map(|it| pieces_width(it)).max().unwrap_or(0);
        let answers: usize = self.answers.iter().map(|it| width(it) + 6).sum();
        let names = rows.cells * rows.names.min(self.names.all.len());
        text.max(answers).max(width(self.title.0) + 4).max(names) + SIDES
    }

    fn inside(&self, inner: Rect, shape: NameGrid, buf: &mut Buffer) {
        let mut rows = inner.rows();
        for line in self.text {
            let Some(row) = rows.next() else { return };
            Pen::line(buf, row).skip(2).pieces(line);
        }
        let Names { all, style, first } = self.names;
        for line in all.chunks(shape.names).skip(first).take(shape.shown) {
            let Some(row) = rows.next() else { return };
            let mut pen = Pen::line(buf, row);
            pen.skip(2);
            for name in line {
                let cells = shape.cells.min(pen.left());
                pen.part(cells).name(name, style, self.look.glyphs.ellipsis);
            }
        }
        if let Some((label, input)) = self.field {
            rows.next();
            let Some(row) = rows.next() else { return };
            let mut pen = Pen::line(buf, row);
            pen.skip(2).put(label, self.look.dim).put(" ", self.look.fg);
            let mut part = pen.part(pen.left().saturating_sub(2));
            let style = self.look.fg;
            Field { look: self.look, input, hint: "", focused: true, style }.draw(&mut part);
        }
        if let Some((text, style)) = self.complaint {
            let Some(row) = rows.next() else { return };
            Pen::line(buf, row).skip(2).clip(text, style, self.look.glyphs.ellipsis);
        }
        rows.next();
        if let Some(row) = rows.next() {
            self.answers(row, buf);
        }
    }

    fn answers(&self, row: Rect, buf: &mut Buffer) {
        let mut pen = Pen::line(buf, row);
        pen.skip(2);
        for (index, answer) in self.answers.iter().enumerate() {
            if index == self.chosen {
                let style = self.look.select.patch(self.look.accent);
                pen.put("[ ", style).put(answer, style).put(" ]", style);
            } else {
                pen.put("  ", self.look.fg).put(answer, self.look.fg).put("  ", self.look.fg);
            }
            pen.skip(2);
        }
    }
}

/// Returns the box of that size in the middle of `area`, as large as it can be; over all of its
/// width if next to nothing would be left beside it.
pub fn middle(area: Rect, width: usize, height: usize) -> Rect {
    let width = u16::try_from(width).unwrap_or(u16::MAX).min(area.width).min(MAX_WIDTH);
    let width = if area.width - width < 2 * BESIDE { area.width } else { width };
    let height = u16::try_from(height).unwrap_or(u16::MAX).min(area.height);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    Rect { x, y, width, height }
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::{lines, plain};
    use super::*;

    #[test]
    fn a_question_stands_in_the_middle() {
        let look = plain();
        let mut buf = Buffer::empty(Rect::new(0, 0, 40, 8));
        let text: [&[Piece<'_>]; 1] = [&[("Destroys its files too.", look.fg)]];
        let area = buf.area;
        let prompt = || Prompt {
            look: &look,
            title: ("Destroy web?", look.bad),
            text: &text,
            names: Names::NONE,
            field: None,
            complaint: None,
            answers: &["Cancel", "Destroy"],
            chosen: 0,
        };
        prompt().render(area, &mut buf);
        let shown = lines(&buf);
        assert_eq!(shown[1], "    ╭─ Destroy web? ──────────────╮     ");
        assert_eq!(shown[2], "    │  Destroys its files too.    │     ");
        assert_eq!(shown[4], "    │  [ Cancel ]    Destroy      │     ");
        let answers = |row| (0..40).map(move |x| prompt().answer_at(area, Position::new(x, row)));
        let hits: Vec<usize> = answers(4).flatten().collect();
        assert_eq!(hits, [vec![0; 10], vec![1; 11]].concat());
        assert_eq!(prompt().answer_at(area, Position::new(7, 4)), Some(0));
        assert_eq!(prompt().answer_at(area, Position::new(19, 4)), Some(1));
        assert_eq!(answers(3).chain(answers(5)).flatten().count(), 0);
        // A strip of the screen beside the box would only confuse.
        let mut buf = Buffer::empty(Rect::new(0, 0, 34, 8));
        prompt().render(buf.area, &mut buf);
        assert_eq!(lines(&buf)[1], "╭─ Destroy web? ─────────────────╮");
    }

    #[test]
    fn every_name_can_be_scrolled_to() {
        let look = plain();
        let names = ["op-1", "op-2", "op-3", "op-4", "op-5", "op-6", "op-7"];
        let prompt = |first| Prompt {
            look: &look,
            title: ("Stop 7?", look.bad),
            text: &[],
            names: Names { all: &names, style: look.fg, first },
            field: None,
            complaint: None,
            answers: &["No", "Yes"],
            chosen: 0,
        };
        let area = Rect::new(0, 0, 24, 6);
        assert_eq!(NameGrid::arrange(&names, AROUND, area).last_first(), 1);
        let mut buf = Buffer::empty(area);
        prompt(0).render(area, &mut buf);
        assert_eq!(lines(&buf)[1], "│  op-1  op-2  op-3    │");
        assert_eq!(lines(&buf)[2], "│  op-4  op-5  op-6    │");
        prompt(1).render(area, &mut buf);
        assert_eq!(lines(&buf)[2], "│  op-7                │");
    }
}
