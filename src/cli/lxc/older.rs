//! Commands that only older versions of LXC have: `lxc-version`, `lxc-kill`, `lxc-shutdown` and
//! `lxc-restart`.

use std::process::ExitCode;
use std::time::Duration;

use super::call::{LxcCall, LxcCommand, NameFrom, bad_arguments, refused};
use super::getopt::{flag, value};
use crate::engine::stop::Stop;

pub(super) const VERSION: LxcCommand = LxcCommand {
    name: "version",
    usage: "",
    about: "prints the version of LXC whose commands these are",
    options: &[],
    named: NameFrom::Free,
    parts: None,
    run: |call| {
        writeln!(call.out, "Version: {}", super::VERSION)?;
        Ok(ExitCode::SUCCESS)
    },
};

pub(super) const KILL: LxcCommand = LxcCommand {
    name: "kill",
    usage: "--name=NAME [SIGNUM]",
    about: "sends the signal with the number SIGNUM, or SIGKILL, to the init of the container NAME",
    options: &[],
    named: NameFrom::Needed,
    parts: None,
    run: kill,
};

pub(super) const SHUTDOWN: LxcCommand = LxcCommand {
    name: "shutdown",
    usage: "--name=NAME [-w] [-r] [-t T]",
    about: "asks the container NAME to halt, and does not wait for that",
    options: &[
        flag("wait", Some('w'), "Wait until it has stopped"),
        flag("reboot", Some('r'), "Ask it to restart instead"),
        value("timeout", Some('t'), "T", "Wait T seconds, and kill it then"),
    ],
    named: NameFrom::Needed,
    parts: None,
    run: shutdown,
};

pub(super) const RESTART: LxcCommand = LxcCommand {
    name: "restart",
    usage: "--name=NAME",
    about: "restarts the container NAME; a checkpoint is not restored",
    options: &[],
    named: NameFrom::Needed,
    parts: None,
    run: restart,
};

/// How long a restart waits for the container before it stops and starts it.
const PATIENCE: Duration = Duration::from_mins(1);

fn kill(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    const KILL: i32 = 9;
    let signal = call.given.operands.first().map(|it| it.parse::<i32>()).transpose();
    let signal = signal.map_err(|_other| bad_arguments())?.unwrap_or(KILL);
    let name = call.name()?;
    let processes = call.engine.processes(&name)?;
    let init = call.engine.glance(&name)?.init_pid;
    let init = processes.iter().find(|it| Some(it.pid) == init);
    let init = init.ok_or_else(|| refused("its init is not known"))?;
    call.engine.signal(&name, init, signal)?;
    Ok(ExitCode::SUCCESS)
}

fn shutdown(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let name = call.name()?;
    let seconds = call.value("timeout").map(str::parse).transpose();
    let timeout = seconds.map_err(|_other| bad_arguments())?.map(Duration::from_secs);
    let way = match (call.has("reboot"), timeout.is_some() || call.has("wait")) {
        (true, false) => Stop::AskToReboot,
        (true, true) => Stop::Reboot { timeout, then_kill: timeout.is_some() },
        (false, false) => Stop::Ask,
        (false, true) => Stop::Gently { timeout, then_kill: timeout.is_some() },
    };
    call.engine.stop(&name, way)?;
    Ok(ExitCode::SUCCESS)
}

fn restart(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let name = call.name()?;
    call.engine.stop(&name, Stop::Reboot { timeout: Some(PATIENCE), then_kill: true })?;
    Ok(ExitCode::SUCCESS)
}
