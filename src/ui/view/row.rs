//! What the rows of the list have in common, wide or narrow.

use super::canvas::Canvas;
use super::words;
use crate::engine::sample::Container;
use crate::ui::model::Model;
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, ends};
use crate::widgets::text::paragraph;

/// Says that nothing matches the filter, and how to get rid of it.
pub(super) fn nothing(canvas: Canvas<'_>) {
    let Canvas { look, area, buf } = canvas;
    paragraph("nothing matches the filter; Esc clears it", look.dim, area, buf);
}

/// Paints the name into the rest of the pen: with its mark, the matching letters highlighted, and a
/// sign after it if something is wrong.
pub(super) fn name(model: &Model, container: &Container, look: &Look, pen: &mut Pen<'_>) {
    let list = &model.list;
    let marked = list.marks.contains(&container.name);
    let warns = words::warns(model, container);
    let room = pen.left().saturating_sub(if warns.is_some() { 2 } else { 0 });
    let name = container.name.as_str();
    let style = if marked { look.mark } else { look.fg };
    let mut hits = list.filter.hits(name, list.closeness);
    if let Some((head, tail)) = ends(name, room) {
        // A match in the omitted part is shown at the ellipsis.
        let place = |it: u32| match it as usize {
            at if at < head => at,
            at if at < tail => head,
            at => at - tail + head + 1,
        };
        for hit in &mut hits {
            *hit = place(*hit) as u32;
        }
    }
    pen.part(room).name(name, style, look.glyphs.ellipsis).touch(&hits, look.hit());
    if let Some(warns) = warns.map(|bad| if bad { look.bad } else { look.warn }) {
        pen.skip(1).put(look.glyphs.warn, warns);
    }
}
