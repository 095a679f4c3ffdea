//! A step of a plan: one thing a process does to itself on its way into a container. Pure.
//!
//! A step prints itself, so that log, dry run, error and test share one text.

use std::ffi::CString;
use std::fmt;

use super::{Confinement, DevStep, HookStep, KernelStep, MountStep, Program, RootStep, UserStep};
use crate::engine::sys::filter::FilterInstruction;
use crate::engine::terms::label::Label;
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{AutoMode, ConfigPlace, MountUsers};

/// One thing the new process does to itself before it becomes the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Step {
    DieWithSupervisor,
    JoinCgroups,
    Users(UserStep),
    OwnCgroupNamespace,
    SlaveMounts,
    /// The kernel changes to a profile or context when the program is executed, here or in a child, or
    /// is asked whether it would do so by a later step.
    Confine(Confinement),
    TakeLabel {
        label: Label,
        place: Option<ConfigPlace>,
    },
    Root {
        root: RootStep,
        /// Its device nodes can be opened: its /dev is the container's.
        devices: bool,
        /// Whose its files are shown to be.
        users: Option<MountUsers>,
        place: Option<ConfigPlace>,
    },
    Dev(DevStep),
    Console {
        owner: u32,
        size: Option<WindowSize>,
        /// As `/dev/console`; otherwise only init and what it starts have it.
        shown: bool,
    },
    Ttys {
        count: u32,
    },
    Proc {
        mode: AutoMode,
        network: NetworkSettings,
    },
    Sys {
        mode: AutoMode,
        network: NetworkSettings,
    },
    Mount(MountStep),
    Loopback,
    Hostname {
        name: String,
    },
    Pivot,
    ShareMounts,
    EnterNamespaces {
        flags: i32,
    },
    EnterRoot,
    /// In a mount namespace of its own.
    Remount,
    Pty {
        owner: u32,
        size: Option<WindowSize>,
    },
    HandOver,
    LeaveHost,
    Keyring,
    Bounding {
        drop: Vec<u8>,
    },
    /// Our init is not executed, so it changes to its profile itself.
    BecomeInit {
        mask: u64,
        /// None: signals are passed to the command, which decides when it ends.
        asked: Option<ShutdownSignals>,
    },
    Session {
        terminal: SessionTerminal,
    },
    Identity {
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    },
    LimitCapabilities {
        mask: u64,
    },
    NoNewPrivs,
    Kernel(KernelStep),
    /// A namespace that the supervisor holds open.
    EnterShared {
        space: Space,
        /// Whose it is.
        of: String,
        place: Option<ConfigPlace>,
    },
    Hook(HookStep),
    /// A filter of system calls, for all that follows.
    Filter {
        program: Vec<FilterInstruction>,
        /// The supervisor is notified of some calls.
        notifies: bool,
        place: Option<ConfigPlace>,
    },
    /// Another process continues here.
    Appear {
        /// The `CLONE_NEW*` flags of those that it is born with.
        namespaces: i32,
        /// It does nothing before its maker knows it.
        awaited: bool,
    },
    WorkDir {
        /// The root directory instead, if it cannot be entered.
        or_root: bool,
        dir: CString,
    },
    Exec(Program),
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}

/// Which session has the console when the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum SessionTerminal {
    /// It is the controlling terminal of the program's own session.
    Ours,
    /// It is that of our init's session, where the program has the foreground: the end of a session's
    /// leader hangs up what it has put into the background but not yet into a session of its own.
    Inits,
    /// It is free for any session: an init leaves it to the shells that it starts.
    Free,
}

/// The signals that ask our init to end everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct ShutdownSignals {
    pub halt: i32,
    pub reboot: i32,
}

