//! The verbs `checkpoint` and `restore`: has CRIU save the processes of a running container, and start
//! a container from them. Refuses before anything is touched what CRIU cannot do.

mod target;

use std::path::{Path, PathBuf};
use std::time::Duration;

use target::Target;

use crate::engine::cgroup::{Cgroup, Hierarchies, Layout};
use crate::engine::config::ConfigErrors;
use crate::engine::entry::criu::arguments::{self, Calling, Dumping};
use crate::engine::entry::criu::files::{self, DirError};
use crate::engine::entry::criu::{Criu, CriuError, CriuRun, fit};
use crate::engine::host::identity::Identity;
use crate::engine::running::command_socket::SocketError;
use crate::engine::running::order::{Checkpointed, Start};
use crate::engine::running::record::{Limits, SetLimit, now_ms};
use crate::engine::running::saving::{self, Saving, SavingNote};
use crate::engine::terms::progress::Progress;
use crate::engine::terms::spec::Spec;
use crate::engine::terms::state::State;
use crate::engine::{Engine, Error, ErrorKind, Exit, Name, Verb};

/// How long the supervisor may take to end after CRIU has stopped its container.
const STOPPING: Duration = Duration::from_secs(30);

/// How to save a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where the files go.
    pub dir: PathBuf,
    /// It does not run on.
    pub stop: bool,
    /// Only its memory is saved, so that the checkpoint that follows takes less time.
    pub in_advance: bool,
    /// The directory of what was saved in advance, relative to `dir`.
    pub previous: Option<PathBuf>,
    pub action_script: Option<PathBuf>,
    /// CRIU logs everything it does.
    pub verbose: bool,
    /// How long CRIU may take.
    pub patience: Duration,
}

/// How to start a container from a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restore {
    /// Where the files are.
    pub dir: PathBuf,
    pub action_script: Option<PathBuf>,
    pub verbose: bool,
    /// How long CRIU may take.
    pub patience: Duration,
}

