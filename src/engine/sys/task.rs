//! What a process asks of the kernel for itself, by prctl(2).
#![allow(unsafe_code, reason = "raw system calls have no safe form")]

use nix::errno::Errno;

const PR_SCHED_CORE: libc::c_int = 62;
const CREATE: libc::c_ulong = 1;
const SHARE_FROM: libc::c_ulong = 3;
const THREAD: libc::c_ulong = 0;
const THREAD_GROUP: libc::c_ulong = 1;

/// Has the kernel send `signal` when the parent ends; 0: none.
pub(in crate::engine) fn set_parent_death(signal: i32) -> nix::Result<()> {
    // SAFETY: integers only.
    let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong) };
    Errno::result(result).map(drop)
}

/// Parts from all others: no other process runs on a core beside this one and its children.
pub(in crate::engine) fn leave_core() -> nix::Result<()> {
    schedule(CREATE, 0, THREAD_GROUP)
}

/// Runs on a core together with the process `pid` from now on.
pub(in crate::engine) fn share_core_of(pid: i32) -> nix::Result<()> {
    schedule(SHARE_FROM, pid, THREAD)
}

fn schedule(command: libc::c_ulong, pid: i32, kind: libc::c_ulong) -> nix::Result<()> {
    let none: libc::c_ulong = 0;
    // SAFETY: integers only.
    let result = unsafe { libc::prctl(PR_SCHED_CORE, command, pid as libc::c_ulong, kind, none) };
    Errno::result(result).map(drop)
}
