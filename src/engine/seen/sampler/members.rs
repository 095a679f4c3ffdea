//! Which containers exist and in which states, kept up to date cheaply: a supervisor is asked once
//! when it appears, later its record and the cgroup are enough.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::status::{self, ContainerStatus};
use super::unmanaged;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::command_socket::{Finder, ListenerInodes};
use crate::engine::running::event;
use crate::engine::running::event::{Event, Follower, What};
use crate::engine::seen::sample::{Origin, Unmanaged};
use crate::engine::terms::name::Name;
use crate::engine::terms::state::State;

/// The most directories that are named; of more, only the number is reported.
const NAMED: usize = 3;
/// The directory is read again this often even if its time stamp did not change, for file systems
/// without one.
const RELIST: Duration = Duration::from_secs(5);

/// The containers under one lxcpath.
#[derive(Debug)]
pub(super) struct Members {
    lxcpath: Lxcpath,
    /// Only this one is of interest.
    only: Option<Name>,
    listed: Option<(Instant, Option<SystemTime>)>,
    follower: Option<Follower>,
    finder: Finder,
    /// Containers whose limits were changed through wharf since the last query.
    limit_news: BTreeSet<Name>,
    /// States that the journal reported since the last query, oldest first.
    entered: Vec<(Name, State)>,
    /// Directories in which this user may not see whether there is a configuration.
    unreadable: BTreeSet<Name>,
    pub(super) all: BTreeMap<Name, Member>,
    /// As of the last listing of the directory.
    pub(super) unmanaged: Vec<Unmanaged>,
}

/// One container, without its counters.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) defined: bool,
    /// What was last reported about it, with its state updated since.
    pub(super) status: ContainerStatus,
    /// Where a process listened for it at the last check.
    place: Option<ListenerInodes>,
    /// When to check its supervisor or record again, if ever.
    look_again: Option<Instant>,
    /// It was seen before, so a change of its state happened just now.
    settled: bool,
}

impl Members {
    /// Prepares to be brought up to date again and again.
    pub(super) fn new(lxcpath: &Lxcpath) -> Self {
        Self { follower: event::follow(lxcpath.host()).ok(), ..Self::once(lxcpath, None) }
    }

    /// Prepares for one look. It follows no journal: closing an inotify(7) instance takes the kernel
    /// up to 20 ms.
    pub(super) fn once(lxcpath: &Lxcpath, only: Option<&Name>) -> Self {
        Self {
            lxcpath: lxcpath.clone(),
            only: only.cloned(),
            listed: None,
            follower: None,
            finder: Finder::new(lxcpath),
            limit_news: BTreeSet::new(),
            entered: Vec::new(),
            unreadable: BTreeSet::new(),
            all: BTreeMap::new(),
            unmanaged: Vec::new(),
        }
    }

    /// Brings the list up to date. Returns what is wrong with it, in words.
    pub(super) fn refresh(&mut self) -> Option<String> {
        let unlisted = self.list_directory();
        if self.learn_by_record() {
            return unlisted;
        }
        let listening = match &self.only {
            Some(only) => self.finder.listening_for(only).map(Some),
            None => self.finder.news(),
        };
        let unheard = listening.as_ref().err().map(ToString::to_string);
        let mut listening = listening.unwrap_or_else(|_| Some(BTreeMap::new()));
        for name in listening.iter().flat_map(BTreeMap::keys) {
            self.all.entry(name.clone()).or_insert_with(|| Member::unknown(false));
        }
        self.follow_journal();
        let now = Instant::now();
        let mut changed: Vec<(Name, Option<ListenerInodes>)> = Vec::new();
        for (name, member) in &self.all {
            let place = listening.as_mut().map(|it| it.remove(name));
            let moved = place.as_ref().is_some_and(|it| *it != member.place);
            if moved || member.look_again.is_some_and(|it| it <= now) {
                changed.push((name.clone(), place.unwrap_or_else(|| member.place.clone())));
            }
        }
        let statuses = status::about(&self.lxcpath, &changed);
        for ((name, place), status) in changed.into_iter().zip(statuses) {
            if let Some(member) = self.all.get_mut(&name) {
                member.place = place;
                member.learn(status, now);
            }
        }
        let count = self.all.len();
        self.all.retain(|_, it| it.defined || it.status.run.is_some());
        if self.all.len() < count {
            // A listener that could not be asked yet is to be found anew.
            self.finder.forget();
        }
        unlisted.or(unheard).or_else(|| self.unread())
    }

    /// Learns of the only container of interest from its record, if a supervisor keeps that now: then
    /// nobody need be looked for and asked.
    fn learn_by_record(&mut self) -> bool {
        let Some(only) = self.only.clone() else { return false };
        let Some(status) = status::recorded_now(&self.lxcpath, &only) else { return false };
        let member = self.all.entry(only).or_insert_with(|| Member::unknown(false));
        member.learn(status, Instant::now());
        true
    }

    /// Returns which directories may be containers that this user may not see.
    fn unread(&self) -> Option<String> {
        let unread = self.unreadable.iter().filter(|it| !self.all.contains_key(*it));
        let names: Vec<&str> = unread.map(Name::as_str).collect();
        let names = match names.as_slice() {
            [] => return None,
            names if names.len() <= NAMED => names.join(", "),
            names => format!("{} directories", names.len()),
        };
        let dir =
            crate::engine::terms::shown::shown_bytes(self.lxcpath.as_os_str().as_encoded_bytes());
        Some(format!(
            "containers may be missing: permission denied: {names} in {dir}; try again as root"
        ))
    }

