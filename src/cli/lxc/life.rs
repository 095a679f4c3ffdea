//! `lxc-start`, `lxc-execute`, `lxc-stop` and `lxc-destroy`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::call::{LxcCall, LxcCommand, LxcRefusal, NameFrom, bad_arguments, refused};
use super::getopt::{Opt, flag, value};
use crate::engine::attach;
use crate::engine::start::Start;
use crate::engine::stop::Stop;
use crate::engine::{Error, ErrorKind, State};

/// How long a stop waits before it kills.
const PATIENCE_SECONDS: i64 = 60;
/// LXC's code for stopping a container that is not running.
const NOT_RUNNING: u8 = 2;

const RCFILE: Opt = value("rcfile", Some('f'), "FILE", "Configuration file to use");
const DEFINE: Opt = value("define", Some('s'), "KEY=VAL", "Set KEY of the configuration to VAL");
const SHARED: [(&str, &str); 4] =
    [("share-net", "net"), ("share-ipc", "ipc"), ("share-uts", "uts"), ("share-pid", "pid")];
const SHARE_NET: Opt = value("share-net", None, "NAME", "Share the network of a container or pid");
const SHARE_IPC: Opt = value("share-ipc", None, "NAME", "Share its message queues");
const SHARE_UTS: Opt = value("share-uts", None, "NAME", "Share its host name");
const SHARE_PID: Opt = value("share-pid", None, "NAME", "Share its processes");

pub(super) const START: LxcCommand = LxcCommand {
    name: "start",
    usage: "--name=NAME -- COMMAND",
    about: "starts the container NAME, with COMMAND as its first process",
    options: &[
        flag("daemon", Some('d'), "Return once it runs (default)"),
        flag("foreground", Some('F'), "Stay, with this terminal as its console"),
        RCFILE,
        DEFINE,
        value("console", Some('c'), "FILE", "Show the console there as well"),
        value("console-log", Some('L'), "FILE", "Write the output of the console there"),
        flag("close-all-fds", Some('C'), "Close inherited files (always so)"),
        value(
            "pidfile",
            Some('p'),
            "FILE",
            "Write the pid of its supervisor there; stays after -d, goes after -F",
        ),
        SHARE_NET,
        SHARE_IPC,
        SHARE_UTS,
        SHARE_PID,
    ],
    named: NameFrom::Needed,
    parts: None,
    run: start,
};

pub(super) const EXECUTE: LxcCommand = LxcCommand {
    name: "execute",
    usage: "--name=NAME -- COMMAND",
    about: "runs COMMAND in a container of its own, below an init",
    options: &[
        flag("daemon", Some('d'), "Return once it runs"),
        RCFILE,
        DEFINE,
        value("uid", Some('u'), "UID", "User that runs COMMAND"),
        value("gid", Some('g'), "GID", "Group that runs COMMAND"),
        SHARE_NET,
        SHARE_IPC,
        SHARE_UTS,
        SHARE_PID,
    ],
    named: NameFrom::Needed,
    parts: None,
    run: execute,
};

pub(super) const STOP: LxcCommand = LxcCommand {
    name: "stop",
    usage: "--name=NAME",
    about: "stops the container NAME",
    options: &[
        flag("reboot", Some('r'), "Restart it instead"),
        flag("nowait", Some('W'), "Ask it, and return at once"),
        value(
            "timeout",
            Some('t'),
            "T",
            "Wait T seconds before it is killed, or -r fails; -1 is for ever",
        ),
        flag("kill", Some('k'), "Kill it at once"),
        flag("nokill", None, "Never kill it; fail when the time is up"),
        flag("nolock", None, "Take no locks; only with -k"),
    ],
    named: NameFrom::Needed,
    parts: None,
    run: stop,
};

pub(super) const DESTROY: LxcCommand = LxcCommand {
    name: "destroy",
    usage: "--name=NAME [-f] [-P lxcpath]",
    about: "removes the container NAME",
    options: &[
        flag("force", Some('f'), "Kill it first if it is running"),
        flag("snapshots", Some('s'), "Remove its snapshots, too"),
    ],
    named: NameFrom::Needed,
    parts: None,
    run: destroy,
};

