//! The interpreter of steps that runs in the new process. It decides nothing and prints nothing:
//! it ends in exec, or returns which step failed and why.

mod confine;
mod dev;
mod exec;
mod files;
mod hook;
mod kernel;
mod root;
mod users;
mod visit;

use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid};

use crate::engine::entry::init;
use crate::engine::entry::plan::{
    MountSource, MountStep, RootStep, SessionTerminal, ShutdownSignals, Step, WindowSize,
};
use crate::engine::entry::report::{self, Asker, Interpreter, StepFailure, StepPart};
use crate::engine::sys::{self, OwnActions, Recursive};
use crate::engine::terms::space::Space;
pub(in crate::engine) use root::{make as make_root, make_layer, mount_aside, mount_in_place};

/// What the process gets when it is created.
#[derive(Debug)]
pub(in crate::engine) struct Site<'a> {
    /// The creator has the other end.
    pub(in crate::engine) supervisor: BorrowedFd<'a>,
    /// The `tasks` files of v1 groups to join.
    pub(in crate::engine) tasks: Vec<OwnedFd>,
    /// Which of the standard descriptors are inherited.
    pub(in crate::engine) inherit: [bool; 3],
    /// The handles of the container, if it is already running.
    door: Option<Door<'a>>,
    /// Where the output of hooks goes.
    pub(in crate::engine) said: Option<BorrowedFd<'a>>,
    /// Namespaces of others.
    pub(in crate::engine) shared: &'a [SharedSpace],
    made: Made,
    /// What its creator has made of signals.
    pub(in crate::engine) actions: OwnActions,
    /// Its supervisor, without root, reaches it through `/proc` until its own program runs.
    pub(in crate::engine) reached: bool,
}

/// A namespace of another container, process or path, which is held open.
#[derive(Debug)]
pub(in crate::engine) struct SharedSpace {
    pub space: Space,
    pub file: OwnedFd,
}

/// The handles for entering a running container.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Door<'a> {
    /// A pidfd of its init.
    pub init: BorrowedFd<'a>,
    /// The root directory of its init.
    pub root: BorrowedFd<'a>,
}

/// What earlier steps have made for later ones.
#[derive(Debug, Default)]
struct Made {
    /// The directory of the root, or those of which it is made, if they were opened before.
    opened: Vec<OwnedFd>,
    root: Option<OwnedFd>,
    /// Symbolic links in mount targets are refused: the root is not the host's.
    foreign_root: bool,
    dev: Option<OwnedFd>,
    missing: dev::Missing,
    pts: Option<OwnedFd>,
    tty_dir: Option<dev::TtyDir>,
    /// The container's side of the console.
    console: Option<OwnedFd>,
    /// The supervisor's side of the console, then of each tty.
    terminals: Vec<OwnedFd>,
    label: Option<confine::PendingLabel>,
    /// The host's `/proc/sys`. Its content depends on the namespaces of the reader.
    sysctls: Option<OwnedFd>,
}

/// An errno and the part of the step that failed.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Broken(pub(in crate::engine) StepPart, pub(in crate::engine) Errno);

impl From<Errno> for Broken {
    fn from(errno: Errno) -> Self {
        Self(StepPart::Whole, errno)
    }
}

impl Broken {
    /// Returns whether an optional mount is skipped for it: it may be one that hides something, which
    /// new message queues do not, nor the whole of what has more mounted in it: a user namespace may
    /// only show both.
    fn passes_over(self, mount: &MountStep) -> bool {
        if matches!(&mount.source, MountSource::Bind { recursive: Recursive::No, .. })
            && matches!(self, Self(StepPart::Source, Errno::EINVAL))
        {
            return true;
        }
        let queues =
            matches!(&mount.source, MountSource::New { fstype, .. } if *fstype == *c"mqueue");
        self.is_absence() || queues && matches!(self, Self(StepPart::Source, Errno::EPERM))
    }

    /// Returns whether the source or the target of a mount does not exist.
    const fn is_absence(self) -> bool {
        matches!(
            self,
            Self(StepPart::Source | StepPart::Target, Errno::ENOENT)
                // A file system that this kernel does not have.
                | Self(StepPart::Source, Errno::ENODEV)
        )
    }
}

