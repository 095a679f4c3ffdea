//! A running container that is to be saved, as it runs: its configuration file may have changed since,
//! or be another. Only reads.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::CheckpointError;
use crate::engine::cgroup::Cgroup;
use crate::engine::config;
use crate::engine::entry::criu::network::OpenNetwork;
use crate::engine::host::identity::{Identity, Stat};
use crate::engine::running::command_socket::Client;
use crate::engine::running::groups::{self, Holding};
use crate::engine::sys;
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::Spec;
use crate::engine::terms::state::State;
use crate::engine::{Engine, Name};

/// What of the configuration concerns CRIU.
const KEYS: [&str; 9] = [
    "lxc.tty.max",
    "lxc.tty.dir",
    "lxc.console.path",
    "lxc.ephemeral",
    "lxc.namespace.keep",
    "lxc.idmap",
    "lxc.mount.entry",
    PROFILE,
    "lxc.seccomp.notify.proxy",
];
const PROFILE: &str = "lxc.seccomp.profile";
const ROOT: &str = "lxc.rootfs.path";
/// These are lines of a configuration as a whole.
const LIMITS: [&str; 2] = ["lxc.cgroup", "lxc.cgroup2"];
/// In this order: each may be there only for the type before it.
const OF_INTERFACE: [&str; 4] = ["type", "link", "name", "vlan.id"];

/// A running container that is to be saved.
pub(super) struct Target {
    pub(super) init: Identity,
    /// With its limits.
    pub(super) cgroup: Cgroup,
    pub(super) network: Option<OpenNetwork>,
    pub(super) spec: Spec,
    /// Its root, for what is looked up as the container does.
    root: File,
}

impl Target {
    /// Finds it. Refuses one that does not run.
    pub(super) fn of(engine: &Engine, name: &Name) -> Result<Self, CheckpointError> {
        let client = Client::connect(&engine.lxcpath, name).map_err(CheckpointError::Socket)?;
        let client = client.ok_or(CheckpointError::NotRunning)?;
        match client.state().map_err(CheckpointError::Socket)? {
            State::Running | State::Thawed => (),
            State::Stopped => return Err(CheckpointError::NotRunning),
            other @ (State::Starting
            | State::Stopping
            | State::Aborting
            | State::Freezing
            | State::Frozen) => return Err(CheckpointError::State(other)),
        }
        let host = engine.lxcpath.host();
        // The pid is its own as long as the pidfd is held and it lives.
        let held = client.init().map_err(CheckpointError::Socket)?;
        let init = Identity::of(host, held.pid).ok_or(CheckpointError::NotRunning)?;
        let group = groups::find(&engine.lxcpath, name, Some(&client), Holding::Limits);
        let cgroup = group.ok().flatten().filter(|it| it.frozen_by().is_some());
        let root = PathBuf::from(format!("/proc/{}/root", init.pid));
        let root = File::open(&root).map_err(|error| CheckpointError::File(root, error))?;
        let mut spec = running(engine, name, (&client, init.pid))?;
        // Whatever command it was started with.
        spec.init.tended = is_tended(init.pid, Stat::read(host, init.pid).map(|it| it.parent));
        let target = Self {
            init,
            cgroup: cgroup.ok_or(CheckpointError::NoGroup)?,
            network: OpenNetwork::of(host, init),
            spec,
            root,
        };
        if init.lives(host) { Ok(target) } else { Err(CheckpointError::NotRunning) }
    }

    /// Names its console as CRIU does; none: it has none.
    pub(super) fn console(&self) -> Result<Option<String>, CheckpointError> {
        if self.spec.console.off {
            return Ok(None);
        }
        // What the container has put there is neither opened nor looked up on the host.
        let failed = |error| CheckpointError::File(PathBuf::from("its /dev/console"), error);
        let found = sys::open_inside(&self.root, "dev/console", OFlag::O_PATH);
        let meta = found
            .map_err(|errno: Errno| io::Error::from(errno))
            .and_then(|it| File::from(it).metadata())
            .map_err(failed)?;
        if meta.mode() & libc::S_IFMT != libc::S_IFCHR {
            return Err(CheckpointError::NoTerminal);
        }
        Ok(Some(format!("tty[{:x}:{:x}]", meta.rdev(), meta.dev())))
    }
}

/// Asks the supervisor what it runs.
fn running(
    engine: &Engine,
    name: &Name,
    (client, init): (&Client, i32),
) -> Result<Spec, CheckpointError> {
    let mut lines: Vec<(String, String)> = Vec::new();
    let ask = |key: &str| client.config_item(key).map_err(CheckpointError::Socket);
    let shares = Space::ALL.iter().map(|it| format!("lxc.namespace.share.{}", it.word()));
    for key in KEYS.into_iter().map(str::to_owned).chain(shares) {
        let value = ask(&key)?.unwrap_or_default();
        let values = value.lines().filter(|it| !it.is_empty());
        lines.extend(values.map(|it| (key.clone(), it.to_owned())));
    }
    // For some types it is shown as no path.
    if ask(ROOT)?.is_some_and(|it| !it.trim().is_empty()) {
        lines.push((ROOT.to_owned(), format!("dir:/proc/{init}/root")));
    }
    for key in LIMITS {
        let value = ask(key)?.unwrap_or_default();
        let pairs = value.lines().filter_map(|it| it.split_once(" = "));
        lines.extend(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    lines.extend(interfaces(&ask)?);
    let file = Path::new("its configuration as it runs");
    let read = |lines: &[(String, String)]| {
        config::parse(name, &engine.lxcpath, b"", file, lines).and_then(|it| it.spec())
    };
    read(&lines).or_else(|_| {
        // The profile may be gone, which only says whether it leaves calls to a proxy.
        lines.retain(|(key, _)| key != PROFILE);
        read(&lines).map_err(CheckpointError::Config)
    })
}

type Answered = Result<Option<String>, CheckpointError>;

fn interfaces(ask: &dyn Fn(&str) -> Answered) -> Result<Vec<(String, String)>, CheckpointError> {
    let mut lines = Vec::new();
    for index in 0_u32.. {
        for part in OF_INTERFACE {
            let key = format!("lxc.net.{index}.{part}");
            match ask(&key)?.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()) {
                Some(value) => lines.push((key, value)),
                None if part == "type" => return Ok(lines),
                None => (),
            }
        }
    }
    Ok(lines)
}

/// Returns whether pid 1 is wharf's own init, which is the same program as the supervisor.
fn is_tended(init: i32, supervisor: Option<i32>) -> bool {
    let program = |pid: i32| {
        let meta = std::fs::metadata(format!("/proc/{pid}/exe")).ok()?;
        Some((meta.dev(), meta.ino()))
    };
    supervisor.is_some_and(|it| program(init).is_some() && program(init) == program(it))
}
