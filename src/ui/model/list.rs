//! The list of containers: cursor, marks, order and filter. Reads containers, changes none.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::filter::{Closeness, Filter, memory_share};
use crate::command::SortKey;
use crate::engine::Name;
use crate::engine::sample::Container;
use crate::engine::state::State;
use crate::widgets::field::Input;

/// What the list remembers.
#[derive(Debug)]
pub struct ListScreen {
    /// The container under the cursor; the cursor stays with it wherever it moves.
    pub cursor: Option<Name>,
    /// Row of the cursor when its container was last seen, in case that disappears.
    pub row: usize,
    /// The first row on the screen.
    pub offset: usize,
    /// Indices into the sample's containers, filtered and sorted.
    pub order: Vec<usize>,
    pub marks: BTreeSet<Name>,
    pub sort: SortKey,
    pub reverse: bool,
    pub filter: Filter,
    /// How the shown names match the filter.
    pub closeness: Closeness,
    pub filter_text: Input,
    /// Why the text of the filter is invalid.
    pub filter_error: Option<String>,
    pub filtering: bool,
    pub peek: bool,
    /// The first process that the peek shows.
    pub peek_first: usize,
}

impl Default for ListScreen {
    fn default() -> Self {
        Self {
            cursor: None,
            row: 0,
            offset: 0,
            order: Vec::new(),
            marks: BTreeSet::new(),
            sort: SortKey::Name,
            reverse: false,
            filter: Filter::default(),
            closeness: Closeness::default(),
            filter_text: Input::default(),
            filter_error: None,
            filtering: false,
            peek: true,
            peek_first: 0,
        }
    }
}

impl ListScreen {
    /// Filters and sorts again. Scattered letters count only if no name contains them as typed,
    /// since an action on the result must not hit others.
    pub fn arrange(&mut self, all: &[Container]) {
        let admitted = |closeness| -> Vec<(usize, &Container)> {
            let all = all.iter().enumerate();
            all.filter(|(_, it)| self.filter.admits(it, closeness)).collect()
        };
        let exact = admitted(Closeness::Exact);
        let (mut kept, closeness) = if exact.is_empty() {
            (admitted(Closeness::Fuzzy), Closeness::Fuzzy)
        } else {
            (exact, Closeness::Exact)
        };
        kept.sort_by(|(_, one), (_, other)| {
            let order = compare(self.sort, one, other);
            let order = if self.reverse { order.reverse() } else { order };
            order.then_with(|| one.name.cmp(&other.name))
        });
        self.order = kept.into_iter().map(|(at, _)| at).collect();
        self.closeness = closeness;
    }

    /// Puts the cursor on the name that matches the filter best.
    pub fn go_to_best(&mut self, all: &[Container]) {
        let fit = |at: usize| all.get(at).map_or(0, |it| self.filter.fit(it.name.as_str()));
        let best = self.order.iter().map(|at| fit(*at)).max();
        let row = self.order.iter().position(|at| Some(fit(*at)) == best);
        self.go(row.unwrap_or(0), all);
    }

    /// Keeps the cursor on its container, or near its old place, and the row on the screen.
    pub fn settle(&mut self, all: &[Container], rows: usize) {
        self.marks.retain(|name| all.binary_search_by(|it| it.name.cmp(name)).is_ok());
        let named = |at: &usize| all.get(*at).map(|it| &it.name);
        let here = self.order.iter().position(|it| named(it) == self.cursor.as_ref());
        let row = here.unwrap_or(self.row).min(self.order.len().saturating_sub(1));
        self.row = row;
        self.cursor = self.order.get(row).and_then(named).cloned();
        let last_offset = self.order.len().saturating_sub(rows);
        let first_visible = (row + 1).saturating_sub(rows.max(1));
        self.offset = self.offset.clamp(first_visible.min(row), row).min(last_offset);
    }

    /// Moves the cursor to `row`, or the nearest existing row.
    pub fn go(&mut self, row: usize, all: &[Container]) {
        let row = row.min(self.order.len().saturating_sub(1));
        self.row = row;
        self.cursor = self.order.get(row).and_then(|at| all.get(*at)).map(|it| it.name.clone());
    }

    /// Returns whether the order or the filter needs every container's counters.
    pub fn needs_all(&self) -> bool {
        matches!(self.sort, SortKey::Memory | SortKey::Share | SortKey::Psi | SortKey::Pids)
            || self.filter.needs_counters()
    }
}

/// Figures in descending order, names and states in ascending order.
fn compare(column: SortKey, one: &Container, other: &Container) -> Ordering {
    match column {
        SortKey::Name => one.name.cmp(&other.name),
        SortKey::State => rank(one.state).cmp(&rank(other.state)),
        SortKey::Since => other.since.cmp(&one.since),
        SortKey::Cpu => figure(one.counters.cpu_percent, other.counters.cpu_percent),
        SortKey::Memory => other.counters.memory_bytes.cmp(&one.counters.memory_bytes),
        SortKey::Share => figure(memory_share(one), memory_share(other)),
        SortKey::Psi => figure(highest_psi(one), highest_psi(other)),
        SortKey::Pids => other.counters.pids.cmp(&one.counters.pids),
    }
}

fn figure(one: Option<f32>, other: Option<f32>) -> Ordering {
    let value = |it: Option<f32>| it.unwrap_or(-1.0);
    value(other).total_cmp(&value(one))
}

fn highest_psi(container: &Container) -> Option<f32> {
    let psi = container.counters.psi;
    [psi.cpu, psi.memory, psi.io].into_iter().flatten().reduce(f32::max)
}

/// Working states first, stopped last.
const fn rank(state: State) -> u8 {
    match state {
        State::Starting | State::Stopping | State::Aborting => 0,
        State::Running | State::Thawed => 1,
        State::Freezing | State::Frozen => 2,
        State::Stopped => 3,
    }
}
