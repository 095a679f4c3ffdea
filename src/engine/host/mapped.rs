//! Work on the files of a container's users for an ordinary user: another process of this program
//! becomes root of a user namespace in which those users are, and the user as well, as LXC's
//! lxc-usernsexec does. It can change nothing that belongs to others.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, getegid, geteuid, setgroups, setresgid, setresuid};
use serde::{Deserialize, Serialize};

use super::identity;
use super::subids::SubIds;
use crate::engine::sys;
use crate::engine::terms::error::words;
use crate::engine::terms::idmap::{IdKind, IdMap};
use crate::engine::terms::progress::Progress;

/// The hidden verb by which this program is run for it.
pub const MAPPED: &str = "mapped";
/// How often to check whether it was cancelled.
const LOOK_MS: u16 = 100;
const READY: &str = "ready\n";
/// How long it may take to end what it runs.
const GRACE: Duration = Duration::from_secs(10);

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) enum MappedJob {
    /// Removes a directory of an lxcpath.
    Remove { lxcpath: PathBuf, name: String, removes: Removes },
    /// Gives a container's directory another parent.
    Move { from: PathBuf, to: PathBuf },
    /// Unpacks an image into the empty directory `root`.
    Unpack { from: PathBuf, tag: Option<String>, root: PathBuf, spare: PathBuf },
    /// Copies a root, and gives it the host name `name`.
    Copy { from: PathBuf, to: PathBuf, name: Option<String> },
    /// Makes the directories of a copy's overlay.
    Lay(NewOverlay),
    /// Gives a root the host name `name`.
    Hostname { root: PathBuf, name: String },
    /// Has an LXC template fill the directory of a container.
    Fill { program: PathBuf, dir: PathBuf, name: String, args: Vec<String> },
    /// Runs a line of the shell for so many seconds at most.
    Run { line: String, environment: Vec<(String, String)>, seconds: u64 },
}

impl MappedJob {
    const fn runs_programs(&self) -> bool {
        match self {
            Self::Fill { .. } | Self::Run { .. } => true,
            Self::Remove { .. }
            | Self::Move { .. }
            | Self::Unpack { .. }
            | Self::Copy { .. }
            | Self::Lay(_)
            | Self::Hostname { .. } => false,
        }
    }
}

/// The overlay of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct NewOverlay {
    /// Where its own directories are made.
    pub(in crate::engine) dir: PathBuf,
    /// The first of the layers below.
    pub(in crate::engine) top: PathBuf,
    /// What was changed in what is copied.
    pub(in crate::engine) upper: Option<PathBuf>,
    /// The host name that it gets.
    pub(in crate::engine) name: Option<String>,
}

/// Who does it: the numbers that the user of the command has among the container's users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct MappedUser {
    pub(in crate::engine) uid: u32,
    pub(in crate::engine) gid: u32,
}

/// What a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) enum Removes {
    Container,
    Draft,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct MappedDone {
    pub(in crate::engine) settings: Vec<(String, String)>,
    pub(in crate::engine) notes: Vec<String>,
}

/// Has `job` done as root of `map`, or of everything that the user has; says why it was not.
pub(in crate::engine) fn run(
    map: Option<IdMap>,
    job: &MappedJob,
    progress: &Progress,
) -> Result<MappedDone, String> {
    let ours = SubIds::ours();
    let map = ours.with_user(map.unwrap_or_else(|| ours.whole()));
    let mut command = Command::new("/proc/self/exe");
    command.arg0("wharf").arg(MAPPED);
    // A terminal's interrupt is for the command that waits for it, and says what became of it.
    command.process_group(0);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| words(&error))?;
    let answer = converse(&mut child, &map, job, progress);
    if answer.is_err() {
        // Its orders have ended, at which it ends what it runs. It may have ended itself, too.
        let pidfd = sys::pidfd_open(child.id() as i32).ok().filter(|_| job.runs_programs());
        _ = pidfd.map(|it| identity::has_ended(it.as_fd(), GRACE));
        _ = child.kill();
    }
    child.wait().map_err(|error| words(&error))?;
    answer.map_err(|error| words(&error))?
}

fn converse(
    child: &mut Child,
    map: &IdMap,
    job: &MappedJob,
    progress: &Progress,
) -> io::Result<Result<MappedDone, String>> {
    let (Some(mut orders), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let mut answers = BufReader::new(answers);
    if line(&mut answers, progress)? != READY {
        return Err(io::Error::other("this host does not let ordinary users make user namespaces"));
    }
    for kind in [IdKind::User, IdKind::Group] {
        let mut mapper = Command::new(kind.mapper());
        mapper.arg(child.id().to_string()).args(map.text(kind).split_whitespace());
        let output = mapper.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(io::Error::other(format!("{}: {said}", kind.mapper())));
        }
    }
    orders.write_all(format!("{}\n", serde_json::to_string(job)?).as_bytes())?;
    Ok(serde_json::from_str(&line(&mut answers, progress)?)?)
}

fn line(from: &mut BufReader<ChildStdout>, progress: &Progress) -> io::Result<String> {
    // What is there, or the end.
    let arrives = |from: &BufReader<ChildStdout>| {
        let mut polled = [PollFd::new(from.get_ref().as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, LOOK_MS) {
            Err(Errno::EINTR) => Ok(false),
            polled => polled.map(|count| count > 0),
        }
    };
    while from.buffer().is_empty() && !arrives(from)? {
        if progress.is_cancelled() {
            return Err(io::Error::other("cancelled; nothing is left"));
        }
    }
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line)
}

/// Becomes that root, and returns what to do, and for whom. The process must be single-threaded.
pub(in crate::engine) fn enter() -> io::Result<(MappedJob, MappedUser)> {
    unshare(CloneFlags::CLONE_NEWUSER)?;
    io::stdout().write_all(READY.as_bytes())?;
    io::stdout().flush()?;
    let mut order = String::new();
    io::stdin().read_line(&mut order)?;
    let job: MappedJob = serde_json::from_str(&order)?;
    let user = MappedUser { uid: geteuid().as_raw(), gid: getegid().as_raw() };
    setgroups(&[])?;
    let (root, group) = (Uid::from_raw(0), Gid::from_raw(0));
    setresgid(group, group, group)?;
    setresuid(root, root, root)?;
    // Whoever asked for it may be killed; what runs programs ends them first.
    if !job.runs_programs() {
        set_pdeathsig(Signal::SIGKILL)?;
    }
    umask(Mode::from_bits_truncate(0o022));
    Ok((job, user))
}

/// Cancels `progress` when nobody waits for the answer any more.
pub(in crate::engine) fn heed_cancellation(progress: &Progress) {
    let progress = progress.clone();
    let heed = move || {
        // Nothing follows the order.
        _ = io::stdin().read_line(&mut String::new());
        progress.cancel();
    };
    // Without a thread it comes to its end.
    _ = std::thread::Builder::new().spawn(heed);
}

/// Answers.
pub(in crate::engine) fn answer(answer: &Result<MappedDone, String>) -> io::Result<()> {
    io::stdout().write_all(format!("{}\n", serde_json::to_string(answer)?).as_bytes())
}
