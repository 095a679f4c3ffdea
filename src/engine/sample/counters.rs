//! Which cgroup files hold which counters on this host, and reading them for one container. What
//! the files say is parsed in [`super::counters_v1`] and [`super::counters_v2`].

use std::path::PathBuf;

use super::files::{Files, Kept};
use super::{counters_v1, counters_v2};
use crate::engine::cgroup::{Hierarchies, Hierarchy};
use crate::engine::snapshot::{Limit, Psi};

/// Counters as the kernel holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Raw {
    pub(super) cpu_ns: Option<u64>,
    pub(super) cpu_quota_us: Option<Limit>,
    pub(super) cpu_period_us: Option<u64>,
    pub(super) periods: Option<u64>,
    pub(super) throttled_periods: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
    pub(super) memory_max_bytes: Option<Limit>,
    pub(super) memory_peak_bytes: Option<u64>,
    pub(super) oom_kills: Option<u64>,
    pub(super) memory_hits: Option<u64>,
    pub(super) pids: Option<u64>,
    pub(super) pids_max: Option<Limit>,
    pub(super) io_read_bytes: Option<u64>,
    pub(super) io_write_bytes: Option<u64>,
    pub(super) psi: Psi,
}

/// One file and how to read it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) controller: &'static str,
    pub(super) file: &'static str,
    pub(super) read: fn(&str, &mut Raw),
}

/// The sources of this host, and where each hierarchy is.
#[derive(Debug, Default)]
pub(super) struct Sources {
    cpu: Vec<(Hierarchy, &'static Source)>,
    others: Vec<(Hierarchy, &'static Source)>,
    freezer: Option<(Hierarchy, &'static str)>,
}

impl Sources {
    /// Chooses for each controller the hierarchy that has it; v1 where both could serve, since a
    /// controller that is bound to v1 counts there alone.
    pub(super) fn of(hierarchies: &Hierarchies) -> Self {
        let v1 = |controller: &str| hierarchies.iter().find(|it| it.controls(controller));
        let v1 = |controller: &str| v1(controller).filter(|it| Some(*it) != hierarchies.unified());
        let choose = |v1_table: &'static [Source], v2_table: &'static [Source]| {
            let old = v1_table.iter().filter_map(|it| Some((v1(it.controller)?.clone(), it)));
            let new = v2_table
                .iter()
                .filter(|it| {
                    !counters_v2::served_by(it.controller).iter().any(|it| v1(it).is_some())
                })
                .filter_map(|it| Some((hierarchies.unified()?.clone(), it)));
            old.chain(new).collect()
        };
        let freezer = v1("freezer").map(|it| (it.clone(), "freezer.state"));
        Self {
            cpu: choose(counters_v1::CPU, counters_v2::CPU),
            others: choose(counters_v1::OTHERS, counters_v2::OTHERS),
            freezer: freezer.or_else(|| Some((hierarchies.unified()?.clone(), "cgroup.events"))),
        }
    }
}

/// The counter files of one container.
#[derive(Debug)]
pub(super) struct Group {
    cpu: Vec<(Kept, &'static Source)>,
    others: Vec<(Kept, &'static Source)>,
    freezer: Option<Kept>,
}

/// How much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// The CPU counter, which every container gets.
    Cpu,
    All,
}

impl Group {
    /// Names the files of the group at `path`, such as `/lxc.payload.web`.
    pub(super) fn new(sources: &Sources, path: &str) -> Self {
        let kept = |all: &[(Hierarchy, &'static Source)]| {
            all.iter().map(|(place, it)| (Kept::new(file(place, path, it.file)), *it)).collect()
        };
        Self {
            cpu: kept(&sources.cpu),
            others: kept(&sources.others),
            freezer: sources
                .freezer
                .as_ref()
                .map(|(place, name)| Kept::new(file(place, path, name))),
        }
    }

    /// Reads the counters. What cannot be read stays unknown.
    pub(super) fn read(&mut self, files: &mut Files, depth: Depth) -> Raw {
        let mut raw = Raw::default();
        read_all(&mut self.cpu, files, &mut raw);
        match depth {
            Depth::All => read_all(&mut self.others, files, &mut raw),
            Depth::Cpu => self.others.iter_mut().for_each(|(it, _)| files.release(it)),
        }
        raw
    }

    /// Tells whether the group is frozen; None when it is gone or the host has no freezer.
    pub(super) fn frozen(&mut self, files: &mut Files) -> Option<bool> {
        files.read(self.freezer.as_mut()?).map(is_frozen)
    }

    /// Closes every file.
    pub(super) fn close(mut self, files: &mut Files) {
        let kept = self.cpu.iter_mut().chain(&mut self.others).map(|(it, _)| it);
        kept.chain(&mut self.freezer).for_each(|it| files.release(it));
    }
}

fn read_all(all: &mut [(Kept, &'static Source)], files: &mut Files, raw: &mut Raw) {
    for (kept, source) in all {
        if let Some(text) = files.read(kept) {
            (source.read)(text, raw);
        }
    }
}

/// The path is relative to the hierarchy's root for root, and to its own group for others.
fn file(place: &Hierarchy, path: &str, name: &str) -> PathBuf {
    let below = path.trim_start_matches('/');
    let dir = place.mount.join(below);
    if dir.is_dir() { dir.join(name) } else { place.base.join(below).join(name) }
}

/// Reads both kinds: the word of `freezer.state`, and the line of `cgroup.events`.
fn is_frozen(text: &str) -> bool {
    text.trim_end() == "FROZEN" || keyed(text, "frozen") == Some(1)
}

/// Returns the number on the line `key number`.
pub(super) fn keyed(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|it| it.split_once(' '));
    lines.find(|(it, _)| *it == key)?.1.trim().parse().ok()
}

/// Returns the number that a file consists of.
pub(super) fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Returns a limit, for which the kernel writes `max` when there is none.
pub(super) fn limit(text: &str) -> Option<Limit> {
    if text.trim() == "max" { Some(Limit::Max) } else { number(text).map(Limit::At) }
}
