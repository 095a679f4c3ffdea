//! A start from a checkpoint: instead of a new process, CRIU makes those that were saved, in the groups,
//! on the console and with the ends of interfaces that every start makes.

use std::cell::Cell;
use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::statfs::fstatfs;

use super::Run;
use super::error::RunError;
use super::life::Life;
use super::terminal::set_close_on_exec;
use crate::engine::cgroup::{Cgroup, LoadedDevices};
use crate::engine::entry::criu::arguments::{self, Calling, ConsoleEnd};
use crate::engine::entry::criu::{CriuError, Remaking, files, restore};
use crate::engine::entry::host_steps::HostStep;
use crate::engine::entry::launch::Launched;
use crate::engine::entry::plan::RootStep;
use crate::engine::entry::relay;
use crate::engine::running::order::Checkpointed;
use crate::engine::sys;
use crate::engine::terms::spec::At;

/// The type of a devpts, see statfs(2).
const DEVPTS: libc::__fsword_t = 0x1cd1;

/// Makes the saved processes in `cgroup`, which gets its rules for devices if it `takes_rules`. On
/// failure they are killed with their groups by the caller.
pub(super) fn bear(
    run: &Run,
    from: &Checkpointed,
    (cgroup, takes_rules): (&Cgroup, bool),
    life: &mut Life,
) -> Result<(Launched, Option<LoadedDevices>), RunError> {
    let mut devices = None;
    if takes_rules {
        let (v1, v2) = (&run.spec.cgroup_v1, &run.spec.cgroup_v2);
        let applied = cgroup.apply_devices(v1, v2).map_err(RunError::Cgroup)?;
        life.warn(applied.said.as_slice());
        devices = applied.loaded;
    }
    let added = cgroup.allow_nodes(devices.as_mut()).map_err(RunError::Cgroup)?;
    let launched = launch(run, from, cgroup, life)?;
    cgroup.forbid_nodes(devices.as_mut(), &added).map_err(RunError::Cgroup)?;
    Ok((launched, devices))
}

/// Makes them, and puts back what they had on the host.
fn launch(
    run: &Run,
    from: &Checkpointed,
    cgroup: &Cgroup,
    life: &mut Life,
) -> Result<Launched, RunError> {
    let root = RootStep::new(&run.spec).map_err(RunError::Plan)?;
    let place = run.spec.rootfs.as_ref().map(|it| it.value.place().to_path_buf());
    let steps: Vec<At<HostStep>> = run.host_steps();
    let console = console(run, from)?;
    let end = console.as_ref().map(|it| ConsoleEnd {
        tty: &it.tty,
        fd: it.theirs.as_raw_fd(),
        path: &it.path,
    });
    let calling = Calling {
        spec: &run.spec,
        dir: &from.dir,
        cgroup,
        verbose: from.verbose,
        action_script: from.action_script.as_deref(),
    };
    let asked = SignalFd::with_flags(&ending(), SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
    let asked = asked.map_err(RunError::Watch)?;
    let is_to_end = Cell::new(false);
    let arguments = arguments::restore(&calling, &place.unwrap_or_default(), end.as_ref(), &steps);
    let made = restore(&Remaking {
        criu: &from.criu,
        arguments: &arguments,
        spec: &run.spec,
        root: &root,
        console: console.as_ref().map(|it| it.theirs.as_fd()),
        log: &arguments::log_of(&from.dir, "restore"),
        patience: from.patience,
        cancelled: &|| {
            // It is answered by that alone.
            is_to_end.set(is_to_end.get() || matches!(asked.read_signal(), Ok(Some(_))));
            is_to_end.get()
        },
    });
    let (pid, pidfd) = made.map_err(RunError::Criu)?;
    let done = if is_to_end.get() {
        Err(RunError::Criu(CriuError::Cancelled))
    } else {
        put_back(cgroup, steps, pid, life)
    };
    if let Err(error) = done {
        // It may have ended by itself.
        _ = sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
        _ = sys::wait_for(pidfd.as_fd());
        return Err(error);
    }
    Ok(Launched {
        pid,
        pidfd,
        console: console.map(|it| it.ours),
        ttys: Vec::new(),
        devpts: devpts(pid),
        clone_flags: run.spec.namespaces.flags(),
    })
}

/// The signals by which a supervisor is asked to end, which are blocked.
fn ending() -> SigSet {
    let all = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT];
    all.into_iter().collect()
}

fn put_back(
    cgroup: &Cgroup,
    steps: Vec<At<HostStep>>,
    pid: i32,
    life: &mut Life,
) -> Result<(), RunError> {
    // What is elsewhere would have no limits, and nothing would end it.
    if !cgroup.populated() {
        return Err(RunError::Elsewhere);
    }
    let after =
        |At { value, place }: At<HostStep>| value.after_restore().map(|value| At { value, place });
    life.carry_out(steps.into_iter().filter_map(after).collect(), Some(pid))
}

/// The pty that becomes the console.
struct NewConsole {
    /// As the checkpoint names the one that was.
    tty: String,
    ours: OwnedFd,
    theirs: OwnedFd,
    path: String,
}

/// Makes a pty of the host's: the container's devpts does not exist yet.
fn console(run: &Run, from: &Checkpointed) -> Result<Option<NewConsole>, RunError> {
    let Some(tty) = files::read_console(&from.dir) else { return Ok(None) };
    if run.spec.console.off {
        return Err(RunError::NoConsole);
    }
    let OpenptyResult { master: ours, slave: theirs } =
        openpty(None, None).map_err(RunError::Watch)?;
    let made = (|| {
        set_close_on_exec(ours.as_fd())?;
        set_close_on_exec(theirs.as_fd())?;
        nix::unistd::fchown(&theirs, Some(run.spec.init.uid.into()), None)?;
        sys::unlock_pty(ours.as_fd())
    })();
    let number = made.map_err(RunError::Watch)?;
    if let Some(size) = relay::window_size().filter(|_| run.foreground) {
        // Without a size the console works as well.
        _ = sys::set_window_size(ours.as_fd(), size.rows, size.columns);
    }
    Ok(Some(NewConsole { tty, ours, theirs, path: format!("/dev/pts/{number}") }))
}

/// Opens the container's devpts, if there is one where it has it. What is there is the container's.
fn devpts(pid: i32) -> Option<OwnedFd> {
    let root = File::open(format!("/proc/{pid}/root")).ok()?;
    let found = inside(root.as_fd()).ok()?;
    let kind = fstatfs(&found).ok()?.filesystem_type().0;
    (kind == DEVPTS).then_some(found)
}

fn inside(root: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    sys::open_within(root, "dev/pts", OpenHow::new().flags(flags).resolve(resolve))
}
