//! A table with a heading, a cursor, marks and columns that are dropped when the screen is narrow.
//! The caller paints the cells, so that no text is allocated only to be copied.

use std::fmt;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::look::Look;
use super::pen::Pen;

/// Cells before the first column: the mark and the cursor.
pub const GUTTER: usize = 2;
/// Cells between two columns.
const GAP: usize = 1;

/// How a heading is aligned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Align {
    #[default]
    Left,
    Right,
}

/// In which direction the rows are sorted by a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sorted {
    Ascending,
    Descending,
}

/// One column.
#[derive(Clone, Copy, Debug, Default)]
pub struct Column<'a> {
    /// A blank at its end is over the signs that figures may have after them.
    pub title: &'a str,
    /// The width it needs.
    pub width: u16,
    /// Its share of the remaining width; 0: it never grows.
    pub grow: u16,
    pub align: Align,
    /// Columns with the highest number are dropped first when the width is short; 0 always stays.
    pub drop: u8,
    pub sorted: Option<Sorted>,
}

/// A column that is shown: its index, and its place from the left edge of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnSpan {
    pub column: usize,
    pub x: u16,
    pub width: u16,
}

/// Decides which columns fit into `available` cells, and where.
pub fn arrange(columns: &[Column<'_>], available: u16) -> Vec<ColumnSpan> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let at = |index: usize| columns.get(index).copied().unwrap_or_default();
    let needed = |kept: &[usize]| -> usize {
        kept.iter().map(|it| usize::from(at(*it).width) + GAP).sum::<usize>().saturating_sub(GAP)
    };
    let room = usize::from(available).saturating_sub(GUTTER);
    while needed(&kept) > room {
        let Some(worst) = kept.iter().rposition(|it| {
            at(*it).drop > 0 && kept.iter().all(|other| at(*other).drop <= at(*it).drop)
        }) else {
            break;
        };
        kept.remove(worst);
    }
    let spare = room.saturating_sub(needed(&kept));
    let shares = kept.iter().map(|it| usize::from(at(*it).grow)).sum::<usize>();
    let mut x = GUTTER;
    let mut places = Vec::with_capacity(kept.len());
    for column in kept {
        let it = at(column);
        let more = (spare * usize::from(it.grow)).checked_div(shares).unwrap_or(0);
        let width = usize::from(it.width) + more;
        places.push(ColumnSpan { column, x: x as u16, width: width as u16 });
        x += width + GAP;
    }
    places
}

/// Returns the first row to show so that `cursor` is visible, moving `first` as little as possible.
pub const fn scroll(first: usize, cursor: usize, rows: usize, height: usize) -> usize {
    let last_first = rows.saturating_sub(height);
    let first = if first > last_first { last_first } else { first };
    if cursor < first {
        cursor
    } else if height > 0 && cursor >= first + height {
        cursor + 1 - height
    } else {
        first
    }
}

/// A table. `cell` paints one cell with a pen that ends where the cell ends.
pub struct Table<'a> {
    pub look: &'a Look,
    pub columns: &'a [Column<'a>],
    /// From [`arrange`] for the width it is drawn in.
    pub places: &'a [ColumnSpan],
    pub rows: usize,
    /// The row at the top, from [`scroll`].
    pub first: usize,
    pub cursor: Option<usize>,
    /// Whether a row is marked.
    pub marked: &'a dyn Fn(usize) -> bool,
    /// Paints (row, column).
    pub cell: &'a dyn Fn(usize, usize, &mut Pen<'_>),
}

impl Table<'_> {
    /// Draws the heading in the first row and as many rows as fit below it.
    pub fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        if area.is_empty() {
            return;
        }
        self.heading(&mut Pen::line(buf, area));
        for (index, y) in (self.first..self.rows).zip(area.y + 1..area.bottom()) {
            self.row(index, &mut Pen::new(buf, area.x, y, area.width));
        }
    }

    fn heading(&self, pen: &mut Pen<'_>) {
        for place in self.places {
            let Some(column) = self.columns.get(place.column) else { continue };
            pen.to(usize::from(place.x));
            let mut part = pen.part(usize::from(place.width));
            let style = if column.sorted.is_some() { self.look.accent } else { self.look.dim };
            let sign = match column.sorted {
                Some(Sorted::Descending) => self.look.glyphs.down,
                Some(Sorted::Ascending) => self.look.glyphs.up,
                None => "",
            };
            // Where figures have a sign after them, so has the heading.
            let title = if sign.is_empty() { column.title } else { column.title.trim_end() };
            let wide = super::pen::width(title) + usize::from(column.sorted.is_some());
            if column.align == Align::Right {
                part.skip(usize::from(place.width).saturating_sub(wide));
            }
            part.put(title, style).put(sign, style);
        }
    }

    fn row(&self, index: usize, pen: &mut Pen<'_>) {
        let current = self.cursor == Some(index);
        if current {
            pen.wash(self.look.select);
        }
        if (self.marked)(index) {
            pen.put(self.look.glyphs.mark, self.look.mark);
        }
        if current {
            pen.to(1).put(self.look.glyphs.cursor, self.look.accent);
        }
        for place in self.places {
            pen.to(usize::from(place.x));
            (self.cell)(index, place.column, &mut pen.part(usize::from(place.width)));
        }
    }
}

impl fmt::Debug for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("rows", &self.rows).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::tests::{lines, plain};
    use super::*;

    const COLUMNS: [Column<'_>; 3] = [
        Column { title: "NAME", width: 4, grow: 1, align: Align::Left, drop: 0, sorted: None },
        Column {
            title: "CPU%",
            width: 5,
            grow: 0,
            align: Align::Right,
            drop: 1,
            sorted: Some(Sorted::Descending),
        },
        Column { title: "tx", width: 4, grow: 0, align: Align::Right, drop: 2, sorted: None },
    ];

    #[test]
    fn narrow_tables_lose_columns_in_their_order() {
        let shown = |width| arrange(&COLUMNS, width).iter().map(|it| it.column).collect::<Vec<_>>();
        assert_eq!(shown(17), [0, 1, 2]);
        assert_eq!(shown(16), [0, 1]);
        assert_eq!(shown(11), [0]);
        assert_eq!(shown(0), [0]);
        assert_eq!(arrange(&COLUMNS, 27).first().map(|it| it.width), Some(14));
    }

    #[test]
    fn the_cursor_stays_in_sight() {
        assert_eq!(scroll(0, 9, 20, 5), 5);
        assert_eq!(scroll(5, 3, 20, 5), 3);
        assert_eq!(scroll(18, 19, 20, 5), 15);
        assert_eq!(scroll(4, 0, 2, 5), 0);
        assert_eq!(scroll(0, 0, 0, 0), 0);
    }

    #[test]
    fn rows_have_cursor_and_mark() {
        let look = plain();
        let mut buf = Buffer::empty(Rect::new(0, 0, 17, 3));
        let table = Table {
            look: &look,
            columns: &COLUMNS,
            places: &arrange(&COLUMNS, 17),
            rows: 9,
            first: 1,
            cursor: Some(2),
            marked: &|row| row == 2,
            cell: &|row, column, pen| {
                let text = format!("{row}.{column}");
                _ = if column == 0 { pen.put(&text, look.fg) } else { pen.right(&text, look.fg) };
            },
        };
        table.render(buf.area, &mut buf);
        let expected = ["  NAME CPU%▼   tx", "  1.0    1.1  1.2", "▌▸2.0    2.1  2.2"];
        assert_eq!(lines(&buf), expected);
    }
}
