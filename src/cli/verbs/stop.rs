//! `stop`, `freeze` and `unfreeze`.

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;

use super::Subcommand;
use crate::cli::args;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, number, only_named};
use crate::command::Verb;
use crate::engine::stop::Stop;

/// How long `stop` waits for init before it kills, as LXC does.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) const STOP: Subcommand = Subcommand {
    name: "stop",
    arguments: |command| {
        command
            .arg(args::flag("kill", Some('k'), "Kill every process, without asking init to halt"))
            .arg(args::flag("nowait", Some('W'), "Ask init to halt, and return at once"))
            .arg(args::value(
                "timeout",
                Some('t'),
                "SECONDS",
                "How long to wait before the kill [default: 60; -1 waits forever]",
            ))
            .arg(args::flag("nokill", None, "Fail when the time is up, instead of killing"))
            .arg(args::flag("nolock", None, "Accepted with -k, as LXC does").hide(true))
            .arg(args::flag("reboot", Some('r'), "Ask it to restart, and wait until it runs again"))
            .arg(args::name())
            .arg(args::operands("NAME", "The container"))
    },
    run: stop,
    notes: "\
Sends init the signal that asks it to halt (`lxc.signal.halt`), waits, and kills what is left. A
frozen container is thawed first. The kernel never delivers to pid 1 a signal that it has no handler
for. If init has none for the halt signal, it gets SIGTERM if it handles that; otherwise the other
processes get SIGTERM, and init is killed two seconds later, or as soon as they are gone.

With -W or --nokill nothing is killed. If init would receive neither signal, none is sent, and the
command fails.

With -k init gets `lxc.signal.stop` if that is not SIGKILL and init handles it; what is left after
5 seconds is killed. Otherwise everything is killed at once.

With -r init is asked to restart (`lxc.signal.reboot`). If it has no handler for that, or does not
restart in time, the container is stopped and started again, as it was started before.

Exit code: 0 stopped (-W: asked; -r: runs again); 1 failed (-W, --nokill: init would not receive the
signal; --nokill: it did not end in time); 2 it was not running.",
};

pub(super) const FREEZE: Subcommand = Subcommand {
    name: "freeze",
    arguments: |command| command.arg(args::name()).arg(args::operands("NAME", "The container")),
    run: freeze,
    notes: "\
Returns once every process is frozen. They keep their memory and open files; `wharf unfreeze` lets
them continue.",
};

pub(super) const UNFREEZE: Subcommand = Subcommand {
    name: "unfreeze",
    arguments: |command| command.arg(args::name()).arg(args::operands("NAME", "The container")),
    run: unfreeze,
    notes: "",
};

fn stop(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let name = only_named(matches)?;
    let way = way(matches)?;
    if let Stop::AskToReboot | Stop::Reboot { .. } = way {
        invocation.permit(Verb::Restart, &name)?;
    }
    // Whatever is left of a container can be stopped; the engine reports if nothing is.
    invocation.mention_proxmox(&name, matches, way.into());
    invocation.engine.stop(&name, way)?;
    Ok(ExitCode::SUCCESS)
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
    let timeout = match seconds {
        None => Some(PATIENCE),
        // A negative number of seconds means for ever, as with LXC.
        Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
    };
    let then_kill = !spare;
    Ok(if reboot {
        Stop::Reboot { timeout, then_kill }
    } else {
        Stop::Gently { timeout, then_kill }
    })
}

fn freeze(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let name = only_named(matches)?;
    invocation.permit(Verb::Freeze, &name)?;
    invocation.engine.freeze(&name)?;
    Ok(ExitCode::SUCCESS)
}

fn unfreeze(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let name = only_named(matches)?;
    invocation.permit(Verb::Unfreeze, &name)?;
    invocation.engine.unfreeze(&name)?;
    Ok(ExitCode::SUCCESS)
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
