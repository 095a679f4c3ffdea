//! What a container's record and its supervisor tell of it, asked once.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::members::{PATIENCE, Run, retry};
use crate::engine::command_socket::{Client, SocketError};
use crate::engine::exit::Exit;
use crate::engine::host::Host;
use crate::engine::lxcpath::Lxcpath;
use crate::engine::name::Name;
use crate::engine::process::Stat;
use crate::engine::record::Record;

use crate::engine::snapshot::Origin;
use crate::engine::state::State;

/// The v1 controllers one of which knows the container's group where there is no unified one.
const CONTROLLERS: [&str; 4] = ["cpuacct", "memory", "pids", "freezer"];

/// The answers.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) state: State,
    pub(super) since: Option<SystemTime>,
    pub(super) origin: Origin,
    pub(super) last_exit: Option<Exit>,
    pub(super) died_of_memory: bool,
    pub(super) trouble: Option<String>,
    pub(super) run: Option<Run>,
    pub(super) retry: Option<Duration>,
}

/// Looks `name` up; `listens` says whether a supervisor has its socket.
pub(super) fn about(lxcpath: &Lxcpath, name: &Name, listens: bool) -> Told {
    match (Record::read(lxcpath, name), listens) {
        (Some(record), true)
            if record.state.is_active() && record.supervisor.lives(lxcpath.host()) =>
        {
            by_record(&record)
        }
        // The record is of an earlier run, and LXC runs it now.
        (record, true) => {
            let last_exit = record.and_then(|it| it.exit);
            Told { last_exit, ..by_socket(lxcpath, name) }
        }
        (Some(record), false) => after(lxcpath.host(), &record),
        (None, false) => stopped(author(&lxcpath.join(name.as_str()))),
    }
}

/// A run whose supervisor lives and writes down what happens.
fn by_record(record: &Record) -> Told {
    Told {
        state: record.state,
        since: time(record.since_ms),
        origin: Origin::Wharf,
        last_exit: record.exit,
        died_of_memory: record.died_of_memory(),
        trouble: None,
        run: Some(Run {
            cgroup: record.cgroup.clone(),
            init_pid: record.init.map(|it| it.pid),
            recorded: true,
        }),
        // The journal tells of the next state; looking again as well costs little and is sure.
        retry: retry(record.state),
    }
}

/// A record without a supervisor: of a run that is over, or of one whose supervisor was killed.
fn after(host: &Host, record: &Record) -> Told {
    let over = Told {
        since: time(record.since_ms),
        last_exit: record.exit,
        died_of_memory: record.died_of_memory(),
        ..stopped(Origin::Wharf)
    };
    if !record.state.is_active() {
        return over;
    }
    let lives = |it: &String| super::populated(host, it);
    let Some(cgroup) = record.cgroup.clone().filter(lives) else {
        // When is not known: nobody was left to write it down.
        let trouble = Some("its supervisor was killed".to_owned());
        return Told { trouble, since: None, ..over };
    };
    let advice = "its supervisor is gone; start, stop or destroy cleans up";
    Told {
        state: State::Running,
        trouble: Some(advice.to_owned()),
        run: Some(Run { cgroup: Some(cgroup), ..Run::default() }),
        retry: Some(Duration::from_secs(1)),
        ..over
    }
}

/// A supervisor that keeps no record: LXC's own monitor.
fn by_socket(lxcpath: &Lxcpath, name: &Name) -> Told {
    match ask(lxcpath, name) {
        Ok(Some(told)) => told,
        Ok(None) => stopped(Origin::Lxc),
        Err(error) => {
            let trouble = match error {
                SocketError::Silent => error.to_string(),
                SocketError::Connect(_)
                | SocketError::Closed
                | SocketError::Speak(_)
                | SocketError::Refused { .. }
                | SocketError::Nonsense { .. }
                | SocketError::NoTty(_)
                | SocketError::List(_) => format!("supervisor does not tell: {error}"),
            };
            // It listens, so something runs; where it would be by its name the counters are.
            let run = Run { cgroup: Some(format!("/lxc.payload.{name}")), ..Run::default() };
            Told {
                state: State::Running,
                trouble: Some(trouble),
                run: Some(run),
                retry: Some(PATIENCE),
                ..stopped(Origin::Lxc)
            }
        }
    }
}

fn ask(lxcpath: &Lxcpath, name: &Name) -> Result<Option<Told>, SocketError> {
    let Some(client) = Client::connect(lxcpath, name)? else { return Ok(None) };
    let state = client.state()?;
    // Both are unknown while it starts.
    let init_pid = client.init_pid().ok();
    let cgroup = cgroup(&client);
    Ok(Some(Told {
        state,
        since: init_pid
            .filter(|_| state == State::Running)
            .and_then(|it| began(lxcpath.host(), it)),
        run: Some(Run { cgroup, init_pid, recorded: false }),
        retry: retry(state),
        ..stopped(Origin::Lxc)
    }))
}

fn cgroup(client: &Client) -> Option<String> {
    let controllers = std::iter::once(None).chain(CONTROLLERS.into_iter().map(Some));
    let mut answers = controllers.filter_map(|it| client.cgroup(it).ok().flatten());
    answers.find(|it| it.len() > 1)
}

const fn stopped(origin: Origin) -> Told {
    Told {
        state: State::Stopped,
        since: None,
        origin,
        last_exit: None,
        died_of_memory: false,
        trouble: None,
        run: None,
        retry: None,
    }
}

/// Tells who wrote the configuration: wharf says so in its first line.
fn author(home: &Path) -> Origin {
    let config = super::detail::start_of(&home.join("config"), 256).unwrap_or_default();
    let first = config.lines().next().unwrap_or_default();
    if first.starts_with('#') && first.contains("wharf") { Origin::Wharf } else { Origin::Lxc }
}

/// Returns when the process began.
fn began(host: &Host, pid: i32) -> Option<SystemTime> {
    let stat = Stat::parse(&std::fs::read(host.of_process(pid, "stat")).ok()?)?;
    let after_boot =
        Duration::from_secs(stat.identity.start_time / procfs::ticks_per_second().max(1));
    let uptime = std::fs::read_to_string(host.proc().join("uptime")).ok()?;
    let uptime = Duration::try_from_secs_f64(uptime.split(' ').next()?.parse().ok()?).ok()?;
    SystemTime::now().checked_sub(uptime.checked_sub(after_boot)?)
}

fn time(ms: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).filter(|_| ms > 0)
}
