//! The operations for which wharf uses cgroups-rs: filling a cpuset, and removing a dead tree.
//!
//! Its controllers get the directories that our own discovery found. We attach, freeze and sample
//! ourselves: the crate moves processes by pid, does not wait, and reopens each file.

use std::io;
use std::path::Path;

use cgroups_rs::fs::Controller as _;
use cgroups_rs::fs::cpuset::CpuSetController;
use cgroups_rs::fs::error::Error;
use cgroups_rs::fs::systemd::SystemdController;

use crate::engine::host::short::text_at_once;

/// Copies `cpuset.cpus` and `cpuset.mems` down to the fresh v1 group `dir` from its nearest
/// ancestor that has some. Without them no process can join.
pub(super) fn fill_cpuset(dir: &Path, mount: &Path) -> io::Result<()> {
    // The kernel does it itself where the parent is told to (`cgroup.clone_children`).
    if empty(dir).is_none() {
        return Ok(());
    }
    let cpuset = CpuSetController::new(dir.to_path_buf(), mount.to_path_buf(), false);
    // The directory exists; this runs the crate's hook that fills a new group.
    cpuset.create().map_err(plain)?;
    // The hook only logs its failures, so check.
    match empty(dir) {
        None => Ok(()),
        Some(file) => Err(io::Error::other(format!("{file} stays empty, so nothing can join"))),
    }
}

/// Returns which of the two files is empty.
fn empty(dir: &Path) -> Option<&'static str> {
    let is_empty =
        |file: &&str| text_at_once(dir.join(file)).is_ok_and(|it| it.trim_ascii().is_empty());
    ["cpuset.cpus", "cpuset.mems"].into_iter().find(is_empty)
}

/// Removes the dead group `dir` and the groups below it, trying again for a tenth of a second.
pub(super) fn clear(dir: &Path, mount: &Path) -> io::Result<()> {
    // Any of the crate's controllers would do: removal only needs directories.
    SystemdController::new(dir.to_path_buf(), mount.to_path_buf(), false).delete().map_err(plain)
}

/// Keeps the kernel's errno, which the crate carries as a cause.
fn plain(error: Error) -> io::Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(it) = cause {
        if let Some(errno) = it.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return io::Error::from_raw_os_error(errno);
        }
        cause = it.source();
    }
    io::Error::other(error.to_string())
}
