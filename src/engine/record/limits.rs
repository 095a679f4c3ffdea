//! The limits that wharf has set in a run, from the configuration or by a command, kept beside its
//! record: whether the kernel still has them can only be told by who knows what they were.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{MAX_BYTES, inodes, write_new};
use crate::engine::cgroup::Cgroup;
use crate::engine::cgroup::knob::{self, Value};
use crate::engine::lxcpath::Lxcpath;
use crate::engine::name::Name;

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct SetLimit {
    pub(in crate::engine) file: String,
    /// As it was asked for.
    pub(in crate::engine) set: String,
    /// As the kernel kept it; none: it is just being set.
    pub(in crate::engine) kept: Option<String>,
}

/// All of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Limits {
    /// They belong to this group and to no later one of its name.
    inodes: Vec<u64>,
    set: Vec<SetLimit>,
}

impl Limits {
    /// None are set in `cgroup` so far.
    pub(in crate::engine) fn of(cgroup: &Cgroup) -> Self {
        Self { inodes: inodes(cgroup), set: Vec::new() }
    }

    /// Reads what was set in `cgroup`.
    pub(in crate::engine) fn read(lxcpath: &Lxcpath, name: &Name, cgroup: &Cgroup) -> Self {
        let none = Self::of(cgroup);
        let read = || {
            let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
            let path = path(&super::path(lxcpath.host(), lxcpath, name));
            let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
            let mut bytes = Vec::new();
            file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
            serde_json::from_slice::<Self>(&bytes).ok()
        };
        read().filter(|it| it.inodes == none.inodes).unwrap_or(none)
    }

    /// Puts it in place of what was written before, in one step.
    pub(in crate::engine) fn write(&self, lxcpath: &Lxcpath, name: &Name) -> io::Result<()> {
        let path = path(&super::path(lxcpath.host(), lxcpath, name));
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        remove_drafts(&path, |pid| !lxcpath.host().proc().join(pid).exists());
        let draft = path.with_extension(format!("limits.{}", std::process::id()));
        let written =
            write_new(&draft, &serde_json::to_vec(self)?).and_then(|()| fs::rename(&draft, &path));
        if written.is_err() {
            _ = fs::remove_file(&draft);
        }
        written
    }

    /// Notes that `file` is about to be `set`.
    pub(in crate::engine) fn begin(&mut self, file: &str, set: &str) {
        let subject = subject(file, set);
        self.set.retain(|it| it.file != file || self::subject(file, &it.set) != subject);
        if knob::of(file).stays {
            let (file, set) = (file.to_owned(), set.to_owned());
            self.set.push(SetLimit { file, set, kept: None });
        }
    }

    /// Notes what the kernel made of what was begun.
    pub(in crate::engine) fn finish(&mut self, cgroup: &Cgroup) {
        self.set.retain_mut(|it| {
            if it.kept.is_none() {
                it.kept = held(cgroup, it).filter(|it| !is_none(it));
            }
            it.kept.is_some()
        });
    }

    /// Returns those that the kernel no longer has.
    pub(in crate::engine) fn lost(&self, cgroup: &Cgroup) -> Vec<SetLimit> {
        let is_lost = |it: &&SetLimit| it.kept.is_some() && held(cgroup, it) != it.kept;
        self.set.iter().filter(is_lost).cloned().collect()
    }
}

/// Returns what the kernel has in the file now, or of it the line of the device.
fn held(cgroup: &Cgroup, limit: &SetLimit) -> Option<String> {
    let content = cgroup.get(&limit.file).ok()?;
    match subject(&limit.file, &limit.set) {
        Some(device) => {
            let line = content.lines().find(|it| it.split(' ').next() == Some(device))?;
            Some(line.trim().to_owned())
        }
        None => Some(content.trim().to_owned()),
    }
}

/// Returns the device that a value is about, in files with a line for each.
fn subject<'a>(file: &str, set: &'a str) -> Option<&'a str> {
    let by_device = knob::of(file).value == Value::Devices;
    set.split_whitespace().next().filter(|_| by_device)
}

/// Tells whether it is no limit at all, which cannot be lost.
fn is_none(kept: &str) -> bool {
    let words = kept.split_whitespace().next();
    matches!(words, None | Some("max" | "-1"))
}

/// Returns the place beside the `record`.
pub(super) fn path(record: &Path) -> PathBuf {
    record.with_extension("limits")
}

/// Splits the name of a draft into the container's and the pid of who writes it.
pub(super) fn of_draft(file: &str) -> Option<(&str, &str)> {
    let (rest, pid) = file.rsplit_once('.')?;
    let is_pid = !pid.is_empty() && pid.bytes().all(|it| it.is_ascii_digit());
    is_pid.then(|| rest.strip_suffix(".limits")).flatten().map(|name| (name, pid))
}

/// Removes the drafts beside the `record` of those writers that are `gone`.
pub(super) fn remove_drafts(record: &Path, gone: impl Fn(&str) -> bool) {
    let Some(dir) = record.parent() else { return };
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let draft = file.to_str().and_then(of_draft);
        if draft.is_some_and(|(name, pid)| record.file_stem() == Some(name.as_ref()) && gone(pid)) {
            _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_of_writers_that_were_killed_are_removed_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let record = dir.path().join("a.b.json");
        let all = ["a.b.limits", "a.b.limits.7", "a.b.limits.8", "a.b.limits.x", "a.limits.7"];
        for file in all {
            fs::write(dir.path().join(file), "").unwrap();
        }
        remove_drafts(&record, |pid| pid == "7");
        let stays = all.map(|it| dir.path().join(it).exists());
        assert_eq!(stays, [true, false, true, true, true]);
        assert_eq!(of_draft("a.b.limits.8"), Some(("a.b", "8")));
        assert_eq!(of_draft("a.limits.").or_else(|| of_draft("a.json")), None);
    }

    #[test]
    fn a_value_replaces_the_one_before_and_a_device_has_its_own() {
        let mut limits = Limits::default();
        for (file, set) in [
            ("memory.max", "64M"),
            ("io.max", "8:0 rbps=1"),
            ("io.max", "8:16 rbps=1"),
            ("memory.max", "65M"),
            ("io.max", "8:0 rbps=2"),
            ("memory.reclaim", "1M"),
        ] {
            limits.begin(file, set);
        }
        let set: Vec<_> = limits.set.iter().map(|it| it.set.as_str()).collect();
        assert_eq!(set, ["8:16 rbps=1", "65M", "8:0 rbps=2"]);
        assert!(is_none("max 100000") && is_none("-1") && is_none("") && !is_none("0"));
    }
}
