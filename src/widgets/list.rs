//! Lines to search through and choose from: help and the palette.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::field::{Field, Input};
use super::look::Look;
use super::pen::{Pen, width};
use super::table::scroll;
use super::text::wrap;

/// Widest column of keys.
const MAX_KEYS: usize = 12;
/// Widest column of names.
const MAX_NAMES: usize = 28;
/// Cells before an entry, and between its parts.
const INDENT: usize = 2;
/// A sentence gets less room if there were fewer lines than this to choose from.
const LEAST_ENTRIES: u16 = 3;
/// Below this height no line is free.
const AIRY: u16 = 10;

/// One line of a [`List`].
#[derive(Clone, Copy, Debug)]
pub struct ListItem<'a> {
    pub key: &'a str,
    pub name: &'a str,
    /// What it does, or why it cannot be done now.
    pub help: &'a str,
    pub enabled: bool,
    /// Which characters of the name matched the search.
    pub matched: &'a [u32],
}

/// A line to type into and the matching entries.
#[derive(Clone, Debug)]
pub struct List<'a> {
    pub look: &'a Look,
    /// The prompt: `:` or `/`.
    pub sign: &'a str,
    pub input: &'a Input,
    pub hint: &'a str,
    pub entries: &'a [ListItem<'a>],
    /// The one at the top, if the cursor is on the screen then.
    pub first: usize,
    pub cursor: usize,
}

