//! The verb `rename`: gives a stopped container another name. Killed in the middle, the next command
//! completes it.

use std::path::PathBuf;

use super::create::{CreateError, Original, rename_new};
use crate::engine::running::pending;
use crate::engine::running::reclaim::{self, ReclaimError};
use crate::engine::running::record;
use crate::engine::running::removal::{self, RemovalError};
use crate::engine::running::renaming::{Renaming, RenamingError};
use crate::engine::store::{RemoveError, Store, StoreError, no_such};
use crate::engine::{Engine, Error, ErrorKind, Name, Verb};

/// Why the container has its old name.
#[derive(Debug, thiserror::Error)]
enum RenameError {
    #[error("{0}")]
    Missing(String),
    #[error("{0} already exists; choose another name or destroy it first")]
    Exists(PathBuf),
    #[error("Proxmox manages it, and knows it by this name")]
    Owned,
    #[error("{0}; it keeps its name")]
    Bound(RemovalError),
    #[error(transparent)]
    Create(#[from] CreateError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Remove(#[from] RemoveError),
    #[error(transparent)]
    Reclaim(#[from] ReclaimError),
    #[error(transparent)]
    Renaming(#[from] RenamingError),
}

impl RenameError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_) => ErrorKind::NotFound,
            Self::Exists(_) => ErrorKind::Exists,
            Self::Create(error) => error.kind(),
            Self::Store(StoreError::Busy(_)) => ErrorKind::Busy,
            Self::Owned
            | Self::Bound(_)
            | Self::Renaming(RenamingError::Config(_) | RenamingError::NotText) => {
                ErrorKind::Invalid
            }
            Self::Store(_) | Self::Remove(_) | Self::Reclaim(_) | Self::Renaming(_) => {
                ErrorKind::Failed
            }
        }
    }
}

impl Engine {
    /// Gives the stopped container `old` the name `new`: its directory, the paths of that in its
    /// configuration, and its host name. A failure changes nothing. Returns what still has the old
    /// name.
    pub fn rename(&self, old: &Name, new: &Name) -> Result<Vec<String>, Error> {
        let renamed = self.try_rename(old, new);
        self.tidy();
        renamed.map_err(|error| Error::new(Verb::Rename, old, error.kind(), error))
    }

    fn try_rename(&self, old: &Name, new: &Name) -> Result<Vec<String>, RenameError> {
        let store = &Store::new(&self.lxcpath);
        let [from, to] = [old, new].map(|it| store.dir(it));
        if old == new {
            return Err(RenameError::Exists(to));
        }
        if [old, new].into_iter().any(|it| self.is_proxmox(it)) {
            return Err(RenameError::Owned);
        }
        let _locks = [store.lock(old)?, store.lock(new)?];
        for it in [old, new] {
            pending::settle(store, it)?;
        }
        if !store.exists(old) {
            return Err(RenameError::Missing(no_such(store.lxcpath())));
        }
        if to.symlink_metadata().is_ok() {
            return Err(RenameError::Exists(to));
        }
        let _seat = Original { store, name: old }.hold_still()?;
        reclaim::clean_up_held(&self.lxcpath, old)?;
        // A link leads to a file that others may use, too.
        if store.config_path(old).is_symlink() {
            return Err(StoreError::Link(store.config_path(old)).into());
        }
        removal::check_dependents(store, old).map_err(RenameError::Bound)?;
        let renaming = Renaming { store, old, new, trashed: None };
        let before = renaming.check(&from)?;
        renaming.announce(&from)?;
        if let Err(error) = rename_new(&from, &to) {
            // The next command removes it as well.
            _ = renaming.forget();
            return Err(error.into());
        }
        match renaming.complete() {
            Ok(notes) => {
                // One that stays is removed by whoever finds no such container.
                _ = record::forget(&self.lxcpath, old);
                Ok(notes)
            }
            Err(error) => {
                undo(&renaming, &before);
                Err(error.into())
            }
        }
    }
}

/// Gives the container its old name back. What cannot be put back is completed by the next command.
fn undo(renaming: &Renaming<'_>, before: &[u8]) {
    let Renaming { store, old, new, trashed: _ } = renaming;
    if renaming.undo(before).is_ok() && rename_new(&store.dir(new), &store.dir(old)).is_ok() {
        // The next command removes it as well.
        _ = renaming.forget();
    }
}
