//! Reads configurations, and the small files beside them.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::engine::host::short::read_short;

/// The longest one.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads a regular file of bounded length. Follows no link, and waits for no pipe.
pub(in crate::engine) fn small_file(path: &Path) -> io::Result<Vec<u8>> {
    read(path, libc::O_NOFOLLOW)
}

/// The same, where a link may lead to the file.
pub(in crate::engine) fn regular_file(path: &Path) -> io::Result<Vec<u8>> {
    read(path, 0)
}

fn read(path: &Path, more: libc::c_int) -> io::Result<Vec<u8>> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | more;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let bytes = read_short(file, MAX_BYTES + 1)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}
