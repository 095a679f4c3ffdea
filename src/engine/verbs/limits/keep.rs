//! Writes a limit into a configuration, whether the container runs or not. Comments, order,
//! includes, owner and mode of the file stay, and a result that could not be read again is not
//! written.

use std::path::PathBuf;

use super::failed;
use crate::engine::cgroup::value::{self, Whole};
use crate::engine::cgroup::{Cgroup, CgroupError, Hierarchies, Version, check_name};
use crate::engine::cgroup::{configured, spelling};
use crate::engine::config::{self, Document};
use crate::engine::terms::error::ErrorKind;
use crate::engine::terms::spec::ConfigPlace;
use crate::engine::verbs::draft::{ConfigFile, Draft};
use crate::engine::verbs::proxmox;
use crate::engine::{Engine, Error, Name, Verb};

const VERB: Verb = Verb::KeepLimit;

/// Why a limit was not saved for the next start.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("Proxmox rewrites its configuration from {} at each start; {instead}", conf.display())]
    Owned { conf: PathBuf, instead: String },
    #[error(
        "{key} is also in its configuration, and its value cannot be derived from {file}: change \
         both there"
    )]
    Untranslatable { key: String, file: String },
    #[error("its configuration would not be valid: {0}")]
    Invalid(String),
    #[error(transparent)]
    Line(config::DocumentError),
    #[error("{key} is set by {place}, which its configuration includes; remove it there")]
    Included { key: String, place: ConfigPlace },
    #[error("on this host it is {0}")]
    OtherName(&'static str),
    #[error("no cgroup of this host has a file {0}; name the whole key, such as lxc.cgroup2.{0}")]
    NoVersion(String),
}

/// A limit that was written to a configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct KeptLimit {
    /// Such as `lxc.cgroup2.memory.max`.
    pub key: String,
    /// The key's old value; none: it was not set in this file.
    pub old: Option<String>,
    /// Its new value; none: it was removed.
    pub new: Option<String>,
    /// Whether saving `old` again restores the file: the other version's spelling, which is changed
    /// with it, did not have another value.
    #[serde(skip)]
    pub reversible: bool,
}

/// A limit in the requested spelling, and its group, if the container is running.
struct AskedLimit<'a> {
    version: Version,
    file: &'a str,
    cgroup: Option<Cgroup>,
}

impl Engine {
    /// Writes `value` for `file` (or for a whole key such as `lxc.cgroup2.memory.max`) into the
    /// container's configuration, for its next starts, in each spelling that is used; without a
    /// value, or with an empty one, removes it. Everything else in the file stays as it is.
    pub fn cgroup_keep(
        &self,
        name: &Name,
        file: &str,
        value: Option<&str>,
    ) -> Result<KeptLimit, Error> {
        let mut draft = Draft::open(self, VERB, ConfigFile::Of(name))?;
        let kept = self.change_limit(&mut draft, name, file, value)?;
        let fresh = draft.new_errors();
        if !fresh.is_empty() {
            return Err(not_kept(name, KeepError::Invalid(fresh.join("; "))));
        }
        draft.write()?;
        Ok(kept)
    }

    /// Does so in a draft.
    pub(in crate::engine::verbs) fn change_limit(
        &self,
        draft: &mut Draft,
        name: &Name,
        file: &str,
        value: Option<&str>,
    ) -> Result<KeptLimit, Error> {
        let limit = self.limit_to_keep(name, file)?;
        let value = value.filter(|it| !it.trim().is_empty());
        let wanted = value.map(|it| limit.parse(it, &draft.document)).transpose();
        let wanted = wanted.map_err(|why| Error::new(VERB, name, ErrorKind::Invalid, why))?;
        if let Some(owned) = proxmox::owner(self.lxcpath.host(), name) {
            let why = KeepError::Owned {
                instead: owned.keeps(limit.file, wanted.as_deref().unwrap_or_default().trim()),
                conf: owned.conf,
            };
            return Err(Error::new(VERB, name, ErrorKind::Invalid, why));
        }
        let key = spelling::key(limit.version, limit.file);
        let old = draft.document.values(&key).last().map(str::to_owned);
        let reversible = limit.agrees(&draft.document, old.as_deref());
        let value = value.zip(wanted).filter(|(_, wanted)| !wanted.trim().is_empty());
        let new = if let Some((typed, wanted)) = value {
            let new = spelling::written(typed, &wanted);
            let lines = limit.lines(&draft.document, &new).map_err(|why| not_kept(name, why))?;
            put(draft, &lines).map_err(|why| not_kept(name, why))?;
            Some(new)
        } else {
            draft.document.unset(&key);
            draft.document.unset(&spelling::other(limit.version, limit.file).0);
            if let (None, Some(place)) = (&old, place_of(draft, &key)) {
                return Err(not_kept(name, KeepError::Included { key, place }));
            }
            None
        };
        Ok(KeptLimit { key, old, new, reversible })
    }

    /// Returns what `file` (or the file of a whole key) holds, or while the container is not
    /// running, what its configuration sets for it; none: nothing.
    pub fn limit(&self, name: &Name, file: &str) -> Result<Option<String>, Error> {
        let limit = self.limit_to_keep(name, file)?;
        if let Some(cgroup) = &limit.cgroup {
            let value = cgroup.get(limit.file);
            let value = value.map_err(|why| failed(Verb::ReadCgroup, name, why))?;
            return Ok(Some(value.trim_end().to_owned()));
        }
        let config = config::load(name, &self.lxcpath, None, &[])
            .map_err(|why| Error::new(Verb::ReadCgroup, name, ErrorKind::Invalid, why))?;
        let key = spelling::key(limit.version, limit.file);
        let set = config.cgroup_settings().get(&key).map(|it| it.value.to_owned());
        Ok(set)
    }

