//! The verb `snapshot`: keeps the state of a stopped container, and gives it back. What is kept is
//! where LXC looks for it, and what LXC has kept is used.

mod restore;

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;
pub use restore::Restored;

use super::create::{
    CONFIG_MODE, Copy, CopyKind, Create, CreateError, Creation, Original, make_dir, rename_new,
};
use crate::engine::running::pending;
use crate::engine::running::reclaim::{self, ReclaimError};
use crate::engine::running::removal::{self, RemovalError};
use crate::engine::store::{RemoveError, Store, StoreError, no_such, size, small_file, snaps};
use crate::engine::terms::progress::Progress;
use crate::engine::{Engine, Error, ErrorKind, Name, Verb};

/// What is known of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub name: Name,
    /// When it was taken, as LXC writes it: local time, `2026:11:23 16:31:18`.
    pub taken: Option<String>,
    /// As it was given, with its line ends.
    pub comment: Option<String>,
}

/// The snapshots of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshots {
    /// The directory in which they are, and whether it is there.
    pub dir: PathBuf,
    pub has_dir: bool,
    pub all: Vec<Snapshot>,
}

impl Snapshots {
    /// Returns the space that the files of one of them take; none: they cannot be read. Files that the
    /// file system shares with the container count in full. It looks at every file.
    pub fn bytes(&self, snapshot: &Snapshot) -> Option<u64> {
        size::of(&self.dir.join(snapshot.name.as_str()))
    }
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
enum SnapshotError {
    #[error("{0}")]
    Missing(String),
    #[error("it has no snapshot {snap}{}", others(has))]
    NoSnapshot { snap: String, has: Vec<Name> },
    #[error("it has no snapshots")]
    None,
    #[error("a part of snapshot {0} was removed or never made, and only `delete` takes it")]
    Incomplete(Name),
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Reclaim(#[from] ReclaimError),
    #[error(transparent)]
    Pending(#[from] RemoveError),
    #[error("snapshot {snap}: {error}")]
    Removal { snap: Name, error: RemovalError },
    #[error("{0}; nothing was changed")]
    Replaced(RemovalError),
}

fn others(has: &[Name]) -> String {
    if has.is_empty() {
        return ", nor any other".to_owned();
    }
    let has: Vec<&str> = has.iter().map(Name::as_str).collect();
    format!("; it has {}", has.join(", "))
}

/// The format of LXC's times.
const TIME: &str = "%Y:%m:%d %H:%M:%S";
/// The mode of the directory of snapshots: LXC's.
const DIR_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

impl SnapshotError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_) | Self::NoSnapshot { .. } | Self::None => ErrorKind::NotFound,
            Self::Incomplete(_) => ErrorKind::Invalid,
            Self::Create(error) => error.kind(),
            Self::Store(StoreError::Busy(_)) => ErrorKind::Busy,
            Self::Removal { error, .. } | Self::Replaced(error) if error.is_refusal() => {
                ErrorKind::Invalid
            }
            Self::Store(_)
            | Self::Reclaim(_)
            | Self::Pending(_)
            | Self::Removal { .. }
            | Self::Replaced(_) => ErrorKind::Failed,
        }
    }
}

impl Engine {
    /// Lists the snapshots of `name`, the oldest number first.
    pub fn snapshots(&self, name: &Name) -> Result<Snapshots, Error> {
        let store = Store::new(&self.lxcpath);
        pending::settle_if_free(&store, name)
            .map_err(|error| Error::new(Verb::Snapshot, name, ErrorKind::Failed, error))?;
        let kept = snaps::store_of(&store, name);
        let dir = kept.lxcpath().spelled();
        if !store.exists(name) && !kept.lxcpath().exists() {
            let error = SnapshotError::Missing(no_such(store.lxcpath()));
            return Err(Error::new(Verb::Snapshot, name, error.kind(), error));
        }
        let all = snaps::names(&kept).into_iter().map(|it| described(&kept, it));
        Ok(Snapshots { dir, has_dir: kept.lxcpath().is_dir(), all: all.collect() })
    }

    /// Takes a snapshot of `name`, which must not run, and returns what it is called. A failure
    /// leaves nothing.
    pub fn take_snapshot(
        &self,
        name: &Name,
        comment: Option<&[u8]>,
        progress: &Progress,
    ) -> Result<Name, Error> {
        self.try_take(name, comment, progress)
            .map_err(|error| Error::new(Verb::Snapshot, name, error.kind(), error))
    }

    /// Removes a snapshot of `name`. One whose files others use is refused.
    pub fn delete_snapshot(&self, name: &Name, snap: &str) -> Result<(), Error> {
        let deleted = (|| {
            let store = Store::new(&self.lxcpath);
            let _lock = store.lock(name)?;
            pending::settle(&store, name)?;
            let kept = snaps::store_of(&store, name);
            let snap = find(&store, name, &kept, snap)?;
            delete(&kept, &snap)
        })();
        deleted.map_err(|error| Error::new(Verb::Snapshot, name, error.kind(), error))
    }

