//! `checkpoint` and `restore`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgMatches};

use super::Subcommand;
use crate::cli::args;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, no_more, number, only_named, pairs};
use crate::cli::watched::watched;
use crate::command::Verb;
use crate::engine::checkpoint::{Checkpoint, Restore};
use crate::engine::start::Start;

pub(super) const CHECKPOINT: Subcommand = Subcommand {
    name: "checkpoint",
    arguments: |command| {
        command
            .arg(dir("Where to save it: a new directory, or one without a checkpoint"))
            .arg(args::flag("stop", Some('s'), "Stop it, instead of letting it run on"))
            .arg(
                args::flag("predump", Some('p'), "Only save its memory, while it runs")
                    .conflicts_with("stop"),
            )
            .arg(path("previous", None, "PATH", "What --predump saved before; relative to DIR"))
            .args(common())
            .arg(args::name())
            .arg(args::operands("NAME", "The container"))
    },
    run: checkpoint,
    notes: "\
CRIU, which must be installed, freezes the container, writes its processes, their memory, open files
and connections into DIR, and lets it run on, or with -s ends it. The files in its root are not
copied: they must be the same when it is restored. If it fails or is cancelled, the container is let
run on, and the log stays in DIR/dump.log.

It needs root, lxc.tty.max = 0, a root of its own, and interfaces of type veth or macvlan. LXC's
lxc-checkpoint -r restores it as well.

Exit code: 0 saved; 1 failed.

Example:
  wharf checkpoint web -D /var/lib/saved/web --stop && wharf restore web -D /var/lib/saved/web",
};

pub(super) const RESTORE: Subcommand = Subcommand {
    name: "restore",
    arguments: |command| {
        command
            .arg(dir("Where it was saved"))
            .arg(args::flag(
                "foreground",
                Some('F'),
                "Stay in the foreground, with the container on this terminal",
            ))
            .arg(args::config())
            .arg(args::define())
            .args(common())
            .arg(args::name())
            .arg(args::operands("NAME", "The container"))
    },
    run: restore,
    notes: "\
Starts the container of this configuration with the processes that `wharf checkpoint`, or LXC's
lxc-checkpoint, saved in DIR: they go on where they were. Its console, cgroups, devices, limits (those
of the configuration and those set while it ran) and its interfaces on the host are made as at a
start. Of its hooks, pre-start, post-stop and stop run.

DIR must be root's alone: CRIU does as root what is written there.

Exit code: 0 once it runs, 1 if it could not be restored. With -F as `start -F`.

Example:
  wharf restore web -D /var/lib/saved/web",
};

fn dir(help: &'static str) -> Arg {
    path("dir", Some('D'), "DIR", help).required(true)
}

fn path(id: &'static str, short: Option<char>, name: &'static str, help: &'static str) -> Arg {
    args::value(id, short, name, help).value_parser(clap::value_parser!(PathBuf))
}

fn common() -> [Arg; 3] {
    [
        path("action-script", Some('A'), "FILE", "Have CRIU run it at each of its stages"),
        args::flag("verbose", Some('v'), "Have CRIU log everything it does"),
        args::value("timeout", Some('t'), "SECONDS", "How long CRIU may take [default: 600]"),
    ]
}

/// How long CRIU may take.
pub(in crate::cli) const PATIENCE: Duration = Duration::from_mins(10);

fn patience(matches: &ArgMatches) -> anyhow::Result<Duration> {
    let seconds = number::<u64>(matches, "timeout")?;
    if seconds == Some(0) {
        return Err(Usage("timeout 0 leaves CRIU no time".to_owned()).into());
    }
    Ok(seconds.map_or(PATIENCE, Duration::from_secs))
}

fn checkpoint(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let name = only_named(matches)?;
    let file = |id| matches.get_one::<PathBuf>(id).cloned();
    let how = Checkpoint {
        dir: file("dir").unwrap_or_default(),
        stop: matches.get_flag("stop"),
        in_advance: matches.get_flag("predump"),
        previous: file("previous"),
        action_script: file("action-script"),
        verbose: matches.get_flag("verbose"),
        patience: patience(matches)?,
    };
    invocation.engine.end_killed_checkpoint(&name)?;
    invocation.permit(Verb::Checkpoint, &name)?;
    watched(matches.get_flag(args::QUIET), None, |progress| {
        Ok(invocation.engine.checkpoint(&name, &how, progress)?)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn restore(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (name, rest) = crate::cli::invocation::named(matches)?;
    no_more(&rest)?;
    let file = |id| matches.get_one::<PathBuf>(id).cloned();
    let start =
        Start { config: file("config"), settings: pairs(matches, "define")?, ..Start::default() };
    let how = Restore {
        dir: file("dir").unwrap_or_default(),
        action_script: file("action-script"),
        verbose: matches.get_flag("verbose"),
        patience: patience(matches)?,
    };
    invocation.permit(Verb::Restore, &name)?;
    if matches.get_flag("foreground") {
        let exit = invocation.engine.restore_foreground(&name, &start, &how)?;
        return Ok(ExitCode::from(exit.shell_code()));
    }
    watched(matches.get_flag(args::QUIET), None, |progress| {
        Ok(invocation.engine.restore(&name, &start, &how, progress)?)
    })?;
    Ok(ExitCode::SUCCESS)
}
