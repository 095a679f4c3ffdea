//! `ls`: the containers, one a line.

use std::process::ExitCode;

use clap::ArgMatches;
use serde_json::{Value, json};

use super::Subcommand;
use crate::cli::args;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, no_more, operands};
use crate::cli::output::{Justify, TextTable, UNKNOWN, age, epoch_ms, or_unknown};
use crate::engine::State;
use crate::engine::sample::{Container, Limit, Origin, Unmanaged};
use crate::engine::sampler::{CounterSet, Described, Interest};
use crate::format;

pub(super) const LS: Subcommand = Subcommand {
    name: "ls",
    arguments: |command| {
        command
            .arg(args::flag("line", Some('1'), "Print only the names, one per line"))
            .arg(args::flag("fancy", Some('f'), "Print columns (the default)"))
            .arg(args::value(
                "fancy-format",
                Some('F'),
                "COLUMNS",
                "Columns to print, separated by commas",
            ))
            .arg(args::flag("running", None, "Only running containers, including frozen ones"))
            .arg(args::flag("stopped", None, "Only stopped containers"))
            .arg(args::flag("frozen", None, "Only frozen containers"))
            .arg(args::flag("active", None, "Only containers that have processes"))
            .arg(args::flag("defined", None, "Only containers that have a configuration"))
            .arg(args::value("filter", None, "REGEX", "Only names that match"))
            .arg(args::json())
            .arg(args::format())
            .arg(args::optional("REGEX", "Only names that match"))
    },
    run: list,
    notes: "\
Columns: name state since pid cpu ram max pids exit rootfs ipv4 ipv6 interface origin trouble.

--format takes the names of the fields that --json prints: `\\t` is a tab, `{{` a brace.

Examples:
  wharf ls
  wharf ls -1 --running '^web'
  wharf ls -F name,state,ram,max
  wharf ls --running --format '{name} {init_pid}'",
};

/// What one column shows.
struct ListColumn {
    key: &'static str,
    align: Justify,
    /// What it needs to know of a container, besides its state.
    counters: CounterSet,
    details: bool,
    faults: bool,
    cell: fn(&Listed) -> String,
}

/// One container, with what the columns need to know of it.
struct Listed {
    name: String,
    state: State,
    /// None if wharf does not manage it.
    container: Option<Container>,
    /// It is left to LXC.
    unmanaged: Option<Unmanaged>,
}

const DEFAULT: &str = "name,state,since,pid,cpu,ram,max,pids";

const COLUMNS: &[ListColumn] = &[
    column("name", Justify::Left, Listed::title),
    column("state", Justify::Left, |row| row.state.to_string()),
    column("since", Justify::Right, |row| or_unknown(row.get(|it| it.since).map(age))),
    column("pid", Justify::Right, |row| or_unknown(row.get(|it| it.init_pid))),
    column("cpu", Justify::Right, |row| {
        or_unknown(
            row.get(|it| it.counters.cpu_total).map(|it| format!("{:.2}s", it.as_secs_f64())),
        )
    })
    .counts(CounterSet::CPU),
    column("ram", Justify::Right, |row| {
        or_unknown(row.get(|it| it.counters.memory_bytes).map(format::bytes))
    })
    .counts(CounterSet::MEMORY),
    column("max", Justify::Right, |row| {
        or_unknown(row.get(|it| it.counters.memory_max_bytes).map(limit))
    })
    .counts(CounterSet::LIMITS),
    column("pids", Justify::Right, |row| or_unknown(row.get(|it| it.counters.pids)))
        .counts(CounterSet::TASKS),
    column("exit", Justify::Left, |row| or_unknown(row.get(Container::last_end))),
    column("rootfs", Justify::Left, |row| {
        or_unknown(
            row.get(|it| Some(it.detail.as_ref()?.rootfs.as_ref()?.path()?.display().to_string())),
        )
    })
    .describes(),
    column("ipv4", Justify::Left, |row| addresses(row, |it| !it.contains(':'))).describes(),
    column("ipv6", Justify::Left, |row| addresses(row, |it| it.contains(':'))).describes(),
    column("interface", Justify::Left, |row| {
        or_unknown(row.get(|it| {
            let names: Vec<&str> =
                it.detail.as_ref()?.network.iter().map(|it| it.name.as_str()).collect();
            (!names.is_empty()).then(|| names.join(", "))
        }))
    })
    .describes(),
    column("origin", Justify::Left, |row| {
        let lxc = row.unmanaged.as_ref().map(|_| origin(Origin::Lxc));
        or_unknown(row.get(|it| Some(origin(it.origin))).or(lxc))
    }),
    column("trouble", Justify::Left, |row| {
        let why = row.unmanaged.as_ref().map(Listed::why);
        or_unknown(row.get(|it| it.trouble.clone()).or(why))
    })
    .finds_faults(),
];

