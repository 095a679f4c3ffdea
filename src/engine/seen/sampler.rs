//! The sampler: reads counters and turns two readings into a [`Sample`]. It never scans `/proc` and
//! runs nothing in the background: it works only when called.
//!
//! It reads the state and the CPU counter of every container, all counters of the rows on the
//! screen, and the processes too of the one container in detail. So the cost depends on what is
//! shown.

mod aside;
mod counters;
mod detail;
mod faults;
mod files;
mod foreign;
mod freezers;
mod group_files;
mod host;
mod interest;
mod members;
mod network;
mod places;
mod procs;
mod rates;
mod status;
#[cfg(test)]
mod tests;
mod traffic;
pub(in crate::engine) mod unmanaged;
mod watched;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use aside::Aside;
pub use counters::CounterSet;
use counters::{Freshness, GroupCounters};
use faults::Faults;
use files::Files;
use foreign::ForeignContainers;
use freezers::Freezers;
use group_files::GroupFiles;
use host::HostReader;
pub use interest::{Described, DetailInterest, Interest};
use members::{Member, Members};
use places::GroupPlaces;
use procs::Processes;
use rates::{PastReadings, Reading};
use traffic::Traffic;
use watched::{Looking, WatchedGroup};

use crate::engine;
use crate::engine::Engine;
use crate::engine::cgroup::{Cgroup, GroupPath, Hierarchies};
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::event::Event;
use crate::engine::running::record::{self, SetLimit};
use crate::engine::seen::process::{self, Process, ProcessOrder};
use crate::engine::seen::sample::{
    Container, Counters, Detail, HostSample, Inhabitants, Lack, Sample,
};
use crate::engine::terms::name::Name;
use crate::engine::terms::state::State;

/// Mounts, addresses and configuration change seldom, and reading them costs more than all else.
const STILL_STALE: Duration = Duration::from_secs(2);
/// The limits of a row are read again every so many samples, some rows in each.
const LIMIT_LOOKS: usize = 4;
/// How often the limits of LXC's containers are compared, since no supervisor does.
const COMPARE: Duration = Duration::from_secs(5);
/// The rights of this process hardly ever change.
const LACKS_STALE: Duration = Duration::from_secs(30);

/// Takes samples of one lxcpath. Remembers the previous sample, for the rates.
#[derive(Debug)]
pub struct Sampler {
    lxcpath: Lxcpath,
    proc: PathBuf,
    places: GroupPlaces,
    files: Files,
    faults: Faults,
    freezers: Freezers,
    foreign: ForeignContainers,
    members: Members,
    watched: HashMap<Name, WatchedGroup>,
    processes: Processes,
    /// The processes that were last shown, of which container and init.
    forest: Option<(Name, Option<i32>, Vec<Process>)>,
    traffic: Traffic,
    host: HostReader,
    lacks: Option<(Instant, Vec<Lack>)>,
    /// What was last read for the container in detail, except its processes and files.
    still: Option<Still>,
    group_files: GroupFiles,
    stills: Aside<(Name, Option<i32>), (Detail, Option<String>)>,
    /// How many samples it has taken.
    looks: usize,
}

/// The part of a container's details that changes seldom.
#[derive(Debug)]
struct Still {
    name: Name,
    init: Option<i32>,
    at: Instant,
    detail: Detail,
    /// Why the configuration cannot be used.
    fault: Option<String>,
}

impl Sampler {
    /// Prepares to watch all containers of the engine's lxcpath. The first sample has no rates.
    pub fn new(engine: &Engine) -> Self {
        Self::of(engine.lxcpath(), Members::new(engine.lxcpath()), Files::new())
    }

    /// Prepares for a single sample, of all containers or `only` one.
    pub(in crate::engine) fn once(engine: &Engine, only: Option<&Name>) -> Self {
        Self::of(engine.lxcpath(), Members::once(engine.lxcpath(), only), Files::once())
    }

