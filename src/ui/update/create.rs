//! Keys of the form for a new container.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{act, typing};
use crate::engine::Name;
use crate::engine::create::Create;
use crate::ui::command_line;
use crate::ui::effect::{Act, Effect};
use crate::ui::model::create::{CreateForm, FormRow, SourceKind};
use crate::ui::model::{Model, Tone, Way};

/// Opens the form, with the saved draft.
pub(super) fn open(model: &mut Model) {
    model.draft.offered = free_name(&names(model));
    model.creating = true;
}

fn names(model: &Model) -> Vec<String> {
    let containers = model.sample.iter().flat_map(|it| &it.containers);
    containers.map(|it| it.name.to_string()).collect()
}

/// Returns the first of `web`, `web2`, `web3` … that no container has.
fn free_name(taken: &[String]) -> String {
    let numbered = (2..=taken.len() + 2).map(|number| format!("web{number}"));
    std::iter::once("web".to_owned())
        .chain(numbered)
        .find(|it| !taken.contains(it))
        .unwrap_or_default()
}

/// Applies a key to the form.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let form = &mut model.draft;
    match key.code {
        KeyCode::Esc => model.creating = false,
        KeyCode::Char('s') if control => return submit(model, false),
        KeyCode::Char('y') if control => return copy(model),
        KeyCode::Enter => return submit(model, true),
        KeyCode::Char('t') if control => return submit(model, true),
        KeyCode::Tab | KeyCode::Down => step(form, 1),
        KeyCode::BackTab | KeyCode::Up => step(form, -1),
        _ if form.row == FormRow::Source => choose(form, key.code),
        _ => {
            if let Some(input) = form.input() {
                typing::edit(input, key);
            }
        }
    }
    Vec::new()
}

/// Gives pasted text to the field under edit.
pub(super) fn paste(model: &mut Model, text: &str) {
    if let Some(input) = model.draft.input() {
        input.insert(text);
    }
}

/// Returns what the form orders; a fault is reported as `not_done` and its field entered.
fn order(model: &mut Model, not_done: &str) -> Option<(Name, Create)> {
    model.draft.tried = true;
    let names = names(model);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let memory = model.sample.as_ref().and_then(|it| it.host.memory_bytes);
    match model.draft.order(&names, memory) {
        Ok(order) => Some(order),
        Err(fault) => {
            model.draft.row = fault.row;
            let field = model.draft.label(fault.row);
            model.refuse(format!("{not_done}: {field}: {}", fault.text));
            None
        }
    }
}

fn submit(model: &mut Model, start: bool) -> Vec<Effect> {
    let Some((name, create)) = order(model, "not created") else { return Vec::new() };
    model.creating = false;
    model.draft.name.clear();
    let effect = act::begin_all(model, vec![(name, Act::Create { create, start })], Way::Anew);
    effect.into_iter().collect()
}

/// Copies the equivalent command line, once it is valid.
fn copy(model: &mut Model) -> Vec<Effect> {
    let Some((name, create)) = order(model, "not copied") else { return Vec::new() };
    let line = command_line::create(&model.program, name.as_str(), &create);
    model.say(Tone::Good, format!("copied {line}"));
    vec![Effect::Copy(line)]
}

/// Goes to the next or the previous field, wrapping around.
fn step(form: &mut CreateForm, by: isize) {
    let rows: Vec<FormRow> = form.rows().collect();
    form.row = next(&rows, form.row, by);
}

fn choose(form: &mut CreateForm, key: KeyCode) {
    match key {
        KeyCode::Left => form.source = next(&SourceKind::ALL, form.source, -1),
        KeyCode::Right | KeyCode::Char(' ') => next_source(form),
        _ => (),
    }
}

/// Chooses the next kind of files, around the end.
pub(super) fn next_source(form: &mut CreateForm) {
    form.source = next(&SourceKind::ALL, form.source, 1);
}

fn next<T: Copy + PartialEq>(all: &[T], now: T, by: isize) -> T {
    let at = all.iter().position(|it| *it == now).unwrap_or(0);
    let to = at.saturating_add(all.len()).saturating_add_signed(by).checked_rem(all.len());
    to.and_then(|it| all.get(it)).copied().unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn press_all(model: &mut Model, keys: &[KeyCode]) -> Vec<Effect> {
        keys.iter().flat_map(|it| press(model, KeyEvent::new(*it, KeyModifiers::NONE))).collect()
    }

    #[test]
    fn fields_are_walked_around_and_the_host_has_no_place() {
        let mut model = Model::new((120, 36), SystemTime::UNIX_EPOCH);
        press_all(&mut model, &[KeyCode::Tab, KeyCode::Tab]);
        assert_eq!(model.draft.row, FormRow::Command);
        press_all(&mut model, &[KeyCode::Up, KeyCode::Right, KeyCode::Down]);
        assert_eq!((model.draft.source, model.draft.row), (SourceKind::Directory, FormRow::Place));
        press_all(&mut model, &[KeyCode::BackTab; 3]);
        assert_eq!(model.draft.row, FormRow::Pids);
    }

    #[test]
    fn a_fault_is_said_and_a_good_form_becomes_an_act() {
        let mut model = Model::new((120, 36), SystemTime::UNIX_EPOCH);
        open(&mut model);
        let save = KeyEvent::new(KeyCode::Char('s'), KeyModifiers::CONTROL);
        model.draft.name.insert("../x");
        assert!(press(&mut model, save).is_empty());
        let said = &model.notice.as_ref().unwrap().text;
        assert!(model.creating && said.starts_with("not created: "), "{said}");
        model.draft.name.clear();
        model.draft.row = FormRow::Command;
        paste(&mut model, "/bin/sh");
        let effects = press(&mut model, save);
        assert!(matches!(effects.as_slice(),
            [Effect::Act { name, act: Act::Create { start: false, .. } }] if name.as_str() == "web"));
        assert!(!model.creating);
    }

    #[test]
    fn the_command_line_is_copied_whole_once_nothing_is_missing() {
        let mut model = Model::new((80, 24), SystemTime::UNIX_EPOCH);
        open(&mut model);
        model.draft.source = SourceKind::Directory;
        let copy = KeyEvent::new(KeyCode::Char('y'), KeyModifiers::CONTROL);
        assert_eq!(press(&mut model, copy), []);
        let said = &model.notice.as_ref().unwrap().text;
        assert!(said.starts_with("not copied: ") && said.contains("an absolute path"), "{said}");
        assert_eq!(model.draft.row, FormRow::Place);
        paste(&mut model, "/srv/web");
        let line = "wharf create web --dir /srv/web".to_owned();
        assert_eq!(press(&mut model, copy), [Effect::Copy(line)]);
    }
}
