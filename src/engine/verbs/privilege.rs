//! Whether this process may do what starting a container requires, and if not, what prevents it. It
//! changes nothing.

mod calls;
mod ordinary;
mod seen;

use std::error::Error as StdError;
use std::io;
use std::path::Path;

use nix::errno::Errno;

use crate::engine::cgroup::CgroupError;
use crate::engine::config::Config;
use crate::engine::entry::host_steps::HostStepError;
use crate::engine::entry::launch::LaunchError;
use crate::engine::host::Host;
use crate::engine::terms::spec::Spec;
use crate::engine::{Engine, Error};
pub(super) use ordinary::{barred_part, barred_types};
use seen::{Seen, Standing};

const SYS_ADMIN: u8 = 21;

/// Returns why this process cannot start containers; none if it has the basic privileges.
pub(in crate::engine) fn missing() -> Option<String> {
    if Standing::read().effective & (1 << SYS_ADMIN) != 0 {
        None
    } else {
        nix::unistd::geteuid().is_root().then(|| {
            "root lacks CAP_SYS_ADMIN here, which a container's namespaces and mounts require; a \
             unit's CapabilityBoundingSet=, or the container that wharf runs in, removed it"
                .to_owned()
        })
    }
}

/// Returns why this process, without root, cannot start this container; none if it can, or is root.
pub(in crate::engine) fn missing_for(host: &Host, config: &Config, spec: &Spec) -> Option<String> {
    if nix::unistd::geteuid().is_root() { None } else { ordinary::missing(host, config, spec) }
}

/// Returns why this process would be killed silently if it started or entered a container; none if
/// it would not.
pub(in crate::engine) fn deadly() -> Option<String> {
    // Only a filter kills, and most have none.
    if Standing::read().is_filtered { Seen::look(&[]).deadly() } else { None }
}

impl Engine {
    /// Adds to `error` the restrictions of this process that may be behind it, with the systemd
    /// settings that cause them; nothing if the process is an unrestricted root, or the kernel
    /// refused for another reason.
    pub fn explain(&self, error: Error) -> Error {
        let Some(errno) = errno(error.source.as_ref()) else { return error };
        let Some(behind) = self.seen().behind(errno) else { return error };
        Error { source: format!("{}; {behind}", error.reason()).into(), ..error }
    }

    fn seen(&self) -> Seen {
        // A missing path is created in its nearest existing directory.
        let is_there = |it: &&Path| it.exists();
        let places = [self.lxcpath.host().runtime_path(), self.lxcpath.dir()];
        let places: Vec<&Path> =
            places.iter().filter_map(|it| it.ancestors().find(is_there)).collect();
        Seen::look(&places)
    }
}

/// Returns the refusal at the root of `error`, if a restriction may have caused it.
fn errno(error: &(dyn StdError + 'static)) -> Option<Errno> {
    let mut next = Some(error);
    while let Some(it) = next {
        match it.downcast_ref() {
            // A file of the host's that does not exist.
            Some(LaunchError::Step { errno, .. }) => return Some(*errno),
            Some(LaunchError::Killed { signal: libc::SIGSYS, .. }) => return Some(Errno::EPERM),
            Some(_) | None => (),
        }
        if let Some(error) = it.downcast_ref::<CgroupError>() {
            return error.errno().and_then(io::Error::raw_os_error).map(Errno::from_raw);
        }
        if let Some(error) = it.downcast_ref::<HostStepError>() {
            return error.errno.filter(|it| *it != Errno::ENOENT);
        }
        let number = it.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        let errno = it.downcast_ref().copied().or_else(|| number.map(Errno::from_raw));
        if let Some(errno) = errno {
            // Elsewhere, a missing file simply does not exist.
            return (errno != Errno::ENOENT).then_some(errno);
        }
        next = it.source();
    }
    None
}
