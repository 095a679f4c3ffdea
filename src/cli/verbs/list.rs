//! `ls`: the containers, one a line.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgMatches;
use serde_json::{Value, json};

use super::Entry;
use crate::cli::args;
use crate::cli::failure::Usage;
use crate::cli::output::{Align, Table, UNKNOWN, age, epoch_ms, or_unknown, size};
use crate::cli::session::{Session, no_more, operands};
use crate::engine::snapshot::{Container, Limit, Origin};
use crate::engine::{Name, State};

pub(super) const LS: Entry = Entry {
    name: "ls",
    aliases: &["list"],
    arguments: |command| {
        command
            .arg(args::flag("line", Some('1'), "Print names alone, one on a line"))
            .arg(args::flag("fancy", Some('f'), "Print columns (the default)"))
            .arg(args::value("fancy-format", Some('F'), "COLUMNS", "Columns, with commas between"))
            .arg(args::flag("running", None, "Only running containers, frozen ones among them"))
            .arg(args::flag("stopped", None, "Only stopped containers"))
            .arg(args::flag("frozen", None, "Only frozen containers"))
            .arg(args::flag("active", None, "Only containers that have processes"))
            .arg(args::flag("defined", None, "Only containers that have a configuration"))
            .arg(args::value("filter", None, "REGEX", "Only names that match"))
            .arg(args::json())
            .arg(args::operands("REGEX", "Only names that match"))
    },
    run: list,
    notes: "\
Columns: name state since pid cpu ram max pids exit rootfs ipv4 ipv6 interface origin trouble.

Examples:
  wharf ls
  wharf ls -1 --running '^web'
  wharf ls -F name,state,ram,max",
};

/// What one column shows.
struct Column {
    key: &'static str,
    align: Align,
    /// Its cell can be filled from name and state alone.
    cheap: bool,
    cell: fn(&Row) -> String,
}

/// One container, and what is known of it if anybody asked.
struct Row {
    name: Name,
    state: State,
    container: Option<Container>,
}

const DEFAULT: &str = "name,state,since,pid,cpu,ram,max,pids";

const COLUMNS: &[Column] = &[
    column("name", Align::Left, |row| row.name.to_string()).cheap(),
    column("state", Align::Left, |row| row.state.to_string()).cheap(),
    column("since", Align::Right, |row| or_unknown(row.get(|it| it.since).map(age))),
    column("pid", Align::Right, |row| or_unknown(row.get(|it| it.init_pid))),
    column("cpu", Align::Right, |row| {
        or_unknown(
            row.get(|it| it.counters.cpu_total).map(|it| format!("{:.2}s", it.as_secs_f64())),
        )
    }),
    column("ram", Align::Right, |row| or_unknown(row.get(|it| it.counters.memory_bytes).map(size))),
    column("max", Align::Right, |row| {
        or_unknown(row.get(|it| it.counters.memory_max_bytes).map(limit))
    }),
    column("pids", Align::Right, |row| or_unknown(row.get(|it| it.counters.pids))),
    column("exit", Align::Left, |row| or_unknown(row.get(|it| it.last_exit))),
    column("rootfs", Align::Left, |row| {
        or_unknown(
            row.get(|it| it.detail.as_ref()?.rootfs.as_ref().map(|it| it.display().to_string())),
        )
    }),
    column("ipv4", Align::Left, |row| addresses(row, |it| !it.contains(':'))),
    column("ipv6", Align::Left, |row| addresses(row, |it| it.contains(':'))),
    column("interface", Align::Left, |row| {
        or_unknown(row.get(|it| {
            let names: Vec<&str> =
                it.detail.as_ref()?.network.iter().map(|it| it.name.as_str()).collect();
            (!names.is_empty()).then(|| names.join(", "))
        }))
    }),
    column("origin", Align::Left, |row| or_unknown(row.get(|it| Some(origin(it.origin))))),
    column("trouble", Align::Left, |row| or_unknown(row.get(|it| it.trouble.clone()))),
];

const fn column(key: &'static str, align: Align, cell: fn(&Row) -> String) -> Column {
    Column { key, align, cheap: false, cell }
}

impl Column {
    const fn cheap(self) -> Self {
        Self { cheap: true, ..self }
    }
}

impl Row {
    fn get<T>(&self, what: impl FnOnce(&Container) -> Option<T>) -> Option<T> {
        self.container.as_ref().and_then(what)
    }
}

