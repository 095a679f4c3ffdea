//! Removes what killed commands have left under names that may never be used again. Touches nothing
//! that a command is working on, and never fails the caller: the next command tries again.

use std::collections::BTreeSet;
use std::path::Path;

use crate::engine::running::command_socket::address::private_dir;
use crate::engine::running::{reclaim, record, renaming};
use crate::engine::store::dependents;
use crate::engine::store::trash::Trash;
use crate::engine::store::{LOCKS, Store, remove_drafts, snaps, tidy_uppers};
use crate::engine::{Engine, Name};

impl Engine {
    /// Looks for leftovers of other containers; each command clears those of its own.
    pub(in crate::engine) fn tidy(&self) {
        let store = Store::new(&self.lxcpath);
        remove_drafts(&store);
        // Whoever empties the trash reports what stays.
        _ = Trash::of(&store).tidy();
        for entry in entries(&self.lxcpath) {
            if let Some(name) = renaming::renamed(&entry) {
                renaming::settle_if_free(&store, &name);
            } else if let Ok(name) = entry.parse::<Name>() {
                clear_snapshots(&store, &name);
                clear_written(&store, &name);
            }
        }
        record::remove_drafts(&self.lxcpath);
        for name in self.kept().iter().filter(|it| store.dir(it).symlink_metadata().is_err()) {
            reclaim::forget_ended(&self.lxcpath, name);
            // Dropping the lock removes its file.
            _ = store.try_lock(name);
        }
        tidy_uppers(self.lxcpath.host(), reclaim::outlives);
        // Directories of other lxcpaths: only empty ones can be removed.
        let runtime = self.lxcpath.host().runtime_dir();
        for kind in ["run", "socket"].map(|it| runtime.join(it)) {
            entries(&kind).for_each(|it| _ = std::fs::remove_dir(kind.join(it)));
        }
    }

    /// Removes drafts of killed commands and supervisors. It only lists one directory, so `ls` can
    /// do it.
    pub fn clear_drafts(&self) {
        record::remove_drafts(&self.lxcpath);
    }

    /// Returns the containers that have files in the runtime directory.
    fn kept(&self) -> BTreeSet<Name> {
        let recorded = record::dir(&self.lxcpath);
        let recorded = entries(&recorded).filter_map(|it| record::of_file(&it));
        let sockets = private_dir(&self.lxcpath);
        let sockets = entries(&sockets).filter_map(|it| it.parse().ok());
        let locks = LOCKS.map(|it| self.lxcpath.host().runtime_dir().join(it));
        let locks = locks.iter().flat_map(|it| entries(it));
        let of_here = format!("{}-", self.lxcpath.key());
        let locked = locks.filter_map(|it| it.strip_prefix(&of_here)?.parse().ok());
        recorded.chain(sockets).chain(locked).collect()
    }
}

/// Removes snapshots that were not finished, and their directory if there is no other.
fn clear_snapshots(store: &Store, name: &Name) {
    let kept = snaps::store_of(store, name);
    if !kept.lxcpath().is_dir() {
        return;
    }
    kept.tidy_locks();
    remove_drafts(&kept);
    let is_empty =
        std::fs::read_dir(kept.lxcpath()).is_ok_and(|mut entries| entries.next().is_none());
    // Whoever takes one now holds the lock.
    if is_empty && let Ok(_lock) = store.try_lock(name) {
        _ = std::fs::remove_dir(kept.lxcpath());
    }
}

/// Removes files that were never finished, and forgets copies that are listed and were not either.
fn clear_written(store: &Store, name: &Name) {
    if store.has_drafts(name) || !dependents::copies(&store.dir(name)).is_empty() {
        store.tidy(name);
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|it| it.file_name().into_string().ok())
}
