//! `lxc-monitor`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::call::{LxcCall, LxcCommand, NameFrom, refused};
use super::getopt::flag;
use crate::engine::event::{Event, What};
use crate::engine::{Engine, Error, Exit};

pub(super) const MONITOR: LxcCommand = LxcCommand {
    name: "monitor",
    usage: "[--name=NAME]",
    about: "prints the states of containers as they change; NAME may be a regular expression",
    options: &[flag("quit", Some('Q'), "End LXC's monitor daemon, which wharf does not have")],
    named: NameFrom::Free,
    parts: None,
    run: monitor,
};

fn monitor(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    if call.has("quit") {
        return Err(refused("there is no monitor daemon to quit"));
    }
    let text = call.value("name").unwrap_or(".*");
    let pattern = regex::Regex::new(&format!("^(?:{text})$"))
        .map_err(|_other| refused(format!("failed to compile the regex '{text}'")))?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let engines = call.engines();
    let (lines, said) = channel();
    let follow = |engine: &Engine, lines: &MonitorLines| {
        let ended = engine.monitor(&pattern, &mut |event| {
            let sent = event.and_then(line).map(|it| lines.send(Ok(it)));
            sent.is_none_or(|it| it.is_ok()) && !stop.load(Ordering::Relaxed)
        });
        // Nobody hears it once another one has failed.
        ended.err().map(|it| lines.send(Err(it)))
    };
    std::thread::scope(|scope| {
        let made = engines.iter().try_for_each(|engine| {
            let (lines, follow) = (lines.clone(), &follow);
            let work = move || follow(engine, &lines);
            std::thread::Builder::new().spawn_scoped(scope, work).map(drop)
        });
        drop(lines);
        let told = made
            .context("make a thread")
            .and_then(|()| said.iter().try_for_each(|it| print(call.out, it)));
        stop.store(true, Ordering::Relaxed);
        told
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Where the lines of several go.
type MonitorLines = Sender<Result<String, Error>>;

fn print(out: &mut dyn Write, line: Result<String, Error>) -> anyhow::Result<()> {
    writeln!(out, "{}", line?)?;
    Ok(out.flush()?)
}

/// Writes what LXC reports, too; none: LXC does not report that.
fn line(event: &Event) -> Option<String> {
    let name = &event.name;
    if let What::Exited { exit } = &event.what {
        // The code of a process that a signal ended is 0 there.
        let code = if let Exit::Code(code) = exit { *code } else { 0 };
        return Some(format!("'{name}' exited with status [{code}]"));
    }
    event.enters().map(|state| format!("'{name}' changed state to [{state}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::State;

    #[test]
    fn only_what_lxc_reports_is_reported() {
        let lxcpath = Engine::open(None);
        let name = "web".parse().unwrap();
        let said = |what| line(&Event::now(lxcpath.lxcpath(), &name, what));
        let what = What::State { from: State::Stopped, to: State::Starting };
        assert_eq!(said(what).unwrap(), "'web' changed state to [STARTING]");
        let what = What::Exited { exit: Exit::Signal(9) };
        assert_eq!(said(what).unwrap(), "'web' exited with status [0]");
        assert_eq!(said(What::Created), None);
    }
}
