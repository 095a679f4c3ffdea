//! The trash, or a room in it, by its descriptor. Whoever owns the lxcpath may put anything under these
//! names at any time, so that nothing below the lxcpath is reached by a path of several parts.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use super::{TrashError, rename_at};

const OPEN: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
const MODE: Mode = Mode::S_IRWXU;

/// A directory that is open.
#[derive(Debug)]
pub(super) struct OpenDir {
    fd: OwnedFd,
    /// For messages only.
    path: PathBuf,
    stat: FileStat,
}

impl OpenDir {
    /// Opens a lxcpath, whoever owns it. None: it is not there.
    pub(super) fn lxcpath(path: &Path) -> Result<Option<Self>, TrashError> {
        match openat(AT_FDCWD, path, OPEN.difference(OFlag::O_NOFOLLOW), Mode::empty()) {
            Err(Errno::ENOENT) => Ok(None),
            Err(error) => Err(failed(path, error)),
            Ok(fd) => Self::of(fd, path.to_path_buf()).map(Some),
        }
    }

    /// Opens the directory `name` in it, which must be one of this user's or of root's own: nobody else
    /// could have filled it then. None: it is not there.
    pub(super) fn open(&self, name: &str) -> Result<Option<Self>, TrashError> {
        let path = self.path.join(name);
        let opened = match openat(&self.fd, name, OPEN, Mode::empty()) {
            Err(Errno::ENOENT) => return Ok(None),
            Err(Errno::ENOTDIR | Errno::ELOOP) => return Err(TrashError::NoDirectory(path)),
            Err(error) => Err(error),
            Ok(fd) => Ok(fd),
        };
        let uid = match &opened {
            Ok(fd) => fstat(fd),
            Err(_) => self.stat(name),
        };
        let uid = uid.map_err(|error| failed(&path, error))?.st_uid;
        if uid != geteuid().as_raw() && (uid != 0 || opened.is_err()) {
            return Err(TrashError::Foreign { path, uid });
        }
        Self::of(opened.map_err(|error| failed(&path, error))?, path).map(Some)
    }

    fn of(fd: OwnedFd, path: PathBuf) -> Result<Self, TrashError> {
        let stat = fstat(&fd).map_err(|error| failed(&path, error))?;
        Ok(Self { fd, path, stat })
    }

    /// Makes the directory `name` in it, which only its owner can look into.
    pub(super) fn make(&self, name: &str) -> nix::Result<()> {
        mkdirat(&self.fd, name, MODE)
    }

    /// Lets only its owner look into it.
    pub(super) fn close_to_others(&self) -> nix::Result<()> {
        if self.stat.st_mode & 0o777 == MODE.bits() { Ok(()) } else { fchmod(&self.fd, MODE) }
    }

    /// Lists the names in it that are text.
    pub(super) fn names(&self) -> Result<Vec<String>, TrashError> {
        // Another open file: it has a position of its own.
        let list = openat(&self.fd, ".", OPEN, Mode::empty());
        let mut list = list.and_then(Dir::from_fd).map_err(|error| failed(&self.path, error))?;
        let mut names = Vec::new();
        for entry in list.iter() {
            let entry = entry.map_err(|error| failed(&self.path, error))?;
            names.extend(entry.file_name().to_str().ok().map(str::to_owned));
        }
        Ok(names)
    }

    fn stat(&self, name: &str) -> nix::Result<FileStat> {
        fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.stat(name).is_ok()
    }

    /// Returns whether `name` in it is on another file system than `other`.
    pub(super) fn is_apart(&self, name: &str, other: &Self) -> bool {
        self.stat(name).is_ok_and(|it| it.st_dev != other.stat.st_dev)
    }

    /// Removes the empty directory `name`.
    pub(super) fn remove_empty(&self, name: &str) -> nix::Result<()> {
        unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir)
    }

    /// Moves `name` into another one, where `new` must be free.
    pub(super) fn rename(&self, name: &str, to: &Self, new: &str) -> nix::Result<()> {
        rename_at(self.fd.as_fd(), Path::new(name), to.fd.as_fd(), Path::new(new))
    }

    /// Returns a path of `name` that leads through the descriptor, for as long as this is open.
    pub(super) fn through(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.fd.as_raw_fd())).join(name)
    }

    /// Returns its path, as messages show it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for OpenDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn failed(path: &Path, error: Errno) -> TrashError {
    TrashError::Open { path: path.to_path_buf(), source: error.into() }
}
