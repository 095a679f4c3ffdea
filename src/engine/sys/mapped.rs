//! What a supervisor does for a process whose user namespace lacks the privilege; see
//! mount_setattr(2) and prlimit(2).
#![allow(unsafe_code, reason = "raw system calls have no safe form")]

use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;

use super::Recursive;

/// Has the detached `mount` show the owners of its files by the map of the user namespace `users`.
pub(in crate::engine) fn map_mount(
    mount: BorrowedFd<'_>,
    recursive: Recursive,
    users: BorrowedFd<'_>,
) -> nix::Result<()> {
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: users.as_raw_fd() as u64,
    };
    let below = if recursive == Recursive::Yes { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty constant, `attributes` lives through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | below,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    Errno::result(result).map(drop)
}

/// Sets a resource limit, of `RLIMIT_*`, of the process `pid`.
pub(in crate::engine) fn limit_of(
    pid: i32,
    resource: i32,
    soft: u64,
    hard: u64,
) -> nix::Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let old = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: the limit outlives the call, and the old one is not wanted.
    let result =
        unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, &raw const limit, old) };
    Errno::result(result).map(drop)
}