    fn of(lxcpath: &Lxcpath, members: Members, files: Files) -> Self {
        let proc = lxcpath.host().proc().to_path_buf();
        Self {
            places: GroupPlaces::of(lxcpath.host()),
            files,
            faults: Faults::new(),
            freezers: Freezers::default(),
            looks: 0,
            foreign: ForeignContainers::default(),
            members,
            watched: HashMap::new(),
            processes: Processes::new(&proc),
            forest: None,
            traffic: Traffic::new(&proc),
            host: HostReader::new(&proc),
            lacks: None,
            still: None,
            group_files: GroupFiles::default(),
            stills: Aside::new(),
            lxcpath: lxcpath.clone(),
            proc,
        }
    }

    /// Samples everything that `interest` asks for.
    pub fn sample(&mut self, interest: &Interest) -> Sample {
        let trouble = self.members.refresh();
        self.freezers.hear();
        self.looks += 1;
        let host = if interest.host { self.read_host() } else { HostSample::default() };
        self.look_at_networks(interest);
        self.look_for_faults(interest);
        let names: Vec<Name> = self.members.all.keys().cloned().collect();
        let containers = names.into_iter().filter_map(|it| self.container(it, interest)).collect();
        self.members.settle();
        self.forget_ended();
        let unmanaged = self.members.unmanaged.clone();
        Sample { taken: SystemTime::now(), host, containers, unmanaged, trouble }
    }

    /// Samples only what is of interest now and was not `before`, when `last` was taken: rows that
    /// have come into sight, and what is in detail. The rest is as it was in `last`.
    pub fn sample_news(&mut self, last: &Sample, before: &Interest, interest: &Interest) -> Sample {
        if interest.networks != before.networks || interest.detail != before.detail {
            self.look_at_networks(interest);
        }
        let has_news = |name: &Name| {
            let came = interest.visible.contains(name) && !before.visible.contains(name);
            let networks = interest.networks != before.networks && interest.visible.contains(name);
            let detail = [interest, before].iter().any(|it| it.in_detail() == Some(name));
            came || networks || detail
        };
        let container = |it: &Container| {
            let news = has_news(&it.name).then(|| self.container(it.name.clone(), interest));
            news.flatten().unwrap_or_else(|| it.clone())
        };
        Sample {
            taken: last.taken,
            host: last.host.clone(),
            containers: last.containers.iter().map(container).collect(),
            unmanaged: last.unmanaged.clone(),
            trouble: last.trouble.clone(),
        }
    }

    /// Returns a descriptor that polls readable once the kernel has reported a change of a freezer,
    /// until the next sample.
    pub fn freezer_changes(&mut self) -> Option<OwnedFd> {
        self.freezers.changes()
    }

    /// Returns names and states only, sorted by name.
    pub(in crate::engine) fn states(&mut self) -> (Vec<(Name, State)>, Option<String>) {
        let trouble = self.members.refresh();
        self.freezers.hear();
        let names: Vec<Name> = self.members.all.keys().cloned().collect();
        for name in &names {
            self.look_at_freezer(name);
        }
        self.members.settle();
        let states = self.members.all.iter().map(|(name, it)| (name.clone(), it.status.state));
        (states.collect(), trouble)
    }

    /// Returns the state of each of these containers and its processes as a forest, and reads nothing
    /// else of it. None: it is neither defined nor running, as far as this user can see.
    pub(in crate::engine) fn inhabitants(&mut self, names: &[Name]) -> Vec<Option<Inhabitants>> {
        self.members.refresh();
        let of = |name: &Name| {
            self.look_at_freezer(name);
            let tasks = self.read_counters(name, CounterSet::TASKS).pids;
            let status = self.members.all.get(name)?.status.clone();
            let run = status.run.as_ref();
            let forest = run.and_then(|run| {
                let path = run.cgroup.as_ref()?;
                Some(self.read_forest(path, run.init_pid, tasks, ProcessOrder::default()))
            });
            let processes = forest.unwrap_or_default();
            Some(Inhabitants { state: status.state, hidden: status.hidden, processes })
        };
        names.iter().map(of).collect()
    }

