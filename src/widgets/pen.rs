//! Writes text into the cells of one row. The only place where text becomes cells: control
//! characters, on which a terminal would act, are replaced.

use std::borrow::Cow;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The replacement for a character that cannot be shown.
const NO_PICTURE: char = '\u{fffd}';
/// Longest symbol of one cell in bytes; no real text has more accents than that.
const MAX_SYMBOL: usize = 32;

/// Text in one style.
pub type Piece<'a> = (&'a str, Style);

/// The cells of one row, or a part of it, written from left to right. Text that does not fit is
/// cut.
#[derive(Debug)]
pub struct Pen<'b> {
    cells: &'b mut [Cell],
    at: usize,
    /// The whole row is reversed: a text's colour would become a patch of background.
    level: bool,
}

impl<'b> Pen<'b> {
    /// Takes `width` cells from (`x`, `y`), as many of them as the buffer has.
    pub fn new(buf: &'b mut Buffer, x: u16, y: u16, width: u16) -> Self {
        Self { cells: row(buf, x, y, width), at: 0, level: false }
    }

    /// Takes the first row of `area`.
    pub fn line(buf: &'b mut Buffer, area: Rect) -> Self {
        let width = if area.height == 0 { 0 } else { area.width };
        Self::new(buf, area.x, area.y, width)
    }

    /// Writes `text` and moves past it.
    pub fn put(&mut self, text: &str, style: Style) -> &mut Self {
        let style = self.levelled(style);
        let rest = self.cells.get_mut(self.at..).unwrap_or_default();
        self.at += write(rest, text, style);
        self
    }

    /// Writes pieces one after the other.
    pub fn pieces(&mut self, pieces: &[Piece<'_>]) -> &mut Self {
        for (text, style) in pieces {
            self.put(text, *style);
        }
        self
    }

    /// Writes `text`, and if it is too long for the cells left, ends it with `ellipsis`.
    pub fn clip(&mut self, text: &str, style: Style, ellipsis: char) -> &mut Self {
        let left = self.left();
        if text.len() <= left || text.width() <= left {
            return self.put(text, style);
        }
        let (end, style) = (self.cells.len(), self.levelled(style));
        let rest = self.cells.get_mut(self.at..).unwrap_or_default();
        let keep = rest.len().saturating_sub(1);
        let (head, tail) = rest.split_at_mut(keep);
        let used = write(head, text, style);
        for cell in head.iter_mut().skip(used) {
            cell.set_char(' ').set_style(style);
        }
        if let Some(cell) = tail.first_mut() {
            cell.set_char(ellipsis).set_style(style);
        }
        self.at = end;
        self
    }

    /// Writes `name`, and if it is too long for the cells left, omits its middle: names with the
    /// same beginning differ at their ends.
    pub fn name(&mut self, name: &str, style: Style, ellipsis: char) -> &mut Self {
        let name = shortened(name, self.left(), ellipsis);
        self.put(&name, style)
    }

    /// Writes `text` so that it ends at the last cell, and moves there. Cut at its end.
    pub fn right(&mut self, text: &str, style: Style) -> &mut Self {
        self.skip(self.left().saturating_sub(text.width()));
        self.put(text, style)
    }

    /// Writes `symbol`, one cell wide, `count` times.
    pub fn repeat(&mut self, symbol: &str, count: usize, style: Style) -> &mut Self {
        let style = self.levelled(style);
        for cell in self.cells.iter_mut().skip(self.at).take(count) {
            cell.set_symbol(symbol).set_style(style);
        }
        self.skip(count)
    }

    /// Moves `count` cells on and leaves them as they are.
    pub fn skip(&mut self, count: usize) -> &mut Self {
        self.at = self.at.saturating_add(count).min(self.cells.len());
        self
    }

    /// Moves to the cell `at`, counted from the start.
    pub fn to(&mut self, at: usize) -> &mut Self {
        self.at = at.min(self.cells.len());
        self
    }

    /// Returns how many cells are left.
    pub const fn left(&self) -> usize {
        self.cells.len().saturating_sub(self.at)
    }

    /// Returns a pen for the next `width` cells, and moves past them.
    pub fn part(&mut self, width: usize) -> Pen<'_> {
        let start = self.at;
        self.skip(width);
        let cells = self.cells.get_mut(start..self.at).unwrap_or_default();
        Pen { cells, at: 0, level: self.level }
    }

    /// Adds `style` to every cell of the row. After one that reverses, text has no colours of its
    /// own.
    pub fn wash(&mut self, style: Style) -> &mut Self {
        self.level |= style.add_modifier.contains(Modifier::REVERSED);
        for cell in self.cells.iter_mut() {
            cell.set_style(style);
        }
        self
    }

