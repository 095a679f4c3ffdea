//! The container engine: the facade that the screen and the commands call. It knows the kernel
//! and LXC's files, and nothing of screens or keys.
//!
//! Each verb lives in a file of its own as `impl Engine`; the machinery below them (config, plan,
//! launch, supervisor, cgroup, sample) is private to the engine where it can be.

pub mod cgroup;
mod config;
mod entry;
mod host;
mod image;
mod running;
mod seccomp;
mod seen;
mod store;
mod sys;
mod terms;
mod verbs;

use std::path::Path;

pub use config::{
    Config, command_words, default_config, load as load_config, parse as parse_config,
    signal_names, signal_number, system_settings,
};
pub use host::Host;
pub use host::lxcpath::Lxcpath;
pub use host::mapped::MAPPED;
pub use host::{accounts, identity, lxcpath};
pub use running::{command_socket, event, oom};
pub use seen::process;
pub use seen::sample;
pub use seen::sampler;
pub use sys::{Side, clone3, exit_now, keep_ended_children, pty, set_window_size};
pub use terms::error::{Error, ErrorKind};
pub use terms::exit::Exit;
pub use terms::name::Name;
pub use terms::state::State;
pub use terms::verb::Verb;
pub use terms::{
    error, exit, hook, id, idmap, name, nic, progress, shown, space, spec, state, verb,
};
#[cfg(any(test, fuzzing))]
pub use verbs::fuzzed;
pub use verbs::{
    apart, attach, autostart, check, checkpoint, configure, configured, console, create, freeze,
    keys, limits, mapped, nested, outline, proxmox, snapshot, start, stop, trash,
};

/// The engine over one lxcpath. Holds no connection and no lock: every call starts afresh.
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

    /// Returns how a command line for them begins: with the lxcpath unless it is the default one.
    pub fn command_line(&self) -> String {
        store::command_for(&self.lxcpath)
    }
}
