//! What a container's control groups are usually called, as with LXC.

use super::name::Name;

/// Returns the name of the group that has a container's limits and processes.
pub(in crate::engine) fn payload(container: &Name) -> String {
    format!("lxc.payload.{container}")
}

/// Returns the name of its supervisor's own group.
pub(in crate::engine) fn monitor(container: &Name) -> String {
    format!("lxc.monitor.{container}")
}
