//! Edits a cgroup value, or one of the configuration, in its row: what is typed is checked here,
//! written by an effect.

use crossterm::event::{KeyCode, KeyEvent};

use super::travel::travel as row_after;
use super::{act, typing};
use crate::command::action::Move;
use crate::engine::Name;
use crate::engine::state::State;
use crate::ui::effect::{Act, Effect};
use crate::ui::model::overlay::{Overlay, Proposal};
use crate::ui::model::{Model, Noted, Tone};
use crate::ui::texts::NOT_SET;
use crate::ui::value::Direction;
use crate::ui::{texts, value};
use crate::widgets::field::Input;

/// Shows every file, or again only limits and counters.
pub(super) const fn show_all(model: &mut Model) {
    if let Some(detail) = &mut model.detail {
        detail.cgroup.all = !detail.cgroup.all;
    }
}

/// Takes in the values of those that are changed together.
pub(super) fn learn(
    model: &mut Model,
    file: &str,
    values: Vec<(Name, Result<Option<String>, String>)>,
) {
    let Some(screen) = &mut model.detail else { return };
    if screen.cgroup.edit.is_some() && screen.cgroup.cursor.as_deref() == Some(file) {
        screen.cgroup.olds = values;
    }
}

/// Moves the cursor over the rows.
pub(super) fn travel(model: &mut Model, movement: Move, page: usize) {
    let Some(screen) = &model.detail else { return };
    let rows = texts::cgroup_rows(model, screen);
    let row = row_after(movement, texts::place(&screen.cgroup, &rows), rows.len(), page);
    go(model, row);
}

/// Moves the cursor to `row`.
pub(super) fn go(model: &mut Model, row: usize) {
    let Some(screen) = &model.detail else { return };
    let rows = texts::cgroup_rows(model, screen);
    let cursor = rows.get(row).map(|it| it.file.clone());
    if let Some(screen) = &mut model.detail {
        screen.cgroup.row = row;
        screen.cgroup.cursor = cursor;
    }
}

/// Applies a key to the value under edit.
pub(super) fn edit_value(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Enter => return write(model),
        KeyCode::Esc => {
            if let Some(screen) = &mut model.detail {
                screen.cgroup.edit = None;
                screen.cgroup.refused = None;
            }
        }
        KeyCode::Up => step(model, Direction::Up),
        KeyCode::Down => step(model, Direction::Down),
        _ => {
            if let Some(input) = model.detail.as_mut().and_then(|it| it.cgroup.edit.as_mut()) {
                typing::edit(input, key);
            }
        }
    }
    Vec::new()
}

/// Gives pasted text to the value under edit.
pub(super) fn paste(model: &mut Model, text: &str) {
    if let Some(input) = model.detail.as_mut().and_then(|it| it.cgroup.edit.as_mut()) {
        input.insert(text);
    }
}

/// Replaces the value under edit with the next one up or down.
fn step(model: &mut Model, direction: Direction) {
    let Some(screen) = &mut model.detail else { return };
    if let (Some(file), Some(input)) = (&screen.cgroup.cursor, &mut screen.cgroup.edit)
        && let Some(next) = value::step(file, &input.text(), direction)
    {
        input.set(&next);
    }
}

/// Begins to edit the value under the cursor.
pub(super) fn begin(model: &mut Model) -> Vec<Effect> {
    let Some(screen) = &model.detail else { return Vec::new() };
    let rows = texts::cgroup_rows(model, screen);
    let Some(file) = rows.get(texts::place(&screen.cgroup, &rows)) else {
        // What is typed next is not typed into a value.
        model.say(Tone::Plain, "the limits have not been read yet");
        return Vec::new();
    };
    if !file.writable {
        let said = format!("{} is a counter and cannot be changed", file.file);
        model.refuse(said);
        return Vec::new();
    }
    let name = file.file.clone();
    let input = Input::offer(&value::shown(&name, file.value.as_deref().unwrap_or_default()));
    let Some(screen) = &mut model.detail else { return Vec::new() };
    screen.cgroup.cursor = Some(name.clone());
    screen.cgroup.refused = None;
    screen.cgroup.edit = Some(input);
    screen.cgroup.olds.clear();
    screen.cgroup.results.clear();
    if screen.together.is_empty() {
        return Vec::new();
    }
    vec![Effect::ReadLimits { file: name, names: screen.together.clone() }]
}

fn write(model: &mut Model) -> Vec<Effect> {
    let whole = texts::whole(model);
    let Some(screen) = &mut model.detail else { return Vec::new() };
    let (Some(input), Some(file)) = (screen.cgroup.edit.clone(), screen.cgroup.cursor.clone())
    else {
        return Vec::new();
    };
    let typed = input.text().trim().to_owned();
    // In a configuration an empty value removes the key.
    let parsed = if typed.is_empty() && value::is_key(&file) {
        Ok(String::new())
    } else {
        value::parse(&file, &typed, whole)
    };
    match parsed {
        Err(reason) => {
            let noted = Noted::Refused(format!("{file}: {reason}"));
            screen.cgroup.refused = Some((file, reason));
            // It is shown whole below the value.
            model.note(noted);
            Vec::new()
        }
        Ok(kernel) => {
            screen.cgroup.edit = None;
            screen.cgroup.refused = None;
            let names = match screen.together.as_slice() {
                [] => vec![screen.name.clone()],
                together => together.to_vec(),
            };
            let write = Write { file, typed, kernel };
            let acts: Vec<(Name, Act)> = names.into_iter().map(|it| write.to(model, it)).collect();
            if acts.len() > 1 {
                ask(model, &write, acts);
                return Vec::new();
            }
            act::run_all(model, acts)
        }
    }
}

/// Shows the old and new values of several, before they are changed.
fn ask(model: &mut Model, write: &Write, acts: Vec<(Name, Act)>) {
    let new = if write.kernel.is_empty() {
        NOT_SET.to_owned()
    } else {
        value::shown(&write.file, &write.kernel)
    };
    let olds = model.detail.as_ref().map_or(&[][..], |it| &it.cgroup.olds);
    let label = |(name, act): &(Name, Act)| {
        let old = olds.iter().find(|(it, _)| it == name).map(|(_, old)| old);
        let old = match old {
            Some(Ok(Some(old))) => value::shown(&write.file, old),
            Some(Ok(None)) => NOT_SET.to_owned(),
            Some(Err(_)) | None => "?".to_owned(),
        };
        let whither = if matches!(act, Act::Keep { .. }) { " in its configuration" } else { "" };
        format!("{name}  {old} → {new}{whither}")
    };
    let labels = acts.iter().map(label).collect();
    let question = format!("set {} of {} containers?", write.file, acts.len());
    let proposal = Proposal { acts, labels, hidden: 0, spared: 0, first: 0 };
    model.overlay = Some(Overlay::Confirm { question, proposal, yes: false, back: None });
}

/// A value that was typed for a file, or for a key of the configuration.
struct Write {
    file: String,
    typed: String,
    kernel: String,
}

impl Write {
    /// Returns the act that writes it: to the container's group while it is running, else to its
    /// configuration.
    fn to(&self, model: &Model, name: Name) -> (Name, Act) {
        let stopped = model.container(&name).is_some_and(|it| it.state == State::Stopped);
        let act = if stopped {
            let value = Some(self.typed.clone()).filter(|it| !it.is_empty());
            Act::Keep { file: self.file.clone(), value }
        } else {
            let file = value::file_of(&self.file).to_owned();
            Act::Set { file, value: self.typed.clone() }
        };
        (name, act)
    }
}
