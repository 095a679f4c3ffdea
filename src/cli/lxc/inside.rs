//! `lxc-attach`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::apart::spaces;
use super::call::{LxcCall, LxcCommand, NameFrom, bad_arguments, refused};
use super::getopt::{Opt, OptTakes, flag, value};
use crate::engine::State;
use crate::engine::attach::{Attach, AttachAccess, CallersOwn, ShownMachine};
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
            help: "Keep the caller's cgroups (CGROUP), capabilities (CAP), confinement (LSM) [default: all]",
        },
        value("arch", Some('a'), "ARCH", "What COMMAND sees as the machine, such as i686"),
        value(
            "namespaces",
            Some('s'),
            "FLAGS",
            "Only MOUNT|PID|UTSNAME|IPC|USER|NETWORK, or some; implies -e",
        ),
        flag("remount-sys-proc", Some('R'), "With -s without MOUNT: mount /proc and /sys anew"),
        flag("clear-env", None, "Pass no variable; PATH is the default one"),
        flag("keep-env", None, "Pass this environment on (default)"),
        value("keep-var", None, "NAME", "With --clear-env: pass this variable all the same"),
        value(
            "set-var",
            Some('v'),
            "NAME=VALUE",
            "Set this variable; without =VALUE: do not pass it",
        ),
        value("pty-log", Some('L'), "FILE", "Write what its terminal shows there, too"),
        value("rcfile", Some('f'), "FILE", "Not supported: the container runs with its own"),
        value("uid", Some('u'), "UID", "User that runs COMMAND"),
        value("gid", Some('g'), "GID", "Group that runs COMMAND"),
        value("context", Some('c'), "CONTEXT", "The SELinux context of COMMAND"),
    ],
    named: NameFrom::Needed,
    parts: None,
    run: attach,
};

/// Reads which of the container's confinement COMMAND has, and which namespaces it enters.
fn access(call: &LxcCall<'_>) -> anyhow::Result<AttachAccess> {
    let given = call.given.options.iter().rfind(|it| it.0 == "elevated-privileges");
    let namespaces = call.value("namespaces");
    let all = || KEPT.iter().map(|it| it.1).collect();
    let keeps = match given {
        _ if namespaces.is_some() => all(),
        Some((_, Some(words))) => words.split('|').map(kept).collect::<Result<_, _>>()?,
        Some((_, None)) => all(),
        None => Vec::new(),
    };
    let arch = call.value("arch").map(|it| {
        let known = "an architecture, such as amd64, arm64 or i686";
        ShownMachine::named(it).ok_or_else(|| refused(format!("`{it}` is not {known}")))
    });
    Ok(AttachAccess {
        spaces: namespaces.map(|it| spaces(it).ok_or_else(bad_arguments)).transpose()?,
        keeps,
        label: call.value("context").map(str::to_owned),
        machine: arch.transpose()?,
        remounts: call.has("remount-sys-proc"),
    })
}

/// What COMMAND can keep of its caller's.
const KEPT: [(&str, CallersOwn); 3] = [
    ("CGROUP", CallersOwn::Cgroups),
    ("CAP", CallersOwn::Capabilities),
    ("LSM", CallersOwn::Freedom),
];

fn kept(word: &str) -> anyhow::Result<CallersOwn> {
    let found = KEPT.into_iter().find(|it| it.0 == word.trim());
    let unknown = || refused(format!("`{word}` is not one of CGROUP, CAP and LSM"));
    found.map(|it| it.1).ok_or_else(unknown)
}

fn attach(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let access = access(call)?;
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
        access,
        pty_log: call.value("pty-log").map(PathBuf::from),
        limit: None,
    };
    let exit = call.engine.attach(&name, &attach)?;
    Ok(ExitCode::from(exit.shell_code()))
}
