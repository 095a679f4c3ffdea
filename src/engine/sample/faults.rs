//! Whose configuration cannot be used, and why: each is read once, and again when its file has
//! changed.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::engine::config::{self, ConfigErrors};
use crate::engine::name::Name;

/// How often a file is looked at for changes.
const STALE: Duration = Duration::from_secs(5);

/// What was found so far. A change in an included file alone is noticed only where the including
/// one cannot be used already; the container in detail is read whole.
#[derive(Debug, Default)]
pub(super) struct Faults(HashMap<Name, Known>);

#[derive(Debug)]
struct Known {
    at: Instant,
    stamp: Option<Stamp>,
    fault: Option<String>,
}

/// Changes with the file: device, inode, change time and size.
#[derive(Debug, PartialEq, Eq)]
struct Stamp(u64, u64, (i64, i64), u64);

impl Faults {
    /// Says why the configuration of `name` cannot be used; `None`: it can.
    pub(super) fn of(&mut self, lxcpath: &Path, name: &Name) -> Option<String> {
        let known = self.0.get(name);
        if let Some(known) = known.filter(|it| it.at.elapsed() < STALE) {
            return known.fault.clone();
        }
        let stamp = stamp(&lxcpath.join(name.as_str()).join("config"));
        let good = |it: &&Known| it.fault.is_none() && it.stamp.is_some() && it.stamp == stamp;
        let fault = match known.filter(good) {
            Some(_) => None,
            None => config::load(name, lxcpath, None, &[]).err().map(|it| words(&it)),
        };
        let known = Known { at: Instant::now(), stamp, fault: fault.clone() };
        self.0.insert(name.clone(), known);
        fault
    }

    /// Forgets what is not among the names that `keep` knows.
    pub(super) fn retain(&mut self, keep: impl Fn(&Name) -> bool) {
        self.0.retain(|name, _| keep(name));
    }
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
        let mut faults = Faults::default();
        let later = |faults: &mut Faults| {
            let known = faults.0.get_mut(&name).unwrap();
            known.at = known.at.checked_sub(STALE).unwrap();
        };
        assert_eq!(faults.of(lxcpath.path(), &name), None);
        std::fs::write(&file, "lxc.tty.max = 1\nlxc.bogus = 1\n").unwrap();
        assert_eq!(faults.of(lxcpath.path(), &name), None, "looked at too soon");
        later(&mut faults);
        let fault = faults.of(lxcpath.path(), &name).unwrap();
        assert!(fault.contains("lxc.bogus (line 2 of"), "{fault}");
        std::fs::remove_file(&file).unwrap();
        later(&mut faults);
        assert!(faults.of(lxcpath.path(), &name).unwrap().contains("No such file"));
        faults.retain(|_| false);
        assert!(faults.0.is_empty());
    }
}
