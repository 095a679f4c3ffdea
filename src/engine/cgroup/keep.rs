//! `wharf.keep`: an empty group beside the containers' that keeps the controllers enabled.
//!
//! systemd takes a controller out of its root's `cgroup.subtree_control` when none of its own units
//! uses it (at `daemon-reload`, or when a unit ends), and the limits of every group there are lost
//! with it. The kernel refuses that while a child enables the controller for children of its own,
//! which a container's group cannot do, since it contains processes.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::hand_down::{enable, enable_in_empty, restore};
use super::{Hierarchies, Hierarchy};
use crate::engine::terms::patience::Patience;

const NAME: &str = "wharf.keep";
/// No other user may hold its lock.
const MODE: u32 = 0o700;
/// How long a process that removes it may hold the lock; a container also runs without it.
const REMOVAL: Duration = Duration::from_secs(1);

/// A hold on the group. Dropping the last one removes the group; a holder that is killed releases
/// it too, and [`sweep`] removes what it left.
#[derive(Debug)]
pub struct Keep {
    dir: PathBuf,
    held: File,
}

impl Keep {
    /// Creates the group, or joins its holders; none if there is nothing to keep, or no permission.
    pub fn take(hierarchies: &Hierarchies) -> Option<Self> {
        let Hierarchy { base, controllers, .. } = hierarchies.unified()?;
        if controllers.is_empty() {
            return None;
        }
        let dir = base.join(NAME);
        let mut patience = Patience::until(Instant::now() + REMOVAL);
        loop {
            match DirBuilder::new().mode(MODE).create(&dir) {
                Err(errno) if errno.kind() != io::ErrorKind::AlreadyExists => return None,
                Ok(()) | Err(_) => (),
            }
            if let Some(held) = open(&dir).filter(|it| it.try_lock_shared().is_ok())
                && is_at(&held, &dir)
            {
                // Restores what systemd has disabled since the container's group was created.
                enable(base);
                enable_in_empty(&dir);
                return Some(Self { dir, held });
            }
            // Its last holder is removing it.
            if !patience.again() {
                return None;
            }
        }
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        // If two release it at once, the later one finds no other holder and removes it.
        _ = self.held.unlock();
        remove(&self.held, &self.dir);
    }
}

/// Removes the group if nobody holds it, because its holders were killed.
pub fn sweep(hierarchies: &Hierarchies) {
    let Some(unified) = hierarchies.unified() else { return };
    let dir = unified.base.join(NAME);
    if let Some(found) = open(&dir) {
        remove(&found, &dir);
    }
}

fn remove(found: &File, dir: &Path) {
    if found.try_lock().is_ok() && is_at(found, dir) {
        // It is empty; groups that others put there stay.
        _ = std::fs::remove_dir(dir);
        if let Some(base) = dir.parent() {
            restore(base);
        }
    }
}

fn open(dir: &Path) -> Option<File> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    File::options().read(true).custom_flags(flags).open(dir).ok()
}

/// Returns whether the group that was opened is the one that is there now.
fn is_at(held: &File, dir: &Path) -> bool {
    let (ours, found) = (held.metadata(), std::fs::symlink_metadata(dir));
    ours.is_ok_and(|ours| found.is_ok_and(|it| (it.dev(), it.ino()) == (ours.dev(), ours.ino())))
}
