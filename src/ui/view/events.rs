//! What happened: a strip below the list, a tab of the open container, a layer over the screen.

use std::time::{Duration, SystemTime};

use ratatui::style::Style;

use super::canvas::Canvas;
use super::words;
use crate::engine::event::{Event, What};
use crate::engine::shown::shown;
use crate::engine::state::State;
use crate::format;
use crate::ui::model::Model;
use crate::ui::texts;
use crate::widgets::frame::Frame;
use crate::widgets::look::Look;
use crate::widgets::pen::Pen;

/// Cells for a time of day.
const CLOCK: usize = 8;
/// Cells for a name, if the event has at least twice as many.
const NAMES: usize = 16;
/// The same on a line of at least [`ROOMY`] cells.
const ROOMY_NAMES: usize = 28;
/// From this width on a line has room for long names and the whole of what happened.
const ROOMY: usize = 112;

/// Paints the newest events, the newest last, as in the other lists of them.
pub(super) fn strip(model: &Model, canvas: Canvas<'_>) {
    let look = canvas.look;
    let title = [("Events", look.accent)];
    let right = [("g m", look.key), (" all of them", look.dim)];
    let mut canvas = canvas.framed(Frame { right: &right, ..Frame::titled(look, &title) });
    // Before the first look, nothing is known of it.
    if model.events.is_empty() && model.sample.is_some() {
        canvas.pen().skip(1).put("nothing has happened yet", look.dim);
    }
    let newest = model.events.iter().rev().filter(|it| !passes(it));
    let newest: Vec<&Event> = newest.take(canvas.area.height.into()).collect();
    for (event, row) in newest.into_iter().rev().zip(canvas.rows()) {
        line(model, event, Named::Here, look, &mut canvas.pen_at(row));
    }
}

/// Returns whether an event is a transient state, which the few rows of the strip leave out.
const fn passes(event: &Event) -> bool {
    matches!(
        event.enters(),
        Some(State::Starting | State::Stopping | State::Aborting | State::Freezing | State::Thawed)
    )
}

/// Whether an event is shown with the name of its container.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Here,
    /// All are of one container, which is named above.
    Above,
}

/// Paints one event.
pub(super) fn line(model: &Model, event: &Event, named: Named, look: &Look, pen: &mut Pen<'_>) {
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(event.at_ms);
    let at = format::aged(at, model.now).unwrap_or_else(|| format::clock(at));
    let ellipsis = look.glyphs.ellipsis;
    let names = if pen.left() < ROOMY { NAMES } else { ROOMY_NAMES };
    pen.skip(1).part(CLOCK).right(&at, look.dim);
    pen.skip(1);
    if named == Named::Here {
        let names = names.min(pen.left() / 3);
        pen.part(names).name(event.name.as_str(), look.fg, ellipsis);
    }
    pen.skip(1);
    match &event.what {
        What::State { from, to } => {
            pen.put(&format!("{from:<8}"), look.dim);
            pen.skip(1).put(look.glyphs.arrow, look.dim).skip(1);
            pen.clip(to.word(), of(*to, look), ellipsis);
        }
        What::Failed { .. }
        | What::Braked { .. }
        | What::Warned { .. }
        | What::SupervisorKilled
        | What::LimitLost { .. }
        | What::OomKill { .. } => {
            pen.clip(&shown(&texts::event_words(event)), look.bad, ellipsis);
        }
        What::Exited { .. }
        | What::Created
        | What::Destroyed
        | What::Trashed
        | What::Restored
        | What::Cgroup { .. }
        | What::Signal { .. } => {
            pen.clip(&shown(&texts::event_words(event)), look.fg, ellipsis);
        }
    }
}

const fn of(state: State, look: &Look) -> Style {
    words::state(state, false, look).1
}
