//! The interpreter of steps that runs in the new process. It decides nothing and prints nothing:
//! it ends in exec, or returns which step failed and why.

mod dev;
mod files;

use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid};

use super::init;
use super::plan::{Program, Step};
use super::sys;

/// What the process is given at its birth.
#[derive(Debug)]
pub(super) struct Site<'a> {
    /// The supervisor's end is the other one.
    pub(super) supervisor: BorrowedFd<'a>,
    /// The `tasks` files of v1 groups to join.
    pub(super) tasks: Vec<OwnedFd>,
    /// Which of the standard descriptors stay what they are.
    pub(super) inherit: [bool; 3],
    made: Made,
}

/// What the steps made so far and later ones need.
#[derive(Debug, Default)]
struct Made {
    root: Option<OwnedFd>,
    /// Symbolic links in mount targets are refused: the root is not the host's.
    foreign_root: bool,
    dev: Option<OwnedFd>,
    pts: Option<OwnedFd>,
    /// The container's side of the console.
    console: Option<OwnedFd>,
    /// The supervisor's side of the console, then of each tty.
    terminals: Vec<OwnedFd>,
}

/// Which part of a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Source,
    Target,
}

/// The step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: usize,
    pub(super) part: Part,
    pub(super) errno: Errno,
}

/// An errno and the part of the step it belongs to.
#[derive(Clone, Copy, Debug)]
struct Broken(Part, Errno);

impl From<Errno> for Broken {
    fn from(errno: Errno) -> Self {
        Self(Part::Whole, errno)
    }
}

impl<'a> Site<'a> {
    pub(super) fn new(supervisor: BorrowedFd<'a>, tasks: Vec<OwnedFd>, inherit: [bool; 3]) -> Self {
        Self { supervisor, tasks, inherit, made: Made::default() }
    }
}

/// Carries out every step; returns only on failure.
pub(super) fn perform(steps: &[Step], site: &mut Site<'_>) -> Failure {
    umask(Mode::empty());
    for (index, step) in steps.iter().enumerate() {
        if let Err(Broken(part, errno)) = perform_one(step, site) {
            return Failure { step: index, part, errno };
        }
    }
    Failure { step: steps.len(), part: Part::Whole, errno: Errno::ENOEXEC }
}

fn perform_one(step: &Step, site: &mut Site<'_>) -> Result<(), Broken> {
    let made = &mut site.made;
    match step {
        Step::DieWithSupervisor => die_with(site.supervisor)?,
        Step::JoinCgroups => {
            for tasks in site.tasks.drain(..) {
                nix::unistd::write(&tasks, b"0")?;
            }
        }
        Step::OwnCgroupNamespace => unshare(CloneFlags::CLONE_NEWCGROUP)?,
        Step::SlaveMounts => {
            let none: Option<&str> = None;
            mount(none, "/", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none)?;
        }
        Step::Root { dir, .. } => {
            made.foreign_root = dir.is_some();
            made.root = Some(files::take_root(dir.as_deref())?);
        }
        Step::Dev { inodes } => made.dev = Some(dev::make_dev(made.root()?, made.links(), inodes)?),
        Step::Pts { max } => made.pts = Some(dev::mount_pts(made.dev()?, max)?),
        Step::Console => {
            let (ptmx, peer) = dev::make_terminal(made.dev()?, made.pts()?, "console")?;
            made.terminals.push(ptmx);
            made.console = Some(peer);
        }
        Step::Ttys { count } => {
            for number in 1..=*count {
                let name = format!("tty{number}");
                let (ptmx, _) = dev::make_terminal(made.dev()?, made.pts()?, &name)?;
                made.terminals.push(ptmx);
            }
        }
        Step::Proc { mode, network } => {
            files::mount_proc(made.root()?, made.links(), *mode, *network)?;
        }
        Step::Sys { mode, network } => {
            files::mount_sys(made.root()?, made.links(), *mode, *network)?;
        }
        Step::Mount(mount) => match files::mount_one(made.root()?, made.links(), mount) {
            Err(_) if mount.optional => (),
            result => result?,
        },
        Step::Loopback => sys::loopback_up()?,
        Step::Hostname { name } => nix::unistd::sethostname(name)?,
        Step::Pivot => pivot(made.root()?)?,
        Step::HandOver => hand_over(site)?,
        Step::Keyring => match sys::new_session_keyring() {
            // A kernel without keyrings has none to share.
            Err(Errno::ENOSYS | Errno::EPERM) | Ok(()) => (),
            Err(errno) => return Err(errno.into()),
        },
        Step::Bounding { drop } => drop_bounding(drop)?,
        Step::BecomeInit { mask } => become_init(*mask)?,
        Step::Session => open_session(site)?,
        Step::Identity { uid, gid } => take_identity(*uid, *gid)?,
        Step::LimitCapabilities { mask } => limit_capabilities(*mask)?,
        Step::NoNewPrivs => nix::sys::prctl::set_no_new_privs()?,
        Step::WorkDir { dir } => enter(dir)?,
        Step::Exec(program) => return Err(exec(program).into()),
    }
    Ok(())
}

