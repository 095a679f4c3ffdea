//! The verbs of the engine: what a caller can request, for use in errors.

use std::fmt;

/// Everything that can be requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    List,
    Processes,
    Info,
    Look,
    Create,
    Start,
    Execute,
    Autostart,
    Stop,
    Restart,
    Freeze,
    Unfreeze,
    Checkpoint,
    Restore,
    Console,
    ReadConsole,
    Attach,
    /// Any of the next three.
    EditCgroup,
    ReadCgroup,
    SetCgroup,
    KeepLimit,
    AddDevice,
    RemoveDevice,
    Monitor,
    Wait,
    Destroy,
    /// Gives back what was destroyed.
    RestoreTrashed,
    EmptyTrash,
    Clone,
    Rename,
    Snapshot,
    Signal,
    CheckConfig,
    ReadConfig,
    Configure,
    LinkNames,
    Complete,
    WriteManual,
    /// Counters of several, again and again.
    Top,
}

impl Verb {
    /// Returns what it does to a container, as in "cannot ACT `web`".
    pub const fn act(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Processes => "list the processes of",
            Self::Info => "show",
            Self::Look => "inspect",
            Self::Create => "create",
            Self::Start => "start",
            Self::Execute => "run a command in",
            Self::Autostart => "start with the machine",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::Checkpoint => "checkpoint",
            Self::Restore | Self::RestoreTrashed => "restore",
            Self::Console => "open the console of",
            Self::ReadConsole => "read the console of",
            Self::Attach => "attach to",
            Self::EditCgroup => "read or change the limits of",
            Self::ReadCgroup => "read a cgroup value of",
            Self::SetCgroup => "set a cgroup value of",
            Self::KeepLimit => "keep a limit of",
            Self::AddDevice => "add a device to",
            Self::RemoveDevice => "remove a device from",
            Self::Monitor => "monitor",
            Self::Wait => "wait for",
            Self::Destroy => "destroy",
            Self::EmptyTrash => "remove from the trash",
            Self::Clone => "clone",
            Self::Rename => "rename",
            Self::Snapshot => "snapshot",
            Self::Signal => "signal a process of",
            Self::CheckConfig => "check",
            Self::Top => "follow the use of",
            Self::ReadConfig => "read the configuration of",
            Self::Configure => "change the configuration of",
            Self::LinkNames => "link LXC's command names in",
            Self::Complete => "complete the name of",
            Self::WriteManual => "write the manual of",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.act())
    }
}
