//! What a configuration says, line by line, also where it could not be started. Changes nothing.

use std::path::Path;

use super::error::ConfigError;
use super::include;
use super::keys::{self, KEYS, Support};
use super::net;
use super::read::{ConfigReader, ReadLine};
use super::roots;
use super::settings::ConfigSettings;
use crate::engine::terms::rootfs::Storage;
use crate::engine::terms::spec::ConfigPlace;

/// A setting as it counts in the end, by today's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigLine {
    pub key: String,
    pub value: String,
    /// The line that sets it; none: no line does, and this is its default.
    pub place: Option<ConfigPlace>,
}

/// A configuration with all that it includes.
#[derive(Debug)]
pub(in crate::engine) struct Survey {
    /// Each line that sets a key, or tries to, in the order in which they count.
    pub(in crate::engine) lines: Vec<ReadLine>,
    pub(in crate::engine) errors: Vec<ConfigError>,
    /// Lines that are neither settings nor comments; LXC reads over them.
    pub(in crate::engine) foreign: Vec<(ConfigPlace, String)>,
    settings: ConfigSettings,
}

/// Reads `content` as if it were that of `file`.
pub(in crate::engine) fn survey(content: &[u8], file: &Path) -> Survey {
    // A file that includes itself is found by what identifies it.
    let identity = include::read(file).ok().map(|(_, identity)| identity);
    let mut reader = ConfigReader::new(identity);
    reader.kept = Some(Vec::new());
    reader.content(content, file);
    let ConfigReader { settings, errors, foreign, kept, .. } = reader;
    Survey { lines: kept.unwrap_or_default(), errors, foreign, settings }
}

/// Returns whether several lines of `key`, by today's name, add up.
pub(in crate::engine) fn is_list(key: &str) -> bool {
    keys::find(key).map_or_else(|| net::is_list(key), |(key, _)| key.kind.is_list())
}

impl Survey {
    /// Returns today's name of a key that is not the key of an interface without a number.
    pub(in crate::engine) fn today(key: &str) -> Option<String> {
        ConfigSettings::default().today(key, "")
    }

    /// Returns the lines of `file` that set `key`, which is today's name.
    pub(in crate::engine) fn lines_of(&self, file: &Path, key: &str) -> Vec<usize> {
        let of_key = self.lines.iter().filter(|it| it.today.as_deref() == Some(key));
        let places = of_key.filter_map(|it| it.place.as_ref());
        places.filter(|it| it.file == file).map(|it| it.line).collect()
    }

    /// Lists what counts in the end, in the order of the lines, and what no line sets but has a
    /// default.
    pub(in crate::engine) fn in_the_end(&self) -> Vec<ConfigLine> {
        let line = |key: String, value: &str, place: Option<&ConfigPlace>| ConfigLine {
            key,
            value: value.to_owned(),
            place: place.cloned(),
        };
        let entries = self.settings.entries.iter();
        let set = entries
            .map(|it| line(format!("{}{}", it.key.name, it.free), &it.value, it.place.as_ref()));
        let nets = self.settings.interfaces.lines();
        let nets = nets.map(|(key, value, place)| line(key, value, place));
        let mut all: Vec<ConfigLine> = set.chain(nets).collect();
        let order = |it: &ConfigLine| {
            let is_at = |read: &ReadLine| read.place == it.place;
            self.lines.iter().position(is_at)
        };
        all.sort_by_key(order);
        let unset = KEYS.iter().filter(|it| !it.default.is_empty() && !it.name.ends_with('.'));
        let unset = unset.filter(|it| self.settings.last(it.name).is_none());
        all.extend(unset.map(|it| line(it.name.to_owned(), it.default.trim_end(), None)));
        all
    }

