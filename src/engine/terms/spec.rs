//! The typed description of a container that its configuration yields. Plain data, already valid.

use std::path::PathBuf;

use crate::engine::sys::filter::FilterInstruction;
use crate::engine::terms::hook::Hook;
use crate::engine::terms::idmap::IdMap;
use crate::engine::terms::label::{Label, OwnProfile};
use crate::engine::terms::name::Name;
use crate::engine::terms::nic::Nic;
use crate::engine::terms::rootfs::{Rootfs, Stage};
use crate::engine::terms::space::Space;

/// The file and line where something was configured, for error messages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigPlace {
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: usize,
}

impl std::fmt::Display for ConfigPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} of {}", self.line, self.file.display())
    }
}

/// A value and the place it was configured at (none: a default or the command line).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub place: Option<ConfigPlace>,
}

/// Everything `start` needs to know about a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub name: Name,
    pub lxcpath: PathBuf,
    /// `lxc.uts.name`, set only if the UTS namespace is its own.
    pub hostname: Option<String>,
    /// `lxc.rootfs.path`; none shares the host's root.
    pub rootfs: Option<At<Rootfs>>,
    /// `lxc.rootfs.options`: the `MS_*` flags for the mount of that root.
    pub root_flags: Option<At<libc::c_ulong>>,
    /// `lxc.rootfs.options`: `idmap=`.
    pub root_users: Option<MountUsers>,
    /// `lxc.mount.fstab`'s lines, then `lxc.mount.entry`'s, in order.
    pub mounts: Vec<At<Mount>>,
    pub auto: AutoMounts,
    pub groups: GroupNames,
    /// `lxc.cgroup.FILE`, written on v1 hierarchies, in order.
    pub cgroup_v1: Vec<At<CgroupSetting>>,
    /// `lxc.cgroup2.FILE`, written on the unified hierarchy, in order.
    pub cgroup_v2: Vec<At<CgroupSetting>>,
    pub init: InitSpec,
    /// `lxc.tty.max`: number of `/dev/ttyN` ptys.
    pub tty_max: u32,
    /// `lxc.tty.dir`: the directory in `/dev` that holds the console and the ttys; links lead
    /// there.
    pub tty_dir: Option<String>,
    /// `lxc.pty.max`: limit of the container's devpts; 0 is LXC's default of 1024.
    pub pty_max: u32,
    /// `lxc.autodev = 0`: its /dev is the one in its root.
    pub own_dev: bool,
    /// `lxc.autodev.tmpfs.size`: bytes of the container's /dev; 0 is LXC's default of 500000.
    pub dev_bytes: u32,
    pub console: ConsoleSpec,
    pub namespaces: Namespaces,
    /// The interfaces of its own network besides the loopback.
    pub nics: Vec<At<Nic>>,
    /// `lxc.idmap`; none: its users are the host's.
    pub idmap: Option<At<IdMap>>,
    pub capabilities: Capabilities,
    /// `lxc.apparmor.profile` or `lxc.selinux.context`: what confines it; none: what confines wharf.
    pub label: Option<At<Label>>,
    /// The profile of that name, if it is made for the container alone.
    pub own_profile: Option<At<OwnProfile>>,
    /// `lxc.selinux.context.keyring`: the context of its session keyring.
    pub keyring_label: Option<String>,
    pub no_new_privs: bool,
    /// `lxc.seccomp.profile`, compiled: the program by which the kernel decides about each system
    /// call.
    pub filter: Option<At<Vec<FilterInstruction>>>,
    /// Who decides about the calls that the filter leaves to others, if it does.
    pub notify: Option<NotifySpec>,
    /// `lxc.ephemeral`: it is destroyed when it stops.
    pub ephemeral: bool,
    /// Variables given to init, besides `container=lxc`, in order.
    pub environment: Vec<(String, String)>,
    pub signals: SignalSpec,
    pub log: LogSpec,
    pub hooks: Hooks,
    pub process: ProcessSpec,
    /// What has no effect in the configuration, in words.
    pub warnings: Vec<String>,
}

