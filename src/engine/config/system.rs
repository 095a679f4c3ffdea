//! LXC's settings for the whole host, in `lxc.conf`; see lxc.system.conf(5).

use std::path::PathBuf;

use super::Document;
use crate::engine::host::Host;

/// Returns LXC's own configuration for the containers that are made on this machine, which need
/// not exist: what `lxc.default_config` of `lxc.conf` names, or `default.conf`.
pub fn default_config(host: &Host) -> PathBuf {
    let named = lxc_conf(host).values("lxc.default_config").last().map(PathBuf::from);
    let absolute = named.filter(|it| it.is_absolute());
    absolute.unwrap_or_else(|| host.lxc_config().join("default.conf"))
}

/// Returns the controllers that `lxc.cgroup.use` of `lxc.conf` names; none: all are used.
pub(in crate::engine) fn used_controllers(host: &Host) -> Option<Vec<String>> {
    let used = lxc_conf(host).values("lxc.cgroup.use").last()?.to_owned();
    Some(used.split(',').map(|it| it.trim().to_owned()).collect())
}

fn lxc_conf(host: &Host) -> Document {
    std::fs::read(host.lxc_config().join("lxc.conf")).map(Document::parse).unwrap_or_default()
}
