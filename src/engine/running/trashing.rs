//! Moves a container to the trash and back, for a caller with its lock and its seat. Whichever command
//! is killed, the container is in one place or in the other, whole.
//!
//! A copy in the trash still shows the files of others: they list it where it is now, so that they
//! are not removed for good before it.

use std::path::PathBuf;

use super::event::{self, What};
use super::record;
use super::removal::{self, RemovalError};
use super::renaming::{Renaming, RenamingError};
use crate::engine::Name;
use crate::engine::config::{self, Config};
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::store::dependents::{self, Dependent};
use crate::engine::store::trash::{self, Trash, TrashError, TrashId};
use crate::engine::store::{
    Lock, RemoveError, Store, mount_below, remove_draft, remove_drafts, snaps,
};
use crate::engine::terms::error::words;

/// Why a container is not where it was to be moved.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum TrashingError {
    #[error(transparent)]
    Removal(#[from] RemovalError),
    #[error("{error}; `wharf destroy --now {name}` removes it for good")]
    Trash { name: Name, error: TrashError },
    #[error("{0} already exists; `--as NEWNAME` restores it under another name")]
    Taken(PathBuf),
    #[error(transparent)]
    Back(TrashError),
    #[error("{path}: {}", words(error))]
    List { path: PathBuf, error: std::io::Error },
    #[error("it shows the files of {name}, which {}", whereabouts(trashed.as_ref()))]
    NoBase { name: String, trashed: Option<TrashId> },
    #[error("{0}; restore it under its own name")]
    Bound(RemovalError),
    #[error(transparent)]
    Renaming(#[from] RenamingError),
}

fn whereabouts(trashed: Option<&TrashId>) -> String {
    match trashed {
        Some(id) => format!("is in the trash; `wharf trash restore {id}` first"),
        None => "is not there any more".to_owned(),
    }
}

/// What came of a move to the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trashed {
    pub id: TrashId,
    /// What a restore will not bring back, in words.
    pub notes: Vec<String>,
}

/// Refuses what must not be destroyed, running or not, or cannot be moved; returns the configuration.
pub(in crate::engine) fn check(store: &Store, name: &Name) -> Result<Option<Config>, RemovalError> {
    removal::check_live_copies(store, name)?;
    let kept = snaps::store_of(store, name);
    for it in snaps::names(&kept) {
        if kept.lxcpath().spelled() != store.spelled(name).join(snaps::SNAPS) {
            // They would stay behind.
            return Err(RemovalError::Snapshots(kept.lxcpath().spelled()));
        }
        removal::check_live_copies(&kept, &it)?;
    }
    if let Some(mount) = mount_below(store.lxcpath(), name.as_str()) {
        return Err(RemoveError::Mount(mount).into());
    }
    // A configuration that cannot be read protects nothing: a broken container must be removable.
    let Ok(config) = config::load(name, store.lxcpath(), None, &[]) else { return Ok(None) };
    removal::check_managed(&config, &store.dir(name))?;
    Ok(Some(config))
}

/// Moves the container to the trash, with its snapshots. `lxc.hook.destroy` runs before, where the
/// container still is what it expects.
pub(in crate::engine) fn discard(store: &Store, name: &Name) -> Result<Trashed, TrashingError> {
    let failed = |error| TrashingError::Trash { name: name.clone(), error };
    remove_draft(store, name).map_err(RemovalError::from)?;
    let config = check(store, name)?;
    remove_drafts(&snaps::store_of(store, name));
    let trash = Trash::of(store);
    let (id, _lock) = trash.make_room(name).map_err(failed)?;
    let notes = moved_there(store, &trash, &id, config.as_ref());
    if notes.is_err() {
        trash.clear_room(&id);
    }
    let notes = notes?;
    // The next command forgets what stays.
    _ = record::forget(store.lxcpath(), name);
    event::publish(store.lxcpath(), name, What::Destroyed);
    Ok(Trashed { id, notes })
}

