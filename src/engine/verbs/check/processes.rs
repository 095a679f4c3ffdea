//! Trials of what a process can have for itself. Each is for a process that ends after it.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::inotify::{InitFlags, Inotify};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getpid, sethostname};

use crate::engine::Lxcpath;
use crate::engine::sys::filter::{FilterInstruction, install_filter};
use crate::engine::sys::notify::install_notifying;
use crate::engine::sys::{self, exit_now, task};
use crate::engine::terms::space::Space;

pub(super) fn be_the_first(_: &Lxcpath) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWPID)?;
    let Some(child) = sys::fork()? else { exit_now(i32::from(getpid().as_raw() != 1)) };
    let ended = waitpid(Pid::from_raw(child), None)?;
    if matches!(ended, WaitStatus::Exited(_, 0)) {
        return Ok(());
    }
    Err(io::Error::other("it has another number"))
}

pub(super) fn name_the_host(_: &Lxcpath) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWUTS)?;
    Ok(sethostname("wharf")?)
}

pub(super) fn own_queues(_: &Lxcpath) -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWIPC)?)
}

pub(super) fn own_group_view(_: &Lxcpath) -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWCGROUP)?)
}

pub(super) fn set_clock(_: &Lxcpath) -> io::Result<()> {
    unshare(CloneFlags::from_bits_retain(Space::Time.flag()))?;
    fs::write("/proc/self/timens_offsets", "monotonic 100 0")
}

/// The capabilities that starting containers requires, with their numbers.
const NEEDED: [(&str, u32); 4] =
    [("chown", 0), ("net_admin", 12), ("sys_chroot", 18), ("sys_admin", 21)];

pub(super) fn have_capabilities(lxcpath: &Lxcpath) -> io::Result<()> {
    let status = fs::read_to_string(lxcpath.host().proc().join("self/status"))?;
    let mask = status.lines().find_map(|it| it.strip_prefix("CapEff:"));
    let mask = mask.and_then(|it| u64::from_str_radix(it.trim(), 16).ok()).unwrap_or_default();
    let lacking: Vec<&str> = NEEDED
        .into_iter()
        .filter(|(_, bit)| mask & (1 << bit) == 0)
        .map(|(name, _)| name)
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    Err(io::Error::other(format!("{} is missing", lacking.join(", "))))
}

/// A filter that allows everything.
fn allow() -> io::Result<[FilterInstruction; 1]> {
    nix::sys::prctl::set_no_new_privs()?;
    Ok([FilterInstruction::plain(FilterInstruction::RETURN, libc::SECCOMP_RET_ALLOW)])
}

pub(super) fn load_filter(_: &Lxcpath) -> io::Result<()> {
    Ok(install_filter(&allow()?)?)
}

pub(super) fn load_notifier(_: &Lxcpath) -> io::Result<()> {
    Ok(install_notifying(&allow()?).map(drop)?)
}

pub(super) fn make_keyring(_: &Lxcpath) -> io::Result<()> {
    Ok(sys::new_session_keyring()?)
}

pub(super) fn own_core(_: &Lxcpath) -> io::Result<()> {
    match task::leave_core() {
        // The processors of this machine have no threads: each core runs one process anyway.
        Ok(()) | Err(Errno::ENODEV) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn signal_by_pidfd(_: &Lxcpath) -> io::Result<()> {
    use std::os::fd::AsFd as _;
    let own = sys::pidfd_open(getpid().as_raw())?;
    Ok(sys::pidfd_send_signal(own.as_fd(), 0)?)
}

pub(super) fn watch_files(_: &Lxcpath) -> io::Result<()> {
    Ok(Inotify::init(InitFlags::IN_CLOEXEC).map(drop)?)
}

pub(super) fn read_pressure(lxcpath: &Lxcpath) -> io::Result<()> {
    fs::read(lxcpath.host().proc().join("pressure/cpu")).map(drop)
}