impl<'a> Site<'a> {
    /// Returns the container's side of the console, if it has one.
    fn console(&self) -> Option<BorrowedFd<'_>> {
        self.made.console.as_ref().map(OwnedFd::as_fd)
    }

    pub(in crate::engine) fn new(
        supervisor: BorrowedFd<'a>,
        tasks: Vec<OwnedFd>,
        inherit: [bool; 3],
        door: Option<Door<'a>>,
    ) -> Self {
        let (made, actions) = (Made::default(), OwnActions::ALL);
        let (said, shared, reached) = (None, [].as_slice(), false);
        Self { supervisor, tasks, inherit, door, said, shared, made, actions, reached }
    }

    fn enter_shared(&self, space: Space) -> nix::Result<()> {
        let shared = self.shared.iter().find(|it| it.space == space).ok_or(Errno::EBADF)?;
        sys::setns(shared.file.as_fd(), space.flag())
    }

    fn door(&self) -> nix::Result<Door<'a>> {
        self.door.ok_or(Errno::EBADF)
    }
}

/// Carries out every step; returns only on failure.
pub(in crate::engine) fn perform(steps: &[Step], site: &mut Site<'_>) -> StepFailure {
    umask(Mode::empty());
    for (index, step) in steps.iter().enumerate() {
        let asker = Asker { creator: site.supervisor, step: index };
        if let Err(Broken(part, errno)) = perform_one(step, site, asker) {
            let interpreter = if let (Step::Exec(program), StepPart::Source) = (step, part) {
                exec::interpreter(program)
            } else {
                Interpreter::UNKNOWN
            };
            return StepFailure { step: index, part, errno, interpreter };
        }
    }
    let interpreter = Interpreter::UNKNOWN;
    StepFailure { step: steps.len(), part: StepPart::Whole, errno: Errno::ENOEXEC, interpreter }
}

