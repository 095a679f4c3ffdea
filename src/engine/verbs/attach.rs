//! The verb `attach`: runs a command inside a running container, on a pty of its own.
//!
//! The command gets the cgroups, namespaces, root, capability bounds, AppArmor and seccomp profiles
//! and no_new_privs of the container's init. It enters by a plan like that of a start.

mod access;
mod shell;
mod target;

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use crate::engine::entry::launch::{self, Entered, LaunchError, Visit};
use crate::engine::entry::plan::{self, Entering, Program};
use crate::engine::entry::relay::{self, RelayEnd, RelayOrder, RelaySignals};
use crate::engine::entry::seal;
use crate::engine::running::delegation;
use crate::engine::sys;
use crate::engine::terms::id::Id;
use crate::engine::terms::space::Space;
use crate::engine::verbs::privilege;
use crate::engine::{Engine, Error, ErrorKind, Exit, Name, Verb};
pub use access::{AttachAccess, CallersOwn, ShownMachine};
pub(super) use target::{AttachTarget, TargetError};

/// What to run inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attach {
    /// Empty: the login shell of the user inside, else `/bin/sh`.
    pub argv: Vec<String>,
    pub uid: Option<Id>,
    pub gid: Option<Id>,
    /// `-v NAME=VALUE`.
    pub environment: Vec<(String, String)>,
    /// `--clear-env`.
    pub clear_environment: bool,
    /// Variables that are not passed on.
    pub without: Vec<String>,
    /// No HOME and no TERM but those passed on, configured or requested.
    pub bare: bool,
    /// Where to run it, if that can be entered; else, and without, in the root directory.
    pub cwd: Option<PathBuf>,
    /// What it has of the container, if not all.
    pub access: AttachAccess,
    /// A file to which its terminal's output is added.
    pub pty_log: Option<PathBuf>,
    /// How long the command may run before it is ended, which is an error.
    pub limit: Option<Duration>,
}

