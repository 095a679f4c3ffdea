//! Turns a [`Spec`] into the ordered list of steps that start it. Pure: it touches no file and
//! makes no system call, and whatever can fail by configuration fails here.
//!
//! There are two plans: [`start`] creates a container, `enter` enters a running one.

mod cgroups;
mod confine;
mod dev;
mod enter;
mod hook;
mod kernel;
mod mounts;
mod root;
mod step;
#[cfg(test)]
mod tests;
mod users;

use std::ffi::{CString, NulError};
use std::os::unix::ffi::OsStrExt as _;

use crate::engine::terms::hook::Moment;
use crate::engine::terms::idmap::IdMapError;
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{At, AutoMode, Capabilities, Mount, SignalSpec, Spec};
pub(in crate::engine) use confine::{Confinement, LabelChange, LabelMoment};
pub(in crate::engine) use dev::DevStep;
pub(in crate::engine) use enter::{Entering, SeenFiles, enter};
pub(in crate::engine) use hook::HookStep;
pub(in crate::engine) use kernel::{KernelStep, SettingStep};
pub(in crate::engine) use mounts::{
    FsOption, MountSource, MountStep, attributes as mount_attributes,
};
pub(in crate::engine) use root::{RootMaker, RootMount, RootSource, RootStep};
pub(in crate::engine) use step::{
    NetworkSettings, SessionTerminal, ShutdownSignals, Step, WindowSize,
};
pub(in crate::engine) use users::{UserStep, setup};

/// How many terminals fit into the one message that carries them to the supervisor.
pub(in crate::engine) const MAX_TTYS: u32 = 200;
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// More than any kernel has; dropping one that does not exist is not an error.
const CAPABILITIES: u8 = 64;
/// The number of `CAP_NET_ADMIN`.
const NET_ADMIN: u8 = 12;

/// A program ready for execve(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Program {
    /// The paths to try, in order.
    pub paths: Vec<CString>,
    pub argv: Vec<CString>,
    pub environment: Vec<CString>,
}

/// What runs as pid 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Payload {
    /// The command itself, as with `start`, or our init if the configuration asks for it.
    System,
    /// Our init, with the command as pid 2, as with `execute`.
    Application,
}

/// Why a [`Spec`] cannot be started.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum PlanError {
    #[error("no command to run")]
    NoCommand,
    #[error("{what} contains a NUL byte")]
    Nul { what: String, source: NulError },
    #[error("lxc.tty.max = {0} is more than {MAX_TTYS}")]
    TooManyTtys(u32),
    #[error(
        "lxc.mount.auto: cgroups are mounted only in a cgroup namespace of the container's own"
    )]
    CgroupNamespace,
    #[error("lxc.mount.auto cgroup2: this host has no unified cgroup hierarchy")]
    NoUnified,
    #[error("lxc.idmap: {0}")]
    IdMap(#[source] IdMapError),
}

/// The terminal on which the console will be shown, as far as it is known before a start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct TerminalInfo {
    /// Its TERM.
    pub term: Option<String>,
    pub size: Option<WindowSize>,
    /// It is that of whoever starts the container, who waits for its end.
    pub attended: bool,
}

/// Lists the steps that start `spec`, in the order that the kernel requires.
pub(in crate::engine) fn start(
    spec: &Spec,
    payload: Payload,
    terminal: &TerminalInfo,
) -> Result<Vec<Step>, PlanError> {
    let own = |space| spec.namespaces.has_own(space);
    let mut steps = vec![Step::DieWithSupervisor];
    steps.extend(users::enter(spec));
    steps.push(Step::JoinCgroups);
    steps.extend(users::map(spec));
    steps.extend(own(Space::Cgroup).then_some(Step::OwnCgroupNamespace));
    steps.extend(own(Space::Mnt).then_some(Step::SlaveMounts));
    let profile = confine::step(spec, payload)?;
    // What the process executes from then on is confined.
    let (early, late) = if hook::before_pivot(spec) { (None, profile) } else { (profile, None) };
    steps.extend(early);
    steps.extend(kernel::early(&spec.process)?.into_iter().map(|it| users::outside(spec, it)));
    steps.extend(enter_shared(spec, |it| SHARED_INSIDE.contains(&it)));
    steps.extend(users::leave(spec)?);
    if own(Space::Mnt) {
        mount_all(spec, payload, terminal, &mut steps)?;
    }
    steps.extend(late);
    steps.extend(own(Space::Net).then_some(Step::Loopback));
    if let Some(name) = spec.hostname.as_ref().filter(|_| own(Space::Uts)) {
        steps.push(Step::Hostname { name: name.clone() });
    }
    if own(Space::Mnt) {
        change_root(spec, &mut steps);
    }
    steps.push(Step::HandOver);
    steps.extend(kernel::sysctls(&spec.process)?);
    if !spec.process.callers_keyring {
        steps.push(Step::Keyring);
    }
    become_payload(spec, payload, terminal, &mut steps)?;
    Ok(steps)
}

