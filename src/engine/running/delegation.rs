//! A cgroup for what an ordinary user starts: one that is delegated, in which the kernel lets the
//! user make groups and move processes.

use nix::unistd::{AccessFlags, access, geteuid};

use crate::engine::cgroup::{Hierarchies, Layout};
use crate::engine::host::{Host, user_manager};

/// Has the user's systemd move this process, which must be single-threaded, to such a group, unless
/// it is root or has one. Without such a manager it stays where it is.
pub(in crate::engine) fn seek(host: &Host, what: &str) {
    if geteuid().is_root() {
        return;
    }
    let hierarchies = Hierarchies::discover(host).unwrap_or_default();
    let Some(unified) = hierarchies.unified() else { return };
    if access(&unified.base.join("cgroup.procs"), AccessFlags::W_OK).is_err() {
        // Whoever needs the group reports that there is none.
        _ = user_manager::enter_scope(what);
    }
}

/// Returns whether a group in which limits hold is to be had: this process may write where groups are
/// made, or the user's systemd delegates one to what starts a container.
pub(in crate::engine) fn is_to_be_had(hierarchies: &Hierarchies) -> bool {
    hierarchies.iter().any(|it| access(&it.base, AccessFlags::W_OK).is_ok())
        || hierarchies.layout() == Some(Layout::V2) && user_manager::is_there()
}
