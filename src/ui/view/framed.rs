//! The frame of a layer over the screen, and which of its entries is under the cursor.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use crate::ui::layers::Layer;
use crate::widgets::frame::Frame;
use crate::widgets::look::Look;
use crate::widgets::pen::clear;

/// Paints the frame of a layer over what is below; returns its inside.
pub(super) fn framed<'a>(
    title: &str,
    right: &str,
    foot: &str,
    area: Rect,
    canvas: &'a mut Canvas<'_>,
) -> Canvas<'a> {
    let look = canvas.look;
    clear(canvas.buf, area, look.fg);
    let left = [(title, look.accent)];
    let (right, foot) = ([(right, look.dim)], [(foot, look.dim)]);
    let frame = Frame { right: &right, foot: &foot, focused: true, ..Frame::titled(look, &left) };
    canvas.within(area).framed(frame)
}

/// Says which entry is under the cursor, of how many.
pub(super) fn position(layer: &Layer, look: &Look) -> String {
    at_of(look, layer.at, layer.count)
}

/// Says the same of an entry of a list.
pub(super) fn at_of(look: &Look, at: usize, count: usize) -> String {
    if count == 0 {
        String::new()
    } else {
        format!("{} {}/{count}", look.glyphs.updown, (at + 1).min(count))
    }
}