/// The namespaces of others that the process enters by itself, the last of which takes the host's
/// files from it. It is born in the rest.
const SHARED_INSIDE: [Space; 3] = [Space::Cgroup, Space::Time, Space::Mnt];

/// Returns the steps into those that the process enters by itself.
fn enter_shared(spec: &Spec, wanted: impl Fn(Space) -> bool) -> impl Iterator<Item = Step> {
    let shared = spec.namespaces.shared().filter(move |(space, _)| wanted(*space));
    shared.map(|(space, from)| Step::EnterShared {
        space,
        of: from.value.clone(),
        place: from.place.clone(),
    })
}

fn mount_all(
    spec: &Spec,
    payload: Payload,
    terminal: &TerminalInfo,
    steps: &mut Vec<Step>,
) -> Result<(), PlanError> {
    steps.extend(hook::at(spec, Moment::PreMount)?);
    file_systems(spec, payload, terminal, steps)?;
    steps.extend(hook::at(spec, Moment::Mount)?);
    if !spec.own_dev {
        steps.extend(hook::at(spec, Moment::Autodev)?);
    }
    Ok(())
}

fn change_root(spec: &Spec, steps: &mut Vec<Step>) {
    if spec.rootfs.is_some() {
        let flags = spec.root_flags.as_ref().map(MountStep::of_root);
        steps.extend(flags.map(Step::Mount));
        steps.push(Step::Pivot);
    }
    steps.push(Step::ShareMounts);
}

fn file_systems(
    spec: &Spec,
    payload: Payload,
    terminal: &TerminalInfo,
    steps: &mut Vec<Step>,
) -> Result<(), PlanError> {
    if spec.tty_max > MAX_TTYS {
        return Err(PlanError::TooManyTtys(spec.tty_max));
    }
    let root = RootStep::new(spec)?;
    let place = spec.rootfs.as_ref().and_then(|it| it.place.clone());
    let users = spec.root_users.clone();
    steps.push(Step::Root { root, devices: spec.own_dev, users, place });
    steps.extend(dev::before_mounts(spec, terminal)?);
    let network = network_settings(spec);
    let own_init = has_own_init(spec, payload).then_some(AutoMode::Mixed);
    if let Some(mode) = spec.auto.proc.or(own_init) {
        steps.push(Step::Proc { mode, network });
    }
    if let Some(mode) = spec.auto.sys {
        steps.push(Step::Sys { mode, network: network_devices(spec) });
    }
    for mount in &spec.mounts {
        steps.push(mount_step(mount)?);
    }
    // One of them may have been /sys.
    steps.extend(cgroups::mounts(spec)?);
    steps.extend(dev::after_mounts(spec, terminal)?);
    Ok(())
}

fn network_settings(spec: &Spec) -> NetworkSettings {
    let administers = kept(&spec.capabilities) & (1 << NET_ADMIN) != 0;
    if administers { NetworkSettings::Open } else { NetworkSettings::ReadOnly }
}

/// The devices of its own network belong to the container, whatever it may do with them, as with
/// LXC.
fn network_devices(spec: &Spec) -> NetworkSettings {
    if spec.namespaces.has_own(Space::Net) { NetworkSettings::Open } else { network_settings(spec) }
}

/// A pid 1 that is an init opens sessions for others, which could not take the console if it were
/// the terminal of init's own session.
fn session_terminal(argv: &[String], own_init: bool) -> SessionTerminal {
    let mut names = argv.iter().map(|it| it.rsplit('/').next().unwrap_or(it));
    let name = match names.next() {
        Some("busybox") => names.next(),
        name => name,
    };
    let is_init = name.is_some_and(|it| {
        it.ends_with("init") || matches!(it, "systemd" | "runit" | "s6-svscan" | "linuxrc")
    });
    match (own_init, is_init) {
        (true, _) => SessionTerminal::Inits,
        (false, true) => SessionTerminal::Free,
        (false, false) => SessionTerminal::Ours,
    }
}

fn mount_step(mount: &At<Mount>) -> Result<Step, PlanError> {
    MountStep::new(&mount.value, mount.place.clone()).map(Step::Mount)
}

