//! LXC configuration files: read into a [`crate::engine::terms::spec::Spec`], written back intact.
//!
//! Reading goes in two steps. [`load`] checks every line as LXC does and accepts whatever LXC of
//! any release accepts; [`Config::spec`] then refuses what wharf does not support yet.

mod apparmor;
mod build;
mod caps;
mod catalogue;
#[cfg(test)]
mod decisions;
mod document;
mod error;
mod filter;
mod get;
mod groups;
mod hooks;
mod idmap;
mod include;
mod keys;
mod lexer;
mod log;
mod meaning;
mod mounts;
mod namespaces;
mod nearest;
mod net;
mod process;
mod read;
mod roots;
mod selinux;
mod settings;
mod signals;
mod survey;
mod system;
mod template;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(in crate::engine) use catalogue::{CatalogueKey, INTERFACE, Treatment, catalogue};
pub(in crate::engine) use document::{Document, DocumentError};
pub(in crate::engine) use error::{ConfigError, ConfigErrors};
pub(in crate::engine) use filter::of_running as running_filter;
pub(in crate::engine) use net::fill_lines;
pub(in crate::engine) use process::{limits, personality};
pub(in crate::engine) use read::ReadLine;
pub(in crate::engine) use roots::root_directory;
pub use signals::{names as signal_names, of_word as signal_number};
pub use survey::ConfigLine;
pub(in crate::engine) use survey::{Survey, is_list, survey};
pub(in crate::engine) use system::system_setting;
pub(in crate::engine) use system::used_controllers;
pub use system::{default_config, system_settings};
pub(in crate::engine) use template::{Given, Place, compose, key_of, of_template};
pub use template::{Purpose, TEMPLATES, Template};
pub use values::words as command_words;

use crate::engine::terms::idmap::IdMap;
use crate::engine::terms::name::Name;
use crate::engine::terms::rootfs::Storage;
use crate::engine::terms::spec::Spec;
#[cfg(test)]
use crate::engine::terms::{nic::Nic, spec::At};
use error::Reason;
use read::ConfigReader;
use settings::ConfigSettings;

/// The seccomp profile of such a container.
pub(in crate::engine) const DEFAULT_PROFILE: &str = include_str!("../../assets/default.seccomp");

/// A container's configuration, every line of which is known and valid.
#[derive(Clone, Debug)]
pub struct Config {
    name: Name,
    lxcpath: PathBuf,
    file: PathBuf,
    content: Vec<u8>,
    settings: ConfigSettings,
}

/// A value, and the line that sets it; none: it was set on the command line.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Set<'a> {
    pub(in crate::engine) value: &'a str,
}

/// Reads `file`, or `LXCPATH/NAME/config`, and applies `settings` after it. A word that names one of
/// wharf's templates stands for that with wharf's defaults.
pub fn load(
    name: &Name,
    lxcpath: &Path,
    file: Option<&Path>,
    settings: &[(String, String)],
) -> Result<Config, ConfigErrors> {
    if let Some(template) = file.and_then(Template::named) {
        let place = Place { name, lxcpath, file: Path::new(template.name) };
        let content = fill_lines(&template::whole(place, template)?);
        return parse(name, lxcpath, &content, place.file, settings);
    }
    let is_word = file.is_some_and(template::is_word);
    let file = file.map_or_else(|| lxcpath.join(name.as_str()).join("config"), Path::to_path_buf);
    let (content, identity) = include::read(&file).map_err(|reason| {
        let is_missing = is_word && reason.is_missing_file();
        let reason = if is_missing { Reason::NoTemplate(template::list()) } else { reason };
        ConfigError::of_file(&file, reason, None)
    })?;
    let mut reader = ConfigReader::new(Some(identity));
    reader.content(&content, &file);
    finish(reader, ConfigSource { name, lxcpath, file, content }, settings)
}

/// Reads a configuration that is in memory, as if it were the content of `file`.
pub fn parse(
    name: &Name,
    lxcpath: &Path,
    content: &[u8],
    file: &Path,
    settings: &[(String, String)],
) -> Result<Config, ConfigErrors> {
    let mut reader = ConfigReader::new(None);
    reader.content(content, file);
    let file = file.to_path_buf();
    let source = ConfigSource { name, lxcpath, file, content: content.to_vec() };
    finish(reader, source, settings)
}

