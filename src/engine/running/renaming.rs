//! Gives a container another name. A file in the lxcpath tells what is under way until all of it is
//! done, so that the command that comes after a kill completes it, or finds that nothing was
//! changed: which of the two, the name of the container's directory decides.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use nix::unistd::geteuid;

use crate::engine::config::{self, Config, ConfigErrors, Document, DocumentError};
use crate::engine::host::mapped::{self, MappedJob};
use crate::engine::image::hostname;
use crate::engine::running::event::{self, What};
use crate::engine::store::dependents::{self, Dependent, Unlisted};
use crate::engine::store::trash::{self, Trash, TrashId};
use crate::engine::store::{Store, StoreError, regular_file};
use crate::engine::terms::error::words;
use crate::engine::terms::progress::Progress;
use crate::engine::terms::rootfs::{Layers, Storage};
use crate::engine::{Lxcpath, Name};

/// What the name of that file begins and ends with, around the new name; it contains the old one.
const BEFORE: &str = ".";
const AFTER: &str = ".renamed";
const MODE: u32 = 0o600;

/// Why a container has not got its new name, or something of it still has the old one.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum RenamingError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Unlisted(#[from] Unlisted),
    #[error("its configuration is not text in UTF-8")]
    NotText,
    #[error("{path}: {}", words(source))]
    File { path: PathBuf, source: io::Error },
}

/// One change of a name.
#[derive(Debug)]
pub(in crate::engine) struct Renaming<'a> {
    pub(in crate::engine) store: &'a Store,
    pub(in crate::engine) old: &'a Name,
    pub(in crate::engine) new: &'a Name,
    /// It comes back from the trash: a container of the lxcpath may have the old name.
    pub(in crate::engine) trashed: Option<&'a TrashId>,
}

