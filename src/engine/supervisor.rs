//! One container's supervisor: starts it, serves its command socket and its terminals until init
//! ends, and leaves nothing behind. Single-threaded; never waits for a client.
//!
//! Holding the command socket is the lock: whoever listens on it is the container's supervisor.

mod connection;
mod desk;
mod equipment;
mod error;
mod life;
mod logfile;
mod monitor;
mod oom;
mod peer;
mod reply;
mod ring;
mod server;
mod terminal;
mod ttys;
mod viewer;
mod watch;

use std::io;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use desk::{Desk, Init};
use equipment::{Equipment, Opened, Signals};
use error::RunError;
use life::Life;
use monitor::Monitor;
use oom::Oom;
use ttys::Ttys;
use watch::Watch;

use super::cgroup::{Cgroup, Hierarchies};
use super::command_socket::listen;
use super::config::Config;
use super::error::Error;
use super::exit::Exit;
use super::launch::{self, Launched, Order};
use super::lxcpath::Lxcpath;
use super::name::Name;
use super::plan::{self, Payload};
use super::record::{self, Identity, Record};
use super::seal;
use super::spec::Spec;
use super::state::State;
use super::sys;

/// How long what init left behind may take to die.
const DYING: Duration = Duration::from_secs(5);

/// The first descriptor behind standard input, output and error.
const FIRST_OWN: u32 = 3;

/// One run of a container.
#[derive(Debug)]
pub struct Run {
    pub name: Name,
    pub lxcpath: Lxcpath,
    pub config: Config,
    pub spec: Spec,
    pub payload: Payload,
    /// Relays this process's terminal to the console, and hands over 0, 1 and 2 that are none.
    pub foreground: bool,
}

/// Runs the container to its end in this process, which must be single-threaded. `ready` is
/// called once: when the container's program runs, or when it will not.
pub fn run(run: Run, ready: &mut dyn FnMut(Result<(), &Error>)) -> Result<Exit, Error> {
    let (name, lxcpath, destroy) = (run.name.clone(), run.lxcpath.clone(), run.spec.ephemeral);
    let ended = supervise(run, &mut || ready(Ok(())));
    let ended = ended.map_err(|failure| {
        let Failure { error, was_ready } = failure;
        let error = Error::new("start", &name, error.kind(), error);
        if !was_ready {
            ready(Err(&error));
        }
        error
    });
    if destroy && ended.is_err() {
        // The run's own outcome matters more than what is left to remove.
        _ = super::Engine::over(lxcpath).destroy(&name);
    }
    ended
}

/// A failure, and whether the start had been reported as a success before.
struct Failure {
    error: RunError,
    was_ready: bool,
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        Self { error, was_ready: false }
    }
}

fn supervise(run: Run, ready: &mut dyn FnMut()) -> Result<Exit, Failure> {
    settle(&run).map_err(RunError::Settle)?;
    let listeners = take_socket(&run)?;
    // It may have been destroyed since its configuration was read.
    let file = run.config.file();
    if file.starts_with(run.lxcpath.join(run.name.as_str())) && !file.exists() {
        return Err(RunError::Gone(file.to_path_buf()).into());
    }
    record::clean_up_held(&run.lxcpath, &run.name).map_err(RunError::Reclaim)?;
    // Everything that can fail by configuration fails before anything is made.
    let term = std::env::var("TERM").ok();
    let steps = plan::start(&run.spec, run.payload, term.as_deref()).map_err(RunError::Plan)?;
    let opened = Opened::by(&run.spec)?;
    let record = Record::begin(&run.lxcpath, &run.name);
    record.write(run.lxcpath.host()).map_err(RunError::Record)?;
    let signals = Signals::block().map_err(RunError::Watch)?;
    let mut life = Life::begin(record, run.lxcpath.clone());
    // Left when this function is, whichever way.
    let mut monitor = None;
    let born = bear(&run, &steps, (&mut life, &mut monitor));
    let (mut launched, hierarchies, cgroup) = match born {
        Ok(born) => born,
        Err(error) => return Err(abort(life, error)),
    };
    drop(steps);
    life.record.init = Identity::of(run.lxcpath.host(), launched.pid);
    life.enter(State::Running);
    let console = launched.console.take();
    let equipped =
        life.saved().and_then(|()| Equipment::take(&run, console, (listeners, opened), &signals));
    let equipment = match equipped {
        Ok(equipment) => equipment,
        Err(error) => {
            _ = sweep(&cgroup);
            return Err(abort(life, error));
        }
    };
    let ephemeral = run.spec.ephemeral;
    let mut watch = assemble(run, launched, (life, hierarchies, cgroup), equipment);
    ready();
    sys::give_back_free_memory();
    let ended = watch_to_the_end(&mut watch, ephemeral);
    ended.map_err(|error| Failure { error, was_ready: true })
}

/// Tells that the start has failed; nothing of it is left but the record.
fn abort(mut life: Life, error: RunError) -> Failure {
    life.failed(error.story());
    life.enter(State::Aborting);
    life.enter(State::Stopping);
    life.enter(State::Stopped);
    error.into()
}

