//! Which containers' freezers may have changed since the last look, by inotify(7), so that not
//! every state has to be read for every sample. Reads no state itself.
//!
//! The kernel reports any write to a v1 `freezer.state`, and every change of a v2 `cgroup.events`.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

use crate::engine::terms::name::Name;

/// The watches. Without inotify, or beyond its limits, every container must always be read.
#[derive(Debug, Default)]
pub(super) struct Freezers {
    inotify: Option<Inotify>,
    watched: HashMap<WatchDescriptor, Name>,
    changed: HashSet<Name>,
}

impl Freezers {
    /// Watches `file` of the container `name`; none: it must be read each time.
    pub(super) fn watch(&mut self, name: &Name, file: &Path) -> Option<WatchDescriptor> {
        let watch = self.inotify()?.add_watch(file, AddWatchFlags::IN_MODIFY).ok()?;
        self.watched.insert(watch, name.clone());
        // A change between the last read and this moment was not reported.
        self.changed.insert(name.clone());
        Some(watch)
    }

    fn inotify(&mut self) -> Option<&Inotify> {
        if self.inotify.is_none() {
            self.inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        }
        self.inotify.as_ref()
    }

    /// Returns a descriptor that polls readable when the kernel has reported something.
    pub(super) fn changes(&mut self) -> Option<OwnedFd> {
        self.inotify()?.as_fd().try_clone_to_owned().ok()
    }

    /// Processes what the kernel has reported.
    pub(super) fn hear(&mut self) {
        let Some(inotify) = &self.inotify else { return };
        while let Ok(events) = inotify.read_events() {
            if events.is_empty() {
                return;
            }
            for event in events {
                let lost = event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW);
                let everybody = self.watched.values().filter(|_| lost);
                self.changed
                    .extend(self.watched.get(&event.wd).into_iter().chain(everybody).cloned());
            }
        }
    }

    /// Returns whether `name` must be read; it then counts as read.
    pub(super) fn take(&mut self, name: &Name) -> bool {
        self.changed.remove(name)
    }

    /// Has `name` read the next time, too, since its state is a transient one.
    pub(super) fn again(&mut self, name: &Name) {
        self.changed.insert(name.clone());
    }

    /// Drops a watch; its file may be gone.
    pub(super) fn forget(&mut self, watch: WatchDescriptor) {
        if let (Some(inotify), Some(name)) = (&self.inotify, self.watched.remove(&watch)) {
            _ = inotify.rm_watch(watch);
            self.changed.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_looked_at_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut freezers = Freezers::default();
        let name = |it: &str| -> Name { it.parse().unwrap() };
        for it in ["a", "b"] {
            let file = dir.path().join(it);
            std::fs::write(&file, "THAWED").unwrap();
            freezers.watch(&name(it), &file).unwrap();
            assert!(freezers.take(&name(it)), "the first look is never spared");
        }
        freezers.hear();
        assert!(!freezers.take(&name("a")) && !freezers.take(&name("b")));
        std::fs::write(dir.path().join("b"), "FROZEN").unwrap();
        freezers.hear();
        assert!(!freezers.take(&name("a")) && freezers.take(&name("b")));
        assert!(freezers.watch(&name("c"), Path::new("/nonexistent")).is_none());
    }
}
