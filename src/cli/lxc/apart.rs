//! `lxc-unshare`, `lxc-usernsexec`, `lxc-init` and the older `lxc-netstat`: programs in namespaces,
//! without a container or in one's network.

use std::ffi::OsString;
use std::process::ExitCode;

use super::call::{LxcCall, LxcCommand, NameFrom, WordParts, bad_arguments, refused};
use super::getopt::{flag, value};
use crate::engine::accounts;
use crate::engine::apart::{self, Unshared};
use crate::engine::idmap::{IdKind, IdMap, IdRange};
use crate::engine::shown::shown;
use crate::engine::space::Space;

pub(super) const UNSHARE: LxcCommand = LxcCommand {
    name: "unshare",
    usage: "-s NAMESPACES COMMAND",
    about: "runs COMMAND in new NAMESPACES, without a container",
    options: &[
        value("namespaces", Some('s'), "FLAGS", "MOUNT|PID|UTSNAME|IPC|USER|NETWORK, or some"),
        value("user", Some('u'), "USERID", "The user that COMMAND becomes"),
        value("hostname", Some('H'), "HOSTNAME", "The host name there; needs UTSNAME"),
        value("ifname", Some('i'), "IFNAME", "An interface that is moved there; needs NETWORK"),
        flag("daemon", Some('d'), "Do not wait for its end"),
        flag("remount", Some('M'), "Mount /proc, /dev/shm and /dev/mqueue anew; needs MOUNT"),
    ],
    named: NameFrom::Free,
    parts: None,
    run: unshare,
};

pub(super) const USERNSEXEC: LxcCommand = LxcCommand {
    name: "usernsexec",
    usage: "[-m <uid-maps>] [-s] [-u UID] [-g GID] -- [COMMAND]",
    about: "runs COMMAND, or a shell, as root of users of its own: those that the host allots",
    options: &[
        value("map", Some('m'), "MAP", "[u|g|b]:ns_id:host_id:range; users, groups or both"),
        flag("self", Some('s'), "Map yourself, too"),
        value("uid", Some('u'), "UID", "Its user there (0)"),
        value("gid", Some('g'), "GID", "Its group there (0)"),
    ],
    named: NameFrom::Free,
    parts: None,
    run: usernsexec,
};

pub(super) const INIT: LxcCommand = LxcCommand {
    name: "init",
    usage: "--name=NAME -- COMMAND",
    about: "runs COMMAND as the second process of a container whose first it is",
    options: &[value("name", Some('n'), "NAME", "Name of the container")],
    named: NameFrom::Free,
    parts: None,
    run: init,
};

pub(super) const NETSTAT: LxcCommand = LxcCommand {
    name: "netstat",
    usage: "--name=NAME [netstat options]",
    about: "shows the network of the running container NAME by netstat(8)",
    options: &[value("name", Some('n'), "NAME", "Name of the container")],
    named: NameFrom::Free,
    parts: Some(for_netstat),
    run: netstat,
};

/// What `lxc-usernsexec` runs if nothing is said.
const SHELL: &str = "/bin/sh";

/// Reads a list of namespaces, in LXC's words or the kernel's.
pub(super) fn spaces(text: &str) -> Option<Vec<Space>> {
    let one = |word: &str| match word.to_ascii_uppercase().as_str() {
        "MOUNT" => Some(Space::Mnt),
        "UTSNAME" => Some(Space::Uts),
        "NETWORK" => Some(Space::Net),
        _ => Space::named(word),
    };
    let spaces: Option<Vec<Space>> = text.split('|').map(|it| one(it.trim())).collect();
    spaces.filter(|it| !it.is_empty())
}

fn words(operands: &[String]) -> Vec<OsString> {
    operands.iter().map(OsString::from).collect()
}

fn unshare(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let list = call.value("namespaces").map(|it| spaces(it).ok_or_else(bad_arguments));
    let spaces = list.transpose()?.unwrap_or_default();
    let uid = call.value("user").map(user).transpose()?;
    if call.given.operands.is_empty() {
        return Err(refused("A command to execute in the new namespace is required"));
    }
    if spaces.is_empty() {
        return Err(refused("A namespace to execute command is required"));
    }
    for (option, space, text) in [
        ("ifname", Space::Net, "-i <interfacename> needs -s NETWORK option"),
        ("hostname", Space::Uts, "-H <hostname> needs -s UTSNAME option"),
        ("remount", Space::Mnt, "-M needs -s MOUNT option"),
    ] {
        if call.has(option) && !spaces.contains(&space) {
            return Err(refused(text));
        }
    }
    let apart = Unshared {
        argv: words(&call.given.operands),
        spaces,
        uid,
        hostname: call.value("hostname").map(str::to_owned),
        interfaces: call.given.values("ifname").map(str::to_owned).collect(),
        remount: call.has("remount"),
        daemon: call.has("daemon"),
    };
    let end = apart.run()?;
    for it in end.said {
        call.complain(&it);
    }
    let by_signal = matches!(end.exit, crate::engine::Exit::Signal(_));
    Ok(if by_signal { ExitCode::FAILURE } else { ExitCode::from(end.exit.shell_code()) })
}

fn user(text: &str) -> anyhow::Result<u32> {
    if let Ok(uid) = text.parse() {
        return Ok(uid);
    }
    accounts::user_id(text).ok_or_else(|| refused(format!("Invalid username \"{text}\"")))
}