    /// Returns what has happened to the containers of LXC's own monitors between the last sample
    /// and the one before, since no journal reports it. `states` counts as a sample.
    pub fn foreign_events(&mut self) -> Vec<Event> {
        for (name, state) in self.members.take_entered() {
            self.foreign.hear(&name, state);
        }
        let is_foreign = |it: &Member| it.status.run.as_ref().is_some_and(|it| !it.recorded);
        let all = self.members.all.iter().filter(|(_, it)| is_foreign(it));
        let now = all.map(|(name, it)| (name.clone(), (it.status.state, it.is_assumed())));
        let mut events = self.foreign.compare(&self.lxcpath, now.collect());
        for name in self.foreign.names() {
            let lost = self.lost_limits(&name);
            let Some(watched) = self.watched.get(&name) else { continue };
            let value = |file: &str| {
                let cgroup = Cgroup::open(self.places.hierarchies(), &watched.cgroup);
                cgroup.get(file).unwrap_or_default().trim().to_owned()
            };
            events.append(&mut self.foreign.compare_limits(&self.lxcpath, &name, lost, &value));
        }
        events
    }

    fn read_host(&mut self) -> HostSample {
        if self.lacks.as_ref().is_none_or(|(at, _)| at.elapsed() >= LACKS_STALE) {
            let lacks = host::lacks(&self.proc, &self.lxcpath, self.places.hierarchies());
            self.lacks = Some((Instant::now(), lacks));
        }
        let lacks = self.lacks.as_ref().map(|(_, it)| it.clone()).unwrap_or_default();
        let host = self.host.read();
        HostSample { layout: self.places.hierarchies().layout(), lacks, ..host }
    }

    fn look_for_faults(&mut self, interest: &Interest) {
        if !interest.faults {
            return;
        }
        // With details comes what is wrong.
        let apart =
            |name: &Name| interest.in_detail() == Some(name) || interest.described.has(name);
        let names = self.members.all.iter().filter(|(name, it)| it.defined && !apart(name));
        self.faults.look_ahead(&self.lxcpath, &names.map(|it| it.0).collect::<Vec<_>>());
    }

    fn look_at_networks(&mut self, interest: &Interest) {
        let rows = if interest.networks { interest.visible.as_slice() } else { &[] };
        let detail = interest.in_detail().into_iter().filter(|it| !rows.contains(it));
        let init = |name: &Name| self.members.all.get(name)?.status.run.as_ref()?.init_pid;
        let asked = rows.iter().chain(detail);
        let asked = asked.filter_map(|it| Some((it.clone(), init(it)?))).collect();
        self.traffic.look(asked);
    }

    fn container(&mut self, name: Name, interest: &Interest) -> Option<Container> {
        let detailed = interest.in_detail() == Some(&name);
        let described = interest.described.has(&name);
        let wanted = if detailed {
            CounterSet::ALL
        } else if interest.visible.contains(&name) {
            interest.others.with(interest.rows)
        } else {
            interest.others
        };
        self.look_at_freezer(&name);
        let counters = self.read_counters(&name, wanted);
        let (detail, fault) = if detailed {
            let member = self.members.all.get(&name)?.clone();
            let (detail, fault) = self.detail(&name, &member, counters.pids, interest);
            (Some(detail), fault)
        } else if described {
            let run = self.members.all.get(&name)?.status.run.as_ref();
            let init = run.and_then(|it| it.init_pid);
            let (detail, fault) = self.read_still(&name, init, false).unwrap_or_default();
            (Some(detail), fault)
        } else {
            let looked = self.members.all.get(&name)?.defined && interest.faults;
            let fault = looked.then(|| self.faults.of(&self.lxcpath, &name));
            (None, fault.flatten())
        };
        let lost: Vec<String> = self.lost_limits(&name).into_iter().map(|it| it.file).collect();
        let Member { defined, status, .. } = self.members.all.get(&name)?;
        let trouble = status.trouble.clone().or_else(|| status::lost(&name, &lost));
        let trouble = trouble.or_else(|| fault.clone());
        let lost_limits = if lost.is_empty() { status.lost_limits.clone() } else { lost };
        let network = self.traffic.of(&name);
        Some(Container {
            name,
            lxcpath: self.lxcpath.to_path_buf(),
            origin: status.origin,
            defined: *defined,
            state: status.state,
            since: status.since,
            faulty: fault.is_some(),
            trouble,
            hidden: status.hidden,
            restarts_at: status.restarts_at,
            lost_limits,
            init_pid: status.run.as_ref().and_then(|it| it.init_pid),
            last_exit: status.last_exit,
            died_of_memory: status.died_of_memory,
            last_memory_max_bytes: status.last_memory_max_bytes,
            oom_last: status.oom_last.clone(),
            counters,
            network,
            detail,
        })
    }

