//! The trash of an lxcpath on disk: where destroyed containers stay for a while. It is a directory of
//! the lxcpath, so that a rename moves a container there and back. Each has a directory of its own in
//! it, named after the container and the moment, which is laid out like an lxcpath.
//!
//! What is to be removed is renamed first, so that one that was removed in part is never restored.

mod limits;

use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::unistd::geteuid;

pub(in crate::engine) use limits::{LimitsError, TrashLimits};

use super::lock::{self, Lock};
use super::{
    CLEANING, COMMAND_LOCK, RemoveError, Store, StoreError, mount_below, remove_dir, size,
};
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::host::mapped::{self, MappedJob};
use crate::engine::host::private_dir;
use crate::engine::terms::error::words;
use crate::engine::terms::name::Name;
use crate::engine::terms::patience::Patience;
use crate::engine::terms::progress::Progress;
use crate::engine::terms::shown::shown;

/// The directory. No container of wharf's can have such a name.
pub(in crate::engine) const TRASH: &str = ".wharf-trash";
/// The file beside a container in it that tells how many bytes that takes.
const SIZE: &str = "size";
/// What the name of a directory has around it while that is removed.
const GONE: (&str, &str) = (".", ".gone");
/// How the moment is written, in UTC.
const MOMENT: &str = "%Y%m%d-%H%M%S";
const SEPARATOR: char = '@';
const MODE: u32 = 0o700;

/// A container in the trash: several may have had the same name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrashId {
    /// When it was destroyed, in seconds since the epoch. The first field: they sort by age.
    at: i64,
    name: Name,
}

impl TrashId {
    /// Returns the name that the container had.
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// Returns when it was destroyed.
    pub fn since(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(u64::try_from(self.at).unwrap_or_default())
    }
}

impl fmt::Display for TrashId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = Timestamp::from_second(self.at).unwrap_or_default();
        f.pad(&format!("{}{SEPARATOR}{}", self.name, moment.strftime(MOMENT)))
    }
}

/// The text names no container in the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTrashed;

impl FromStr for TrashId {
    type Err = NotTrashed;

    fn from_str(text: &str) -> Result<Self, NotTrashed> {
        let (name, moment) = text.rsplit_once(SEPARATOR).ok_or(NotTrashed)?;
        let name = name.parse().map_err(|_bad| NotTrashed)?;
        let moment = DateTime::strptime(MOMENT, moment).map_err(|_bad| NotTrashed)?;
        let at = TimeZone::UTC.to_timestamp(moment).map_err(|_bad| NotTrashed)?;
        let id = Self { at: at.as_second(), name };
        // Nothing else may name the same directory.
        if id.to_string() == text { Ok(id) } else { Err(NotTrashed) }
    }
}

