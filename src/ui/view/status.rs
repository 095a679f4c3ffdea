//! What is above the footer: a message, or else the marked containers.

use super::canvas::Canvas;
use super::footer;
use crate::ui::hints::{GAP, INDENT};
use crate::ui::marks::MarkLine;
use crate::ui::model::Model;
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, clear};

/// Paints it; a message that is shown whole covers what is above.
pub(super) fn render(model: &Model, mut canvas: Canvas<'_>) {
    let look = canvas.look;
    if let (Some(status), Some(area)) = (model.status(), model.status_area()) {
        clear(canvas.buf, area, look.fg);
        status.toast(look, |it| it.render(area, canvas.buf));
    } else if let Some(line) = model.mark_line() {
        marks(&line, look, &mut canvas.pen());
    }
}

/// Marks are shown before the verb is chosen.
fn marks(line: &MarkLine<'_>, look: &Look, pen: &mut Pen<'_>) {
    pen.skip(INDENT).put(&line.words, look.mark);
    let mut part = pen.part(line.names);
    for name in &line.unseen {
        part.skip(1).name(name.as_str(), look.fg, look.glyphs.ellipsis);
    }
    pen.skip(GAP);
    footer::paint(&line.hints, look, pen);
}
