//! Enables v2 controllers for a group's children, which the kernel allows only if the group itself
//! contains no process: processes are moved into a leaf first, as systemd expects of the owner of a
//! delegated group.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::file::{LEAF, lines_of, words_of, write_once};

/// What a v2 group enables for its children.
const ENABLED: &str = "cgroup.subtree_control";
const MODE: u32 = 0o755;
/// Processes that are moved may fork meanwhile.
const ROUNDS: usize = 8;

/// Enables every controller of the v2 group `dir` for its children, where the kernel allows it.
///
/// A refusal is not fatal: a container without limits runs well, and a limit that then lacks its
/// file is explained when it is applied.
pub(super) fn enable(dir: &Path) {
    let controllers = words_of(&dir.join("cgroup.controllers"));
    if controllers.is_empty() {
        return;
    }
    // With only the threaded controllers enabled, its children could not have processes.
    if is_crowded(dir) && move_to_leaf(dir).is_err() {
        return;
    }
    let missing = missing(dir, controllers);
    // One controller that cannot be enabled must not prevent the others.
    if turn_on(dir, &missing).is_err() {
        for it in missing {
            _ = turn_on(dir, &[it]);
        }
    }
}

/// The same for a group in which wharf has no processes. Should another have put one there, the kernel
/// says so.
pub(super) fn enable_in_empty(dir: &Path) {
    let missing = missing(dir, words_of(&dir.join("cgroup.controllers")));
    if turn_on(dir, &missing).is_err() {
        enable(dir);
    }
}

/// Lists those of `controllers` that `dir` does not enable for its children, as they are written to it.
fn missing(dir: &Path, controllers: Vec<String>) -> Vec<String> {
    let enabled = words_of(&dir.join(ENABLED));
    controllers.into_iter().filter(|it| !enabled.contains(it)).map(|it| format!("+{it}")).collect()
}

fn turn_on(dir: &Path, controllers: &[String]) -> io::Result<()> {
    if controllers.is_empty() {
        return Ok(());
    }
    write_once(&dir.join(ENABLED), controllers.join(" ").as_bytes())
}

/// Returns whether `dir`, unless it is the root of the hierarchy, contains processes itself.
pub(super) fn is_crowded(dir: &Path) -> bool {
    !is_root(dir) && !members(dir).is_empty()
}

/// Lists the processes that are in `dir` itself.
pub(super) fn members(dir: &Path) -> Vec<String> {
    // A threaded group lists none.
    lines_of(&dir.join("cgroup.procs"))
}

/// Returns the group at the v2 group `dir` that may contain processes: itself, or else a leaf, since
/// one that enables controllers for its children cannot, unless it is the root.
pub(super) fn home(dir: &Path) -> io::Result<PathBuf> {
    let own = is_root(dir) || words_of(&dir.join(ENABLED)).is_empty();
    if own { Ok(dir.to_path_buf()) } else { leaf(dir) }
}

/// Gives the v2 group `dir` its processes back, and removes the leaf, if nothing else is left in it.
/// Does what it can: the next one to end tries again.
pub(super) fn restore(dir: &Path) {
    let leaf = dir.join(LEAF);
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut groups = entries.filter(|it| it.file_type().is_ok_and(|it| it.is_dir()));
    if !leaf.is_dir() || groups.any(|it| it.file_name() != LEAF) {
        return;
    }
    let file = dir.join(ENABLED);
    let off: Vec<String> = words_of(&file).iter().map(|it| format!("-{it}")).collect();
    if (off.is_empty() || write_once(&file, off.join(" ").as_bytes()).is_ok())
        && move_all(&leaf, dir).is_ok()
    {
        _ = std::fs::remove_dir(leaf);
    }
}

fn is_root(dir: &Path) -> bool {
    !dir.join("cgroup.type").exists()
}

fn leaf(dir: &Path) -> io::Result<PathBuf> {
    let leaf = dir.join(LEAF);
    match DirBuilder::new().mode(MODE).create(&leaf) {
        Err(errno) if errno.kind() != io::ErrorKind::AlreadyExists => Err(errno),
        Ok(()) | Err(_) => Ok(leaf),
    }
}

fn move_to_leaf(dir: &Path) -> io::Result<()> {
    move_all(dir, &leaf(dir)?)
}

fn move_all(from: &Path, to: &Path) -> io::Result<()> {
    let door = to.join("cgroup.procs");
    for _ in 0..ROUNDS {
        let pids = members(from);
        if pids.is_empty() {
            return Ok(());
        }
        for pid in pids {
            match write_once(&door, pid.as_bytes()) {
                // It has ended.
                Err(errno) if errno.raw_os_error() == Some(libc::ESRCH) => (),
                moved => moved?,
            }
        }
    }
    Err(io::Error::from_raw_os_error(libc::EBUSY))
}
