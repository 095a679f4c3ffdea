//! The container engine: the facade that the screen and the commands call. It knows the kernel
//! and LXC's files, and nothing of screens or keys.
//!
//! Each verb lives in a file of its own as `impl Engine`; the machinery below them (config, plan,
//! launch, supervisor, cgroup, sample) is private to the engine where it can be.

mod apparmor;
pub mod attach;
pub mod cgroup;
pub mod check;
pub mod command_socket;
pub mod config;
pub mod console;
pub mod create;
pub mod destroy;
pub mod error;
pub mod event;
pub mod exit;
pub mod freeze;
mod halt;
pub mod host;
pub mod id;
pub mod identity;
mod init;
pub mod launch;
pub mod limits;
pub mod look;
pub mod lxcpath;
mod mountinfo;
pub mod name;
pub mod oom;
mod perform;
pub mod plan;
mod privilege;
pub mod process;
pub mod proxmox;
pub mod record;
pub mod relay;
mod report;
pub mod sample;
mod seal;
pub mod shown;
mod signal;
pub mod snapshot;
pub mod spec;
pub mod start;
pub mod state;
pub mod stop;
pub mod store;
pub mod supervisor;
pub mod sys;
mod tidy;
pub mod verb;
pub mod wait;

use std::path::Path;

pub use error::{Error, Kind};
pub use exit::Exit;
pub use host::Host;
pub use lxcpath::Lxcpath;
pub use name::Name;
pub use state::State;
pub use verb::Verb;

/// The engine over one lxcpath. Holds no connection and no lock: every call looks afresh.
#[derive(Clone, Debug)]
pub struct Engine {
    lxcpath: Lxcpath,
}

impl Engine {
    /// Uses `lxcpath`, or the default one: for root `lxc.lxcpath` of `/etc/lxc/lxc.conf`, else
    /// `/var/lib/lxc`; for others `~/.local/share/lxc`. The directory need not exist.
    pub fn open(lxcpath: Option<&Path>) -> Self {
        let host = Host::this();
        Self::over(match lxcpath {
            Some(given) => Lxcpath::open(&host, given),
            None => Lxcpath::open(&host, &store::default_lxcpath()),
        })
    }

    /// Uses an lxcpath that was opened before.
    pub const fn over(lxcpath: Lxcpath) -> Self {
        Self { lxcpath }
    }

    /// Returns the directory that holds the containers.
    pub const fn lxcpath(&self) -> &Lxcpath {
        &self.lxcpath
    }
}
