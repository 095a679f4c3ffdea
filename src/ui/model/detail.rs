//! One open container: its tab, cursors and the value under edit. Reads processes, changes none.

use std::collections::BTreeSet;

use regex::Regex;

use crate::engine::Name;
use crate::engine::identity::Identity;
use crate::engine::process::Process;
use crate::widgets::field::Input;

/// The tabs of an open container, in the order of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tab {
    Overview,
    Processes,
    Cgroup,
    Console,
    Log,
    Events,
    Config,
    Network,
    Mounts,
}

impl Tab {
    /// Every tab; its key is its position, counted from one.
    pub const ALL: [Self; 9] = [
        Self::Overview,
        Self::Processes,
        Self::Cgroup,
        Self::Console,
        Self::Log,
        Self::Events,
        Self::Config,
        Self::Network,
        Self::Mounts,
    ];

    /// The tabs that the overview shows as panes.
    pub const PANES: [Self; 4] = [Self::Processes, Self::Cgroup, Self::Console, Self::Log];

    /// Returns a short word for the tab.
    pub const fn short_title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Processes => "Proc",
            Self::Cgroup => "Cgrp",
            Self::Console => "Cons",
            Self::Log => "Log",
            Self::Events => "Evnt",
            Self::Config => "Conf",
            Self::Network => "Net",
            Self::Mounts => "Mnt",
        }
    }

    /// Returns the word for the tab.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Processes => "Processes",
            Self::Cgroup => "Cgroup",
            Self::Console => "Console",
            Self::Log => "Log",
            Self::Events => "Events",
            Self::Config => "Config",
            Self::Network => "Network",
            Self::Mounts => "Mounts",
        }
    }
}

/// What an open container remembers.
#[derive(Debug)]
pub struct DetailScreen {
    pub name: Name,
    pub tab: Tab,
    /// The tab that was shown first; from it Esc returns to the list.
    pub opened_at: Tab,
    /// The pane that has the keyboard; never the overview itself.
    pub focus: Tab,
    pub zoom: bool,
    pub forest: Forest,
    pub cgroup: CgroupRows,
    /// First line of the texts; of the events, the one under the cursor.
    pub scroll: usize,
    /// The first event on the screen.
    pub first_event: usize,
    /// The log stays at its end.
    pub follow: bool,
    /// The search in the texts.
    pub search: Option<Search>,
    /// The marked containers that a limit is changed for; none: only this one.
    pub together: Vec<Name>,
}

/// A search in the lines of a text.
#[derive(Debug, Default)]
pub struct Search {
    pub line: Input,
    /// The line has the keyboard.
    pub typing: bool,
    /// The line's pattern, once it is valid. Lower case finds upper case, too.
    pub pattern: Option<Regex>,
    /// The line of the text with the last match.
    pub at: Option<usize>,
}

/// Cursor and folds of the forest of processes.
#[derive(Debug, Default)]
pub struct Forest {
    pub cursor: Option<Identity>,
    pub row: usize,
    /// The first row on the screen.
    pub first: usize,
    pub folded: BTreeSet<Identity>,
}

/// Cursor of the cgroup rows, and the value under edit.
#[derive(Debug, Default)]
pub struct CgroupRows {
    /// The file under the cursor.
    pub cursor: Option<String>,
    pub row: usize,
    /// The first line on the screen, notes not counted.
    pub first: usize,
    /// Every file, or only limits and counters.
    pub all: bool,
    pub edit: Option<Input>,
    /// Why the last value was refused, shown in the row of its file.
    pub refused: Option<(String, String)>,
    /// The values of the containers that are changed together, while a value is edited; none: not
    /// set.
    pub olds: Vec<(Name, Result<Option<String>, String>)>,
    /// The result of the last value for each of them.
    pub results: Vec<(Name, Result<String, String>)>,
}

impl DetailScreen {
    /// Opens `name` at `tab`.
    pub fn new(name: Name, tab: Tab) -> Self {
        let focus = if tab == Tab::Overview { Tab::Processes } else { tab };
        Self {
            name,
            tab,
            opened_at: tab,
            focus,
            zoom: false,
            forest: Forest::default(),
            cgroup: CgroupRows::default(),
            scroll: 0,
            first_event: 0,
            follow: true,
            search: None,
            together: Vec::new(),
        }
    }

    /// Shows `tab`.
    pub fn go(&mut self, tab: Tab) {
        self.tab = tab;
        self.scroll = 0;
        self.follow = true;
        self.search = None;
        if tab != Tab::Overview {
            self.focus = tab;
        } else if !Tab::PANES.contains(&self.focus) {
            self.focus = Tab::Processes;
        }
    }

    /// Returns the row of the cursor among `count` events; while it follows them, the newest.
    pub fn event_row(&self, count: usize) -> usize {
        let last = count.saturating_sub(1);
        if self.follow { last } else { self.scroll.min(last) }
    }

    /// Returns whether a pane on the screen shows the files of the cgroup.
    pub const fn needs_files(&self) -> bool {
        matches!(self.tab, Tab::Overview | Tab::Cgroup)
    }
}

impl Forest {
    /// Returns the processes that no fold hides, in the order of `all`.
    pub fn shown<'a>(&self, all: &'a [Process]) -> Vec<&'a Process> {
        let mut hidden_below = None;
        let mut shown = Vec::with_capacity(all.len());
        for process in all {
            if hidden_below.is_some_and(|depth| process.depth > depth) {
                continue;
            }
            hidden_below = self.folded.contains(&process.identity()).then_some(process.depth);
            shown.push(process);
        }
        shown
    }

    /// Returns the row of the cursor: that of its process, else the nearest to it.
    pub fn place(&self, shown: &[&Process]) -> usize {
        let here = shown.iter().position(|it| Some(it.identity()) == self.cursor);
        here.unwrap_or(self.row).min(shown.len().saturating_sub(1))
    }

    /// Moves the cursor to `row` of `shown`.
    pub fn go(&mut self, row: usize, shown: &[&Process]) {
        self.row = row.min(shown.len().saturating_sub(1));
        self.cursor = shown.get(self.row).map(|it| it.identity());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, depth: u16) -> Process {
        Process { pid, depth, ..Process::default() }
    }

    #[test]
    fn a_fold_hides_the_whole_subtree_and_nothing_else() {
        let all = [process(1, 0), process(2, 1), process(3, 2), process(4, 1)];
        let mut forest = Forest::default();
        forest.folded.insert(all[1].identity());
        let shown: Vec<i32> = forest.shown(&all).iter().map(|it| it.pid).collect();
        assert_eq!(shown, [1, 2, 4]);
    }

    #[test]
    fn the_cursor_stays_with_its_process() {
        let all = [process(1, 0), process(2, 1)];
        let mut forest = Forest::default();
        forest.go(1, &forest.shown(&all));
        let more = [process(1, 0), process(9, 1), process(2, 1)];
        assert_eq!(forest.place(&forest.shown(&more)), 2);
    }
}
