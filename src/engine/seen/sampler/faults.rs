//! Which configurations cannot be used, and why: each is read once, and again when its file has
//! changed.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::aside::Aside;
use crate::engine::config::{self, ConfigErrors};
use crate::engine::terms::name::Name;

/// How often a file is checked for changes.
const STALE: Duration = Duration::from_secs(5);

/// The results so far. A change in only an included file is noticed only if the configuration was
/// already unusable; that of the container in detail is always read.
#[derive(Debug)]
pub(super) struct Faults {
    known: HashMap<Name, KnownFault>,
    read: Aside<Name, FaultFound>,
    read_all: Aside<(), Vec<(Name, FaultFound)>>,
}

/// What one look at a configuration has found.
type FaultFound = (Option<Stamp>, Option<String>);

#[derive(Debug)]
struct KnownFault {
    at: Instant,
    stamp: Option<Stamp>,
    fault: Option<String>,
}

/// Changes with the file: device, inode, change time and size.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp(u64, u64, (i64, i64), u64);

impl Faults {
    pub(super) fn new() -> Self {
        Self { known: HashMap::new(), read: Aside::new(), read_all: Aside::new() }
    }

    /// Looks at all of these that are due: to wait for one thread once costs less than once for
    /// each. If that takes too long, [`Self::of`] finds out for which it does.
    pub(super) fn look_ahead(&mut self, lxcpath: &Path, names: &[&Name]) {
        let due = names.iter().filter(|it| self.is_due(it));
        let due: Vec<_> = due.map(|it| ((*it).clone(), self.good(it))).collect();
        if due.is_empty() {
            return;
        }
        let lxcpath = lxcpath.to_path_buf();
        let read = move || {
            let found = due.into_iter().map(|(name, good)| {
                let found = look(&lxcpath, &name, good.as_ref());
                (name, found)
            });
            found.collect()
        };
        for (name, found) in self.read_all.ask((), read).unwrap_or_default() {
            self.learn(name, found);
        }
    }

    fn is_due(&self, name: &Name) -> bool {
        self.known.get(name).is_none_or(|it| it.at.elapsed() >= STALE)
    }

    /// Returns how the file was when it was found valid, if that is the last that was found.
    fn good(&self, name: &Name) -> Option<Stamp> {
        self.known.get(name).filter(|it| it.fault.is_none()).and_then(|it| it.stamp.clone())
    }

    fn learn(&mut self, name: Name, (stamp, fault): FaultFound) {
        self.known.insert(name, KnownFault { at: Instant::now(), stamp, fault });
    }

    /// Returns why the configuration of `name` cannot be used; `None`: it can, or that is unknown.
    pub(super) fn of(&mut self, lxcpath: &Path, name: &Name) -> Option<String> {
        if self.is_due(name) {
            let good = self.good(name);
            let (lxcpath, of) = (lxcpath.to_path_buf(), name.clone());
            let read = move || look(&lxcpath, &of, good.as_ref());
            if let Some(found) = self.read.ask(name.clone(), read) {
                self.learn(name.clone(), found);
            }
        }
        self.known.get(name).and_then(|it| it.fault.clone())
    }

    /// Drops all names that `keep` rejects.
    pub(super) fn retain(&mut self, keep: impl Fn(&Name) -> bool) {
        self.known.retain(|name, _| keep(name));
    }
}

/// Reads the configuration, unless it is unchanged and was valid before.
fn look(lxcpath: &Path, name: &Name, good: Option<&Stamp>) -> FaultFound {
    let stamp = stamp(&lxcpath.join(name.as_str()).join("config"));
    if stamp.is_some() && stamp.as_ref() == good {
        return (stamp, None);
    }
    let fault = config::load(name, lxcpath, None, &[]).err().map(|it| words(&it));
    (stamp, fault)
}

/// Says that a configuration cannot be used.
pub(super) fn words(errors: &ConfigErrors) -> String {
    format!("its configuration cannot be used: {errors}")
}

fn stamp(file: &Path) -> Option<Stamp> {
    let meta = file.metadata().ok()?;
    Some(Stamp(meta.dev(), meta.ino(), (meta.ctime(), meta.ctime_nsec()), meta.size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_again_only_where_the_file_has_changed() {
        let lxcpath = tempfile::tempdir().unwrap();
        let name: Name = "web".parse().unwrap();
        let file = lxcpath.path().join("web/config");
        std::fs::create_dir(lxcpath.path().join("web")).unwrap();
        std::fs::write(&file, "lxc.tty.max = 1\n").unwrap();
        let mut faults = Faults::new();
        let later = |faults: &mut Faults| {
            let known = faults.known.get_mut(&name).unwrap();
            known.at = known.at.checked_sub(STALE).unwrap();
        };
        assert_eq!(faults.of(lxcpath.path(), &name), None);
        std::fs::write(&file, "lxc.tty.max = 1\nlxc.bogus = 1\n").unwrap();
        // However slow this machine is.
        faults.known.get_mut(&name).unwrap().at += STALE * 60;
        assert_eq!(faults.of(lxcpath.path(), &name), None, "looked at too soon");
        faults.known.get_mut(&name).unwrap().at -= STALE * 60;
        later(&mut faults);
        let fault = faults.of(lxcpath.path(), &name).unwrap();
        assert!(fault.contains("lxc.bogus (line 2 of"), "{fault}");
        std::fs::remove_file(&file).unwrap();
        later(&mut faults);
        assert!(faults.of(lxcpath.path(), &name).unwrap().contains("No such file"));
        faults.retain(|_| false);
        assert!(faults.known.is_empty());
    }
}
