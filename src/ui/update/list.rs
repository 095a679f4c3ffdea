//! Moves, marks, sorts and filters the list.

use crossterm::event::{KeyCode, KeyEvent};

use super::travel::travel as row_after;
use super::typing;
use crate::command::action::{InList, Move};
use crate::ui::effect::Effect;
use crate::ui::layout;
use crate::ui::model::Model;
use crate::ui::model::filter::Filter;

/// Carries out an action that only the list has.
pub(super) fn act(model: &mut Model, action: InList) {
    match action {
        InList::Mark => mark(model),
        InList::MarkAll => {
            let shown: Vec<_> = model.shown().map(|it| it.name.clone()).collect();
            model.list.marks.extend(shown);
        }
        InList::Invert => {
            let shown: Vec<_> = model.shown().map(|it| it.name.clone()).collect();
            for name in shown {
                if !model.list.marks.remove(&name) {
                    model.list.marks.insert(name);
                }
            }
        }
        InList::Filter => model.list.filtering = true,
        InList::Sort(column) if model.list.sort == column => {
            model.list.reverse = !model.list.reverse;
            arrange(model);
        }
        InList::Sort(column) => {
            model.list.sort = column;
            model.list.reverse = false;
            arrange(model);
        }
        InList::Reverse => {
            model.list.reverse = !model.list.reverse;
            arrange(model);
        }
        InList::Peek => model.list.peek = !model.list.peek,
        InList::PeekUp => scroll_peek(model, Move::Up),
        InList::PeekDown => scroll_peek(model, Move::Down),
    }
}

/// Scrolls the processes of the peek.
pub(super) fn scroll_peek(model: &mut Model, movement: Move) {
    let count =
        model.current().and_then(|it| it.detail.as_ref()).map_or(0, |it| it.processes.len());
    let most = count.saturating_sub(layout::peek_rows(model));
    model.list.peek_first = row_after(movement, model.list.peek_first.min(most), most + 1, 1);
}

/// Moves the cursor.
pub(super) fn travel(model: &mut Model, movement: Move) {
    let rows = layout::list_rows(model);
    let row = row_after(movement, model.list.row, model.list.order.len(), rows);
    go(model, row);
}

/// Applies a key to the filter, which narrows the list at once.
pub(super) fn edit_filter(model: &mut Model, key: KeyEvent) -> Vec<Effect> {
    match key.code {
        // The visible text must be the filter in force.
        KeyCode::Enter => match model.list.filter_error.clone() {
            None => model.list.filtering = false,
            Some(reason) => model.refuse(format!("filter: {reason}")),
        },
        KeyCode::Esc => {
            model.list.filtering = false;
            model.list.filter_text = crate::widgets::field::Input::default();
            refilter(model);
        }
        KeyCode::Up => travel(model, Move::Up),
        KeyCode::Down => travel(model, Move::Down),
        _ => {
            if typing::edit(&mut model.list.filter_text, key) {
                refilter(model);
            }
        }
    }
    Vec::new()
}

/// Gives pasted text to the filter.
pub(super) fn paste(model: &mut Model, text: &str) {
    model.list.filter_text.insert(text);
    refilter(model);
}

/// Parses the text of the filter; while it is invalid the last valid one stays.
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
        let all = model.sample.clone();
        model.list.go_to_best(all.as_ref().map_or(&[], |it| &it.containers));
    }
}

/// Filters and sorts the list again.
pub(super) fn arrange(model: &mut Model) {
    let all = model.sample.clone();
    model.list.arrange(all.as_ref().map_or(&[], |it| &it.containers));
}

fn mark(model: &mut Model) {
    let Some(name) = model.list.cursor.clone() else { return };
    if !model.list.marks.remove(&name) {
        model.list.marks.insert(name);
    }
    travel(model, Move::Down);
}

/// Moves the cursor to `row`.
pub(super) fn go(model: &mut Model, row: usize) {
    let all = model.sample.clone();
    model.list.go(row, all.as_ref().map_or(&[], |it| &it.containers));
}
