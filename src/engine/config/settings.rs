//! The values that a configuration's lines add up to. Checks each as LXC does; reads no file.

use super::super::spec::Place;
use super::error::Reason;
use super::keys::{self, Form, GROUPS, Key};
use super::net::Interfaces;
use super::{caps, mounts, signals, values};

/// One value that a key has got, spelt the way LXC shows it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: &'static Key,
    /// The free part of the key: `memory.max` of `lxc.cgroup2.memory.max`.
    pub(super) free: String,
    pub(super) value: String,
    pub(super) place: Option<Place>,
}

/// Everything that was set, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub(super) entries: Vec<Entry>,
    pub(super) interfaces: Interfaces,
}

impl Settings {
    /// Takes one `key = value`.
    pub(super) fn set(
        &mut self,
        name: &str,
        value: &str,
        place: Option<&Place>,
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

    /// The value a key has: the last one.
    pub(super) fn last(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|it| it.key.name == name)
    }

    /// Every value of a key, in order.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |it| it.key.name == name)
    }

    /// A number that was checked when it was set.
    pub(super) fn number<T: std::str::FromStr + Default>(&self, name: &str) -> T {
        self.last(name).and_then(|it| it.value.parse().ok()).unwrap_or_default()
    }

    fn store(
        &mut self,
        key: &'static Key,
        free: &str,
        value: &str,
        place: Option<&Place>,
    ) -> Result<(), Reason> {
        if value.is_empty() {
            return self.reset(key, free, place);
        }
        let items = check(key, free, value)?;
        self.make_room(key, free, value)?;
        if matches!(key.form, Form::Auto) {
            self.replace_auto_words(&items);
        }
        let entry = |value| Entry { key, free: free.to_owned(), value, place: place.cloned() };
        if matches!(key.form, Form::Group) {
            // LXC puts each new group in front, and shows them so.
            self.entries.splice(0..0, items.into_iter().rev().map(entry));
        } else {
            self.entries.extend(items.into_iter().map(entry));
        }
        Ok(())
    }

    /// An empty value: clears the key, except where LXC has a meaning for it.
    fn reset(
        &mut self,
        key: &'static Key,
        free: &str,
        place: Option<&Place>,
    ) -> Result<(), Reason> {
        if matches!(key.form, Form::Arch) {
            return Err(Reason::Empty);
        }
        let caps = [Form::Capabilities, Form::CapabilitiesKept];
        self.entries.retain(|it| {
            let same = it.key.name == key.name && it.free == free;
            let same_list = caps.contains(&key.form) && caps.contains(&it.key.form);
            !same && !same_list
        });
        if key.name == "lxc.autodev" {
            self.store(key, free, "0", place)?;
        }
        Ok(())
    }

    /// Removes what the new value takes the place of, and refuses what it cannot stand beside.
    fn make_room(&mut self, key: &'static Key, free: &str, value: &str) -> Result<(), Reason> {
        let other = if key.form == Form::Capabilities {
            Some("lxc.cap.keep")
        } else if key.form == Form::CapabilitiesKept {
            Some("lxc.cap.drop")
        } else {
            None
        };
        if let Some(other) = other
            && self.last(other).is_some()
        {
            return Err(Reason::Conflict(other));
        }
        let keeps_none = matches!(key.form, Form::CapabilitiesKept) && value == NONE;
        if !key.form.is_list() || keeps_none {
            self.entries.retain(|it| it.key.name != key.name || it.free != free);
        }
        Ok(())
    }

    /// Each word of `lxc.mount.auto` replaces the one before of its own group.
    fn replace_auto_words(&mut self, words: &[String]) {
        for word in words {
            let Ok((group, _)) = mounts::auto_word(word) else { continue };
            self.entries.retain(|it| {
                !matches!(it.key.form, Form::Auto)
                    || mounts::auto_word(&it.value).is_ok_and(|(known, _)| known != group)
            });
        }
    }
}

/// `lxc.cap.keep = none`: no capability at all.
pub(super) const NONE: &str = "none";

/// Checks a value that is not empty; returns the items it stands for, as LXC spells them.
fn check(key: &Key, free: &str, value: &str) -> Result<Vec<String>, Reason> {
    let one = |it: String| Ok(vec![it]);
    match key.form {
        Form::Hostname if value.len() > HOSTNAME_MAX => {
            Err(Reason::Expected("a host name of at most 64 bytes"))
        }
        Form::Text | Form::List | Form::Include | Form::Hostname => one(value.to_owned()),
        Form::Map => map(key, free, value).and_then(one),
        Form::Path => one(values::path(value)),
        Form::Rootfs => one(rootfs(value)),
        Form::Bool => one(u8::from(values::boolean(value)?).to_string()),
        Form::Unsigned => one(values::unsigned32(value)?.to_string()),
        Form::Id => one(values::id(value)?.to_string()),
        Form::Signed => one(values::signed(value)?.to_string()),
        Form::Size => one(values::size(value)?.to_string()),
        Form::Signal => one(signals::number(value)?.to_string()),
        Form::Command => one(command(value)?),
        Form::Arch => one(arch(value)?.to_owned()),
        Form::LogLevel => one(log_level(value)?.to_owned()),
        Form::Facility => one(facility(value)?),
        Form::Offset => values::offset(value).map(|()| vec![value.to_owned()]),
        Form::CgroupDir => one(values::cgroup_dir(value)?),
        Form::Limits => values::limits(value).map(|()| vec![value.to_owned()]),
        Form::Group => Ok(value.split_ascii_whitespace().map(str::to_owned).collect()),
        Form::Capabilities | Form::CapabilitiesKept => capabilities(key.form, value),
        Form::Mount => mounts::entry(value, None).map_or_else(
            |reason| {
                if matches!(reason, Reason::NotYet) { one(value.to_owned()) } else { Err(reason) }
            },
            |_mount| one(value.to_owned()),
        ),
        Form::Auto => value
            .split_ascii_whitespace()
            .map(|it| mounts::auto_word(it).map(|(_, full)| full))
            .collect(),
        Form::IdMap => one(values::id_map(value)?),
        Form::Namespaces => value.split_ascii_whitespace().map(namespace).collect(),
        Form::Environment => one(variable(value)?),
        Form::Gids => {
            value.split(',').map(|it| values::id(it).map(|number| number.to_string())).collect()
        }
    }
}

