//! The verb `cgroup`: reads and changes any cgroup file of a running container, and saves a limit
//! in the configuration of any.

mod keep;

use std::io;

pub use keep::KeptLimit;

pub use crate::engine::cgroup::Change;
pub use crate::engine::cgroup::spelling::{key_of, of_key};
use crate::engine::cgroup::{Cgroup, CgroupError, CgroupFile};
use crate::engine::running::command_socket::wire::encode_device;
use crate::engine::running::command_socket::{CONFIGURED, Client};
use crate::engine::running::event::{self, What};
use crate::engine::running::groups::{self, Holding};
use crate::engine::running::record::{Limits, NoteError};
use crate::engine::terms::error::ErrorKind;
use crate::engine::terms::error::words;
use crate::engine::{Engine, Error, Name, Verb};

const NOT_RUNNING: &str = "it is not running, and only a running container has cgroups; with a \
                           value and --keep, its configuration is changed for the next start";

/// Why it is unknown which limits are lost.
#[derive(Debug, thiserror::Error)]
#[error("the record of what was set cannot be read: {}", words(.0))]
struct Unread(io::Error);

impl Engine {
    /// Reads `file` (such as `memory.max`) of the container's cgroup, its newline kept.
    pub fn cgroup_get(&self, name: &Name, file: &str) -> Result<String, Error> {
        self.cgroup_of(name, Verb::ReadCgroup)?
            .get(file)
            .map_err(|why| failed(Verb::ReadCgroup, name, why))
    }

    /// Lists every file of the container's cgroups with its value, by controller and name.
    pub fn cgroup_files(&self, name: &Name) -> Result<Vec<CgroupFile>, Error> {
        Ok(self.cgroup_of(name, Verb::ReadCgroup)?.files())
    }

    /// Writes `value` to `file` and reads back what the kernel kept.
    pub fn cgroup_set(&self, name: &Name, file: &str, value: &str) -> Result<Change, Error> {
        let (client, cgroup) = self.limited(name, Verb::SetCgroup)?;
        if let Some(rule) = encode_device(file, value).filter(|_| !cgroup.guards_devices_itself()) {
            let done = client.change_device(&rule);
            done.map_err(|why| Error::new(Verb::SetCgroup, name, ErrorKind::Failed, why))?;
            let (file, old, new) = (file.to_owned(), String::new(), value.to_owned());
            return Ok(Change { file, old, new });
        }
        self.set(name, &cgroup, file, value)
    }

    /// Adds a line `devices.allow` or `devices.deny` to the rules of the running container.
    pub(in crate::engine) fn change_device_rule(
        &self,
        name: &Name,
        file: &str,
        rule: &str,
    ) -> Result<(), Error> {
        self.cgroup_set(name, file, rule).map(drop)
    }

    /// Restores limits that wharf has set and the kernel has lost; returns which.
    pub fn cgroup_again(&self, name: &Name) -> Result<Vec<Change>, Error> {
        let (client, cgroup) = self.limited(name, Verb::SetCgroup)?;
        let limits = Limits::read(&self.lxcpath, name, &cgroup)
            .map_err(|why| Error::new(Verb::SetCgroup, name, ErrorKind::Failed, Unread(why)))?;
        // LXC records nothing about its containers, but reports their configuration.
        let configured = client.config_item(CONFIGURED).ok().flatten().unwrap_or_default();
        let lost = limits.lost(&cgroup).into_iter().chain(limits.vanished(&configured, &cgroup));
        lost.map(|it| self.set(name, &cgroup, &it.file, &it.set)).collect()
    }

    fn set(&self, name: &Name, cgroup: &Cgroup, file: &str, value: &str) -> Result<Change, Error> {
        let mut before = None;
        // Recorded first, or its supervisor would report the old value as lost. A limit that cannot
        // be recorded for want of space is set nevertheless.
        match Limits::change(&self.lxcpath, name, cgroup, |it| before = it.begin(file, value)) {
            Err(why @ NoteError::Held { .. }) => {
                return Err(Error::new(Verb::SetCgroup, name, ErrorKind::Busy, why));
            }
            Ok(()) | Err(NoteError::Io(_)) => (),
        }
        let changed = cgroup.set(file, value);
        _ = Limits::change(&self.lxcpath, name, cgroup, |it| match &changed {
            Ok(_) => it.finish(cgroup, file, value),
            Err(_) => it.undo(file, value, before),
        });
        let change = changed.map_err(|why| failed(Verb::SetCgroup, name, why))?;
        let Change { file, old, new } = change.clone();
        event::publish(self.lxcpath(), name, What::Cgroup { file, old, new });
        Ok(change)
    }

    fn cgroup_of(&self, name: &Name, verb: Verb) -> Result<Cgroup, Error> {
        self.limited(name, verb).map(|(_, cgroup)| cgroup)
    }

    /// Asks the container's supervisor, wharf's or LXC's, for its cgroup.
    fn limited(&self, name: &Name, verb: Verb) -> Result<(Client, Cgroup), Error> {
        self.limited_if_running(name, verb)?
            .ok_or_else(|| Error::new(verb, name, ErrorKind::NotRunning, NOT_RUNNING))
    }

    /// The same; none: it is not running.
    fn limited_if_running(
        &self,
        name: &Name,
        verb: Verb,
    ) -> Result<Option<(Client, Cgroup)>, Error> {
        let client = Client::connect(self.lxcpath(), name)
            .map_err(|why| Error::new(verb, name, ErrorKind::Failed, why))?;
        let Some(client) = client else { return Ok(None) };
        let cgroup = groups::find(&self.lxcpath, name, Some(&client), Holding::Limits)
            .map_err(|why| Error::new(verb, name, why.kind(), why))?
            .ok_or_else(|| {
                Error::new(
                    verb,
                    name,
                    ErrorKind::Failed,
                    "its supervisor does not report its cgroup",
                )
            })?;
        Ok(Some((client, cgroup)))
    }
}

fn failed(verb: Verb, name: &Name, why: CgroupError) -> Error {
    Error::new(verb, name, why.kind(), why)
}
