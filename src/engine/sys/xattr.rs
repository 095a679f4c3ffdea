//! Extended attributes of open files.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;

/// Sets the attribute `name`.
pub(in crate::engine) fn set(file: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> nix::Result<()> {
    let (name, bytes) = (name.as_ptr(), value.as_ptr().cast());
    // SAFETY: the name ends with a NUL, and the kernel reads as many bytes as the value has.
    let done = unsafe { libc::fsetxattr(file.as_raw_fd(), name, bytes, value.len(), 0) };
    Errno::result(done).map(drop)
}
