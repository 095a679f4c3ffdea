//! The verb `cgroup`: reads and changes any cgroup file of a running container, and keeps a limit
//! for its next starts.

mod spelling;

use std::io;
use std::path::PathBuf;

use super::cgroup::{Cgroup, CgroupError, Hierarchies};
use super::command_socket::Client;
use super::config::{Document, words};
use super::error::Kind;
use super::event::{self, What};
use super::proxmox;
use super::record::Limits;
use super::store::Store;
use super::{Engine, Error, Name, Verb};

/// Asks for all the lines of LXC's that set limits on cgroup v2.
pub(super) const CONFIGURED: &str = "lxc.cgroup2";
const NOT_RUNNING: &str = "it is not running, and only a running container has cgroups; for the \
                           next start, set lxc.cgroup2.FILE or lxc.cgroup.FILE in its configuration";

/// Why a limit is not kept for the next start.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("Proxmox rewrites its configuration from {} at each start; {instead}", conf.display())]
    Owned { conf: PathBuf, instead: String },
    #[error(
        "{key} is in its configuration too, and what it must be does not follow from {file}: \
         change both there"
    )]
    Untranslatable { key: String, file: String },
}

/// Why nobody knows which limits are lost.
#[derive(Debug, thiserror::Error)]
#[error("the record of what was set cannot be read: {}", words(.0))]
struct Unread(io::Error);

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
        self.cgroup_of(name, Verb::ReadCgroup)?
            .get(file)
            .map_err(|why| failed(Verb::ReadCgroup, name, why))
    }

    /// Writes `value` to `file` and reads back what the kernel kept.
    pub fn cgroup_set(&self, name: &Name, file: &str, value: &str) -> Result<Change, Error> {
        self.set(name, &self.cgroup_of(name, Verb::SetCgroup)?, (file, value))
    }

    /// Sets anew what wharf has set and the kernel no longer has; tells what that was.
    pub fn cgroup_again(&self, name: &Name) -> Result<Vec<Change>, Error> {
        let (client, cgroup) = self.limited(name, Verb::SetCgroup)?;
        let limits = Limits::read(&self.lxcpath, name, &cgroup)
            .map_err(|why| Error::new(Verb::SetCgroup, name, Kind::Failed, Unread(why)))?;
        // LXC notes nothing of its containers, but tells what they are configured with.
        let configured = client.config_item(CONFIGURED).ok().flatten().unwrap_or_default();
        let lost = limits.lost(&cgroup).into_iter().chain(limits.vanished(&configured, &cgroup));
        lost.map(|it| self.set(name, &cgroup, (&it.file, &it.set))).collect()
    }

    fn set(
        &self,
        name: &Name,
        cgroup: &Cgroup,
        (file, value): (&str, &str),
    ) -> Result<Change, Error> {
        let mut before = None;
        // Noted before it is done, or its supervisor would miss the value from before. A limit that
        // cannot be written down is set all the same.
        _ = Limits::change(&self.lxcpath, name, cgroup, |it| before = it.begin(file, value));
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

    /// Writes the present limit in `file`, `value`, into the container's configuration, for its
    /// next starts, in each spelling that is there; without a value, or with one that clears it,
    /// takes it out. All else in the file stays as it is.
    pub fn cgroup_keep(&self, name: &Name, file: &str, value: Option<&str>) -> Result<Kept, Error> {
        let cgroup = self.cgroup_of(name, Verb::KeepLimit)?;
        let version = cgroup.version_of(file).map_err(|why| failed(Verb::KeepLimit, name, why))?;
        let wanted = value.map(|it| cgroup.parse(file, it)).transpose();
        let wanted = wanted.map_err(|why| Error::new(Verb::KeepLimit, name, Kind::Invalid, why))?;
        if let Some(owned) = proxmox::owner(self.lxcpath.host(), name) {
            let why = KeepError::Owned {
                instead: owned.keeps(file, wanted.as_deref().unwrap_or_default().trim()),
                conf: owned.conf,
            };
            return Err(Error::new(Verb::KeepLimit, name, Kind::Invalid, why));
        }
        let store = Store::new(&self.lxcpath);
        let _lock = store.lock(name).map_err(|why| not_kept(name, why))?;
        let text = store.read_config(name).map_err(|why| not_kept(name, why))?;
        let mut document = Document::parse(&text);
        let key = spelling::key(version, file);
        let old = document.values(&key).last().map(str::to_owned);
        let (other, other_file) = spelling::other(version, file);
        let has_other = document.values(&other).next().is_some();
        let value = value.zip(wanted).filter(|(_, wanted)| !wanted.trim().is_empty());
        if let Some((typed, wanted)) = value {
            let value = spelling::written(typed, &wanted);
            if has_other {
                let why = KeepError::Untranslatable { key: other.clone(), file: file.into() };
                let translated = spelling::translated(file, &value, other_file);
                let translated = translated.ok_or_else(|| not_kept(name, why))?;
                document.set(&other, &translated).map_err(|why| not_kept(name, why))?;
            }
            document.set(&key, &value).map_err(|why| not_kept(name, why))?;
        } else {
            document.unset(&key);
            document.unset(&other);
        }
        store.replace_config(name, &document.to_bytes()).map_err(|why| not_kept(name, why))?;
        Ok(Kept { key, old })
    }

    fn cgroup_of(&self, name: &Name, verb: Verb) -> Result<Cgroup, Error> {
        self.limited(name, verb).map(|(_, cgroup)| cgroup)
    }

    /// Asks the container's supervisor, wharf's or LXC's, for its cgroup.
    fn limited(&self, name: &Name, verb: Verb) -> Result<(Client, Cgroup), Error> {
        let failed_to_ask = |why| Error::new(verb, name, Kind::Failed, why);
        let client = Client::connect(self.lxcpath(), name)
            .map_err(failed_to_ask)?
            .ok_or_else(|| Error::new(verb, name, Kind::NotRunning, NOT_RUNNING))?;
        let hierarchies =
            Hierarchies::discover(self.lxcpath.host()).map_err(|why| failed(verb, name, why))?;
        let path = client.limit_cgroup().map_err(failed_to_ask)?.ok_or_else(|| {
            Error::new(verb, name, Kind::Failed, "its supervisor does not report its cgroup")
        })?;
        Ok((client, Cgroup::open(&hierarchies, &path)))
    }
}

fn not_kept(name: &Name, why: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(Verb::KeepLimit, name, Kind::Failed, why)
}

fn failed(verb: Verb, name: &Name, why: CgroupError) -> Error {
    Error::new(verb, name, why.kind(), why)
}
