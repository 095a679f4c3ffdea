//! The verb `cgroup`: reads and changes any cgroup file of a running container.

use super::cgroup::{Cgroup, CgroupError, Hierarchies, Layout};
use super::command_socket::Client;
use super::error::Kind;
use super::event::{self, What};
use super::{Engine, Error, Name};

const READ: &str = "read a cgroup value of";
const SET: &str = "set a cgroup value of";
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

    /// Asks the container's supervisor, wharf's or LXC's, for its cgroup.
    fn cgroup_of(&self, name: &Name, verb: &'static str) -> Result<Cgroup, Error> {
        let failed_to_ask = |why| Error::new(verb, name, Kind::Failed, why);
        let client = Client::connect(self.lxcpath(), name)
            .map_err(failed_to_ask)?
            .ok_or_else(|| Error::new(verb, name, Kind::NotRunning, NOT_RUNNING))?;
        let hierarchies = Hierarchies::discover().map_err(|why| failed(verb, name, why))?;
        // Nothing named means the unified hierarchy, which a v1 host does not have.
        let controller = match hierarchies.layout() {
            Some(Layout::V2) | None => None,
            Some(Layout::V1 | Layout::Hybrid) => {
                hierarchies.iter().find_map(|it| it.controllers.first()).map(String::as_str)
            }
        };
        let freezer = hierarchies.iter().any(|it| it.controls("freezer")).then_some("freezer");
        let path =
            client.cgroup(freezer.or(controller)).map_err(failed_to_ask)?.ok_or_else(|| {
                Error::new(verb, name, Kind::Failed, "its supervisor names no cgroup")
            })?;
        Ok(Cgroup::open(&hierarchies, &path))
    }
}

fn failed(verb: &'static str, name: &Name, why: CgroupError) -> Error {
    Error::new(verb, name, why.kind(), why)
}
