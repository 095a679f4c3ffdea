//! `monitor` and `wait`: what containers do, as it happens.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Subcommand;
use crate::cli::chosen::{self, ChosenContainers};
use crate::cli::failure::Usage;
use crate::cli::invocation::{Invocation, no_more, number, operands};
use crate::cli::output::{formatted_one, safe_json};
use crate::cli::{args, timeout};
use crate::command::Verb;
use crate::engine::event::{Event, What};
use crate::engine::shown::shown;
use crate::engine::{Exit, State};
use crate::format;

pub(super) const MONITOR: Subcommand = Subcommand {
    name: "monitor",
    arguments: |command| {
        let name: Arg = args::name().value_name("REGEX");
        command
            .arg(args::json())
            .arg(args::format())
            .arg(timeout::option("End after this time"))
            .arg(name.help("Containers to follow, instead of the first operand"))
            .arg(args::optional("REGEX", "Containers to follow, by whole name [default: .*]"))
    },
    run: monitor,
    notes: "\
Runs until it is interrupted, or for the time of --timeout. With --json, prints one object per line
for each event; with --format, `-` for what an event does not have.

Examples:
  wharf monitor 'web|db'
  wharf monitor --json -t 60",
};

pub(super) const WAIT: Subcommand = Subcommand {
    name: "wait",
    arguments: |command| {
        let command = command
            .arg(
                args::value(
                    "state",
                    Some('s'),
                    "STATES",
                    "States to wait for, such as 'STOPPED|FROZEN'",
                )
                .required(true),
            )
            .arg(args::value(
                "timeout",
                Some('t'),
                "SECONDS",
                "How long to wait; 0 checks once [default: -1, forever]",
            ));
        chosen::arguments(command)
    },
    run: wait,
    notes: "\
States: STOPPED STARTING RUNNING STOPPING ABORTING FREEZING FROZEN THAWED. A container that does
not exist is STOPPED. Of several, each has been in one of the states before the command ends.

Exit code: 0 once it is in one of the states, 1 if the time ran out or it cannot be watched.

Examples:
  wharf wait -s RUNNING web
  wharf wait -s STOPPED -t 60 'web*'",
};

fn monitor(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let mut rest = operands(matches)?;
    let named = matches.get_one::<OsString>(args::NAME);
    let text = match named {
        Some(text) => text.to_str().ok_or_else(|| Usage("REGEX is not valid UTF-8".into()))?.into(),
        None if rest.is_empty() => ".*".to_owned(),
        None => rest.remove(0),
    };
    no_more(&rest)?;
    args::regex(&text)?;
    let pattern = args::regex(&format!("^(?:{text})$"))?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let form = EventForm::of(matches)?;
    let end = timeout::read(matches)?.and_then(|it| Instant::now().checked_add(it));
    let mut written = Ok(());
    let out = &mut *invocation.out;
    invocation.engine.monitor(&pattern, &mut |event| {
        if let Some(event) = event {
            written = write_event(out, event, form);
        }
        let over = end.is_some_and(|it| Instant::now() >= it);
        written.is_ok() && !over && !stop.load(Ordering::Relaxed)
    })?;
    written?;
    Ok(ExitCode::SUCCESS)
}

/// How an event is written.
#[derive(Clone, Copy)]
enum EventForm<'a> {
    Sentence,
    Json,
    Template(&'a str),
}

impl<'a> EventForm<'a> {
    fn of(matches: &'a ArgMatches) -> Result<Self, Usage> {
        let Some(template) = matches.get_one::<String>(args::FORMAT) else {
            return Ok(if matches.get_flag(args::JSON) { Self::Json } else { Self::Sentence });
        };
        // A template that cannot be used is refused before anything happens.
        formatted_one(template, &serde_json::Value::Null)?;
        Ok(Self::Template(template))
    }
}

/// Writes one event as one line, at once.
fn write_event(out: &mut dyn io::Write, event: &Event, form: EventForm<'_>) -> io::Result<()> {
    let line = match form {
        EventForm::Sentence => format!("'{}' {}\n", event.name, sentence(&event.what)),
        EventForm::Json => safe_json(&serde_json::to_string(event)?) + "\n",
        EventForm::Template(template) => {
            let object = serde_json::to_value(event)?;
            formatted_one(template, &object).map_err(io::Error::other)?
        }
    };
    out.write_all(line.as_bytes())?;
    out.flush()
}

/// Says what happened, in LXC's words where LXC has some.
fn sentence(what: &What) -> String {
    match what {
        What::State { to, .. } => format!("changed state to [{to}]"),
        What::Exited { exit: Exit::Code(code) } => format!("exited with status [{code}]"),
        What::Exited { exit: Exit::Signal(signal) } => format!("ended by signal [{signal}]"),
        What::Exited { exit } => exit.to_string(),
        What::Braked { restarts, wait_ms } => format!(
            "restarted itself [{restarts}] times in a row, waits [{}] for the next start",
            format::duration_in_text(Duration::from_millis(*wait_ms))
        ),
        What::Failed { reason } => format!("failed: {}", shown(reason)),
        What::Warned { said } => format!("warning: {}", shown(said)),
        What::SupervisorKilled => "lost its supervisor, which was killed".to_owned(),
        What::Created => "created".to_owned(),
        What::Destroyed => "destroyed".to_owned(),
        What::Trashed => "moved to the trash".to_owned(),
        What::Restored => "restored from the trash".to_owned(),
        What::Cgroup { file, old, new } => {
            format!("{} changed from [{}] to [{}]", shown(file), shown(old), shown(new))
        }
        What::LimitLost { file, was, now } => {
            format!("{} lost its limit [{}], it is [{}] now", shown(file), shown(was), shown(now))
        }
        What::OomKill { count, last } => {
            let last = last.as_ref().map(|it| format!(", last {it}")).unwrap_or_default();
            format!("out of memory, [{count}] killed since its start{}", shown(&last))
        }
        What::Signal { pid, signal } => format!("signal [{signal}] sent to process [{pid}]"),
    }
}

fn wait(invocation: &mut Invocation<'_>, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let states = matches
        .get_one::<String>("state")
        .map_or("", String::as_str)
        .split('|')
        .map(|it| it.trim().parse())
        .collect::<Result<Vec<State>, _>>()?;
    // A negative number of seconds means for ever, as with LXC.
    let timeout = number::<i64>(matches, "timeout")?
        .and_then(|it| u64::try_from(it).ok())
        .map(Duration::from_secs);
    let chosen = ChosenContainers::read(invocation, matches, Verb::Wait)?;
    let reached = invocation.engine.wait_for_all(&chosen.names, &states, timeout)?;
    Ok(if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_like_lxc() {
        let what = What::State { from: State::Starting, to: State::Running };
        assert_eq!(sentence(&what), "changed state to [RUNNING]");
        assert_eq!(sentence(&What::Exited { exit: Exit::Code(0) }), "exited with status [0]");
        let what = What::Failed { reason: "no\u{1b}[2J".into() };
        assert_eq!(sentence(&what), "failed: no\\x1b[2J");
    }
}
