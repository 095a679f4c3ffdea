//! `stop`, `restart`, `freeze` and `unfreeze`.

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;

use super::Subcommand;
use crate::cli::args;
use crate::cli::chosen::{self, ChosenContainers};
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, mention_proxmox, number, permit};
use crate::command::Verb;
use crate::engine::ErrorKind;
use crate::engine::freeze;
use crate::engine::stop::Stop;

/// How long `stop` waits for init before it kills, as LXC does.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) const STOP: Subcommand = Subcommand {
    name: "stop",
    arguments: |command| {
        let command = command
            .arg(args::flag("kill", Some('k'), "Kill every process, without asking init to halt"))
            .arg(args::flag("nowait", Some('W'), "Ask init to halt, and return at once"))
            .arg(timeout("How long to wait before the kill [default: 60; -1 waits forever]"))
            .arg(args::flag("nokill", None, "Fail when the time is up, instead of killing"))
            .arg(args::flag("nolock", None, "Accepted with -k, as LXC does").hide(true))
            .arg(args::flag(
                "reboot",
                Some('r'),
                "Ask it to restart, and wait until it runs again",
            ));
        chosen::changed(command)
    },
    run: stop,
    notes: "\
Several containers are stopped at the same time. Sends init the signal that asks it to halt
(`lxc.signal.halt`), waits, and kills what is left. A frozen container is thawed first. The kernel
never delivers to pid 1 a signal that it has no handler for. If init has none for the halt signal,
it gets SIGTERM if it handles that; otherwise the other processes get SIGTERM, and init is killed
two seconds later, or as soon as they are gone.

With -W or --nokill nothing is killed. If init would receive neither signal, none is sent, and the
command fails.

With -k init gets `lxc.signal.stop` if that is not SIGKILL and init handles it; what is left after
5 seconds is killed. Otherwise everything is killed at once.

With -r init is asked to restart (`lxc.signal.reboot`). If it has no handler for that, or does not
restart in time, the container is stopped and started again, as it was started before.

Exit code: 0 stopped (-W: asked; -r: runs again); 1 failed (-W, --nokill: init would not receive
the signal; --nokill: it did not end in time); 2 it was not running.

Examples:
  wharf stop web db
  wharf stop 'web*' -t 10",
};

pub(super) const RESTART: Subcommand = Subcommand {
    name: "restart",
    arguments: |command| {
        let command = command
            .arg(args::flag("nowait", Some('W'), "Ask it to restart, and return at once"))
            .arg(timeout("How long to wait before the kill [default: 60; -1 waits forever]"))
            .arg(args::flag("nokill", None, "Fail when the time is up, instead of killing"));
        chosen::changed(command)
    },
    run: restart,
    notes: "\
As `wharf stop -r`: asks init to restart (`lxc.signal.reboot`). If it has no handler for that, or
does not restart in time, the container is stopped and started again, as it was started before.

Exit code: 0 once it runs again (-W: asked), 1 if not, 2 if it was not running.

Examples:
  wharf restart web
  wharf restart -t 10 'web*'",
};

pub(super) const FREEZE: Subcommand = Subcommand {
    name: "freeze",
    arguments: |command| chosen::changed(command.arg(timeout(FREEZING))),
    run: freeze,
    notes: "\
Returns once every process is frozen. They keep their memory and open files; `wharf unfreeze` lets
them continue. If that takes too long, because one waits for a disk, they are thawed again.

Examples:
  wharf freeze web
  wharf freeze -t 2 'web*'",
};

pub(super) const UNFREEZE: Subcommand = Subcommand {
    name: "unfreeze",
    arguments: |command| chosen::changed(command.arg(timeout(FREEZING))),
    run: unfreeze,
    notes: "\
Returns once every process continues.

Example:
  wharf unfreeze 'web*'",
};

const FREEZING: &str = "How long it may take [default: 10]";

fn timeout(help: &'static str) -> clap::Arg {
    args::value("timeout", Some('t'), "SECONDS", help)
}

fn stop(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    end(invocation, matches, way(matches)?)
}

fn restart(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let way = if matches.get_flag("nowait") {
        Stop::AskToReboot
    } else {
        let timeout = patience(number(matches, "timeout")?);
        Stop::Reboot { timeout, then_kill: !matches.get_flag("nokill") }
    };
    end(invocation, matches, way)
}

