//! The only function that changes the model. Pure: it returns effects to be carried out.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a key that a place does not name means nothing there"
)]

mod act;
mod cgroup;
mod create;
mod detail;
mod input;
mod keep;
mod list;
mod overlay;
mod pane;
mod point;
mod run;
mod sampled;
mod search;
mod settle;
#[cfg(test)]
pub(super) mod tests;
mod travel;
mod typing;
mod whole;

use super::effect::Effect;
use super::message::Message;
use super::model::Model;

/// Applies `message` and returns the work it calls for.
#[must_use = "effects do nothing until they are run"]
pub fn update(model: &mut Model, message: Message) -> Vec<Effect> {
    let was_held = model.held;
    let was_current = model.current_name().cloned();
    let mut effects = match message {
        Message::Key(key) => input::press(model, key),
        Message::Paste(text) => input::paste(model, &text),
        Message::Mouse(event) => input::mouse(model, event),
        Message::Resized(width, height) => {
            model.size = (width, height);
            // A terminal that shrank and grew again between two frames has lost what it showed.
            vec![Effect::Redraw]
        }
        Message::Sampled(sample) => sampled::take(model, sample),
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
        Message::Start { create, start } => {
            create::learn(model, &create, start);
            Vec::new()
        }
        Message::Trash(found) => keep::learn_trash(model, found),
        Message::Snapshots { name, snapshots } => keep::learn_snapshots(model, &name, snapshots),
        Message::Reached { name, reached } => {
            if let Some(job) = model.jobs.get_mut(&name) {
                job.reached = Some(reached);
            }
            Vec::new()
        }
        Message::PaneChanged => Vec::new(),
        Message::PaneEnded { number, how } => pane::ended(model, number, how),
        Message::Suspend => vec![Effect::Suspend],
        Message::Continued => vec![Effect::Redraw],
        Message::Quit => vec![Effect::Quit],
    };
    effects.extend(pane::resize(model));
    if model.held != was_held {
        effects.push(Effect::Hold(model.held));
    }
    let interest = settle::settle(model);
    if model.current_name() != was_current.as_ref() {
        model.list.peek_first = 0;
        effects.extend(sampled::read_log(model));
    }
    if interest != model.interest {
        model.interest = interest.clone();
        effects.push(Effect::Look(interest));
    }
    effects
}
