//! The values that result from a configuration's lines. Checks each as LXC does; reads no file.

use super::error::{ConfigError, Reason};
use super::keys::{self, GROUPS, Key, ValueKind};
use super::meaning::{Item, Meaning, NONE, check};
use super::net::Interfaces;
use crate::engine::terms::spec::ConfigPlace;

/// One value of a key.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) key: &'static Key,
    /// The free part of the key: `memory.max` of `lxc.cgroup2.memory.max`.
    pub(super) free: String,
    /// The value as LXC spells it.
    pub(super) value: String,
    pub(super) meaning: Meaning,
    pub(super) place: Option<ConfigPlace>,
}

/// Returns the error that `entry` has for this reason.
pub(super) fn blame(entry: &Setting, reason: Reason) -> ConfigError {
    let key = format!("{}{}", entry.key.name, entry.free);
    ConfigError::of(&key, &entry.value, reason, entry.place.as_ref())
}

/// Everything that was set, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct ConfigSettings {
    pub(super) entries: Vec<Setting>,
    pub(super) interfaces: Interfaces,
}

impl ConfigSettings {
    /// Takes one `key = value`.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: &str,
        place: Option<&ConfigPlace>,
    ) -> Result<(), Reason> {
        if value.chars().any(|it| it.is_control() && it != '\t') {
            return Err(Reason::ControlCharacter);
        }
        if let Some(done) = self.interfaces.set(name, value, place) {
            return done;
        }
        if let Some((_, prefix)) = GROUPS.iter().find(|(it, _)| *it == name) {
            if !value.is_empty() {
                return Err(Reason::OnlyEmpty);
            }
            self.entries.retain(|it| !it.key.name.starts_with(prefix) || it.free.is_empty());
            if *prefix == "lxc.hook." {
                self.entries.retain(|it| !it.key.name.starts_with(prefix));
            }
            return Ok(());
        }
        let Some((key, free)) = keys::find(name) else {
            let nearest = keys::nearest_name(name);
            return Err(Reason::Unknown { what: "key", word: name.to_owned(), nearest });
        };
        self.store(key, free, value, place)
    }

    /// Returns today's name of `name`, which the next line sets to `value`; none: it is no key, or
    /// one of an interface that is not named.
    pub(super) fn today(&self, name: &str, value: &str) -> Option<String> {
        if name.starts_with("lxc.net") {
            return self.interfaces.today(name, value);
        }
        if let Some((_, prefix)) = GROUPS.iter().find(|(it, _)| *it == name) {
            return Some(prefix.trim_end_matches('.').to_owned());
        }
        keys::find(name).map(|(key, free)| format!("{}{free}", key.name))
    }

    /// The value a key has: the last one.
    pub(super) fn last(&self, name: &str) -> Option<&Setting> {
        self.entries.iter().rev().find(|it| it.key.name == name)
    }

    /// Every value of a key, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Setting> {
        self.entries.iter().filter(move |it| it.key.name == name)
    }

    /// The number that a key has, 0 if it is not set.
    pub(super) fn number(&self, name: &str) -> u32 {
        let meaning = self.last(name).map(|it| &it.meaning);
        if let Some(Meaning::Number(number)) = meaning { *number } else { 0 }
    }

    /// The size in bytes that a key has, 0 if it is not set.
    pub(super) fn bytes(&self, name: &str) -> u64 {
        let meaning = self.last(name).map(|it| &it.meaning);
        if let Some(Meaning::Bytes(bytes)) = meaning { *bytes } else { 0 }
    }

    fn store(
        &mut self,
        key: &'static Key,
        free: &str,
        value: &str,
        place: Option<&ConfigPlace>,
    ) -> Result<(), Reason> {
        if value.is_empty() {
            return self.reset(key, free, place);
        }
        let items = check(key, free, value)?;
        self.make_room(key, free, value)?;
        for Item { value, meaning } in items {
            if let Meaning::Auto(new) = &meaning {
                self.entries.retain(
                    |it| !matches!(&it.meaning, Meaning::Auto(old) if old.group == new.group),
                );
            }
            let (free, place) = (free.to_owned(), place.cloned());
            self.entries.push(Setting { key, free, value, meaning, place });
        }
        Ok(())
    }

    /// An empty value: clears the key, except where LXC has a meaning for it.
    fn reset(
        &mut self,
        key: &'static Key,
        free: &str,
        place: Option<&ConfigPlace>,
    ) -> Result<(), Reason> {
        if matches!(key.kind, ValueKind::Arch) {
            return Err(Reason::Empty);
        }
        let caps = [ValueKind::Capabilities, ValueKind::CapabilitiesKept];
        self.entries.retain(|it| {
            let same = it.key.name == key.name && it.free == free;
            let same_list = caps.contains(&key.kind) && caps.contains(&it.key.kind);
            !same && !same_list
        });
        if key.name == "lxc.autodev" {
            self.store(key, free, "0", place)?;
        }
        Ok(())
    }

    /// Removes what the new value replaces, and refuses it if it conflicts with another key.
    fn make_room(&mut self, key: &'static Key, free: &str, value: &str) -> Result<(), Reason> {
        let other = EXCLUSIVE.iter().find_map(|[one, other]| {
            if *one == key.name { Some(*other) } else { (*other == key.name).then_some(*one) }
        });
        if let Some(other) = other
            && self.last(other).is_some()
        {
            return Err(Reason::Conflict(other));
        }
        let keeps_none = matches!(key.kind, ValueKind::CapabilitiesKept) && value == NONE;
        if !key.kind.is_list() || keeps_none {
            self.entries.retain(|it| it.key.name != key.name || it.free != free);
        }
        Ok(())
    }
}

