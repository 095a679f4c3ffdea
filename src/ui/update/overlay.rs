//! The layers that have the keyboard: questions, help, palette, journal, signals.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Rect;

use super::travel::{step, travel as row_after};
use super::{act, detail, pane, typing, whole};
use crate::command::Action;
use crate::command::action::{Move, SHORTCUTS, Shortcut};
use crate::command::topics;
use crate::ui::effect::{Act, Effect};
use crate::ui::layout;
use crate::ui::model::Model;
use crate::ui::model::filter::fuzzy;
use crate::ui::model::overlay::{Ask, Find, FindKind, Overlay, Proposal, SIGNALS};
use crate::widgets::field::Input;
use crate::widgets::prompt::NameGrid;

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
        Some(Overlay::Find(find)) => find.line.insert(text),
        Some(Overlay::TypeName { typed, .. }) => typed.insert(text),
        Some(Overlay::Exec { line, .. }) => line.insert(text),
        Some(
            Overlay::Confirm { .. }
            | Overlay::Ask { .. }
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

/// Returns the action that `key` chooses in help or palette, and closes the layer.
pub(super) fn chosen(model: &mut Model, key: KeyEvent) -> Option<Action> {
    let Some(Overlay::Find(find)) = &model.overlay else { return None };
    let action = found(find).get(find.at).filter(|_| key.code == KeyCode::Enter)?.action;
    model.overlay = None;
    Some(action)
}

/// Applies a key to the layer on top.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(overlay) = model.overlay.take() else { return Vec::new() };
    if let Overlay::Whole { .. } = overlay {
        return whole::press(model, overlay, key);
    }
    if let Some(effects) = whole::open(model, &overlay, key) {
        return effects;
    }
    if key.code == KeyCode::Esc {
        return Vec::new();
    }
    match overlay {
        Overlay::Find(find) => press_find(model, find, key),
        Overlay::Confirm { question, proposal, yes } => {
            press_confirm(model, question, proposal, yes, key)
        }
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

/// Returns the actions that the searched text finds, best first; with no text all of them.
pub fn found(find: &Find) -> Vec<&'static Shortcut> {
    let needle = find.line.text();
    let needle = needle.trim();
    if needle.is_empty() {
        return SHORTCUTS.iter().collect();
    }
    let small = needle.to_lowercase();
    let score = |it: &'static Shortcut| {
        let by_key = it.keys.contains(&needle).then_some(u32::MAX);
        let by_start = || it.name.starts_with(&small).then_some(u32::MAX - 1);
        let by_topic = || topics::is_about(it.name, &small).then_some(u32::MAX - 2);
        let by_name = || fuzzy(needle, it.name).map(|it| it.saturating_mul(2));
        // A few scattered letters match in any sentence, so only whole words count there.
        let by_help = || it.help.to_lowercase().contains(&small).then_some(1);
        let best = by_key.or_else(by_start).or_else(by_topic).or_else(by_name);
        Some((best.or_else(by_help)?, it))
    };
    let mut scored: Vec<(u32, &Shortcut)> = SHORTCUTS.iter().filter_map(score).collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.into_iter().map(|(_, it)| it).collect()
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

/// Applies a key to a question with the answers yes and no; or shows other names.
fn press_confirm(
    model: &mut Model,
    question: String,
    mut proposal: Proposal,
    yes: bool,
    key: KeyEvent,
) -> Vec<Effect> {
    match key.code {
        KeyCode::Char('y') => return act::run_all(model, proposal.acts),
        KeyCode::Enter if yes => return act::run_all(model, proposal.acts),
        KeyCode::Enter | KeyCode::Char('n' | 'q') => return Vec::new(),
        _ => scroll(model, &mut proposal, layout::CONFIRM_LINES, key),
    };
    let turned = matches!(key.code, KeyCode::Left | KeyCode::Right | KeyCode::Tab);
    model.overlay = Some(Overlay::Confirm { question, proposal, yes: yes != turned });
    Vec::new()
}

/// Applies a key to a question with the answers yes and no that names no containers.
fn press_ask(
    model: &mut Model,
    question: String,
    ask: Ask,
    yes: bool,
    key: KeyEvent,
) -> Vec<Effect> {
    let agreed = match key.code {
        KeyCode::Char('y') => true,
        KeyCode::Enter => yes,
        KeyCode::Char('n' | 'q') => false,
        code => {
            let turned = matches!(code, KeyCode::Left | KeyCode::Right | KeyCode::Tab);
            model.overlay = Some(Overlay::Ask { question, ask, yes: yes != turned });
            return Vec::new();
        }
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
    mut proposal: Proposal,
    key: KeyEvent,
) -> Vec<Effect> {
    if key.code == KeyCode::Enter && typed.text() == word {
        return act::run_all(model, proposal.acts);
    }
    if !scroll(model, &mut proposal, layout::TYPE_NAME_LINES, key) {
        typing::edit(&mut typed, key);
    }
    model.overlay = Some(Overlay::TypeName { word, typed, proposal });
    Vec::new()
}

/// Scrolls the names of a question; returns whether `key` does that.
fn scroll(model: &Model, proposal: &mut Proposal, others: usize, key: KeyEvent) -> bool {
    let movement = match key.code {
        KeyCode::Up => Move::Up,
        KeyCode::Down => Move::Down,
        KeyCode::PageUp => Move::PageUp,
        KeyCode::PageDown => Move::PageDown,
        _ => return false,
    };
    let (width, height) = model.size;
    let rows = NameGrid::arrange(&proposal.names(), others, Rect::new(0, 0, width, height));
    proposal.first = row_after(movement, proposal.first, rows.last_first() + 1, rows.shown());
    true
}