/// Returns what `-F` takes.
pub(in crate::cli) fn column_names() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|it| it.key)
}

const fn column(key: &'static str, align: Justify, cell: fn(&Listed) -> String) -> ListColumn {
    ListColumn { key, align, counters: CounterSet::NONE, details: false, faults: false, cell }
}

impl ListColumn {
    const fn counts(self, counters: CounterSet) -> Self {
        Self { counters, ..self }
    }

    const fn describes(self) -> Self {
        Self { details: true, ..self }
    }

    const fn finds_faults(self) -> Self {
        Self { faults: true, ..self }
    }
}

impl Listed {
    /// Returns the name, in quotation marks if wharf does not manage the container.
    fn title(&self) -> String {
        if self.unmanaged.is_some() { format!("\"{}\"", self.name) } else { self.name.clone() }
    }

    fn why(unmanaged: &Unmanaged) -> String {
        format!("left to LXC: {}", unmanaged.why)
    }

    fn left_to_lxc(it: Unmanaged) -> Self {
        Self { name: it.name.clone(), state: it.state, container: None, unmanaged: Some(it) }
    }

    fn is_defined(&self) -> bool {
        let managed = self.get(|it| Some(it.defined));
        managed.or_else(|| self.unmanaged.as_ref().map(|it| it.defined)) == Some(true)
    }

    fn get<T>(&self, what: impl FnOnce(&Container) -> Option<T>) -> Option<T> {
        self.container.as_ref().and_then(what)
    }
}