    fn limit_to_keep<'a>(&self, name: &Name, file: &'a str) -> Result<AskedLimit<'a>, Error> {
        let cgroup_error = |why: CgroupError| failed(VERB, name, why);
        let cgroup = self.limited_if_running(name, VERB)?.map(|(_, cgroup)| cgroup);
        if let Some((version, file)) = spelling::of_key(file) {
            check_name(file).map_err(cgroup_error)?;
            return Ok(AskedLimit { version, file, cgroup });
        }
        if let Some(cgroup) = cgroup {
            let version = cgroup.version_of(file).map_err(cgroup_error)?;
            return Ok(AskedLimit { version, file, cgroup: Some(cgroup) });
        }
        check_name(file).map_err(cgroup_error)?;
        let hierarchies = Hierarchies::discover(self.lxcpath.host()).map_err(cgroup_error)?;
        let version = configured::version_of(&hierarchies, file)
            .ok_or_else(|| not_kept(name, KeepError::NoVersion(file.to_owned())))?;
        if let Some(here) = configured::name_here(version, file) {
            return Err(Error::new(VERB, name, ErrorKind::Invalid, KeepError::OtherName(here)));
        }
        Ok(AskedLimit { version, file, cgroup: None })
    }
}

impl AskedLimit<'_> {
    /// Returns whether the other spelling, if `document` has it, says the same as `value` in this
    /// one.
    fn agrees(&self, document: &Document, value: Option<&str>) -> bool {
        let (other, other_file) = spelling::other(self.version, self.file);
        let Some(there) = document.values(&other).last() else { return true };
        let meaning = |it: &str| value::parse(other_file, it, Whole::of_host(it)).ok();
        let here = value.and_then(|it| spelling::translated(self.file, it, other_file));
        here.is_some_and(|it| {
            it == there || meaning(&it).is_some_and(|it| meaning(there) == Some(it))
        })
    }

    /// Turns `typed` into what the kernel accepts, or returns what is wrong.
    fn parse(&self, typed: &str, document: &Document) -> Result<String, String> {
        if let Some(cgroup) = &self.cgroup {
            return cgroup.parse(self.file, typed);
        }
        let period = match self.version {
            Version::V1 => document.values("lxc.cgroup.cpu.cfs_period_us").last(),
            Version::V2 => {
                let quota = document.values("lxc.cgroup2.cpu.max").last();
                quota.and_then(|it| it.split_whitespace().nth(1))
            }
        };
        let period = period.and_then(|it| it.parse().ok());
        value::parse(self.file, typed, Whole { period, ..Whole::of_host(typed) })
    }

    /// Returns the lines that set `value`: in this spelling, and in the other if `document` has
    /// that one too.
    fn lines(&self, document: &Document, value: &str) -> Result<Vec<(String, String)>, KeepError> {
        let mut lines = vec![(spelling::key(self.version, self.file), value.to_owned())];
        let (other, other_file) = spelling::other(self.version, self.file);
        if document.values(&other).next().is_some() {
            let why = || KeepError::Untranslatable { key: other.clone(), file: self.file.into() };
            let value = spelling::translated(self.file, value, other_file).ok_or_else(why)?;
            lines.push((other, value));
        }
        Ok(lines)
    }
}

/// Puts each of `lines` into the draft: in its place, or at the end if a later include overrides
/// it.
fn put(draft: &mut Draft, lines: &[(String, String)]) -> Result<(), KeepError> {
    for (key, value) in lines {
        draft.document.set(key, value).map_err(KeepError::Line)?;
    }
    let counts = draft.survey().in_the_end();
    for (key, value) in lines {
        // The last line of a key is the one that counts.
        let last = counts.iter().rfind(|it| it.key == *key);
        if last.is_none_or(|it| it.value != *value) {
            draft.document.unset(key);
            draft.document.append(key, value).map_err(KeepError::Line)?;
        }
    }
    Ok(())
}

/// Returns the place of the line that sets `key`.
fn place_of(draft: &Draft, key: &str) -> Option<ConfigPlace> {
    draft.survey().in_the_end().into_iter().rfind(|it| it.key == key)?.place
}

fn not_kept(name: &Name, why: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(VERB, name, ErrorKind::Failed, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_can_be_reversed_if_both_spellings_said_the_same() {
        let limit = AskedLimit { version: Version::V2, file: "memory.max", cgroup: None };
        for (others, old, reversible) in [
            ("", None, true),
            ("", Some("64M"), true),
            ("lxc.cgroup.memory.limit_in_bytes = 64M\n", Some("64M"), true),
            ("lxc.cgroup.memory.limit_in_bytes = 67108864\n", Some("64M"), true),
            ("lxc.cgroup.memory.limit_in_bytes = -1\n", Some("max"), true),
            ("lxc.cgroup.memory.limit_in_bytes = 1G\n", Some("64M"), false),
            ("lxc.cgroup.memory.limit_in_bytes = 64M\n", None, false),
        ] {
            let document = Document::parse(others.as_bytes());
            assert_eq!(limit.agrees(&document, old), reversible, "{others} {old:?}");
        }
    }
}
