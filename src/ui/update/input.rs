//! Passes the operator's input to the focused part: keys, pasted text, clicks and the wheel.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};

use ratatui::layout::Position;

use super::{cgroup, create, detail, list, overlay, pane, point, run, search};
use crate::command::action::Move;
use crate::ui::effect::Effect;
use crate::ui::focus::Focus;
use crate::ui::hints::Click;
use crate::ui::keymap::{self, Found};
use crate::ui::model::Model;
use crate::ui::prompts;

/// Rows that one notch of the wheel moves.
const NOTCH: usize = 3;

/// Applies a key press.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    model.fold_notice();
    match model.focus() {
        Focus::Overlay => match overlay::chosen(model, key) {
            Some(action) => run::run(model, action),
            None => overlay::press(model, key),
        },
        Focus::Program => pane::press(model, key),
        Focus::Form => create::press(model, key),
        Focus::Filter => list::edit_filter(model, key),
        Focus::Value => cgroup::edit_value(model, key),
        Focus::Search => search::edit(model, key),
        Focus::Popup | Focus::List | Focus::Detail => look_up(model, key),
    }
}

/// Applies pasted text to the line under edit, or passes it to the program in the pane.
pub(super) fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    model.fold_notice();
    match model.focus() {
        Focus::Overlay => overlay::paste(model, text),
        Focus::Program => return pane::paste(model, text),
        Focus::Form => create::paste(model, text),
        Focus::Filter => list::paste(model, text),
        Focus::Value => cgroup::paste(model, text),
        Focus::Search => search::paste(model, text),
        // Pasted text is not keys: a pasted D must not ask anything.
        Focus::Popup | Focus::List | Focus::Detail => (),
    }
    Vec::new()
}

/// Applies a mouse event.
pub(super) fn mouse(model: &mut Model, event: MouseEvent) -> Vec<Effect> {
    let pressed = matches!(event.kind, MouseEventKind::Down(_));
    if pressed || matches!(event.kind, MouseEventKind::ScrollUp | MouseEventKind::ScrollDown) {
        let hint = point::hint(model, event.column, event.row);
        let covered = point::on_message(model, event.column, event.row);
        model.fold_notice();
        if let Some(click) = hint.filter(|_| event.kind == MouseEventKind::Down(MouseButton::Left))
        {
            return do_hint(model, click);
        }
        // A message that is shown whole covers something else.
        if pressed && covered {
            return Vec::new();
        }
    }
    if model.focus() == Focus::Program
        && let Some(effects) = pane::mouse(model, event)
    {
        return effects;
    }
    match event.kind {
        MouseEventKind::Down(MouseButton::Left) => click(model, event.column, event.row),
        MouseEventKind::ScrollUp => wheel(model, Move::Up, event),
        MouseEventKind::ScrollDown => wheel(model, Move::Down, event),
        MouseEventKind::Down(_)
        | MouseEventKind::Up(_)
        | MouseEventKind::Drag(_)
        | MouseEventKind::Moved
        | MouseEventKind::ScrollLeft
        | MouseEventKind::ScrollRight => Vec::new(),
    }
}

/// Does what a hint names.
fn do_hint(model: &mut Model, click: Click) -> Vec<Effect> {
    match click {
        Click::Runs(action) => {
            model.typed.clear();
            run::run(model, action)
        }
        Click::Presses(keys) => keys.into_iter().flat_map(|it| press(model, it)).collect(),
    }
}

/// Applies a press of the left button. It does not reach what is below a layer, a form or a line
/// under edit.
fn click(model: &mut Model, column: u16, row: u16) -> Vec<Effect> {
    let action = match model.focus() {
        // The program continues and loses the keyboard.
        Focus::Program if point::leaves_pane(model, column, row) => {
            pane::leave(model);
            point::detail(model, column, row)
        }
        Focus::Overlay => {
            let at = Position::new(column, row);
            if let Some(key) = prompts::answer(model, at) {
                return press(model, key);
            }
            overlay::click(model, at)
        }
        Focus::Form => return point::form(model, column, row),
        Focus::Program | Focus::Value | Focus::Search => None,
        Focus::Popup => {
            model.typed.clear();
            None
        }
        Focus::Filter => {
            model.list.filtering = false;
            point::list(model, column, row)
        }
        Focus::List => point::list(model, column, row),
        Focus::Detail => point::detail(model, column, row),
    };
    action.map_or_else(Vec::new, |action| run::run(model, action))
}

/// Moves the rows, or the text, of whoever has the keyboard; over the peek, its processes.
fn wheel(model: &mut Model, movement: Move, event: MouseEvent) -> Vec<Effect> {
    for _ in 0..NOTCH {
        match model.focus() {
            Focus::List if point::on_peek(model, event.column, event.row) => {
                list::scroll_peek(model, movement);
            }
            Focus::Overlay => overlay::travel(model, movement),
            Focus::Filter | Focus::List => list::travel(model, movement),
            Focus::Detail | Focus::Search => detail::travel(model, movement),
            Focus::Program | Focus::Form | Focus::Value | Focus::Popup => (),
        }
    }
    Vec::new()
}

fn look_up(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    let Some(name) = keymap::name(key) else { return Vec::new() };
    if key.code == KeyCode::Esc && !model.typed.is_empty() {
        model.typed.clear();
        return Vec::new();
    }
    let typed = if model.typed.is_empty() { name } else { format!("{} {name}", model.typed) };
    match keymap::find(&model.scopes(), &typed) {
        Found::Action(action) => {
            model.typed.clear();
            run::run(model, action)
        }
        Found::Prefix => {
            model.typed = typed;
            Vec::new()
        }
        Found::Nothing => {
            model.typed.clear();
            Vec::new()
        }
    }
}