fn list(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let json = matches.get_flag(args::JSON) || matches.contains_id(args::FORMAT);
    let bare = matches.get_flag("line") && !matches.get_flag("fancy");
    let columns = columns(matches)?;
    let chosen = matches.get_one::<String>("fancy-format").is_some();
    let interest = if json {
        Interest { others: CounterSet::ALL, faults: true, ..Interest::in_states() }
    } else if bare {
        Interest::in_states()
    } else {
        // Trouble is shown even if its column was not asked for.
        Interest { faults: !chosen || columns.iter().any(|it| it.faults), ..interest(&columns) }
    };
    invocation.engine.clear_drafts();
    let mut rows = rows(invocation, &interest)?;
    let selection = Selection::new(matches)?;
    rows.retain(|it| selection.takes(it));
    if invocation.objects(matches, rows.iter().map(object))? {
        return Ok(ExitCode::SUCCESS);
    }
    if bare {
        rows.iter().try_for_each(|it| writeln!(invocation.out, "{}", it.name))?;
    } else if !rows.is_empty() {
        let mut columns = columns;
        let trouble = |row: &Listed| row.get(|it| it.trouble.as_ref().map(|_| ())).is_some();
        if !chosen && rows.iter().any(trouble) {
            columns.extend(COLUMNS.iter().filter(|it| it.key == "trouble"));
        }
        let table = TextTable {
            heads: columns.iter().map(|it| (it.key.to_uppercase(), it.align)).collect(),
            rows: rows
                .iter()
                .map(|row| columns.iter().map(|it| (it.cell)(row)).collect())
                .collect(),
        };
        write!(invocation.out, "{}", table.layout())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the columns that were asked for.
fn columns(matches: &ArgMatches) -> anyhow::Result<Vec<&'static ListColumn>> {
    let keys = matches.get_one::<String>("fancy-format").map_or(DEFAULT, String::as_str);
    let find = |key: &str| {
        COLUMNS.iter().find(|it| it.key.eq_ignore_ascii_case(key.trim())).ok_or_else(|| {
            let known: Vec<&str> = COLUMNS.iter().map(|it| it.key).collect();
            Usage(format!("no column `{key}`; known: {}", known.join(" "))).into()
        })
    };
    keys.split(',').map(find).collect()
}

/// Returns what the columns show.
fn interest(columns: &[&ListColumn]) -> Interest {
    let others = columns.iter().fold(CounterSet::NONE, |all, it| all.with(it.counters));
    let described =
        if columns.iter().any(|it| it.details) { Described::All } else { Described::None };
    Interest { others, described, ..Interest::in_states() }
}

/// Inspects every container, no deeper than necessary.
fn rows(invocation: &Invocation<'_>, interest: &Interest) -> anyhow::Result<Vec<Listed>> {
    let sample = invocation.engine.look(interest)?;
    let managed = sample.containers.into_iter().map(|it| {
        let (name, state) = (it.name.to_string(), it.state);
        Listed { name, state, container: Some(it), unmanaged: None }
    });
    // An unreadable directory is reported by the list itself.
    Ok(managed.chain(sample.unmanaged.into_iter().map(Listed::left_to_lxc)).collect())
}

/// Which containers are listed.
struct Selection {
    pattern: Option<regex::Regex>,
    defined: bool,
    /// Running, stopped, frozen, active; none of them: in any state.
    states: [bool; 4],
}

impl Selection {
    fn new(matches: &ArgMatches) -> anyhow::Result<Self> {
        let mut rest = operands(matches)?;
        let filter = match matches.get_one::<String>("filter") {
            Some(filter) => Some(filter.clone()),
            None => (!rest.is_empty()).then(|| rest.remove(0)),
        };
        no_more(&rest)?;
        Ok(Self {
            pattern: filter.as_deref().map(args::regex).transpose()?,
            defined: matches.get_flag("defined"),
            states: ["running", "stopped", "frozen", "active"].map(|it| matches.get_flag(it)),
        })
    }

    fn takes(&self, row: &Listed) -> bool {
        let [running, stopped, frozen, active] = self.states;
        let state = row.state;
        let stands = matches!(state, State::Frozen | State::Freezing);
        let fits = !self.states.contains(&true)
            || (stopped && !state.is_active())
            || (frozen && stands)
            || (running && (stands || matches!(state, State::Running | State::Thawed)))
            || (active && state.is_active());
        fits && self.pattern.as_ref().is_none_or(|it| it.is_match(&row.name))
            && (!self.defined || row.is_defined())
    }
}

fn object(row: &Listed) -> Value {
    let mut object = json!({ "name": row.name, "state": row.state });
    if let (Some(container), Some(object)) = (&row.container, object.as_object_mut()) {
        object.extend(facts(container));
    }
    if let (Some(unmanaged), Some(object)) = (&row.unmanaged, object.as_object_mut()) {
        object.insert("origin".to_owned(), json!(origin(Origin::Lxc)));
        object.insert("defined".to_owned(), json!(unmanaged.defined));
        object.insert("trouble".to_owned(), json!(Listed::why(unmanaged)));
    }
    object
}

/// Returns what JSON contains about a container besides its name and state.
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
        "oom_killed": it.died_of_memory,
        "cpu_seconds": counters.cpu_total.map(|it| it.as_secs_f64()),
        "memory_bytes": counters.memory_bytes,
        "memory_cache_bytes": counters.memory_cache_bytes,
        "memory_max_bytes": counters.memory_max_bytes.map(bound),
        "memory_peak_bytes": counters.memory_peak_bytes,
        "oom_kills": counters.oom_kills,
        "oom_last": it.oom_last,
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
        Limit::At(at) => format::bytes(at),
    }
}

const fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Wharf => "wharf",
        Origin::Lxc => "lxc",
    }
}

fn addresses(row: &Listed, wanted: fn(&str) -> bool) -> String {
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
