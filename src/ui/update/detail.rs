//! Opens a container and moves around in its tabs.

use super::travel::travel as row_after;
use super::{cgroup, sampled, settle, whole};
use crate::command::action::Move;
use crate::engine::limits;
use crate::engine::process::Process;
use crate::engine::state::State;
use crate::ui::effect::Effect;
use crate::ui::model::Model;
use crate::ui::model::detail::{DetailScreen, Forest, Tab};
use crate::ui::{diagnosis, layout, texts};

/// So many lines of a configuration are shown before the one that is to blame.
const LINES_BEFORE: usize = 2;

/// Opens the current container.
pub(super) fn open_overview(model: &mut Model) -> Vec<Effect> {
    open(model, Tab::Overview)
}

/// Opens the log of the current container.
pub(super) fn open_log(model: &mut Model) -> Vec<Effect> {
    open(model, Tab::Log)
}

/// Opens the tab whose key is `number`.
pub(super) fn open_numbered(model: &mut Model, number: u8) -> Vec<Effect> {
    let tab = usize::from(number).checked_sub(1).and_then(|it| Tab::ALL.get(it)).copied();
    tab.map_or_else(Vec::new, |tab| open(model, tab))
}

/// Opens the current container at `tab`.
pub(super) fn open(model: &mut Model, tab: Tab) -> Vec<Effect> {
    if let Some(detail) = &mut model.detail {
        detail.go(tab);
    } else if let Some(name) = model.list.cursor.clone() {
        model.detail = Some(DetailScreen::new(name, tab));
    }
    let blamed = texts::blamed_line(model).filter(|_| tab == Tab::Config);
    if let (Some(line), Some(detail)) = (blamed, &mut model.detail) {
        detail.scroll = line.saturating_sub(LINES_BEFORE);
    }
    sampled::read_log(model)
}

/// Opens the limits of the current container; if they are already open, the one under the cursor is
/// edited. After an OOM kill, the cursor goes to that limit.
pub(super) fn open_limits(model: &mut Model) -> Vec<Effect> {
    if model.detail.as_ref().is_some_and(|it| it.focus == Tab::Cgroup) {
        return cgroup::begin(model);
    }
    let raised = model.current().and_then(|it| {
        let file = diagnosis::limit(model, it)?;
        // A stopped container has the lines of its configuration there.
        Some(if it.state == State::Stopped { limits::key_of(file) } else { file.to_owned() })
    });
    let on_overview = model.detail.as_ref().is_some_and(|it| it.tab == Tab::Overview);
    let mut effects = Vec::new();
    if on_overview && model.size.0 >= layout::MIDDLE {
        focus(model, Tab::Cgroup);
    } else {
        effects = open_limits_tab(model);
    }
    if let (Some(file), Some(detail)) = (raised, &mut model.detail) {
        detail.cgroup.cursor = Some(file);
    }
    effects
}

/// Opens the tab of the limits; from a list with several marked, theirs together.
fn open_limits_tab(model: &mut Model) -> Vec<Effect> {
    let together: Vec<_> = model.list.marks.iter().cloned().collect();
    if model.detail.is_some() || together.len() < 2 {
        return open(model, Tab::Cgroup);
    }
    if model.list.cursor.as_ref().is_none_or(|it| !together.contains(it)) {
        model.list.cursor = together.first().cloned();
        settle::settle(model);
    }
    let effects = open(model, Tab::Cgroup);
    if let Some(detail) = &mut model.detail {
        detail.together = together;
    }
    effects
}

/// Hides the children of the process under the cursor, or goes to its parent if there is nothing to
/// hide.
pub(super) fn fold(model: &mut Model) {
    if let Some(process) = process_under_cursor(model) {
        fold_or_leave(model, &process);
    }
}

/// Shows the children of the process under the cursor.
pub(super) fn unfold(model: &mut Model) {
    if let (Some(process), Some(detail)) = (process_under_cursor(model), &mut model.detail) {
        detail.forest.folded.remove(&process.identity());
    }
}

/// Starts or stops following the end of the text.
pub(super) const fn follow(model: &mut Model) {
    if let Some(detail) = &mut model.detail {
        detail.follow = !detail.follow;
    }
}

/// Shows the focused pane on the whole screen, or restores its size.
pub(super) const fn zoom(model: &mut Model) {
    if let Some(detail) = &mut model.detail {
        detail.zoom = !detail.zoom;
    }
}

/// Moves the focus of the overview to the next pane.
pub(super) fn next_pane(model: &mut Model) {
    turn(model, 1);
}

/// Moves the focus of the overview to the previous pane.
pub(super) fn previous_pane(model: &mut Model) {
    turn(model, Tab::PANES.len() - 1);
}

/// Goes to the container below in the list.
pub(super) fn next_container(model: &mut Model) -> Vec<Effect> {
    neighbour(model, Move::Down)
}

/// Goes to the container above in the list.
pub(super) fn previous_container(model: &mut Model) -> Vec<Effect> {
    neighbour(model, Move::Up)
}

