//! `lxc.hook.*`, and the environment that LXC gives hooks and scripts.

use std::path::Path;

use super::Config;
use super::meaning::Meaning;
use crate::engine::terms::hook::{Hook, Moment};
use crate::engine::terms::rootfs::Rootfs;
use crate::engine::terms::spec::{At, Hooks, ROOT_MOUNT};

/// LXC's level when none is configured.
const LOG_LEVEL: &str = "ERROR";

/// Lists the hooks, in the order of a container's life and of the lines.
pub(super) fn of(config: &Config, root: Option<&Rootfs>) -> Hooks {
    let settings = &config.settings;
    let mut all = Vec::new();
    for moment in Moment::ALL {
        let key = format!("lxc.hook.{}", moment.word());
        all.extend(settings.all(&key).map(|it| At {
            value: Hook { moment, command: it.value.clone() },
            place: it.place.clone(),
        }));
    }
    let by_arguments = settings.number("lxc.hook.version") == 0;
    let own = settings.all("lxc.environment").chain(settings.all("lxc.environment.hooks"));
    let own = own.filter_map(|it| {
        let Meaning::Variable { name, value } = &it.meaning else { return None };
        Some((name.clone(), value.clone()))
    });
    let own = own.collect();
    let environment = environment(config, root, by_arguments);
    let mount_apart = settings.number("lxc.monitor.unshare") != 0;
    Hooks { all, by_arguments, mount_apart, environment, own }
}

fn environment(
    config: &Config,
    mounted: Option<&Rootfs>,
    by_arguments: bool,
) -> Vec<(String, String)> {
    let settings = &config.settings;
    let value = |key| settings.last(key).map(|it| it.value.clone());
    let root = config.get("lxc.rootfs.path").filter(|it| !it.is_empty());
    let mounted =
        mounted.map_or_else(|| Path::new("/"), Rootfs::place).to_string_lossy().into_owned();
    let known = [
        ("LXC_NAME", Some(config.name.as_str().to_owned())),
        ("LXC_CONFIG_FILE", Some(config.file().to_string_lossy().into_owned())),
        (ROOT_MOUNT, Some(mounted)),
        ("LXC_ROOTFS_PATH", root),
        ("LXC_CONSOLE", value("lxc.console.path")),
        ("LXC_CONSOLE_LOGPATH", value("lxc.console.logfile")),
        ("LXC_CGNS_AWARE", Some("1".to_owned())),
        ("LXC_LOG_LEVEL", Some(value("lxc.log.level").unwrap_or_else(|| LOG_LEVEL.to_owned()))),
        ("LXC_HOOK_VERSION", Some(if by_arguments { "0" } else { "1" }.to_owned())),
    ];
    known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}
