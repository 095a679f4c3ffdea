//! One container's supervisor: starts it, serves its command socket and its terminals until init
//! ends, and cleans up. Single-threaded; never waits for a client.
//!
//! Having the container's seat (its lock and its sockets) makes a process its supervisor.

mod again;
mod apart;
mod birth;
mod brake;
mod claims;
mod connection;
mod desk;
mod ending;
mod equipment;
mod error;
mod groups;
mod guard;
mod life;
mod log;
mod logfile;
mod monitor;
mod oom;
mod outside;
mod peer;
mod reply;
mod restored;
mod ring;
mod server;
mod terminal;
mod ttys;
mod viewer;
mod watch;

use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::geteuid;

use birth::{Born, bear};
use brake::Brake;
use desk::Desk;
use ending::{Ending, TimeLimit};
use equipment::{Equipment, Opened};
use error::RunError;
use guard::LimitGuard;
use life::Life;
use log::Log;
use monitor::Monitor;
use oom::Oom;
use ttys::Ttys;
use watch::Watch;

use crate::engine::Verb;
use crate::engine::cgroup::{Cgroup, CgroupError, Hierarchies, PastGroups, PlannedGroups};
use crate::engine::config::{self, Config};
use crate::engine::entry::host_steps::{self, HostStep, Surroundings};
use crate::engine::entry::init;
use crate::engine::entry::plan::{self, Payload, TerminalInfo};
use crate::engine::entry::relay;
use crate::engine::entry::script;
use crate::engine::host::identity::Identity;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::host::random;
use crate::engine::running::command_socket::Seat;
use crate::engine::running::command_socket::wire::Wish;
use crate::engine::running::delegation;
use crate::engine::running::order::Start;
use crate::engine::running::reclaim;
use crate::engine::running::record::{self, Record};
use crate::engine::running::removal;
use crate::engine::running::saving;
use crate::engine::store::Store;
use crate::engine::sys;
use crate::engine::terms::error::{Error, story};
use crate::engine::terms::exit::Exit;
use crate::engine::terms::name::Name;
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{At, Spec};
use crate::engine::terms::state::State;

/// How long processes that outlive init may take to die.
const DYING: Duration = Duration::from_secs(5);

/// One run of a container.
#[derive(Debug)]
pub(in crate::engine) struct Run {
    pub name: Name,
    pub lxcpath: Lxcpath,
    pub config: Config,
    pub spec: Spec,
    pub payload: Payload,
    /// The request, for when the container is started again.
    pub start: Start,
    /// Relays this process's terminal to the console, and passes on those of 0, 1 and 2 that are
    /// not terminals.
    pub foreground: bool,
    /// How long it may run before it is ended.
    pub limit: Option<Duration>,
}

impl Run {
    /// Lists the steps that start it, its console as large as the terminal that will show it.
    fn steps(&self, opened: &Opened) -> Result<Vec<plan::Step>, RunError> {
        let own = if self.foreground { relay::window_size() } else { None };
        let size = opened.window_size().or(own);
        let attended = self.foreground && viewer::inherited().contains(&false);
        let terminal = TerminalInfo { term: std::env::var("TERM").ok(), size, attended };
        plan::start(&self.spec, self.payload, &terminal).map_err(RunError::Plan)
    }

    /// Lists the steps that are taken for it on the host.
    fn host_steps(&self) -> Vec<At<HostStep>> {
        let hold = record::network_file(&self.lxcpath, &self.name);
        let random = random::digits(self.spec.nics.len() * host_steps::DIGITS_EACH);
        let ordinary = (!geteuid().is_root()).then(|| self.lxcpath.spelled());
        let around = Surroundings { hold: &hold, random: &random, ordinary: ordinary.as_deref() };
        host_steps::plan(&self.spec, around)
    }
}

/// Runs the container to its end in this process, which must be single-threaded. `ready` is
/// called once the container's program runs.
pub(in crate::engine) fn run(run: Run, ready: &mut dyn FnMut()) -> Result<Exit, Error> {
    let name = run.name.clone();
    supervise(run, ready).map_err(|it| Error::new(Verb::Start, &name, it.kind(), it))
}

