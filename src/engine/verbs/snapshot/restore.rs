//! Gives a container the state of a snapshot: what it has now goes only when that is whole.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::{SnapshotError, alike, find};
use crate::engine::running::event::{self, What};
use crate::engine::running::{pending, reclaim, removal};
use crate::engine::store::dependents::{self, Dependent};
use crate::engine::store::{RemoveError, Store, mark_successor, snaps};
use crate::engine::terms::progress::Progress;
use crate::engine::verbs::create::{Copy, Create, CreateError, Creation, Original, rename_new};
use crate::engine::{Engine, Error, Name, Verb};

/// What becomes of a restored snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored<'a> {
    /// It takes the place of the container, with that one's host name and hardware addresses.
    Same,
    /// The same, with the container's name as its host name and new hardware addresses, as LXC does.
    AsLxc,
    /// It becomes another container.
    As(&'a Name),
}

impl Engine {
    /// Restores the snapshot `snap` of `name`, which must not run if it is replaced. A snapshot that
    /// does not exist changes nothing, and neither does a failure.
    pub fn restore_snapshot(
        &self,
        name: &Name,
        snap: &str,
        restored: Restored<'_>,
        progress: &Progress,
    ) -> Result<(), Error> {
        self.try_restore(name, snap, restored, progress)
            .map_err(|error| Error::new(Verb::Snapshot, name, error.kind(), error))
    }

    fn try_restore(
        &self,
        name: &Name,
        snap: &str,
        restored: Restored<'_>,
        progress: &Progress,
    ) -> Result<(), SnapshotError> {
        let store = Store::new(&self.lxcpath);
        let kept = snaps::store_of(&store, name);
        let _lock = store.lock(name)?;
        pending::settle(&store, name)?;
        let snap = find(&store, name, &kept, snap)?;
        if !kept.exists(&snap) {
            return Err(SnapshotError::Incomplete(snap));
        }
        let original = Original { store: &kept, name: &snap };
        let create = Create::default();
        let mut copy = alike(&snap);
        match restored {
            Restored::As(new) if new != name => {
                let _lock_of_new = store.lock(new)?;
                let work = Creation { store, name: new, create: &create, progress };
                work.clear_place()?;
                self.tidy();
                (copy.keeps_name, copy.keeps_addresses) = (false, false);
                work.make_copy(original, &copy, &|draft, place| rename_new(draft, place))?;
                event::publish(&self.lxcpath, new, What::Created);
                return Ok(());
            }
            Restored::As(_) | Restored::Same => (),
            Restored::AsLxc => (copy.keeps_name, copy.keeps_addresses) = (false, false),
        }
        let work = Creation { store, name, create: &create, progress };
        replace(&work, original, &copy)
    }
}

/// Replaces the container by a copy of the snapshot.
fn replace(work: &Creation<'_>, original: Original<'_>, copy: &Copy) -> Result<(), SnapshotError> {
    let (store, name) = (&work.store, work.name);
    let container = Original { store, name };
    if !store.dir(name).is_dir() {
        // Only its snapshots are left, which may be elsewhere.
        work.clear_place()?;
        work.make_copy(original, copy, &|draft, place| rename_new(draft, place))?;
        event::publish(store.lxcpath(), name, What::Created);
        return Ok(());
    }
    let _seat = container.hold_still()?;
    reclaim::clean_up_held(store.lxcpath(), name)?;
    removal::check_replaceable(store, name).map_err(SnapshotError::Replaced)?;
    let before = dependents::bases(&store.dir(name));
    work.make_copy(original, copy, &exchange)?;
    let after = dependents::bases(&store.dir(name));
    for it in before.iter().filter(|it| !after.contains(it)) {
        // What stays listed binds nothing that is there.
        _ = dependents::remove_copy(&it.dir(), &Dependent::of(store, name));
    }
    // The next command removes the rest of the old one.
    match pending::settle(store, name) {
        Err(error @ RemoveError::GiveBack { .. }) => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Exchanges the container at `place` and its successor in one step. What no snapshot keeps, such as the
/// snapshots themselves, goes along afterwards: it is never in a directory that is not the container's,
/// or marked as such.
fn exchange(draft: &Path, place: &Path) -> Result<(), CreateError> {
    let failed = |source: io::Error| CreateError::Make { path: place.to_path_buf(), source };
    mark_successor(draft).map_err(failed)?;
    match renameat2(AT_FDCWD, draft, AT_FDCWD, place, RenameFlags::RENAME_EXCHANGE) {
        Err(Errno::EINVAL | Errno::ENOSYS) => Err(CreateError::NoExchange(place.to_path_buf())),
        done => done.map_err(|errno| failed(errno.into())),
    }
}
