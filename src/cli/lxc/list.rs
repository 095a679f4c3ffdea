//! `lxc-ls`, with the options of ls(1) where those are asked for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::process::{Command, ExitCode};

use super::call::{LxcCall, LxcCommand, NameFrom, WordParts, refused};
use super::getopt::{Opt, OptTakes, flag, value};
use crate::engine::nested::NestedContainer;
use crate::engine::sample::Container;
use crate::engine::sampler::{CounterSet, Described, Interest};
use crate::engine::shown::shown;
use crate::engine::{Name, State};

pub(super) const LS: LxcCommand = LxcCommand {
    name: "ls",
    usage: "[-1|-f] [-P lxcpath] [--active] [--running] [--frozen] [--stopped] [-g groups] [REGEX]",
    about: "lists containers; with -l, as `ls -l` does",
    options: &[
        flag("line", Some('1'), "One name a line"),
        flag("fancy", Some('f'), "Columns"),
        value(
            "fancy-format",
            Some('F'),
            "COLUMNS",
            "With -f: these columns, separated by commas: NAME, STATE, PID, RAM, SWAP, AUTOSTART, GROUPS, INTERFACE, IPV4, IPV6, UNPRIVILEGED",
        ),
        flag("active", None, "Only active containers"),
        flag("running", None, "Only running containers, and frozen ones"),
        flag("frozen", None, "Only frozen containers"),
        flag("stopped", None, "Only stopped containers"),
        flag("defined", None, "Only containers that have a configuration"),
        Opt {
            long: "nesting",
            short: None,
            takes: OptTakes::Optional("NUM"),
            help: "Containers inside containers, too, NUM levels deep (without: 5)",
        },
        value("filter", None, "REGEX", "Only names in which REGEX is found"),
        value("groups", Some('g'), "GROUPS", "Only containers that are in all of these groups"),
    ],
    named: NameFrom::Free,
    parts: Some(for_ls),
    run: list,
};

/// The columns without `-F`.
const DEFAULT: &str = "NAME,STATE,AUTOSTART,GROUPS,IPV4,IPV6,UNPRIVILEGED";
/// The narrowest column of plain names.
const NARROWEST: usize = 4;

/// A column: its title, and the cell of a container.
struct LxcColumn {
    title: &'static str,
    cell: fn(&LxcCall<'_>, &LxcRow) -> String,
}

const COLUMNS: &[LxcColumn] = &[
    LxcColumn { title: "NAME", cell: |_, row| row.indented() },
    LxcColumn { title: "STATE", cell: |_, row| row.state.word().to_owned() },
    LxcColumn {
        title: "PID",
        cell: |_, row| or_dash(row.get(|it| it.init_pid.map(|it| it.to_string()))),
    },
    LxcColumn { title: "RAM", cell: |call, row| megabytes(row, ram(call, row)) },
    LxcColumn { title: "SWAP", cell: |call, row| megabytes(row, swap(call, row)) },
    LxcColumn {
        title: "AUTOSTART",
        cell: |call, row| u8::from(row.starts_itself(call)).to_string(),
    },
    LxcColumn { title: "GROUPS", cell: |call, row| joined(&row.groups(call)) },
    LxcColumn { title: "INTERFACE", cell: |_, row| joined(&interfaces(row)) },
    LxcColumn { title: "IPV4", cell: |_, row| joined(&addresses(row, |it| !it.contains(':'))) },
    LxcColumn { title: "IPV6", cell: |_, row| joined(&addresses(row, |it| it.contains(':'))) },
    LxcColumn { title: "UNPRIVILEGED", cell: |call, row| row.is_unprivileged(call).to_string() },
];

/// The levels of containers inside containers without a number.
const DEPTH: usize = 5;

/// One container; its details only where columns are shown.
struct LxcRow {
    name: Name,
    state: State,
    /// None for one inside another, which nobody is asked about.
    container: Option<Container>,
    /// The names of those it is inside of, the outermost first.
    within: Vec<Name>,
    nested: Option<NestedContainer>,
}

impl LxcRow {
    fn get<T>(&self, what: impl FnOnce(&Container) -> Option<T>) -> Option<T> {
        self.container.as_ref().and_then(what)
    }

    /// Its name behind those of the containers it is inside of.
    fn path(&self) -> String {
        let names = self.within.iter().chain([&self.name]);
        names.map(Name::as_str).collect::<Vec<_>>().join("/")
    }