    /// Starts watching the cgroup of a running container, and takes its state from there.
    fn look_at_freezer(&mut self, name: &Name) {
        let Some(member) = self.members.all.get(name) else { return };
        let Some(run) = &member.status.run else { return };
        let (Some(cgroup), init) = (&run.limits, run.init_pid) else { return };
        if !self.watched.get_mut(name).is_some_and(|it| it.is_of(cgroup, init)) {
            let group = GroupCounters::new(self.places.sources(), cgroup);
            let (cgroup, turn) = (cgroup.clone(), self.watched.len() % LIMIT_LOOKS);
            let (freezer, frozen, lost) = (Looking::Never, None, None);
            let past = PastReadings::default();
            self.forget(name);
            let new = WatchedGroup { cgroup, init, group, past, turn, freezer, frozen, lost };
            self.watched.insert(name.clone(), new);
        }
        let Some(watched) = self.watched.get_mut(name) else { return };
        if !matches!(watched.freezer, Looking::Watched(_)) || self.freezers.take(name) {
            watched.look_at_freezer(name, &mut self.files, &mut self.freezers);
        }
        if let (Some(frozen), Some(member)) = (watched.frozen, self.members.all.get_mut(name)) {
            member.note_frozen(frozen);
        }
    }

    fn read_counters(&mut self, name: &Name, wanted: CounterSet) -> Counters {
        let Some(watched) = self.watched.get_mut(name) else { return Counters::default() };
        let news = self.members.take_limit_news(name);
        if news {
            watched.lost = None;
        }
        let turn = self.looks % LIMIT_LOOKS == watched.turn || news;
        let limits = if turn { Freshness::Fresh } else { Freshness::Old };
        let raw = watched.group.read(&mut self.files, wanted, limits);
        let now = Reading { raw, at: Instant::now() };
        let lost = watched.past.exceed(&now);
        let before = watched.past.take(&now);
        if lost {
            // The group was removed, and perhaps created again by the next run.
            self.members.doubt(name);
            self.forget(name);
        }
        rates::counters(before.as_ref(), &now)
    }

    /// Returns the lost limits of a container of LXC's, checked now and then. A supervisor of
    /// wharf's records those of its container.
    fn lost_limits(&mut self, name: &Name) -> Vec<SetLimit> {
        let run = self.members.all.get(name).and_then(|it| it.status.run.as_ref());
        let Some(run) = run.filter(|it| !it.configured.is_empty()) else { return Vec::new() };
        let Some(watched) = self.watched.get_mut(name) else { return Vec::new() };
        let fresh = |(at, _): &&(Instant, _)| at.elapsed() < COMPARE;
        if let Some((_, lost)) = watched.lost.as_ref().filter(fresh) {
            return lost.clone();
        }
        let cgroup = Cgroup::open(self.places.hierarchies(), &watched.cgroup);
        let Ok(limits) = record::Limits::read(&self.lxcpath, name, &cgroup) else {
            return Vec::new();
        };
        let mut lost = limits.lost(&cgroup);
        lost.extend(limits.vanished(&run.configured, &cgroup));
        watched.lost = Some((Instant::now(), lost.clone()));
        lost
    }

