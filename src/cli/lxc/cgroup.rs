//! `lxc-cgroup` and the older `lxc-priority`.

use std::process::ExitCode;

use super::call::{LxcCall, LxcCommand, NameFrom, refused};
use super::getopt::value;
use crate::engine::shown::shown;

pub(super) const CGROUP: LxcCommand = LxcCommand {
    name: "cgroup",
    usage: "--name=NAME FILE [VALUE]",
    about: "reads a file of the cgroup of the running container NAME, or writes VALUE to it",
    options: &[],
    named: NameFrom::Needed,
    parts: None,
    run: cgroup,
};

pub(super) const PRIORITY: LxcCommand = LxcCommand {
    name: "priority",
    usage: "--name=NAME [-p PRIORITY]",
    about: "reads or sets the CPU shares of the running container NAME",
    options: &[value("priority", Some('p'), "PRIORITY", "The new shares")],
    named: NameFrom::Needed,
    parts: None,
    run: priority,
};

/// The shares of processors, on cgroup v1 and on v2.
const SHARES: [&str; 2] = ["cpu.shares", "cpu.weight"];

fn cgroup(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let mut operands = call.given.operands.clone().into_iter();
    let Some(file) = operands.next() else { return Err(refused("Missing state object")) };
    let (name, state) = call.container()?;
    if !state.is_active() {
        return Err(refused(format!("'{}' is not running", call.place())));
    }
    if let Some(value) = operands.next() {
        if let Err(error) = call.engine.cgroup_set(&name, &file, &value) {
            let error = call.engine.explain(error);
            call.complain(&error.reason());
            return Err(refused(format!(
                "Failed to assign '{value}' value to '{file}' for '{name}'"
            )));
        }
        return Ok(ExitCode::SUCCESS);
    }
    match call.engine.cgroup_get(&name, &file) {
        Ok(text) => {
            // LXC adds a newline to the file's own.
            for line in text.split('\n') {
                writeln!(call.out, "{}", shown(line))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let error = call.engine.explain(error);
            call.complain(&error.reason());
            Err(refused(format!("Failed to retrieve value of '{file}' for '{}'", call.place())))
        }
    }
}

fn priority(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let (name, state) = call.container()?;
    if !state.is_active() {
        return Err(refused(format!("'{}' is not running", call.place())));
    }
    let file = SHARES.into_iter().find(|it| call.engine.cgroup_get(&name, it).is_ok());
    let file = file.ok_or_else(|| refused("no controller of its cgroup shares processors"))?;
    if let Some(value) = call.value("priority") {
        call.engine.cgroup_set(&name, file, value)?;
        return Ok(ExitCode::SUCCESS);
    }
    let shares = call.engine.cgroup_get(&name, file)?;
    writeln!(call.out, "'{name}' has priority {}", shown(shares.trim()))?;
    Ok(ExitCode::SUCCESS)
}