/// Makes this process fit to outlive the command that began it.
fn settle(run: &Run) -> nix::Result<()> {
    const SCORE: &str = "/proc/self/oom_score_adj";
    umask(Mode::from_bits_truncate(0o077));
    seal::name_process()?;
    sys::close_on_exec_from(FIRST_OWN)?;
    if run.foreground {
        return Ok(());
    }
    let score = std::fs::read_to_string(SCORE).unwrap_or_default();
    if score.trim().parse().is_ok_and(|it: i32| it > 0) {
        // Refused without the capability; a supervisor that is killed is cleaned up after.
        _ = std::fs::write(SCORE, "0");
    }
    nix::unistd::chdir("/")
}

fn take_socket(run: &Run) -> Result<Vec<UnixListener>, RunError> {
    listen(&run.lxcpath, &run.name).map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            RunError::Busy
        } else {
            RunError::Listen(error)
        }
    })
}

type Born = (Launched, Hierarchies, Cgroup);

/// Goes into the background if it is to be there, and makes the cgroups and the process. On
/// failure nothing of them is left.
fn bear(
    run: &Run,
    steps: &[plan::Step],
    (life, monitor): (&mut Life, &mut Option<Monitor>),
) -> Result<Born, RunError> {
    let hierarchies = Hierarchies::discover(run.lxcpath.host()).map_err(RunError::Cgroup)?;
    // What runs on a terminal ends with it, and need not outlive the login.
    if !run.foreground {
        *monitor = Monitor::enter(&hierarchies, life)?;
    }
    let name = format!("lxc.payload.{}", run.name);
    let cgroup = Cgroup::create(&hierarchies, &name).map_err(RunError::Cgroup)?;
    // Before any process is in it, so that whoever cleans up after us knows what is ours.
    life.record.cgroup = Some(cgroup.path().to_owned());
    life.record.cgroup_inodes = record::inodes(&cgroup);
    life.save();
    let launched = life.saved().and_then(|()| launch_in(run, steps, &cgroup));
    match launched {
        Ok(launched) => Ok((launched, hierarchies, cgroup)),
        Err(error) => {
            _ = sweep(&cgroup);
            Err(error)
        }
    }
}

fn launch_in(run: &Run, steps: &[plan::Step], cgroup: &Cgroup) -> Result<Launched, RunError> {
    let (v1, v2) = (&run.spec.cgroup_v1, &run.spec.cgroup_v2);
    cgroup.apply(v1, v2).map_err(RunError::Cgroup)?;
    let order = Order {
        steps,
        network: run.spec.network,
        cgroup: Some(cgroup),
        inherit: if run.foreground { viewer::inherited() } else { [false; 3] },
        before_exec: &mut || cgroup.apply_devices(v1, v2).map_err(Into::into),
    };
    launch::launch(order).map_err(RunError::Launch)
}

/// Kills and removes; what resists is left to the next command, which finds it by the record.
/// Tells whether all is gone.
fn sweep(cgroup: &Cgroup) -> bool {
    let killed = cgroup.kill_all(Instant::now() + DYING);
    cgroup.remove().and(killed).is_ok()
}

fn assemble(
    run: Run,
    launched: Launched,
    (life, hierarchies, cgroup): (Life, Hierarchies, Cgroup),
    equipment: Equipment,
) -> Watch {
    let Equipment { console, viewer, server, signals } = equipment;
    let oom = Oom::begin(&cgroup);
    let init = Init {
        pid: launched.pid,
        pidfd: launched.pidfd,
        clone_flags: launched.clone_flags,
        devpts: launched.devpts,
    };
    let desk = Desk {
        life,
        config: run.config,
        init,
        hierarchies,
        cgroup,
        console,
        ttys: Ttys::new(launched.ttys),
        stop_signal: run.spec.signals.stop,
    };
    Watch { desk, server, viewer, signals, oom, halt: run.spec.signals.halt }
}

fn watch_to_the_end(watch: &mut Watch, ephemeral: bool) -> Result<Exit, RunError> {
    watch.fit();
    let watched = watch.run();
    let desk = &mut watch.desk;
    let exit = if watched.is_ok() { reap(desk) } else { Exit::Signal(libc::SIGKILL) };
    // A frozen or half thawed container ends as well.
    desk.life.enter(State::Stopping);
    let swept = sweep(&desk.cgroup);
    desk.life.enter(State::Stopped);
    if ephemeral && swept {
        // Whoever waits for the end is told only now, by the end of the connection.
        let record = &desk.life.record;
        _ = super::Engine::over(desk.life.lxcpath.clone()).destroy_held(&record.name);
    }
    watched.map(|()| exit).map_err(RunError::Watch)
}

/// Collects how init ended.
fn reap(desk: &mut Desk) -> Exit {
    let pid = nix::unistd::Pid::from_raw(desk.init.pid);
    let status = loop {
        match waitpid(pid, Some(WaitPidFlag::__WALL)) {
            Err(Errno::EINTR) => (),
            status => break status,
        }
    };
    let (exit, raw) = match status {
        Ok(WaitStatus::Exited(_, code)) => (Exit::Code(code as u8), code << 8),
        Ok(WaitStatus::Signaled(_, signal, _)) => (Exit::Signal(signal as i32), signal as i32),
        // A signal without a name, or somebody else's child: dead for sure.
        Ok(_) | Err(_) => (Exit::Signal(libc::SIGKILL), libc::SIGKILL),
    };
    desk.life.exited(exit, raw);
    exit
}