fn perform_one(step: &Step, site: &mut Site<'_>, asker: Asker<'_>) -> Result<(), Broken> {
    let made = &mut site.made;
    match step {
        Step::DieWithSupervisor => die_with(site.supervisor)?,
        Step::JoinCgroups => join_cgroups(&mut site.tasks)?,
        Step::Users(step) => users::perform(step, made, asker, site.reached)?,
        Step::OwnCgroupNamespace => unshare(CloneFlags::CLONE_NEWCGROUP)?,
        Step::SlaveMounts => propagate(MsFlags::MS_SLAVE)?,
        Step::Confine(it) => made.label = confine::confine(it)?,
        Step::TakeLabel { .. } => made.label.as_ref().ok_or(Errno::EBADF)?.take_on()?,
        Step::Root { root, devices, users, .. } => {
            made.foreign_root = *root != RootStep::Host;
            let opened = std::mem::take(&mut made.opened);
            made.root = Some(root::take(root, opened, *devices, (users.is_some(), asker))?);
        }
        Step::Dev(step) => dev::perform(step, made)?,
        Step::Console { owner, size, shown } => made.make_console(*owner, *size, *shown)?,
        Step::Ttys { count } => make_ttys(made, *count)?,
        Step::Proc { mode, network } => {
            files::mount_proc(made.root()?, made.links(), *mode, *network)?;
        }
        Step::Sys { mode, network } => {
            files::mount_sys(made.root()?, made.links(), *mode, *network)?;
        }
        Step::Mount(mount) => match files::mount_one(made.root()?, made.links(), mount, asker) {
            Err(broken) if mount.optional && broken.passes_over(mount) => (),
            result => result?,
        },
        Step::Loopback => sys::loopback_up()?,
        Step::Hostname { name } => nix::unistd::sethostname(name)?,
        Step::Pivot => pivot(made.root()?)?,
        // They stay slaves of the host's mounts.
        Step::ShareMounts => propagate(MsFlags::MS_SHARED)?,
        Step::EnterNamespaces { flags } => visit::enter_namespaces(site.door()?, *flags)?,
        Step::EnterRoot => visit::enter_root(site.door()?)?,
        Step::Remount => visit::remount()?,
        Step::Pty { owner, size } => {
            let (ptmx, peer) = visit::open_pty()?;
            made.take_console(ptmx, peer, *owner, *size)?;
        }
        Step::HandOver => hand_over(site)?,
        Step::LeaveHost => visit::leave_host(site)?,
        Step::Keyring => make_keyring()?,
        Step::Bounding { drop } => drop_bounding(drop)?,
        Step::BecomeInit { mask, asked } => become_init(*mask, *asked, site)?,
        Step::Session { terminal } => open_session(site, *terminal)?,
        Step::Identity { uid, gid, groups } => take_identity(*uid, *gid, groups)?,
        Step::LimitCapabilities { mask } => limit_capabilities(*mask)?,
        Step::NoNewPrivs => nix::sys::prctl::set_no_new_privs()?,
        Step::Kernel(step) => kernel::perform(step, &mut made.sysctls)?,
        Step::Filter { program, notifies, .. } => confine::filter(program, *notifies, asker)?,
        Step::EnterShared { space, .. } => site.enter_shared(*space)?,
        Step::Hook(hook) => hook::run(hook, site.said, made.label.as_ref(), site.actions)?,
        Step::Appear { namespaces, awaited } => {
            visit::appear(site.supervisor, *namespaces, *awaited)?;
        }
        Step::WorkDir { dir, or_root } => enter(dir, *or_root)?,
        Step::Exec(program) => return Err(exec::exec(program)),
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

    fn make_console(
        &mut self,
        owner: u32,
        size: Option<WindowSize>,
        shown: bool,
    ) -> nix::Result<()> {
        let (ptmx, peer) = if shown {
            self.terminal("console")?
        } else {
            let (ptmx, peer, _) = dev::open_terminal(self.pts()?)?;
            (ptmx, peer)
        };
        // Nobody else may write there, as a member of its group could.
        nix::sys::stat::fchmod(&peer, Mode::S_IRUSR | Mode::S_IWUSR)?;
        self.take_console(ptmx, peer, owner, size)
    }

    /// Keeps both sides of a terminal, after setting its owner, and its size before anybody can
    /// read it.
    fn take_console(
        &mut self,
        ptmx: OwnedFd,
        peer: OwnedFd,
        owner: u32,
        size: Option<WindowSize>,
    ) -> nix::Result<()> {
        if let Some(WindowSize { rows, columns }) = size {
            sys::set_window_size(ptmx.as_fd(), rows, columns)?;
        }
        nix::unistd::fchown(&peer, Some(Uid::from_raw(owner)), None)?;
        self.terminals.push(ptmx);
        self.console = Some(peer);
        Ok(())
    }

    fn terminal(&self, name: &str) -> nix::Result<(OwnedFd, OwnedFd)> {
        dev::make_terminal(self.dev()?, self.pts()?, self.tty_dir.as_ref(), name, self.missing)
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

fn join_cgroups(tasks: &mut Vec<OwnedFd>) -> nix::Result<()> {
    for tasks in tasks.drain(..) {
        nix::unistd::write(&tasks, b"0")?;
    }
    Ok(())
}

/// Changes the propagation of present and future mounts.
fn propagate(how: MsFlags) -> nix::Result<()> {
    let none: Option<&str> = None;
    mount(none, "/", none, how | MsFlags::MS_REC, none)
}

fn make_ttys(made: &mut Made, count: u32) -> nix::Result<()> {
    for number in 1..=count {
        let name = format!("tty{number}");
        let (ptmx, _) = made.terminal(&name)?;
        made.terminals.push(ptmx);
    }
    Ok(())
}

fn make_keyring() -> nix::Result<()> {
    match sys::new_session_keyring() {
        // A kernel without keyrings has none that could be shared.
        Err(Errno::ENOSYS | Errno::EPERM) | Ok(()) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn pivot(root: BorrowedFd<'_>) -> nix::Result<()> {
    nix::unistd::fchdir(root)?;
    nix::unistd::pivot_root(".", ".")?;
    // The old root is now stacked on the new one, see pivot_root(2).
    umount2(".", MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")
}

/// Sends the terminals to the creator and waits for its message to go on.
fn hand_over(site: &mut Site<'_>) -> nix::Result<()> {
    let fds: Vec<_> =
        site.made.pts.iter().chain(site.made.terminals.iter()).map(AsRawFd::as_raw_fd).collect();
    report::ready(site.supervisor, &fds)?;
    site.made.terminals.clear();
    // What its supervisor had to do is done.
    nix::sys::prctl::set_dumpable(false)?;
    // What is open now serves wharf alone, and so does what is opened from here on.
    sys::close_on_exec_from(3)
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

/// The parent stays here as pid 1; the child goes on to the command.
fn become_init(mask: u64, asked: Option<ShutdownSignals>, site: &mut Site<'_>) -> nix::Result<()> {
    site.actions = init::hold_signals(asked, site.actions)?;
    // A container with fewer descriptors than that does without.
    let gate = nix::unistd::pipe2(OFlag::O_CLOEXEC).ok();
    if let Some(console) = site.console() {
        nix::unistd::setsid()?;
        sys::take_terminal(console)?;
    }
    match sys::fork()? {
        None => {
            if let Some(console) = site.console() {
                let own = nix::unistd::getpid();
                nix::unistd::setpgid(own, own)?;
                // The signal for who does this in the background is blocked.
                nix::unistd::tcsetpgrp(console, own)?;
            }
            gate.map_or(Ok(()), |(gate, opener)| {
                drop(opener);
                // The command finds init as confined as itself.
                let is_open = nix::unistd::read(&gate, &mut [0]) == Ok(1);
                if is_open { Ok(()) } else { Err(Errno::ECANCELED) }
            })
        }
        Some(command) => {
            // Init stays, and the container can read how it was started.
            sys::forget_origin(init::TITLE);
            // Init goes on confined and without these capabilities, or not at all.
            let confined = site.made.label.take().is_none_or(|it| it.take_on().is_ok());
            if !confined || limit_capabilities(mask).is_err() {
                sys::exit_now(init::FAILED);
            }
            // It executes no program, so without this not even its user could enter the container.
            // It can do no more than the container's root. Cannot fail.
            _ = nix::sys::prctl::set_dumpable(site.reached);
            // Whoever waits for it has ended if that fails.
            _ = gate.map(|(_, opener)| nix::unistd::write(&opener, &[0]));
            init::run(command, asked)
        }
    }
}

fn open_session(site: &mut Site<'_>, terminal: SessionTerminal) -> nix::Result<()> {
    site.actions.reset();
    if terminal != SessionTerminal::Inits || site.console().is_none() {
        nix::unistd::setsid()?;
    }
    match site.made.console.take() {
        Some(console) => {
            if terminal == SessionTerminal::Ours {
                sys::take_terminal(console.as_fd())?;
            }
            place_standard(&console, site.inherit)?;
        }
        None if site.inherit == [true; 3] => (),
        None => {
            let null = match open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()) {
                // A root with a /dev of its own, which init may fill.
                Err(Errno::ENOENT) => files::nothing()?,
                opened => opened?,
            };
            place_standard(&null, site.inherit)?;
        }
    }
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    Ok(())
}

/// Replaces every standard descriptor that is not inherited with `stdio`.
fn place_standard(stdio: &OwnedFd, inherit: [bool; 3]) -> nix::Result<()> {
    let [stdin, stdout, stderr] = inherit;
    if !stdin {
        nix::unistd::dup2_stdin(stdio)?;
    }
    if !stdout {
        nix::unistd::dup2_stdout(stdio)?;
    }
    if !stderr {
        nix::unistd::dup2_stderr(stdio)?;
    }
    Ok(())
}

/// Replaces all supplementary groups and takes the user and group of the payload.
fn take_identity(uid: u32, gid: u32, groups: &[u32]) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    // Made between clone and exec; the memory is this process's own copy.
    let groups: Vec<Gid> = groups.iter().map(|it| Gid::from_raw(*it)).collect();
    match nix::unistd::setgroups(&groups) {
        // Without the privilege no groups can be gained either.
        Err(Errno::EPERM) if groups.is_empty() && uid == nix::unistd::getuid() => (),
        result => result?,
    }
    nix::unistd::setresgid(gid, gid, gid)?;
    nix::unistd::setresuid(uid, uid, uid)?;
    // The change may have set it, see fs.suid_dumpable in proc(5).
    nix::sys::prctl::set_dumpable(false)
}

/// Changes to `dir` and checks that it is below the root (C-02 in CVE-2024-21626's class).
fn enter(dir: &std::ffi::CStr, or_root: bool) -> nix::Result<()> {
    match nix::unistd::chdir(dir) {
        Err(_) if or_root => nix::unistd::chdir("/")?,
        entered => entered?,
    }
    let here = nix::unistd::getcwd()?;
    if here.is_absolute() { Ok(()) } else { Err(Errno::EXDEV) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_mount_is_passed_over_only_if_there_is_nothing_to_mount_or_to_mount_on() {
        for part in [StepPart::Source, StepPart::Target] {
            assert!(Broken(part, Errno::ENOENT).is_absence());
            for errno in [Errno::ENOMEM, Errno::EPERM, Errno::ELOOP, Errno::ENOTDIR, Errno::EMFILE]
            {
                assert!(!Broken(part, errno).is_absence(), "{errno}");
            }
        }
        assert!(Broken(StepPart::Source, Errno::ENODEV).is_absence());
        assert!(!Broken(StepPart::Whole, Errno::ENOENT).is_absence());
    }
}
