//! A graph of the last values, newest at the right: braille dots that rise from the bottom, two
//! values and four heights to a cell.

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;

use super::look::Look;
use super::pen::Pen;

/// Heights that one cell can show.
const DOTS: usize = 4;
/// The first character of the braille block; the dots are bits.
const BRAILLE: u32 = 0x2800;
/// Dots of the left column for the heights 0 to 4, lowest dot first.
const LEFT: [u32; DOTS + 1] = [0, 0x40, 0x44, 0x46, 0x47];
/// The same for the right column.
const RIGHT: [u32; DOTS + 1] = [0, 0x80, 0xa0, 0xb0, 0xb8];
/// Heights in ASCII.
const ASCII: [char; DOTS + 1] = [' ', '.', '-', '=', '#'];

/// Shares of the whole, 0 to 1, oldest first; none: unknown, nothing is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Graph<'a> {
    pub look: &'a Look,
    pub values: &'a [Option<f32>],
}

/// Returns how many values a graph of `width` cells shows.
pub fn slots(width: u16, look: &Look) -> usize {
    usize::from(width) * per_cell(look)
}

const fn per_cell(look: &Look) -> usize {
    if look.glyphs.ascii { 1 } else { 2 }
}

impl Graph<'_> {
    /// Draws into every cell of `area`.
    pub fn render(self, area: Rect, buf: &mut Buffer) {
        let area = area.intersection(buf.area);
        let rows = usize::from(area.height);
        for (level, y) in (0..rows).rev().zip(area.top()..area.bottom()) {
            Pen::new(buf, area.x, y, area.width).draw(|cells| self.row(cells, level, rows));
        }
    }

    /// Draws into the cells that `pen` has left.
    pub fn draw(self, pen: &mut Pen<'_>) {
        pen.draw(|cells| self.row(cells, 0, 1));
    }

    /// Draws one row of cells, the row `level` counted from the bottom of `rows`.
    fn row(&self, cells: &mut [Cell], level: usize, rows: usize) {
        let per_cell = per_cell(self.look);
        let mut newest = self.values.iter().rev();
        for cell in cells.iter_mut().rev() {
            let right = newest.next().copied().flatten();
            let left = if per_cell == 2 { newest.next().copied().flatten() } else { right };
            let Some(share) = max(left, right) else { continue };
            let dots = [height(left, level, rows), height(right, level, rows)];
            let [left, right] = dots;
            if left + right > 0 {
                cell.set_char(self.symbol(left, right)).set_style(self.look.share(share));
            } else if level == 0 {
                cell.set_symbol(self.look.glyphs.base).set_style(self.look.line);
            }
        }
    }

    fn symbol(&self, left: usize, right: usize) -> char {
        let dots = |table: &[u32; DOTS + 1], at: usize| table.get(at).copied().unwrap_or(0);
        if self.look.glyphs.ascii {
            ASCII.get(right).copied().unwrap_or(' ')
        } else {
            char::from_u32(BRAILLE + dots(&LEFT, left) + dots(&RIGHT, right)).unwrap_or(' ')
        }
    }
}

/// Returns how many dots of the row `level` a value reaches. A value that reaches none is shown by
/// the line below the graph, which is not a dot.
fn height(value: Option<f32>, level: usize, rows: usize) -> usize {
    let Some(share) = value else { return 0 };
    let full = (rows * DOTS) as f32;
    let dots = (share.clamp(0.0, 1.0) * full).round();
    #[expect(clippy::cast_sign_loss, reason = "clamped to 0 and more; NaN becomes 0")]
    let dots = dots as usize;
    dots.saturating_sub(level * DOTS).min(DOTS)
}

fn max(left: Option<f32>, right: Option<f32>) -> Option<f32> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.max(right)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::Glyphs;
    use super::super::look::tests::{lines, plain};
    use super::*;

    fn drawn(values: &[Option<f32>], width: u16, height: u16, look: &Look) -> Vec<String> {
        let mut buf = Buffer::empty(Rect::new(0, 0, width, height));
        Graph { look, values }.render(buf.area, &mut buf);
        lines(&buf)
    }

    #[test]
    fn the_newest_value_is_at_the_right() {
        let look = plain();
        let values = [Some(0.0), Some(1.0), Some(0.5), Some(0.25)];
        assert_eq!(drawn(&values, 3, 1, &look), [" ⢸⣄"]);
        assert_eq!(drawn(&values, 1, 1, &look), ["⣄"]);
    }

    #[test]
    fn unknown_is_a_gap_and_zero_a_line() {
        let look = plain();
        assert_eq!(drawn(&[Some(0.0), Some(0.0), None, None], 2, 1, &look), ["▁ "]);
        assert_eq!(drawn(&[Some(0.01), Some(0.0)], 1, 2, &look), [" ", "▁"]);
        assert_eq!(drawn(&[Some(f32::NAN)], 1, 1, &look).len(), 1);
    }

    #[test]
    fn a_graph_shows_as_many_values_as_it_has_slots() {
        let ascii = Look { glyphs: &Glyphs::ASCII, ..plain() };
        for look in [plain(), ascii] {
            let mut values = vec![Some(0.0); slots(3, &look)];
            values[0] = Some(1.0);
            let drawn = drawn(&values, 3, 1, &look);
            assert!(!drawn[0].starts_with(look.glyphs.base), "{drawn:?}");
        }
    }

    #[test]
    fn tall_graphs_use_every_row() {
        let look = plain();
        assert_eq!(drawn(&[Some(1.0), Some(0.5)], 1, 2, &look), ["⡇", "⣿"]);
        let ascii = Look { glyphs: &Glyphs::ASCII, ..plain() };
        assert_eq!(drawn(&[Some(1.0), Some(0.5)], 2, 2, &ascii), ["# ", "##"]);
    }
}
