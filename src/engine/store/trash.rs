//! The trash of an lxcpath on disk: where destroyed containers stay for a while. It is a directory of
//! the lxcpath, so that a rename moves a container there and back. Each has a directory of its own in
//! it, named after the container and the moment, which is laid out like an lxcpath.
//!
//! What is to be removed is renamed first, so that one that was removed in part is never restored.

mod id;
mod limits;
mod opened;

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, RenameFlags, renameat, renameat2};
use nix::sys::stat::fstatat;
use nix::unistd::geteuid;

pub use id::TrashId;
pub(in crate::engine) use limits::{LimitsError, TrashLimits};
use opened::OpenDir;

use super::lock::{self, Lock};
use super::{
    CLEANING, COMMAND_LOCK, RemoveError, Store, StoreError, mount_below, remove_dir_at, replace,
    size, small_file,
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
/// The mode of that file.
const SIZE_MODE: u32 = 0o600;

/// Why nothing was moved to the trash, or from there.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum TrashError {
    #[error("open {path}: {}", words(source))]
    Open { path: PathBuf, source: io::Error },
    #[error("make {path}: {}{}", words(source), full(source))]
    Make { path: PathBuf, source: io::Error },
    #[error("the trash {0} is not a directory; move it away")]
    NoDirectory(PathBuf),
    #[error("the trash {path} belongs to {}, not to this user; have it moved away", user(*uid))]
    Foreign { path: PathBuf, uid: u32 },
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

/// What is to be known where a move to the trash is what fails.
pub(in crate::engine) fn full(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::StorageFull { ", and the trash frees none" } else { "" }
}

fn user(uid: u32) -> String {
    if uid == 0 { "root".to_owned() } else { format!("the user {uid}") }
}

/// The trash of one lxcpath. It exists while something is in it.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Trash {
    lxcpath: Lxcpath,
    dir: Lxcpath,
}

impl Trash {
    pub(in crate::engine) fn of(store: &Store) -> Self {
        Self { lxcpath: store.lxcpath().clone(), dir: below(store.lxcpath(), TRASH) }
    }

    /// Returns the directory in which they are.
    pub(in crate::engine) fn dir(&self) -> &Path {
        self.dir.dir()
    }

    /// Opens it. None: there is none.
    fn open(&self) -> Result<Option<OpenDir>, TrashError> {
        OpenDir::lxcpath(&self.lxcpath)?.map_or(Ok(None), |it| it.open(TRASH))
    }

    /// Opens the directory of one in it. None: there is none.
    fn room(&self, id: &TrashId) -> Result<Option<OpenDir>, TrashError> {
        self.open()?.map_or(Ok(None), |it| it.open(&id.to_string()))
    }

