//! The verbs `start` and `execute`: which process becomes the supervisor, and with what request.
//!
//! In the background, a separate program supervises (`wharf supervise`), so that a screen with
//! threads never forks; it answers on its standard output with one line. In the foreground the
//! calling process supervises itself.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};

use crate::engine::config::{self, Config, Template};
use crate::engine::entry::plan::Payload;
use crate::engine::entry::seal;
use crate::engine::host::identity::{self, Identity};
use crate::engine::running::command_socket::Client;
pub use crate::engine::running::order::Start;
use crate::engine::running::record::Record;
use crate::engine::running::supervisor::{self, Run};
use crate::engine::store::Store;
use crate::engine::terms::progress::Progress;
use crate::engine::terms::spec::Spec;
use crate::engine::terms::state::State;
use crate::engine::verbs::create::Create;
use crate::engine::verbs::privilege;
use crate::engine::{Engine, Error, ErrorKind, Exit, Name, Verb, sys};

/// The verb by which this program becomes a supervisor.
pub const SUPERVISE: &str = "supervise";

/// How often to look whether a start was cancelled, in milliseconds.
const LOOK_MS: u8 = 100;
/// How long a container whose start was cancelled may take to end once it is killed.
const ENDING: Duration = Duration::from_secs(15);

/// What the supervisor in the background reports about its start.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    Runs,
    Failed { kind: ErrorKind, reason: String },
}

/// Why the result of a start is unknown.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("run its supervisor")]
    Spawn(#[source] io::Error),
    #[error("cancelled")]
    Cancelled,
    #[error("cancelled, but it runs already and has not ended; `wharf stop -k` ends it")]
    Runs,
    #[error("its supervisor died without a report ({0})")]
    Silent(ExitStatus),
}

/// What runs on this terminal, and how long it may.
#[derive(Clone, Copy, Debug)]
struct Foreground {
    payload: Payload,
    limit: Option<Duration>,
}

/// Refuses a start that this process would not survive.
fn survive(verb: Verb, name: &Name) -> Result<(), Error> {
    privilege::deadly().map_or(Ok(()), |why| Err(Error::new(verb, name, ErrorKind::Denied, why)))
}

impl Engine {
    /// Starts the container in the background and returns once it runs (its init was executed).
    /// Safe to call from a process with threads: the supervisor is a separate program.
    pub fn start(&self, name: &Name, start: &Start) -> Result<(), Error> {
        self.start_watched(name, start, &Progress::default())
    }

