//! Fields under each other, each with a label, a value, and a note beside it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::field::{Field, Input};
use super::look::Look;
use super::pen::{Pen, Piece};

/// Cells before a label: the cursor, with blanks around it.
const INDENT: usize = 3;
/// Widest column of labels.
const LABELS: usize = 14;
/// Cells of a value beside a note.
const VALUES: usize = 26;
/// Of the cells that a form has beyond these, a value gets every other one.
const USUAL: usize = 78;
/// The minimum width of a form with notes beside its values.
const WITH_NOTES: u16 = 60;

/// The content of a row.
#[derive(Clone, Copy, Debug)]
pub enum FieldValue<'a> {
    /// Typed by the operator; what an empty field means is shown in parentheses, since a reversed
    /// row has no colour that distinguishes it from what is typed.
    Typed(&'a Input, &'a str),
    /// One of several, changed with the arrow keys.
    Chosen(&'a str),
}

/// One row of a form.
#[derive(Clone, Copy, Debug)]
pub struct LabelledRow<'a> {
    pub label: &'a str,
    pub value: FieldValue<'a>,
    /// What the value means, or what is wrong with it.
    pub note: Piece<'a>,
}

/// The rows of a form and the one that has the keyboard.
#[derive(Clone, Debug)]
pub struct Form<'a> {
    pub look: &'a Look,
    pub rows: &'a [LabelledRow<'a>],
    pub current: usize,
}

/// Returns whether a form of this width has its notes beside the values.
pub const fn has_notes(width: u16) -> bool {
    width >= WITH_NOTES
}

impl Form<'_> {
    /// Draws a row in each line of `area`, scrolled so that the current row is visible.
    pub fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        let height = usize::from(area.height);
        let first = super::table::scroll(0, self.current, self.rows.len(), height);
        for ((index, row), line) in self.rows.iter().enumerate().skip(first).zip(area.rows()) {
            self.row(row, index == self.current, &mut Pen::line(buf, line));
        }
    }

    fn row(&self, row: &LabelledRow<'_>, current: bool, pen: &mut Pen<'_>) {
        let look = self.look;
        let width = pen.left();
        let noted = has_notes(u16::try_from(width).unwrap_or(u16::MAX));
        if current {
            pen.wash(look.select).put(look.glyphs.cursor, look.accent);
        }
        let labels = LABELS.min(width / 3);
        let values = if noted {
            VALUES + width.saturating_sub(USUAL) / 2
        } else {
            width.saturating_sub(labels + INDENT + 1)
        };
        pen.to(INDENT).part(labels).put(row.label, look.fg);
        let mut part = pen.part(values);
        match row.value {
            FieldValue::Typed(input, hint) => {
                let style = look.fg;
                let (open, close) = if current { ("[", "]") } else { (" ", " ") };
                part.put(open, look.accent);
                let mut inner = part.part(part.left().saturating_sub(1));
                let hint = if hint.is_empty() { String::new() } else { format!("({hint})") };
                Field { look, input, hint: &hint, focused: current, style }.draw(&mut inner);
                part.put(close, look.accent);
            }
            FieldValue::Chosen(text) => {
                let arrows = if current { look.accent } else { look.dim };
                part.put(look.glyphs.less, arrows).put(" ", look.fg).put(text, look.fg);
                part.put(" ", look.fg).put(look.glyphs.more, arrows);
            }
        }
        if noted {
            let (note, style) = row.note;
            pen.skip(2).clip(note, style, look.glyphs.ellipsis);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::{lines, plain};
    use super::*;

    #[test]
    fn labels_values_and_notes_stand_in_columns() {
        let look = plain();
        let mut buf = Buffer::empty(Rect::new(0, 0, 60, 2));
        let input = Input::new("web");
        let rows = [
            LabelledRow {
                label: "Name",
                value: FieldValue::Typed(&input, ""),
                note: ("✓ free", look.ok),
            },
            LabelledRow {
                label: "Source",
                value: FieldValue::Chosen("host"),
                note: ("", look.dim),
            },
        ];
        Form { look: &look, rows: &rows, current: 0 }.render(buf.area, &mut buf);
        let shown = lines(&buf);
        assert_eq!(shown[0], "▸  Name          [web                     ]  ✓ free         ");
        assert_eq!(shown[1].trim_end(), "   Source        ‹ host ›");
    }

    #[test]
    fn the_row_of_the_keyboard_has_the_same_columns() {
        let look = plain();
        let input = Input::new("web");
        let value = FieldValue::Typed(&input, "");
        let rows = [LabelledRow { label: "Name", value, note: ("free", look.ok) }; 2];
        for width in 20..140 {
            let mut buf = Buffer::empty(Rect::new(0, 0, width, 2));
            Form { look: &look, rows: &rows, current: 0 }.render(buf.area, &mut buf);
            let columns = lines(&buf).into_iter().map(|it| {
                let at =
                    |word| it.find(word).map(|at| it.get(..at).unwrap_or_default().chars().count());
                [at("Name"), at("web"), at("free")]
            });
            let columns: Vec<[Option<usize>; 3]> = columns.collect();
            assert_eq!(columns[0], columns[1], "{width}");
        }
    }

    #[test]
    fn a_wide_form_shows_more_of_a_value() {
        let look = plain();
        let input = Input::new("/usr/bin/python3 -m http.server");
        let value = FieldValue::Typed(&input, "");
        let rows =
            [LabelledRow { label: "Command", value, note: ("its first process", look.dim) }; 2];
        for (width, expected) in [
            (70, "   Command        /usr/bin/python3 -m htt…   its first process"),
            (
                116,
                "   Command        /usr/bin/python3 -m http.server               its first process",
            ),
        ] {
            let mut buf = Buffer::empty(Rect::new(0, 0, width, 2));
            Form { look: &look, rows: &rows, current: 0 }.render(buf.area, &mut buf);
            assert_eq!(lines(&buf)[1].trim_end(), expected);
        }
    }

    #[test]
    fn what_an_empty_field_means_does_not_look_typed() {
        let look = plain();
        let empty = Input::default();
        let value = FieldValue::Typed(&empty, "no limit");
        let rows = [LabelledRow { label: "Memory", value, note: ("free 14G", look.dim) }; 2];
        let draw = |width| {
            let mut buf = Buffer::empty(Rect::new(0, 0, width, 2));
            Form { look: &look, rows: &rows, current: 0 }.render(buf.area, &mut buf);
            lines(&buf)
        };
        assert_eq!(draw(60)[0], "▸  Memory        [ (no limit)             ]  free 14G       ");
        assert_eq!(draw(60)[1].trim_end(), "   Memory         (no limit)                 free 14G");
        // A narrow form has room for the values only.
        assert_eq!(draw(38)[0], "▸  Memory      [ (no limit)         ] ");
    }
}
