//! What a container's record and its supervisor report about it, queried once.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::engine::cgroup::GroupPath;
use crate::engine::host::Host;
use crate::engine::host::identity::Identity;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::command_socket::{Interview, ListenerInodes, SocketError, interview};
use crate::engine::running::oom::OomKill;
use crate::engine::running::record::Record;
use crate::engine::seen::sample::{HIDDEN, Origin};
use crate::engine::terms::exit::Exit;
use crate::engine::terms::groups;
use crate::engine::terms::name::Name;
use crate::engine::terms::state::State;

/// How soon to check again whether lost limits are back.
const LOST: Duration = Duration::from_secs(1);

/// A supervisor that did not answer is not asked again for this long: each try may take two
/// seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is known of one container.
#[derive(Clone, Debug)]
pub(super) struct ContainerStatus {
    pub(super) state: State,
    pub(super) since: Option<SystemTime>,
    pub(super) origin: Origin,
    pub(super) last_exit: Option<Exit>,
    pub(super) died_of_memory: bool,
    pub(super) oom_last: Option<OomKill>,
    pub(super) last_memory_max_bytes: Option<u64>,
    pub(super) trouble: Option<String>,
    /// This user may not look at it.
    pub(super) hidden: bool,
    /// Its supervisor does not answer, so the state is assumed: LXC's listens before it has a state
    /// and answers only once its container runs.
    pub(super) silent: bool,
    pub(super) restarts_at: Option<SystemTime>,
    pub(super) lost_limits: Vec<String>,
    /// What runs it; none while nothing does.
    pub(super) run: Option<RunInfo>,
    /// How soon to ask again, if at all.
    pub(super) retry: Option<Duration>,
}

/// A container's run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RunInfo {
    /// The group of its processes.
    pub(super) cgroup: Option<GroupPath>,
    /// The group of its limits and counters, which may be above with LXC.
    pub(super) limits: Option<GroupPath>,
    pub(super) init_pid: Option<i32>,
    /// Its supervisor keeps a record, so the journal has its states.
    pub(super) recorded: bool,
    /// The limits that LXC's monitor does not watch.
    pub(super) configured: String,
}

impl RunInfo {
    /// A run of which only the group is known.
    pub(super) fn of(cgroup: GroupPath) -> Self {
        Self { limits: Some(cgroup.clone()), cgroup: Some(cgroup), ..Self::default() }
    }
}

/// Looks up the containers, whose listeners are known. Those that only a supervisor knows are asked
/// all at once.
pub(super) fn about(
    lxcpath: &Lxcpath,
    containers: &[(Name, Option<ListenerInodes>)],
) -> Vec<ContainerStatus> {
    let known = |(name, place): &(Name, Option<ListenerInodes>)| {
        let record = Record::read(lxcpath, name);
        (by_itself(lxcpath, name, record.as_ref(), place.as_ref()), record)
    };
    let known: Vec<_> = containers.iter().map(known).collect();
    let asked = containers.iter().zip(&known).filter(|(_, (status, _))| status.is_none());
    let asked: Vec<(Name, ListenerInodes)> =
        asked.map(|((name, place), _)| (name.clone(), place.clone().unwrap_or_default())).collect();
    let mut answers = interview(lxcpath, &asked).into_iter();
    let statuses = containers.iter().zip(known).map(|((name, _), (status, record))| {
        status.unwrap_or_else(|| match answers.next() {
            Some(answer) => by_socket(lxcpath, name, record, answer),
            None => stopped(Origin::Lxc),
        })
    });
    statuses.collect()
}

/// Describes a container by its record, if its supervisor lives.
pub(super) fn recorded_now(lxcpath: &Lxcpath, name: &Name) -> Option<ContainerStatus> {
    let record = Record::read(lxcpath, name)?;
    record.is_live(lxcpath.host()).then(|| by_record(&record))
}

/// Describes a container without a query; none if its supervisor must be asked.
fn by_itself(
    lxcpath: &Lxcpath,
    name: &Name,
    record: Option<&Record>,
    place: Option<&ListenerInodes>,
) -> Option<ContainerStatus> {
    match record {
        Some(record) if record.is_live(lxcpath.host()) => Some(by_record(record)),
        // It is just ending, and its socket still exists.
        Some(record) if place.is_some() && record.supervisor.lives(lxcpath.host()) => {
            Some(ContainerStatus { retry: Some(Duration::ZERO), ..after(lxcpath.host(), record) })
        }
        // A public listener may be LXC. A private one is left by a killed supervisor, or just
        // starting.
        _ if place.is_some_and(|it| it.public.is_some()) => None,
        Some(record) => Some(after(lxcpath.host(), record)),
        None if place.is_some() => None,
        None => Some(stopped(author(&lxcpath.join(name.as_str())))),
    }
}