impl Spec {
    /// Takes the directory on which a root is mounted that is not a directory.
    pub fn stage_at(&mut self, path: PathBuf) {
        let Some(At { value: root, .. }) = &mut self.rootfs else { return };
        if let Stage::Ours(place) = &mut root.stage {
            *place = path;
        }
        let told = root.place().to_string_lossy().into_owned();
        let mounted = self.hooks.environment.iter_mut().find(|(key, _)| key == ROOT_MOUNT);
        if let Some((_, value)) = mounted {
            *value = told;
        }
    }
}

/// The variable that tells a hook where the root is mounted.
pub const ROOT_MOUNT: &str = "LXC_ROOTFS_MOUNT";

/// All hooks, and the environment they get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    pub all: Vec<At<Hook>>,
    /// `lxc.hook.version = 0`: they get arguments as well.
    pub by_arguments: bool,
    /// `lxc.monitor.unshare`: what the supervisor and those on the host mount is theirs alone.
    pub mount_apart: bool,
    /// Added to the environment of whoever starts the container.
    pub environment: Vec<(String, String)>,
    /// `lxc.environment`: added for hooks that the new process runs, as with LXC. An image may have
    /// brought it, so no program of the supervisor's gets it.
    pub own: Vec<(String, String)>,
}

/// What the container's processes start with, besides privileges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessSpec {
    /// `lxc.arch`: the execution domain of personality(2), which decides what uname(2) shows as the
    /// machine; none: wharf's own.
    pub personality: Option<u32>,
    /// `lxc.prlimit.NAME`, each once.
    pub limits: Vec<At<ResourceLimit>>,
    /// `lxc.sysctl.NAME`, in order.
    pub sysctls: Vec<At<KernelSetting>>,
    /// `lxc.proc.FILE`, in order.
    pub proc_files: Vec<At<KernelSetting>>,
    /// `lxc.init.groups`: init's supplementary groups.
    pub groups: Vec<u32>,
    /// `lxc.keyring.session = 1`: it keeps the session keyring of who started it.
    pub callers_keyring: bool,
    /// `lxc.sched.core`: nothing else runs on a core beside its processes; none: others may.
    pub own_cores: Option<At<()>>,
    /// `lxc.time.offset.*`: how far its clocks are ahead; none: it has the host's.
    pub clocks: Option<ClockOffsets>,
}

/// `lxc.seccomp.notify.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifySpec {
    /// The socket of who decides: a path, or a name without a file behind `@`; none: nobody, and the
    /// calls fail.
    pub proxy: Option<String>,
    /// Sent along with each question.
    pub cookie: String,
}

/// A resource limit of setrlimit(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceLimit {
    pub resource: nix::sys::resource::Resource,
    /// Its name after `lxc.prlimit.`, and the value as configured.
    pub setting: KernelSetting,
    /// `RLIM_INFINITY`: unlimited.
    pub soft: u64,
    pub hard: u64,
}

/// A value for a file of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelSetting {
    /// As configured: `net.ipv4.ip_forward` of `lxc.sysctl.net.ipv4.ip_forward`.
    pub name: String,
    pub value: String,
}

impl std::fmt::Display for KernelSetting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {}", self.name, self.value)
    }
}

/// How far the clocks of a time namespace are ahead of the host's; see time_namespaces(7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockOffsets {
    pub boot: ClockOffset,
    pub monotonic: ClockOffset,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockOffset {
    pub seconds: i64,
    /// 0 to 999 999 999.
    pub nanoseconds: u32,
}