    /// Adds `style` to the `cells` that have been written, counted from the start.
    pub fn touch(&mut self, cells: &[u32], style: Style) -> &mut Self {
        let style = self.levelled(style);
        for at in cells.iter().map(|it| *it as usize).filter(|it| *it < self.at) {
            if let Some(cell) = self.cells.get_mut(at) {
                cell.set_style(style);
            }
        }
        self
    }

    /// Lets a widget draw by itself into the cells that are left.
    pub fn draw(&mut self, paint: impl FnOnce(&mut [Cell])) -> &mut Self {
        let level = self.level;
        let cells = self.cells.get_mut(self.at..).unwrap_or_default();
        paint(cells);
        if level {
            for cell in cells {
                cell.fg = Color::Reset;
                cell.modifier = (cell.modifier - Modifier::DIM) | Modifier::REVERSED;
            }
        }
        self.skip(usize::MAX)
    }

    /// On a reversed row only weight is kept, and reversed text stands out by being plain.
    const fn levelled(&self, style: Style) -> Style {
        if !self.level {
            return style;
        }
        let kept = Modifier::BOLD.union(Modifier::UNDERLINED);
        let level = Style::new().add_modifier(style.add_modifier.intersection(kept));
        let level = level.fg(Color::Reset).bg(Color::Reset);
        if style.add_modifier.contains(Modifier::REVERSED) {
            level.remove_modifier(Modifier::REVERSED)
        } else {
            level
        }
    }
}

/// Returns `name` in at most `room` cells, with its middle omitted if necessary.
pub fn shortened(name: &str, room: usize, ellipsis: char) -> Cow<'_, str> {
    let Some((head, tail)) = ends(name, room) else { return Cow::Borrowed(name) };
    let start = name.chars().take(head);
    let end = name.chars().skip(tail);
    Cow::Owned(start.chain([ellipsis]).chain(end).collect())
}

/// Returns how many characters of a name that is too long stay at its start, and which is the
/// first that stays at its end. None: it fits.
pub fn ends(name: &str, room: usize) -> Option<(usize, usize)> {
    if name.len() <= room || name.width() <= room {
        return None;
    }
    let cells = |it: char| it.width().unwrap_or(1);
    let taken = |chars: &mut dyn Iterator<Item = char>, room: usize| {
        let mut used = 0;
        chars
            .take_while(|it| {
                used += cells(*it);
                used <= room
            })
            .count()
    };
    let spare = room.saturating_sub(1);
    let head = taken(&mut name.chars(), spare.div_ceil(2));
    let tail = taken(&mut name.chars().rev(), spare / 2);
    Some((head, name.chars().count() - tail))
}

/// Returns `text` in at most `room` cells, with its end omitted if necessary.
pub fn cut(text: &str, room: usize, ellipsis: char) -> Cow<'_, str> {
    if text.width() <= room {
        return Cow::Borrowed(text);
    }
    let mut left = room.saturating_sub(1);
    let fits = |it: &char| {
        let rest = left.checked_sub(it.width().unwrap_or(1));
        left = rest.unwrap_or_default();
        rest.is_some()
    };
    Cow::Owned(text.chars().take_while(fits).chain([ellipsis]).collect())
}

