//! What of its container a command enters, and what of its confinement it has. Plain data; by itself,
//! a command has all of both.

use crate::engine::config;
use crate::engine::entry::plan::SeenFiles;
use crate::engine::terms::space::Space;

/// What a command has of its container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachAccess {
    /// The namespaces that it enters, as far as they differ; none: all.
    pub spaces: Option<Vec<Space>>,
    /// What it keeps of the caller's.
    pub keeps: Vec<CallersOwn>,
    /// Another profile or context, by name.
    pub label: Option<String>,
    /// What uname(2) shows as the machine.
    pub machine: Option<ShownMachine>,
    /// Where it does not enter the mount namespace, it gets one of its own, in which /proc and /sys
    /// show the namespaces that it has entered.
    pub remounts: bool,
}

/// What a command may keep of its caller's instead of having the container's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallersOwn {
    Cgroups,
    Capabilities,
    /// Neither the container's profile or context applies, nor its filter of system calls.
    Freedom,
}

impl AttachAccess {
    /// Returns whether it enters `space` if that differs.
    pub(super) fn enters(&self, space: Space) -> bool {
        self.spaces.as_ref().is_none_or(|it| it.contains(&space))
    }

    /// Returns whose files it sees.
    pub(super) fn files(&self) -> SeenFiles {
        match (self.enters(Space::Mnt), self.remounts) {
            (true, _) => SeenFiles::Containers,
            (false, true) => SeenFiles::HostsRemounted,
            (false, false) => SeenFiles::Hosts,
        }
    }
}

/// A machine as which the kernel can show itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownMachine(pub(super) u32);

impl ShownMachine {
    /// Finds the one called so by `lxc.arch`, such as `i686`.
    pub fn named(name: &str) -> Option<Self> {
        config::personality(name).map(Self)
    }
}
