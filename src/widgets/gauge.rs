//! A bar that is filled by a share of the whole, in eighths of a cell.

use ratatui::style::Style;

use super::look::{Glyphs, Look};
use super::pen::Pen;

/// Steps of one cell.
const EIGHTHS: usize = 8;

/// A bar in the colour of its share.
pub fn gauge(pen: &mut Pen<'_>, width: usize, share: f32, look: &Look) {
    bar(pen, width, share, look.glyphs, look.share(share));
}

/// A bar of `width` cells in the caller's colour.
pub fn bar(pen: &mut Pen<'_>, width: usize, share: f32, glyphs: &Glyphs, style: Style) {
    let width = width.min(pen.left());
    let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
    #[expect(clippy::cast_sign_loss, reason = "clamped to 0 and more")]
    let steps = (share * (width * EIGHTHS) as f32).round() as usize;
    // A share above 0 is always visible.
    let steps = if share > 0.0 { steps.max(1) } else { 0 };
    let mut part = pen.part(width);
    let [.., full] = glyphs.eighths;
    part.repeat(full, steps / EIGHTHS, style);
    if let Some(symbol) = (steps % EIGHTHS).checked_sub(1).and_then(|it| glyphs.eighths.get(it)) {
        part.put(symbol, style);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;

    use super::super::look::tests::{lines, plain};
    use super::*;

    #[test]
    fn bars_end_in_eighths() {
        let look = plain();
        for (share, expected) in [
            (0.0, "    "),
            (0.001, "▏   "),
            (0.5, "██  "),
            (0.72, "██▉ "),
            (1.0, "████"),
            (9.0, "████"),
            (f32::NAN, "    "),
        ] {
            let mut buf = Buffer::empty(Rect::new(0, 0, 4, 1));
            gauge(&mut Pen::line(&mut buf, Rect::new(0, 0, 4, 1)), 4, share, &look);
            assert_eq!(lines(&buf), [expected], "share {share}");
        }
    }
}
