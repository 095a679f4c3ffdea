//! Which cgroup files hold which counters on this host, and reading them for one container. The
//! files are parsed in [`v1`] and [`v2`].

mod set;
mod source;
mod v1;
mod v2;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::files::{CachedFile, Files};
use crate::engine::cgroup::{GroupPath, Hierarchies, Hierarchy};
use crate::engine::seen::sample::Psi;
pub use set::CounterSet;
pub(super) use source::RawCounters;
use source::{CounterSource, OF_BOTH, keyed};
pub(super) use v2::some;

/// The kernel itself computes the pressure no more often; see `PSI_FREQ` of its `psi.c`. A little
/// less, so that of samples one second apart every other one reads it.
const PRESSURE_STALE: Duration = Duration::from_millis(1900);

/// How long the memory and the tasks of a group are taken as they were while nothing in it has run.
const REST_STALE: Duration = Duration::from_secs(4);

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
    pressure: Option<(Instant, Psi)>,
    /// What was read when something in the group had last run.
    awake: Option<Awake>,
}

/// Memory and tasks of a group, which hardly change while nothing in it runs: only the kernel, which
/// reclaims its memory, and who moves a process into it change them then.
#[derive(Debug)]
struct Awake {
    at: Instant,
    raw: RawCounters,
    known: CounterSet,
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
        let mut groups: Vec<(&Hierarchy, Option<PathBuf>)> = Vec::new();
        for place in all {
            if !groups.iter().any(|(it, _)| *it == place) {
                groups.push((place, place.place(path)));
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
        Self { counters, freezer, limits: None, pressure: None, awake: None }
    }

    /// Reads the `wanted` counters. Those that cannot be read stay unknown. Limits, and what hardly
    /// changes while nothing in the group runs, may be as old as `freshness` allows, unless hits are
    /// wanted too: then all is fresh.
    pub(super) fn read(
        &mut self,
        files: &mut Files,
        wanted: CounterSet,
        freshness: Freshness,
    ) -> RawCounters {
        let fresh = wanted.has(CounterSet::HITS);
        let old = !fresh && freshness == Freshness::Old;
        let limits_due = wanted.has(CounterSet::LIMITS) && !(old && self.limits.is_some());
        let mut raw = self.limits.filter(|_| !limits_due).unwrap_or_default();
        self.read_those(files, &mut raw, wanted, |of| of == CounterSet::CPU);
        let rested = self.awake.as_ref().filter(|it| old && it.holds(&raw, wanted));
        if let Some(awake) = rested {
            awake.raw.copy_memory_and_tasks(&mut raw);
        }
        let rests = rested.is_some();
        // What does not run and did not wait seldom begins to wait.
        let holds = |at: Instant, it: &Psi| {
            at.elapsed() < PRESSURE_STALE || (rests && it.is_calm() && at.elapsed() < REST_STALE)
        };
        let pressure = self.pressure.filter(|(at, it)| !fresh && holds(*at, it));
        if let Some((_, psi)) = pressure.filter(|_| wanted.has(CounterSet::PRESSURE)) {
            raw.psi = psi;
        }
        self.read_those(files, &mut raw, wanted, |of| match of {
            CounterSet::CPU => false,
            CounterSet::LIMITS => limits_due,
            CounterSet::PRESSURE => pressure.is_none(),
            of => !(rests && Awake::PARTS.has(of)),
        });
        if limits_due {
            self.limits = Some(raw.limits());
        }
        if pressure.is_none() && wanted.has(CounterSet::PRESSURE) {
            self.pressure = Some((Instant::now(), raw.psi));
        }
        if !rests {
            self.awake = Some(Awake { at: Instant::now(), raw, known: wanted });
        }
        raw
    }

    /// Reads the files of those wanted counters that are `due`.
    fn read_those(
        &mut self,
        files: &mut Files,
        raw: &mut RawCounters,
        wanted: CounterSet,
        due: impl Fn(CounterSet) -> bool,
    ) {
        for (kept, source) in &mut self.counters {
            // A file that is wanted but not due stays open, as it soon will be.
            if !wanted.has(source.of) {
                files.release(kept);
            } else if due(source.of)
                && let Some(text) = files.read(kept)
            {
                (source.read)(text, raw);
            }
        }
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

impl Awake {
    const PARTS: CounterSet = CounterSet::MEMORY.with(CounterSet::TASKS);

    /// Returns whether nothing has run since, by the processor time of `now`, and it is recent and
    /// has what is `wanted`.
    fn holds(&self, now: &RawCounters, wanted: CounterSet) -> bool {
        let rested = now.cpu_ns.is_some() && now.cpu_ns == self.raw.cpu_ns;
        rested && self.known.has_all(wanted.of_both(Self::PARTS)) && self.at.elapsed() < REST_STALE
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