/// Why nothing was moved to the trash, or from there.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum TrashError {
    #[error("make {path}: {}", words(source))]
    Make { path: PathBuf, source: io::Error },
    #[error("the trash {0} is not a directory of this user's own; move it away")]
    Foreign(PathBuf),
    #[error(
        "{} and the trash {} are on different file systems, and no copy is made", from.display(),
        to.display()
    )]
    Apart { from: PathBuf, to: PathBuf },
    #[error("{0} already exists")]
    Taken(PathBuf),
    #[error("move {} to {}: {why}", from.display(), to.display())]
    Move { from: PathBuf, to: PathBuf, why: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The trash of one lxcpath. It exists while something is in it.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Trash {
    dir: Lxcpath,
}

impl Trash {
    pub(in crate::engine) fn of(store: &Store) -> Self {
        Self { dir: below(store.lxcpath(), TRASH) }
    }

    /// Returns the directory in which they are.
    pub(in crate::engine) fn dir(&self) -> &Path {
        self.dir.dir()
    }

    /// Lists what is in it, the oldest first.
    pub(in crate::engine) fn list(&self) -> io::Result<Vec<TrashId>> {
        let mut found: Vec<TrashId> =
            self.files()?.iter().filter_map(|it| it.parse().ok()).collect();
        found.retain(|it| exists(&self.place(it)));
        found.sort();
        Ok(found)
    }

    /// Returns where the container is in it.
    pub(in crate::engine) fn place(&self, id: &TrashId) -> PathBuf {
        self.dir.join(id.to_string()).join(id.name.as_str())
    }

    /// Returns the store whose only container it is.
    pub(in crate::engine) fn store(&self, id: &TrashId) -> Store {
        Store::new(&below(&self.dir, &id.to_string()))
    }

    /// Locks one for a command, until the lock is dropped.
    pub(in crate::engine) fn lock(&self, id: &TrashId) -> Result<Lock, StoreError> {
        let mut patience = Patience::until(std::time::Instant::now() + CLEANING);
        loop {
            match self.try_lock(&id.to_string())? {
                Some(lock) => return Ok(lock),
                None if patience.again() => (),
                None => return Err(StoreError::Busy(id.name.clone())),
            }
        }
    }

    fn try_lock(&self, file: &str) -> Result<Option<Lock>, StoreError> {
        let dir = self.dir.host().checked_runtime_dir()?.join(COMMAND_LOCK);
        private_dir(&dir)?;
        lock::lock(&dir.join(format!("{}-{file}", self.dir.key())))
    }

    /// Makes room for a container that is destroyed now.
    pub(in crate::engine) fn make_room(&self, name: &Name) -> Result<(TrashId, Lock), TrashError> {
        // What was destroyed later is later also within one second: a copy must go before what it was
        // made of.
        let newest = self.list().unwrap_or_default().pop().map_or(0, |it| it.at + 1);
        let mut id = TrashId { at: Timestamp::now().as_second().max(newest), name: name.clone() };
        loop {
            // Before it is there: an empty one that nobody has locked was left by a kill.
            let lock = self.lock(&id)?;
            self.make()?;
            let path = self.dir.join(id.to_string());
            match DirBuilder::new().mode(MODE).create(&path) {
                Ok(()) => return Ok((id, lock)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => id.at += 1,
                // Another command has removed the empty trash meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                Err(source) => return Err(TrashError::Make { path, source }),
            }
        }
    }

    /// Makes the trash itself, which only its owner can look into.
    fn make(&self) -> Result<(), TrashError> {
        let path = self.dir().to_path_buf();
        let failed = |source| TrashError::Make { path: path.clone(), source };
        match DirBuilder::new().mode(MODE).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            Ok(()) | Err(_) => (),
        }
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(error)),
            Ok(it) if !it.is_dir() || it.uid() != geteuid().as_raw() => {
                Err(TrashError::Foreign(path))
            }
            Ok(it) if it.mode() & 0o777 == MODE => Ok(()),
            Ok(_) => fs::set_permissions(&path, Permissions::from_mode(MODE)).map_err(failed),
        }
    }

    /// Removes the room of one that was moved back, or never came.
    pub(in crate::engine) fn clear_room(&self, id: &TrashId) {
        let room = self.dir.join(id.to_string());
        // What is in the way is found the next time.
        _ = fs::remove_file(room.join(SIZE));
        _ = fs::remove_dir(room);
        _ = fs::remove_dir(self.dir());
    }

    /// Returns the bytes that it takes; none: it cannot be read. Looks at every file the first time.
    pub(in crate::engine) fn bytes(&self, id: &TrashId) -> Option<u64> {
        let file = self.dir.join(id.to_string()).join(SIZE);
        let known = fs::read_to_string(&file).ok().and_then(|it| it.trim().parse().ok());
        known.or_else(|| {
            let bytes = size::of(&self.place(id))?;
            // Without it, the next one counts again.
            _ = fs::write(&file, bytes.to_string());
            Some(bytes)
        })
    }

    /// Removes one for good. The caller holds its lock.
    pub(in crate::engine) fn remove(&self, id: &TrashId) -> Result<(), RemoveError> {
        let room = id.to_string();
        if let Some(mount) = mount_below(&self.dir, &room) {
            return Err(RemoveError::Mount(mount));
        }
        let gone = format!("{}{room}{}", GONE.0, GONE.1);
        let path = self.dir.join(&room);
        fs::rename(&path, self.dir.join(&gone))
            .map_err(|source| RemoveError::Remove { path, source })?;
        self.remove_gone(&gone)
    }

    fn remove_gone(&self, gone: &str) -> Result<(), RemoveError> {
        remove_dir(&self.dir, gone)?;
        // Unless there are others.
        _ = fs::remove_dir(self.dir());
        Ok(())
    }

    /// Completes what killed commands have begun, unless a command is at it. Returns why something
    /// that was removed in part is still there.
    pub(in crate::engine) fn tidy(&self) -> Vec<RemoveError> {
        Store::new(&self.dir).tidy_locks();
        let mut stays = Vec::new();
        for file in self.files().unwrap_or_default() {
            let inner = file.strip_prefix(GONE.0).and_then(|it| it.strip_suffix(GONE.1));
            let Ok(id) = inner.unwrap_or(&file).parse::<TrashId>() else { continue };
            // Dropping the lock removes its file.
            let Ok(Some(_lock)) = self.try_lock(&id.to_string()) else { continue };
            if inner.is_some() {
                stays.extend(self.remove_gone(&file).err());
            } else if !exists(&self.place(&id)) {
                self.clear_room(&id);
            }
        }
        _ = fs::remove_dir(self.dir());
        stays
    }

    fn files(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.dir()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        Ok(entries.flatten().filter_map(|it| it.file_name().into_string().ok()).collect())
    }
}