fn supervise(mut run: Run, ready: &mut dyn FnMut()) -> Result<Exit, RunError> {
    apart::settle(&run).map_err(RunError::Settle)?;
    let seat = Seat::wait(&run.lxcpath, &run.name).map_err(RunError::Seat)?;
    // It may have been destroyed since its configuration was read.
    let file = run.config.file();
    if file.starts_with(run.lxcpath.join(run.name.as_str())) && !file.exists() {
        return Err(RunError::Gone(file.to_path_buf()));
    }
    reclaim::clean_up_held(&run.lxcpath, &run.name).map_err(RunError::Reclaim)?;
    // Everything that can fail by configuration fails before anything is made.
    let opened = Opened::by(&run.spec)?;
    let (steps, log) = (run.steps(&opened)?, Log::open(&run.spec)?);
    delegation::seek(run.lxcpath.host(), &format!("wharf: container {}", run.name));
    let hierarchies = groups::find(&run).map_err(RunError::Cgroup)?;
    let past = Record::read(&run.lxcpath, &run.name)
        .map(|it| PastGroups { monitor: it.monitor_inodes, planned: it.planned });
    groups::fit(&mut run.spec, &hierarchies);
    let planned = PlannedGroups::of(&run.spec.groups, &hierarchies, &past.unwrap_or_default());
    let mut record = Record::begin(&run.lxcpath, &run.name);
    record.planned = Some(planned.map_err(RunError::Cgroup)?);
    record.squatter = seat.squatter().map(ToString::to_string);
    record.write(run.lxcpath.host()).map_err(RunError::Record)?;
    let heard = relay::PASSED_ON.into_iter().chain([Signal::SIGWINCH]);
    let signals = relay::BlockedSignals::block(heard).map_err(RunError::Watch)?;
    let mut life = Life::begin(record, run.lxcpath.clone(), log);
    // Left whenever this function returns.
    let mut monitor = None;
    let born = settle_in(&run, &hierarchies, &mut life, &mut monitor)
        .and_then(|()| bear(&run, &steps, &hierarchies, &mut life));
    let mut born = match born {
        Ok(born) => born,
        Err(error) => return Err(abort(life, error)),
    };
    drop(steps);
    life.record.init = Identity::of(run.lxcpath.host(), born.launched.pid);
    life.enter(State::Running);
    let console = born.launched.console.take();
    let equipped =
        life.saved().and_then(|()| Equipment::take(&run, console, seat, opened, &signals));
    let equipment = match equipped {
        Ok(equipment) => equipment,
        Err(error) => {
            _ = sweep(&born.cgroup);
            return Err(abort(life, error));
        }
    };
    // What was asked for meanwhile must not end a container that was reported to run.
    if !run.foreground && script::is_asked_to_end() {
        _ = sweep(&born.cgroup);
        return Err(abort(life, RunError::CalledOff));
    }
    let mut watch = assemble(&run, life, born, hierarchies, equipment);
    ready();
    sys::give_back_free_memory();
    let mut brake = Brake::new();
    loop {
        match watch_to_the_end(&mut watch, &run, &mut brake)? {
            Ended::ForGood(exit) => return Ok(exit),
            Ended::ToBeginAgain(exit) => watch = again::start(&mut run, watch, exit)?,
        }
    }
}

/// Reports that the start has failed; only its record is left.
fn abort(mut life: Life, error: RunError) -> RunError {
    life.undo_host_steps(false);
    life.failed(story(&error));
    life.enter(State::Aborting);
    life.enter(State::Stopping);
    life.enter(State::Stopped);
    life.close();
    error
}

/// Goes into the background if requested.
fn settle_in(
    run: &Run,
    hierarchies: &Hierarchies,
    life: &mut Life,
    monitor: &mut Option<Monitor>,
) -> Result<(), RunError> {
    let used = config::used_controllers(run.lxcpath.host()).unwrap_or_default();
    if let Some(lacking) = hierarchies.lacking(&used) {
        return Err(RunError::Cgroup(CgroupError::NoController(lacking.to_owned())));
    }
    // A run on a terminal ends with it, and need not outlive the login.
    if !run.foreground {
        *monitor = Monitor::enter(hierarchies, life)?;
    }
    Ok(())
}

/// Returns whether CRIU has saved the container, and ended it.
fn is_saved(life: &Life) -> bool {
    let Record { name, init, .. } = &life.record;
    init.is_some_and(|it| saving::has_ended(&life.lxcpath, name, it))
}

/// Kills and removes; the next command finds the rest by the record. Returns whether all is gone.
fn sweep(cgroup: &Cgroup) -> bool {
    // As a rule all that was in them has died with init.
    if cgroup.remove_empty() {
        return true;
    }
    let killed = cgroup.kill_all(Instant::now() + DYING);
    cgroup.remove().and(killed).is_ok()
}