    /// Lists what is in it, the oldest first.
    pub(in crate::engine) fn list(&self) -> Result<Vec<TrashId>, TrashError> {
        let Some(dir) = self.open()? else { return Ok(Vec::new()) };
        let ids = dir.names()?.into_iter().filter_map(|it| it.parse::<TrashId>().ok());
        let mut found = Vec::new();
        for id in ids {
            if is_in(&id, dir.open(&id.to_string()))? {
                found.push(id);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Returns whether it is there.
    pub(in crate::engine) fn has(&self, id: &TrashId) -> Result<bool, TrashError> {
        is_in(id, self.room(id))
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
        let mut patience = Patience::until(Instant::now() + CLEANING);
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

    /// Makes room for a container of the lxcpath that is destroyed now.
    pub(in crate::engine) fn make_room(&self, name: &Name) -> Result<(TrashId, Lock), TrashError> {
        // What was destroyed later is later also within one second: a copy must go before what it was
        // made of.
        let newest = self.list()?.pop().map_or(0, |it| it.at + 1);
        let mut id = TrashId { at: Timestamp::now().as_second().max(newest), name: name.clone() };
        loop {
            // Before it is there: an empty one that nobody has locked was left by a kill.
            let lock = self.lock(&id)?;
            let Some(lxcpath) = OpenDir::lxcpath(&self.lxcpath)? else {
                return Err(self.unmade(Errno::ENOENT, TRASH));
            };
            // Another command may have removed the empty trash meanwhile.
            let Some(dir) = self.make(&lxcpath)? else { continue };
            if lxcpath.is_apart(name.as_str(), &dir) {
                let from = self.lxcpath.join(name.as_str());
                return Err(TrashError::Apart { from, to: self.dir().to_path_buf() });
            }
            match dir.make(&id.to_string()) {
                Ok(()) => return Ok((id, lock)),
                Err(Errno::EEXIST) => id.at += 1,
                Err(Errno::ENOENT) => (),
                Err(errno) => {
                    _ = lxcpath.remove_empty(TRASH);
                    return Err(self.unmade(errno, &format!("{TRASH}/{id}")));
                }
            }
        }
    }

    /// Makes the trash itself.
    fn make(&self, lxcpath: &OpenDir) -> Result<Option<OpenDir>, TrashError> {
        match lxcpath.make(TRASH) {
            Ok(()) | Err(Errno::EEXIST) => (),
            Err(errno) => return Err(self.unmade(errno, TRASH)),
        }
        let Some(dir) = lxcpath.open(TRASH)? else { return Ok(None) };
        dir.close_to_others().map_err(|errno| self.unmade(errno, TRASH))?;
        Ok(Some(dir))
    }

    fn unmade(&self, errno: Errno, file: &str) -> TrashError {
        TrashError::Make { path: self.lxcpath.join(file), source: errno.into() }
    }

    /// Removes the room of one that was moved back, or never came.
    pub(in crate::engine) fn clear_room(&self, id: &TrashId) {
        // What is in the way is found the next time.
        let Ok(Some(lxcpath)) = OpenDir::lxcpath(&self.lxcpath) else { return };
        let Ok(Some(dir)) = lxcpath.open(TRASH) else { return };
        if let Ok(Some(room)) = dir.open(&id.to_string()) {
            let size = room.through(SIZE);
            replace::remove_drafts(&size);
            _ = std::fs::remove_file(size);
        }
        _ = dir.remove_empty(&id.to_string());
        _ = lxcpath.remove_empty(TRASH);
    }

    /// Returns the bytes that it takes; none: it cannot be read, or not until then. Looks at every file
    /// the first time.
    pub(in crate::engine) fn bytes(&self, id: &TrashId, until: Option<Instant>) -> Option<u64> {
        let room = self.room(id).ok()??;
        let file = room.through(SIZE);
        let known = small_file(&file).ok().and_then(|it| String::from_utf8(it).ok());
        known.and_then(|it| it.trim().parse().ok()).or_else(|| {
            let bytes = size::of_until(&room.through(id.name.as_str()), until)?;
            // Without it, the next one counts again.
            _ = replace::write_atomic(&file, bytes.to_string().as_bytes(), SIZE_MODE);
            Some(bytes)
        })
    }

    /// Moves the container there, into the room that was made for it. A link is moved as itself.
    pub(in crate::engine) fn take_in(&self, id: &TrashId, from: &Name) -> Result<(), TrashError> {
        let (lxcpath, room) = self.both(id)?;
        move_container((&lxcpath, from), (&room, &id.name))
    }

    /// Moves it back, as the container `to`, which must not exist.
    pub(in crate::engine) fn give_back(&self, id: &TrashId, to: &Name) -> Result<(), TrashError> {
        let (lxcpath, room) = self.both(id)?;
        move_container((&room, &id.name), (&lxcpath, to))
    }

    fn both(&self, id: &TrashId) -> Result<(OpenDir, OpenDir), TrashError> {
        let gone = || TrashError::Open { path: self.place(id), source: Errno::ENOENT.into() };
        let lxcpath = OpenDir::lxcpath(&self.lxcpath)?.ok_or_else(gone)?;
        Ok((lxcpath, self.room(id)?.ok_or_else(gone)?))
    }

    /// Removes one for good. The caller holds its lock.
    pub(in crate::engine) fn remove(&self, id: &TrashId) -> Result<(), RemoveError> {
        let room = id.to_string();
        if let Some(mount) = mount_below(&self.dir, &room) {
            return Err(RemoveError::Mount(mount));
        }
        let failed = |source| RemoveError::Remove { path: self.dir.join(&room), source };
        let other = |error: TrashError| failed(io::Error::other(error.to_string()));
        let gone = format!("{}{room}{}", GONE.0, GONE.1);
        let dir = self.open().map_err(other)?;
        let dir = dir.ok_or_else(|| failed(Errno::ENOENT.into()))?;
        dir.rename(&room, &dir, &gone).map_err(|errno| failed(errno.into()))?;
        self.remove_gone(&dir, &gone)
    }

    fn remove_gone(&self, dir: &OpenDir, gone: &str) -> Result<(), RemoveError> {
        remove_dir_at(dir, &self.dir, gone)?;
        self.remove_if_empty();
        Ok(())
    }

    fn remove_if_empty(&self) {
        if let Ok(Some(lxcpath)) = OpenDir::lxcpath(&self.lxcpath)
            && let Ok(Some(_own)) = lxcpath.open(TRASH)
        {
            // Unless there are others.
            _ = lxcpath.remove_empty(TRASH);
        }
    }

    /// Completes what killed commands have begun, unless a command is at it. Returns why something
    /// that was removed in part is still there.
    pub(in crate::engine) fn tidy(&self) -> Vec<RemoveError> {
        Store::new(&self.dir).tidy_locks();
        let mut stays = Vec::new();
        let Ok(Some(dir)) = self.open() else { return stays };
        for file in dir.names().unwrap_or_default() {
            let inner = file.strip_prefix(GONE.0).and_then(|it| it.strip_suffix(GONE.1));
            let Ok(id) = inner.unwrap_or(&file).parse::<TrashId>() else { continue };
            let Ok(Some(room)) = dir.open(&file) else { continue };
            // Dropping the lock removes its file.
            let Ok(Some(_lock)) = self.try_lock(&id.to_string()) else { continue };
            if inner.is_some() {
                stays.extend(self.remove_gone(&dir, &file).err());
            } else if !room.has(id.name.as_str()) {
                self.clear_room(&id);
            }
        }
        self.remove_if_empty();
        stays
    }
}

/// Returns whether the container is in its room. What others have put there under such a name is no
/// room; one that cannot be looked into may well have it.
fn is_in(id: &TrashId, room: Result<Option<OpenDir>, TrashError>) -> Result<bool, TrashError> {
    match room {
        Ok(Some(room)) => Ok(room.has(id.name.as_str())),
        Ok(None) | Err(TrashError::NoDirectory(_) | TrashError::Foreign { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Moves a container's directory to a place that is free.
fn move_container(
    (from, name): (&OpenDir, &Name),
    (to, new): (&OpenDir, &Name),
) -> Result<(), TrashError> {
    let [was, becomes] = [(from, name), (to, new)].map(|(it, name)| it.path().join(name.as_str()));
    let failed = |why: String| TrashError::Move { from: was.clone(), to: becomes.clone(), why };
    match from.rename(name.as_str(), to, new.as_str()) {
        Err(Errno::EEXIST) => Err(TrashError::Taken(becomes)),
        Err(Errno::EXDEV) if from.is_apart(name.as_str(), to) => {
            Err(TrashError::Apart { from: was, to: becomes })
        }
        // A directory of a lower layer of overlayfs, or one with another quota.
        Err(Errno::EXDEV) => Err(failed("the file system does not move it there".to_owned())),
        // The directory belongs to one of the container's users, and would get another parent.
        Err(Errno::EACCES | Errno::EPERM) if !geteuid().is_root() => {
            let job = MappedJob::Move { from: was.clone(), to: becomes.clone() };
            mapped::run(None, &job, &Progress::default()).map(drop).map_err(failed)
        }
        done => done.map_err(|errno| {
            let why = errno.desc().to_owned() + full(&errno.into());
            failed(why)
        }),
    }
}

/// Renames, and replaces nothing.
pub(in crate::engine) fn rename(from: &Path, to: &Path) -> nix::Result<()> {
    rename_at(AT_FDCWD, from, AT_FDCWD, to)
}

fn rename_at(
    dir: BorrowedFd<'_>,
    from: &Path,
    new_dir: BorrowedFd<'_>,
    to: &Path,
) -> nix::Result<()> {
    let is_there = || fstatat(new_dir, to, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok();
    match renameat2(dir, from, new_dir, to, RenameFlags::RENAME_NOREPLACE) {
        // Not every file system can promise it; locks keep wharf's commands away.
        Err(Errno::EINVAL | Errno::ENOSYS) if is_there() => Err(Errno::EEXIST),
        Err(Errno::EINVAL | Errno::ENOSYS) => renameat(dir, from, new_dir, to),
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::engine::host::made_up::MadeUp;

    fn made() -> (MadeUp, Store, Name) {
        let machine = MadeUp::new();
        machine.write("lx/web/config", "old");
        let store = Store::new(&machine.lxcpath);
        (machine, store, "web".parse().unwrap())
    }

    #[test]
    fn several_of_one_name_are_kept_apart_and_a_room_that_stayed_empty_goes() {
        let (machine, store, web) = made();
        let trash = Trash::of(&store);
        let (first, lock) = trash.make_room(&web).unwrap();
        assert_eq!(trash.list().unwrap(), []);
        trash.tidy();
        assert!(machine.path("lx/.wharf-trash").join(first.to_string()).exists(), "it is locked");
        trash.take_in(&first, &web).unwrap();
        drop(lock);
        let (second, lock) = trash.make_room(&web).unwrap();
        assert!(second > first);
        drop(lock);
        assert!(trash.tidy().is_empty());
        assert_eq!(trash.list().unwrap(), std::slice::from_ref(&first));
        let mode = fs::metadata(trash.dir()).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o700);
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
        assert_eq!(trash.open().unwrap().unwrap().names().unwrap().len(), 3, "with . and ..");
        assert_eq!(fs::read_to_string(trash.place(&whole).join("config")).unwrap(), "whole");
        assert!(trash.bytes(&whole, None).is_some());
        assert!(trash.store(&whole).exists(&web));
        // One that cannot be looked into is not taken for one that is not there.
        let source = io::Error::from(Errno::EMFILE);
        let unknown = TrashError::Open { path: trash.place(&whole), source };
        is_in(&whole, Err(unknown)).unwrap_err();
        let taken = trash.give_back(&whole, &web).unwrap_err();
        assert!(matches!(taken, TrashError::Taken(_)), "{taken}");
    }

    #[test]
    fn what_others_have_put_there_is_not_followed() {
        let (machine, store, web) = made();
        let trash = Trash::of(&store);
        machine.write("victim/web/secret", "mine");
        machine.write("victim/size", "untouched");
        let victim = machine.path("victim");
        let id: TrashId = "web@20261127-160312".parse().unwrap();
        let there = || {
            let read = |it: &str| fs::read_to_string(victim.join(it)).unwrap();
            read("web/secret") + &read("size") == "mineuntouched"
        };
        let refuses = || {
            assert!(!trash.has(&id).unwrap_or_default() && trash.bytes(&id, None).is_none());
            trash.give_back(&id, &"new".parse().unwrap()).unwrap_err();
            trash.clear_room(&id);
            assert!(trash.tidy().is_empty() && there());
        };
        // The trash is a link, and then a room in it.
        machine.write("other/web@20261127-160312/web/config", "");
        symlink(machine.path("other"), trash.dir()).unwrap();
        refuses();
        trash.remove(&id).unwrap_err();
        assert!(matches!(trash.list(), Err(TrashError::NoDirectory(_))));
        assert!(matches!(trash.make_room(&web), Err(TrashError::NoDirectory(_))));
        assert!(machine.path("other/web@20261127-160312/web/config").exists());
        fs::remove_file(trash.dir()).unwrap();
        fs::create_dir(trash.dir()).unwrap();
        let room = trash.dir().join(id.to_string());
        symlink(&victim, &room).unwrap();
        assert_eq!(trash.list().unwrap(), []);
        refuses();
        // What tells its size is a link, and then a pipe.
        fs::remove_file(&room).unwrap();
        fs::create_dir_all(room.join("web")).unwrap();
        symlink(victim.join("size"), room.join(SIZE)).unwrap();
        assert!(trash.bytes(&id, None).is_some_and(|it| it < 1 << 20) && there());
        fs::remove_file(room.join(SIZE)).unwrap();
        mkfifo(&room.join(SIZE), Mode::S_IRWXU).unwrap();
        assert!(trash.bytes(&id, None).is_some());
    }
}
