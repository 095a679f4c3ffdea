//! Which cgroup files hold which counters on this host, and reading them for one container. What
//! the files say is parsed in [`super::counters_v1`] and [`super::counters_v2`].

use std::path::Path;

use super::files::{CachedFile, Files};
use super::{counters_v1, counters_v2};
use crate::engine::cgroup::{Hierarchies, Hierarchy};
use crate::engine::seen::sample::{Limit, Psi};

/// Counters as the kernel holds them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RawCounters {
    pub(super) cpu_ns: Option<u64>,
    pub(super) cpu_quota_us: Option<Limit>,
    pub(super) cpu_period_us: Option<u64>,
    pub(super) periods: Option<u64>,
    pub(super) throttled_periods: Option<u64>,
    /// All that is charged, the page cache too.
    pub(super) memory_usage_bytes: Option<u64>,
    /// The page cache that the kernel would drop first.
    pub(super) memory_inactive_bytes: Option<u64>,
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

impl RawCounters {
    /// Returns only what hardly ever changes.
    fn limits(self) -> Self {
        Self {
            cpu_quota_us: self.cpu_quota_us,
            cpu_period_us: self.cpu_period_us,
            memory_max_bytes: self.memory_max_bytes,
            pids_max: self.pids_max,
            ..Self::default()
        }
    }
}

/// One file and how to read it.
#[derive(Debug)]
pub(super) struct CounterSource {
    pub(super) controller: &'static str,
    pub(super) file: &'static str,
    pub(super) need: Need,
    pub(super) read: fn(&str, &mut RawCounters),
}

/// Who needs what a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Every container, at every look.
    Always,
    /// A row of the list, at every look.
    Row,
    /// A row of the list; it is a limit, which hardly ever changes.
    RowLimit,
    /// Only what shows all of a container.
    Detail,
}

/// The sources of this host, and where each hierarchy is.
#[derive(Debug, Default)]
pub(super) struct Sources {
    counters: Vec<(Hierarchy, &'static CounterSource)>,
    freezer: Option<(Hierarchy, &'static str)>,
}

impl Sources {
    /// Chooses for each controller the hierarchy that has it; v1 where both could serve, since a
    /// controller that is bound to v1 counts there alone.
    pub(super) fn of(hierarchies: &Hierarchies) -> Self {
        let v1 = |controller: &str| hierarchies.iter().find(|it| it.controls(controller));
        let v1 = |controller: &str| v1(controller).filter(|it| Some(*it) != hierarchies.unified());
        let old = counters_v1::SOURCES.iter();
        let old = old.filter_map(|it| Some((v1(it.controller)?.clone(), it)));
        let serves = |it: &&CounterSource| {
            !counters_v2::served_by(it.controller).iter().any(|it| v1(it).is_some())
        };
        let new = counters_v2::SOURCES.iter().filter(serves);
        let new = new.filter_map(|it| Some((hierarchies.unified()?.clone(), it)));
        let freezer = v1("freezer").map(|it| (it.clone(), "freezer.state"));
        Self {
            counters: old.chain(new).collect(),
            freezer: freezer.or_else(|| Some((hierarchies.unified()?.clone(), "cgroup.events"))),
        }
    }
}

/// The counter files of one container.
#[derive(Debug)]
pub(super) struct GroupCounters {
    counters: Vec<(CachedFile, &'static CounterSource)>,
    freezer: Option<CachedFile>,
    /// The limits as they were read last; none: never.
    limits: Option<RawCounters>,
}

/// How much is read of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReadDepth {
    /// The CPU counter, which every container gets.
    #[default]
    Cpu,
    /// What a row of the list shows.
    Row,
    All,
}

/// Whether limits are read again, or may be as old as a few looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    Fresh,
    Old,
}

/// The state of a freezer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freezing {
    Thawed,
    Frozen,
    /// Some processes do not stand still yet.
    Passing,
}

impl GroupCounters {
    /// Names the files of the group at `path`, such as `/lxc.payload.web`.
    pub(super) fn new(sources: &Sources, path: &str) -> Self {
        let counters = sources.counters.iter();
        let kept = counters.filter_map(|(place, it)| {
            Some((CachedFile::new(place.group(path)?.join(it.file)), *it))
        });
        let freezer = sources.freezer.as_ref();
        let freezer = freezer.and_then(|(place, it)| Some(place.group(path)?.join(it)));
        Self { counters: kept.collect(), freezer: freezer.map(CachedFile::new), limits: None }
    }

    /// Reads the counters. What cannot be read stays unknown.
    pub(super) fn read(
        &mut self,
        files: &mut Files,
        depth: ReadDepth,
        limits: Freshness,
    ) -> RawCounters {
        let old_will_do =
            depth == ReadDepth::Cpu || depth == ReadDepth::Row && limits == Freshness::Old;
        let known = self.limits.filter(|_| old_will_do);
        let wanted = |need: Need| match need {
            Need::Always => true,
            Need::Row => depth >= ReadDepth::Row,
            Need::RowLimit => depth >= ReadDepth::Row && known.is_none(),
            Need::Detail => depth == ReadDepth::All,
        };
        let mut raw = known.unwrap_or_default();
        for (kept, source) in &mut self.counters {
            // Limits of a row are read again soon, and stay open.
            let soon = source.need == Need::RowLimit && depth >= ReadDepth::Row;
            if !wanted(source.need) && !soon {
                files.release(kept);
            } else if wanted(source.need)
                && let Some(text) = files.read(kept)
            {
                (source.read)(text, &mut raw);
            }
        }
        if depth >= ReadDepth::Row && known.is_none() {
            self.limits = Some(raw.limits());
        }
        raw
    }

    /// Returns the state of the freezer; None when it is gone or the host has none.
    pub(super) fn freezing(&mut self, files: &mut Files) -> Option<Freezing> {
        files.read(self.freezer.as_mut()?).map(freezing)
    }

    /// Returns the file that tells of the freezer.
    pub(super) fn freezer(&self) -> Option<&Path> {
        self.freezer.as_ref().map(CachedFile::path)
    }

    /// Closes every file.
    pub(super) fn close(mut self, files: &mut Files) {
        let kept = self.counters.iter_mut().map(|(it, _)| it);
        kept.chain(&mut self.freezer).for_each(|it| files.release(it));
    }
}

/// Reads both kinds: the word of `freezer.state`, and the line of `cgroup.events`.
fn freezing(text: &str) -> Freezing {
    match text.trim_end() {
        "FROZEN" => Freezing::Frozen,
        "FREEZING" => Freezing::Passing,
        events if keyed(events, "frozen") == Some(1) => Freezing::Frozen,
        _ => Freezing::Thawed,
    }
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
