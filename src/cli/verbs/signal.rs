//! `signal`: sends a signal to processes of a container.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgMatches;

use super::Subcommand;
use crate::cli::args;
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, named};
use crate::command::Verb;
use crate::engine::process::Process;
use crate::engine::{Error, ErrorKind, Name, signal_number};

pub(super) const SIGNAL: Subcommand = Subcommand {
    name: "signal",
    arguments: |command| {
        command
            .arg(args::flag("all", Some('a'), "Every process of the container"))
            .arg(args::name())
            .arg(args::operands(
                "NAME SIGNAL [PID...]",
                "The container, the signal, and the processes [default: its init]",
            ))
    },
    run: signal,
    notes: "\
SIGNAL is a name, with or without SIG, or a number. PID is the pid on the host, as in `wharf ps`;
one that is not in the container is refused. The kernel never delivers to pid 1 a signal that it
has no handler for.

Examples:
  wharf signal web HUP
  wharf signal web KILL 4711",
};

fn signal(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let (name, rest) = named(matches)?;
    let [word, pids @ ..] = rest.as_slice() else {
        return Err(Usage("no signal given".into()).into());
    };
    let number = number(word)?;
    let all = matches.get_flag("all");
    if all && !pids.is_empty() {
        return Err(Usage("--all takes no PID".into()).into());
    }
    let pids: Vec<i32> = pids
        .iter()
        .map(|it| it.parse().with_context(|| format!("`{it}` is not a valid pid")))
        .collect::<Result<_, _>>()?;
    invocation.permit(Verb::Signal, &name)?;
    let there = invocation.engine.processes(&name)?;
    let init = |it: &&Process| it.inner_pid == Some(1) || (it.depth == 0 && it.inner_pid.is_none());
    let wanted: Vec<&Process> = if all {
        there.iter().collect()
    } else if pids.is_empty() {
        vec![there.iter().find(init).ok_or_else(|| missing(&name, "init has ended".into()))?]
    } else {
        // All are found before one is signalled.
        let find = |pid: &i32| {
            let found = there.iter().find(|it| it.pid == *pid);
            found.ok_or_else(|| missing(&name, format!("process {pid} is not in the container")))
        };
        pids.iter().map(find).collect::<Result<_, _>>()?
    };
    for process in wanted {
        match invocation.engine.signal(&name, process, number) {
            // One that ends meanwhile needs no signal.
            Err(error) if all && error.kind == ErrorKind::NotFound => (),
            other => other?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn missing(name: &Name, why: String) -> Error {
    Error::new(Verb::Signal, name, ErrorKind::NotFound, why)
}

/// Reads a signal by number or name, also without SIG.
fn number(word: &str) -> anyhow::Result<i32> {
    let found = signal_number(word).or_else(|| signal_number(&format!("SIG{word}")));
    found.ok_or_else(|| {
        Usage(format!("`{word}` is not a signal; such as TERM, HUP, 9 or RTMIN+3")).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_has_a_name_or_a_number() {
        for (word, expected) in [("HUP", 1), ("sigkill", 9), ("15", 15), ("term", 15)] {
            assert_eq!(number(word).unwrap(), expected, "{word}");
        }
        for word in ["", "0", "65", "-1", "SIG", "kil"] {
            assert!(number(word).is_err(), "{word}");
        }
    }
}
