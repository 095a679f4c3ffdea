//! `ps`: the processes of containers, as a tree.

use std::collections::HashMap;
use std::process::ExitCode;

use clap::{ArgAction, ArgMatches};
use serde_json::{Value, json};

use super::Subcommand;
use crate::cli::args;
use crate::cli::chosen::{self, ChosenContainers};
use crate::cli::invocation::{Invocation, operands};
use crate::cli::output::{Justify, TextTable, or_unknown};
use crate::command::Verb;
use crate::engine::accounts;
use crate::engine::process::Process;
use crate::engine::shown::shown;
use crate::engine::{ErrorKind, Name, State};
use crate::format;

pub(super) const PS: Subcommand = Subcommand {
    name: "ps",
    arguments: |command| {
        command
            .arg(args::flag("forest", None, "Draw the tree (the default)"))
            .arg(args::flag("lxc", None, "Only processes in containers (always so)").hide(true))
            .arg(args::json())
            .arg(args::format())
            .arg(chosen::filter())
            .arg(args::name().action(ArgAction::Append))
            .arg(args::optional(
                "NAME...",
                "Containers, or patterns such as 'web*' [default: all that have processes]",
            ))
    },
    run: ps,
    notes: "\
PID is the pid on the host, NSPID the pid inside the container. %CPU is the share of one
processor.

Examples:
  wharf ps 'web*'
  wharf ps --filter '^web[0-9]'",
};

fn ps(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let ListedContainers { names, asked_for } = names(invocation, matches)?;
    let mut found: Vec<(Name, Vec<Process>)> = Vec::new();
    for (name, list) in names.iter().zip(invocation.engine.processes_of(&names)) {
        match list {
            // One that has ended since they were listed.
            Err(error) if error.kind == ErrorKind::NotRunning && !asked_for => (),
            list => found.push((name.clone(), list?)),
        }
    }
    let rows = found.iter().flat_map(|(name, list)| list.iter().map(|it| object(name, it)));
    if invocation.objects(matches, rows)? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut users = Users::default();
    let table = TextTable {
        heads: [
            ("CONTAINER", Justify::Left),
            ("PID", Justify::Right),
            ("NSPID", Justify::Right),
            ("USER", Justify::Left),
            ("%CPU", Justify::Right),
            ("RSS", Justify::Right),
            ("S", Justify::Left),
            ("COMMAND", Justify::Left),
        ]
        .map(|(head, align)| (head.to_owned(), align))
        .into(),
        rows: found
            .iter()
            .flat_map(|(name, list)| list.iter().map(move |it| (name, it)))
            .map(|(name, it)| row(name, it, &mut users))
            .collect(),
    };
    write!(invocation.out, "{}", table.layout())?;
    Ok(ExitCode::SUCCESS)
}

/// Whose processes are listed.
struct ListedContainers {
    names: Vec<Name>,
    asked_for: bool,
}

/// Returns the containers that were named, or every one that has processes.
fn names(invocation: &Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ListedContainers> {
    let mut words = operands(matches)?;
    for given in matches.get_many::<std::ffi::OsString>(args::NAME).unwrap_or_default() {
        words.extend(given.to_string_lossy().split(',').map(str::to_owned));
    }
    if !words.is_empty() || chosen::filters(matches) {
        let chosen = ChosenContainers::of(invocation, matches, Verb::Processes, words)?;
        return Ok(ListedContainers { names: chosen.names, asked_for: true });
    }
    let list = invocation.engine.list()?;
    let active = |state: &State| state.is_active();
    let names = list.into_iter().filter(|(_, state)| active(state)).map(|(name, _)| name);
    Ok(ListedContainers { names: names.collect(), asked_for: false })
}

fn row(name: &Name, it: &Process, users: &mut Users) -> Vec<String> {
    // Roots, the first level, have no lines.
    let below = it.later_siblings.get(1..).unwrap_or_default();
    let lines = format::branches(below, ["│  ", "├─ ", "└─ "]);
    vec![
        name.to_string(),
        it.pid.to_string(),
        or_unknown(it.inner_pid),
        or_unknown(it.uid.map(|uid| users.name(uid))),
        or_unknown(it.cpu_percent.map(|it| format!("{it:.1}"))),
        or_unknown(it.rss_bytes.map(format::bytes)),
        it.state.to_string(),
        format!("{lines}{}", shown(&it.command)),
    ]
}

fn object(name: &Name, it: &Process) -> Value {
    json!({
        "container": name, "pid": it.pid, "parent": it.parent, "inner_pid": it.inner_pid,
        "uid": it.uid, "state": it.state, "threads": it.threads, "cpu_percent": it.cpu_percent,
        "rss_bytes": it.rss_bytes, "start_time": it.start_time, "depth": it.depth,
        "command": it.command,
    })
}

/// The host's names for user numbers, each looked up once.
#[derive(Default)]
struct Users(HashMap<u32, String>);

impl Users {
    fn name(&mut self, uid: u32) -> String {
        let look_up = || accounts::user_name(uid).unwrap_or_else(|| uid.to_string());
        self.0.entry(uid).or_insert_with(look_up).clone()
    }
}
