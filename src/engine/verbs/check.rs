//! The check of this host: each feature that containers use is used for a moment, by a process of its
//! own. Leaves nothing; as by any first use, the kernel may load a module.

mod files;
mod groups;
mod links;
mod processes;
mod programs;
mod table;
mod trial;
mod users;

use std::fmt;

use nix::unistd::geteuid;

use crate::engine::Lxcpath;
pub use crate::engine::terms::feature::Feature;
use groups::Trials;
use table::{Attempt, Row, TABLE};

/// One feature that containers can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub feature: Feature,
    pub status: Status,
    /// What was tried, and the result.
    pub evidence: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Present,
    /// Containers run, with the limitation in [`Feature::loss`].
    Missing,
    /// No container of this user can run without it.
    Required,
    /// Only root can use it, or find out whether it is there.
    ForRoot,
    /// What it needs is missing.
    NotTried,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Required => "required, but missing",
            Self::ForRoot => "for root",
            Self::NotTried => "not tried",
        })
    }
}

/// Tries every feature for containers below `lxcpath`, for the user of this process.
pub fn probe(lxcpath: &Lxcpath) -> Vec<Probe> {
    probe_those(lxcpath, |_| true)
}

/// Returns whether a feature of this name is tried.
#[cfg(test)]
pub(in crate::engine) fn is_tried(name: &str) -> bool {
    TABLE.iter().any(|it| it.feature.name == name)
}

/// Tries the features that are `wanted`.
pub(in crate::engine) fn probe_those(
    lxcpath: &Lxcpath,
    wanted: impl Fn(&Feature) -> bool,
) -> Vec<Probe> {
    let root = geteuid().is_root();
    let is_of_use = |it: &&Row| !(root && matches!(it.trial, Attempt::OfOthers(_)));
    let rows: Vec<&Row> = TABLE.iter().filter(|it| wanted(&it.feature)).filter(is_of_use).collect();
    let mut groups = Trials::of(lxcpath.host(), rows.iter().filter_map(|it| it.in_group()));
    rows.iter().map(|row| row.probe(lxcpath, root, &mut groups)).collect()
}

impl Row {
    fn in_group(&self) -> Option<groups::GroupTrial> {
        match self.trial {
            Attempt::InGroup(it) | Attempt::InGroupOfRoot(it) => Some(it),
            Attempt::AsRoot(_) | Attempt::OfRoot(_) | Attempt::AsIs(_) | Attempt::OfOthers(_) => {
                None
            }
        }
    }

    fn probe(&self, lxcpath: &Lxcpath, root: bool, groups: &mut Trials) -> Probe {
        let tried = match self.trial {
            Attempt::AsRoot(it) | Attempt::OfRoot(it) if root => Some(trial::alone(|| it(lxcpath))),
            Attempt::AsRoot(it) => {
                let work = || users::become_root_of_own().and_then(|()| it(lxcpath));
                Some(trial::alone(work))
            }
            Attempt::AsIs(it) | Attempt::OfOthers(it) => Some(trial::alone(|| it(lxcpath))),
            Attempt::InGroup(_) => groups.next(),
            Attempt::InGroupOfRoot(_) => groups.next().filter(|_| root),
            Attempt::OfRoot(_) => None,
        };
        let what = self.what;
        let (status, evidence) = match tried {
            Some(Ok(detail)) if detail.is_empty() => (Status::Present, what.to_owned()),
            Some(Ok(detail)) => (Status::Present, format!("{what}: {detail}")),
            Some(Err(why)) if self.need.is_required(root) => {
                (Status::Required, format!("{what}: {why}"))
            }
            Some(Err(why)) => (Status::Missing, format!("{what}: {why}")),
            None if root || matches!(self.trial, Attempt::InGroup(_)) => {
                (Status::NotTried, format!("{what}: there is no group to try it in"))
            }
            None => (Status::ForRoot, format!("{what}: only root can")),
        };
        Probe { feature: self.feature, status, evidence }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::engine::host::made_up::MadeUp;

    #[test]
    fn each_row_has_a_name_of_its_own_and_all_its_words() {
        let names: BTreeSet<&str> = TABLE.iter().map(|it| it.feature.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for Row { feature: Feature { name, lack, loss, remedy }, what, .. } in TABLE {
            assert!([name, lack, loss, remedy, what].iter().all(|it| !it.is_empty()), "{name}");
            assert!(!remedy.ends_with('.') && !lack.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn the_made_up_host_has_what_its_files_say() {
        let machine = MadeUp::new();
        let probes = probe(&machine.lxcpath);
        let status = |name| probes.iter().find(|it| it.feature.name == name).unwrap().status;
        assert!(probes.iter().all(|it| !it.evidence.is_empty()));
        assert_eq!(status("pidfd"), Status::Present);
        assert_eq!(status("cgroups"), Status::Present);
        assert_eq!(status("cgroup memory"), Status::Present);
        assert_eq!(status("cgroup io"), Status::Missing);
        assert_eq!(status("cgroup.kill"), Status::Missing);
        // Nothing is left of the group.
        let left = std::fs::read_dir(machine.path("cgroup")).unwrap().count();
        assert_eq!(left, 1);
    }
}
