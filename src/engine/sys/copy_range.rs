//! Bytes of one file that the kernel copies into another, or shares where the file system can.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;

/// Copies at most `most` bytes at the place `at` of both, and returns how many it has copied.
pub(in crate::engine) fn copy_range(
    from: &File,
    to: &File,
    at: u64,
    most: usize,
) -> nix::Result<usize> {
    let [mut read_at, mut write_at] = [at.cast_signed(); 2];
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    // SAFETY: both places outlive the call, which touches no other memory.
    let count =
        unsafe { libc::copy_file_range(from, &raw mut read_at, to, &raw mut write_at, most, 0) };
    Errno::result(count).map(isize::cast_unsigned)
}