    fn indented(&self) -> String {
        match self.within.len().checked_sub(1) {
            Some(level) => format!("{}\\{}", " ".repeat(level), self.name),
            None => self.name.to_string(),
        }
    }

    fn starts_itself(&self, call: &LxcCall<'_>) -> bool {
        let nested = self.nested.as_ref().map(|it| it.autostart);
        nested.unwrap_or_else(|| is_set(call, self, "lxc.start.auto"))
    }

    fn groups(&self, call: &LxcCall<'_>) -> Vec<String> {
        let nested = self.nested.as_ref().map(|it| it.groups.clone());
        nested.unwrap_or_else(|| groups(call, &self.name))
    }

    fn is_unprivileged(&self, call: &LxcCall<'_>) -> bool {
        let nested = self.nested.as_ref().map(|it| it.unprivileged);
        nested.unwrap_or_else(|| is_set(call, self, "lxc.idmap"))
    }
}

fn list(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    call.engine.clear_drafts();
    mention_unmanaged(call);
    if let Some(options) = call.others.clone() {
        return by_ls(call, &options);
    }
    let fancy = call.has("fancy");
    let mut rows = rows(call);
    if rows.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if !fancy {
        let names: Vec<String> = rows.iter().map(LxcRow::path).collect();
        let text = if call.has("line") {
            names.join("\n") + "\n"
        } else {
            // LXC leaves room for the mark of each level, which it shows in columns only.
            let widest = rows.iter().map(|it| it.path().len() + it.within.len()).max();
            across(&names, widest.unwrap_or(0), terminal_width())
        };
        write!(call.out, "{text}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = call.value("fancy-format").unwrap_or(DEFAULT).to_owned();
    let mut columns = Vec::new();
    for key in wanted.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        let Some(column) = COLUMNS.iter().find(|it| it.title.eq_ignore_ascii_case(key)) else {
            super::say(&format!("Invalid key: {}\n", shown(key)));
            return Ok(ExitCode::SUCCESS);
        };
        columns.push(column);
    }
    let outermost = rows.iter().filter(|it| it.nested.is_none());
    let names = outermost.map(|it| it.name.clone()).collect();
    let others = CounterSet::MEMORY;
    let interest = Interest { described: Described::These(names), others, ..Interest::in_states() };
    let found = call.engine.look(&interest).map(|it| it.containers).unwrap_or_default();
    let mut found: BTreeMap<Name, Container> =
        found.into_iter().map(|it| (it.name.clone(), it)).collect();
    for row in rows.iter_mut().filter(|it| it.nested.is_none()) {
        // A container that disappears meanwhile is not an error of the list.
        row.container = found.remove(&row.name);
    }
    let text = table(call, &columns, &rows);
    write!(call.out, "{text}")?;
    Ok(ExitCode::SUCCESS)
}

/// Says which containers are left out.
fn mention_unmanaged(call: &mut LxcCall<'_>) {
    let left = call.engine.unmanaged().unwrap_or_default();
    if left.is_empty() {
        return;
    }
    let names: Vec<String> = left.iter().map(|it| format!("`{}`", it.name)).collect();
    call.complain(&format!("left out, as wharf does not manage such names: {}", names.join(", ")));
}

/// Returns the containers that were asked for, by name.
fn rows(call: &LxcCall<'_>) -> Vec<LxcRow> {
    let filter = match (call.value("filter"), call.given.operands.as_slice()) {
        (Some(filter), _) => Some(filter),
        (None, [only]) => Some(only.as_str()),
        (None, _) => None,
    };
    // LXC lists nothing for what is no expression.
    let Ok(filter) = filter.map(regex::Regex::new).transpose() else { return Vec::new() };
    let needed: Vec<&str> =
        call.value("groups").map_or_else(Vec::new, |it| it.split(',').map(str::trim).collect());
    let takes_row = |row: &LxcRow| {
        let named = filter.as_ref().is_none_or(|it| it.is_match(row.name.as_str()));
        let defined = || row.nested.is_some() || call.engine.is_defined(&row.name);
        let in_groups = || {
            let has = row.groups(call);
            needed.iter().all(|it| has.iter().any(|has| has == it))
        };
        named
            && takes(call, row.state)
            && (!call.has("defined") || defined())
            && (needed.is_empty() || in_groups())
    };
    // LXC takes anything that is not a number for none.
    let depth = call.value("nesting").map_or(DEPTH, |it| it.parse().unwrap_or(DEPTH));
    let depth = if call.has("nesting") { depth } else { 0 };
    // A directory that is not there holds no containers.
    let list = call.engine.list().unwrap_or_default();
    let mut rows = Vec::new();
    for (name, state) in list {
        let row = LxcRow { name, state, container: None, within: Vec::new(), nested: None };
        if !takes_row(&row) {
            continue;
        }
        let nested = call.engine.nested(&row.name, depth);
        let within = [row.name.clone()];
        rows.push(row);
        add_nested(&mut rows, nested, &within, &takes_row);
    }
    rows
}

/// Adds the containers inside the one at `within` that are taken, and those inside them.
fn add_nested(
    rows: &mut Vec<LxcRow>,
    nested: Vec<NestedContainer>,
    within: &[Name],
    takes: &dyn Fn(&LxcRow) -> bool,
) {
    for mut it in nested {
        let inner = std::mem::take(&mut it.nested);
        let (name, state) = (it.name.clone(), it.state);
        let path = [within, std::slice::from_ref(&name)].concat();
        let row =
            LxcRow { name, state, container: None, within: within.to_vec(), nested: Some(it) };
        if takes(&row) {
            rows.push(row);
            add_nested(rows, inner, &path, takes);
        }
    }
}

fn takes(call: &LxcCall<'_>, state: State) -> bool {
    let [active, running, frozen, stopped] =
        ["active", "running", "frozen", "stopped"].map(|it| call.has(it));
    let any = active || running || frozen || stopped;
    !any || (state.is_active() && (active || running))
        || (frozen && state == State::Frozen)
        || (stopped && state == State::Stopped)
}

/// Lays names out in columns of `widest`, as many as fit into `width`; 0: one a line.
fn across(names: &[String], widest: usize, width: usize) -> String {
    let widest = widest.max(NARROWEST);
    let mut text = String::new();
    let mut column = 0;
    for name in names {
        // Writing to a String cannot fail.
        _ = write!(text, "{name:<widest$}");
        column += widest;
        if column + widest >= width {
            text.push('\n');
            column = 0;
        } else {
            text.push(' ');
            column += 1;
        }
    }
    if column > 0 {
        text.push('\n');
    }
    text
}

/// Lays out a table, each column as wide as its widest cell and followed by a blank.
fn table(call: &LxcCall<'_>, columns: &[&LxcColumn], rows: &[LxcRow]) -> String {
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|it| it.title.to_owned()).collect()];
    for row in rows {
        lines.push(columns.iter().map(|it| shown(&(it.cell)(call, row)).into_owned()).collect());
    }
    let mut text = String::new();
    for line in &lines {
        for (index, (cell, column)) in line.iter().zip(columns).enumerate() {
            let cells = lines.iter().filter_map(|it| it.get(index));
            let least = column.least_width();
            let width = cells.map(String::len).max().unwrap_or(0).max(least);
            let sized = matches!(column.title, "RAM" | "SWAP") && cell.ends_with("MB");
            // Writing to a String cannot fail.
            _ = if sized {
                write!(text, "{cell:>width$} ")
            } else {
                write!(text, "{cell:<width$} ")
            };
        }
        text.push('\n');
    }
    text
}

