//! `autostart`: starts what belongs to the machine's start, and stops it in the reverse order.

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, ArgMatches};
use serde_json::json;

use super::Subcommand;
use crate::cli::autostart::{ReadySign, Turn, run};
use crate::cli::failure::{ErrorReport, Usage};
use crate::cli::invocation::{Invocation, number};
use crate::cli::{args, complain};
use crate::engine::autostart::{AutoRule, Autostart, Groups, StartOrder};
use crate::engine::stop::Stop;

/// How long each may take, as with LXC.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) const AUTOSTART: Subcommand = Subcommand {
    name: "autostart",
    arguments: |command| {
        command
            .arg(args::flag("shutdown", Some('s'), "Stop those that run, in the reverse order"))
            .arg(args::flag("reboot", Some('r'), "Restart those that run"))
            .arg(args::flag("kill", Some('k'), "Kill those that run"))
            .arg(args::flag("list", Some('L'), "Only list them, in order, with their delays"))
            .arg(args::value(
                "timeout",
                Some('t'),
                "SECONDS",
                "How long each may take [default: 60]",
            ))
            .arg(
                args::value("groups", Some('g'), "GROUPS", "Containers of these groups, in turn")
                    .action(ArgAction::Append),
            )
            .arg(args::flag("all", Some('a'), "Whatever groups they are in"))
            .arg(args::flag("ignore-auto", Some('A'), "Also without lxc.start.auto"))
            .arg(args::value(
                "wait-for",
                None,
                "SIGN",
                "Wait for each until it is in this state, or this command inside succeeds",
            ))
            .arg(args::flag("dry-run", None, "As --list"))
            .arg(args::json())
            .arg(args::format())
    },
    run: autostart,
    notes: "\
Starts each container with `lxc.start.auto = 1` that does not run. Without -g or -a only those
that are in no group (`lxc.group`); -g names groups, separated by commas, and an empty entry
stands for the containers in no group: `-g onboot,` starts the group onboot, and then those.

Lower values of `lxc.start.order` come first. Containers with the same one are started at the same
time, except that `lxc.start.delay` holds up what comes after, and that a container which shares a
namespace of another comes after it. -s and -k take the reverse order.

One that fails does not keep the others from being started.

Exit code: 0, or 1 if one failed.

Examples:
  wharf autostart -g onboot,
  wharf autostart --wait-for 'systemctl is-system-running --wait'
  wharf autostart -s -a -A -t 30",
};

fn autostart(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let seconds = number::<u64>(matches, "timeout")?;
    let patience = seconds.map_or(PATIENCE, Duration::from_secs);
    let turn = turn(matches, patience)?;
    let rule = if matches.get_flag("ignore-auto") { AutoRule::Ignored } else { AutoRule::Required };
    let given = matches.get_many::<String>("groups").unwrap_or_default();
    let groups = if matches.get_flag("all") {
        Groups::Every
    } else {
        Groups::read(given.map(String::as_str))
    };
    let batches = invocation.engine.autostart(&groups, rule, turn.direction())?;
    if matches.get_flag("list") || matches.get_flag("dry-run") {
        let meant: Vec<&Autostart> =
            batches.iter().flatten().filter(|it| turn.concerns(it.state)).collect();
        list(invocation, &meant, turn.direction(), matches)?;
        return Ok(ExitCode::SUCCESS);
    }
    let quiet = matches.get_flag(args::QUIET);
    let tally = run(&invocation.engine, &batches, (&turn, patience), &mut |error| {
        if !quiet {
            complain(&ErrorReport::from(anyhow::Error::from(error)).message);
        }
    });
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn turn(matches: &ArgMatches, patience: Duration) -> anyhow::Result<Turn> {
    let chosen = ["shutdown", "reboot", "kill"].map(|it| matches.get_flag(it));
    let sign = matches.get_one::<String>("wait-for");
    let timeout = Some(patience);
    Ok(match chosen {
        [true, false, false] => Turn::Stop(Stop::Gently { timeout, then_kill: true }),
        [false, true, false] => Turn::Stop(Stop::Reboot { timeout, then_kill: true }),
        [false, false, true] => Turn::Stop(Stop::Kill),
        [false, false, false] => return Ok(Turn::Start(sign.map(|it| ReadySign::read(it)))),
        _ => return Err(Usage("only one of -s, -r and -k can be given".into()).into()),
    })
    .and_then(|it| match sign {
        None => Ok(it),
        Some(_) => Err(Usage("--wait-for goes with a start".into()).into()),
    })
}

fn list(
    invocation: &mut Invocation<'_>,
    meant: &[&Autostart],
    direction: StartOrder,
    matches: &ArgMatches,
) -> anyhow::Result<()> {
    let object = |it: &&Autostart| {
        json!({
            "name": it.name.as_str(), "order": it.order, "delay_s": it.delay.as_secs(),
            "groups": it.groups, "auto": it.is_auto,
        })
    };
    if invocation.objects(matches, meant.iter().map(object))? {
        return Ok(());
    }
    for it in meant {
        match direction {
            StartOrder::Up => writeln!(invocation.out, "{} {}", it.name, it.delay.as_secs())?,
            StartOrder::Down => writeln!(invocation.out, "{}", it.name)?,
        }
    }
    Ok(())
}