fn moved_there(
    store: &Store,
    trash: &Trash,
    id: &TrashId,
    config: Option<&Config>,
) -> Result<Vec<String>, TrashingError> {
    let name = id.name();
    let mut notes = Vec::new();
    if let Some(config) = config {
        removal::run_hooks(config, name)?;
        if !config.get("lxc.hook.destroy").unwrap_or_default().is_empty() {
            notes.push("lxc.hook.destroy has run, and a restore does not undo that".to_owned());
        }
    }
    let room = trash.store(id);
    let listings = Listing::of(store, [store, &room], name);
    Listing::move_all(&listings, || {
        let moved = trash::move_container(&store.dir(name), &trash.place(id));
        moved.map_err(|error| TrashingError::Trash { name: name.clone(), error })
    })?;
    Ok(notes)
}

/// Moves one back, as the container `new`. The caller holds the locks of both. Returns what is not as
/// it was.
pub(in crate::engine) fn bring_back(
    store: &Store,
    id: &TrashId,
    new: &Name,
    _both: &[Lock; 2],
) -> Result<Vec<String>, TrashingError> {
    let (trash, old) = (Trash::of(store), id.name());
    let (from, to) = (trash.place(id), store.dir(new));
    let room = trash.store(id);
    if to.symlink_metadata().is_ok() {
        return Err(TrashingError::Taken(to));
    }
    let mut notes = check_bases(&trash, &room, old)?;
    if new == old {
        let listings = Listing::of(&room, [&room, store], old);
        Listing::move_all(&listings, || trash::move_container(&from, &to).map_err(back))?;
        event::publish(store.lxcpath(), new, What::Created);
    } else {
        notes.extend(renamed(store, &room, id, new)?);
    }
    trash.clear_room(id);
    Ok(notes)
}

/// Does so under another name.
fn renamed(
    store: &Store,
    room: &Store,
    id: &TrashId,
    new: &Name,
) -> Result<Vec<String>, TrashingError> {
    let (old, trash) = (id.name(), Trash::of(store));
    let (from, to) = (trash.place(id), store.dir(new));
    // Their configurations name it.
    removal::check_dependents(room, old).map_err(TrashingError::Bound)?;
    let renaming = Renaming { store, old, new };
    let before = renaming.check(&from)?;
    renaming.announce(&from)?;
    if let Err(error) = trash::move_container(&from, &to) {
        // The next command removes it as well.
        _ = renaming.forget();
        return Err(back(error));
    }
    let bases = dependents::bases(&to);
    let completed = renaming.complete();
    match &completed {
        Ok(_) => {
            let was = Dependent::of(room, old);
            // Of one that stays listed, the next check sees that it is gone.
            for it in &bases {
                _ = dependents::remove_copy(&it.dir(), &was);
            }
        }
        // What cannot be put back is completed by the next command.
        Err(_) if renaming.undo(&before).is_ok() && trash::rename(&to, &from).is_ok() => {
            _ = renaming.forget();
        }
        Err(_) => (),
    }
    Ok(completed?)
}

fn back(error: TrashError) -> TrashingError {
    match error {
        TrashError::Taken(path) => TrashingError::Taken(path),
        other @ (TrashError::Make { .. }
        | TrashError::Foreign(_)
        | TrashError::Apart { .. }
        | TrashError::Move { .. }
        | TrashError::Store(_)) => TrashingError::Back(other),
    }
}

/// Refuses one whose files are in part those of a container that is not there. Returns which may be
/// another one than it was.
fn check_bases(trash: &Trash, room: &Store, name: &Name) -> Result<Vec<String>, TrashingError> {
    let own = Dependent::of(room, name);
    let mut notes = Vec::new();
    for base in dependents::bases(&room.dir(name)) {
        if !base.dir().is_dir() {
            let trashed = trash.list().unwrap_or_default().into_iter().rev();
            let mut trashed = trashed.filter(|it| {
                it.name().as_str() == base.name
                    && dependents::copies(&trash.place(it)).contains(&own)
            });
            let trashed = trashed.next();
            return Err(TrashingError::NoBase { name: base.name, trashed });
        }
        if !dependents::copies(&base.dir()).contains(&own) {
            let words = "does not know it: that may be another container than the one whose files \
                         it has shown";
            notes.push(format!("{} {words}", base.name));
        }
    }
    Ok(notes)
}