    fn detail(
        &mut self,
        name: &Name,
        member: &Member,
        tasks: Option<u64>,
        interest: &Interest,
    ) -> (Detail, Option<String>) {
        let run = member.status.run.as_ref();
        let init = run.and_then(|it| it.init_pid);
        let (mut detail, fault) = self.still(name, init);
        let shown = interest.detail.as_ref();
        if let Some(path) = run.and_then(|it| it.cgroup.as_ref()) {
            if shown.is_some_and(|it| it.processes) {
                let forest = self.read_forest(path, init, tasks, interest.order);
                self.forest = Some((name.clone(), init, forest));
            }
            // Until they are read again when they come into sight, they are as they were last seen.
            let last = self.forest.as_ref().filter(|it| it.0 == *name && it.1 == init);
            detail.processes = last.map_or_else(Vec::new, |it| it.2.clone());
            detail.files.clear();
            detail.limit_cgroup = run.and_then(|it| it.limits.clone()).filter(|it| it != path);
            if shown.is_some_and(|it| it.files) {
                let limits = detail.limit_cgroup.as_ref().unwrap_or(path);
                detail.files = self.group_files.read(self.places.hierarchies(), limits);
            }
            detail.cgroup = Some(path.clone()).filter(|it| !it.is_empty());
        }
        (detail, fault)
    }

    /// Reads the processes in the cgroup at `path`, or those that descend from init where there is
    /// none.
    fn read_forest(
        &mut self,
        path: &GroupPath,
        init: Option<i32>,
        tasks: Option<u64>,
        order: ProcessOrder,
    ) -> Vec<Process> {
        let pids = match init.filter(|_| path.is_empty()) {
            Some(init) => self.processes.descendants(init),
            None => Cgroup::open(self.places.hierarchies(), path).pids(),
        };
        process::forest(self.processes.read(&pids, tasks), order)
    }

    fn still(&mut self, name: &Name, init: Option<i32>) -> (Detail, Option<String>) {
        // The configuration of a stopped container may be under edit, so it is read each time.
        let same = |it: &&Still| it.name == *name && it.init == init && init.is_some();
        let fresh = |it: &&Still| same(it) && it.at.elapsed() < STILL_STALE;
        if let Some(still) = self.still.as_ref().filter(fresh) {
            return (still.detail.clone(), still.fault.clone());
        }
        let Some((detail, fault)) = self.read_still(name, init, true) else {
            let still = self.still.as_ref().filter(|it| it.name == *name && it.init == init);
            let old = || still.map(|it| (it.detail.clone(), it.fault.clone()));
            return old().unwrap_or_default();
        };
        let still = (detail.clone(), fault.clone());
        let (name, at) = (name.clone(), Instant::now());
        self.still = Some(Still { name, init, at, detail, fault });
        still
    }

    /// Reads `all` that changes seldom, or only the root and the network; none: a file system does not
    /// answer in time.
    fn read_still(
        &mut self,
        name: &Name,
        init: Option<i32>,
        all: bool,
    ) -> Option<(Detail, Option<String>)> {
        let (proc, lxcpath, of) = (self.proc.clone(), self.lxcpath.clone(), name.clone());
        let hierarchies = all.then(|| self.places.hierarchies().clone());
        let read = move || detail::read(&proc, init, &lxcpath, &of, hierarchies.as_ref());
        self.stills.ask((name.clone(), init), read)
    }

    /// Closes the files of containers that no longer run.
    fn forget_ended(&mut self) {
        let run = |name: &Name| self.members.all.get(name)?.status.run.as_ref();
        let runs = |name: &Name| run(name).is_some_and(|it| it.limits.is_some());
        let ended: Vec<Name> = self.watched.keys().filter(|it| !runs(it)).cloned().collect();
        for name in &ended {
            self.forget(name);
        }
        self.faults.retain(|it| self.members.all.contains_key(it));
    }

    /// Closes the files of one container.
    fn forget(&mut self, name: &Name) {
        let Some(watched) = self.watched.remove(name) else { return };
        watched.group.close(&mut self.files);
        if let Looking::Watched(watch) = watched.freezer {
            self.freezers.forget(watch);
        }
    }
}

/// Returns whether any process lives in the cgroup at `path`.
fn populated(host: &engine::Host, path: &GroupPath) -> bool {
    Hierarchies::discover(host).is_ok_and(|it| Cgroup::open(&it, path).populated())
}
