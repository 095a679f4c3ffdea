//! LXC's settings for the whole host, in `lxc.conf`; see lxc.system.conf(5).

use std::path::{Path, PathBuf};

use super::Document;
use crate::engine::host::Host;

/// Returns LXC's own configuration for the containers that are made on this machine, which need
/// not exist: what `lxc.default_config` of `lxc.conf` names, or `default.conf`.
pub fn default_config(host: &Host) -> PathBuf {
    let named = value(host, DEFAULT_CONFIG).map(PathBuf::from);
    let absolute = named.filter(|it| it.is_absolute());
    absolute.unwrap_or_else(|| host.lxc_config().join("default.conf"))
}

/// Returns the controllers that `lxc.cgroup.use` of `lxc.conf` names; none: all are used.
pub(in crate::engine) fn used_controllers(host: &Host) -> Option<Vec<String>> {
    let used = value(host, "lxc.cgroup.use")?;
    Some(used.split(',').map(|it| it.trim().to_owned()).collect())
}

/// The settings of which LXC tells, and their defaults; none: it has none, or finds it itself.
const SETTINGS: [(&str, Option<&str>); 7] = [
    (DEFAULT_CONFIG, None),
    (LXCPATH, None),
    ("lxc.bdev.lvm.vg", Some("lxc")),
    ("lxc.bdev.lvm.thin_pool", Some("lxc")),
    ("lxc.bdev.zfs.root", Some("lxc")),
    ("lxc.cgroup.use", None),
    ("lxc.cgroup.pattern", None),
];
const DEFAULT_CONFIG: &str = "lxc.default_config";
const LXCPATH: &str = "lxc.lxcpath";

/// Lists the settings of LXC's that `lxc-config` prints.
pub fn system_settings() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|it| it.0)
}

/// Returns what one of them is set to, or its default; none: it has none. What it is for the
/// containers, the caller knows.
pub(in crate::engine) fn system_setting(host: &Host, key: &str, lxcpath: &Path) -> Option<String> {
    match key {
        DEFAULT_CONFIG => Some(default_config(host).to_string_lossy().into_owned()),
        LXCPATH => Some(lxcpath.to_string_lossy().into_owned()),
        _ => {
            let default = SETTINGS.iter().find(|it| it.0 == key).and_then(|it| it.1);
            value(host, key).or_else(|| default.map(str::to_owned))
        }
    }
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