/// One line of a mount table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    /// Host path, or the name a file system type wants (`proc`, `tmpfs`, `none`).
    pub source: String,
    /// Path below the container's root, without a leading slash.
    pub target: PathBuf,
    pub fstype: String,
    /// `MS_*` flags of mount(2), propagation flags excluded.
    pub flags: libc::c_ulong,
    /// `MS_SHARED`, `MS_PRIVATE|MS_REC` …, applied after the mount; 0 for none.
    pub propagation: libc::c_ulong,
    /// Options for the file system itself (`size=4k,mode=755`).
    pub data: String,
    /// A missing source or target is not a failure.
    pub optional: bool,
    /// Makes the missing target first.
    pub create: Option<TargetKind>,
    /// The source is below the container's root.
    pub relative: bool,
    /// Whose the files in it are shown to be; none: whose they are.
    pub users: Option<MountUsers>,
}

/// `idmap=`: by which user namespace's map a mount shows the owners of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountUsers {
    Container,
    /// A file such as `/proc/PID/ns/user`.
    Namespace(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    Dir,
    File,
}

/// `lxc.mount.auto`, except for `shmounts`, which is one of [`Spec::mounts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AutoMounts {
    pub proc: Option<AutoMode>,
    pub sys: Option<AutoMode>,
    pub cgroup: Option<At<AutoCgroup>>,
    /// What there is to mount for the last; filled in by who starts the container.
    pub hierarchies: Vec<MountedHierarchy>,
}

/// Which of the host's hierarchies a container gets mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoCgroup {
    pub reach: CgroupReach,
    /// None: read-write.
    pub mode: Option<AutoMode>,
    /// Although it could mount them itself.
    pub forced: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupReach {
    /// `cgroup` and `cgroup-full`, which are the same in a cgroup namespace.
    All,
    /// `cgroup2`.
    Unified,
}

/// A cgroup hierarchy of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedHierarchy {
    /// Its directory below the place where cgroups are mounted.
    pub name: PathBuf,
    /// The options of mount(8) that name it; none for the unified one.
    pub v1: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoMode {
    ReadOnly,
    /// Read-only where writing would affect the host.
    Mixed,
    ReadWrite,
}

/// One value for one cgroup file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupSetting {
    /// File name, such as `memory.max`.
    pub file: String,
    pub value: String,
    /// The key that sets it, if that is for the other version of cgroups than the file.
    pub given: Option<String>,
}

/// What becomes the container's first process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitSpec {
    /// `lxc.init.cmd` split, or the command line's command, or `/sbin/init`.
    pub argv: Vec<String>,
    /// It is not pid 1 but the child of wharf's own init: `lxc.execute.cmd` is the same.
    pub tended: bool,
    pub cwd: PathBuf,
    pub uid: u32,
    pub gid: u32,
}

/// `lxc.console.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleSpec {
    /// `lxc.console.path`: `none` turns the console off.
    pub off: bool,
    /// `lxc.console.path`: a host device or file that the output is copied to.
    pub path: Option<PathBuf>,
    /// `lxc.console.logfile`.
    pub logfile: Option<PathBuf>,
    /// `lxc.console.buffer.size` in bytes; 0 is off for LXC's `CONSOLE_LOG`.
    pub buffer_bytes: u64,
    /// `lxc.console.size`: cap on the log file in bytes. LXC has none by default, wharf has one.
    pub log_bytes: u64,
    pub rotate: bool,
}

/// Whose namespace of a kind a container is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Belonging {
    /// A new one.
    Own,
    /// That of whoever starts it.
    Kept,
    /// `lxc.namespace.share.KIND`: that of a process, of another container or at a path, as
    /// configured.
    Shared(At<String>),
}

/// `lxc.namespace.*`, and what follows from the network's types and the offsets of clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespaces([Belonging; Space::ALL.len()]);

impl Namespaces {
    /// Decides about each kind.
    pub fn of(decide: impl FnMut(Space) -> Belonging) -> Self {
        Self(Space::ALL.map(decide))
    }

    /// Returns whether the container has one of its own.
    pub fn has_own(&self, space: Space) -> bool {
        self.each().any(|(it, belonging)| it == space && *belonging == Belonging::Own)
    }

    /// Returns whether the container has that of who starts it.
    pub fn keeps(&self, space: Space) -> bool {
        self.each().any(|(it, belonging)| it == space && *belonging == Belonging::Kept)
    }

