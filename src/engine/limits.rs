//! The verb `cgroup`: reads and changes any cgroup file of a running container, and keeps a limit
//! for its next starts.

use super::cgroup::{Cgroup, CgroupError, Hierarchies, Version};
use super::command_socket::Client;
use super::config::Document;
use super::error::Kind;
use super::event::{self, What};
use super::store::Store;
use super::{Engine, Error, Name};

const READ: &str = "read a cgroup value of";
const SET: &str = "set a cgroup value of";
const KEEP: &str = "keep a limit of";
const NOT_RUNNING: &str = "it is not running, and only a running container has cgroups; for the \
                           next start, set lxc.cgroup2.FILE or lxc.cgroup.FILE in its configuration";

/// A value that was written, as the kernel kept it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    pub file: String,
    /// What the file held before; empty for a write-only file.
    pub old: String,
    /// What the file holds now, read back.
    pub new: String,
}

/// A limit that was written into a configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Kept {
    /// Such as `lxc.cgroup2.memory.max`.
    pub key: String,
    /// What the key had before; none: it was not set in this file.
    pub old: Option<String>,
}

impl Engine {
    /// Reads `file` (such as `memory.max`) of the container's cgroup, its newline kept.
    pub fn cgroup_get(&self, name: &Name, file: &str) -> Result<String, Error> {
        self.cgroup_of(name, READ)?.get(file).map_err(|why| failed(READ, name, why))
    }

    /// Writes `value` to `file` and reads back what the kernel kept.
    pub fn cgroup_set(&self, name: &Name, file: &str, value: &str) -> Result<Change, Error> {
        let changed = self.cgroup_of(name, SET)?.set(file, value);
        let change = changed.map_err(|why| failed(SET, name, why))?;
        let Change { file, old, new } = change.clone();
        event::publish(self.lxcpath(), name, What::Cgroup { file, old, new });
        Ok(change)
    }

    /// Writes the present limit in `file`, `value`, into the container's configuration, for its
    /// next starts; without a value takes it out. All else in the file stays as it is.
    pub fn cgroup_keep(&self, name: &Name, file: &str, value: Option<&str>) -> Result<Kept, Error> {
        let version = self.cgroup_of(name, KEEP)?.version_of(file);
        let version = version.map_err(|why| failed(KEEP, name, why))?;
        let key = match version {
            Version::V1 => format!("lxc.cgroup.{file}"),
            Version::V2 => format!("lxc.cgroup2.{file}"),
        };
        let store = Store::new(self.lxcpath());
        let _lock = store.lock(name).map_err(|why| not_kept(name, why))?;
        let text = store.read_config(name).map_err(|why| not_kept(name, why))?;
        let mut document = Document::parse(&text);
        let old = document.values(&key).last().map(str::to_owned);
        match value {
            Some(value) => document.set(&key, value).map_err(|why| not_kept(name, why))?,
            None => document.unset(&key),
        }
        store.replace_config(name, &document.to_bytes()).map_err(|why| not_kept(name, why))?;
        Ok(Kept { key, old })
    }

    /// Asks the container's supervisor, wharf's or LXC's, for its cgroup.
    fn cgroup_of(&self, name: &Name, verb: &'static str) -> Result<Cgroup, Error> {
        let failed_to_ask = |why| Error::new(verb, name, Kind::Failed, why);
        let client = Client::connect(self.lxcpath(), name)
            .map_err(failed_to_ask)?
            .ok_or_else(|| Error::new(verb, name, Kind::NotRunning, NOT_RUNNING))?;
        let hierarchies =
            Hierarchies::discover(self.lxcpath.host()).map_err(|why| failed(verb, name, why))?;
        let path = client.limit_cgroup().map_err(failed_to_ask)?.ok_or_else(|| {
            Error::new(verb, name, Kind::Failed, "its supervisor does not say which cgroup it has")
        })?;
        Ok(Cgroup::open(&hierarchies, &path))
    }
}

fn not_kept(name: &Name, why: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(KEEP, name, Kind::Failed, why)
}

fn failed(verb: &'static str, name: &Name, why: CgroupError) -> Error {
    Error::new(verb, name, why.kind(), why)
}