const HOSTNAME_MAX: usize = 64;

/// Keeps `type:path`, taking off `dir:`, which is what a plain path is.
fn rootfs(value: &str) -> String {
    let plain = value.strip_prefix("dir:").unwrap_or(value);
    values::path(plain)
}

fn command(value: &str) -> Result<String, Reason> {
    match values::words(value)?.first() {
        Some(program) if program.starts_with('/') => Ok(value.to_owned()),
        _ => Err(Reason::Expected("an absolute path, then arguments")),
    }
}

fn capabilities(form: Form, value: &str) -> Result<Vec<String>, Reason> {
    if matches!(form, Form::CapabilitiesKept) && value == NONE {
        return Ok(vec![NONE.to_owned()]);
    }
    let words = value.split_ascii_whitespace();
    words.map(|it| caps::number(it).map(|_known| it.to_owned())).collect()
}

/// Returns what LXC prints for an architecture: the name of its personality.
fn arch(value: &str) -> Result<&'static str, Reason> {
    const BITS_32: [&str; 15] = [
        "arm", "armel", "armhf", "armv7l", "athlon", "i386", "i486", "i586", "i686", "linux32",
        "mips", "mipsel", "ppc", "powerpc", "x86",
    ];
    const BITS_64: [&str; 15] = [
        "aarch64",
        "amd64",
        "arm64",
        "linux64",
        "loongarch64",
        "loong64",
        "mips64",
        "mips64el",
        "ppc64",
        "ppc64el",
        "ppc64le",
        "powerpc64",
        "riscv64",
        "s390x",
        "x86_64",
    ];
    if BITS_32.contains(&value) {
        Ok("i686")
    } else if BITS_64.contains(&value) {
        Ok("x86_64")
    } else {
        Err(Reason::Expected("an architecture, such as amd64, arm64 or i686"))
    }
}

fn log_level(value: &str) -> Result<&'static str, Reason> {
    const LEVELS: [&str; 9] =
        ["TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "ERROR", "CRIT", "ALERT", "FATAL"];
    let by_number = values::unsigned(value).ok().and_then(|it| usize::try_from(it).ok());
    LEVELS
        .iter()
        .enumerate()
        .find(|(at, name)| by_number == Some(*at) || name.eq_ignore_ascii_case(value))
        .map(|(_, name)| *name)
        .ok_or(Reason::Expected("0 to 8, or a level such as DEBUG or ERROR"))
}

fn facility(value: &str) -> Result<String, Reason> {
    let local = value.strip_prefix("local").and_then(|it| it.parse::<u8>().ok());
    if value == "daemon" || local.is_some_and(|it| it <= 7) {
        return Ok(value.to_owned());
    }
    Err(Reason::Expected("daemon or local0 to local7"))
}

/// Namespaces as `lxc.namespace.*` names them.
const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];

fn namespace(word: &str) -> Result<String, Reason> {
    let lower = word.to_ascii_lowercase();
    if NAMESPACES.contains(&lower.as_str()) {
        return Ok(lower);
    }
    Err(Reason::Expected("namespaces among cgroup ipc mnt net pid time user uts"))
}

fn map(key: &Key, free: &str, value: &str) -> Result<String, Reason> {
    if key.name == "lxc.namespace.share." {
        namespace(free)?;
    }
    if free.contains("..") || free.contains('/') {
        return Err(Reason::Expected("a name without / and .."));
    }
    Ok(value.to_owned())
}

/// `NAME=VALUE`, or `NAME` alone, which is copied from the caller's environment.
fn variable(value: &str) -> Result<String, Reason> {
    match value.split_once('=') {
        Some(("", _)) => Err(Reason::Expected("NAME=VALUE")),
        Some(_) => Ok(value.to_owned()),
        None => match std::env::var(value) {
            Ok(found) => Ok(format!("{value}={found}")),
            Err(_) => Err(Reason::NotInEnvironment),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<Settings, Reason> {
        let mut settings = Settings::default();
        for (key, value) in lines {
            settings.set(key, value, None)?;
        }
        Ok(settings)
    }

    fn listed(settings: &Settings, key: &str) -> Vec<String> {
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
        assert_eq!(settings.number::<u32>("lxc.tty.max"), 2);
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
            ("lxc.environment", "WHARF_TEST_VARIABLE_THAT_IS_UNSET"),
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
