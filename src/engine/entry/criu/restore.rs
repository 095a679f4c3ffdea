//! Makes a container's processes again: CRIU runs as a child of the supervisor, in a mount namespace
//! of its own that has the container's root, and leaves init behind as the supervisor's child.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, execve, setpgid};

use super::{Criu, CriuError, GRACE, failed};
use crate::engine::entry::perform::mount_in_place;
use crate::engine::entry::plan::{RootStep, mount_attributes};
use crate::engine::entry::script::{self, Bounds, ScriptOutput};
use crate::engine::sys::{self, OwnActions, Recursive};
use crate::engine::terms::spec::Spec;

/// The child's exit codes for what fails before CRIU runs.
const NO_ROOT: i32 = 125;
const NO_PROGRAM: i32 = 127;

/// What to make again.
pub(in crate::engine) struct Remaking<'a> {
    pub(in crate::engine) criu: &'a Criu,
    pub(in crate::engine) arguments: &'a [OsString],
    pub(in crate::engine) spec: &'a Spec,
    pub(in crate::engine) root: &'a RootStep,
    /// The container's end of its console, which CRIU passes on.
    pub(in crate::engine) console: Option<BorrowedFd<'a>>,
    /// In which CRIU says why it fails.
    pub(in crate::engine) log: &'a Path,
    pub(in crate::engine) patience: Duration,
    /// Whether they are not wanted any more.
    pub(in crate::engine) cancelled: &'a dyn Fn() -> bool,
}

/// Makes the processes, and returns init, a child of this process, which must be single-threaded and
/// have no other child. On failure some may be left in the container's groups.
pub(in crate::engine) fn restore(restore: &Remaking<'_>) -> Result<(i32, OwnedFd), CriuError> {
    let output = ScriptOutput::new().map_err(CriuError::Run)?;
    let program = CriuCall::of(restore).map_err(CriuError::Run)?;
    let Some(child) = sys::fork().map_err(|it| CriuError::Run(it.into()))? else {
        become_criu(restore, &program, output.file())
    };
    let ended = wait(child, restore).map_err(CriuError::Run)?;
    if let Err(said) = output.judge(ended, restore.patience) {
        let printed = said.lines.join("\n");
        return Err(match ended.and_then(|it| it.code()) {
            _ if (restore.cancelled)() => CriuError::Cancelled,
            _ if said.is_late => CriuError::Late(restore.patience.as_secs()),
            Some(NO_ROOT) => CriuError::Root(printed),
            Some(_) | None => failed(restore.log, &printed, said.how),
        });
    }
    let init = child_of_ours().ok_or(CriuError::NoProcess)?;
    let pidfd = sys::pidfd_open(init).map_err(|it| CriuError::Run(it.into()))?;
    Ok((init, pidfd))
}

fn wait(child: i32, restore: &Remaking<'_>) -> io::Result<Option<ExitStatus>> {
    let pidfd = sys::pidfd_open(child)?;
    let Remaking { patience, cancelled, .. } = *restore;
    script::end_within(child, pidfd.as_fd(), Bounds { patience, grace: GRACE, cancelled })
}

/// CRIU has been reaped, so that init must be the only one.
fn child_of_ours() -> Option<i32> {
    let own = std::process::id();
    let children = fs::read_to_string(format!("/proc/self/task/{own}/children")).ok()?;
    let mut children = children.split_ascii_whitespace();
    let init = children.next()?.parse().ok();
    init.filter(|_| children.next().is_none())
}

/// CRIU ready for execve(2).
struct CriuCall {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl CriuCall {
    fn of(restore: &Remaking<'_>) -> io::Result<Self> {
        let text = |it: &OsStr| CString::new(it.as_bytes()).map_err(io::Error::other);
        let path = text(restore.criu.program.as_os_str())?;
        let arguments = restore.arguments.iter().map(|it| text(it));
        let arguments =
            std::iter::once(Ok(path.clone())).chain(arguments).collect::<Result<_, _>>()?;
        let own = std::env::vars_os().filter(|(key, _)| key != "PATH");
        let hooks = restore.spec.hooks.environment.iter();
        let hooks = hooks.map(|(key, value)| (key.into(), value.into()));
        let path_variable = (OsString::from("PATH"), restore.criu.path.clone());
        let name = (OsString::from("LXC_NAME"), OsString::from(restore.spec.name.as_str()));
        let all = own.chain(hooks).chain([path_variable, name]);
        let line = |(mut key, value): (OsString, OsString)| {
            key.push("=");
            key.push(value);
            text(&key)
        };
        Ok(Self { path, arguments, environment: all.map(line).collect::<Result<_, _>>()? })
    }
}

fn become_criu(restore: &Remaking<'_>, program: &CriuCall, output: BorrowedFd<'_>) -> ! {
    sys::die_of_panics(NO_ROOT);
    // Cannot fail for these arguments; without the first, a killed supervisor's CRIU is killed with
    // its groups.
    _ = set_pdeathsig(Signal::SIGKILL);
    _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    OwnActions::ALL.reset();
    if let Err(why) = prepare(restore, output) {
        // Nobody hears of it then; the exit code says enough.
        _ = nix::unistd::write(output, format!("{why}\n").as_bytes());
        sys::exit_now(NO_ROOT)
    }
    let executed: nix::Result<Infallible> =
        execve(&program.path, &program.arguments, &program.environment);
    let why = executed.err().map_or("", Errno::desc);
    _ = nix::unistd::write(
        output,
        format!("{}: {why}\n", restore.criu.program.display()).as_bytes(),
    );
    sys::exit_now(NO_PROGRAM)
}

fn prepare(restore: &Remaking<'_>, output: BorrowedFd<'_>) -> Result<(), String> {
    let told = |errno: Errno| errno.desc().to_owned();
    umask(Mode::from_bits_truncate(0o077));
    let null = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map_err(told)?;
    dup2_stdin(&null).and_then(|()| dup2_stdout(output)).map_err(told)?;
    dup2_stderr(output).map_err(told)?;
    if let Some(console) = restore.console {
        fcntl(console, FcntlArg::F_SETFD(FdFlag::empty())).map_err(told)?;
    }
    unshare(CloneFlags::CLONE_NEWNS).map_err(told)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none).map_err(told)?;
    let failed = |errno: Errno| format!("{}: {}", restore.root, errno.desc());
    let devices = restore.spec.own_dev;
    let root = mount_in_place(restore.root, devices).map_err(|it| failed(it.1))?;
    if let Some(flags) = &restore.spec.root_flags {
        let (set, clear) = mount_attributes(flags.value);
        sys::mount_setattr(root.as_fd(), Recursive::No, set, clear, 0).map_err(failed)?;
    }
    Ok(())
}