impl Renaming<'_> {
    /// Checks that the container, which is in `dir` now, can be used under its new name. Changes
    /// nothing, and returns its configuration.
    pub(in crate::engine) fn check(&self, dir: &Path) -> Result<Vec<u8>, RenamingError> {
        let path = dir.join("config");
        let before = regular_file(&path).map_err(|source| RenamingError::File { path, source })?;
        let content = self.renamed_config(&before)?;
        let file = self.store.config_path(self.new);
        config::parse(self.new, self.store.lxcpath(), &content, &file, &[])?;
        Ok(before)
    }

    /// Records that the container in `dir` is about to get its new name. A record that is killed before it is
    /// whole tells of nothing, since nothing has been changed then.
    pub(in crate::engine) fn announce(&self, dir: &Path) -> Result<(), RenamingError> {
        let path = file_of(self.store.lxcpath(), self.new);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(MODE).custom_flags(libc::O_NOFOLLOW);
        let written = options.open(&path).and_then(|mut file| {
            let identity = identity(dir)?;
            let from = self.trashed.map(|it| format!(" {it}")).unwrap_or_default();
            file.write_all(format!("{} {identity}{from}", self.old).as_bytes())?;
            file.sync_all()
        });
        written.map_err(|source| {
            // The first error is the one to report.
            _ = fs::remove_file(&path);
            RenamingError::File { path, source }
        })
    }

    /// Removes that record.
    pub(in crate::engine) fn forget(&self) -> Result<(), RenamingError> {
        let path = file_of(self.store.lxcpath(), self.new);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(|source| RenamingError::File { path, source }),
        }
    }

    /// Gives everything the new name once the directory has it. Returns what could not be changed.
    /// Doing it again changes nothing more.
    pub(in crate::engine) fn complete(&self) -> Result<Vec<String>, RenamingError> {
        let old = self.store.read_config(self.new)?;
        let content = self.renamed_config(&old)?;
        if content != old {
            self.store.replace_config(self.new, &content)?;
        }
        let file = self.store.config_path(self.new);
        let config = config::parse(self.new, self.store.lxcpath(), &content, &file, &[])?;
        let own = Dependent::of(self.store, self.new);
        self.list(&own, |it| self.is_old(it))?;
        // The last, since it is not undone.
        let notes = match rename_host(&config, self.new.as_str()) {
            Ok(()) => Vec::new(),
            Err(why) => vec![format!("/etc/hostname in its root was not changed: {why}")],
        };
        self.forget()?;
        let what = if self.trashed.is_none() {
            event::publish(self.store.lxcpath(), self.old, What::Destroyed);
            What::Created
        } else {
            What::Restored
        };
        event::publish(self.store.lxcpath(), self.new, what);
        Ok(notes)
    }

    /// Puts back what [`Self::complete`] has changed before it failed, while the directory has its new
    /// name. `before` is what the configuration was.
    pub(in crate::engine) fn undo(&self, before: &[u8]) -> Result<(), RenamingError> {
        let own = Dependent::of(self.store, self.new);
        self.list(&self.old_entry(), |it| *it == own)?;
        if self.store.read_config(self.new)? != before {
            self.store.replace_config(self.new, before)?;
        }
        Ok(())
    }

    /// Has the containers whose files it shows list it as `added` instead.
    fn list(
        &self,
        added: &Dependent,
        is_over: impl Fn(&Dependent) -> bool,
    ) -> Result<(), RenamingError> {
        let bases = dependents::listed_bases(&self.store.dir(self.new));
        for base in bases? {
            let dir = base.dir();
            let listed = dependents::copies(&dir);
            let mut over = listed.iter().filter(|it| is_over(it)).peekable();
            if listed.contains(added) && over.peek().is_none() {
                continue;
            }
            dependents::add_copy(&dir, added)
                .and_then(|()| over.try_for_each(|it| dependents::remove_copy(&dir, it)))
                .map_err(|source| RenamingError::File { path: dir, source })?;
        }
        Ok(())
    }

    /// Returns how it was listed under its old name.
    fn old_entry(&self) -> Dependent {
        match self.trashed {
            Some(id) => Dependent::of(&Trash::of(self.store).store(id), self.old),
            None => Dependent::of(self.store, self.old),
        }
    }

    /// Returns whether that is how it was; the trash may have been listed by another spelling.
    fn is_old(&self, listed: &Dependent) -> bool {
        let by_id = |id: &TrashId| {
            let dir = listed.dir();
            let is_it = listed.name == self.old.as_str()
                && trash::id_in(&dir).is_some_and(|it| it == id.to_string());
            is_it && !dir.exists()
        };
        *listed == self.old_entry() || self.trashed.is_some_and(by_id)
    }

    /// Replaces the paths of the container's directory, and the host name.
    fn renamed_config(&self, content: &[u8]) -> Result<Vec<u8>, RenamingError> {
        let [old, new] = [self.old, self.new].map(|it| self.store.spelled(it));
        let real = self.store.dir(self.old);
        let (Some(old), Some(real), Some(new)) = (old.to_str(), real.to_str(), new.to_str()) else {
            return Err(RenamingError::NotText);
        };
        let mut document = Document::parse(content);
        document.rewrite(|_, value| {
            let moved = moved(&moved(value, old, new), real, new);
            (moved != value).then_some(moved)
        })?;
        document.set("lxc.uts.name", self.new.as_str())?;
        Ok(document.to_bytes())
    }
}

/// Completes a renaming to `new` that was killed, or forgets one that had changed nothing. The caller
/// holds the container's lock.
pub(in crate::engine) fn settle(store: &Store, new: &Name) {
    let file = file_of(store.lxcpath(), new);
    let Ok(text) = fs::read_to_string(&file) else { return };
    let Some((old, announced, trashed)) = announced(&text) else {
        // Killed before anything was changed.
        _ = fs::remove_file(file);
        return;
    };
    let renaming = Renaming { store, old: &old, new, trashed: trashed.as_ref() };
    // Another container may have got the name since. What cannot be done now is found the next time.
    if identity(&store.dir(new)).is_ok_and(|it| it == announced) {
        _ = renaming.complete();
    } else {
        _ = renaming.forget();
    }
}

