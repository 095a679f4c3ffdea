//! `lxc-freeze`, `lxc-unfreeze` and `lxc-wait`.

use std::process::ExitCode;
use std::time::Duration;

use super::call::{LxcCall, LxcCommand, NameFrom, bad_arguments, refused};
use super::getopt::value;
use crate::engine::State;

pub(super) const FREEZE: LxcCommand = LxcCommand {
    name: "freeze",
    usage: "--name=NAME",
    about: "freezes every process of the container NAME",
    options: &[],
    named: NameFrom::Needed,
    parts: None,
    run: freeze,
};

pub(super) const UNFREEZE: LxcCommand = LxcCommand {
    name: "unfreeze",
    usage: "--name=NAME",
    about: "lets the frozen container NAME continue",
    options: &[],
    named: NameFrom::Needed,
    parts: None,
    run: unfreeze,
};

pub(super) const WAIT: LxcCommand = LxcCommand {
    name: "wait",
    usage: "--name=NAME --state=STATE",
    about: "waits until the container NAME is in STATE",
    options: &[
        value(
            "state",
            Some('s'),
            "STATE",
            "States to wait for, joined by |: STOPPED, STARTING, RUNNING, STOPPING, ABORTING, FREEZING, FROZEN, THAWED",
        ),
        value("timeout", Some('t'), "TMO", "Seconds to wait; 0 checks once"),
    ],
    named: NameFrom::Needed,
    parts: None,
    run: wait,
};

fn freeze(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let name = call.name()?;
    if let Err(error) = call.engine.freeze(&name) {
        let error = call.engine.explain(error);
        call.complain(&error.reason());
        return Err(refused(format!("Failed to freeze {}", call.place())));
    }
    Ok(ExitCode::SUCCESS)
}

fn unfreeze(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    // LXC finds nothing to do where nothing runs.
    let Some((name, _)) = call.container_if_managed()?.filter(|it| it.1.is_active()) else {
        return Ok(ExitCode::SUCCESS);
    };
    if let Err(error) = call.engine.unfreeze(&name) {
        let error = call.engine.explain(error);
        call.complain(&error.reason());
        return Err(refused(format!("Failed to unfreeze {}", call.place())));
    }
    Ok(ExitCode::SUCCESS)
}

fn wait(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let states = call.value("state").ok_or_else(bad_arguments)?;
    let read = |it: &str| {
        let known = State::ALL.into_iter().find(|state| state.word() == it);
        known.ok_or_else(|| refused(format!("invalid state '{it}'")))
    };
    // As with strtok(3), nothing between two bars is not a state.
    let states = states
        .split('|')
        .filter(|it| !it.is_empty())
        .map(read)
        .collect::<anyhow::Result<Vec<State>>>()?;
    if states.is_empty() {
        return Err(refused("no state to wait for was given"));
    }
    let seconds = call.value("timeout").map(str::parse::<i64>).transpose();
    let seconds = seconds.map_err(|_other| bad_arguments())?;
    // A negative number of seconds means for ever.
    let timeout = seconds.and_then(|it| u64::try_from(it).ok()).map(Duration::from_secs);
    let name = match call.name() {
        // It is none of wharf's containers, and so does not run.
        Err(_) if states.contains(&State::Stopped) => return Ok(ExitCode::SUCCESS),
        name => name?,
    };
    let reached = call.engine.wait(&name, &states, timeout)?;
    Ok(if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