/// Why the command could not be run inside.
#[derive(Debug, thiserror::Error)]
enum AttachError {
    #[error("{0}")]
    Target(#[from] TargetError),
    #[error("it is frozen, and would not run the command; `wharf unfreeze {0}` thaws it")]
    Frozen(Name),
    #[error("{0}")]
    Launch(#[from] LaunchError),
    #[error("{0}")]
    Plan(#[from] plan::PlanError),
    #[error("relay the terminal")]
    Relay(#[from] io::Error),
    #[error("take the signals")]
    Signals(#[source] Errno),
    #[error("wait for the command")]
    Wait(#[source] Errno),
    #[error("open {} for the output of the terminal", path.display())]
    Log { path: PathBuf, source: io::Error },
    #[error("open the root directory")]
    Root(#[source] io::Error),
    #[error("its command ran longer than {} s and was ended", .0.as_secs_f64())]
    Late(Duration),
}

impl AttachError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Target(error) => error.kind(),
            Self::Launch(error) => error.kind(),
            Self::Frozen(_) => ErrorKind::Busy,
            Self::Relay(_)
            | Self::Signals(_)
            | Self::Wait(_)
            | Self::Log { .. }
            | Self::Root(_) => ErrorKind::Failed,
            Self::Plan(_) => ErrorKind::Invalid,
            Self::Late(_) => ErrorKind::TimedOut,
        }
    }
}

/// Executes this program anew from a copy that no container can change, unless it has been already.
/// Whoever does other things before it enters a container calls this first: they would be done
/// twice. Does nothing where that would kill this process, which is refused later with the reason.
pub fn seal() {
    if privilege::deadly().is_none() {
        seal::reexec();
    }
}

impl Engine {
    /// Runs the command and relays this process's terminal (or pipes) to it until it ends. The
    /// caller must be single-threaded, since this forks.
    pub fn attach(&self, name: &Name, attach: &Attach) -> Result<Exit, Error> {
        if let Some(why) = privilege::deadly() {
            return Err(Error::new(Verb::Attach, name, ErrorKind::Denied, why));
        }
        seal::reexec();
        self.attach_sealed(name, attach)
            .map_err(|error| Error::new(Verb::Attach, name, error.kind(), error))
    }

    fn attach_sealed(&self, name: &Name, attach: &Attach) -> Result<Exit, AttachError> {
        let mut target = AttachTarget::find(&self.lxcpath, name)?;
        if target.is_frozen() {
            return Err(AttachError::Frozen(name.clone()));
        }
        target.restrict(&attach.access)?;
        let root = root(&target, &attach.access)?;
        // A terminal of the operator is never passed to a container; a pty replaces it.
        let inherit =
            [!io::stdin().is_terminal(), !io::stdout().is_terminal(), !io::stderr().is_terminal()];
        let uid = attach.uid.unwrap_or_default().number();
        let gid = attach.gid.unwrap_or_default().number();
        let variables = variables(attach, &target.environment, uid);
        let program = if attach.argv.is_empty() {
            Program::new(&[shell::of(root.as_fd(), uid)], &variables)?
        } else {
            Program::new(&attach.argv, &variables)?
        };
        let steps = plan::enter(Entering {
            init: target.pid,
            namespaces: target.namespaces,
            files: attach.access.files(),
            owner: target.owner(uid, gid),
            capabilities: target.bounding,
            label: target.label.clone(),
            no_new_privs: target.no_new_privs,
            filter: target.filter.clone(),
            personality: target.personality,
            limits: target.limits.clone(),
            uid,
            gid,
            pty: inherit.contains(&false),
            size: relay::window_size(),
            cwd: attach.cwd.clone(),
            program,
        })?;
        if target.cgroup().is_some_and(|it| !it.dirs().is_empty()) {
            delegation::seek(self.lxcpath.host(), &format!("wharf: attach to {name}"));
        }
        let log = attach.pty_log.as_deref().map(open_log).transpose()?;
        let mut signals = None;
        let Entered { pidfd, pty } = launch::enter(Visit {
            steps: &steps,
            door: target.door(root.as_fd()),
            cgroup: target.cgroup(),
            inherit,
            // Not earlier, so that signals can end a wait for nothing; and not later, so that none
            // is lost.
            before_exec: &mut || {
                signals = Some(RelaySignals::block()?);
                Ok(())
            },
        })?;
        // Entered only after they were blocked.
        let signals = signals.map_or_else(RelaySignals::block, Ok).map_err(AttachError::Signals)?;
        let order = RelayOrder { limit: attach.limit, log };
        end_of(relay::until_end(pty, pidfd.as_fd(), signals, order)?, pidfd.as_fd(), attach.limit)
    }
}

/// Opens the root directory that the command will have.
fn root(target: &AttachTarget, access: &AttachAccess) -> Result<OwnedFd, AttachError> {
    if access.enters(Space::Mnt) {
        Ok(target.root()?)
    } else {
        Ok(File::open("/").map_err(AttachError::Root)?.into())
    }
}

/// Returns how the command ended that the relay has served.
fn end_of(
    relayed: RelayEnd,
    pidfd: BorrowedFd<'_>,
    limit: Option<Duration>,
) -> Result<Exit, AttachError> {
    match relayed {
        RelayEnd::Command => {
            let status = sys::wait_for(pidfd).map_err(AttachError::Wait)?;
            Ok(Exit::from_wait_status(status))
        }
        RelayEnd::HungUp => Ok(Exit::Signal(libc::SIGHUP)),
        RelayEnd::Late => Err(AttachError::Late(limit.unwrap_or_default())),
    }
}

/// Opens the file for the output of a terminal, as LXC does.
fn open_log(path: &Path) -> Result<File, AttachError> {
    let mut options = File::options();
    let opened = options.append(true).create(true).mode(0o600).open(path);
    opened.map_err(|source| AttachError::Log { path: path.to_path_buf(), source })
}

/// Returns the variables of the command: those requested, then those configured, then this
/// process's own if they are passed on, in this order of precedence.
fn variables(attach: &Attach, configured: &[(String, String)], uid: u32) -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = Vec::new();
    if !attach.clear_environment {
        variables.extend(
            std::env::vars_os().filter_map(|(key, value)| {
                Some((key.into_string().ok()?, value.into_string().ok()?))
            }),
        );
        variables.retain(|(key, _)| key != "container" && !attach.without.contains(key));
    }
    for (key, value) in configured.iter().chain(&attach.environment) {
        variables.retain(|(other, _)| other != key);
        variables.push((key.clone(), value.clone()));
    }
    let mut all = plan::environment(&variables, uid, std::env::var("TERM").ok().as_deref());
    if attach.bare {
        let given = |key: &String| variables.iter().any(|(other, _)| other == key);
        all.retain(|(key, _)| !matches!(key.as_str(), "HOME" | "TERM") || given(key));
    }
    all
}