/// Refuses if others in the trash show the files of this one, which is to be removed for good.
pub(in crate::engine) fn check_removal(store: &Store, id: &TrashId) -> Result<(), RemovalError> {
    let (trash, room) = (Trash::of(store), Trash::of(store).store(id));
    let kept = kept(&room, id.name());
    let snapshots = snaps::names(&kept).into_iter().map(|it| kept.dir(&it));
    for dir in [trash.place(id)].into_iter().chain(snapshots) {
        let copies = dependents::copies(&dir).into_iter().map(|it| it.dir());
        let mut copies = copies.filter(|it| it.exists() && !it.starts_with(room.lxcpath().dir()));
        if let Some(copy) = copies.next() {
            return Err(match trash::id_in(&copy) {
                Some(id) => RemovalError::Trashed(id),
                None => RemovalError::Copied(copy.display().to_string()),
            });
        }
    }
    Ok(())
}

/// Removes one for good. The caller holds its lock.
pub(in crate::engine) fn remove(store: &Store, id: &TrashId) -> Result<(), RemovalError> {
    check_removal(store, id)?;
    let room = Trash::of(store).store(id);
    let listings = Listing::of(&room, [&room, &room], id.name());
    Trash::of(store).remove(id)?;
    for it in listings {
        // Of one that stays listed, the next check sees that it is gone.
        _ = dependents::remove_copy(&it.base, &it.was);
    }
    Ok(())
}

/// How the container whose files another one shows lists that, and is to.
struct Listing {
    base: PathBuf,
    was: Dependent,
    becomes: Dependent,
}

impl Listing {
    /// Lists all of the container `name`, which is in `at`, and of its snapshots, where it moves from
    /// one store to another.
    fn of(at: &Store, [from, to]: [&Store; 2], name: &Name) -> Vec<Self> {
        let kept = kept(at, name);
        let snap = |store: &Store, snap: &Name| Dependent {
            lxcpath: store.spelled(name).join(snaps::SNAPS).to_string_lossy().into_owned(),
            name: snap.to_string(),
        };
        let own = [Dependent::of(from, name), Dependent::of(to, name)];
        let all = snaps::names(&kept)
            .into_iter()
            .map(|it| (kept.dir(&it), [snap(from, &it), snap(to, &it)]))
            .chain([(at.dir(name), own)]);
        all.flat_map(|(dir, [was, becomes])| {
            let bases = dependents::bases(&dir).into_iter().map(|it| it.dir());
            // Another container may have got the name of the one it was.
            let known = bases.filter(|it| dependents::copies(it).contains(&was));
            let listing = |base| Self { base, was: was.clone(), becomes: becomes.clone() };
            known.map(listing).collect::<Vec<_>>()
        })
        .collect()
    }

    /// Lists them under both while `moves` is carried out.
    fn move_all(
        all: &[Self],
        moves: impl FnOnce() -> Result<(), TrashingError>,
    ) -> Result<(), TrashingError> {
        let listed = all.iter().try_for_each(|it| {
            dependents::add_copy(&it.base, &it.becomes)
                .map_err(|error| TrashingError::List { path: it.base.clone(), error })
        });
        let moved = listed.and_then(|()| moves());
        for it in all {
            let (is, over) = match moved {
                Ok(()) => (&it.becomes, &it.was),
                Err(_) => (&it.was, &it.becomes),
            };
            // A clean-up may have found it gone before it was there.
            _ = dependents::add_copy(&it.base, is);
            // Of one that stays listed, the next check sees that it is gone.
            _ = dependents::remove_copy(&it.base, over);
        }
        moved
    }
}

/// Returns the store of the snapshots that move with the container.
fn kept(store: &Store, name: &Name) -> Store {
    let place = store.spelled(name).join(snaps::SNAPS);
    Store::new(&Lxcpath::open(store.lxcpath().host(), &place))
}
