//! What the sampler saw at one instant: plain immutable data. Unknown is `None`, never 0.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::engine::cgroup::Layout;
pub use crate::engine::cgroup::{CgroupFile, GroupPath};
use crate::engine::running::oom::OomKill;
use crate::engine::seen::process::Process;
use crate::engine::terms::exit::Exit;
use crate::engine::terms::name::Name;
use crate::engine::terms::state::State;

/// The host and every container at one instant.
#[derive(Clone, Debug)]
pub struct Sample {
    pub taken: SystemTime,
    pub host: HostSample,
    /// Sorted by name.
    pub containers: Vec<Container>,
    /// Containers that wharf leaves to LXC, sorted by name.
    pub unmanaged: Vec<Unmanaged>,
    /// Why the list may be incomplete, in words (an unreadable lxcpath).
    pub trouble: Option<String>,
}

/// A container that LXC allows and wharf does not manage, because of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmanaged {
    /// Only safe to show.
    pub name: String,
    pub state: State,
    /// It has a configuration.
    pub defined: bool,
    /// What is wrong with the name, in words.
    pub why: String,
}

/// The machine.
#[derive(Clone, Debug, Default)]
pub struct HostSample {
    pub hostname: String,
    /// None: no cgroup file system is mounted.
    pub layout: Option<Layout>,
    pub cpus: Option<u32>,
    /// Processors in use, 0 to `cpus`.
    pub cpu_used: Option<f32>,
    pub memory_bytes: Option<u64>,
    pub memory_used_bytes: Option<u64>,
    pub psi: Psi,
    /// What this process may not do here; empty: it may do anything.
    pub lacks: Vec<Lack>,
}

/// Something that this process may not do here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    pub of: Ability,
    /// What it is and why it is not possible, in a sentence.
    pub why: String,
}

/// A right that acting on containers requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// To make namespaces and to enter them.
    Enter,
    /// To reach the processes and supervisors of other users.
    Others,
    /// To read other users' processes.
    Look,
    Network,
    /// To create groups, without which root starts nothing.
    Groups,
    /// To freeze groups and to change their limits.
    Limits,
    /// To write below the lxcpath.
    Store,
}

/// What runs in a container.
#[derive(Debug)]
pub(in crate::engine) struct Inhabitants {
    pub(in crate::engine) state: State,
    /// Another user's, of which nothing may be seen.
    pub(in crate::engine) hidden: bool,
    pub(in crate::engine) processes: Vec<Process>,
}

/// The share of the last ten seconds in which some task waited, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Psi {
    pub cpu: Option<f32>,
    pub memory: Option<f32>,
    pub io: Option<f32>,
}

impl Psi {
    /// Returns whether no task is known to have waited.
    pub(super) fn is_calm(&self) -> bool {
        [self.cpu, self.memory, self.io].iter().all(|it| it.is_none_or(|share| share == 0.0))
    }
}

/// What runs a container, or wrote its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Wharf,
    Lxc,
}

/// Why a container of another user shows nothing, and what to do.
pub const HIDDEN: &str = "permission denied: only root and the user who runs it may look at it; try \
                          again as root";

/// One container.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug)]
pub struct Container {
    pub name: Name,
    pub lxcpath: PathBuf,
    pub origin: Origin,
    /// A `config` file exists (an `execute` container may have none).
    pub defined: bool,
    pub state: State,
    /// When it entered this state, if known.
    pub since: Option<SystemTime>,
    /// Why the state may be incomplete, such as "its supervisor does not answer".
    pub trouble: Option<String>,
    /// This user may not look at it; [`HIDDEN`] says so.
    pub hidden: bool,
    /// When it is started again, while it waits for that because it keeps restarting itself.
    pub restarts_at: Option<SystemTime>,
    /// Its configuration cannot be used.
    pub faulty: bool,
    /// The files whose limits were set by wharf and are lost.
    pub lost_limits: Vec<String>,
    /// Pid of init in the host's pid namespace.
    pub init_pid: Option<i32>,
    /// How the last run ended.
    pub last_exit: Option<Exit>,
    /// An OOM kill ended the last run.
    pub died_of_memory: bool,
    /// Its memory limit when the last run ended, if it is not running and there was one.
    pub last_memory_max_bytes: Option<u64>,
    /// The newest OOM kill of this run, or of the last one if it is not running.
    pub oom_last: Option<OomKill>,
    pub counters: Counters,
    pub network: Network,
    /// Filled only for the container that [`crate::engine::seen::sampler::Interest`] names.
    pub detail: Option<Detail>,
}