    /// The same, and has the supervisor give it up when it is cancelled.
    pub fn start_watched(
        &self,
        name: &Name,
        start: &Start,
        progress: &Progress,
    ) -> Result<(), Error> {
        survive(Verb::Start, name)?;
        let fail = |source: io::Error| Error::new(Verb::Start, name, ErrorKind::Failed, source);
        let mut order = start.clone();
        // The supervisor has another directory; templates are the same everywhere.
        let file = start.config.as_deref().filter(|it| Template::named(it).is_none());
        let file = file.map(std::path::absolute).transpose().map_err(fail)?;
        order.config = file.or_else(|| start.config.clone());
        let order = serde_json::to_vec(&order).map_err(|it| fail(it.into()))?;
        let sealed = seal::Sealed::new();
        let mut command = Command::new(sealed.path());
        command.arg0("wharf").arg(SUPERVISE).arg(self.lxcpath.dir()).arg(name.as_str());
        command.arg(self.lxcpath.given());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|source| {
            Error::new(Verb::Start, name, ErrorKind::Failed, StartError::Spawn(source))
        })?;
        if let Some(mut input) = child.stdin.take() {
            // One that dies before it has read all returns an empty report.
            _ = input.write_all(&order);
        }
        let (line, asked) = self.report_of(name, &mut child, progress).map_err(fail)?;
        let end = child.wait().map_err(fail)?;
        match serde_json::from_str(&line) {
            Ok(Report::Failed { kind, reason }) => Err(Error::new(Verb::Start, name, kind, reason)),
            // It may have begun to run before it was asked to end, which it does then.
            Ok(Report::Runs) | Err(_) if asked => Err(self.end_cancelled(name)),
            Ok(Report::Runs) => Ok(()),
            // A lost report does not undo a start.
            Err(_) if self.still_runs(name) => Ok(()),
            Err(_) => {
                Err(Error::new(Verb::Start, name, ErrorKind::Failed, StartError::Silent(end)))
            }
        }
    }

    /// Becomes the supervisor that [`Engine::start`] asked for: leaves the caller's session, reads
    /// its request from the standard input and reports on the standard output it was given, and
    /// returns when the container has ended. Only for the hidden verb [`SUPERVISE`].
    pub fn supervise(&self, name: &Name) -> Result<Exit, Error> {
        let fail = |source| Error::new(Verb::Start, name, ErrorKind::Failed, source);
        let start: Start = serde_json::from_reader(io::stdin()).map_err(|it| fail(it.into()))?;
        let mut report = Some(detach().map_err(|errno| fail(io::Error::from(errno)))?);
        let ended = self.load(Verb::Start, name, &start).and_then(|(config, spec)| {
            let payload = Payload::System;
            let (name, lxcpath) = (name.clone(), self.lxcpath.clone());
            let (foreground, limit) = (false, None);
            let run = Run { name, lxcpath, config, spec, payload, start, foreground, limit };
            self.run(run, &mut || send_report(&mut report, &Report::Runs))
        });
        let ended = ended.map_err(|it| self.explain(it));
        if let Err(error) = &ended {
            send_report(&mut report, &Report::Failed { kind: error.kind, reason: error.reason() });
        }
        ended
    }

    /// Runs the container in the foreground of this single-threaded process, on its terminal,
    /// and returns how init ended (`start -F`).
    pub fn start_foreground(&self, name: &Name, start: &Start) -> Result<Exit, Error> {
        survive(Verb::Start, name)?;
        seal::reexec();
        self.in_foreground(
            Verb::Start,
            name,
            start,
            Foreground { payload: Payload::System, limit: None },
        )
    }

    /// Runs a command under wharf's own init as pid 1, creating and destroying the container on
    /// the way if it is not defined, and returns how the command ended. Single-threaded callers.
    /// A command that runs longer than `limit` is ended, and that is an error.
    pub fn execute(
        &self,
        name: &Name,
        start: &Start,
        limit: Option<Duration>,
    ) -> Result<Exit, Error> {
        survive(Verb::Execute, name)?;
        seal::reexec();
        let store = Store::new(&self.lxcpath);
        // One that is there is started like every other; the leftovers of all are looked for only by
        // what makes or removes a container.
        if !store.exists(name) {
            self.tidy();
        }
        // It may be back, from a change of its name that was killed.
        let undefined = start.config.is_none() && !store.exists(name);
        let start = &self.with_command(name, start, undefined)?;
        if undefined {
            // So that a clean-up after a killed run knows that it is temporary.
            let settings = vec![("lxc.ephemeral".to_owned(), "1".to_owned())];
            self.create(name, &Create { settings, ..Create::default() })?;
        }
        let how = Foreground { payload: Payload::Application, limit };
        let ended = self.in_foreground(Verb::Execute, name, start, how);
        let Err(error) = ended else { return ended };
        if !undefined {
            return Err(error);
        }
        // Already gone, unless the run failed before it began.
        match self.destroy(name) {
            Err(left) if left.kind != ErrorKind::NotFound => {
                let reason = format!("{}; and {left:#}", error.reason());
                Err(Error::new(Verb::Execute, name, error.kind, reason))
            }
            Ok(()) | Err(_) => Err(error),
        }
    }

    /// Runs a command under wharf's own init in the background, and returns once that runs. The
    /// container must be defined, or the request name a configuration file. Safe to call from a
    /// process with threads.
    pub fn execute_in_background(&self, name: &Name, start: &Start) -> Result<(), Error> {
        let start = self.with_command(name, start, false)?;
        let started = self.start(name, &Start { tended: true, ..start });
        started.map_err(|error| Error { verb: Verb::Execute, ..error })
    }

    /// Completes a request without a command by `lxc.execute.cmd`.
    fn with_command(&self, name: &Name, start: &Start, undefined: bool) -> Result<Start, Error> {
        const NO_COMMAND: &str = "no command given, and its configuration has no lxc.execute.cmd";
        if !start.argv.is_empty() {
            return Ok(start.clone());
        }
        let failed =
            |why: &str| Error::new(Verb::Execute, name, ErrorKind::Invalid, why.to_owned());
        if undefined {
            return Err(failed("no command given; it goes after `--`"));
        }
        let file = start.config.as_deref();
        let config = config::load(name, &self.lxcpath, file, &start.settings)
            .map_err(|errors| Error::new(Verb::Execute, name, ErrorKind::Invalid, errors))?;
        let command = config.get("lxc.execute.cmd").filter(|it| !it.is_empty());
        let argv = command.and_then(|it| config::command_words(&it).ok());
        let argv = argv.ok_or_else(|| failed(NO_COMMAND))?;
        Ok(Start { argv, ..start.clone() })
    }

    /// Reads what `start` orders, if this process may carry it out.
    fn load(&self, verb: Verb, name: &Name, start: &Start) -> Result<(Config, Spec), Error> {
        let denied = |why| Error::new(verb, name, ErrorKind::Denied, why);
        let (config, spec) = match privilege::missing() {
            Some(why) => return Err(denied(why)),
            None => start.load(verb, &self.lxcpath, name)?,
        };
        match privilege::missing_for(self.lxcpath.host(), &config, &spec) {
            Some(why) => Err(denied(why)),
            None => Ok((config, spec)),
        }
    }

    fn in_foreground(
        &self,
        verb: Verb,
        name: &Name,
        start: &Start,
        how: Foreground,
    ) -> Result<Exit, Error> {
        let Foreground { payload, limit } = how;
        let (config, spec) = self.load(verb, name, start)?;
        let (name, lxcpath) = (name.clone(), self.lxcpath.clone());
        let (start, foreground) = (start.clone(), true);
        let run = Run { name, lxcpath, config, spec, payload, start, foreground, limit };
        self.run(run, &mut || ()).map_err(|error| Error { verb, ..error })
    }

    /// Runs the container to its end in this process. An ephemeral one goes even if that fails.
    fn run(&self, run: Run, ready: &mut dyn FnMut()) -> Result<Exit, Error> {
        let (name, destroy) = (run.name.clone(), run.spec.ephemeral);
        let ended = supervisor::run(run, ready);
        if destroy && ended.is_err() {
            // The run's own outcome matters more than a failed removal.
            _ = self.destroy(&name);
        }
        ended
    }

    /// Reads what a supervisor reports about its start. It is asked to end when that is cancelled;
    /// returns whether it was.
    fn report_of(
        &self,
        name: &Name,
        child: &mut Child,
        progress: &Progress,
    ) -> io::Result<(String, bool)> {
        let mut line = String::new();
        let Some(mut output) = child.stdout.take() else { return Ok((line, false)) };
        let mut asked = None;
        loop {
            match poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], LOOK_MS) {
                Ok(0) | Err(Errno::EINTR) => (),
                Ok(_) => break,
                Err(errno) => return Err(errno.into()),
            }
            if progress.is_cancelled() {
                asked = self.end_start(name, child, asked);
            }
        }
        output.read_to_string(&mut line)?;
        Ok((line, asked.is_some()))
    }

    /// Ends a container at once whose start was cancelled, if it runs in spite of that.
    fn end_cancelled(&self, name: &Name) -> Error {
        let host = self.lxcpath.host();
        let record = Record::read(&self.lxcpath, name);
        let held = record.as_ref().and_then(|it| it.supervisor.hold(host));
        if let Some(supervisor) = &held {
            // First, or it would start a container again that is to outlive its init.
            _ = sys::pidfd_send_signal(supervisor.as_fd(), libc::SIGTERM);
            if let Some(init) = record.and_then(|it| it.init).and_then(|it| it.hold(host)) {
                _ = sys::pidfd_send_signal(init.as_fd(), libc::SIGKILL);
            }
        }
        let ended = held.is_none_or(|it| identity::has_ended(it.as_fd(), ENDING).unwrap_or(false));
        let why = if ended { StartError::Cancelled } else { StartError::Runs };
        Error::new(Verb::Start, name, ErrorKind::Failed, why)
    }

    /// Asks the supervisor that is starting the container to give up, and returns which one that is: it
    /// may go into the background at that moment, and is another then. Each is `asked` once, since the
    /// next signal could end it before it has cleaned up.
    fn end_start(&self, name: &Name, child: &Child, asked: Option<Identity>) -> Option<Identity> {
        let host = self.lxcpath.host();
        let record = Record::read(&self.lxcpath, name).filter(|it| it.is_live(host));
        let recorded = record.map(|it| it.supervisor);
        let own = recorded.or_else(|| Identity::of(host, child.id().cast_signed()));
        if let Some(held) = own.filter(|_| own != asked).and_then(|it| it.hold(host)) {
            // It may have ended.
            _ = sys::pidfd_send_signal(held.as_fd(), libc::SIGTERM);
        }
        own
    }

    /// Asks the supervisor. The record may name one that was just killed and is still exiting; one
    /// that answers was not killed.
    fn still_runs(&self, name: &Name) -> bool {
        let client = Client::connect(&self.lxcpath, name).ok().flatten();
        client.is_some_and(|it| it.state().is_ok_and(|it| it == State::Running))
    }
}

/// Leaves the caller's session, terminal, directory and descriptors; returns the report pipe, which
/// was the standard output. The supervisor goes into the background later, once its cgroup is
/// known.
fn detach() -> nix::Result<OwnedFd> {
    use nix::fcntl::{OFlag, open};
    use nix::sys::stat::{Mode, umask};
    use nix::unistd;
    let report =
        nix::fcntl::fcntl(io::stdout(), nix::fcntl::F_DUPFD_CLOEXEC(3)).map(sys::own_fd)?;
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    unistd::dup2_stdin(&null)?;
    unistd::dup2_stdout(&null)?;
    unistd::dup2_stderr(&null)?;
    drop(null);
    sys::close_all_but([report.as_fd()]);
    unistd::setsid()?;
    unistd::chdir("/")?;
    umask(Mode::from_bits_truncate(0o077));
    Ok(report)
}

/// Sends the one report and closes the pipe.
fn send_report(pipe: &mut Option<OwnedFd>, report: &Report) {
    let Some(pipe) = pipe.take() else { return };
    let line = serde_json::to_string(report).unwrap_or_default();
    // The caller may be gone; the container keeps running.
    _ = std::fs::File::from(pipe).write_all(line.as_bytes());
}
