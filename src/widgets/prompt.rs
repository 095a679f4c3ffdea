//! A question in a box in the middle of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::field::{Field, Input};
use super::frame::Frame;
use super::look::Look;
use super::pen::{Pen, Piece, clear, pieces_width};

/// Widest box.
const MAX_WIDTH: u16 = 76;
/// Lines around the text: two borders, and a blank line before the answers.
const AROUND: usize = 4;

/// A question, an optional line to type into, and the answers.
#[derive(Clone, Debug)]
pub struct Prompt<'a> {
    pub look: &'a Look,
    pub title: Piece<'a>,
    /// Lines of text.
    pub text: &'a [&'a [Piece<'a>]],
    /// A field to type into, with its label.
    pub field: Option<(&'a str, &'a Input)>,
    /// What is wrong with the field.
    pub complaint: Option<Piece<'a>>,
    pub answers: &'a [&'a str],
    /// The answer that Enter gives.
    pub chosen: usize,
}

impl Prompt<'_> {
    /// Draws the box in the middle of `area`.
    pub fn render(self, area: Rect, buf: &mut Buffer) {
        let extra = 2 * usize::from(self.field.is_some()) + usize::from(self.complaint.is_some());
        let widest = self.text.iter().map(|it| pieces_width(it)).max().unwrap_or(0);
        let answers: usize = self.answers.iter().map(|it| super::pen::width(it) + 6).sum();
        let width = widest.max(answers).max(super::pen::width(self.title.0) + 4) + 6;
        let place = middle(area.intersection(buf.area), width, self.text.len() + extra + AROUND);
        clear(buf, place, self.look.fg);
        let title = [self.title];
        let frame = Frame { focused: true, ..Frame::titled(self.look, &title) };
        let inner = frame.render(place, buf);
        self.inside(inner, buf);
    }

    fn inside(&self, inner: Rect, buf: &mut Buffer) {
        let mut rows = inner.rows();
        for line in self.text {
            let Some(row) = rows.next() else { return };
            Pen::line(buf, row).skip(2).pieces(line);
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

/// Returns the box of that size in the middle of `area`, as large as it can be.
pub fn middle(area: Rect, width: usize, height: usize) -> Rect {
    let width = u16::try_from(width).unwrap_or(u16::MAX).min(area.width).min(MAX_WIDTH);
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
        let mut buf = Buffer::empty(Rect::new(0, 0, 34, 8));
        let text: [&[Piece<'_>]; 1] = [&[("Destroys its files too.", look.fg)]];
        let prompt = Prompt {
            look: &look,
            title: ("Destroy web?", look.bad),
            text: &text,
            field: None,
            complaint: None,
            answers: &["Cancel", "Destroy"],
            chosen: 0,
        };
        prompt.render(buf.area, &mut buf);
        let shown = lines(&buf);
        assert_eq!(shown[1], " ╭─ Destroy web? ──────────────╮  ");
        assert_eq!(shown[2], " │  Destroys its files too.    │  ");
        assert_eq!(shown[4], " │  [ Cancel ]    Destroy      │  ");
    }
}