fn assemble(
    run: &Run,
    life: Life,
    born: Born,
    hierarchies: Hierarchies,
    equipment: Equipment,
) -> Watch {
    let Born { mut launched, cgroup, inner, oom, notifier, devices } = born;
    let Equipment { console, viewer, server, signals } = equipment;
    let oom = oom.map(Oom::begin);
    let guard = Some(LimitGuard::begin());
    let desk = Desk {
        life,
        config: run.config.clone(),
        hierarchies,
        cgroup,
        inner,
        console,
        ttys: Ttys::new(std::mem::take(&mut launched.ttys)),
        init: launched.into(),
        stop_signal: run.spec.signals.stop,
        filter: run.spec.filter.as_ref().map(|it| it.value.clone()),
        devices,
        notifier,
        kept: 0,
    };
    let halt = run.spec.signals.halt;
    let payload = run.payload;
    let (ending, wish, resting) = (None, None, false);
    let limit = run.limit.and_then(TimeLimit::begin);
    Watch { desk, server, viewer, signals, oom, guard, payload, halt, ending, limit, wish, resting }
}

/// How a run ended, and what comes after it.
enum Ended {
    ForGood(Exit),
    ToBeginAgain(Exit),
}

fn watch_to_the_end(watch: &mut Watch, run: &Run, brake: &mut Brake) -> Result<Ended, RunError> {
    watch.fit();
    let watched = watch.run();
    let exit = if watched.is_ok() { reap(watch, run) } else { Exit::Signal(libc::SIGKILL) };
    let desk = &mut watch.desk;
    // A frozen or half thawed container ends as well.
    desk.life.enter(State::Stopping);
    let swept = sweep(&desk.cgroup);
    let wanted = watched.is_ok() && again::is_wanted(watch, exit, run.payload);
    let desk = &mut watch.desk;
    desk.life.undo_host_steps(wanted);
    desk.forget_ended(watched.is_ok(), swept);
    if wanted && brake.lets_go_on(watch) {
        return Ok(Ended::ToBeginAgain(exit));
    }
    let desk = &mut watch.desk;
    desk.life.enter(State::Stopped);
    if run.spec.ephemeral && swept {
        // Clients that wait for the end are informed only now, when their connections close.
        let store = Store::new(&run.lxcpath);
        if let Ok(_lock) = store.lock(&run.name) {
            _ = removal::remove(&store, &run.name);
        }
    }
    desk.life.close();
    watched.map_err(RunError::Watch)?;
    match watch.limit.as_ref().filter(|it| it.is_over()) {
        Some(limit) => Err(RunError::Late(limit.time)),
        None => Ok(Ended::ForGood(exit)),
    }
}

/// Collects how init ended, and how that end is handled.
fn reap(watch: &mut Watch, run: &Run) -> Exit {
    let pid = nix::unistd::Pid::from_raw(watch.desk.init.pid);
    let word =
        if run.spec.init.tended { init::last_word(run.lxcpath.host(), pid.as_raw()) } else { None };
    let status = loop {
        match waitpid(pid, Some(WaitPidFlag::__WALL)) {
            Err(Errno::EINTR) => (),
            status => break status,
        }
    };
    let (exit, raw) = match status {
        Ok(WaitStatus::Exited(_, code)) => (Exit::Code(code as u8), code << 8),
        Ok(WaitStatus::Signaled(_, signal, _)) => (Exit::Signal(signal as i32), signal as i32),
        // A signal without a name, or another process's child: certainly dead.
        Ok(_) | Err(_) => (Exit::Signal(libc::SIGKILL), libc::SIGKILL),
    };
    // Elsewhere a signal means nothing but itself.
    let own = run.spec.namespaces.has_own(Space::Pid);
    let read = |exit: Exit| if own { exit.of_init() } else { exit };
    watch.wish = watch.ending.as_ref().map(Ending::wish).or_else(|| watch.server.wish());
    let exit = match (word.unwrap_or_else(|| read(exit)), watch.wish) {
        (Exit::Signal(libc::SIGKILL), Some(Wish::Unheard(signal))) => Exit::Unheard(signal),
        (Exit::Signal(libc::SIGKILL), Some(Wish::Restart(signal))) => Exit::Unmoved(signal),
        (Exit::Signal(libc::SIGKILL), None) if is_saved(&watch.desk.life) => Exit::Saved,
        (exit, _) => exit,
    };
    watch.desk.life.exited(exit, raw);
    exit
}
