//! What a container's record and its supervisor tell of it, asked once.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::engine::cgroup;
use crate::engine::host::Host;
use crate::engine::host::identity::Identity;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::command_socket::{Interview, ListenerInodes, SocketError, interview};
use crate::engine::running::oom::OomKill;
use crate::engine::running::record::Record;
use crate::engine::seen::sample::Origin;
use crate::engine::terms::exit::Exit;
use crate::engine::terms::name::Name;
use crate::engine::terms::state::State;

/// How soon to look again whether lost limits are back.
const LOST: Duration = Duration::from_secs(1);

/// A supervisor that did not answer is left in peace this long: each try may take two seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// The answers.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) state: State,
    pub(super) since: Option<SystemTime>,
    pub(super) origin: Origin,
    pub(super) last_exit: Option<Exit>,
    pub(super) died_of_memory: bool,
    pub(super) oom_last: Option<OomKill>,
    pub(super) last_memory_max_bytes: Option<u64>,
    pub(super) trouble: Option<String>,
    pub(super) lost_limits: Vec<String>,
    /// What runs it; none while nothing does.
    pub(super) run: Option<RunInfo>,
    /// How soon to ask again, if at all.
    pub(super) retry: Option<Duration>,
}

/// A container's life between start and stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RunInfo {
    /// Where its processes are.
    pub(super) cgroup: Option<String>,
    /// Where its limits and counters are: with LXC, that may be a group above.
    pub(super) limits: Option<String>,
    pub(super) init_pid: Option<i32>,
    /// Its supervisor keeps a record, so that the journal tells of its states.
    pub(super) recorded: bool,
    /// The limits that LXC's monitor does not look after.
    pub(super) configured: String,
}

impl RunInfo {
    /// A run of which no more is known than its group.
    pub(super) fn of(cgroup: String) -> Self {
        Self { limits: Some(cgroup.clone()), cgroup: Some(cgroup), ..Self::default() }
    }
}

/// Looks the containers up; of each it is known where somebody listens for it. Those that only a
/// supervisor can tell of are asked all at once.
pub(super) fn about(lxcpath: &Lxcpath, containers: &[(Name, Option<ListenerInodes>)]) -> Vec<Told> {
    let known = |(name, place): &(Name, Option<ListenerInodes>)| {
        let record = Record::read(lxcpath, name);
        (by_itself(lxcpath, name, record.as_ref(), place.as_ref()), record)
    };
    let known: Vec<_> = containers.iter().map(known).collect();
    let asked = containers.iter().zip(&known).filter(|(_, (told, _))| told.is_none());
    let asked: Vec<(Name, ListenerInodes)> =
        asked.map(|((name, place), _)| (name.clone(), place.clone().unwrap_or_default())).collect();
    let mut answers = interview(lxcpath, &asked).into_iter();
    let told = containers.iter().zip(known).map(|((name, _), (told, record))| {
        told.unwrap_or_else(|| match answers.next() {
            Some(answer) => by_socket(lxcpath, name, record, answer),
            None => stopped(Origin::Lxc),
        })
    });
    told.collect()
}

/// Describes a container without asking anybody; none if its supervisor must be asked.
fn by_itself(
    lxcpath: &Lxcpath,
    name: &Name,
    record: Option<&Record>,
    place: Option<&ListenerInodes>,
) -> Option<Told> {
    match record {
        Some(record) if record.is_live(lxcpath.host()) => Some(by_record(record)),
        // It is just leaving; what is listened to is its last moment.
        Some(record) if place.is_some() && record.supervisor.lives(lxcpath.host()) => {
            Some(Told { retry: Some(Duration::ZERO), ..after(lxcpath.host(), record) })
        }
        // Whoever listens in public may be LXC. In private it is what a killed supervisor left,
        // or one that begins.
        _ if place.is_some_and(|it| it.public.is_some()) => None,
        Some(record) => Some(after(lxcpath.host(), record)),
        None if place.is_some() => None,
        None => Some(stopped(author(&lxcpath.join(name.as_str())))),
    }
}

/// A run whose supervisor lives and writes down what happens.
fn by_record(record: &Record) -> Told {
    Told {
        state: record.state,
        since: time(record.since_ms),
        origin: Origin::Wharf,
        last_exit: record.exit,
        died_of_memory: record.died_of_memory,
        oom_last: record.oom_last.clone(),
        last_memory_max_bytes: None,
        trouble: trouble(record),
        lost_limits: record.lost_limits.clone(),
        run: Some(RunInfo {
            cgroup: record.cgroup.clone(),
            limits: record.cgroup.clone(),
            init_pid: record.init.map(|it| it.pid),
            recorded: true,
            configured: String::new(),
        }),
        // The journal tells of the next state; looking again as well costs little and is sure.
        // Limits that are set anew are told by nobody.
        retry: retry(record.state).or_else(|| (!record.lost_limits.is_empty()).then_some(LOST)),
    }
}

/// What an operator should know of a run that goes on.
fn trouble(record: &Record) -> Option<String> {
    let squatter =
        || record.squatter.as_ref().map(|it| format!("LXC's tools cannot reach it: {it}"));
    lost(&record.name, &record.lost_limits).or_else(squatter)
}