impl LxcColumn {
    /// LXC leaves room for the unit, also where no value has one.
    const fn least_width(&self) -> usize {
        match self.title.as_bytes() {
            b"RAM" | b"SWAP" => "0.00MB".len(),
            other => other.len(),
        }
    }
}

fn or_dash(value: Option<String>) -> String {
    value.filter(|it| !it.is_empty()).unwrap_or_else(|| "-".to_owned())
}

fn joined(words: &[String]) -> String {
    or_dash(Some(words.join(", ")))
}

fn megabytes(row: &LxcRow, bytes: f64) -> String {
    const MEGABYTE: f64 = 1024.0 * 1024.0;
    let known = row.state.is_active() && row.nested.is_none();
    if known { format!("{:.2}MB", bytes / MEGABYTE) } else { "-".to_owned() }
}

/// Returns the memory in use with its page cache, as LXC counts; 0 where no controller counts it.
fn ram(_call: &LxcCall<'_>, row: &LxcRow) -> f64 {
    let counters = row.container.as_ref().map(|it| it.counters).unwrap_or_default();
    let cache = counters.memory_cache_bytes.unwrap_or(0);
    counters.memory_bytes.map_or(0.0, |it| it.saturating_add(cache) as f64)
}

fn swap(call: &LxcCall<'_>, row: &LxcRow) -> f64 {
    if row.nested.is_some() {
        return 0.0;
    }
    let read = |file| call.engine.cgroup_get(&row.name, file).ok();
    let in_table =
        |it: String| it.lines().find_map(|it| it.strip_prefix("swap ")?.trim().parse::<u64>().ok());
    let used = read("memory.swap.current").and_then(|it| it.trim().parse::<u64>().ok());
    used.or_else(|| read("memory.stat").and_then(in_table)).map_or(0.0, |it| it as f64)
}

