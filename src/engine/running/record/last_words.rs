//! The last output of a container's console, kept beside the record of the run for use after its
//! end. As private as the record, and removed with it.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::draft;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::terms::name::Name;

/// More than a screen of the longest lines, and small enough for a memory file system.
const MOST: usize = 64 * 1024;

/// Keeps the end of `said` for the container, instead of the output of an earlier run. Without free
/// space it is lost, which is not an error.
pub(in crate::engine) fn keep(lxcpath: &Lxcpath, name: &Name, said: &[u8]) -> io::Result<()> {
    let path = path(&super::path(lxcpath.host(), lxcpath, name));
    // Never the output of one run beside the record of another.
    _ = fs::remove_file(&path);
    if said.is_empty() {
        return Ok(());
    }
    let end = said.get(said.len().saturating_sub(MOST)..).unwrap_or_default();
    draft::create(&path)?.write_all(end)
}

/// Returns the container's output at the end of its last run.
pub(in crate::engine) fn read(lxcpath: &Lxcpath, name: &Name) -> Option<Vec<u8>> {
    let path = path(&super::path(lxcpath.host(), lxcpath, name));
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let mut said = Vec::new();
    file.take(MOST as u64).read_to_end(&mut said).ok()?;
    Some(said)
}

/// Returns the place beside the `record`.
pub(super) fn path(record: &Path) -> PathBuf {
    record.with_extension("console")
}
