//! The consequences of any change: the place of the cursor, and what the sampler must read.

use crate::engine::Name;
use crate::engine::sampler::{CounterSet, DetailInterest, Interest};
use crate::ui::model::Model;
use crate::ui::model::detail::Tab;
use crate::ui::model::overlay::Overlay;
use crate::ui::{layers, layout, texts};
use crate::widgets::table::scroll;

/// Adjusts cursor and scroll after any change, and returns what the sampler must read from now on.
pub(super) fn settle(model: &mut Model) -> Interest {
    let rows = layout::list_rows(model);
    let all = model.sample.as_ref().map_or(&[][..], |it| &it.containers);
    model.list.settle(all, rows);
    settle_panes(model);
    model.layer_first = match model.overlay {
        None => 0,
        // It is over another layer, which comes back as it was.
        Some(Overlay::Whole { .. }) => model.layer_first,
        Some(_) => layers::first(model).unwrap_or(0),
    };
    let shown = layout::list_shown(model);
    let mut visible: Vec<Name> = shown.map(|it| it.name.clone()).collect();
    let detail = match &model.detail {
        Some(detail) => Some(detail.name.clone()),
        None if layout::shows_peek(model) => model.list.cursor.clone(),
        None => None,
    };
    if let Some(name) = detail.as_ref().filter(|it| !visible.contains(it)) {
        visible.push(name.clone());
    }
    let panes: Vec<Tab> = layout::detail(model).panes.into_iter().map(|it| it.0).collect();
    let shows = |tab| model.detail.is_some() && panes.contains(&tab);
    let (files, processes) = (shows(Tab::Cgroup), model.detail.is_none() || shows(Tab::Processes));
    let detail = detail.map(|name| DetailInterest { name, processes, files });
    // The list may be sorted by figures that are read only for visible rows.
    let others = if model.list.needs_all() { CounterSet::ROW } else { CounterSet::CPU };
    let networks = layout::shows_networks(model);
    Interest { visible, others, networks, detail, order: model.order, ..Interest::default() }
}

/// Scrolls the panes of the open container as little as their cursors need: what a click is aimed at
/// must not move under it.
fn settle_panes(model: &mut Model) {
    let Some(screen) = &model.detail else { return };
    let rows = |tab| layout::pane_rows(model, tab);
    let detail = model.current().and_then(|it| it.detail.as_ref());
    let processes = screen.forest.shown(detail.map_or(&[][..], |it| &it.processes));
    let place = screen.forest.place(&processes);
    let process = scroll(screen.forest.first, place, processes.len(), rows(Tab::Processes));

    let files = texts::cgroup_rows(model, screen);
    let lines = texts::cgroup_lines(&files);
    let place = texts::place(&screen.cgroup, &files);
    let at = lines.iter().position(|it| *it == Some(place)).unwrap_or(0);
    // The name of the group belongs to its first file.
    let top = at - usize::from(at > 0 && lines.get(at - 1) == Some(&None));
    let below = (at + 1).min(lines.len().saturating_sub(1));
    let limit = scroll(screen.cgroup.first, below, lines.len(), rows(Tab::Cgroup)).min(top);

    let count = texts::line_count(model, Tab::Events);
    let event = scroll(screen.first_event, screen.event_row(count), count, rows(Tab::Events));
    if let Some(screen) = &mut model.detail {
        screen.forest.first = process;
        screen.cgroup.first = limit;
        screen.first_event = event;
    }
}
