//! Lines, bars and dots of a cell as shapes.

use std::fmt::Write as _;

use super::{CELL_HEIGHT, CELL_WIDTH};

/// The first and the last of the braille characters.
const BRAILLE: [char; 2] = ['\u{2800}', '\u{28ff}'];
/// Which bit of a braille character is the dot in which column and row.
const DOTS: [(u32, u8, u8); 8] = [
    (0x01, 0, 0),
    (0x02, 0, 1),
    (0x04, 0, 2),
    (0x40, 0, 3),
    (0x08, 1, 0),
    (0x10, 1, 1),
    (0x20, 1, 2),
    (0x80, 1, 3),
];

/// Returns whether `symbol` is drawn here.
pub(super) fn is_shape(symbol: &str) -> bool {
    let mut chars = symbol.chars();
    let (Some(it), None) = (chars.next(), chars.next()) else { return false };
    let [first, last] = BRAILLE;
    (first..=last).contains(&it)
        || matches!(it, '▁' | '█'..='▏' | '─' | '│' | '╭'..='╰' | '├' | '└')
}

/// Returns whether `symbol` is stroked, not filled.
pub(super) fn is_line(symbol: &str) -> bool {
    symbol.starts_with(['─', '│', '╭', '╮', '╯', '╰', '├', '└'])
}

/// Appends the shapes of `symbol` in the cell at (`x`, `y`).
pub(super) fn draw(symbol: &str, x: usize, y: usize, out: &mut String) {
    let Some(it) = symbol.chars().next() else { return };
    match it {
        '▁' => {
            let top = y + CELL_HEIGHT - 2;
            // Writing to a String cannot fail.
            _ = write!(out, "<rect x=\"{x}\" y=\"{top}\" width=\"{CELL_WIDTH}\" height=\"1\"/>");
        }
        '█'..='▏' => block(it, x, y, out),
        '─' | '│' | '╭'..='╰' | '├' | '└' => line(it, x, y, out),
        _ => dots(it, x, y, out),
    }
}

/// A bar from the left: `█` is U+2588 and full, `▏` is U+258F and an eighth.
fn block(it: char, x: usize, y: usize, out: &mut String) {
    let eighths = 0x2590_u32.saturating_sub(it as u32).min(8);
    let width = f64::from(eighths) * CELL_WIDTH as f64 / 8.0;
    // A blank line above and below separates the bars of two rows.
    let (y, height) = (y + 1, CELL_HEIGHT - 2);
    // Writing to a String cannot fail.
    _ = write!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>");
}

fn dots(it: char, x: usize, y: usize, out: &mut String) {
    let bits = (it as u32).saturating_sub(0x2800);
    for (bit, column, row) in DOTS {
        if bits & bit != 0 {
            let cx = x as f64 + CELL_WIDTH as f64 * (1.0 + 2.0 * f64::from(column)) / 4.0;
            let cy = y as f64 + CELL_HEIGHT as f64 * (1.0 + 2.0 * f64::from(row)) / 8.0;
            _ = write!(out, "<circle cx=\"{cx}\" cy=\"{cy}\" r=\"1.4\"/>");
        }
    }
}

/// A thin line from edge to edge, or around a corner.
fn line(it: char, x: usize, y: usize, out: &mut String) {
    let (right, bottom) = (x + CELL_WIDTH, y + CELL_HEIGHT);
    let (cx, cy) = (x as f64 + CELL_WIDTH as f64 / 2.0, y as f64 + CELL_HEIGHT as f64 / 2.0);
    let path = match it {
        '─' => format!("M{x} {cy}H{right}"),
        '│' => format!("M{cx} {y}V{bottom}"),
        '├' => format!("M{cx} {y}V{bottom}M{cx} {cy}H{right}"),
        '└' => format!("M{cx} {y}V{cy}H{right}"),
        '╭' => format!("M{cx} {bottom}Q{cx} {cy} {right} {cy}"),
        '╮' => format!("M{cx} {bottom}Q{cx} {cy} {x} {cy}"),
        '╯' => format!("M{cx} {y}Q{cx} {cy} {x} {cy}"),
        _ => format!("M{cx} {y}Q{cx} {cy} {right} {cy}"),
    };
    _ = write!(out, "<path d=\"{path}\"/>");
}
