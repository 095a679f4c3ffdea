//! Whether this process may do what starting a container takes, and if not, who took it away. It
//! changes nothing.

mod calls;
mod seen;

use std::error::Error as StdError;
use std::io;
use std::path::Path;

use nix::errno::Errno;

use crate::engine::cgroup::CgroupError;
use crate::engine::entry::launch::LaunchError;
use crate::engine::{Engine, Error};
use seen::Seen;

const SYS_ADMIN: u8 = 21;

/// Says why this process cannot start containers; none if it has what it takes at least.
pub(in crate::engine) fn missing() -> Option<String> {
    let seen = Seen::look(&[]);
    if seen.effective & (1 << SYS_ADMIN) != 0 {
        None
    } else if seen.is_root {
        Some(
            "root lacks CAP_SYS_ADMIN here, which a container's namespaces and mounts require; a \
             unit's CapabilityBoundingSet=, or the container that wharf runs in, removed it"
                .to_owned(),
        )
    } else {
        Some(
            "root is needed for a container's namespaces, mounts and cgroups (an ordinary user's \
             containers are not supported yet); run wharf as root, as with sudo"
                .to_owned(),
        )
    }
}

/// Says why this process would be killed, without a word, if it started a container or went into
/// one; none if it would not.
pub(in crate::engine) fn deadly() -> Option<String> {
    Seen::look(&[]).deadly()
}

impl Engine {
    /// Adds to `error` what around this process may be behind it, with the settings of systemd
    /// that do so; nothing where the process runs as a root usually does, or the kernel refused
    /// for another reason.
    pub fn explain(&self, error: Error) -> Error {
        let Some(errno) = errno(error.source.as_ref()) else { return error };
        let Some(behind) = self.seen().behind(errno) else { return error };
        Error { source: format!("{}; {behind}", error.reason()).into(), ..error }
    }

    fn seen(&self) -> Seen {
        // What is not there yet is made in the nearest directory that is.
        let is_there = |it: &&Path| it.exists();
        let places = [self.lxcpath.host().runtime_path(), self.lxcpath.dir()];
        let places: Vec<&Path> =
            places.iter().filter_map(|it| it.ancestors().find(is_there)).collect();
        Seen::look(&places)
    }
}

/// Returns the refusal that is at the bottom of `error`, if it is one that a restriction may have
/// made.
fn errno(error: &(dyn StdError + 'static)) -> Option<Errno> {
    let mut next = Some(error);
    while let Some(it) = next {
        match it.downcast_ref() {
            // A file of the host's that is not there.
            Some(LaunchError::Step { errno, .. }) => return Some(*errno),
            Some(LaunchError::Killed { signal: libc::SIGSYS, .. }) => return Some(Errno::EPERM),
            Some(_) | None => (),
        }
        if let Some(error) = it.downcast_ref::<CgroupError>() {
            return error.errno().and_then(io::Error::raw_os_error).map(Errno::from_raw);
        }
        let number = it.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        let errno = it.downcast_ref().copied().or_else(|| number.map(Errno::from_raw));
        if let Some(errno) = errno {
            // What is missing elsewhere is just not there.
            return (errno != Errno::ENOENT).then_some(errno);
        }
        next = it.source();
    }
    None
}
