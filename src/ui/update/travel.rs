//! Where a movement leads in anything that has rows. Pure.

use crate::command::action::Move;

/// Returns the row that `movement` leads to from `row` among `count`.
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