fn become_payload(
    spec: &Spec,
    payload: Payload,
    terminal: &TerminalInfo,
    steps: &mut Vec<Step>,
) -> Result<(), PlanError> {
    let mask = kept(&spec.capabilities);
    let drop = (0..CAPABILITIES).filter(|it| mask & (1 << it) == 0).collect();
    steps.push(Step::Bounding { drop });
    if spec.no_new_privs {
        steps.push(Step::NoNewPrivs);
    }
    steps.extend(kernel::limits(&spec.process.limits).map(|it| users::outside(spec, it)));
    let personality = spec.process.personality.map(KernelStep::Personality);
    steps.extend(personality.map(Step::Kernel));
    steps.extend(hook::at(spec, Moment::Start)?);
    let own_init = has_own_init(spec, payload);
    let filter = spec.filter.as_ref().map(|At { value, place }| {
        let (program, place) = (value.clone(), place.clone());
        Step::Filter { program, notifies: spec.notify.is_some(), place }
    });
    if own_init {
        // Init stays, and a process that may trace it could have it make any call.
        steps.extend(filter.clone());
        steps.extend(kernel::parent_death(spec.signals.parent_death));
        steps.push(Step::BecomeInit { mask, asked: asked(spec, payload) });
    }
    steps.push(Step::Session { terminal: session_terminal(&spec.init.argv, own_init) });
    if !own_init {
        // As late as the capability to load it allows: few profiles think of our own calls.
        steps.extend(filter);
    }
    steps.push(Step::Identity {
        uid: spec.init.uid,
        gid: spec.init.gid,
        groups: spec.process.groups.clone(),
    });
    steps.push(Step::LimitCapabilities { mask });
    steps.push(Step::WorkDir {
        or_root: false,
        dir: cstring("lxc.init.cwd", spec.init.cwd.as_os_str().as_bytes())?,
    });
    if !own_init {
        steps.extend(confine::taken_on(spec, payload));
        // Changing identity clears the parent-death signal.
        steps.push(Step::DieWithSupervisor);
        steps.extend(kernel::parent_death(spec.signals.parent_death));
    }
    let term = terminal.term.as_deref();
    let environment = environment(&spec.environment, spec.init.uid, term);
    steps.push(Step::Exec(Program::new(&spec.init.argv, &environment)?));
    Ok(())
}

/// One that is not pid 1 of its namespace could not tell the container's processes from others.
fn has_own_init(spec: &Spec, payload: Payload) -> bool {
    let wanted = payload == Payload::Application || spec.init.tended;
    wanted && spec.namespaces.has_own(Space::Pid)
}

/// Returns the signals on which a system under our init halts and restarts.
fn asked(spec: &Spec, payload: Payload) -> Option<ShutdownSignals> {
    let SignalSpec { halt, reboot, .. } = spec.signals;
    (payload == Payload::System)
        .then(|| ShutdownSignals { halt: halt.unwrap_or(libc::SIGPWR), reboot })
}

/// Returns the capabilities that stay, as a bit mask.
pub(in crate::engine) fn kept(capabilities: &Capabilities) -> u64 {
    let bits = |list: &[u8]| {
        list.iter().fold(0, |mask, it| mask | 1_u64.checked_shl(u32::from(*it)).unwrap_or(0))
    };
    match capabilities {
        Capabilities::Drop(list) => !bits(list),
        Capabilities::Keep(list) => bits(list),
    }
}

/// Returns the variables a process of a container starts with: `configured` over the defaults.
pub(in crate::engine) fn environment(
    configured: &[(String, String)],
    uid: u32,
    term: Option<&str>,
) -> Vec<(String, String)> {
    let home = if uid == 0 { "/root" } else { "/" };
    let defaults = [
        ("container", "lxc"),
        ("PATH", DEFAULT_PATH),
        ("HOME", home),
        ("TERM", term.unwrap_or("linux")),
    ];
    let mut all: Vec<(String, String)> = defaults
        .into_iter()
        .filter(|(key, _)| !configured.iter().any(|(other, _)| other == key))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    for (key, value) in configured {
        // Of two with one name the last counts, as with setenv(3).
        all.retain(|(other, _)| other != key);
        all.push((key.clone(), value.clone()));
    }
    all
}

impl Program {
    /// Prepares `argv`; a name without a slash is looked for along the PATH of `environment`.
    pub(crate) fn new(argv: &[String], env: &[(String, String)]) -> Result<Self, PlanError> {
        let name = argv.first().filter(|it| !it.is_empty()).ok_or(PlanError::NoCommand)?;
        let paths = if name.contains('/') {
            vec![cstring("the command", name.as_bytes())?]
        } else {
            let path = env.iter().find(|(key, _)| key == "PATH");
            path.map_or(DEFAULT_PATH, |(_, value)| value)
                .split(':')
                .map(|dir| if dir.is_empty() { "." } else { dir })
                .map(|dir| cstring("the command", format!("{dir}/{name}").as_bytes()))
                .collect::<Result<_, _>>()?
        };
        let word = |it: &String| cstring("the command", it.as_bytes());
        Ok(Self {
            paths,
            argv: argv.iter().map(word).collect::<Result<_, _>>()?,
            environment: env
                .iter()
                .map(|(key, value)| cstring(key, format!("{key}={value}").as_bytes()))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn number(value: u32) -> Result<CString, PlanError> {
    cstring("a number", value.to_string().as_bytes())
}

fn cstring(what: &str, bytes: &[u8]) -> Result<CString, PlanError> {
    CString::new(bytes).map_err(|source| PlanError::Nul { what: what.to_owned(), source })
}
