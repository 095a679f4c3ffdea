//! LXC's settings for the whole host, in `lxc.conf`; see lxc.system.conf(5).

use std::path::PathBuf;

use super::Document;
use crate::engine::host::Host;

/// Returns LXC's own configuration for the containers that are made on this machine, which need
/// not exist: what `lxc.default_config` of `lxc.conf` names, or `default.conf`.
pub fn default_config(host: &Host) -> PathBuf {
    let named = value(host, "lxc.default_config").map(PathBuf::from);
    let absolute = named.filter(|it| it.is_absolute());
    absolute.unwrap_or_else(|| host.lxc_config().join("default.conf"))
}

/// Returns the controllers that `lxc.cgroup.use` of `lxc.conf` names; none: all are used.
pub(in crate::engine) fn used_controllers(host: &Host) -> Option<Vec<String>> {
    let used = value(host, "lxc.cgroup.use")?;
    Some(used.split(',').map(|it| it.trim().to_owned()).collect())
}

/// Returns what `lxc.conf` sets the key to; a line without a value, as the example that LXC ships
/// has one, sets nothing.
fn value(host: &Host, key: &str) -> Option<String> {
    let file = std::fs::read(host.lxc_config().join("lxc.conf")).ok()?;
    Document::parse(file).values(key).filter(|it| !it.is_empty()).last().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_a_value_sets_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::below(dir.path());
        std::fs::create_dir_all(host.lxc_config()).unwrap();
        let read = |text: &str| {
            std::fs::write(host.lxc_config().join("lxc.conf"), text).unwrap();
            used_controllers(&host)
        };
        assert_eq!(read("# all of them\nlxc.cgroup.use =\n"), None);
        let named = Some(vec!["cpu".to_owned(), "pids".to_owned()]);
        assert_eq!(read("lxc.cgroup.use = cpu, pids\nlxc.cgroup.use =\n"), named);
    }
}
