//! What is above the footer: a message, or else the marked containers.

use super::canvas::Canvas;
use crate::command::Action;
use crate::command::action::{Do, InDetail};
use crate::ui::model::Model;
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, clear, width};

/// What Esc does to the marks or the filter, at its widest.
const UNMARK: &str = "  Esc clear filter ";
/// Minimum cells for the names of the marked.
const LEAST_NAMES: usize = 16;

/// Paints it; a message that is shown whole covers what is above.
pub(super) fn render(model: &Model, mut canvas: Canvas<'_>) {
    let look = canvas.look;
    if let (Some(status), Some(area)) = (model.status(), model.status_area()) {
        clear(canvas.buf, area, look.fg);
        status.toast(look, |it| it.render(area, canvas.buf));
    } else if model.shows_marks() {
        marks(model, look, &mut canvas.pen());
    }
}

/// Marks are shown before the verb is chosen.
fn marks(model: &Model, look: &Look, pen: &mut Pen<'_>) {
    let many = model.list.marks.len();
    let hidden = model.hidden_marks();
    let words = match hidden {
        0 => format!("{many} marked "),
        hidden => format!("{many} marked, {hidden} hidden "),
    };
    pen.skip(1).put(&words, look.mark);
    let all = if many == 2 { "both" } else { "all" };
    let hints: Vec<(Action, String)> = [
        Action::Act(Do::Freeze),
        Action::Act(Do::Stop),
        Action::Act(Do::Restart),
        Action::Detail(InDetail::Limits),
    ]
    .into_iter()
    .filter_map(|it| Some((it, format!(" {} {all}", it.shortcut()?.name))))
    .collect();
    let wide = |(action, words): &(Action, String)| width(action.key()) + width(words) + 2;
    let names = pen.left().saturating_sub(hints.iter().map(wide).sum::<usize>() + width(UNMARK));
    let mut part = pen.part(names.max(LEAST_NAMES));
    for name in &model.list.marks {
        part.skip(1).name(name.as_str(), look.fg, look.glyphs.ellipsis);
    }
    for hint in hints {
        if wide(&hint) + width(UNMARK) > pen.left() {
            break;
        }
        let (action, words) = hint;
        let enabled = model.refusal(action).is_none();
        let (key, text) = if enabled { (look.key, look.fg) } else { (look.dim, look.dim) };
        pen.skip(2).put(action.key(), key).put(&words, text);
    }
    let back = if model.list.filter_text.is_empty() { " unmark" } else { " clear filter" };
    pen.skip(2).put("Esc", look.key).put(back, look.dim);
}
