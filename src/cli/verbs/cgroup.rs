//! `cgroup`: reads or changes one cgroup file of a running container.

use std::process::ExitCode;

use clap::ArgMatches;

use super::Entry;
use crate::cli::args;
use crate::cli::failure::Usage;
use crate::cli::session::{Session, named, no_more};
use crate::command::Verb;
use crate::engine::shown::shown;

pub(super) const CGROUP: Entry = Entry {
    name: "cgroup",
    arguments: |command| {
        command
            .arg(args::json())
            .arg(args::flag("keep", None, "Also write the value to the configuration"))
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

Examples:
  wharf cgroup web memory.max
  wharf cgroup web memory.max 768M --keep
  wharf cgroup --again web",
};

fn cgroup(session: &mut Session<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (name, rest) = named(matches)?;
    session.permit(Verb::EditCgroup, &name)?;
    if matches.get_flag("again") {
        no_more(&rest)?;
        let changes = session.engine.cgroup_again(&name)?;
        if matches.get_flag(args::JSON) {
            session.json(&serde_json::to_value(&changes)?)?;
        } else {
            for it in changes {
                writeln!(session.out, "{} = {}", shown(&it.file), shown(&it.new))?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    match rest.as_slice() {
        [_] if matches.get_flag("keep") => {
            return Err(Usage("--keep needs a VALUE".into()).into());
        }
        [file] => {
            let value = session.engine.cgroup_get(&name, file)?;
            if matches.get_flag(args::JSON) {
                session.json(&serde_json::json!({ "file": file, "value": value.trim_end() }))?;
            } else {
                for line in value.lines() {
                    writeln!(session.out, "{}", shown(line))?;
                }
            }
        }
        [file, value] => {
            let change = session.engine.cgroup_set(&name, file, value)?;
            if matches.get_flag("keep") {
                session.engine.cgroup_keep(&name, file, Some(value))?;
            }
            if matches.get_flag(args::JSON) {
                session.json(&serde_json::to_value(&change)?)?;
            }
        }
        _ => return Err(Usage("expected NAME FILE [VALUE]".into()).into()),
    }
    Ok(ExitCode::SUCCESS)
}
