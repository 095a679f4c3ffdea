//! Which cgroup files hold which counters on this host, and reading them for one container. The
//! files are parsed in [`v1`] and [`v2`].

mod source;
mod v1;
mod v2;

use std::path::{Path, PathBuf};

use super::files::{CachedFile, Files};
use crate::engine::cgroup::{GroupPath, Hierarchies, Hierarchy};
pub(super) use source::RawCounters;
use source::{CounterSource, Need, OF_BOTH, keyed};
pub(super) use v2::some;

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
        let first = |controller: &str| hierarchies.iter().find(|it| it.controls(controller));
        let old = |it: &str| first(it).filter(|it| Some(*it) != hierarchies.unified());
        let counts_in_old =
            |it: &&CounterSource| v2::served_by(it.controller).is_some_and(|it| old(it).is_some());
        let in_old = v1::SOURCES.iter().chain(OF_BOTH);
        let in_old = in_old.filter_map(|it| Some((old(it.controller)?.clone(), it)));
        let in_new = v2::SOURCES.iter().chain(OF_BOTH).filter(|it| !counts_in_old(it));
        let in_new = in_new.filter_map(|it| Some((hierarchies.unified()?.clone(), it)));
        let freezer = old("freezer").map(|it| (it.clone(), "freezer.state"));
        Self {
            counters: in_old.chain(in_new).collect(),
            freezer: freezer.or_else(|| Some((hierarchies.unified()?.clone(), "cgroup.events"))),
        }
    }
}

/// The counter files of one container.
#[derive(Debug)]
pub(super) struct GroupCounters {
    counters: Vec<(CachedFile, &'static CounterSource)>,
    freezer: Option<CachedFile>,
    /// The limits as last read; none: never.
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

/// Whether limits are read again, or may be a few samples old.
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
    /// Some processes are not frozen yet.
    Passing,
}

impl GroupCounters {
    /// Names the files of the group at `path`, such as `/lxc.payload.web`.
    pub(super) fn new(sources: &Sources, path: &GroupPath) -> Self {
        let all = sources.counters.iter().map(|(it, _)| it);
        let all = all.chain(sources.freezer.as_ref().map(|(it, _)| it));
        // The kernel is asked once for each hierarchy, not for each file.
        let mut groups: Vec<(&Hierarchy, Option<PathBuf>)> = Vec::new();
        for place in all {
            if !groups.iter().any(|(it, _)| *it == place) {
                groups.push((place, place.group(path)));
            }
        }
        let file = |place: &Hierarchy, file: &str| {
            let (_, group) = groups.iter().find(|(it, _)| *it == place)?;
            Some(CachedFile::new(group.as_ref()?.join(file)))
        };
        let counters = sources.counters.iter();
        let counters = counters.filter_map(|(place, it)| Some((file(place, it.file)?, *it)));
        let counters = counters.collect();
        let freezer = sources.freezer.as_ref().and_then(|(place, it)| file(place, it));
        Self { counters, freezer, limits: None }
    }

    /// Reads the counters. Counters that cannot be read stay unknown.
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
            // The files of a row's limits are read again soon, and stay open.
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

    /// Returns the file with the freezer's state.
    pub(super) fn freezer(&self) -> Option<&Path> {
        self.freezer.as_ref().map(CachedFile::path)
    }

    /// Closes every file.
    pub(super) fn close(mut self, files: &mut Files) {
        let kept = self.counters.iter_mut().map(|(it, _)| it);
        kept.chain(&mut self.freezer).for_each(|it| files.release(it));
    }
}

/// Parses both formats: the word of `freezer.state`, and the line of `cgroup.events`.
fn freezing(text: &str) -> Freezing {
    match text.trim_end() {
        "FROZEN" => Freezing::Frozen,
        "FREEZING" => Freezing::Passing,
        events if keyed(events, "frozen") == Some(1) => Freezing::Frozen,
        _ => Freezing::Thawed,
    }
}