fn usernsexec(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    let mut map = IdMap::default();
    for it in call.given.values("map") {
        add(&mut map, it)?;
    }
    if !call.has("map") {
        map = apart::first_allotted()
            .ok_or_else(|| refused("Failed to find subuid or subgid allocation"))?;
    }
    if call.has("self") {
        let own = [
            (IdKind::User, nix::unistd::getuid().as_raw()),
            (IdKind::Group, nix::unistd::getgid().as_raw()),
        ];
        for (kind, outside) in own {
            let ends = map.ranges(kind).iter().map(|it| it.inside.saturating_add(it.count));
            let inside = ends.max().unwrap_or_default();
            map.add(kind, IdRange { inside, outside, count: 1 })?;
        }
    }
    let id =
        |option| call.value(option).map_or(Ok(0), str::parse).map_err(|_other| bad_arguments());
    let ids = (id("uid")?, id("gid")?);
    let mut argv = words(&call.given.operands);
    if argv.is_empty() {
        argv.push(SHELL.into());
    }
    let exit = apart::run_mapped(&map, ids, &argv)?;
    Ok(ExitCode::from(exit.shell_code()))
}

/// Adds what `-m` gives.
fn add(map: &mut IdMap, text: &str) -> anyhow::Result<()> {
    let bad = || refused(format!("`{text}` is not a map, such as b:0:100000:65536"));
    let mut fields = text.split(':');
    let kinds = match fields.next() {
        Some("u") => &[IdKind::User][..],
        Some("g") => &[IdKind::Group],
        Some("b") => &[IdKind::User, IdKind::Group],
        _ => return Err(bad()),
    };
    let mut number = || fields.next().and_then(|it| it.parse().ok()).ok_or_else(bad);
    let range = IdRange { inside: number()?, outside: number()?, count: number()? };
    if fields.next().is_some() {
        return Err(bad());
    }
    for kind in kinds {
        map.add(*kind, range).map_err(|why| refused(format!("`{text}`: {why}")))?;
    }
    Ok(())
}

fn init(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    if !call.has("name") {
        return Err(refused("missing container name, use --name option"));
    }
    if call.given.operands.is_empty() {
        return Err(refused("Please specify a command to execute"));
    }
    match apart::tend(&words(&call.given.operands))? {}
}

/// Parts the options of netstat(8) off: all but the name and where the container is.
#[expect(clippy::unnecessary_wraps, reason = "its type is that of others that may part nothing")]
fn for_netstat(words: &[String]) -> Option<WordParts> {
    let mut parts = WordParts::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-n" | "--name" if !parts.own.iter().any(|it| it == "-n" || it == "--name") => {
                parts.own.extend([word.clone()].into_iter().chain(words.next().cloned()));
            }
            "-P" | "--lxcpath" => {
                parts.own.extend([word.clone()].into_iter().chain(words.next().cloned()));
            }
            "--help" | "--usage" | "--version" => parts.own.push(word.clone()),
            "--" => parts.others.extend(words.by_ref().cloned()),
            it if ["--name=", "--lxcpath="].iter().any(|own| it.starts_with(own)) => {
                parts.own.push(word.clone());
            }
            _ => parts.others.push(word.clone()),
        }
    }
    Some(parts)
}

fn netstat(call: &mut LxcCall<'_>) -> anyhow::Result<ExitCode> {
    call.name = call.value("name").map(str::to_owned);
    if call.name.is_none() {
        return Err(refused("missing name of the container: lxc-netstat -n NAME"));
    }
    let (name, state) = call.container()?;
    if !state.is_active() {
        return Err(refused(format!("'{name}' is not running")));
    }
    let args = call.others.take().unwrap_or_default();
    let out = &mut *call.out;
    let print = &mut |line: &str| writeln!(out, "{}", shown(line)).and_then(|()| out.flush());
    let exit = call.engine.in_network(&name, ("netstat", &args), print)?;
    Ok(ExitCode::from(exit.shell_code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_have_lxcs_words_and_the_kernels() {
        let all = spaces("MOUNT|PID|UTSNAME|IPC|USER|NETWORK").unwrap();
        let expected = [Space::Mnt, Space::Pid, Space::Uts, Space::Ipc, Space::User, Space::Net];
        assert_eq!(all, expected);
        assert_eq!(spaces("mnt|cgroup"), Some(vec![Space::Mnt, Space::Cgroup]));
        assert_eq!(spaces("MOUNT|"), None);
        assert_eq!(spaces("bogus"), None);
    }

    #[test]
    fn maps_are_read_as_lxc_reads_them() {
        let mut map = IdMap::default();
        add(&mut map, "b:0:100000:10").unwrap();
        add(&mut map, "u:10:5000:1").unwrap();
        assert_eq!(map.text(IdKind::User), "0 100000 10\n10 5000 1");
        assert_eq!(map.text(IdKind::Group), "0 100000 10");
        for bad in ["", "x:0:1:1", "b:0:1", "b:0:1:1:1", "b:a:1:1", "b:0:100000:0"] {
            assert!(add(&mut map, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_for_netstat_are_passed_on() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let parts = for_netstat(&words("-n web -n -tl")).unwrap();
        assert_eq!((parts.own, parts.others), (words("-n web"), words("-n -tl")));
        let parts = for_netstat(&words("--name=web -P /x -- -an")).unwrap();
        assert_eq!((parts.own, parts.others), (words("--name=web -P /x"), words("-an")));
    }
}
