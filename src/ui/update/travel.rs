//! The target of a movement in anything with rows. Pure.

use crossterm::event::{KeyCode, KeyEvent};

use crate::command::action::Move;
use crate::ui::model::Model;

/// Returns the row that `movement` reaches from `row` among `count`.
pub(super) fn travel(movement: Move, row: usize, count: usize, page: usize) -> usize {
    let last = count.saturating_sub(1);
    let page = page.saturating_sub(1).max(1);
    let row = match movement {
        Move::Up => row.saturating_sub(1),
        Move::Down => row + 1,
        Move::PageUp => row.saturating_sub(page),
        Move::PageDown => row + page,
        Move::First => 0,
        Move::Last => last,
    };
    row.min(last)
}

/// Moves in a layer's list; none: the key closes the layer.
pub(super) fn step(model: &Model, key: KeyEvent, at: usize, count: usize) -> Option<usize> {
    let page = usize::from(model.size.1 / 2);
    let movement = match key.code {
        KeyCode::Up | KeyCode::Char('k') => Move::Up,
        KeyCode::Down | KeyCode::Char('j') => Move::Down,
        KeyCode::PageUp => Move::PageUp,
        KeyCode::PageDown => Move::PageDown,
        KeyCode::Home => Move::First,
        KeyCode::End | KeyCode::Char('G') => Move::Last,
        KeyCode::Char('q' | 'J') => return None,
        _ => return Some(at),
    };
    Some(travel(movement, at, count, page))
}