    /// Returns whether it is in one of another.
    pub fn shares(&self, space: Space) -> bool {
        self.shared().any(|(it, _)| it == space)
    }

    /// Lists those of others, and whose they are.
    pub fn shared(&self) -> impl Iterator<Item = (Space, &At<String>)> {
        self.each().filter_map(|(space, it)| match it {
            Belonging::Shared(from) => Some((space, from)),
            Belonging::Own | Belonging::Kept => None,
        })
    }

    /// Returns the `CLONE_NEW*` flags of its own.
    pub fn flags(&self) -> u64 {
        let own = self.each().filter(|(_, it)| **it == Belonging::Own);
        own.fold(0, |flags, (space, _)| flags | space.flag() as u64)
    }

    /// Returns the flags of those that a process is born with. That of cgroups is made once it is in
    /// the container's groups, that of time by unshare(2), and that of the network once users of its
    /// own are mapped.
    pub fn at_birth(&self) -> u64 {
        let network = if self.has_own(Space::User) { Space::Net.flag() } else { 0 };
        self.flags() & !((Space::Cgroup.flag() | Space::Time.flag() | network) as u64)
    }

    fn each(&self) -> impl Iterator<Item = (Space, &Belonging)> {
        Space::ALL.into_iter().zip(&self.0)
    }
}

impl Default for Namespaces {
    /// Those that LXC makes if nothing is configured.
    fn default() -> Self {
        Self::of(|space| match space {
            Space::User | Space::Time => Belonging::Kept,
            Space::Mnt | Space::Pid | Space::Uts | Space::Ipc | Space::Net | Space::Cgroup => {
                Belonging::Own
            }
        })
    }
}

/// Where the container's groups are: names below the place where wharf makes groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupNames {
    /// Of the group with its limits, such as `lxc.payload.web`.
    pub payload: At<String>,
    /// Of its supervisor's own, such as `lxc.monitor.web`.
    pub monitor: At<String>,
    /// `lxc.cgroup.dir.container.inner`: the group below the first in which its processes are.
    pub inner: Option<String>,
    /// Both are configured whole: a name that is taken gets no suffix.
    pub exact: bool,
    /// `lxc.cgroup.relative`: they are below those of who starts the container, not at the root.
    pub relative: bool,
}

/// `lxc.cap.*`: which capabilities stay in the bounding set, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Capabilities {
    Drop(Vec<u8>),
    Keep(Vec<u8>),
}

/// `lxc.signal.*`, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalSpec {
    /// None: SIGPWR, or SIGRTMIN+3 if init blocks that one (systemd).
    pub halt: Option<i32>,
    pub reboot: i32,
    pub stop: i32,
    /// `lxc.monitor.signal.pdeath`: what init gets when the supervisor dies; 0: nothing.
    pub parent_death: i32,
}

/// `lxc.log.*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSpec {
    /// `lxc.log.file`.
    pub file: Option<PathBuf>,
    /// `lxc.log.level`: what is less important is left out.
    pub level: LogLevel,
    /// `lxc.log.syslog`, by its number in syslog(3).
    pub facility: Option<u8>,
}

/// How important something is, in LXC's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Notice,
    Warn,
    #[default]
    Error,
    Crit,
    Alert,
    Fatal,
}

impl LogLevel {
    pub const ALL: [Self; 9] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warn,
        Self::Error,
        Self::Crit,
        Self::Alert,
        Self::Fatal,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Notice => "NOTICE",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Crit => "CRIT",
            Self::Alert => "ALERT",
            Self::Fatal => "FATAL",
        }
    }

    /// Returns its number in syslog(3).
    pub const fn severity(self) -> u8 {
        match self {
            Self::Trace | Self::Debug => 7,
            Self::Info => 6,
            Self::Notice => 5,
            Self::Warn => 4,
            Self::Error => 3,
            Self::Crit => 2,
            Self::Alert => 1,
            Self::Fatal => 0,
        }
    }
}
