//! A question in a box in the middle of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Position, Rect, Rows};
use ratatui::style::Style;

use super::field::{Field, Input};
use super::frame::Frame;
use super::look::Look;
use super::pen::{Pen, Piece, clear, pieces_width, width};

/// Widest box.
const MAX_WIDTH: u16 = 76;
/// At least this much of the screen is visible beside a box, or nothing: a strip would only
/// confuse.
pub const BESIDE: u16 = 4;
/// Lines around the text and the names: two borders, and the answers.
const AROUND: usize = 3;
/// So many rows of names are worth more than the blank lines of the box.
const LEAST_NAMES: usize = 3;
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
    /// There is room for blank lines before the field and before the answers.
    airy: bool,
}

impl NameGrid {
    /// Lays `names` out in a box with so many `others` lines in `area`, and so many `blanks` if
    /// there is room for them.
    fn arrange(names: &[&str], others: usize, blanks: usize, area: Rect) -> Self {
        let cells = names.iter().map(|it| width(it)).max().unwrap_or(0) + GAP;
        let in_row = ((room_for_text(area) + GAP) / cells).max(1);
        let all = names.len().div_ceil(in_row);
        let height = usize::from(area.height);
        let airy = others + blanks + all.min(LEAST_NAMES) <= height;
        let others = if airy { others + blanks } else { others };
        // At least one: a question must show what it is about.
        let room = height.saturating_sub(others).max(1);
        Self { cells, names: in_row, all, shown: all.min(room), airy }
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
        let last = self.names.first.min(rows.last_first()) + rows.shown;
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
        let inner = place.inner(Margin::new(1, 1));
        if !self.divide(inner, rows).1.rows().next_back().is_some_and(|it| it.contains(at)) {
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

    /// Returns how the names are laid out when the box is drawn in `area`.
    pub fn grid(&self, area: Rect) -> NameGrid {
        self.place(area).0
    }

    /// Returns how the names are laid out, and where the box is.
    fn place(&self, area: Rect) -> (NameGrid, Rect) {
        let field = usize::from(self.field.is_some());
        let others = self.text.len() + field + usize::from(self.complaint.is_some()) + AROUND;
        let rows = NameGrid::arrange(self.names.all, others, field + 1, area);
        let blanks = if rows.airy { field + 1 } else { 0 };
        (rows, middle(area, self.cells(rows), others + blanks + rows.shown))
    }

    /// Divides the inside of the box: text and names give way to what is below them, which is the
    /// field, a complaint and the answers.
    fn divide(&self, inner: Rect, rows: NameGrid) -> (Rect, Rect) {
        let field = usize::from(self.field.is_some());
        let blanks = if rows.airy { field + 1 } else { 0 };
        let below = field + usize::from(self.complaint.is_some()) + 1 + blanks;
        let height = inner.height.min(below as u16);
        let above = Rect { height: inner.height - height, ..inner };
        (above, Rect { y: above.bottom(), height, ..inner })
    }

    fn cells(&self, rows: NameGrid) -> usize {
        let text = self.text.iter().map(|it| pieces_width(it)).max().unwrap_or(0);
        let answers: usize = self.answers.iter().map(|it| width(it) + 6).sum();
        let names = rows.cells * rows.names.min(self.names.all.len());
        text.max(answers).max(width(self.title.0) + 4).max(names) + SIDES
    }

    fn inside(&self, inner: Rect, shape: NameGrid, buf: &mut Buffer) {
        let (above, below) = self.divide(inner, shape);
        let mut rows = above.rows();
        for line in self.text {
            let Some(row) = rows.next() else { break };
            Pen::line(buf, row).skip(2).pieces(line);
        }
        let Names { all, style, first } = self.names;
        let first = first.min(shape.last_first());
        for line in all.chunks(shape.names).skip(first).take(shape.shown) {
            let Some(row) = rows.next() else { break };
            let mut pen = Pen::line(buf, row);
            pen.skip(2);
            for name in line {
                let cells = shape.cells.min(pen.left());
                pen.part(cells).name(name, style, self.look.glyphs.ellipsis);
            }
        }
        self.below(below.rows(), shape.airy, buf);
    }

    /// Draws the field, the complaint and the answers, with blank lines if there is room.
    fn below(&self, mut rows: Rows, airy: bool, buf: &mut Buffer) {
        let blank = usize::from(airy);
        if let Some((label, input)) = self.field {
            let Some(row) = rows.nth(blank) else { return };
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
        if let Some(row) = rows.nth(blank) {
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
        let area = Rect::new(0, 0, 24, 5);
        assert_eq!(prompt(0).grid(area).last_first(), 1);
        let mut buf = Buffer::empty(area);
        prompt(0).render(area, &mut buf);
        assert_eq!(lines(&buf)[1], "│  op-1  op-2  op-3    │");
        assert_eq!(lines(&buf)[2], "│  op-4  op-5  op-6    │");
        prompt(1).render(area, &mut buf);
        assert_eq!(lines(&buf)[2], "│  op-7                │");
    }

    #[test]
    fn blank_lines_give_way_to_the_answers() {
        let look = plain();
        let text: [&[Piece<'_>]; 3] = [&[("one", look.fg)], &[("two", look.fg)], &[("3", look.fg)]];
        let input = Input::new("x");
        let prompt = || Prompt {
            look: &look,
            title: ("Destroy", look.bad),
            text: &text,
            names: Names { all: &["web"], style: look.bad, first: 0 },
            field: Some(("type web:", &input)),
            complaint: Some(("that is not the name", look.bad)),
            answers: &["Esc keeps it"],
            chosen: 0,
        };
        for (height, blank) in [(9, false), (10, false), (11, true), (24, true)] {
            let area = Rect::new(0, 0, 40, height);
            let mut buf = Buffer::empty(area);
            prompt().render(area, &mut buf);
            let shown = lines(&buf);
            let at = |words: &str| shown.iter().position(|it| it.contains(words)).unwrap();
            let answer = at("[ Esc keeps it ]");
            assert_eq!(answer - at("that is not"), 1 + usize::from(blank), "{height}");
            assert_eq!(at("type web:") - at("│  web "), 1 + usize::from(blank), "{height}");
            assert!(shown[answer + 1].contains('╰'), "{shown:?}");
            let hits = (0..height).filter(|y| {
                (0..40).any(|x| prompt().answer_at(area, Position::new(x, *y)) == Some(0))
            });
            assert_eq!(hits.collect::<Vec<_>>(), [answer as u16], "{height}");
        }
        // However short it is, the answers stay.
        let area = Rect::new(0, 0, 40, 6);
        let mut buf = Buffer::empty(area);
        prompt().render(area, &mut buf);
        assert!(lines(&buf)[4].contains("[ Esc keeps it ]"), "{:?}", lines(&buf));
        assert!(lines(&buf)[1].contains("one"), "{:?}", lines(&buf));
    }
}
