//! `cgroup`: reads or changes one cgroup file of a running container, or the configuration of any.

use std::process::ExitCode;

use clap::ArgMatches;
use serde_json::json;

use super::Subcommand;
use crate::cli::args;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, named, no_more};
use crate::cli::output::{Justify, TextTable, UNKNOWN};
use crate::command::Verb;
use crate::engine::cgroup::knob;
use crate::engine::limits::of_key;
use crate::engine::sample::CgroupFile;
use crate::engine::shown::shown;
use crate::engine::{Name, State};

pub(super) const CGROUP: Subcommand = Subcommand {
    name: "cgroup",
    arguments: |command| {
        command
            .arg(args::json())
            .arg(args::format())
            .arg(args::flag("keep", None, "Write the value to the configuration, too"))
            .arg(args::flag("again", None, "Restore the limits that the kernel has lost"))
            .arg(args::name())
            // -1 is a value.
            .arg(
                args::operands("NAME [FILE [VALUE]]", "The container, the file and its new value")
                    .allow_negative_numbers(true),
            )
    },
    run: cgroup,
    notes: "\
FILE is any file of any controller, by its name: memory.max, cpu.shares, pids.max …. Without FILE
all are listed, with their values and what they mean. Without VALUE it is read. A change lasts
until the container stops; with --keep it is also written to the configuration, as
lxc.cgroup2.FILE (or lxc.cgroup.FILE), or as both if both are there. An empty VALUE clears a list,
such as cpuset.cpus.

With --keep on a container that is stopped, or with a whole key such as lxc.cgroup2.memory.max for
FILE, only the configuration is changed; an empty VALUE takes the limit out of it.

Examples:
  wharf cgroup web
  wharf cgroup web memory.max
  wharf cgroup web memory.max 768M --keep
  wharf cgroup --again web",
};

fn cgroup(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (name, rest) = named(matches)?;
    let keep = matches.get_flag("keep");
    if rest.len() > 2 {
        return Err(Usage("expected NAME [FILE [VALUE]]".into()).into());
    }
    if let (true, [file, value]) = (keep, rest.as_slice())
        && (of_key(file).is_some() || invocation.engine.state(&name)? == State::Stopped)
    {
        return configure(invocation, &name, file, value, matches.get_flag(args::JSON));
    }
    invocation.permit(Verb::EditCgroup, &name)?;
    if matches.get_flag("again") {
        no_more(&rest)?;
        let changes = invocation.engine.cgroup_again(&name)?;
        if matches.get_flag(args::JSON) {
            invocation.json(&serde_json::to_value(&changes)?)?;
        } else {
            for it in changes {
                writeln!(invocation.out, "{} = {}", shown(&it.file), shown(&it.new))?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    match rest.as_slice() {
        [] => list(invocation, matches, &name)?,
        [_] if keep => {
            return Err(Usage("--keep needs a VALUE".into()).into());
        }
        [file] => {
            let value = invocation.engine.cgroup_get(&name, file)?;
            if matches.get_flag(args::JSON) {
                invocation.json(&json!({ "file": file, "value": value.trim_end() }))?;
            } else {
                for line in value.lines() {
                    writeln!(invocation.out, "{}", shown(line))?;
                }
            }
        }
        [file, value, ..] => {
            let change = invocation.engine.cgroup_set(&name, file, value)?;
            if keep {
                invocation.engine.cgroup_keep(&name, file, Some(value))?;
            }
            if matches.get_flag(args::JSON) {
                invocation.json(&serde_json::to_value(&change)?)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists every file with its value and its meaning.
fn list(invocation: &mut Invocation<'_>, matches: &ArgMatches, name: &Name) -> anyhow::Result<()> {
    let files = invocation.engine.cgroup_files(name)?;
    let object = |it: &CgroupFile| {
        json!({
            "file": it.file, "controller": it.controller, "version": it.version,
            "value": it.value, "writable": it.writable, "meaning": meaning(it),
        })
    };
    if invocation.objects(matches, files.iter().map(object))? {
        return Ok(());
    }
    let heads = ["FILE", "VALUE", "MEANING"];
    let table = TextTable {
        heads: heads.map(|it| (it.to_owned(), Justify::Left)).into(),
        rows: files
            .iter()
            .map(|it| vec![it.file.clone(), short(it), meaning(it).unwrap_or_default().to_owned()])
            .collect(),
    };
    write!(invocation.out, "{}", table.layout())?;
    Ok(())
}

/// Returns what a file means, if that is known.
fn meaning(it: &CgroupFile) -> Option<&'static str> {
    Some(knob::of(&it.file).meaning).filter(|it| !it.is_empty())
}

/// Returns the first line of a value and how many follow.
fn short(it: &CgroupFile) -> String {
    const LONGEST: usize = 28;
    let Some(value) = &it.value else { return UNKNOWN.to_owned() };
    let first = value.lines().next().unwrap_or_default();
    let more = value.lines().count().saturating_sub(1);
    let cut: String = first.chars().take(LONGEST).collect();
    let cut = if cut.len() < first.len() { cut + "…" } else { cut };
    if more == 0 { cut } else { format!("{cut} (+{more})") }
}

/// Changes only the configuration, since there is no cgroup.
fn configure(
    invocation: &mut Invocation<'_>,
    name: &Name,
    file: &str,
    value: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let kept = invocation.engine.cgroup_keep(name, file, Some(value))?;
    if json {
        invocation.json(&serde_json::to_value(&kept)?)?;
    }
    Ok(ExitCode::SUCCESS)
}
