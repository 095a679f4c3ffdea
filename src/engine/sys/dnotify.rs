//! Directories whose files are watched by a signal; see `F_NOTIFY` in fcntl(2). Decides nothing.
#![allow(unsafe_code, reason = "raw system calls have no safe form")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;

/// Of the kernel's `fcntl.h`, on every architecture.
const F_NOTIFY: libc::c_int = 1026;
const DN_MODIFY: libc::c_int = 0x2;
const DN_MULTISHOT: libc::c_int = 1 << 31;

/// Has the kernel send SIGIO to this process whenever a file directly in `dir` is written, until the
/// descriptor is closed. Unlike inotify(7), of which a user may have 128 instances, this has no limit
/// of its own.
pub(in crate::engine) fn watch_writes(dir: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the call takes no pointer.
    let done = unsafe { libc::fcntl(dir.as_raw_fd(), F_NOTIFY, DN_MODIFY | DN_MULTISHOT) };
    Ok(Errno::result(done).map(drop)?)
}
