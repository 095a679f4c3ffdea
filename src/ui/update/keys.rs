//! Who gets a key: the program in the pane, the layer on top, a line under edit, or the key map.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};

use super::{act, cgroup, create, detail, list, overlay, pane, search};
use crate::command::Action;
use crate::ui::effect::Effect;
use crate::ui::keymap::{self, Found};
use crate::ui::model::Model;

/// Applies a key press.
pub(super) fn press(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    if pane::has_keyboard(model) {
        return pane::press(model, key);
    }
    if model.overlay.is_some() {
        return overlay::press(model, key);
    }
    if model.creating {
        return create::press(model, key);
    }
    if model.list.filtering && model.detail.is_none() {
        return list::edit_filter(model, key);
    }
    if model.detail.as_ref().is_some_and(|it| it.cgroup.edit.is_some()) {
        return cgroup::edit_value(model, key);
    }
    if search::is_typing(model) {
        search::edit(model, key);
        return Vec::new();
    }
    look_up(model, key)
}

/// Applies pasted text to the line under edit, or gives it to the program in the pane.
pub(super) fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    if pane::has_keyboard(model) {
        return pane::paste(text);
    }
    if overlay::paste(model, text) {
        return Vec::new();
    }
    if model.creating {
        create::paste(model, text);
    } else if model.list.filtering && model.detail.is_none() {
        model.list.filter_text.insert(text);
        list::refilter(model);
    } else if let Some(line) = model.detail.as_mut().and_then(|it| it.cgroup.edit.as_mut()) {
        line.insert(text);
    } else if search::is_typing(model) {
        search::paste(model, text);
    }
    Vec::new()
}

/// Turns the wheel into moves of the cursor.
pub(super) fn wheel(model: &mut Model, lines: i16) -> Vec<Effect> {
    let action = if lines < 0 { Action::Up } else { Action::Down };
    (0..lines.unsigned_abs()).flat_map(|_| run(model, action)).collect()
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
            run(model, action)
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

/// Carries out `action`, or says why it cannot be.
pub(super) fn run(model: &mut Model, action: Action) -> Vec<Effect> {
    // A guest that is being stopped may always be stopped harder.
    if let Some(reason) = model.refusal(action) {
        model.say(crate::ui::model::Tone::Bad, format!("{}: {reason}", name_of(action)));
        return Vec::new();
    }
    if let Some(effects) = run_here(model, action) {
        return effects;
    }
    match action {
        Action::Start
        | Action::Stop
        | Action::Freeze
        | Action::Restart
        | Action::Destroy
        | Action::Again
        | Action::Undo
        | Action::Redo
        | Action::Keep => act::begin(model, action),
        Action::Console => pane::open_console(model),
        Action::Palette
        | Action::Help
        | Action::Journal
        | Action::Exec
        | Action::Signal
        | Action::GoEvents => overlay::open(model, action),
        Action::Mark
        | Action::MarkAll
        | Action::Invert
        | Action::Filter
        | Action::Sort(_)
        | Action::Reverse
        | Action::Peek => list::act(model, action),
        Action::Open
        | Action::Limits
        | Action::Log
        | Action::Tab(_)
        | Action::NextPane
        | Action::PreviousPane
        | Action::Zoom
        | Action::NextContainer
        | Action::PreviousContainer => detail::act(model, action),
        Action::Fold | Action::Unfold | Action::Follow => detail::inside(model, action),
        Action::NextFound | Action::PreviousFound => {
            search::go(model, action);
            Vec::new()
        }
        Action::Edit | Action::AllFiles => cgroup::act(model, action),
        _ => {
            if model.detail.is_some() {
                detail::travel(model, action);
            } else {
                list::travel(model, action);
            }
            Vec::new()
        }
    }
}

/// Carries out `action` if it needs nothing but the model and the terminal.
fn run_here(model: &mut Model, action: Action) -> Option<Vec<Effect>> {
    let effects = match action {
        Action::New => create::open(model),
        Action::Copy => copy(model),
        Action::SortProcesses(order) => {
            model.order = order;
            Vec::new()
        }
        Action::Search => {
            search::open(model);
            Vec::new()
        }
        Action::Hold => {
            model.held = !model.held;
            Vec::new()
        }
        Action::Mouse => {
            model.mouse = !model.mouse;
            vec![Effect::CaptureMouse(model.mouse)]
        }
        Action::Redraw => vec![Effect::Redraw],
        Action::Suspend => vec![Effect::Suspend],
        Action::Quit => vec![Effect::Quit],
        Action::Back => back(model),
        Action::GoContainers => {
            model.detail = None;
            Vec::new()
        }
        _ => return None,
    };
    Some(effects)
}

/// Returns the row that `action` leads to from `row` among `count`.
pub(super) fn travel(action: Action, row: usize, count: usize, page: usize) -> usize {
    let last = count.saturating_sub(1);
    let page = page.saturating_sub(1).max(1);
    let row = match action {
        Action::Up => row.saturating_sub(1),
        Action::Down => row + 1,
        Action::PageUp => row.saturating_sub(page),
        Action::PageDown => row + page,
        Action::First => 0,
        Action::Last => last,
        _ => row,
    };
    row.min(last)
}

fn name_of(action: Action) -> &'static str {
    action.shortcut().map_or("this", |it| it.name)
}

/// Goes back one level: notice, marks, filter, zoom, the open container. Never leaves wharf.
fn back(model: &mut Model) -> Vec<Effect> {
    if let Some(detail) = &mut model.detail {
        if detail.search.is_some() {
            detail.search = None;
        } else if detail.zoom {
            detail.zoom = false;
        } else if detail.tab != crate::ui::model::detail::Tab::Overview {
            detail.go(crate::ui::model::detail::Tab::Overview);
        } else {
            model.detail = None;
        }
    } else if model.list.order.is_empty() && !model.list.filter_text.is_empty() {
        // What the empty list says.
        model.list.filter_text = crate::widgets::field::Input::default();
        list::refilter(model);
    } else if !model.list.marks.is_empty() {
        model.list.marks.clear();
    } else if !model.list.filter_text.is_empty() {
        model.list.filter_text = crate::widgets::field::Input::default();
        list::refilter(model);
    } else {
        model.notice = None;
    }
    pane::resize(model)
}

fn copy(model: &mut Model) -> Vec<Effect> {
    let text = detail::under_cursor(model)
        .or_else(|| model.current_name().map(|it| it.as_str().to_owned()));
    let Some(text) = text else { return Vec::new() };
    model.say(crate::ui::model::Tone::Good, format!("copied {text}"));
    vec![Effect::Copy(text)]
}
