//! Trials of user namespaces. Each is for a process that ends after it.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_dumpable, set_pdeathsig};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, getegid, geteuid, setresgid, setresuid};

use crate::engine::Lxcpath;
use crate::engine::entry::script::run_to_its_end;
use crate::engine::host::subids::SubIds;
use crate::engine::sys::{self, Side};
use crate::engine::terms::idmap::IdKind;

/// Who has no rights, by convention.
const NOBODY: u32 = 65534;
/// A map in which root is the root above.
const SAME_ROOT: &str = "0 0 1";

/// Makes this process root in a user namespace of its own.
pub(super) fn become_root_of_own() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

pub(super) fn be_root_in_one(_: &Lxcpath) -> io::Result<()> {
    become_root_of_own()
}

/// Some hosts let ordinary users make user namespaces, but give them no rights there.
pub(super) fn without_root(_: &Lxcpath) -> io::Result<()> {
    if geteuid().is_root() {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
        set_dumpable(true)?;
    }
    become_root_of_own()?;
    Ok(unshare(CloneFlags::CLONE_NEWNS)?)
}

/// Opens a user namespace with one user, who is root.
pub(super) fn others() -> io::Result<OwnedFd> {
    let process = MappedProcess::with_own_users()?;
    let file = |name: &str| format!("/proc/{}/{name}", process.0);
    fs::write(file("uid_map"), SAME_ROOT)?;
    fs::write(file("gid_map"), SAME_ROOT)?;
    File::open(file("ns/user")).map(OwnedFd::from)
}

/// Maps the ids that the host allots to this user.
pub(super) fn map_own_ids(_: &Lxcpath) -> io::Result<()> {
    let lines = SubIds::ours().lines().map_err(io::Error::other)?;
    let process = MappedProcess::with_own_users()?;
    for (kind, (_, line)) in [IdKind::User, IdKind::Group].into_iter().zip(lines) {
        let mut command = Command::new(kind.mapper());
        command.arg(process.0.to_string()).args(line.split(' ').skip(1));
        run_to_its_end(&mut command)?;
    }
    Ok(())
}

/// A process that waits until this is dropped.
struct MappedProcess(i32);

impl MappedProcess {
    fn with_own_users() -> io::Result<Self> {
        match sys::clone3(libc::CLONE_NEWUSER as u64, None)? {
            Side::Parent { pid, .. } => Ok(Self(pid)),
            Side::Child => sleep(),
        }
    }
}

impl Drop for MappedProcess {
    fn drop(&mut self) {
        // It is not reaped yet, so that the number is still its own.
        _ = sys::kill(self.0, libc::SIGKILL);
    }
}

/// Waits to be killed, or for the end of who made this process.
pub(super) fn sleep() -> ! {
    _ = set_pdeathsig(Signal::SIGKILL);
    loop {
        nix::unistd::pause();
    }
}
