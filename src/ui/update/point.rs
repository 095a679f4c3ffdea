//! Applies a press of the mouse: it puts the cursor there, or opens the row if the cursor is
//! already on it.

use ratatui::layout::{Position, Rect};

use super::{cgroup, create, detail as container, list as containers, pane};
use crate::command::Action;
use crate::command::action::InDetail;
use crate::ui::effect::Effect;
use crate::ui::footer;
use crate::ui::hints::Click;
use crate::ui::model::Model;
use crate::ui::model::create::FormRow;
use crate::ui::model::detail::Tab;
use crate::ui::{layout, texts};
use crate::widgets::table::scroll;

/// Puts the cursor of the list on the pressed row; returns the action if it was already there.
pub(super) fn list(model: &mut Model, column: u16, row: u16) -> Option<Action> {
    let table = layout::list(model).table;
    let framed = model.size.0 >= layout::NARROW;
    let first = table.y + if framed { 2 } else { 0 };
    if row < first || column >= table.right() {
        return None;
    }
    let at = usize::from((row - first) / layout::lines_per_row(model.size));
    let row = model.list.offset + at;
    if at >= layout::list_rows(model) || row >= model.list.order.len() {
        return None;
    }
    if row == model.list.row {
        return Some(Action::Detail(InDetail::Open));
    }
    containers::go(model, row);
    None
}

/// Returns what a press on a hint in the last row, or beside the message above it, does; none: it
/// was pressed elsewhere, or a program has the whole screen.
pub(super) fn hint(model: &Model, column: u16, row: u16) -> Option<Click> {
    let at = Position::new(column, row);
    let last = layout::regions(model.size).footer;
    let full = model.pane.as_ref().is_some_and(|it| it.full) && model.overlay.is_none();
    if full {
        None
    } else if last.contains(at) {
        footer::clicked(model, usize::from(column))
    } else {
        // A layer is above the message.
        let click = || model.status_click(at).or_else(|| model.mark_click(at));
        if model.overlay.is_none() { click() } else { None }
    }
}

/// Returns whether the message above the footer is there, and nothing above it.
pub(super) fn on_message(model: &Model, column: u16, row: u16) -> bool {
    let area = model.status_area().filter(|_| model.overlay.is_none());
    area.is_some_and(|it| it.contains(Position::new(column, row)))
}

/// Goes to the field of the form that was pressed; a press on the current row chooses its next
/// value.
pub(super) fn form(model: &mut Model, column: u16, row: u16) -> Vec<Effect> {
    let area = layout::form(model.size).rows;
    if !area.contains(Position::new(column, row)) {
        return Vec::new();
    }
    let rows: Vec<FormRow> = model.draft.rows().collect();
    let current = rows.iter().position(|it| *it == model.draft.row).unwrap_or(0);
    let first = scroll(0, current, rows.len(), usize::from(area.height));
    let Some(field) = rows.get(first + usize::from(row - area.y)) else { return Vec::new() };
    if *field == model.draft.row {
        return create::choose(model, 1);
    }
    model.draft.row = *field;
    Vec::new()
}

/// Returns whether the processes of the peek stand there.
pub(super) fn on_peek(model: &Model, column: u16, row: u16) -> bool {
    let peek = layout::list(model).peek;
    peek.is_some_and(|[processes, _]| processes.contains(Position::new(column, row)))
}

/// Returns whether there is a tab, or a pane other than the program's.
pub(super) fn leaves_pane(model: &Model, column: u16, row: u16) -> bool {
    let at = Position::new(column, row);
    tab(model, at).is_some() || pane_at(model, at).is_some_and(|(tab, _)| tab != Tab::Console)
}

/// Goes to the pressed tab, pane or row; returns the action if the cursor was already on the row.
pub(super) fn detail(model: &mut Model, column: u16, row: u16) -> Option<Action> {
    let at = Position::new(column, row);
    if let Some(number) = tab(model, at) {
        return Some(Action::Detail(InDetail::Tab(number)));
    }
    let (tab, area) = pane_at(model, at)?;
    let had_focus = model.detail.as_ref().is_some_and(|it| it.focus == tab);
    container::focus(model, tab);
    let inner = layout::inside(area);
    if !inner.contains(at) {
        return None;
    }
    let line = usize::from(row - inner.y);
    match tab {
        Tab::Console => pane::enter(model),
        Tab::Processes => return press_process(model, line, inner).filter(|_| had_focus),
        Tab::Cgroup => return press_limit(model, line, inner).filter(|_| had_focus),
        Tab::Events => return press_event(model, line, inner),
        Tab::Overview | Tab::Log | Tab::Config | Tab::Network | Tab::Mounts => (),
    }
    None
}

/// The number of the tab whose title is there.
fn tab(model: &Model, at: Position) -> Option<u8> {
    model.detail.as_ref()?;
    let titles = layout::tabs(model);
    let (title, number) = titles.iter().zip(1..).find(|(it, _)| it.area.contains(at))?;
    (title.area.height > 0).then_some(number)
}

fn pane_at(model: &Model, at: Position) -> Option<(Tab, Rect)> {
    layout::detail(model).panes.into_iter().find(|(_, area)| area.contains(at))
}

/// A process that is pressed again hides or shows its children, if it has any.
fn press_process(model: &mut Model, line: usize, inner: Rect) -> Option<Action> {
    let processes = &model.current()?.detail.as_ref()?.processes;
    let forest = &model.detail.as_ref()?.forest;
    let shown = forest.shown(processes);
    // The first line has the titles.
    let rows = usize::from(inner.height).saturating_sub(1);
    let place = forest.place(&shown);
    let first = scroll(forest.first, place, shown.len(), rows);
    let row = first + line.checked_sub(1)?;
    let process = shown.get(row)?;
    if row != place {
        container::go_to_process(model, row);
        return None;
    }
    if forest.folded.contains(&process.identity()) {
        return Some(Action::Detail(InDetail::Unfold));
    }
    let has_children = shown.get(row + 1).is_some_and(|it| it.depth > process.depth);
    has_children.then_some(Action::Detail(InDetail::Fold))
}

fn press_event(model: &mut Model, line: usize, inner: Rect) -> Option<Action> {
    let count = texts::line_count(model, Tab::Events);
    let detail = model.detail.as_ref()?;
    let at = detail.event_row(count);
    let row = scroll(detail.first_event, at, count, usize::from(inner.height)) + line;
    if row == at {
        return Some(Action::Detail(InDetail::Whole));
    }
    if row < count {
        container::go_to_event(model, row);
    }
    None
}

fn press_limit(model: &mut Model, line: usize, inner: Rect) -> Option<Action> {
    let detail = model.detail.as_ref()?;
    if detail.cgroup.refused.is_some() || !detail.cgroup.results.is_empty() {
        // Its notes are between the rows.
        return None;
    }
    let files = texts::cgroup_rows(model, detail);
    let place = texts::place(&detail.cgroup, &files);
    let lines = texts::cgroup_lines(&files);
    let at = lines.iter().position(|it| *it == Some(place))?;
    let height = usize::from(inner.height);
    let below = (at + 1).min(lines.len().saturating_sub(1));
    let first = scroll(detail.cgroup.first, below, lines.len(), height).min(at);
    let row = (*lines.get(first + line)?)?;
    if row == place {
        return Some(Action::Detail(InDetail::Edit));
    }
    cgroup::go(model, row);
    None
}