/// Where a configuration comes from.
struct ConfigSource<'a> {
    name: &'a Name,
    lxcpath: &'a Path,
    file: PathBuf,
    content: Vec<u8>,
}

fn finish(
    mut reader: ConfigReader,
    source: ConfigSource<'_>,
    settings: &[(String, String)],
) -> Result<Config, ConfigErrors> {
    for (key, value) in settings {
        reader.setting(lexer::trim(key), lexer::trim(value), None);
    }
    Ok(Config {
        name: source.name.clone(),
        lxcpath: source.lxcpath.to_path_buf(),
        file: source.file,
        content: source.content,
        settings: reader.finish()?,
    })
}

impl Config {
    /// Returns what is to be started, or every line that wharf does not support.
    pub(in crate::engine) fn spec(&self) -> Result<Spec, ConfigErrors> {
        build::spec(self)
    }

    /// Returns the map of its users; none: they are the host's.
    pub(in crate::engine) fn idmap(&self) -> Result<Option<IdMap>, ConfigError> {
        Ok(idmap::of(&self.settings)?.map(|it| it.value))
    }

    /// Lists every line that wharf does not support yet.
    pub(in crate::engine) fn unsupported(&self) -> Vec<ConfigError> {
        build::unsupported(&self.settings).collect()
    }

    /// Describes the network interfaces that it asks for.
    #[cfg(test)]
    pub(in crate::engine) fn nics(&self) -> Result<Vec<At<Nic>>, ConfigError> {
        net::nics(&self.settings.interfaces, Vec::new)
    }

    /// Lists every line that names an interface which this host does not have.
    pub(in crate::engine) fn missing_links(&self) -> Vec<ConfigError> {
        net::missing(&self.settings.interfaces)
    }

    /// Describes its networks in a few words each.
    pub(in crate::engine) fn networks(&self) -> Vec<String> {
        net::words(&self.settings.interfaces)
    }

    /// Returns whether any line sets what `key` decides: the network, the devices, the capabilities
    /// as a whole, else the key itself.
    pub(in crate::engine) fn speaks_of(&self, key: &str) -> bool {
        const WHOLES: [&[&str]; 3] =
            [&["lxc.net"], &["lxc.cgroup.devices.", "lxc.cgroup2.devices."], &["lxc.cap."]];
        let prefixes = WHOLES.into_iter().find(|it| it.iter().any(|it| key.starts_with(it)));
        match prefixes {
            Some(["lxc.net"]) => !self.settings.interfaces.by_index.is_empty(),
            Some(prefixes) => self.settings.entries.iter().any(|it| {
                let name = format!("{}{}", it.key.name, it.free);
                prefixes.iter().any(|it| name.starts_with(it))
            }),
            None => keys::find(key).is_some_and(|(key, free)| {
                let mut entries = self.settings.entries.iter();
                entries.any(|it| it.key.name == key.name && it.free == free)
            }),
        }
    }

    /// Returns a key's value in LXC's format, as `lxc-info -c` shows it: lists end every item with
    /// a newline, unset keys have LXC's default. None: there is no such key.
    pub fn get(&self, key: &str) -> Option<String> {
        get::get(&self.settings, key)
    }

    /// Returns which cgroup files it sets to which values, by the whole key, except devices; the
    /// last line of several counts.
    pub(in crate::engine) fn cgroup_settings(&self) -> BTreeMap<String, Set<'_>> {
        let of_cgroup = |it: &&settings::Setting| {
            matches!(it.key.name, "lxc.cgroup." | "lxc.cgroup2.")
                && !it.free.starts_with("devices.")
        };
        let mut set = BTreeMap::new();
        for it in self.settings.entries.iter().filter(of_cgroup) {
            let key = format!("{}{}", it.key.name, it.free);
            set.insert(key, Set { value: &it.value });
        }
        set
    }

    /// Returns what its root is kept in, as far as the text says it; none: the host's files.
    pub(in crate::engine) fn storage(&self) -> Option<Storage> {
        roots::storage(&self.settings)
    }

    /// Returns its root as configured, with the type unless that is a directory; none: the host's
    /// files.
    pub(in crate::engine) fn written_root(&self) -> Option<&str> {
        roots::written(&self.settings)
    }

    /// Returns the content of the file itself, without what it includes.
    pub(in crate::engine) fn raw(&self) -> &[u8] {
        &self.content
    }

    /// Returns the path of the file.
    pub(in crate::engine) fn file(&self) -> &Path {
        &self.file
    }
}
