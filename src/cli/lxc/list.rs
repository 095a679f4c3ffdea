//! `lxc-ls`, with the options of ls(1) where those are asked for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::process::{Command, ExitCode};

use super::call::{LxcCall, LxcCommand, NameFrom, WordParts, refused};
use super::getopt::{Opt, OptTakes, flag, value};
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
            help: "Not supported: list containers inside containers, too",
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
    LxcColumn { title: "NAME", cell: |_, row| row.name.to_string() },
    LxcColumn { title: "STATE", cell: |_, row| row.state.word().to_owned() },
    LxcColumn {
        title: "PID",
        cell: |_, row| or_dash(row.get(|it| it.init_pid.map(|it| it.to_string()))),
    },
    LxcColumn { title: "RAM", cell: |call, row| megabytes(row, ram(call, row)) },
    LxcColumn { title: "SWAP", cell: |call, row| megabytes(row, swap(call, row)) },
    LxcColumn {
        title: "AUTOSTART",
        cell: |call, row| u8::from(is_set(call, row, "lxc.start.auto")).to_string(),
    },
    LxcColumn { title: "GROUPS", cell: |call, row| joined(&groups(call, &row.name)) },
    LxcColumn { title: "INTERFACE", cell: |_, row| joined(&interfaces(row)) },
    LxcColumn { title: "IPV4", cell: |_, row| joined(&addresses(row, |it| !it.contains(':'))) },
    LxcColumn { title: "IPV6", cell: |_, row| joined(&addresses(row, |it| it.contains(':'))) },
    LxcColumn {
        title: "UNPRIVILEGED",
        cell: |call, row| is_set(call, row, "lxc.idmap").to_string(),
    },
];

/// One container; its details only where columns are shown.
struct LxcRow {
    name: Name,
    state: State,
    container: Option<Container>,
}

impl LxcRow {
    fn get<T>(&self, what: impl FnOnce(&Container) -> Option<T>) -> Option<T> {
        self.container.as_ref().and_then(what)
    }
}

fn list(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    if call.has("nesting") {
        return Err(refused(
            "wharf does not list containers inside containers; leave out --nesting",
        ));
    }
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
        let names: Vec<String> = rows.into_iter().map(|it| it.name.to_string()).collect();
        let text = if call.has("line") {
            names.join("\n") + "\n"
        } else {
            across(&names, terminal_width())
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
    let names = rows.iter().map(|it| it.name.clone()).collect();
    let others = CounterSet::MEMORY;
    let interest = Interest { described: Described::These(names), others, ..Interest::in_states() };
    let found = call.engine.look(&interest).map(|it| it.containers).unwrap_or_default();
    let mut found: BTreeMap<Name, Container> =
        found.into_iter().map(|it| (it.name.clone(), it)).collect();
    for row in &mut rows {
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
    let needed: Option<Vec<&str>> =
        call.value("groups").map(|it| it.split(',').map(str::trim).collect());
    // A directory that is not there holds no containers.
    let list = call.engine.list().unwrap_or_default();
    let mut rows = Vec::new();
    for (name, state) in list {
        let named = filter.as_ref().is_none_or(|it| it.is_match(name.as_str()));
        if !named || !takes(call, state) || (call.has("defined") && !call.engine.is_defined(&name))
        {
            continue;
        }
        if let Some(needed) = &needed {
            let has = groups(call, &name);
            if !needed.iter().all(|it| has.iter().any(|has| has == it)) {
                continue;
            }
        }
        rows.push(LxcRow { name, state, container: None });
    }
    rows
}

fn takes(call: &LxcCall<'_>, state: State) -> bool {
    let [active, running, frozen, stopped] =
        ["active", "running", "frozen", "stopped"].map(|it| call.has(it));
    let any = active || running || frozen || stopped;
    !any || (state.is_active() && (active || running))
        || (frozen && state == State::Frozen)
        || (stopped && state == State::Stopped)
}

/// Lays names out in columns as wide as the longest, as many as fit into `width`; 0: one a line.
fn across(names: &[String], width: usize) -> String {
    let widest = names.iter().map(String::len).max().unwrap_or(0).max(NARROWEST);
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
    if row.state.is_active() { format!("{:.2}MB", bytes / MEGABYTE) } else { "-".to_owned() }
}

/// Returns the memory in use with its page cache, as LXC counts; 0 where no controller counts it.
fn ram(_call: &LxcCall<'_>, row: &LxcRow) -> f64 {
    let counters = row.container.as_ref().map(|it| it.counters).unwrap_or_default();
    let cache = counters.memory_cache_bytes.unwrap_or(0);
    counters.memory_bytes.map_or(0.0, |it| it.saturating_add(cache) as f64)
}

fn swap(call: &LxcCall<'_>, row: &LxcRow) -> f64 {
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
        assert_eq!(across(&names, 0), "a    \nweb-1\nb    \n");
        assert_eq!(across(&names, 80), "a     web-1 b     \n");
        assert_eq!(across(&names, 12), "a     web-1\nb     \n");
        assert_eq!(across(&["a".to_owned()], 0), "a   \n");
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
