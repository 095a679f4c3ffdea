//! What is above the footer: a message, or else the marked containers.

use super::canvas::Canvas;
use crate::command::Action;
use crate::command::action::{Do, InDetail};
use crate::engine::Name;
use crate::ui::model::Model;
use crate::ui::{hints, layout};
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, clear, width};

/// Minimum cells for the names of the marked that are not on the screen.
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
    let hidden = match model.hidden_marks() {
        0 => String::new(),
        hidden => format!(", {hidden} hidden"),
    };
    // The others are marked in their rows.
    let seen: Vec<&Name> = layout::list_shown(model).map(|it| &it.name).collect();
    let unseen: Vec<&Name> = model.list.marks.iter().filter(|it| !seen.contains(it)).collect();
    let elsewhere = if unseen.is_empty() { "" } else { ", out of sight:" };
    pen.skip(1).put(&format!("{many} marked{hidden}{elsewhere}"), look.mark);
    let back = if model.list.filter_text.is_empty() { " unmark" } else { " clear filter" };
    let way_back = width("  Esc") + width(back);
    let all = if many == 2 { "both" } else { "all" };
    let keys: Vec<(Action, String)> = [
        Action::Act(Do::Freeze),
        Action::Act(Do::Stop),
        Action::Act(Do::Restart),
        Action::Detail(InDetail::Limits),
    ]
    .into_iter()
    .map(|it| {
        let of_them = hints::marked(model, it).filter(|it| (1..many).contains(it));
        let whom = of_them.map_or_else(|| all.to_owned(), |it| it.to_string());
        (it, format!(" {} {whom}", hints::name(model, it)))
    })
    .collect();
    let wide = |(action, words): &(Action, String)| width(action.key()) + width(words) + 2;
    if !unseen.is_empty() {
        let hints = keys.iter().map(wide).sum::<usize>() + way_back;
        let names = unseen.iter().map(|it| it.as_str().len() + 1).sum::<usize>();
        let room = pen.left().saturating_sub(hints).max(LEAST_NAMES).min(names);
        let mut part = pen.part(room);
        for name in unseen {
            part.skip(1).name(name.as_str(), look.fg, look.glyphs.ellipsis);
        }
    }
    for hint in keys {
        if wide(&hint) + way_back > pen.left() {
            break;
        }
        let (action, words) = hint;
        let enabled = model.refusal(action).is_none();
        let (key, text) = if enabled { (look.key, look.fg) } else { (look.dim, look.dim) };
        pen.skip(2).put(action.key(), key).put(&words, text);
    }
    pen.skip(2).put("Esc", look.key).put(back, look.dim);
}
