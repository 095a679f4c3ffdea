//! The layers that have the keyboard: questions, help, palette, journal, signals.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Position;

use super::travel::{step, travel as row_after};
use super::{act, detail, keep, pane, typing, whole};
use crate::command::Action;
use crate::command::action::Move;
use crate::ui::effect::{Act, Effect};
use crate::ui::layers::{self, found};
use crate::ui::model::Model;
use crate::ui::model::overlay::{Ask, Find, FindKind, Overlay, Proposal, SIGNALS};
use crate::ui::prompts;
use crate::widgets::field::Input;

/// Opens the palette.
pub(super) fn open_palette(model: &mut Model) {
    find(model, FindKind::Palette);
}

/// Opens the help.
pub(super) fn open_help(model: &mut Model) {
    find(model, FindKind::Help);
}

/// Opens the journal at its newest line.
pub(super) fn open_journal(model: &mut Model) {
    model.overlay = Some(Overlay::Journal { at: model.journal.len().saturating_sub(1) });
}

/// Opens the events of all containers, at the newest.
pub(super) fn open_events(model: &mut Model) {
    model.overlay = Some(Overlay::Events { at: model.events.len().saturating_sub(1) });
}

/// Asks for the command to run inside the current container.
pub(super) fn ask_command(model: &mut Model) {
    let Some(name) = model.current_name().cloned() else { return };
    model.overlay = Some(Overlay::Exec { name, line: Input::offer("/bin/sh") });
}

/// Asks for the signal to send to the process under the cursor.
pub(super) fn ask_signal(model: &mut Model) {
    let Some(process) = detail::process_under_cursor(model) else { return };
    let Some(name) = model.current_name().cloned() else { return };
    model.overlay = Some(Overlay::Signal { name, process, at: 0 });
}

fn find(model: &mut Model, kind: FindKind) {
    model.overlay = Some(Overlay::Find(Find { kind, line: Input::default(), at: 0 }));
}

/// Gives pasted text to the line of the layer, if it has one.
pub(super) fn paste(model: &mut Model, text: &str) {
    match &mut model.overlay {
        Some(Overlay::Find(find)) => {
            find.line.insert(text);
            find.at = 0;
        }
        Some(Overlay::TypeName { typed, .. }) => typed.insert(text),
        Some(Overlay::Exec { line, .. } | Overlay::NewName { line, .. }) => line.insert(text),
        Some(
            Overlay::Confirm { .. }
            | Overlay::Ask { .. }
            | Overlay::Trash { .. }
            | Overlay::Snapshots { .. }
            | Overlay::Signal { .. }
            | Overlay::Journal { .. }
            | Overlay::Events { .. }
            | Overlay::Whole { .. },
        )
        | None => (),
    }
}

/// Moves in the layer as an arrow key does.
pub(super) fn travel(model: &mut Model, movement: Move) {
    let key = if movement == Move::Up { KeyCode::Up } else { KeyCode::Down };
    _ = press(model, key.into());
}

/// Applies a click to the layer on top: it goes to the entry there, or opens the one that the
/// cursor was already on; returns the action that was chosen in help or palette.
pub(super) fn click(model: &mut Model, at: Position) -> Option<Action> {
    let entry = layers::entry_at(model, at)?;
    let row = match &mut model.overlay {
        Some(Overlay::Find(find)) => &mut find.at,
        Some(Overlay::Journal { at } | Overlay::Events { at }) => at,
        Some(
            Overlay::Signal { at, .. } | Overlay::Trash { at, .. } | Overlay::Snapshots { at, .. },
        ) => {
            // Nothing is done by a click that only meant to choose.
            *at = entry;
            return None;
        }
        Some(
            Overlay::Confirm { .. }
            | Overlay::Ask { .. }
            | Overlay::TypeName { .. }
            | Overlay::Exec { .. }
            | Overlay::NewName { .. }
            | Overlay::Whole { .. },
        )
        | None => return None,
    };
    if *row != entry {
        *row = entry;
        return None;
    }
    let enter = KeyCode::Enter.into();
    let chosen = chosen(model, enter);
    if chosen.is_none() {
        // The lines of journal and events open without any work.
        _ = press(model, enter);
    }
    chosen
}

/// Returns the action that `key` chooses in help or palette, and closes the layer.
pub(super) fn chosen(model: &mut Model, key: KeyEvent) -> Option<Action> {
    let Some(Overlay::Find(find)) = &model.overlay else { return None };
    let action = found(find).get(find.at).filter(|_| key.code == KeyCode::Enter)?.action;
    model.overlay = None;
    Some(action)
}

