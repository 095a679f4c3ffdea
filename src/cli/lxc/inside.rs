//! `lxc-attach`.

use std::process::ExitCode;

use super::call::{LxcCall, LxcCommand, NameFrom, bad_arguments, refused};
use super::getopt::{Opt, OptTakes, flag, value};
use crate::engine::State;
use crate::engine::attach::Attach;
use crate::engine::id::Id;

pub(super) const ATTACH: LxcCommand = LxcCommand {
    name: "attach",
    usage: "--name=NAME [-- COMMAND]",
    about: "runs COMMAND, or a shell, in the running container NAME",
    options: &[
        Opt {
            long: "elevated-privileges",
            short: Some('e'),
            takes: OptTakes::Optional("PRIVILEGES"),
            help: "Not supported: run it with the host's CAP, CGROUP or LSM",
        },
        value("arch", Some('a'), "ARCH", "Not supported: another architecture"),
        value("namespaces", Some('s'), "FLAGS", "Not supported: only these namespaces"),
        flag("remount-sys-proc", Some('R'), "Not supported: mount /proc and /sys anew"),
        flag("clear-env", None, "Pass no variable; PATH is the default one"),
        flag("keep-env", None, "Pass this environment on (default)"),
        value("keep-var", None, "NAME", "With --clear-env: pass this variable all the same"),
        value(
            "set-var",
            Some('v'),
            "NAME=VALUE",
            "Set this variable; without =VALUE: do not pass it",
        ),
        value("pty-log", Some('L'), "FILE", "Not supported: write the output there, too"),
        value("rcfile", Some('f'), "FILE", "Not supported: the container runs with its own"),
        value("uid", Some('u'), "UID", "User that runs COMMAND"),
        value("gid", Some('g'), "GID", "Group that runs COMMAND"),
        value("context", Some('c'), "CONTEXT", "Not supported: an SELinux context"),
    ],
    named: NameFrom::Needed,
    parts: None,
    run: attach,
};

/// What only LXC's own does.
const ONLY_LXC: [&str; 6] =
    ["elevated-privileges", "arch", "namespaces", "remount-sys-proc", "pty-log", "context"];

fn attach(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    if let Some(it) = ONLY_LXC.into_iter().find(|it| call.has(it)) {
        return Err(refused(format!("wharf does not support --{it}")));
    }
    let (name, state) = call.container()?;
    if state == State::Stopped {
        return Err(refused("it is not running"));
    }
    let id = |option| -> anyhow::Result<Option<Id>> {
        let number = call.value(option).map(str::parse::<Id>).transpose();
        number.map_err(|_other| bad_arguments())
    };
    let last = call.given.options.iter().rfind(|it| matches!(it.0, "clear-env" | "keep-env"));
    let clear_environment = last.is_some_and(|it| it.0 == "clear-env");
    let (mut environment, mut without) = (Vec::new(), Vec::new());
    for it in call.given.values("keep-var").filter(|_| clear_environment) {
        environment.extend(std::env::var(it).ok().map(|value| (it.to_owned(), value)));
    }
    for it in call.given.values("set-var") {
        // LXC sets it by putenv(3), which removes a variable that is given without a value.
        let (key, value) = it.split_once('=').map_or((it, None), |(key, it)| (key, Some(it)));
        environment.retain(|(other, _): &(String, String)| other != key);
        match value {
            Some(value) => environment.push((key.to_owned(), value.to_owned())),
            None => without.push(key.to_owned()),
        }
    }
    let attach = Attach {
        argv: call.given.operands.clone(),
        uid: id("uid")?,
        gid: id("gid")?,
        environment,
        clear_environment,
        without,
        bare: clear_environment,
        // One that was removed has no name to look for.
        cwd: std::env::current_dir().ok(),
    };
    let exit = call.engine.attach(&name, &attach)?;
    Ok(ExitCode::from(exit.shell_code()))
}
