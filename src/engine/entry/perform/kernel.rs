//! What a process asks of the kernel for itself and its namespaces: settings, clocks, personality.

use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::personality::{self, Persona};
use nix::sys::resource::setrlimit;
use nix::sys::stat::Mode;

use crate::engine::entry::plan::{KernelStep, SettingStep};
use crate::engine::sys::task;
use crate::engine::terms::spec::{At, ClockOffsets};

/// A flag of clone(2) that the crates lack.
const CLONE_NEWTIME: CloneFlags = CloneFlags::from_bits_retain(0x80);

/// Carries out one step; `sysctls` is the host's `/proc/sys` once it is open.
pub(super) fn perform(step: &KernelStep, sysctls: &mut Option<OwnedFd>) -> nix::Result<()> {
    match step {
        KernelStep::Limit(At { value: it, .. }) => setrlimit(it.resource, it.soft, it.hard),
        KernelStep::Personality(domain) => set_personality(*domain),
        KernelStep::Clocks(offsets) => set_clocks(*offsets),
        KernelStep::ProcFile(it) => write_file(None, it),
        KernelStep::ParentDeath(signal) => task::set_parent_death(*signal),
        KernelStep::OwnCores(_) => part_cores(),
        // Without a core of its own the container has none to share.
        KernelStep::CoresOf(pid) => task::share_core_of(*pid).or(Ok(())),
        KernelStep::OpenSysctls => open_sysctls().map(|it| *sysctls = Some(it)),
        KernelStep::Sysctl(it) => write_file(sysctls.as_ref(), it),
    }
}

/// Parts from the processes that could share a core.
fn part_cores() -> nix::Result<()> {
    match task::leave_core() {
        // A machine whose cores run one process at a time.
        Err(Errno::ENODEV) | Ok(()) => Ok(()),
        // This kernel cannot.
        Err(Errno::EINVAL) => Err(Errno::EOPNOTSUPP),
        Err(errno) => Err(errno),
    }
}

/// Opens the host's `/proc/sys`.
fn open_sysctls() -> nix::Result<OwnedFd> {
    open(c"/proc/sys", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// Writes a value into a file below `dir`, in one system call.
fn write_file(dir: Option<&OwnedFd>, step: &SettingStep) -> nix::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let dir = dir.map_or(AT_FDCWD, |it| it.as_fd());
    let file = openat(dir, step.path.as_c_str(), flags, Mode::empty())?;
    let value = step.setting.value.value.as_bytes();
    let written = nix::unistd::write(&file, value)?;
    if written == value.len() { Ok(()) } else { Err(Errno::EINVAL) }
}

/// Moves this process to a time namespace of its own; see time_namespaces(7).
fn set_clocks(offsets: ClockOffsets) -> nix::Result<()> {
    unshare(CLONE_NEWTIME)?;
    let file =
        open(c"/proc/self/timens_offsets", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let ClockOffsets { boot, monotonic } = offsets;
    let text = format!(
        "boottime {} {}\nmonotonic {} {}\n",
        boot.seconds, boot.nanoseconds, monotonic.seconds, monotonic.nanoseconds
    );
    nix::unistd::write(&file, text.as_bytes())?;
    // unshare(2) affects only children.
    let namespace = c"/proc/self/ns/time_for_children";
    setns(open(namespace, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?, CLONE_NEWTIME)
}

/// Sets the execution domain, which the exec keeps.
fn set_personality(domain: u32) -> nix::Result<()> {
    personality::set(Persona::from_bits_retain(domain.cast_signed())).map(drop)
}
