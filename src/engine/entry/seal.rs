//! Keeps a container from writing to this program's file through `/proc/PID/exe`
//! (CVE-2019-5736): processes that enter containers run from a detached read-only mount of it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, fstatvfs};

use crate::engine::sys::{self, Recursive, attr};

/// This program's own file, ready to be executed again.
#[derive(Debug)]
pub(in crate::engine) struct Sealed(Option<OwnedFd>);

impl Sealed {
    /// Makes a read-only copy of the mount that this program was executed from, unless it is one
    /// already or the kernel does not permit that.
    pub(in crate::engine) fn new() -> Self {
        Self(seal().unwrap_or(None))
    }

    /// Returns a path to execute, valid while `self` lives.
    pub(in crate::engine) fn path(&self) -> String {
        match &self.0 {
            Some(fd) => format!("/proc/self/fd/{}", fd.as_raw_fd()),
            None => "/proc/self/exe".to_owned(),
        }
    }
}

/// Executes this program again from a sealed copy. Returns if it is sealed already, or if it cannot
/// be: one defence (the process cannot be inspected until it has executed the container's program)
/// remains.
pub(in crate::engine) fn reexec() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.load(Ordering::Relaxed) {
        return;
    }
    let sealed = Sealed::new();
    if sealed.0.is_none() {
        DONE.store(true, Ordering::Relaxed);
        // Keeping the old name does no harm.
        _ = name_process();
        return;
    }
    let strings = |it: Vec<u8>| CString::new(it).ok();
    let argv: Vec<_> = std::env::args_os().filter_map(|it| strings(it.into_vec())).collect();
    let environment: Vec<_> = std::env::vars_os()
        .filter_map(|(mut key, value)| {
            key.push("=");
            key.push(value);
            strings(key.into_vec())
        })
        .collect();
    if let Ok(path) = CString::new(sealed.path()) {
        // On failure we continue unsealed.
        _ = nix::unistd::execve(&path, &argv, &environment);
    }
}

/// Gives the process the program's name: the kernel called it after the descriptor in the path
/// that it was executed by.
pub(in crate::engine) fn name_process() -> nix::Result<()> {
    nix::sys::prctl::set_name(c"wharf")
}

fn seal() -> io::Result<Option<OwnedFd>> {
    let own = open("/proc/self/exe", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    if fstatvfs(&own)?.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(None);
    }
    let copy = sys::open_tree(own.as_raw_fd(), c"", Recursive::No)?;
    sys::mount_setattr(copy.as_fd(), Recursive::No, attr::RDONLY, 0, 0)?;
    // Only a copy that is certainly sealed ends the search, so that executions cannot loop.
    let sealed = fstatvfs(&copy)?.flags().contains(FsFlags::ST_RDONLY);
    Ok(sealed.then_some(copy))
}