fn list(session: &mut Session<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let json = matches.get_flag(args::JSON);
    let bare = matches.get_flag("line") && !matches.get_flag("fancy");
    let columns = columns(matches)?;
    let deep = json || matches.get_flag("defined") || !(bare || columns.iter().all(|it| it.cheap));
    let mut rows = Vec::new();
    for (name, state) in wanted(session, matches)? {
        // A container that went away between two looks is no error of the list.
        let container = if deep { session.engine.info(&name).ok() } else { None };
        let row = Row { name, state, container };
        if !matches.get_flag("defined") || row.get(|it| Some(it.defined)) == Some(true) {
            rows.push(row);
        }
    }
    if json {
        let rows: Vec<Value> = rows.iter().map(object).collect();
        session.json(&Value::Array(rows))?;
    } else if bare {
        rows.iter().try_for_each(|it| writeln!(session.out, "{}", it.name))?;
    } else if !rows.is_empty() {
        let table = Table {
            heads: columns.iter().map(|it| (it.key.to_uppercase(), it.align)).collect(),
            rows: rows
                .iter()
                .map(|row| columns.iter().map(|it| (it.cell)(row)).collect())
                .collect(),
        };
        write!(session.out, "{}", table.layout())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the columns that were asked for.
fn columns(matches: &ArgMatches) -> anyhow::Result<Vec<&'static Column>> {
    let keys = matches.get_one::<String>("fancy-format").map_or(DEFAULT, String::as_str);
    let find = |key: &str| {
        COLUMNS.iter().find(|it| it.key.eq_ignore_ascii_case(key.trim())).ok_or_else(|| {
            let known: Vec<&str> = COLUMNS.iter().map(|it| it.key).collect();
            Usage(format!("no column `{key}`; known: {}", known.join(" "))).into()
        })
    };
    keys.split(',').map(find).collect()
}

/// Returns the containers that pass every filter.
fn wanted(session: &Session<'_>, matches: &ArgMatches) -> anyhow::Result<Vec<(Name, State)>> {
    let mut rest = operands(matches)?;
    let filter = match matches.get_one::<String>("filter") {
        Some(filter) => Some(filter.clone()),
        None => (!rest.is_empty()).then(|| rest.remove(0)),
    };
    no_more(&rest)?;
    let pattern = filter
        .map(|it| {
            regex::Regex::new(&it).with_context(|| format!("`{it}` is no regular expression"))
        })
        .transpose()?;
    let [running, stopped, frozen, active] =
        ["running", "stopped", "frozen", "active"].map(|it| matches.get_flag(it));
    let any_state = !(running || stopped || frozen || active);
    let mut list = session.engine.list()?;
    list.retain(|(name, state)| {
        let stands = matches!(state, State::Frozen | State::Freezing);
        let fits = any_state
            || (stopped && !state.is_active())
            || (frozen && stands)
            || (running && (stands || matches!(state, State::Running | State::Thawed)))
            || (active && state.is_active());
        fits && pattern.as_ref().is_none_or(|it| it.is_match(name.as_str()))
    });
    Ok(list)
}

fn object(row: &Row) -> Value {
    let mut object = json!({ "name": row.name, "state": row.state });
    if let (Some(container), Some(object)) = (&row.container, object.as_object_mut()) {
        object.extend(facts(container));
    }
    object
}

/// Returns what JSON tells of a container besides its name and state.
pub(super) fn facts(it: &Container) -> serde_json::Map<String, Value> {
    let counters = &it.counters;
    let facts = json!({
        "lxcpath": it.lxcpath.to_string_lossy(),
        "origin": origin(it.origin),
        "defined": it.defined,
        "since_ms": it.since.and_then(epoch_ms),
        "trouble": it.trouble,
        "init_pid": it.init_pid,
        "last_exit": it.last_exit,
        "cpu_seconds": counters.cpu_total.map(|it| it.as_secs_f64()),
        "memory_bytes": counters.memory_bytes,
        "memory_max_bytes": counters.memory_max_bytes.map(bound),
        "memory_peak_bytes": counters.memory_peak_bytes,
        "oom_kills": counters.oom_kills,
        "pids": counters.pids,
        "pids_max": counters.pids_max.map(bound),
    });
    match facts {
        Value::Object(facts) => facts,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            serde_json::Map::new()
        }
    }
}

/// A limit in JSON: a number, or `"max"`.
fn bound(limit: Limit) -> Value {
    match limit {
        Limit::Max => json!("max"),
        Limit::At(at) => json!(at),
    }
}

fn limit(limit: Limit) -> String {
    match limit {
        Limit::Max => "max".to_owned(),
        Limit::At(at) => size(at),
    }
}

const fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Wharf => "wharf",
        Origin::Lxc => "lxc",
    }
}

fn addresses(row: &Row, wanted: fn(&str) -> bool) -> String {
    let network = row.container.as_ref().and_then(|it| it.detail.as_ref()).map(|it| &it.network);
    let found: Vec<&str> = network
        .into_iter()
        .flatten()
        .filter(|it| it.name != "lo")
        .flat_map(|it| &it.addresses)
        .map(String::as_str)
        .filter(|it| wanted(it))
        .collect();
    if found.is_empty() { UNKNOWN.to_owned() } else { found.join(", ") }
}
