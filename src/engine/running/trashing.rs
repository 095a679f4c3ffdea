//! Moves a container to the trash and back, for a caller with its lock and its seat. Whichever command
//! is killed, the container is in one place or in the other, whole.
//!
//! A copy in the trash still shows the files of others: they list it where it is now, so that they
//! are not removed for good before it.

use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::event::{self, What};
use super::listing::{self, ListError, Listing};
use super::record;
use super::removal::{self, RemovalError};
use super::renaming::{Renaming, RenamingError};
use crate::engine::Name;
use crate::engine::config::{self, Config};
use crate::engine::store::dependents;
use crate::engine::store::trash::{self, LimitsError, Trash, TrashError, TrashId, TrashLimits};
use crate::engine::store::{
    Lock, RemoveError, Store, command_for, mount_below, remove_draft, remove_drafts, snaps,
};
use crate::engine::terms::rootfs::Storage;
use crate::engine::terms::shown::shown;

/// A file system with less than this share of free space is said to be nearly full.
const FREE_SHARE: u64 = 20;

/// Why a container is not where it was to be moved.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum TrashingError {
    #[error(transparent)]
    Removal(#[from] RemovalError),
    #[error("{error}; {now}")]
    NotThere { error: Box<Self>, now: String },
    #[error(transparent)]
    Trash(#[from] TrashError),
    #[error(transparent)]
    Limits(#[from] LimitsError),
    #[error("{0} already exists; `--as NEWNAME` restores it under another name")]
    Taken(PathBuf),
    #[error(transparent)]
    List(#[from] ListError),
    #[error(
        "it shows the files of {}, which {}", shown(name), whereabouts(trashed.as_deref())
    )]
    NoBase { name: String, trashed: Option<String> },
    #[error("{0}; restore it under its own name")]
    Bound(RemovalError),
    #[error(transparent)]
    Renaming(#[from] RenamingError),
}

fn whereabouts(restore: Option<&str>) -> String {
    match restore {
        Some(line) => format!("is in the trash; `{line}` first"),
        None => "is not there any more".to_owned(),
    }
}

impl TrashingError {
    /// Adds how the container is removed without the trash, where that is what is in the way.
    fn advising(self, store: &Store, name: &Name) -> Self {
        match self {
            Self::Trash(_) | Self::List(_) | Self::Limits(_) => {
                let wharf = command_for(store.lxcpath());
                let now = format!("`{wharf} destroy --now {name}` removes it for good");
                let now = if snaps::names(&snaps::store_of(store, name)).is_empty() {
                    now
                } else {
                    format!("`{wharf} snapshot {name} delete all` and then {now}")
                };
                Self::NotThere { error: Box::new(self), now }
            }
            Self::Removal(_)
            | Self::NotThere { .. }
            | Self::Taken(_)
            | Self::NoBase { .. }
            | Self::Bound(_)
            | Self::Renaming(_) => self,
        }
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
            return Err(RemovalError::snapshots(store, name, &kept.lxcpath().spelled()));
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

/// Refuses what the trash cannot take, by making room for it for a moment.
pub(in crate::engine) fn check_room(store: &Store, name: &Name) -> Result<(), TrashingError> {
    let trash = Trash::of(store);
    let checked = TrashLimits::load().map_err(TrashingError::from).and_then(|_valid| {
        let (id, _lock) = trash.make_room(name)?;
        trash.clear_room(&id);
        Ok(())
    });
    checked.map_err(|error| error.advising(store, name))
}

/// Moves the container to the trash, with its snapshots. `lxc.hook.destroy` runs before, where the
/// container still is what it expects.
pub(in crate::engine) fn discard(store: &Store, name: &Name) -> Result<Trashed, TrashingError> {
    remove_draft(store, name).map_err(RemovalError::from)?;
    let config = check(store, name)?;
    remove_drafts(&snaps::store_of(store, name));
    discard_checked(store, name, config.as_ref()).map_err(|error| error.advising(store, name))
}

fn discard_checked(
    store: &Store,
    name: &Name,
    config: Option<&Config>,
) -> Result<Trashed, TrashingError> {
    TrashLimits::load()?;
    let trash = Trash::of(store);
    let (id, _lock) = trash.make_room(name)?;
    let notes = moved_there(store, &trash, &id, config);
    if notes.is_err() {
        trash.clear_room(&id);
    }
    let notes = notes?;
    // The next command forgets what stays.
    _ = record::forget(store.lxcpath(), name);
    event::publish(store.lxcpath(), name, What::Trashed);
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
    let listings = Listing::of(store, &room, name)?;
    Listing::move_all(&listings, || trash.take_in(id, name).map_err(TrashingError::from))?;
    if statvfs(trash.dir()).is_ok_and(|it| it.blocks_available() < it.blocks() / FREE_SHARE) {
        let empty = format!("`{} trash empty {id}` does", command_for(store.lxcpath()));
        notes.push(format!("the disk is nearly full, and this has freed nothing: {empty}"));
    }
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
    let room = trash.store(id);
    let to = store.dir(new);
    if to.symlink_metadata().is_ok() {
        return Err(TrashingError::Taken(to));
    }
    let mut notes = check_bases(store, &room, old)?;
    if new == old {
        let listings = Listing::of(&room, store, old)?;
        Listing::move_all(&listings, || trash.give_back(id, new).map_err(back))?;
        event::publish(store.lxcpath(), new, What::Restored);
    } else {
        notes.extend(renamed(store, &room, id, new)?);
    }
    trash.clear_room(id);
    notes.extend(missing_roots(store, new));
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
    let from = trash.place(id);
    // Their configurations name it.
    removal::check_dependents(room, old).map_err(TrashingError::Bound)?;
    let renaming = Renaming { store, old, new, trashed: Some(id) };
    let before = renaming.check(&from)?;
    renaming.announce(&from)?;
    if let Err(error) = trash.give_back(id, new) {
        // The next command removes it as well.
        _ = renaming.forget();
        return Err(back(error));
    }
    let completed = renaming.complete();
    // What cannot be put back is completed by the next command.
    if completed.is_err() && renaming.undo(&before).is_ok() && trash.take_in(id, new).is_ok() {
        _ = renaming.forget();
    }
    Ok(completed?)
}

fn back(error: TrashError) -> TrashingError {
    match error {
        TrashError::Taken(path) => TrashingError::Taken(path),
        other @ (TrashError::Open { .. }
        | TrashError::Make { .. }
        | TrashError::NoDirectory(_)
        | TrashError::Foreign { .. }
        | TrashError::Apart { .. }
        | TrashError::Move { .. }
        | TrashError::Store(_)) => other.into(),
    }
}

/// Refuses one whose files are in part those of a container that is not there. Returns which may be
/// another one than it was.
fn check_bases(store: &Store, room: &Store, name: &Name) -> Result<Vec<String>, TrashingError> {
    let (trash, own) = (Trash::of(store), room.dir(name));
    let mut notes = Vec::new();
    for base in dependents::bases(&own) {
        if !base.dir().is_dir() {
            let trashed = trash.list().unwrap_or_default().into_iter().rev();
            let mut trashed = trashed.filter(|it| {
                it.name().as_str() == base.name
                    && !listing::entries_of(&trash.place(it), &own).is_empty()
            });
            let restore = |it| format!("{} trash restore {it}", command_for(store.lxcpath()));
            let trashed = trashed.next().map(restore);
            return Err(TrashingError::NoBase { name: base.name, trashed });
        }
        if listing::entries_of(&base.dir(), &own).is_empty() {
            let words = "does not know it: that may be another container than the one whose files \
                         it has shown";
            notes.push(format!("{} {words}", shown(&base.name)));
        }
    }
    Ok(notes)
}

/// Says which parts of its root a restored container does not find.
fn missing_roots(store: &Store, name: &Name) -> Vec<String> {
    let Ok(config) = config::load(name, store.lxcpath(), None, &[]) else { return Vec::new() };
    match config.storage() {
        Some(Storage::Directory(_) | Storage::Overlay(_) | Storage::Image(_)) => (),
        // Not a path, or one that comes with the volume.
        Some(Storage::Device(_) | Storage::Dataset(_)) | None => return Vec::new(),
    }
    let missing = removal::roots(&config).into_iter().filter(|it| !it.exists());
    let words = |it: PathBuf| {
        format!("its root needs {}, which is not there", shown(&it.to_string_lossy()))
    };
    missing.map(words).collect()
}

/// Refuses if others in the trash show the files of this one, which is to be removed for good.
pub(in crate::engine) fn check_removal(store: &Store, id: &TrashId) -> Result<(), RemovalError> {
    let (trash, room) = (Trash::of(store), Trash::of(store).store(id));
    let kept = listing::kept(&room, id.name());
    let snapshots = snaps::names(&kept).into_iter().map(|it| kept.dir(&it));
    for dir in [trash.place(id)].into_iter().chain(snapshots) {
        let listed = dependents::listed_copies(&dir).map_err(RemovalError::from)?;
        let copies = listed.into_iter().map(|it| it.dir());
        let own = |it: &Path| trash::id_in(it).is_some_and(|it| it == id.to_string());
        let mut copies = copies.filter(|it| it.exists() && !own(it));
        if let Some(copy) = copies.next() {
            return Err(match trash::id_in(&copy) {
                Some(id) => RemovalError::trashed(store, id),
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
    let listings = Listing::of(&room, &room, id.name()).unwrap_or_default();
    Trash::of(store).remove(id)?;
    listings.iter().for_each(Listing::forget);
    Ok(())
}