/// Returns whether the configuration has a value for `key` that is not 0.
fn is_set(call: &LxcCall<'_>, row: &LxcRow, key: &str) -> bool {
    let value = call.engine.config_item(&row.name, key).ok().flatten();
    value.is_some_and(|it| !matches!(it.trim(), "" | "0"))
}

fn groups(call: &LxcCall<'_>, name: &Name) -> Vec<String> {
    let value = call.engine.config_item(name, "lxc.group").ok().flatten().unwrap_or_default();
    value.lines().map(str::to_owned).collect()
}

fn interfaces(row: &LxcRow) -> Vec<String> {
    let names = |it: &Container| {
        Some(it.detail.as_ref()?.network.iter().map(|it| it.name.clone()).collect())
    };
    row.get(names).unwrap_or_default()
}

fn addresses(row: &LxcRow, wanted: fn(&str) -> bool) -> Vec<String> {
    let all = |it: &Container| {
        let inner = it.detail.as_ref()?.network.iter().filter(|it| it.name != "lo");
        Some(inner.flat_map(|it| &it.addresses).filter(|it| wanted(it)).cloned().collect())
    };
    row.get(all).unwrap_or_default()
}

/// Returns the width of the terminal in columns; 0: there is none.
fn terminal_width() -> usize {
    if io::IsTerminal::is_terminal(&io::stdout()) {
        crossterm::terminal::size().map_or(0, |(columns, _)| usize::from(columns))
    } else {
        0
    }
}

/// Parts the options of ls(1) off, if there is a `-l` without one of LXC's log levels.
fn for_ls(words: &[String]) -> Option<WordParts> {
    const LEVELS: [&str; 9] =
        ["FATAL", "ALERT", "CRIT", "ERROR", "WARN", "NOTICE", "INFO", "DEBUG", "TRACE"];
    let is_level = |it: &String| LEVELS.contains(&it.to_ascii_uppercase().as_str());
    let at = words.iter().position(|it| it == "-l")?;
    if words.get(at + 1).is_some_and(is_level) {
        return None;
    }
    let mut parts = WordParts::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "-P" || word == "--lxcpath" {
            parts.own.extend([word.clone()].into_iter().chain(words.next().cloned()));
        } else if word.starts_with("-P") || word.starts_with("--lxcpath=") {
            parts.own.push(word.clone());
        } else {
            parts.others.push(word.clone());
        }
    }
    Some(parts)
}

/// Lists the containers' directories by ls(1).
fn by_ls(call: &mut LxcCall<'_>, options: &[String]) -> anyhow::Result<ExitCode> {
    let names: Vec<String> = rows(call).into_iter().map(|it| it.name.to_string()).collect();
    if names.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let mut ls = Command::new("ls");
    ls.args(options).arg("-d").arg("--").args(&names).current_dir(call.engine.lxcpath().dir());
    let status = ls.status().map_err(|why| refused(format!("cannot run ls: {why}")))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fill_the_terminal() {
        let names = ["a", "web-1", "b"].map(str::to_owned);
        assert_eq!(across(&names, 5, 0), "a    \nweb-1\nb    \n");
        assert_eq!(across(&names, 5, 80), "a     web-1 b     \n");
        assert_eq!(across(&names, 5, 12), "a     web-1\nb     \n");
        assert_eq!(across(&["a".to_owned()], 1, 0), "a   \n");
    }

    #[test]
    fn a_bare_l_is_for_ls() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(for_ls(&words("-l")), Some(WordParts { own: vec![], others: words("-l") }));
        let parts = WordParts { own: words("-P /x"), others: words("-l -h") };
        assert_eq!(for_ls(&words("-P /x -l -h")), Some(parts));
        assert_eq!(for_ls(&words("-l debug -1")), None);
        assert_eq!(for_ls(&words("-1")), None);
    }
}