    /// Has `name` checked again the next time, since its cgroup is gone.
    pub(super) fn doubt(&mut self, name: &Name) {
        if let Some(member) = self.all.get_mut(name) {
            member.look_again = Some(Instant::now());
        }
    }

    /// Returns whether the limits of `name` were changed through wharf since this was last asked.
    pub(super) fn take_limit_news(&mut self, name: &Name) -> bool {
        self.limit_news.remove(name)
    }

    /// Returns the states that the journal has reported since this was last asked, oldest first.
    pub(super) fn take_entered(&mut self) -> Vec<(Name, State)> {
        std::mem::take(&mut self.entered)
    }

    /// Ends a sample: later changes count for the next one.
    pub(super) fn settle(&mut self) {
        self.all.values_mut().for_each(|it| it.settled = true);
    }

    fn list_directory(&mut self) -> Option<String> {
        let changed = std::fs::metadata(self.lxcpath.dir()).and_then(|it| it.modified()).ok();
        let fresh = |(at, stamp): &(Instant, _)| at.elapsed() < RELIST && *stamp == changed;
        if self.listed.as_ref().is_some_and(fresh) {
            return None;
        }
        let names = match names(&self.lxcpath, self.only.as_ref()) {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => {
                let dir = crate::engine::terms::shown::shown_bytes(
                    self.lxcpath.as_os_str().as_encoded_bytes(),
                );
                return Some(format!("cannot list {dir}: {error}"));
            }
        };
        if self.only.is_none() {
            // A directory that can be listed was listed just now.
            self.unmanaged = unmanaged::read(&self.lxcpath).unwrap_or_default();
        }
        self.all.values_mut().for_each(|it| it.defined = false);
        self.unreadable.clear();
        let mut all_defined = true;
        for name in names {
            match self.lxcpath.join(name.as_str()).join("config").metadata() {
                Ok(_) => {
                    self.all.entry(name).or_insert_with(|| Member::unknown(true)).defined = true;
                }
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    all_defined = false;
                    self.unreadable.insert(name);
                }
                Err(_) => all_defined = false,
            }
        }
        // A directory without a config is checked again soon: the file may be about to appear.
        self.listed = all_defined.then(|| (Instant::now(), changed));
        None
    }

    /// Notes which containers have new events in the journal.
    fn follow_journal(&mut self) {
        let Some(follower) = &mut self.follower else { return };
        while let Ok(Some(event)) = follower.next(Some(Duration::ZERO)) {
            if event.lxcpath != self.lxcpath.dir() {
                continue;
            }
            let entered = event.enters();
            let Event { name, what, .. } = event;
            self.entered.extend(entered.map(|it| (name.clone(), it)));
            match what {
                What::State { .. }
                | What::Exited { .. }
                | What::Braked { .. }
                | What::Failed { .. }
                | What::SupervisorKilled
                | What::Created
                | What::Restored
                | What::LimitLost { .. }
                | What::OomKill { .. } => {
                    let member = self.all.get_mut(&name).into_iter();
                    member.for_each(|it| it.look_again = Some(Instant::now()));
                }
                What::Cgroup { .. } => _ = self.limit_news.insert(name),
                What::Destroyed | What::Trashed | What::Warned { .. } | What::Signal { .. } => (),
            }
        }
    }
}

impl Member {
    /// A container of which only the name is known: the first refresh checks it.
    fn unknown(defined: bool) -> Self {
        Self {
            defined,
            status: status::stopped(Origin::Lxc),
            place: None,
            look_again: Some(Instant::now()),
            settled: false,
        }
    }

    fn learn(&mut self, status: ContainerStatus, now: Instant) {
        self.look_again = status.retry.map(|it| now + it);
        self.note_state(status.state, status.since);
        let ContainerStatus { state, since, .. } = self.status;
        self.status = ContainerStatus { state, since, ..status };
    }

    /// Returns whether nothing says that the container is in its state.
    pub(super) fn is_assumed(&self) -> bool {
        // The freezer's state is known all the same.
        self.status.silent && self.status.state == State::Running
    }

    /// Applies the freezer's state, which is more reliable than that of an LXC supervisor.
    pub(super) fn note_frozen(&mut self, frozen: bool) {
        match (self.status.state, frozen) {
            (State::Running, true) => self.note_state(State::Frozen, None),
            (State::Frozen, false) => self.note_state(State::Running, None),
            _ => (),
        }
    }

    fn note_state(&mut self, state: State, since: Option<SystemTime>) {
        if self.status.state != state {
            // If the time was not recorded, it is now, unless this is the first sample.
            self.status.since = since.or_else(|| self.settled.then(SystemTime::now));
            self.status.state = state;
        } else if since.is_some() {
            self.status.since = since;
        }
    }
}

fn names(lxcpath: &Path, only: Option<&Name>) -> std::io::Result<BTreeSet<Name>> {
    if let Some(name) = only {
        let there = lxcpath.join(name.as_str()).is_dir();
        return Ok(there.then(|| name.clone()).into_iter().collect());
    }
    let entries = std::fs::read_dir(lxcpath)?.flatten();
    Ok(entries.filter_map(|it| it.file_name().to_str()?.parse().ok()).collect())
}
