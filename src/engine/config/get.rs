//! Shows a key's value in LXC's own format.

use super::keys::{self, GROUPS, Key, ValueKind};
use super::roots;
use super::settings::{ConfigSettings, Setting};
use crate::engine::terms::space::Space;

/// Returns what LXC's `get_config_item` returns; None for a key it does not know.
pub(super) fn get(settings: &ConfigSettings, name: &str) -> Option<String> {
    if let Some(value) = settings.interfaces.get(name) {
        return Some(value);
    }
    if let Some((_, prefix)) = GROUPS.iter().find(|(it, _)| *it == name) {
        return Some(group(settings, prefix));
    }
    let (key, free) = keys::find(name)?;
    let mut entries: Vec<&Setting> =
        settings.entries.iter().filter(|it| same(key, it) && it.free == free).collect();
    if entries.is_empty() {
        return Some(key.default.to_owned());
    }
    let kind = key.kind;
    Some(if kind == ValueKind::Auto {
        entries.sort_by_key(|it| it.meaning.auto_group());
        joined(&entries, " ")
    } else if kind == ValueKind::Namespaces {
        let set = |name: &&str| entries.iter().any(|it| it.value == **name);
        let words = Space::ALL.iter().map(|it| it.word());
        words.filter(|it| set(it)).flat_map(|it| [it, "\n"]).collect()
    } else if kind == ValueKind::Gids {
        joined(&entries, ",")
    } else if kind == ValueKind::Rootfs {
        roots::split(&joined(&entries, "")).1.to_owned()
    } else if kind.is_list() {
        entries.iter().flat_map(|it| [it.value.as_str(), "\n"]).collect()
    } else {
        joined(&entries, "")
    })
}

/// LXC keeps what is dropped and what is kept in one list, and shows it for both keys.
fn same(key: &Key, entry: &Setting) -> bool {
    let caps = [ValueKind::Capabilities, ValueKind::CapabilitiesKept];
    entry.key.name == key.name || (caps.contains(&key.kind) && caps.contains(&entry.key.kind))
}

fn group(settings: &ConfigSettings, prefix: &str) -> String {
    settings
        .entries
        .iter()
        .filter(|it| {
            it.key.name.starts_with(prefix) && (it.key.name == prefix || prefix == "lxc.hook.")
        })
        .flat_map(|it| [it.key.name, it.free.as_str(), " = ", it.value.as_str(), "\n"])
        .collect()
}

fn joined(entries: &[&Setting], separator: &str) -> String {
    let values: Vec<&str> = entries.iter().map(|it| it.value.as_str()).collect();
    values.join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[(&str, &str)], key: &str) -> Option<String> {
        let mut settings = ConfigSettings::default();
        for (key, value) in lines {
            settings.set(key, value, None).unwrap();
        }
        get(&settings, key)
    }

    #[test]
    fn lists_end_every_item_with_a_newline() {
        let lines = [("lxc.group", "g1 g2"), ("lxc.cap.drop", "sys_time 5")];
        assert_eq!(shown(&lines, "lxc.group").unwrap(), "g1\ng2\n");
        assert_eq!(shown(&lines, "lxc.cap.keep").unwrap(), "sys_time\n5\n");
    }

    #[test]
    fn scalars_are_bare_and_defaults_are_lxcs() {
        assert_eq!(shown(&[], "lxc.tty.max").unwrap(), "0");
        assert_eq!(shown(&[], "lxc.uts.name").unwrap(), "");
        assert_eq!(shown(&[("lxc.rootfs", "dir:/srv//a/")], "lxc.rootfs.path").unwrap(), "/srv/a");
        assert_eq!(shown(&[("lxc.rootfs", "overlay:/a:/b")], "lxc.rootfs.path").unwrap(), "/a:/b");
        assert_eq!(shown(&[], "lxc.nonsense"), None);
        assert_eq!(shown(&[], "lxc.net.0.type"), None);
    }

    #[test]
    fn groups_show_their_keys() {
        let lines = [("lxc.cgroup.a.b", "1"), ("lxc.cgroup2.a.b", "2")];
        assert_eq!(shown(&lines, "lxc.cgroup").unwrap(), "lxc.cgroup.a.b = 1\n");
        assert_eq!(shown(&lines, "lxc.cgroup2.a.b").unwrap(), "2\n");
    }

    #[test]
    fn auto_mounts_are_shown_in_lxcs_order() {
        let lines = [("lxc.mount.auto", "cgroup:mixed sys proc")];
        assert_eq!(shown(&lines, "lxc.mount.auto").unwrap(), "proc:mixed sys:mixed cgroup:mixed");
    }
}
