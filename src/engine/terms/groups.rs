//! What a container's control groups are usually called, as with LXC.

use super::name::Name;

/// How the name begins of the group that has a container's limits and processes.
pub(in crate::engine) const PAYLOAD: &str = "lxc.payload.";

/// Returns the name of the group that has a container's limits and processes.
pub(in crate::engine) fn payload(container: &Name) -> String {
    format!("{PAYLOAD}{container}")
}

/// Returns the name of its supervisor's own group.
pub(in crate::engine) fn monitor(container: &Name) -> String {
    format!("lxc.monitor.{container}")
}