/// A run whose supervisor is alive and records events.
fn by_record(record: &Record) -> ContainerStatus {
    ContainerStatus {
        state: record.state,
        since: time(record.since_ms),
        origin: Origin::Wharf,
        last_exit: record.exit,
        died_of_memory: record.died_of_memory,
        oom_last: record.oom_last.clone(),
        last_memory_max_bytes: None,
        trouble: trouble(record),
        hidden: false,
        silent: false,
        restarts_at: record.restart_ms.and_then(time),
        lost_limits: record.lost_limits.clone(),
        run: Some(RunInfo {
            cgroup: record.processes(),
            limits: record.cgroup.clone(),
            init_pid: record.init.map(|it| it.pid),
            recorded: true,
            configured: String::new(),
        }),
        // The journal reports the next state; checking again costs little and is safe. Restored
        // limits are not reported.
        retry: retry(record.state).or_else(|| (!record.lost_limits.is_empty()).then_some(LOST)),
    }
}

/// What an operator should know about a current run.
fn trouble(record: &Record) -> Option<String> {
    let squatter =
        || record.squatter.as_ref().map(|it| format!("LXC's tools cannot reach it: {it}"));
    let waits = || record.restart_ms.map(|_| "it keeps restarting itself".to_owned());
    let unwatched = || {
        let why = record.limits_unwatched.as_ref();
        why.map(|it| format!("the loss of its limits would not be noticed: {it}"))
    };
    let lost = lost(&record.name, &record.lost_limits);
    lost.or_else(waits).or_else(squatter).or_else(unwatched)
}

/// Returns which limits are lost, if any.
pub(super) fn lost(name: &Name, files: &[String]) -> Option<String> {
    let command = format!("`wharf cgroup --again {name}`");
    match files {
        [] => None,
        [one] => Some(format!("lost its limit: {one}; {command} restores it")),
        many => Some(format!("lost its limits: {}; {command} restores them", many.join(", "))),
    }
}

/// A record without a supervisor: of a finished run, or of one whose supervisor was killed.
fn after(host: &Host, record: &Record) -> ContainerStatus {
    let over = ContainerStatus {
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
    let populated = |it: &GroupPath| super::populated(host, it);
    let cgroup = record.cgroup.clone().filter(populated);
    // Init may have been moved out of its groups.
    let init = record.init.filter(|it| it.lives(host));
    if cgroup.is_none() && init.is_none() {
        // The time is unknown: no supervisor was left to record it.
        let trouble = Some("its supervisor was killed".to_owned());
        return ContainerStatus { trouble, since: None, ..over };
    }
    let advice = "its supervisor is gone; `wharf stop` or `wharf destroy -f` cleans up";
    ContainerStatus {
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

/// The answer of a supervisor without a record: LXC's own monitor. The record is of an earlier run.
fn by_socket(
    lxcpath: &Lxcpath,
    name: &Name,
    record: Option<Record>,
    answer: Result<Interview, SocketError>,
) -> ContainerStatus {
    let last_exit = record.as_ref().and_then(|it| it.exit);
    let quiet = || {
        let author = || stopped(author(&lxcpath.join(name.as_str())));
        record.as_ref().map_or_else(author, |it| after(lxcpath.host(), it))
    };
    let hidden = answer.as_ref().is_err_and(SocketError::is_denied);
    let trouble = match answer {
        Ok(Interview { state, init_pid, cgroup, limits, configured }) => {
            let (cgroup, limits) = (cgroup.map(GroupPath::Same), limits.map(GroupPath::Same));
            let listens = (state == State::Stopped).then_some(Duration::ZERO);
            return ContainerStatus {
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
            let status = quiet();
            let trouble = status.trouble.clone().unwrap_or_else(|| stranger.to_string());
            return ContainerStatus { trouble: Some(trouble), ..status };
        }
        // It ended while it was asked.
        Err(SocketError::Closed) => {
            return ContainerStatus { retry: Some(Duration::ZERO), ..quiet() };
        }
        Err(_) if hidden => HIDDEN.to_owned(),
        Err(error @ (SocketError::Silent | SocketError::Halted { .. })) => error.to_string(),
        Err(error) => format!("cannot ask its supervisor: {error}"),
    };
    // It listens, so something runs; the counters are in the group that its name implies.
    let run = RunInfo::of(GroupPath::Same(format!("/{}", groups::payload(name))));
    ContainerStatus {
        state: State::Running,
        trouble: Some(trouble),
        hidden,
        silent: !hidden,
        run: Some(run),
        retry: Some(PATIENCE),
        last_exit,
        ..stopped(Origin::Lxc)
    }
}

pub(super) const fn stopped(origin: Origin) -> ContainerStatus {
    ContainerStatus {
        state: State::Stopped,
        since: None,
        origin,
        last_exit: None,
        died_of_memory: false,
        oom_last: None,
        last_memory_max_bytes: None,
        trouble: None,
        hidden: false,
        silent: false,
        restarts_at: None,
        lost_limits: Vec::new(),
        run: None,
        retry: None,
    }
}

/// How soon to check a supervisor again in `state`: a transient state will have passed.
const fn retry(state: State) -> Option<Duration> {
    match state {
        State::Stopped | State::Running | State::Frozen => None,
        State::Starting | State::Stopping | State::Aborting | State::Freezing | State::Thawed => {
            Some(Duration::ZERO)
        }
    }
}

/// Returns which program wrote the configuration: wharf's first line says so.
fn author(home: &Path) -> Origin {
    let config = super::files::start_of(&home.join("config"), 256).unwrap_or_default();
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
