//! The read-only verbs `ls`, `info` and `ps`, and signalling a process from their results.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};

use crate::engine::cgroup::{Cgroup, Hierarchies};
use crate::engine::host::identity::Identity;
use crate::engine::running::command_socket::{Client, ConsoleLog, SocketError, Stranger};
use crate::engine::running::event::{self, What};
use crate::engine::running::record::{self, Record, last_words};
use crate::engine::seen::process::Process;
use crate::engine::seen::sample::{Container, Detail, HIDDEN, Inhabitants, Sample, Unmanaged};
use crate::engine::seen::sampler::{DetailInterest, Interest, Sampler, unmanaged};
use crate::engine::store::{Store, no_such};
use crate::engine::{Engine, Error, ErrorKind, Host, Name, State, Verb, sys};

/// Why a process cannot be signalled.
#[derive(Debug, thiserror::Error)]
enum SignalError {
    #[error("process {0} has ended")]
    Ended(i32),
    #[error("process {0} is not in the container")]
    Elsewhere(i32),
    #[error("signal {signal} to process {pid}")]
    Send { pid: i32, signal: i32, source: Errno },
}

impl Engine {
    /// Lists every container that is defined or runs under the lxcpath, with its state, sorted by
    /// name. Cheap: no counters.
    pub fn list(&self) -> Result<Vec<(Name, State)>, Error> {
        let (states, trouble) = Sampler::once(self, None).states();
        match trouble {
            Some(why) if states.is_empty() => {
                Err(Error::new(Verb::List, self.lxcpath().display(), ErrorKind::Failed, why))
            }
            _ => Ok(states),
        }
    }

    /// Takes one sample of what is of `interest`: a single one has no rates.
    pub fn look(&self, interest: &Interest) -> Result<Sample, Error> {
        let sample = Sampler::once(self, None).sample(interest);
        match sample.trouble {
            Some(why) if sample.containers.is_empty() => {
                Err(Error::new(Verb::List, self.lxcpath().display(), ErrorKind::Failed, why))
            }
            _ => Ok(sample),
        }
    }

    /// Lists the containers that are left to LXC because of their names.
    pub fn unmanaged(&self) -> Result<Vec<Unmanaged>, Error> {
        unmanaged::read(&self.lxcpath)
            .map_err(|why| Error::new(Verb::List, self.lxcpath().display(), ErrorKind::Failed, why))
    }

    /// Returns the state of `name`; a container that does not exist is STOPPED.
    pub fn state(&self, name: &Name) -> Result<State, Error> {
        let (states, _) = Sampler::once(self, Some(name)).states();
        match states.first() {
            Some((_, state)) => Ok(*state),
            None => self.visible(name).map(|()| State::Stopped),
        }
    }

