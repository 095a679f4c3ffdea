//! The last row: the keys that work here and now, from [`crate::ui::hints`].

use super::canvas::Canvas;
use crate::ui::footer::hints;
use crate::ui::hints::{GAP, Hint, INDENT};
use crate::ui::model::Model;
use crate::widgets::look::Look;
use crate::widgets::pen::Pen;

/// Paints the footer.
pub(super) fn render(model: &Model, mut canvas: Canvas<'_>) {
    let look = canvas.look;
    let mut pen = canvas.pen();
    pen.skip(INDENT);
    paint(&hints(model, look.glyphs), look, &mut pen);
}

/// Paints `hints` where the pen is.
pub(super) fn paint(hints: &[Hint], look: &Look, pen: &mut Pen<'_>) {
    for hint in hints {
        let (key, words) = match (hint.alive, hint.is_usual()) {
            (false, _) => (look.dim, look.dim),
            (true, true) => (look.key, look.fg),
            (true, false) => (look.key, look.dim),
        };
        pen.clip(&hint.key, key, look.glyphs.ellipsis);
        pen.clip(&hint.words, words, look.glyphs.ellipsis);
        pen.skip(GAP);
    }
}