impl Made {
    fn root(&self) -> nix::Result<BorrowedFd<'_>> {
        self.root.as_ref().map(OwnedFd::as_fd).ok_or(Errno::EBADF)
    }

    fn dev(&self) -> nix::Result<BorrowedFd<'_>> {
        self.dev.as_ref().map(OwnedFd::as_fd).ok_or(Errno::EBADF)
    }

    fn pts(&self) -> nix::Result<BorrowedFd<'_>> {
        self.pts.as_ref().map(OwnedFd::as_fd).ok_or(Errno::EBADF)
    }

    const fn links(&self) -> files::Links {
        if self.foreign_root { files::Links::Refused } else { files::Links::Followed }
    }
}

/// Has the kernel kill this process when the supervisor dies, and makes sure it has not already.
fn die_with(supervisor: BorrowedFd<'_>) -> nix::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    let mut fds = [PollFd::new(supervisor, PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO)?;
    let gone = fds.iter().filter_map(PollFd::revents).any(|it| it.contains(PollFlags::POLLHUP));
    if gone { Err(Errno::ESRCH) } else { Ok(()) }
}

fn pivot(root: BorrowedFd<'_>) -> nix::Result<()> {
    nix::unistd::fchdir(root)?;
    nix::unistd::pivot_root(".", ".")?;
    // The old root is now stacked on the new one, see pivot_root(2).
    umount2(".", MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")
}

/// Sends the terminals to the supervisor and waits for its word to go on.
fn hand_over(site: &mut Site<'_>) -> nix::Result<()> {
    use super::launch::{GO, READY};
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    let fds: Vec<_> =
        site.made.pts.iter().chain(site.made.terminals.iter()).map(AsRawFd::as_raw_fd).collect();
    let control = [ControlMessage::ScmRights(&fds)];
    let payload = [std::io::IoSlice::new(&[READY])];
    let socket = site.supervisor.as_raw_fd();
    sendmsg::<()>(socket, &payload, &control, MsgFlags::MSG_NOSIGNAL, None)?;
    site.made.terminals.clear();
    let mut word = [0_u8];
    let got = nix::sys::socket::recv(socket, &mut word, MsgFlags::empty())?;
    if got == 1 && word == [GO] { Ok(()) } else { Err(Errno::ECANCELED) }
}

fn drop_bounding(list: &[u8]) -> nix::Result<()> {
    for capability in list {
        match sys::drop_bounding(*capability) {
            // A capability that this kernel does not have.
            Err(Errno::EINVAL) | Ok(()) => (),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn limit_capabilities(mask: u64) -> nix::Result<()> {
    match sys::clear_ambient() {
        // Kernels before 4.3 have no ambient set.
        Err(Errno::EINVAL) | Ok(()) => (),
        Err(errno) => return Err(errno),
    }
    sys::limit_capabilities(mask)
}

/// The parent stays here as pid 1 for good; the child goes on to the command.
fn become_init(mask: u64) -> nix::Result<()> {
    init::hold_signals()?;
    match sys::fork()? {
        None => Ok(()),
        Some(command) => {
            // Init goes on without these capabilities or not at all.
            if limit_capabilities(mask).is_err() {
                sys::exit_now(init::FAILED);
            }
            init::run(command)
        }
    }
}

fn open_session(site: &mut Site<'_>) -> nix::Result<()> {
    sys::reset_signals();
    nix::unistd::setsid()?;
    let stdio = match site.made.console.take() {
        Some(console) => {
            sys::take_terminal(console.as_fd())?;
            console
        }
        None => open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?,
    };
    let [stdin, stdout, stderr] = site.inherit;
    if !stdin {
        nix::unistd::dup2_stdin(&stdio)?;
    }
    if !stdout {
        nix::unistd::dup2_stdout(&stdio)?;
    }
    if !stderr {
        nix::unistd::dup2_stderr(&stdio)?;
    }
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    Ok(())
}

/// Leaves every group and takes the user and group of the payload.
pub(super) fn take_identity(uid: u32, gid: u32) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    match nix::unistd::setgroups(&[]) {
        // Without the privilege there are no groups to gain either.
        Err(Errno::EPERM) if uid == nix::unistd::getuid() => (),
        result => result?,
    }
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)
}

/// Changes to `dir` and makes sure that it lies below the root (C-02 in CVE-2024-21626's class).
pub(super) fn enter(dir: &std::ffi::CStr) -> nix::Result<()> {
    nix::unistd::chdir(dir)?;
    let here = nix::unistd::getcwd()?;
    if here.is_absolute() { Ok(()) } else { Err(Errno::EXDEV) }
}

/// Executes `program`; returns only on failure, with the error that says most.
pub(super) fn exec(program: &Program) -> Errno {
    if let Err(errno) = sys::close_on_exec_from(3) {
        return errno;
    }
    let mut failure = Errno::ENOENT;
    for path in &program.paths {
        let Err(errno) = nix::unistd::execve(path, &program.argv, &program.environment);
        if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR) {
            failure = errno;
        }
    }
    failure
}