    /// Refuses to report on a container that only other users may be able to see.
    fn visible(&self, name: &Name) -> Result<(), Error> {
        let config = Store::new(&self.lxcpath).config_path(name);
        match config.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                let home = self.lxcpath().join(name.as_str());
                let why = format!("permission denied: {}; try again as root", home.display());
                Err(Error::new(Verb::Look, name, ErrorKind::Denied, why))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Returns how long the container will wait for its next start because it keeps restarting
    /// itself; none: it does not wait.
    pub fn restarts_in(&self, name: &Name) -> Option<Duration> {
        let record = Record::read(&self.lxcpath, name).filter(|it| it.is_live(self.lxcpath.host()));
        Some(Duration::from_millis(record?.restart_ms?.saturating_sub(record::now_ms())))
    }

    /// Returns whether the container has a configuration.
    pub fn is_defined(&self, name: &Name) -> bool {
        Store::new(&self.lxcpath).exists(name)
    }

    /// Returns the stranger who holds the container's socket, if there is one.
    pub fn stranger(&self, name: &Name) -> Option<Stranger> {
        match Client::connect(&self.lxcpath, name) {
            Err(SocketError::Stranger(stranger)) => Some(stranger),
            Ok(_) | Err(_) => None,
        }
    }

    /// Returns everything about one container, including its counters and details.
    pub fn info(&self, name: &Name) -> Result<Container, Error> {
        let name_of = name.clone();
        let detail = Some(DetailInterest { name: name_of, processes: true, files: false });
        self.look_at(name, &Interest { detail, ..Interest::in_states() })
    }

    /// Returns its state and what its record says, and nothing for which a file of a group, a process
    /// or a configuration would have to be read.
    pub fn glance(&self, name: &Name) -> Result<Container, Error> {
        self.look_at(name, &Interest::in_states())
    }

    fn look_at(&self, name: &Name, interest: &Interest) -> Result<Container, Error> {
        let mut seen = Sampler::once(self, Some(name)).sample(interest).containers;
        seen.pop().map_or_else(
            || self.visible(name).and_then(|()| Err(self.no_such(Verb::Info, name))),
            Ok,
        )
    }

    /// Returns the error of a verb on a container that is neither defined nor running.
    pub fn no_such(&self, verb: Verb, name: &Name) -> Error {
        Error::new(verb, name, ErrorKind::NotFound, no_such(&self.lxcpath))
    }

    /// Lists the processes of a running container as a forest. A single sample has no rates: CPU
    /// usage is the mean since each process's start, as in ps(1).
    pub fn processes(&self, name: &Name) -> Result<Vec<Process>, Error> {
        let found = Sampler::once(self, Some(name)).inhabitants(std::slice::from_ref(name));
        self.forest(name, found.into_iter().flatten().next())
    }

    /// The same of each of several containers, in one look at all of them.
    pub fn processes_of(&self, names: &[Name]) -> Vec<Result<Vec<Process>, Error>> {
        if let [name] = names {
            return vec![self.processes(name)];
        }
        let found = Sampler::once(self, None).inhabitants(names);
        names.iter().zip(found).map(|(name, found)| self.forest(name, found)).collect()
    }

    fn forest(&self, name: &Name, found: Option<Inhabitants>) -> Result<Vec<Process>, Error> {
        let Some(Inhabitants { state, hidden, mut processes }) = found else {
            return self.visible(name).and_then(|()| Err(self.no_such(Verb::Info, name)));
        };
        if hidden && processes.is_empty() {
            return Err(Error::new(Verb::Processes, name, ErrorKind::Denied, HIDDEN));
        }
        if state == State::Stopped {
            let why = "the container is not running";
            return Err(Error::new(Verb::Processes, name, ErrorKind::NotRunning, why));
        }
        let now = ticks_since_boot();
        for it in &mut processes {
            it.cpu_percent = now.and_then(|now| it.mean_cpu_percent(now));
        }
        Ok(processes)
    }

    /// Returns the latest output of the container's console, or that at the end of its last run.
    /// LXC keeps it only if configured to.
    pub fn console_output(&self, name: &Name) -> Result<Vec<u8>, Error> {
        const VERB: Verb = Verb::ReadConsole;
        let failed = |why| Error::new(VERB, name, ErrorKind::Failed, why);
        let Some(client) = Client::connect(self.lxcpath(), name).map_err(failed)? else {
            return last_words::read(self.lxcpath(), name).ok_or_else(|| {
                Error::new(
                    VERB,
                    name,
                    ErrorKind::NotRunning,
                    "it is stopped, and its console printed nothing",
                )
            });
        };
        match client.console_view() {
            Ok(view) => Ok(view.replay),
            Err(error) if error.is_unknown_command() => match client.console_log() {
                Ok(ConsoleLog::Output(bytes)) => Ok(bytes),
                Ok(ConsoleLog::Off) => {
                    let why = "LXC keeps no console log for it; set lxc.console.buffer.size";
                    Err(Error::new(VERB, name, ErrorKind::Failed, why))
                }
                Err(error) => Err(failed(error)),
            },
            Err(error) => Err(failed(error)),
        }
    }

    /// Passes on what the container's console has printed lately, and then what it prints, until it
    /// stops, `each` returns false, or it was followed as long as `limit`.
    pub fn follow_console(
        &self,
        name: &Name,
        limit: Option<Duration>,
        each: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<(), Error> {
        const VERB: Verb = Verb::ReadConsole;
        let failed = |why| Error::new(VERB, name, ErrorKind::Failed, why);
        let Some(client) = Client::connect(self.lxcpath(), name).map_err(failed)? else {
            let why = "it is not running; without -f the output of its last run is printed";
            return Err(Error::new(VERB, name, ErrorKind::NotRunning, why));
        };
        let view = client.console_view().map_err(|error| {
            if error.is_unknown_command() {
                let why = "LXC runs it, and its supervisor does not let anybody follow; \
                           `wharf console -t 0` shows what comes";
                return Error::new(VERB, name, ErrorKind::Failed, why);
            }
            failed(error)
        })?;
        let mut buffer = [0; 4096];
        let end = limit.and_then(|it| Instant::now().checked_add(it));
        let mut goes_on = each(&view.replay);
        while goes_on && view.has_more(end).map_err(|why| failed(SocketError::Speak(why)))? {
            let count = view.read(&mut buffer).map_err(|why| {
                Error::new(VERB, name, ErrorKind::Failed, format!("read its output: {why}"))
            })?;
            let read = buffer.get(..count).unwrap_or_default();
            goes_on = !read.is_empty() && each(read);
        }
        Ok(())
    }

    /// Sends `signal` to `process` if it is still the same process and still in the container.
    pub fn signal(&self, name: &Name, process: &Process, signal: i32) -> Result<(), Error> {
        const VERB: Verb = Verb::Signal;
        let container = self.info(name)?;
        let Some(detail) = container.detail.filter(|_| container.state != State::Stopped) else {
            return Err(Error::new(
                VERB,
                name,
                ErrorKind::NotRunning,
                "the container is not running",
            ));
        };
        send(self.lxcpath.host(), &detail, process, signal).map_err(|error| {
            let kind = match &error {
                SignalError::Ended(_) | SignalError::Elsewhere(_) => ErrorKind::NotFound,
                SignalError::Send { source: Errno::EPERM, .. } => ErrorKind::Denied,
                SignalError::Send { .. } => ErrorKind::Failed,
            };
            Error::new(VERB, name, kind, error)
        })?;
        event::publish(self.lxcpath(), name, What::Signal { pid: process.pid, signal });
        Ok(())
    }
}

/// Returns the time in the unit of process start times in `/proc`.
fn ticks_since_boot() -> Option<u64> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME).ok()?);
    Some((now.as_secs_f64() * procfs::ticks_per_second() as f64) as u64)
}

/// Opens a pidfd first and then checks that it is the right process, so that its pid cannot be
/// reused in between.
fn send(host: &Host, seen: &Detail, process: &Process, signal: i32) -> Result<(), SignalError> {
    let pid = process.pid;
    let pidfd = sys::pidfd_open(pid).map_err(|_gone| SignalError::Ended(pid))?;
    if Identity::of(host, pid) != Some(process.identity()) {
        return Err(SignalError::Ended(pid));
    }
    let hierarchies = Hierarchies::discover(host).unwrap_or_default();
    let is_inside = match &seen.cgroup {
        Some(cgroup) => Cgroup::open(&hierarchies, cgroup).pids().contains(&pid),
        // Without a group, what descends from its init: no process ceases to.
        None => seen.processes.iter().any(|it| it.identity() == process.identity()),
    };
    if !is_inside {
        return Err(SignalError::Elsewhere(pid));
    }
    sys::pidfd_send_signal(pidfd.as_fd(), signal).map_err(|source| SignalError::Send {
        pid,
        signal,
        source,
    })
}