    /// Removes all snapshots of `name`, and returns which. One that cannot be removed does not keep
    /// the others; the first reason is reported.
    pub fn delete_snapshots(&self, name: &Name) -> Result<Vec<Name>, Error> {
        self.try_delete_all(name)
            .map_err(|error| Error::new(Verb::Snapshot, name, error.kind(), error))
    }

    fn try_delete_all(&self, name: &Name) -> Result<Vec<Name>, SnapshotError> {
        let store = Store::new(&self.lxcpath);
        let _lock = store.lock(name)?;
        pending::settle(&store, name)?;
        let kept = snaps::store_of(&store, name);
        let names = snaps::names(&kept);
        if names.is_empty() {
            // An empty directory is of no use.
            _ = std::fs::remove_dir(kept.lxcpath());
            if !store.exists(name) {
                return Err(SnapshotError::Missing(no_such(store.lxcpath())));
            }
            return Err(SnapshotError::None);
        }
        let mut first = None;
        for it in &names {
            let failed = delete(&kept, it).err();
            first = first.or(failed);
        }
        first.map_or(Ok(names), Err)
    }

    fn try_take(
        &self,
        name: &Name,
        comment: Option<&[u8]>,
        progress: &Progress,
    ) -> Result<Name, SnapshotError> {
        let store = Store::new(&self.lxcpath);
        let original = Original { store: &store, name };
        let _lock = store.lock(name)?;
        pending::settle(&store, name)?;
        if !store.exists(name) {
            return Err(SnapshotError::Missing(no_such(store.lxcpath())));
        }
        let _seat = original.hold_still()?;
        reclaim::clean_up_held(&self.lxcpath, name)?;
        let kept = snaps::store_of(&store, name);
        let place = kept.lxcpath().clone();
        make_dir(&place, DIR_MODE)?;
        Self::over(place.clone()).tidy();
        let taken = take(original, &kept, comment, progress);
        if taken.is_err() {
            // Unless there are others.
            _ = std::fs::remove_dir(&place);
        }
        taken
    }
}

fn take(
    original: Original<'_>,
    kept: &Store,
    comment: Option<&[u8]>,
    progress: &Progress,
) -> Result<Name, SnapshotError> {
    let Some(snap) = snaps::free_name(kept) else { return Err(SnapshotError::None) };
    let _lock = kept.lock(&snap)?;
    let (create, copy) = (Create::default(), alike(original.name));
    let work = Creation { store: kept.clone(), name: &snap, create: &create, progress };
    work.clear_place()?;
    let time = TimeZone::system().to_datetime(Timestamp::now()).strftime(TIME).to_string();
    work.make_copy(original, &copy, &|draft, place| {
        kept.write_atomic(&draft.join(snaps::TIME), time.as_bytes(), FILE_MODE)?;
        if let Some(comment) = comment {
            kept.write_atomic(&draft.join(snaps::COMMENT), comment, CONFIG_MODE)?;
        }
        rename_new(draft, place)
    })?;
    Ok(snap)
}

/// A copy that differs in nothing.
fn alike(from: &Name) -> Copy {
    Copy {
        kind: CopyKind::Alike,
        keeps_name: true,
        keeps_addresses: true,
        ..Copy::of(from.clone())
    }
}

fn find(store: &Store, name: &Name, kept: &Store, snap: &str) -> Result<Name, SnapshotError> {
    let has = snaps::names(kept);
    if has.is_empty() && !store.exists(name) {
        return Err(SnapshotError::Missing(no_such(store.lxcpath())));
    }
    match has.iter().find(|it| it.as_str() == snap) {
        Some(found) => Ok(found.clone()),
        None => Err(SnapshotError::NoSnapshot { snap: snap.to_owned(), has }),
    }
}

fn delete(kept: &Store, snap: &Name) -> Result<(), SnapshotError> {
    let _lock = kept.lock(snap)?;
    let _seat = Original { store: kept, name: snap }.hold_still()?;
    removal::remove(kept, snap)
        .map_err(|error| SnapshotError::Removal { snap: snap.clone(), error })?;
    // The last one takes the directory along.
    _ = std::fs::remove_dir(kept.lxcpath());
    Ok(())
}

fn described(kept: &Store, name: Name) -> Snapshot {
    let dir = kept.dir(&name);
    let read = |file| small_file(&dir.join(file)).ok();
    let text = |file| read(file).map(|it| String::from_utf8_lossy(&it).into_owned());
    let taken = text(snaps::TIME).map(|it| it.trim_end().to_owned());
    Snapshot { taken, comment: text(snaps::COMMENT), name }
}
