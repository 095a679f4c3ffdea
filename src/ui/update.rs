//! The one function that changes the model. Pure: it returns what is to be done as effects.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a key or an action that a place does not name means nothing there"
)]

mod act;
mod cgroup;
mod create;
mod detail;
mod keys;
mod list;
mod overlay;
mod pane;
mod sampled;
mod search;
#[cfg(test)]
pub(super) mod tests;
mod typing;
mod whole;

pub use overlay::found;

use super::effect::Effect;
use super::message::Message;
use super::model::Model;

/// Applies `message` and returns the work it calls for.
#[must_use = "effects do nothing until they are run"]
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let was_held = model.held;
    let was_current = model.current_name().cloned();
    let mut effects = match message {
        Message::Key(key) => keys::press(model, key),
        Message::Paste(text) => keys::paste(model, &text),
        Message::Click(column, row) => list::click(model, column, row),
        Message::Wheel(lines) => keys::wheel(model, lines),
        Message::Resized(width, height) => {
            model.size = (width, height);
            let mut effects = pane::resize(model);
            // A terminal that shrank and grew again between two frames has lost what it showed.
            effects.push(Effect::Redraw);
            effects
        }
        Message::Sampled(snapshot) => sampled::take(model, snapshot),
        Message::Tick { now, quiet } => {
            (model.now, model.quiet) = (now, quiet);
            Vec::new()
        }
        Message::Happened(event) => sampled::happened(model, event),
        Message::Done(done) => act::done(model, done),
        Message::Log { name, text } => {
            model.log = Some((name, text));
            Vec::new()
        }
        Message::Limits { file, values } => {
            cgroup::learn(model, &file, values);
            Vec::new()
        }
        Message::PaneChanged => Vec::new(),
        Message::PaneEnded(how) => pane::ended(model, how),
        Message::Suspend => vec![Effect::Suspend],
        Message::Continued => vec![Effect::Redraw],
        Message::Quit => vec![Effect::Quit],
    };
    if model.held != was_held {
        effects.push(Effect::Hold(model.held));
    }
    let look = model.settle();
    if model.current_name() != was_current.as_ref() {
        effects.extend(sampled::read_log(model));
    }
    if look != model.look {
        model.look = look.clone();
        effects.push(Effect::Look(look));
    }
    effects
}
