//! Extended attributes of open files.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;

/// More than the kernel's limits of a list of names and of a value.
const MOST: usize = 64 * 1024;

/// Sets the attribute `name`.
pub(in crate::engine) fn set(file: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> nix::Result<()> {
    let (name, bytes) = (name.as_ptr(), value.as_ptr().cast());
    // SAFETY: the name ends with a NUL, and the kernel reads as many bytes as the value has.
    let done = unsafe { libc::fsetxattr(file.as_raw_fd(), name, bytes, value.len(), 0) };
    Errno::result(done).map(drop)
}

/// Returns every attribute with its value.
pub(in crate::engine) fn all(file: BorrowedFd<'_>) -> nix::Result<Vec<(CString, Vec<u8>)>> {
    let fd = file.as_raw_fd();
    let mut names = vec![0_u8; MOST];
    let bytes = names.as_mut_ptr().cast();
    // SAFETY: the kernel writes no more bytes than the buffer has.
    let length = Errno::result(unsafe { libc::flistxattr(fd, bytes, names.len()) })?;
    let names = names.get(..length.cast_unsigned()).unwrap_or_default();
    let mut all = Vec::new();
    for name in names.split(|it| *it == 0).filter(|it| !it.is_empty()) {
        let name = CString::new(name).map_err(|_nul| Errno::EINVAL)?;
        let mut value = vec![0_u8; MOST];
        let bytes = value.as_mut_ptr().cast();
        // SAFETY: the name ends with a NUL, and the kernel writes no more bytes than the buffer has.
        let length = unsafe { libc::fgetxattr(fd, name.as_ptr(), bytes, value.len()) };
        value.truncate(Errno::result(length)?.cast_unsigned());
        all.push((name, value));
    }
    Ok(all)
}
