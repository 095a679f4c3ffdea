//! `cgroup`: reads or changes one cgroup file of a running container, or the configuration of any.

use std::process::ExitCode;

use clap::ArgMatches;

use super::Subcommand;
use crate::cli::args;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, named, no_more};
use crate::command::Verb;
use crate::engine::limits::of_key;
use crate::engine::shown::shown;
use crate::engine::{Name, State};

pub(super) const CGROUP: Subcommand = Subcommand {
    name: "cgroup",
    arguments: |command| {
        command
            .arg(args::json())
            .arg(args::flag("keep", None, "Write the value to the configuration, too"))
            .arg(args::flag("again", None, "Restore the limits that the kernel has lost"))
            .arg(args::name())
            // -1 is a value.
            .arg(
                args::operands("NAME FILE [VALUE]", "The container, the file and its new value")
                    .allow_negative_numbers(true),
            )
    },
    run: cgroup,
    notes: "\
FILE is any file of any controller, by its name: memory.max, cpu.shares, pids.max ….
Without VALUE it is read. A change lasts until the container stops; with --keep it is also
written to the configuration, as lxc.cgroup2.FILE (or lxc.cgroup.FILE), or as both if both are
there. An empty VALUE clears a list, such as cpuset.cpus.

With --keep on a container that is stopped, or with a whole key such as lxc.cgroup2.memory.max for
FILE, only the configuration is changed; an empty VALUE takes the limit out of it.

Examples:
  wharf cgroup web memory.max
  wharf cgroup web memory.max 768M --keep
  wharf cgroup --again web",
};

fn cgroup(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (name, rest) = named(matches)?;
    let keep = matches.get_flag("keep");
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
        [_] if keep => {
            return Err(Usage("--keep needs a VALUE".into()).into());
        }
        [file] => {
            let value = invocation.engine.cgroup_get(&name, file)?;
            if matches.get_flag(args::JSON) {
                invocation.json(&serde_json::json!({ "file": file, "value": value.trim_end() }))?;
            } else {
                for line in value.lines() {
                    writeln!(invocation.out, "{}", shown(line))?;
                }
            }
        }
        [file, value] => {
            let change = invocation.engine.cgroup_set(&name, file, value)?;
            if keep {
                invocation.engine.cgroup_keep(&name, file, Some(value))?;
            }
            if matches.get_flag(args::JSON) {
                invocation.json(&serde_json::to_value(&change)?)?;
            }
        }
        _ => return Err(Usage("expected NAME FILE [VALUE]".into()).into()),
    }
    Ok(ExitCode::SUCCESS)
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