/// How a mount with mode `mixed` treats the network's own settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum NetworkSettings {
    /// They are writable: the network is the container's, or it may administer the host's.
    Open,
    ReadOnly,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DieWithSupervisor => write!(f, "tie init's life to the supervisor's"),
            Self::JoinCgroups => write!(f, "join the cgroups"),
            Self::Users(it) => it.fmt(f),
            Self::OwnCgroupNamespace => write!(f, "make a cgroup namespace"),
            Self::SlaveMounts => write!(f, "keep mounts from the host"),
            Self::Confine(it) => it.fmt(f),
            Self::TakeLabel { label, .. } => write!(f, "change to {label}"),
            Self::Root { root, .. } => root.fmt(f),
            Self::Dev(it) => it.fmt(f),
            Self::Console { shown: true, .. } => write!(f, "make /dev/console"),
            Self::Console { shown: false, .. } => write!(f, "make a terminal for init"),
            Self::Ttys { count } => write!(f, "make /dev/tty1 to /dev/tty{count}"),
            Self::Proc { .. } => write!(f, "mount proc on /proc"),
            Self::Sys { .. } => write!(f, "mount sysfs on /sys"),
            Self::Mount(mount) => mount.fmt(f),
            Self::Loopback => write!(f, "bring the loopback interface up"),
            Self::Hostname { name } => write!(f, "set the host name to {name}"),
            Self::Pivot => write!(f, "pivot to the container's root"),
            Self::ShareMounts => write!(f, "share mounts within the container"),
            Self::EnterNamespaces { .. } => write!(f, "enter the namespaces"),
            Self::EnterRoot => write!(f, "enter the container's root"),
            Self::Remount => write!(f, "mount /proc and /sys anew"),
            Self::Pty { .. } => write!(f, "open a pty"),
            Self::HandOver => write!(f, "hand over the terminals"),
            Self::LeaveHost => write!(f, "give up what belongs to the host"),
            Self::Keyring => write!(f, "make a session keyring"),
            Self::Bounding { .. } => write!(f, "drop capabilities"),
            Self::BecomeInit { .. } => write!(f, "become init"),
            Self::Session { .. } => write!(f, "open a session"),
            Self::Identity { uid, gid, .. } => write!(f, "become uid {uid}, gid {gid}"),
            Self::LimitCapabilities { .. } => write!(f, "limit capabilities"),
            Self::NoNewPrivs => write!(f, "set no_new_privs"),
            Self::Kernel(it) => it.fmt(f),
            Self::EnterShared { space, of, .. } => {
                write!(f, "enter the {} namespace of {of}", space.word())
            }
            Self::Hook(it) => f.write_str(&it.text),
            Self::Filter { .. } => write!(f, "load the seccomp profile"),
            Self::Appear { namespaces: 0, .. } => write!(f, "create a process in the container"),
            Self::Appear { namespaces, .. } => {
                let own = Space::ALL.into_iter().filter(|it| namespaces & it.flag() != 0);
                let own: Vec<&str> = own.map(Space::word).collect();
                write!(f, "create a process there with namespaces of its own ({})", own.join(", "))
            }
            Self::WorkDir { dir, .. } => write!(f, "enter {}", dir.to_string_lossy()),
            Self::Exec(program) => {
                let name = program.argv.first().map(|it| it.to_string_lossy());
                write!(f, "exec {}", name.unwrap_or_default())
            }
        }
    }
}

impl Step {
    /// Returns the place in a file where the operator asked for this step, if any.
    pub(in crate::engine) const fn place(&self) -> Option<&ConfigPlace> {
        if let Self::Root { place, .. }
        | Self::Filter { place, .. }
        | Self::EnterShared { place, .. }
        | Self::TakeLabel { place, .. }
        | Self::Mount(MountStep { place, .. })
        | Self::Hook(HookStep { place, .. })
        | Self::Confine(Confinement { place, .. }) = self
        {
            place.as_ref()
        } else if let Self::Kernel(step) = self {
            step.place()
        } else if let Self::Users(step) = self {
            step.place()
        } else {
            None
        }
    }
}