    /// Returns why a start reads over the key of a line; none: it is applied.
    pub(in crate::engine) fn ignored(line: &ReadLine) -> Option<&'static str> {
        let (key, _) = keys::find(line.today.as_deref()?)?;
        match key.support {
            Support::Ignored(why) => Some(why),
            Support::Now | Support::AppArmor => None,
        }
    }

    /// Returns whether `other` says the same, whatever the spelling: also of the type of the root,
    /// which had a key of its own, and of keys that LXC has no more.
    pub(in crate::engine) fn means_the_same(&self, other: &Self) -> bool {
        let said = |it: &Self| {
            let lines = it.in_the_end().into_iter();
            let others = lines.filter(|it| {
                let gone = keys::find(&it.key).is_some_and(|(key, _)| is_gone(key.support));
                !gone && !it.key.starts_with(roots::PATH) && it.key != roots::BACKEND
            });
            others.map(|it| (it.key, it.value)).collect::<Vec<_>>()
        };
        said(self) == said(other) && self.storage() == other.storage()
    }

    fn storage(&self) -> Option<Storage> {
        roots::storage(&self.settings)
    }

    /// Returns the type that an earlier key gives to the root.
    pub(in crate::engine) fn backend(&self) -> Option<&str> {
        let last = self.settings.last(roots::BACKEND)?;
        Some(last.value.as_str()).filter(|it| *it != roots::BEST)
    }

    /// Returns whether a value of `lxc.rootfs.path` names its type.
    pub(in crate::engine) fn has_type(path: &str) -> bool {
        roots::split(path).0.is_some()
    }

    /// Returns whether LXC has `key`, which is today's name, no more.
    pub(in crate::engine) fn is_of_the_past(key: &str) -> bool {
        let gone = keys::find(key).is_some_and(|(it, _)| is_gone(it.support));
        gone || key == roots::BACKEND
    }
}

fn is_gone(support: Support) -> bool {
    support == Support::Ignored(keys::GONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Survey {
        survey(text.as_bytes(), Path::new("c"))
    }

    #[test]
    fn each_line_is_found_by_todays_name_whatever_its_spelling() {
        let read = of("lxc.utsname = a\nlxc.uts.name = b\nlxc.bogus = 1\n# lxc.tty = 3\nfoo\n");
        assert_eq!(read.lines_of(Path::new("c"), "lxc.uts.name"), [1, 2]);
        assert_eq!(read.errors.len(), 1);
        assert_eq!(read.foreign.len(), 1);
        assert_eq!(Survey::today("lxc.limit.nofile").unwrap(), "lxc.prlimit.nofile");
        assert_eq!(Survey::today("lxc.network.link"), None);
        assert!(is_list("lxc.mount.entry") && is_list("lxc.net.0.ipv4.address"));
        assert!(!is_list("lxc.uts.name") && !is_list("lxc.net.0.type"));
    }

    #[test]
    fn what_counts_in_the_end_has_its_line_or_is_a_default() {
        let read = of("lxc.net.0.type = veth\nlxc.tty = 1\nlxc.tty.max = 2\nlxc.group = a b\n");
        let said: Vec<String> = read
            .in_the_end()
            .iter()
            .map(|it| {
                let line = it.place.as_ref().map_or(0, |it| it.line);
                format!("{} {} {line}", it.key, it.value)
            })
            .collect();
        let first = ["lxc.net.0.type veth 1", "lxc.tty.max 2 3", "lxc.group a 4", "lxc.group b 4"];
        assert!(said.starts_with(&first.map(str::to_owned)), "{said:?}");
        assert!(said.contains(&"lxc.autodev 1 0".to_owned()), "{said:?}");
    }

    #[test]
    fn spellings_mean_the_same_and_other_values_do_not() {
        let old = of("lxc.rootfs.backend = overlayfs\nlxc.rootfs = /a:/b\nlxc.pivotdir = /mnt\n");
        assert!(old.means_the_same(&of("lxc.rootfs.path = overlayfs:/a:/b\n")));
        assert!(!old.means_the_same(&of("lxc.rootfs.path = dir:/a:/b\n")));
        assert!(!of("lxc.tty = 1").means_the_same(&of("lxc.tty.max = 2")));
    }
}