/// Says which limits are lost, if some are.
pub(super) fn lost(name: &Name, files: &[String]) -> Option<String> {
    let command = format!("`wharf cgroup --again {name}`");
    match files {
        [] => None,
        [one] => Some(format!("lost its limit: {one}; {command} restores it")),
        many => Some(format!("lost its limits: {}; {command} restores them", many.join(", "))),
    }
}

/// A record without a supervisor: of a run that is over, or of one whose supervisor was killed.
fn after(host: &Host, record: &Record) -> Told {
    let over = Told {
        since: time(record.since_ms),
        last_exit: record.exit,
        died_of_memory: record.died_of_memory,
        oom_last: record.oom_last.clone(),
        last_memory_max_bytes: record.memory_max_bytes,
        ..stopped(Origin::Wharf)
    };
    if !record.state.is_active() {
        return over;
    }
    let populated = |it: &String| super::populated(host, it);
    let cgroup = record.cgroup.clone().filter(populated);
    // Init may have been moved out of its groups.
    let init = record.init.filter(|it| it.lives(host));
    if cgroup.is_none() && init.is_none() {
        // When is not known: nobody was left to write it down.
        let trouble = Some("its supervisor was killed".to_owned());
        return Told { trouble, since: None, ..over };
    }
    let advice = "its supervisor is gone; `wharf stop` or `wharf destroy -f` cleans up";
    Told {
        state: State::Running,
        trouble: Some(advice.to_owned()),
        run: Some(RunInfo {
            limits: cgroup.clone(),
            cgroup,
            init_pid: init.map(|it| it.pid),
            recorded: false,
            configured: String::new(),
        }),
        retry: Some(Duration::from_secs(1)),
        ..over
    }
}

/// What a supervisor told that keeps no record: LXC's own monitor. The record is of an earlier run.
fn by_socket(
    lxcpath: &Lxcpath,
    name: &Name,
    record: Option<Record>,
    answer: Result<Interview, SocketError>,
) -> Told {
    let last_exit = record.as_ref().and_then(|it| it.exit);
    let quiet = || {
        let author = || stopped(author(&lxcpath.join(name.as_str())));
        record.as_ref().map_or_else(author, |it| after(lxcpath.host(), it))
    };
    let trouble = match answer {
        Ok(Interview { state, init_pid, cgroup, limits, configured }) => {
            let listens = (state == State::Stopped).then_some(Duration::ZERO);
            return Told {
                state,
                since: init_pid
                    .filter(|_| state == State::Running)
                    .and_then(|it| began(lxcpath.host(), it)),
                run: Some(RunInfo { cgroup, limits, init_pid, recorded: false, configured }),
                retry: retry(state).or(listens),
                last_exit,
                ..stopped(Origin::Lxc)
            };
        }
        Err(SocketError::Stranger(stranger)) => {
            let told = quiet();
            let trouble = told.trouble.clone().unwrap_or_else(|| stranger.to_string());
            return Told { trouble: Some(trouble), ..told };
        }
        // It ended while it was asked.
        Err(SocketError::Closed) => return Told { retry: Some(Duration::ZERO), ..quiet() },
        Err(error @ SocketError::Silent) => error.to_string(),
        Err(error) => format!("cannot ask its supervisor: {error}"),
    };
    // It listens, so something runs; where it would be by its name the counters are.
    let run = RunInfo::of(format!("/{}", cgroup::payload(name)));
    Told {
        state: State::Running,
        trouble: Some(trouble),
        run: Some(run),
        retry: Some(PATIENCE),
        last_exit,
        ..stopped(Origin::Lxc)
    }
}

pub(super) const fn stopped(origin: Origin) -> Told {
    Told {
        state: State::Stopped,
        since: None,
        origin,
        last_exit: None,
        died_of_memory: false,
        oom_last: None,
        last_memory_max_bytes: None,
        trouble: None,
        lost_limits: Vec::new(),
        run: None,
        retry: None,
    }
}

/// How soon to look at a supervisor again in `state`: what is passing will have passed.
const fn retry(state: State) -> Option<Duration> {
    match state {
        State::Stopped | State::Running | State::Frozen => None,
        State::Starting | State::Stopping | State::Aborting | State::Freezing | State::Thawed => {
            Some(Duration::ZERO)
        }
    }
}

/// Returns who wrote the configuration: wharf says so in its first line.
fn author(home: &Path) -> Origin {
    let config = super::detail::start_of(&home.join("config"), 256).unwrap_or_default();
    let first = config.lines().next().unwrap_or_default();
    if first.starts_with('#') && first.contains("wharf") { Origin::Wharf } else { Origin::Lxc }
}

/// Returns when the process began.
fn began(host: &Host, pid: i32) -> Option<SystemTime> {
    let start_time = Identity::of(host, pid)?.start_time;
    let after_boot = Duration::from_secs(start_time / procfs::ticks_per_second().max(1));
    let uptime = std::fs::read_to_string(host.proc().join("uptime")).ok()?;
    let uptime = Duration::try_from_secs_f64(uptime.split(' ').next()?.parse().ok()?).ok()?;
    SystemTime::now().checked_sub(uptime.checked_sub(after_boot)?)
}

fn time(ms: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).filter(|_| ms > 0)
}