/// Moves a container's directory to a place that is free. A link is moved as itself.
pub(in crate::engine) fn move_container(from: &Path, to: &Path) -> Result<(), TrashError> {
    let failed = |why: String| TrashError::Move { from: from.into(), to: to.into(), why };
    match rename(from, to) {
        Err(Errno::EEXIST) => Err(TrashError::Taken(to.into())),
        Err(Errno::EXDEV) => Err(TrashError::Apart { from: from.into(), to: to.into() }),
        // The directory belongs to one of the container's users, and would get another parent.
        Err(Errno::EACCES | Errno::EPERM) if !geteuid().is_root() => {
            let job = MappedJob::Move { from: from.into(), to: to.into() };
            mapped::run(None, &job, &Progress::default()).map(drop).map_err(failed)
        }
        done => done.map_err(|errno| failed(errno.desc().to_owned())),
    }
}

/// Renames, and replaces nothing.
pub(in crate::engine) fn rename(from: &Path, to: &Path) -> nix::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // Not every file system can promise it; locks keep wharf's commands away.
        Err(Errno::EINVAL | Errno::ENOSYS) if exists(to) => Err(Errno::EEXIST),
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            fs::rename(from, to).map_err(|it| it.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
        }
        done => done,
    }
}

/// Returns which container in the trash the directory `dir` belongs to.
pub(in crate::engine) fn id_in(dir: &Path) -> Option<String> {
    let mut parts = dir.components().skip_while(|it| it.as_os_str() != TRASH);
    parts.nth(1).map(|it| shown(&it.as_os_str().to_string_lossy()).into_owned())
}

fn below(lxcpath: &Lxcpath, file: &str) -> Lxcpath {
    Lxcpath::opened(lxcpath.host(), lxcpath.join(file), &lxcpath.spelled().join(file))
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::made_up::MadeUp;

    fn made() -> (MadeUp, Store, Name) {
        let machine = MadeUp::new();
        machine.write("lx/web/config", "old");
        let store = Store::new(&machine.lxcpath);
        (machine, store, "web".parse().unwrap())
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id: TrashId = "a.b@20261127-160312".parse().unwrap();
        assert_eq!(id.name().as_str(), "a.b");
        assert_eq!(id.since(), UNIX_EPOCH + Duration::from_secs(1_795_795_392));
        assert_eq!(id.to_string(), "a.b@20261127-160312");
        for other in ["web", "web@", "web@2026", "@20261127-160312", "web@20261327-160312", ".."] {
            assert_eq!(other.parse::<TrashId>(), Err(NotTrashed), "{other}");
        }
        let sorts: TrashId = "z@20261127-160311".parse().unwrap();
        assert!(sorts < id);
    }

    #[test]
    fn several_of_one_name_are_kept_apart_and_a_room_that_stayed_empty_goes() {
        let (machine, store, web) = made();
        let trash = Trash::of(&store);
        let (first, lock) = trash.make_room(&web).unwrap();
        assert_eq!(trash.list().unwrap(), []);
        trash.tidy();
        assert!(machine.path("lx/.wharf-trash").join(first.to_string()).exists(), "it is locked");
        move_container(&store.dir(&web), &trash.place(&first)).unwrap();
        drop(lock);
        let (second, lock) = trash.make_room(&web).unwrap();
        assert!(second > first);
        drop(lock);
        assert!(trash.tidy().is_empty());
        assert_eq!(trash.list().unwrap(), std::slice::from_ref(&first));
        let mode = fs::metadata(trash.dir()).unwrap().mode() & 0o777;
        assert_eq!(mode, MODE);
        trash.remove(&first).unwrap();
        assert!(!trash.dir().exists());
    }

    #[test]
    fn what_was_removed_in_part_is_never_listed() {
        let (machine, store, web) = made();
        let trash = Trash::of(&store);
        machine.write("lx/.wharf-trash/.web@20261127-160312.gone/web/config", "half");
        machine.write("lx/.wharf-trash/web@20261127-160313/web/config", "whole");
        let whole: TrashId = "web@20261127-160313".parse().unwrap();
        assert_eq!(trash.list().unwrap(), std::slice::from_ref(&whole));
        assert!(trash.tidy().is_empty());
        assert_eq!(trash.files().unwrap(), ["web@20261127-160313"]);
        assert_eq!(fs::read_to_string(trash.place(&whole).join("config")).unwrap(), "whole");
        assert!(trash.bytes(&whole).is_some());
        assert!(trash.store(&whole).exists(&web));
        move_container(&trash.place(&whole), &store.dir(&web)).unwrap_err();
    }
}
