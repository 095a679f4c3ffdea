//! How a container lists those that show its files, while one of them moves to the trash or back.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::engine::Name;
use crate::engine::host::lxcpath::{Lxcpath, is_same};
use crate::engine::store::dependents::{self, Dependent, Unlisted};
use crate::engine::store::trash::full;
use crate::engine::store::{Store, snaps};
use crate::engine::terms::error::words;

/// Why it was not listed, and so not moved.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum ListError {
    #[error("list it in {}: {}{}", path.display(), words(error), full(error))]
    Base { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Unlisted(#[from] Unlisted),
}

/// How the container whose files another one shows lists that, and is to.
#[derive(Debug)]
pub(super) struct Listing {
    base: PathBuf,
    /// In every spelling of its lxcpath.
    was: Vec<Dependent>,
    becomes: Dependent,
}

impl Listing {
    /// Lists all of the container `name`, which is in `at`, and of its snapshots, where it moves to
    /// another store.
    pub(super) fn of(at: &Store, to: &Store, name: &Name) -> Result<Vec<Self>, ListError> {
        let kept = kept(at, name);
        let snap = |snap: &Name| Dependent {
            lxcpath: to.spelled(name).join(snaps::SNAPS).to_string_lossy().into_owned(),
            name: snap.to_string(),
        };
        let all = snaps::names(&kept)
            .into_iter()
            .map(|it| (kept.dir(&it), snap(&it)))
            .chain([(at.dir(name), Dependent::of(to, name))]);
        let mut listings = Vec::new();
        for (dir, becomes) in all {
            let bases = dependents::listed_bases(&dir)?.into_iter().map(|it| it.dir());
            let bases = bases.map(|base| Self {
                was: entries_of(&base, &dir),
                base,
                becomes: becomes.clone(),
            });
            // One too many refuses what could be done; one too few loses files.
            listings
                .extend(bases.filter(|it| !it.was.is_empty() || may_list(&it.base, at.lxcpath())));
        }
        Ok(listings)
    }

    /// Lists them under both while `moves` is carried out.
    pub(super) fn move_all<E: From<ListError>>(
        all: &[Self],
        moves: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let listed = all.iter().try_for_each(|it| {
            dependents::add_copy(&it.base, &it.becomes)
                .map_err(|error| E::from(ListError::Base { path: it.base.clone(), error }))
        });
        let moved = listed.and_then(|()| moves());
        for it in all {
            let becomes = std::slice::from_ref(&it.becomes);
            let (is, over) = if moved.is_ok() { (becomes, &*it.was) } else { (&*it.was, becomes) };
            // A clean-up may have found it gone before it was there.
            for is in is {
                _ = dependents::add_copy(&it.base, is);
            }
            // Of one that stays listed, the next check sees that it is gone.
            for over in over.iter().filter(|it| !is.contains(it)) {
                _ = dependents::remove_copy(&it.base, over);
            }
        }
        moved
    }

    /// Takes the container, which is gone, from the list.
    pub(super) fn forget(&self) {
        for it in &self.was {
            // Of one that stays listed, the next check sees that it is gone.
            _ = dependents::remove_copy(&self.base, it);
        }
    }
}

/// Returns how the container in `base` lists the one in `copy`, whose lxcpath may be written in several
/// ways.
pub(super) fn entries_of(base: &Path, copy: &Path) -> Vec<Dependent> {
    let listed = dependents::copies(base).into_iter();
    listed.filter(|it| is_same(&it.dir(), copy).unwrap_or(false)).collect()
}

/// Returns whether whoever owns the lxcpath, where a file names `base`, could write there.
fn may_list(base: &Path, lxcpath: &Lxcpath) -> bool {
    let owner = |it: &Path| fs::metadata(it).map(|it| it.uid());
    let lxcpath = owner(lxcpath.dir());
    base.join("config").is_file()
        && lxcpath.is_ok_and(|uid| uid == 0 || owner(base).is_ok_and(|it| it == uid))
}

/// Returns the store of the snapshots that move with the container.
pub(super) fn kept(store: &Store, name: &Name) -> Store {
    let place = store.spelled(name).join(snaps::SNAPS);
    Store::new(&Lxcpath::open(store.lxcpath().host(), &place))
}
