//! `lxc-autostart`: containers by their order and groups, as LXC's units call it.

use std::process::ExitCode;
use std::time::Duration;

use super::call::{LxcCall, LxcCommand, LxcRefusal, NameFrom, bad_arguments};
use super::getopt::{flag, value};
use crate::cli::autostart::{Turn, run};
use crate::engine::autostart::{AutoRule, Groups, StartOrder};
use crate::engine::stop::Stop;

/// How long a stop waits before it kills.
const PATIENCE_SECONDS: i64 = 60;
/// What is waited for without an end of its own has one nevertheless.
const LONGEST: Duration = Duration::from_hours(24);
/// How long a start may take, which LXC waits for without an end.
const START_PATIENCE: Duration = Duration::from_mins(5);
/// LXC's code where some of several have failed.
const SOME_FAILED: u8 = 2;

pub(super) const AUTOSTART: LxcCommand = LxcCommand {
    name: "autostart",
    usage: "[-k] [-L] [-r] [-s]",
    about: "starts the containers that are marked for it, or acts on them otherwise",
    options: &[
        flag("kill", Some('k'), "Kill them instead of starting them"),
        flag("list", Some('L'), "List them, and what would be waited after each"),
        flag("reboot", Some('r'), "Ask them to restart"),
        flag("shutdown", Some('s'), "Stop them, in the reverse order"),
        flag("all", Some('a'), "Whatever groups they are in"),
        flag("ignore-auto", Some('A'), "Also without lxc.start.auto"),
        value("groups", Some('g'), "GROUP", "Those of these groups; an empty one is no group"),
        value("timeout", Some('t'), "T", "Wait T seconds before one is killed"),
    ],
    named: NameFrom::Free,
    parts: None,
    run: autostart,
};

fn autostart(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let seconds = call.value("timeout").map(str::parse::<i64>).transpose();
    let seconds = seconds.map_err(|_other| bad_arguments())?.unwrap_or(PATIENCE_SECONDS);
    let timeout = u64::try_from(seconds).ok().map(Duration::from_secs);
    let turn = match ["shutdown", "kill", "reboot"].map(|it| call.has(it)) {
        [true, ..] if seconds == 0 => Turn::Stop(Stop::Ask),
        [true, ..] => Turn::Stop(Stop::Gently { timeout, then_kill: true }),
        [_, true, _] => Turn::Stop(Stop::Kill),
        [_, _, true] => Turn::Stop(Stop::AskToReboot),
        [false, false, false] => Turn::Start(None),
    };
    let groups =
        if call.has("all") { Groups::Every } else { Groups::read(call.given.values("groups")) };
    let rule = if call.has("ignore-auto") { AutoRule::Ignored } else { AutoRule::Required };
    let batches = call.engine.autostart(&groups, rule, turn.direction())?;
    if call.has("list") {
        for it in batches.iter().flatten().filter(|it| turn.concerns(it.state)) {
            match turn.direction() {
                StartOrder::Up => writeln!(call.out, "{} {}", it.name, it.delay.as_secs())?,
                StartOrder::Down => writeln!(call.out, "{}", it.name)?,
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let engine = call.engine.clone();
    let patience = match turn {
        Turn::Start(_) => START_PATIENCE,
        Turn::Stop(_) => timeout.unwrap_or(LONGEST),
    };
    let tally = run(&engine, &batches, (&turn, patience), &mut |error| {
        let about = format!("{}: {}", error.object, error.reason());
        call.complain(&about);
    });
    match tally.failed {
        0 => Ok(ExitCode::SUCCESS),
        failed => {
            let code = if failed == tally.tried { 1 } else { SOME_FAILED };
            Err(LxcRefusal { text: String::new(), code }.into())
        }
    }
}