impl Container {
    /// Describes how the last run ended, such as `exit 1` or `signal 9, out of memory`.
    pub fn last_end(&self) -> Option<String> {
        let why = if self.died_of_memory { ", out of memory" } else { "" };
        self.last_exit.map(|it| format!("{it}{why}"))
    }
}

/// Cgroup counters of one container.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// CPU in percent of one processor since the sample before.
    pub cpu_percent: Option<f32>,
    pub cpu_total: Option<Duration>,
    /// The quota, in percent of one processor.
    pub cpu_quota_percent: Option<f32>,
    pub periods: Option<u64>,
    pub throttled_periods: Option<u64>,
    /// Memory in use, without the page cache that the kernel would drop first.
    pub memory_bytes: Option<u64>,
    /// That cache, which counts towards the limit while it exists.
    pub memory_cache_bytes: Option<u64>,
    /// `None` inside: no limit.
    pub memory_max_bytes: Option<Limit>,
    pub memory_peak_bytes: Option<u64>,
    pub oom_kills: Option<u64>,
    /// Times `memory.high` (v2) or the limit (v1 `failcnt`) was hit.
    pub memory_hits: Option<u64>,
    pub pids: Option<u64>,
    pub pids_max: Option<Limit>,
    pub io_read_per_second: Option<f64>,
    pub io_write_per_second: Option<f64>,
    pub psi: Psi,
}

/// A container's network, seen from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Network {
    /// It is not running, was not requested, or may not be read.
    #[default]
    Unknown,
    /// It shares the host's.
    OfHost,
    Own {
        /// An address that is reachable from outside, if it has one.
        address: Option<IpAddr>,
        received_per_second: Option<f64>,
        sent_per_second: Option<f64>,
    },
}

/// A limit that may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Max,
    At(u64),
}

/// Details of only the container that is shown in full.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// Every process of the container, as a forest in depth-first order.
    pub processes: Vec<Process>,
    /// Every file of its cgroups with its value, by controller and name; filled on request. While
    /// it is not running, the limits of its configuration, by their whole keys.
    pub files: Vec<CgroupFile>,
    /// The configured root; `None`: there is no configuration, or it cannot be used.
    pub rootfs: Option<Root>,
    /// Namespaces that differ from the host's: `mnt`, `pid` ….
    pub namespaces: Vec<&'static str>,
    /// The container's path below each hierarchy, such as `/lxc.payload.web`.
    pub cgroup: Option<GroupPath>,
    /// The group above with its limits, if LXC was configured to make one.
    pub limit_cgroup: Option<GroupPath>,
    /// The text of its configuration file.
    pub config: Option<String>,
    pub mounts: Vec<String>,
    pub network: Vec<Interface>,
}

/// Where a container's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// It shares the host's.
    Host,
    /// As `lxc.rootfs.path` names it, with its type unless it is a directory.
    Own(PathBuf),
}

impl Root {
    /// Returns the meaning of a value of `lxc.rootfs.path`.
    pub fn of(value: &str) -> Self {
        if matches!(value, "" | "/") { Self::Host } else { Self::Own(value.into()) }
    }

    /// Returns what the root of its own is named by.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Host => None,
            Self::Own(path) => Some(path),
        }
    }
}

/// One network interface inside the container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub addresses: Vec<String>,
    pub rx_bytes: Option<u64>,
    pub tx_bytes: Option<u64>,
}
