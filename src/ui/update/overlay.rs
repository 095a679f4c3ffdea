//! The layers that own the keyboard: questions, help, palette, journal, signals.

use crossterm::event::{KeyCode, KeyEvent};

use super::{act, detail, keys, pane, typing};
use crate::command::Action;
use crate::command::action::{COMMANDS, Command};
use crate::ui::effect::{Act, Effect};
use crate::ui::model::Model;
use crate::ui::model::filter::fuzzy;
use crate::ui::model::overlay::{Find, FindKind, Overlay, SIGNALS};
use crate::widgets::field::Input;

/// Opens the layer that `action` calls for.
pub(super) fn open(model: &mut Model, action: Action) -> Vec<Effect> {
    let find = |kind| Overlay::Find(Find { kind, line: Input::default(), at: 0 });
    model.overlay = match action {
        Action::Help => Some(find(FindKind::Help)),
        Action::Palette => Some(find(FindKind::Palette)),
        Action::Journal => Some(Overlay::Journal { at: model.journal.len().saturating_sub(1) }),
        Action::GoEvents => Some(Overlay::Events { at: model.events.len().saturating_sub(1) }),
        Action::Exec => model
            .current_name()
            .map(|name| Overlay::Exec { name: name.clone(), line: Input::offer("/bin/sh") }),
        Action::Signal => detail::process_under_cursor(model).and_then(|process| {
            let name = model.current_name()?.clone();
            Some(Overlay::Signal { name, process, at: 0 })
        }),
        _ => None,
    };
    Vec::new()
}

/// Gives pasted text to the line of the layer; tells whether there is a layer.
pub(super) fn paste(model: &mut Model, text: &str) -> bool {
    let line = match &mut model.overlay {
        None => return false,
        Some(Overlay::Find(find)) => Some(&mut find.line),
        Some(Overlay::TypeName { typed, .. }) => Some(typed),
        Some(Overlay::Exec { line, .. }) => Some(line),
        Some(_) => None,
    };
    if let Some(line) = line {
        line.insert(text);
    }
    true
}

/// Applies a key to the layer on top.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(overlay) = model.overlay.take() else { return Vec::new() };
    if key.code == KeyCode::Esc {
        return Vec::new();
    }
    match overlay {
        Overlay::Find(find) => press_find(model, find, key),
        Overlay::Confirm { question, acts, yes } => {
            press_confirm(model, (question, acts, yes), key)
        }
        Overlay::TypeName { word, typed, acts } => press_name(model, (word, typed, acts), key),
        Overlay::Exec { name, mut line } => {
            if key.code == KeyCode::Enter && !line.text().trim().is_empty() {
                return pane::open_exec(model, name, line.text().trim());
            }
            typing::edit(&mut line, key);
            model.overlay = Some(Overlay::Exec { name, line });
            Vec::new()
        }
        Overlay::Signal { name, process, at } => {
            if key.code == KeyCode::Enter {
                let Some((signal, ..)) = SIGNALS.get(at) else { return Vec::new() };
                let act = Act::Signal { process, signal: *signal };
                return act::run_all(model, vec![(name, act)]);
            }
            if let Some(at) = step(model, key, at, SIGNALS.len()) {
                model.overlay = Some(Overlay::Signal { name, process, at });
            }
            Vec::new()
        }
        Overlay::Journal { at } => {
            let at = step(model, key, at, model.journal.len());
            model.overlay = at.map(|at| Overlay::Journal { at });
            Vec::new()
        }
        Overlay::Events { at } => {
            let at = step(model, key, at, model.events.len());
            model.overlay = at.map(|at| Overlay::Events { at });
            Vec::new()
        }
    }
}

/// Returns the commands that the searched text finds, best first; with no text all of them.
pub fn found(find: &Find) -> Vec<&'static Command> {
    let needle = find.line.text();
    let needle = needle.trim();
    if needle.is_empty() {
        return COMMANDS.iter().collect();
    }
    let score = |it: &'static Command| {
        let by_key = it.keys.contains(&needle).then_some(u32::MAX);
        let by_name = fuzzy(needle, it.name).map(|it| it.saturating_mul(2));
        // In a sentence a few scattered letters are found everywhere; there, only whole words count.
        let by_help = || it.help.to_lowercase().contains(&needle.to_lowercase()).then_some(1);
        Some((by_key.or(by_name).or_else(by_help)?, it))
    };
    let mut scored: Vec<(u32, &Command)> = COMMANDS.iter().filter_map(score).collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.into_iter().map(|(_, it)| it).collect()
}

fn press_find(model: &mut Model, mut find: Find, key: KeyEvent) -> Vec<Effect> {
    let list = found(&find);
    match key.code {
        KeyCode::Enter => {
            let Some(command) = list.get(find.at) else {
                model.overlay = Some(Overlay::Find(find));
                return Vec::new();
            };
            return keys::run(model, command.action);
        }
        KeyCode::Up => find.at = find.at.saturating_sub(1),
        KeyCode::Down => find.at = (find.at + 1).min(list.len().saturating_sub(1)),
        KeyCode::PageUp => find.at = keys::travel(Action::PageUp, find.at, list.len(), 10),
        KeyCode::PageDown => find.at = keys::travel(Action::PageDown, find.at, list.len(), 10),
        _ => {
            if typing::edit(&mut find.line, key) {
                find.at = 0;
            }
        }
    }
    model.overlay = Some(Overlay::Find(find));
    Vec::new()
}

type Question = (String, Vec<(crate::engine::Name, Act)>, bool);

fn press_confirm(model: &mut Model, question: Question, key: KeyEvent) -> Vec<Effect> {
    let (question, acts, yes) = question;
    match key.code {
        KeyCode::Char('y') => return act::run_all(model, acts),
        KeyCode::Enter if yes => return act::run_all(model, acts),
        KeyCode::Enter | KeyCode::Char('n' | 'q') => return Vec::new(),
        _ => (),
    }
    let turned = matches!(key.code, KeyCode::Left | KeyCode::Right | KeyCode::Tab);
    model.overlay = Some(Overlay::Confirm { question, acts, yes: yes != turned });
    Vec::new()
}

type Typing = (String, Input, Vec<(crate::engine::Name, Act)>);

fn press_name(model: &mut Model, typing: Typing, key: KeyEvent) -> Vec<Effect> {
    let (word, mut typed, acts) = typing;
    if key.code == KeyCode::Enter && typed.text() == word {
        return act::run_all(model, acts);
    }
    typing::edit(&mut typed, key);
    model.overlay = Some(Overlay::TypeName { word, typed, acts });
    Vec::new()
}

/// Moves in a layer's list; none: the key closes the layer.
fn step(model: &Model, key: KeyEvent, at: usize, count: usize) -> Option<usize> {
    let page = usize::from(model.size.1 / 2);
    let action = match key.code {
        KeyCode::Up | KeyCode::Char('k') => Action::Up,
        KeyCode::Down | KeyCode::Char('j') => Action::Down,
        KeyCode::PageUp => Action::PageUp,
        KeyCode::PageDown => Action::PageDown,
        KeyCode::Home => Action::First,
        KeyCode::End | KeyCode::Char('G') => Action::Last,
        KeyCode::Char('q' | 'J') => return None,
        _ => return Some(at),
    };
    Some(keys::travel(action, at, count, page))
}