fn start(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let last = call.given.options.iter().rfind(|it| matches!(it.0, "daemon" | "foreground"));
    let foreground = last.is_some_and(|it| it.0 == "foreground");
    if foreground {
        attach::seal();
    }
    let (name, state) = call.container()?;
    if state.is_active() {
        call.complain("Container is already running");
        return Ok(ExitCode::SUCCESS);
    }
    let start = order(call)?;
    if start.config.is_none() && !call.engine.is_defined(&name) {
        return Err(refused("No container config specified"));
    }
    let file = call.value("pidfile").map(PidFile::create).transpose()?;
    let started = if foreground {
        file.as_ref().map_or(Ok(()), |it| it.write(std::process::id()))?;
        call.engine.start_foreground(&name, &start).map(drop)
    } else {
        call.engine.start(&name, &start)
    };
    // If another command was faster, the file may be that one's.
    let over = started.as_ref().map_or_else(|it| it.kind != ErrorKind::Running, |()| foreground);
    if let Some(file) = file.as_ref().filter(|_| over) {
        file.remove();
    }
    if let Err(error) = started {
        return Err(did_not_start(call, error));
    }
    if let (Some(file), false) = (&file, foreground)
        && let Some(supervisor) = call.engine.supervisor_pid(&name)
    {
        file.write(supervisor.cast_unsigned())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn did_not_start(call: &mut LxcCall<'_>, error: Error) -> anyhow::Error {
    if error.kind == ErrorKind::Running {
        // Another command was faster.
        call.complain("Container is already running");
        return LxcRefusal { text: String::new(), code: 0 }.into();
    }
    let error = call.engine.explain(error);
    call.complain(&error.reason());
    refused("The container failed to start")
}

fn execute(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    if !call.has("daemon") {
        attach::seal();
    }
    let (name, state) = call.container()?;
    let mut start = order(call)?;
    for (option, key) in [("uid", "lxc.init.uid"), ("gid", "lxc.init.gid")] {
        if let Some(id) = call.value(option) {
            let id: u32 = id.parse().map_err(|_other| bad_arguments())?;
            start.settings.push((key.to_owned(), id.to_string()));
        }
    }
    if state.is_active() {
        return Err(refused(format!("Container is already running: {state}")));
    }
    if start.config.is_none() && !call.engine.is_defined(&name) {
        return Err(refused("Executing a container with no configuration file may crash the host"));
    }
    if call.has("daemon") {
        call.engine.execute_in_background(&name, &start)?;
        return Ok(ExitCode::SUCCESS);
    }
    let exit = call.engine.execute(&name, &start, None)?;
    Ok(ExitCode::from(exit.shell_code()))
}

/// Reads what both have in common.
fn order(call: &LxcCall<'_>) -> anyhow::Result<Start> {
    let mut settings = call.log_settings()?;
    for it in call.given.values("define") {
        let (key, value) = it.split_once('=').ok_or_else(bad_arguments)?;
        settings.push((key.trim().to_owned(), value.trim_start().to_owned()));
    }
    for (option, key) in [("console", "lxc.console.path"), ("console-log", "lxc.console.logfile")] {
        if let Some(path) = call.value(option) {
            // The supervisor has another working directory; `none` is not a path.
            let path = if path == "none" { path.into() } else { std::path::absolute(path)? };
            settings.push((key.to_owned(), path.to_string_lossy().into_owned()));
        }
    }
    for (option, kind) in SHARED {
        let from = call.value(option).map(str::to_owned);
        settings.extend(from.map(|it| (format!("lxc.namespace.share.{kind}"), it)));
    }
    let argv = call.given.operands.clone();
    Ok(Start { argv, config: call.rcfile(), settings, tended: false, from: None })
}

fn stop(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let way = way(call)?;
    let Some((name, state)) = call.container_if_managed()? else {
        return Err(not_running(call.name.as_deref().unwrap_or_default()));
    };
    if !state.is_active() && call.engine.restarts_in(&name).is_none() {
        return Err(not_running(name.as_str()));
    }
    match call.engine.stop(&name, way) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.kind == ErrorKind::NotRunning => Err(not_running(name.as_str())),
        // It was asked, which is all that LXC reports.
        Err(error) if matches!(way, Stop::Ask | Stop::AskToReboot) => {
            call.complain(&error.reason());
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(error.into()),
    }
}

fn not_running(name: &str) -> anyhow::Error {
    LxcRefusal { text: format!("{name} is not running"), code: NOT_RUNNING }.into()
}

/// Turns the options into one way to stop, in LXC's order of checks.
fn way(call: &LxcCall<'_>) -> anyhow::Result<Stop> {
    let [kill, ask, spare, reboot, nolock] =
        ["kill", "nowait", "nokill", "reboot", "nolock"].map(|it| call.has(it));
    let given = call.value("timeout").map(str::parse::<i64>).transpose();
    let given = given.map_err(|_other| bad_arguments())?;
    let seconds = match given {
        _ if ask => 0,
        Some(seconds) => seconds,
        None if kill => 0,
        None => PATIENCE_SECONDS,
    };
    let clash = match () {
        () if !kill && seconds < -1 => Some("Invalid timeout"),
        () if kill && spare => Some("-k can't be used with --nokill"),
        () if kill && reboot => Some("-k can't be used with -r"),
        () if kill && seconds != 0 => Some("-k doesn't allow timeouts"),
        () if nolock && !kill => Some("--nolock may only be used with -k"),
        () => None,
    };
    if let Some(clash) = clash {
        return Err(refused(clash));
    }
    let timeout = u64::try_from(seconds).ok().map(Duration::from_secs);
    let then_kill = !spare;
    Ok(match (kill, reboot, seconds) {
        (true, ..) => Stop::Kill,
        (false, true, 0) => Stop::AskToReboot,
        (false, false, 0) => Stop::Ask,
        // LXC never kills for it.
        (false, true, _) => Stop::Reboot { timeout, then_kill: false },
        (false, false, _) => Stop::Gently { timeout, then_kill },
    })
}

fn destroy(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let (name, state) = call.container()?;
    if !call.engine.is_defined(&name) && state == State::Stopped {
        return Err(refused("Container is not defined"));
    }
    if state.is_active() {
        // LXC removes no snapshots of one that runs, even if it is to be killed.
        let kept = call.has("snapshots")
            && call.engine.snapshots(&name).is_ok_and(|it| !it.all.is_empty());
        if kept || !call.has("force") {
            return Err(refused(format!("{name} is running")));
        }
        // Nothing is killed for a removal that will be refused.
        call.engine.check_destroy(&name)?;
        match call.engine.stop(&name, Stop::Kill) {
            // It ended by itself meanwhile.
            Err(error) if error.kind == ErrorKind::NotRunning => (),
            other => other?,
        }
        if !call.engine.is_defined(&name) {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if call.has("snapshots") {
        call.engine.destroy_with_snapshots(&name)?;
    } else {
        call.engine.destroy(&name)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The file for the pid of a supervisor.
struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Creates or opens it, so that nothing is started if it cannot be written.
    fn create(file: &str) -> anyhow::Result<Self> {
        // A supervisor in the foreground changes to another directory.
        let path = std::path::absolute(file).map_err(|why| Self::failed(Path::new(file), &why))?;
        let mut options = std::fs::OpenOptions::new();
        let opened = options.write(true).create(true).truncate(false).open(&path);
        opened.map_err(|why| Self::failed(&path, &why))?;
        Ok(Self { path })
    }

    fn write(&self, pid: u32) -> anyhow::Result<()> {
        std::fs::write(&self.path, pid.to_string()).map_err(|why| Self::failed(&self.path, &why))
    }

    fn remove(&self) {
        // A device or a link was not made here.
        if self.path.symlink_metadata().is_ok_and(|it| it.is_file()) {
            // Somebody else may have removed it.
            _ = std::fs::remove_file(&self.path);
        }
    }

    fn failed(path: &Path, why: &std::io::Error) -> anyhow::Error {
        refused(format!("Failed to write pidfile '{}': {why}", path.display()))
    }
}