/// Applies a key to the layer on top.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    if scroll_names(model, key) {
        return Vec::new();
    }
    let Some(overlay) = model.overlay.take() else { return Vec::new() };
    if let Overlay::Whole { .. } = overlay {
        return whole::press(model, overlay, key);
    }
    if let Some(effects) = whole::open(model, &overlay, key) {
        return effects;
    }
    match overlay {
        asked @ Overlay::Confirm { .. } => press_confirm(model, asked, key),
        _ if key.code == KeyCode::Esc => Vec::new(),
        Overlay::Find(find) => press_find(model, find, key),
        Overlay::Ask { question, ask, yes } => press_ask(model, question, ask, yes, key),
        Overlay::TypeName { word, typed, proposal } => {
            press_name(model, word, typed, proposal, key)
        }
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
        Overlay::NewName { name, naming, line } => keep::press_name(model, name, naming, line, key),
        Overlay::Trash { at, found } => keep::press_trash(model, at, found, key),
        Overlay::Snapshots { name, at, found } => {
            keep::press_snapshots(model, name, at, found, key)
        }
        Overlay::Journal { at } => {
            let at = step(model, key, at, model.journal.len());
            model.overlay = at.map(|at| Overlay::Journal { at });
            Vec::new()
        }
        Overlay::Whole { .. } => Vec::new(),
        Overlay::Events { at } => {
            let at = step(model, key, at, model.events.len());
            model.overlay = at.map(|at| Overlay::Events { at });
            Vec::new()
        }
    }
}

fn press_find(model: &mut Model, mut find: Find, key: KeyEvent) -> Vec<Effect> {
    let list = found(&find);
    match key.code {
        // The chosen action has already run.
        KeyCode::Enter => (),
        KeyCode::Up => find.at = find.at.saturating_sub(1),
        KeyCode::Down => find.at = (find.at + 1).min(list.len().saturating_sub(1)),
        KeyCode::PageUp => find.at = row_after(Move::PageUp, find.at, list.len(), 10),
        KeyCode::PageDown => find.at = row_after(Move::PageDown, find.at, list.len(), 10),
        _ => {
            if typing::edit(&mut find.line, key) {
                find.at = 0;
            }
        }
    }
    model.overlay = Some(Overlay::Find(find));
    Vec::new()
}

/// Applies a key to a question with the answers yes and no.
fn press_confirm(model: &mut Model, asked: Overlay, key: KeyEvent) -> Vec<Effect> {
    let Overlay::Confirm { question, proposal, yes, back } = asked else { return Vec::new() };
    match confirmed(key, yes) {
        Some(true) => return act::run_all(model, proposal.acts),
        Some(false) => model.overlay = back.map(|it| *it),
        None => {
            let yes = yes != turns(key);
            model.overlay = Some(Overlay::Confirm { question, proposal, yes, back });
        }
    }
    Vec::new()
}

/// Returns what `key` answers to a question, while `yes` says which answer Enter gives; none: nothing.
const fn confirmed(key: KeyEvent, yes: bool) -> Option<bool> {
    match key.code {
        KeyCode::Char('y') => Some(true),
        KeyCode::Enter => Some(yes),
        KeyCode::Char('n' | 'q') | KeyCode::Esc => Some(false),
        _ => None,
    }
}

/// Returns whether `key` chooses the other answer.
const fn turns(key: KeyEvent) -> bool {
    matches!(key.code, KeyCode::Left | KeyCode::Right | KeyCode::Tab)
}

/// Applies a key to a question with the answers yes and no that names no containers.
fn press_ask(
    model: &mut Model,
    question: String,
    ask: Ask,
    yes: bool,
    key: KeyEvent,
) -> Vec<Effect> {
    let Some(agreed) = confirmed(key, yes) else {
        model.overlay = Some(Overlay::Ask { question, ask, yes: yes != turns(key) });
        return Vec::new();
    };
    match ask {
        _ if !agreed => Vec::new(),
        Ask::Quit => vec![Effect::Quit],
        Ask::Open(program) => pane::open(model, program),
        Ask::TakeBack(way) => act::take_back(model, way),
    }
}

fn press_name(
    model: &mut Model,
    word: String,
    mut typed: Input,
    proposal: Proposal,
    key: KeyEvent,
) -> Vec<Effect> {
    if key.code == KeyCode::Enter && typed.text() == word {
        return act::run_all(model, proposal.acts);
    }
    typing::edit(&mut typed, key);
    model.overlay = Some(Overlay::TypeName { word, typed, proposal });
    Vec::new()
}

/// Scrolls the names of a question; returns whether `key` does that.
fn scroll_names(model: &mut Model, key: KeyEvent) -> bool {
    let movement = match key.code {
        KeyCode::Up => Move::Up,
        KeyCode::Down => Move::Down,
        KeyCode::PageUp => Move::PageUp,
        KeyCode::PageDown => Move::PageDown,
        _ => return false,
    };
    let Some(rows) = prompts::names(model) else { return false };
    let Some(Overlay::Confirm { proposal, .. } | Overlay::TypeName { proposal, .. }) =
        &mut model.overlay
    else {
        return false;
    };
    proposal.first = row_after(movement, proposal.first, rows.last_first() + 1, rows.shown());
    true
}