impl List<'_> {
    /// Draws the search in the first row, and the entries below it.
    pub fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        let mut pen = Pen::line(buf, area);
        pen.skip(1).put(self.sign, self.look.key).skip(1);
        let style = self.look.fg;
        let field =
            Field { look: self.look, input: self.input, hint: self.hint, focused: true, style };
        field.draw(&mut pen);
        let (body, foot) = self.divide(area);
        self.in_full(foot, buf);
        let first = self.first_in(body);
        let (keys, names) = self.columns();
        for ((index, entry), row) in self.entries.iter().enumerate().skip(first).zip(body.rows()) {
            let mut pen = Pen::line(buf, row);
            if index == self.cursor {
                pen.wash(self.look.select).put(self.look.glyphs.cursor, self.look.accent).to(0);
            }
            self.entry(entry, pen.skip(2), keys, names);
        }
    }

    /// Returns which entry stands at a position, when the list is drawn in `area`.
    pub fn entry_at(&self, area: Rect, at: Position) -> Option<usize> {
        let (body, _) = self.divide(area);
        let entry = self.first_in(body) + usize::from(at.y.checked_sub(body.y)?);
        (body.contains(at) && entry < self.entries.len()).then_some(entry)
    }

    /// Returns the first entry that is shown, when the list is drawn in `area`.
    pub fn first_shown(&self, area: Rect) -> usize {
        self.first_in(self.divide(area).0)
    }

    fn first_in(&self, body: Rect) -> usize {
        scroll(self.first, self.cursor, self.entries.len(), usize::from(body.height))
    }

    /// Divides the area below the search: the entries, and if sentences are cut, a foot for that of
    /// the chosen line. The height is the same for all lines, so that nothing jumps.
    fn divide(&self, area: Rect) -> (Rect, Rect) {
        let free = u16::from(area.height >= AIRY);
        let search = 1 + free;
        let area = Rect { y: area.y + search, height: area.height.saturating_sub(search), ..area };
        let room = usize::from(area.width).saturating_sub(2 * INDENT);
        let (keys, names) = self.columns();
        let beside = usize::from(area.width).saturating_sub(keys + names + 3 * INDENT);
        let cut = self.entries.iter().any(|it| width(it.help) > beside);
        let lines = |it: &ListItem<'_>| wrap(it.help, room).len();
        let lines = if cut { self.entries.iter().map(lines).max().unwrap_or(0) } else { 0 };
        let lines = u16::try_from(lines).unwrap_or(u16::MAX);
        let foot = lines.min(area.height.saturating_sub(LEAST_ENTRIES + free));
        let above = area.height - foot - if foot == 0 { 0 } else { free };
        let above = Rect { height: above, ..area };
        (above, Rect { y: area.bottom() - foot, height: foot, ..area })
    }

    /// Draws the sentence of the chosen line into `foot`.
    fn in_full(&self, foot: Rect, buf: &mut Buffer) {
        let room = usize::from(foot.width).saturating_sub(2 * INDENT);
        let Some(entry) = self.entries.get(self.cursor) else { return };
        let lines = wrap(entry.help, room);
        let left = lines.len().saturating_sub(usize::from(foot.height));
        for ((at, line), row) in lines.iter().enumerate().zip(foot.rows()) {
            let last = at + 1 == usize::from(foot.height);
            let ellipsis = self.look.glyphs.ellipsis;
            let end = if last && left > 0 { format!(" {ellipsis}") } else { String::new() };
            Pen::line(buf, row).skip(INDENT).put(line, self.look.fg).put(&end, self.look.fg);
        }
    }

    fn columns(&self) -> (usize, usize) {
        (self.widest(|it| it.key).min(MAX_KEYS), self.widest(|it| it.name).min(MAX_NAMES))
    }

    fn entry(&self, entry: &ListItem<'_>, pen: &mut Pen<'_>, keys: usize, names: usize) {
        let look = self.look;
        let (key, fg) = if entry.enabled { (look.key, look.fg) } else { (look.dim, look.dim) };
        pen.part(keys).right(entry.key, key);
        pen.skip(2);
        pen.part(names).put(entry.name, fg).touch(entry.matched, look.hit());
        pen.skip(2).clip(entry.help, look.dim, look.glyphs.ellipsis);
    }

    fn widest<'s>(&'s self, part: impl Fn(&ListItem<'s>) -> &'s str) -> usize {
        self.entries.iter().map(|it| width(part(it))).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::{lines, plain};
    use super::*;

    #[test]
    fn entries_stand_in_columns() {
        let look = plain();
        let mut buf = Buffer::empty(Rect::new(0, 0, 30, 3));
        let entries = [
            ListItem {
                key: "f",
                name: "freeze",
                help: "stop its time",
                enabled: true,
                matched: &[0],
            },
            ListItem { key: "C-s", name: "save", help: "", enabled: false, matched: &[] },
        ];
        let input = Input::new("f");
        let list = List {
            look: &look,
            sign: ":",
            input: &input,
            hint: "",
            entries: &entries,
            first: 0,
            cursor: 1,
        };
        list.render(buf.area, &mut buf);
        assert_eq!(
            lines(&buf)[1],
            "    f  freeze  stop its time   ".trim_end_matches(' ').to_owned() + "  "
        );
        assert_eq!(lines(&buf)[2].trim_end(), "▸ C-s  save");
    }

    #[test]
    fn a_sentence_that_is_cut_is_shown_whole_at_the_foot() {
        let look = plain();
        let help = "Stops every process of it until it is thawed.";
        let entries = [ListItem { key: "f", name: "freeze", help, enabled: true, matched: &[] }];
        let input = Input::new("");
        let list = List {
            look: &look,
            sign: ":",
            input: &input,
            hint: "",
            entries: &entries,
            first: 0,
            cursor: 0,
        };
        let drawn = |height| {
            let mut buf = Buffer::empty(Rect::new(0, 0, 30, height));
            list.clone().render(buf.area, &mut buf);
            lines(&buf).iter().map(|it| it.trim().to_owned()).collect::<Vec<_>>()
        };
        for (height, first) in [(11, 2), (7, 1), (6, 1)] {
            let lines = drawn(height);
            assert!(lines[first].contains("Stops every proc…"), "{lines:?}");
            let end = ["Stops every process of it", "until it is thawed."];
            assert_eq!(lines[usize::from(height) - 2..], end, "{lines:?}");
        }
        // There is more of it than there is room.
        assert_eq!(drawn(5)[4], "Stops every process of it …");
    }
}