/// Reads the old name, what the directory is known by, and what it is in the trash.
fn announced(text: &str) -> Option<(Name, &str, Option<TrashId>)> {
    let (old, rest) = text.split_once(' ')?;
    let (identity, trashed) = match rest.rsplit_once(' ') {
        Some((identity, id)) if id.contains('@') => (identity, Some(id.parse().ok()?)),
        Some(_) | None => (rest, None),
    };
    Some((old.parse().ok()?, identity, trashed))
}

/// What a directory keeps whatever its name is, and when another disk is found first: its inode and,
/// where the file system knows it, the time at which it was made.
fn identity(dir: &Path) -> io::Result<String> {
    let meta = fs::symlink_metadata(dir)?;
    let made = meta.created().ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
    Ok(format!("{} {}", meta.ino(), made.unwrap_or_default().as_nanos()))
}

/// Does so if nobody is working on the container.
pub(in crate::engine) fn settle_if_free(store: &Store, new: &Name) {
    let there = file_of(store.lxcpath(), new).symlink_metadata().is_ok();
    if there && let Ok(_lock) = store.try_lock(new) {
        settle(store, new);
    }
}

/// Returns which container is to get its name by the file `file` of the lxcpath.
pub(in crate::engine) fn renamed(file: &str) -> Option<Name> {
    file.strip_prefix(BEFORE)?.strip_suffix(AFTER)?.parse().ok()
}

fn file_of(lxcpath: &Lxcpath, new: &Name) -> PathBuf {
    lxcpath.join(format!("{BEFORE}{new}{AFTER}"))
}

/// Replaces the directory `old` in a value wherever it is a path, or begins one.
fn moved(value: &str, old: &str, new: &str) -> String {
    let begins = |it: Option<char>| it.is_none_or(|it| matches!(it, ' ' | '\t' | ':' | '=' | ','));
    let ends = |it: Option<char>| it == Some('/') || begins(it);
    let mut text = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once(old) {
        text += before;
        let whole = begins(text.chars().next_back()) && ends(after.chars().next());
        text += if whole { new } else { old };
        rest = after;
    }
    text + rest
}

/// Writes the host name into the container's root.
fn rename_host(config: &Config, name: &str) -> Result<(), String> {
    let told = |error: io::Error| words(&error);
    match config.storage() {
        Some(Storage::Directory(root)) if root.is_dir() && root != Path::new("/") => {
            if geteuid().is_root() {
                return hostname::rename(&root, name).map(drop).map_err(told);
            }
            let map = config.idmap().map_err(|error| error.to_string())?;
            let job = MappedJob::Hostname { root, name: name.to_owned() };
            mapped::run(map, &job, &Progress::default()).map(drop)
        }
        Some(Storage::Overlay(Layers { lower, upper })) => match lower.first() {
            Some(top) => hostname::rename_above(top, &upper, name).map_err(told),
            None => Ok(()),
        },
        Some(Storage::Directory(path)) if path == Path::new("/") => Ok(()),
        Some(
            Storage::Directory(_) | Storage::Image(_) | Storage::Device(_) | Storage::Dataset(_),
        ) => Err("its root is not a directory; change it inside".to_owned()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_replaced_whole_and_no_other() {
        for (value, expected) in [
            ("/l/web", "/l/db"),
            ("/l/web/rootfs", "/l/db/rootfs"),
            ("overlay:/l/base:/l/web/overlay/delta", "overlay:/l/base:/l/db/overlay/delta"),
            ("/l/web/a /l/web b none bind,x=/l/web,y", "/l/db/a /l/db b none bind,x=/l/db,y"),
            ("/l/web2 /l/web-x/l/web.d /x/l/web", "/l/web2 /l/web-x/l/web.d /x/l/web"),
        ] {
            assert_eq!(moved(value, "/l/web", "/l/db"), expected);
            assert_eq!(moved(expected, "/l/web", "/l/db"), expected);
        }
    }

    #[test]
    fn the_file_of_a_renaming_has_the_new_name() {
        assert_eq!(renamed(".a.b.renamed").unwrap().as_str(), "a.b");
        for other in [".renamed", "a.renamed", ".a.new", "..a.renamed"] {
            assert_eq!(renamed(other), None, "{other}");
        }
    }
}