fn end(invocation: &Invocation<'_>, matches: &ArgMatches, way: Stop) -> anyhow::Result<ExitCode> {
    let restarts = matches!(way, Stop::AskToReboot | Stop::Reboot { .. });
    let verb = if restarts { Verb::Restart } else { Verb::Stop };
    let chosen = ChosenContainers::read(invocation, matches, verb)?;
    chosen.each(invocation, matches, verb, &|engine, name| {
        // Whatever is left of a container can be stopped; the engine reports if nothing is.
        if restarts {
            permit(engine, verb, name)?;
        }
        mention_proxmox(engine, name, matches, way.into());
        engine.stop(name, way).map_err(|error| {
            let absent = error.kind == ErrorKind::NotRunning && !engine.is_defined(name);
            if absent && engine.stranger(name).is_none() {
                engine.no_such(verb, name)
            } else {
                error
            }
        })?;
        Ok(0)
    })
}

/// Turns the options into one way to stop, and refuses combinations that LXC refuses.
fn way(matches: &ArgMatches) -> anyhow::Result<Stop> {
    let [kill, ask, spare, reboot, nolock] =
        ["kill", "nowait", "nokill", "reboot", "nolock"].map(|it| matches.get_flag(it));
    let seconds = number::<i64>(matches, "timeout")?;
    let clash = match () {
        () if kill && reboot => Some("-k cannot be used with -r"),
        () if kill && spare => Some("-k cannot be used with --nokill"),
        () if kill && seconds.is_some_and(|it| it > 0) => Some("-k takes no timeout"),
        () if kill && ask => Some("-k cannot be used with -W"),
        () if nolock && !kill => Some("--nolock may only be used with -k"),
        () => None,
    };
    if let Some(clash) = clash {
        return Err(Usage(clash.to_owned()).into());
    }
    if kill {
        return Ok(Stop::Kill);
    }
    if ask {
        return Ok(if reboot { Stop::AskToReboot } else { Stop::Ask });
    }
    let timeout = patience(seconds);
    let then_kill = !spare;
    Ok(if reboot {
        Stop::Reboot { timeout, then_kill }
    } else {
        Stop::Gently { timeout, then_kill }
    })
}

/// Returns how long to wait; none: for ever, which a negative number of seconds means, as with LXC.
fn patience(seconds: Option<i64>) -> Option<Duration> {
    match seconds {
        None => Some(PATIENCE),
        Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
    }
}

/// Returns how long freezing and thawing may take.
fn freezing(matches: &ArgMatches) -> anyhow::Result<Duration> {
    Ok(number::<u64>(matches, "timeout")?.map_or(freeze::PATIENCE, Duration::from_secs))
}

fn freeze(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let patience = freezing(matches)?;
    let chosen = ChosenContainers::read(invocation, matches, Verb::Freeze)?;
    chosen.each(invocation, matches, Verb::Freeze, &|engine, name| {
        permit(engine, Verb::Freeze, name)?;
        engine.freeze_within(name, patience)?;
        Ok(0)
    })
}

fn unfreeze(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let patience = freezing(matches)?;
    let chosen = ChosenContainers::read(invocation, matches, Verb::Unfreeze)?;
    chosen.each(invocation, matches, Verb::Unfreeze, &|engine, name| {
        permit(engine, Verb::Unfreeze, name)?;
        engine.unfreeze_within(name, patience)?;
        Ok(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(options: &[&str]) -> anyhow::Result<Stop> {
        let args = ["wharf", "stop", "web"].iter().chain(options);
        let matches = crate::cli::parser::command().try_get_matches_from(args)?;
        way(matches.subcommand().unwrap().1)
    }

    #[test]
    fn letters_mean_what_they_mean_to_lxc() {
        let gently = |timeout, then_kill| Stop::Gently { timeout, then_kill };
        assert_eq!(parsed(&[]).unwrap(), gently(Some(PATIENCE), true));
        assert_eq!(parsed(&["-k"]).unwrap(), Stop::Kill);
        assert_eq!(parsed(&["-W"]).unwrap(), Stop::Ask);
        assert_eq!(parsed(&["-t", "5"]).unwrap(), gently(Some(Duration::from_secs(5)), true));
        let restart = Stop::Reboot { timeout: Some(PATIENCE), then_kill: true };
        assert_eq!(parsed(&["-r"]).unwrap(), restart);
        assert_eq!(parsed(&["-r", "-W"]).unwrap(), Stop::AskToReboot);
        assert_eq!(parsed(&["-t", "-1", "--nokill"]).unwrap(), gently(None, false));
    }

    #[test]
    fn options_that_contradict_are_refused() {
        for options in [
            &["-k", "--nokill"][..],
            &["-k", "-t", "3"],
            &["--nolock"],
            &["-k", "-r"],
            &["-t", "x"],
        ] {
            assert!(parsed(options).is_err(), "{options:?}");
        }
    }
}
