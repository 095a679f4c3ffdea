//! Moves, marks, sorts and filters the list.

use crossterm::event::{KeyCode, KeyEvent};

use super::{keys, typing};
use crate::command::Action;
use crate::ui::effect::Effect;
use crate::ui::layout;
use crate::ui::model::Model;
use crate::ui::model::filter::Filter;

/// Carries out an action that only the list knows.
pub(super) fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Mark => mark(model),
        Action::MarkAll => {
            let shown: Vec<_> = model.shown().map(|it| it.name.clone()).collect();
            model.list.marks.extend(shown);
        }
        Action::Invert => {
            let shown: Vec<_> = model.shown().map(|it| it.name.clone()).collect();
            for name in shown {
                if !model.list.marks.remove(&name) {
                    model.list.marks.insert(name);
                }
            }
        }
        Action::Filter => model.list.filtering = true,
        Action::Sort(column) if model.list.sort == column => {
            model.list.reverse = !model.list.reverse;
            arrange(model);
        }
        Action::Sort(column) => {
            model.list.sort = column;
            model.list.reverse = false;
            arrange(model);
        }
        Action::Reverse => {
            model.list.reverse = !model.list.reverse;
            arrange(model);
        }
        Action::Peek => model.list.peek = !model.list.peek,
        _ => (),
    }
    Vec::new()
}

/// Moves the cursor.
pub(super) fn travel(model: &mut Model, action: Action) {
    let rows = layout::list_rows(model);
    let row = keys::travel(action, model.list.row, model.list.order.len(), rows);
    go(model, row);
}

/// Puts the cursor where the left button was pressed; on the cursor's own row it opens.
pub(super) fn click(model: &mut Model, column: u16, row: u16) -> Vec<Effect> {
    let table = layout::list(model).table;
    let framed = model.size.0 >= layout::NARROW;
    let first = table.y + if framed { 2 } else { 0 };
    if model.detail.is_some() || model.overlay.is_some() || row < first || column >= table.right() {
        return Vec::new();
    }
    let at = usize::from((row - first) / layout::lines_per_row(model.size));
    let row = model.list.offset + at;
    if at >= layout::list_rows(model) || row >= model.list.order.len() {
        return Vec::new();
    }
    if row == model.list.row {
        return keys::run(model, Action::Open);
    }
    go(model, row);
    Vec::new()
}

/// Applies a key to the filter: what is typed narrows the list at once.
pub(super) fn edit_filter(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        KeyCode::Enter => model.list.filtering = false,
        KeyCode::Esc => {
            model.list.filtering = false;
            model.list.filter_text = crate::widgets::field::Input::default();
            refilter(model);
        }
        KeyCode::Up => travel(model, Action::Up),
        KeyCode::Down => travel(model, Action::Down),
        _ => {
            if typing::edit(&mut model.list.filter_text, key) {
                refilter(model);
            }
        }
    }
    Vec::new()
}

/// Reads the text of the filter anew; while it makes no sense the last one that did stays.
pub(super) fn refilter(model: &mut Model) {
    match Filter::parse(&model.list.filter_text.text()) {
        Ok(filter) => {
            model.list.filter = filter;
            model.list.filter_error = None;
        }
        Err(reason) => model.list.filter_error = Some(reason),
    }
    arrange(model);
    if !model.list.filter_text.is_empty() {
        let all = model.snapshot.clone();
        model.list.go_to_best(all.as_ref().map_or(&[], |it| &it.containers));
    }
}

/// Filters and sorts the list anew.
pub(super) fn arrange(model: &mut Model) {
    let all = model.snapshot.clone();
    model.list.arrange(all.as_ref().map_or(&[], |it| &it.containers));
}

fn mark(model: &mut Model) {
    let Some(name) = model.list.cursor.clone() else { return };
    if !model.list.marks.remove(&name) {
        model.list.marks.insert(name);
    }
    travel(model, Action::Down);
}

fn go(model: &mut Model, row: usize) {
    let all = model.snapshot.clone();
    model.list.go(row, all.as_ref().map_or(&[], |it| &it.containers));
}