/// Hides the children of `process`, or goes to its parent.
fn fold_or_leave(model: &mut Model, process: &Process) {
    let processes = processes(model);
    let Some(detail) = &mut model.detail else { return };
    let forest = &mut detail.forest;
    let place = processes.iter().position(|it| it.identity() == process.identity());
    let next = place.and_then(|at| processes.get(at + 1));
    let has_children = next.is_some_and(|it| it.depth > process.depth);
    if has_children && forest.folded.insert(process.identity()) {
        return;
    }
    let shown = forest.shown(&processes);
    let before = shown.get(..forest.place(&shown)).unwrap_or_default();
    if let Some(parent) = before.iter().rposition(|it| it.depth < process.depth) {
        forest.go(parent, &shown);
    }
}

/// Moves the cursor of the pane that has the keyboard.
pub(super) fn travel(model: &mut Model, movement: Move) {
    let Some(detail) = &model.detail else { return };
    let focus = detail.focus;
    let rows = layout::pane_rows(model, focus);
    match focus {
        Tab::Processes => {
            let processes = processes(model);
            let Some(detail) = &mut model.detail else { return };
            let shown = detail.forest.shown(&processes);
            let row = row_after(movement, detail.forest.place(&shown), shown.len(), rows);
            detail.forest.go(row, &shown);
        }
        Tab::Cgroup => cgroup::travel(model, movement, rows),
        Tab::Events => {
            let count = texts::line_count(model, focus);
            let row = row_after(movement, detail.event_row(count), count, rows);
            go_to_event(model, row);
        }
        Tab::Overview | Tab::Console | Tab::Log | Tab::Config | Tab::Network | Tab::Mounts => {
            let lines = texts::line_count(model, focus);
            let Some(detail) = &mut model.detail else { return };
            let most = lines.saturating_sub(rows);
            let tail = focus == Tab::Log && detail.follow;
            let at = if tail { most } else { detail.scroll.min(most) };
            detail.scroll = row_after(movement, at, most + 1, rows);
            detail.follow = detail.scroll == most;
        }
    }
}

/// Moves the cursor of the events to `row`; at the newest it stays there as new ones arrive.
pub(super) fn go_to_event(model: &mut Model, row: usize) {
    let count = texts::line_count(model, Tab::Events);
    let Some(detail) = &mut model.detail else { return };
    detail.scroll = row;
    detail.follow = row + 1 >= count;
}

/// Returns the process under the cursor of the forest.
pub(super) fn process_under_cursor(model: &Model) -> Option<Process> {
    let detail = model.detail.as_ref().filter(|it| it.focus == Tab::Processes)?;
    let processes = processes(model);
    let shown = detail.forest.shown(&processes);
    shown.get(detail.forest.place(&shown)).map(|it| (*it).clone())
}

/// Returns the text to copy for the thing under the cursor.
pub(super) fn under_cursor(model: &Model) -> Option<String> {
    if let Some(process) = process_under_cursor(model) {
        return Some(format!("{} {}", process.pid, process.command));
    }
    if let Some(event) = whole::event_under_cursor(model) {
        return Some(event);
    }
    let detail = model.detail.as_ref().filter(|it| it.focus == Tab::Cgroup)?;
    let rows = texts::cgroup_rows(model, detail);
    let file = rows.get(texts::place(&detail.cgroup, &rows))?;
    Some(format!("{} {}", file.file, file.value.as_deref().unwrap_or("?")))
}

/// Moves the focus of the overview to `tab`.
pub(super) const fn focus(model: &mut Model, tab: Tab) {
    if let Some(detail) = &mut model.detail {
        detail.focus = tab;
    }
}

/// Moves the cursor of the processes to `row`.
pub(super) fn go_to_process(model: &mut Model, row: usize) {
    let processes = processes(model);
    let Some(detail) = &mut model.detail else { return };
    let shown = detail.forest.shown(&processes);
    detail.forest.go(row, &shown);
}

fn turn(model: &mut Model, steps: usize) {
    let Some(detail) = &mut model.detail else { return };
    if detail.tab != Tab::Overview {
        return;
    }
    let at = Tab::PANES.iter().position(|it| *it == detail.focus).unwrap_or(0);
    if let Some(tab) = Tab::PANES.get((at + steps) % Tab::PANES.len()) {
        detail.focus = *tab;
    }
}

fn neighbour(model: &mut Model, movement: Move) -> Vec<Effect> {
    if let Some(detail) = &model.detail {
        model.list.cursor = Some(detail.name.clone());
        settle::settle(model);
    }
    super::list::travel(model, movement);
    let Some(name) = model.list.cursor.clone() else { return Vec::new() };
    if let Some(detail) = &mut model.detail {
        detail.name = name;
        detail.forest = Forest::default();
        detail.cgroup.edit = None;
        detail.cgroup.refused = None;
        detail.scroll = 0;
        detail.search = None;
        detail.together.clear();
    }
    sampled::read_log(model)
}

fn processes(model: &Model) -> Vec<Process> {
    model
        .current()
        .and_then(|it| it.detail.as_ref())
        .map_or_else(Vec::new, |it| it.processes.clone())
}