/// Keys that exclude each other.
const EXCLUSIVE: [[&str; 2]; 2] =
    [["lxc.cap.keep", "lxc.cap.drop"], ["lxc.namespace.keep", "lxc.namespace.clone"]];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<ConfigSettings, Reason> {
        let mut settings = ConfigSettings::default();
        for (key, value) in lines {
            settings.set(key, value, None)?;
        }
        Ok(settings)
    }

    fn listed(settings: &ConfigSettings, key: &str) -> Vec<String> {
        settings.all(key).map(|it| it.value.clone()).collect()
    }

    #[test]
    fn scalars_keep_the_last_value_and_lists_all() {
        let settings = read(&[
            ("lxc.tty.max", "4"),
            ("lxc.tty", "0x2"),
            ("lxc.cgroup.devices.allow", "c 1:3 rwm"),
            ("lxc.cgroup.devices.allow", "c 1:5 rwm"),
        ])
        .unwrap();
        assert_eq!(settings.number("lxc.tty.max"), 2);
        assert_eq!(settings.all("lxc.cgroup.").count(), 2);
    }

    #[test]
    fn an_empty_value_clears_its_own_key_or_its_group() {
        let mut settings = read(&[
            ("lxc.cgroup.cpu.shares", "1"),
            ("lxc.cgroup.pids.max", "2"),
            ("lxc.hook.start", "/a"),
            ("lxc.cgroup.relative", "0"),
        ])
        .unwrap();
        settings.set("lxc.cgroup.cpu.shares", "", None).unwrap();
        assert_eq!(listed(&settings, "lxc.cgroup."), ["2"]);
        settings.set("lxc.cgroup", "", None).unwrap();
        settings.set("lxc.hook", "", None).unwrap();
        assert!(listed(&settings, "lxc.cgroup.").is_empty());
        assert!(settings.last("lxc.hook.start").is_none());
        assert!(settings.last("lxc.cgroup.relative").is_some());
        assert!(matches!(settings.set("lxc.hook", "x", None), Err(Reason::OnlyEmpty)));
    }

    #[test]
    fn keeping_and_dropping_capabilities_exclude_each_other() {
        assert!(read(&[("lxc.cap.drop", "sys_time"), ("lxc.cap.keep", "kill")]).is_err());
        let settings =
            read(&[("lxc.cap.drop", "sys_time 5"), ("lxc.cap.drop", ""), ("lxc.cap.keep", "kill")])
                .unwrap();
        assert_eq!(listed(&settings, "lxc.cap.keep"), ["kill"]);
        let none = read(&[("lxc.cap.keep", "kill"), ("lxc.cap.keep", "none")]).unwrap();
        assert_eq!(listed(&none, "lxc.cap.keep"), ["none"]);
    }

    #[test]
    fn each_word_of_auto_replaces_its_own_group() {
        let settings =
            read(&[("lxc.mount.auto", "proc sys:ro"), ("lxc.mount.auto", "sys:rw")]).unwrap();
        assert_eq!(listed(&settings, "lxc.mount.auto"), ["proc:mixed", "sys:rw"]);
    }

    #[test]
    fn bad_values_are_refused() {
        for (key, value) in [
            ("lxc.arch", ""),
            ("lxc.arch", "vax"),
            ("lxc.autodev", "yes"),
            ("lxc.init.cmd", "sbin/init"),
            ("lxc.environment", "=x"),
            ("lxc.log.syslog", "mail"),
            ("lxc.mount.entry", "proc"),
            ("lxc.mount.auto", "everything"),
            ("lxc.namespace.keep", "mount"),
            ("lxc.uts.name", "a\u{1b}b"),
            ("lxc.bogus", "1"),
            ("lxc.net.x.type", "veth"),
        ] {
            assert!(read(&[(key, value)]).is_err(), "{key} = {value} was accepted");
        }
    }

    #[test]
    fn an_empty_autodev_is_off() {
        assert_eq!(read(&[("lxc.autodev", "")]).unwrap().last("lxc.autodev").unwrap().value, "0");
    }
}