#[derive(Debug, thiserror::Error)]
enum CheckpointError {
    #[error("only root can save and restore processes with CRIU")]
    NotRoot,
    #[error("it is not running")]
    NotRunning,
    #[error("it is {0}")]
    State(State),
    #[error("it is already running")]
    Running,
    #[error("{0}")]
    Unfit(String),
    #[error("lxc.ephemeral is set, and its files would be removed when it stops")]
    Ephemeral,
    #[error(transparent)]
    Socket(SocketError),
    #[error("its cgroup is unknown, by which it is frozen meanwhile")]
    NoGroup,
    #[error("its /dev/console is no terminal")]
    NoTerminal,
    #[error("{0}")]
    Criu(#[from] CriuError),
    #[error("{0}")]
    Dir(#[from] DirError),
    #[error("write into {}", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
    #[error("{0}: {1}")]
    File(PathBuf, #[source] std::io::Error),
    #[error("another checkpoint of it is being made")]
    Busy,
    #[error("note what is done, beside its record")]
    Note(#[source] std::io::Error),
    #[error("{0}")]
    Config(#[source] ConfigErrors),
    #[error("it was saved, and its supervisor has not ended")]
    Stays,
}

impl CheckpointError {
    const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotRoot => ErrorKind::Denied,
            Self::NotRunning | Self::State(_) => ErrorKind::NotRunning,
            Self::Running => ErrorKind::Running,
            Self::Unfit(_) | Self::Ephemeral | Self::NoTerminal => ErrorKind::Invalid,
            Self::Dir(DirError::Full(_)) => ErrorKind::Exists,
            Self::Dir(DirError::Empty(_)) => ErrorKind::NotFound,
            Self::Busy | Self::Dir(DirError::Busy(_)) => ErrorKind::Busy,
            Self::Criu(CriuError::Late(_)) | Self::Stays => ErrorKind::TimedOut,
            Self::Socket(_)
            | Self::NoGroup
            | Self::Criu(_)
            | Self::Dir(_)
            | Self::Write(..)
            | Self::Note(_)
            | Self::Config(_)
            | Self::File(..) => ErrorKind::Failed,
        }
    }
}

impl Engine {
    /// Saves the processes of a running container. It runs on, unless it is to stop; it also runs on
    /// where CRIU fails, or is cancelled, as far as CRIU lets go of it. Can be cancelled.
    pub fn checkpoint(
        &self,
        name: &Name,
        how: &Checkpoint,
        progress: &Progress,
    ) -> Result<(), Error> {
        let failed = |it: CheckpointError| Error::new(Verb::Checkpoint, name, it.kind(), it);
        if !nix::unistd::geteuid().is_root() {
            return Err(failed(CheckpointError::NotRoot));
        }
        self.end_killed_checkpoint(name)?;
        let target = Target::of(self, name).map_err(failed)?;
        let note = self.noted(name).map_err(failed)?;
        self.check(name, how, &target).map_err(failed)?;
        self.save(name, how, (&target, note), progress).map_err(failed)
    }

    /// Lets a container run on that a checkpoint has left frozen, whose command was killed. Refuses while
    /// one is being made.
    pub fn end_killed_checkpoint(&self, name: &Name) -> Result<(), Error> {
        let busy = CheckpointError::Busy;
        let failed = || Err(Error::new(Verb::Checkpoint, name, busy.kind(), busy));
        if saving::settle_if_free(&self.lxcpath, name) { Ok(()) } else { failed() }
    }

    /// Sees to it that nobody else saves it.
    fn noted(&self, name: &Name) -> Result<SavingNote, CheckpointError> {
        let taken = SavingNote::take(&self.lxcpath, name).map_err(CheckpointError::Note)?;
        let mut note = taken.ok_or(CheckpointError::Busy)?;
        if note.settle(self.lxcpath.host()) { Ok(note) } else { Err(CheckpointError::Busy) }
    }

    /// Refuses what CRIU cannot save.
    fn check(&self, name: &Name, how: &Checkpoint, target: &Target) -> Result<(), CheckpointError> {
        if let Some(why) = fit::refusal(&target.spec) {
            // The file has the same line, and its number.
            let file = Start::default().read(Verb::Checkpoint, &self.lxcpath, name).ok();
            let placed = file.and_then(|(_, spec)| fit::refusal(&spec));
            let of_it = |it: &String| it.split(',').next() == why.split(',').next();
            return Err(CheckpointError::Unfit(placed.filter(of_it).unwrap_or(why)));
        }
        if how.stop && target.spec.ephemeral {
            return Err(CheckpointError::Ephemeral);
        }
        Ok(())
    }

    fn save(
        &self,
        name: &Name,
        how: &Checkpoint,
        (target, mut note): (&Target, SavingNote),
        progress: &Progress,
    ) -> Result<(), CheckpointError> {
        let action_script = how.action_script.as_deref().map(files::script).transpose()?;
        let console = target.console()?;
        progress.begin("checking", 0);
        let criu = Criu::find_working(progress)?;
        let (dir, _lock) = files::to_write(&how.dir)?;
        if let Some(previous) = &how.previous {
            files::check_previous(&dir, previous)?;
        }
        let calling = Calling {
            spec: &target.spec,
            dir: &dir,
            cgroup: &target.cgroup,
            verbose: how.verbose,
            action_script: action_script.as_deref(),
        };
        let arguments = arguments::dump(
            &calling,
            &Dumping {
                in_advance: how.in_advance,
                init: target.init.pid,
                freezer: target.cgroup.frozen_by().unwrap_or_else(|| Path::new("/")),
                console: console.as_deref(),
                previous: how.previous.as_deref(),
                stop: how.stop,
            },
        );
        let mut saving = Saving {
            criu: None,
            init: target.init,
            group: target.cgroup.path().clone(),
            dir: dir.clone(),
            stop: how.stop && !how.in_advance,
            until_ms: now_ms().saturating_add(how.patience.as_millis() as u64),
        };
        note.write(&saving).map_err(CheckpointError::Note)?;
        let log = arguments::log_of(&dir, arguments::act_of(how.in_advance));
        let run = CriuRun { arguments: &arguments, log: &log, patience: how.patience, progress };
        progress.begin("saving", 0);
        let saved = self.beside(name, &dir, target, console.as_deref()).and_then(|()| {
            let host = self.lxcpath.host();
            let begun = &mut |pid| {
                saving.criu = Identity::of(host, pid);
                // Without free space a killed command leaves CRIU to itself.
                _ = note.write(&saving);
            };
            Ok(criu.run(run, begun)?)
        });
        if saved.is_err() {
            saving.undo(self.lxcpath.host(), target.network.as_ref());
        } else if saving.stop
            && !self.wait(name, &[State::Stopped], Some(STOPPING)).unwrap_or(false)
        {
            return Err(CheckpointError::Stays);
        }
        note.clear().map_err(CheckpointError::Note)?;
        saved
    }

    /// Writes what is not CRIU's.
    fn beside(
        &self,
        name: &Name,
        dir: &Path,
        target: &Target,
        console: Option<&str>,
    ) -> Result<(), CheckpointError> {
        let write = |error| CheckpointError::Write(dir.to_path_buf(), error);
        if let Some(tty) = console {
            files::write_console(dir, tty).map_err(write)?;
        }
        let limits = self.limits_of(name, &target.cgroup, &target.spec);
        files::write_limits(dir, &limits).map_err(write)
    }

    /// Lists what is limited otherwise than its configuration says, as lines of one for this host.
    fn limits_of(&self, name: &Name, cgroup: &Cgroup, spec: &Spec) -> Vec<(String, String)> {
        let all = Hierarchies::discover(self.lxcpath.host()).unwrap_or_default();
        let prefix = if all.layout() == Some(Layout::V2) { "lxc.cgroup2" } else { "lxc.cgroup" };
        // One of LXC's has none on record.
        let limits = Limits::read(&self.lxcpath, name, cgroup).unwrap_or_default();
        let configured = cgroup.meant(&spec.cgroup_v1, &spec.cgroup_v2);
        let is_new = |it: &&SetLimit| {
            !configured
                .iter()
                .any(|(known, _)| known.value.file == it.file && known.value.value == it.set)
        };
        let line = |it: &SetLimit| (format!("{prefix}.{}", it.file), it.set.clone());
        limits.each().filter(is_new).map(line).collect()
    }

    /// Starts the container in the background from a checkpoint, and returns once its processes run.
    /// Cancelled, it leaves nothing. Safe to call from a process with threads, as [`Engine::start`].
    pub fn restore(
        &self,
        name: &Name,
        start: &Start,
        how: &Restore,
        progress: &Progress,
    ) -> Result<(), Error> {
        progress.begin("checking", 0);
        let order = self.restoring(name, start, how, progress)?;
        progress.begin("restoring", 0);
        let restored = self.start_watched(name, &order, progress);
        restored.map_err(|error| Error { verb: Verb::Restore, ..error })
    }

    /// The same in the foreground, until it ends. Single-threaded callers.
    pub fn restore_foreground(
        &self,
        name: &Name,
        start: &Start,
        how: &Restore,
    ) -> Result<Exit, Error> {
        let order = self.restoring(name, start, how, &Progress::default())?;
        let ended = self.start_foreground(name, &order);
        ended.map_err(|error| Error { verb: Verb::Restore, ..error })
    }

    /// Checks everything that can be known before, and completes the order.
    fn restoring(
        &self,
        name: &Name,
        start: &Start,
        how: &Restore,
        progress: &Progress,
    ) -> Result<Start, Error> {
        let failed = |it: CheckpointError| Error::new(Verb::Restore, name, it.kind(), it);
        if !nix::unistd::geteuid().is_root() {
            return Err(failed(CheckpointError::NotRoot));
        }
        _ = saving::settle_if_free(&self.lxcpath, name);
        if self.state(name)?.is_active() {
            return Err(failed(CheckpointError::Running));
        }
        let (_, spec) = start.read(Verb::Restore, &self.lxcpath, name)?;
        let from = checked(&spec, how, progress).map_err(failed)?;
        Ok(Start { from: Some(from), ..start.clone() })
    }
}

fn checked(
    spec: &Spec,
    how: &Restore,
    progress: &Progress,
) -> Result<Checkpointed, CheckpointError> {
    if let Some(why) = fit::refusal(spec) {
        return Err(CheckpointError::Unfit(why));
    }
    let dir = files::to_read(&how.dir)?;
    let action_script = how.action_script.as_deref().map(files::script).transpose()?;
    let criu = Criu::find_working(progress)?;
    let limits = files::read_limits(&dir);
    let (verbose, patience) = (how.verbose, how.patience);
    Ok(Checkpointed { dir, limits, verbose, action_script, patience, criu })
}