/// Returns how many cells `text` takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// Returns how many cells `pieces` take.
pub fn pieces_width(pieces: &[Piece<'_>]) -> usize {
    pieces.iter().map(|(text, _)| text.width()).sum()
}

/// Empties every cell of `area` and gives it `style`.
pub fn clear(buf: &mut Buffer, area: Rect, style: Style) {
    for y in area.top()..area.bottom() {
        for cell in row(buf, area.x, y, area.width) {
            cell.reset();
            cell.set_style(style);
        }
    }
}

/// Returns up to `width` cells from (`x`, `y`); none when that is outside of the buffer.
fn row(buf: &mut Buffer, x: u16, y: u16, width: u16) -> &mut [Cell] {
    let area = buf.area;
    if x < area.left() || x >= area.right() || y < area.top() || y >= area.bottom() {
        return &mut [];
    }
    let start =
        usize::from(y - area.top()) * usize::from(area.width) + usize::from(x - area.left());
    let width = usize::from(width.min(area.right() - x));
    buf.content.get_mut(start..start + width).unwrap_or_default()
}

/// Writes `text` into `cells` and returns how many it took.
fn write(cells: &mut [Cell], text: &str, style: Style) -> usize {
    let mut at: usize = 0;
    for it in text.chars() {
        let columns = if it.is_ascii_graphic() || it == ' ' { 1 } else { it.width().unwrap_or(1) };
        if columns == 0 {
            if let Some(cell) = at.checked_sub(1).and_then(|last| cells.get_mut(last)) {
                join(cell, it);
            }
            continue;
        }
        let Some((cell, tail)) =
            cells.get_mut(at..at + columns).and_then(<[Cell]>::split_first_mut)
        else {
            break;
        };
        cell.set_char(if it.is_control() { NO_PICTURE } else { it }).set_style(style);
        for cell in tail {
            // The right half of a wide character: empty, and skipped when the frame is sent.
            cell.reset();
            cell.set_style(style);
        }
        at += columns;
    }
    at
}

/// Adds an accent to the character in `cell`, unless it is invisible or would change its width.
fn join(cell: &mut Cell, accent: char) {
    let hidden = matches!(accent,
        '\u{61c}' | '\u{180e}' | '\u{2000}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    let before = cell.symbol();
    if hidden || before.len() >= MAX_SYMBOL {
        return;
    }
    let joined = format!("{before}{accent}");
    if joined.width() == before.width() {
        cell.set_symbol(&joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(width: u16, paint: impl FnOnce(&mut Pen<'_>)) -> String {
        let mut buf = Buffer::empty(Rect::new(3, 2, width, 1));
        paint(&mut Pen::new(&mut buf, 3, 2, width));
        buf.content.iter().map(Cell::symbol).collect()
    }

    #[test]
    fn text_is_cut_at_the_edge_and_clipped_with_a_sign() {
        let plain = Style::new();
        assert_eq!(drawn(4, |it| _ = it.put("abcdef", plain)), "abcd");
        assert_eq!(drawn(4, |it| _ = it.clip("abcdef", plain, '…')), "abc…");
        assert_eq!(drawn(4, |it| _ = it.clip("abcd", plain, '…')), "abcd");
        assert_eq!(drawn(6, |it| _ = it.put("a", plain).right("xyz", plain)), "a  xyz");
    }

    #[test]
    fn names_that_begin_alike_keep_their_ends() {
        let plain = Style::new();
        let short = |name: &str| drawn(11, |it| _ = it.name(name, plain, '…'));
        assert_eq!(short("production-cluster-01"), "produ…er-01");
        assert_eq!(short("production-cluster-02"), "produ…er-02");
        assert_eq!(short("web"), "web        ");
        assert_eq!(shortened("漢字漢字漢字", 7, '…'), "漢…字");
        for room in 0..9 {
            assert!(width(&shortened("web-cluster", room, '…')) <= room.max(1), "{room}");
        }
    }

    #[test]
    fn a_reversed_row_has_no_patches_of_colour() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 6, 1));
        let reversed = Style::new().add_modifier(Modifier::REVERSED);
        let mut pen = Pen::new(&mut buf, 0, 0, 6);
        pen.wash(reversed).put("a", Style::new().fg(Color::Green)).put("b", reversed.dim());
        pen.part(2).put("c", Style::new().dim().bold()).repeat("#", 1, Style::new().fg(Color::Red));
        pen.draw(|cells| _ = cells[0].set_char('d').set_style(Style::new().fg(Color::Red).dim()));
        let all = |it: &Cell| (it.fg, it.bg, it.modifier);
        let row = (Color::Reset, Color::Reset, Modifier::REVERSED);
        let plain = (Color::Reset, Color::Reset, Modifier::empty());
        let bold = (Color::Reset, Color::Reset, Modifier::REVERSED | Modifier::BOLD);
        assert_eq!(
            buf.content.iter().map(all).collect::<Vec<_>>(),
            [row, plain, bold, row, row, row]
        );
    }

    #[test]
    fn wide_characters_take_two_cells_or_none() {
        let plain = Style::new();
        assert_eq!(drawn(4, |it| _ = it.put("漢字x", plain)), "漢 字 ");
        assert_eq!(drawn(3, |it| _ = it.put("漢字x", plain)), "漢  ");
        assert_eq!(drawn(3, |it| _ = it.put("e\u{301}f", plain)), "e\u{301}f ");
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_gets_into_a_cell() {
        let shown = drawn(12, |it| _ = it.put("a\u{1b}[2J\n\u{9b}\u{202e}b\u{200b}", Style::new()));
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert!(!shown.contains(['\u{202e}', '\u{200b}']), "{shown:?}");
    }

    #[test]
    fn a_pen_outside_of_the_buffer_writes_nowhere() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 4, 1));
        Pen::new(&mut buf, 9, 0, 4).put("x", Style::new()).repeat("-", 9, Style::new());
        Pen::new(&mut buf, 0, 1, 4).put("x", Style::new());
        assert_eq!(buf, Buffer::empty(Rect::new(0, 0, 4, 1)));
    }
}
