//! The directory that an image is unpacked into. Every path is looked up by the kernel below it:
//! a link in an image leads where it would lead inside the container, never out.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstatat, mkdirat};

use super::{EntryFault, ImageError};
use crate::engine::store::remove_tree;
use crate::engine::sys;
use crate::engine::terms::feature;

/// The modes of a directory that the image has entries in but does not describe.
const DIR_MODE: Mode = Mode::from_bits_truncate(0o755);

/// No path is longer, as for the kernel; a longer one would only take memory.
const LONGEST_PATH: usize = libc::PATH_MAX as usize;

/// A path of an image, without leading slashes, `.` and `..`.
pub(super) type EntryPath = Vec<CString>;

/// The root directory of a container that is being made.
#[derive(Debug)]
pub(super) struct NewRoot {
    top: OwnedFd,
    shown: PathBuf,
}

/// Takes a path apart. What would lead up is refused, even if it came back.
pub(super) fn parts(path: &[u8]) -> Result<EntryPath, EntryFault> {
    if path.len() > LONGEST_PATH {
        return Err(EntryFault::TooLong);
    }
    let words = path.split(|it| *it == b'/').filter(|it| !it.is_empty() && *it != b".");
    let part = |it: &[u8]| match it {
        b".." => Err(EntryFault::Leaves),
        it => CString::new(it).map_err(|_nul| EntryFault::Nul),
    };
    words.map(part).collect()
}

impl NewRoot {
    pub(super) fn open(path: &Path) -> Result<Self, ImageError> {
        let failed = |source| ImageError::Write { path: path.to_path_buf(), source };
        let top = File::open(path).map_err(failed)?;
        let root = Self { top: top.into(), shown: path.to_path_buf() };
        root.look_up(&[], OFlag::O_PATH).map_err(|errno| {
            let lacks = errno == Errno::ENOSYS;
            let reason = || io::Error::other(feature::SAFE_PATHS.refusal());
            failed(if lacks { reason() } else { errno.into() })
        })?;
        Ok(root)
    }

    /// The path of an entry, for messages.
    pub(super) fn shown(&self, parts: &[CString]) -> PathBuf {
        let parts = parts.iter().map(|it| it.to_string_lossy().into_owned());
        self.shown.join(parts.collect::<PathBuf>())
    }

    pub(super) fn write_error(
        &self,
        parts: &[CString],
        source: impl Into<io::Error>,
    ) -> ImageError {
        ImageError::Write { path: self.shown(parts), source: source.into() }
    }

    fn look_up(&self, parts: &[CString], flags: OFlag) -> nix::Result<OwnedFd> {
        self.resolve(parts, flags, ResolveFlag::RESOLVE_IN_ROOT)
    }

    fn resolve(
        &self,
        parts: &[CString],
        flags: OFlag,
        resolve: ResolveFlag,
    ) -> nix::Result<OwnedFd> {
        let mut path: Vec<u8> = Vec::new();
        for part in parts {
            path.extend_from_slice(part.to_bytes());
            path.push(b'/');
        }
        path.push(b'.');
        let path = CString::new(path).map_err(|_nul| Errno::EINVAL)?;
        let resolve = resolve | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV;
        let how =
            OpenHow::new().flags(flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC).resolve(resolve);
        sys::open_within(&self.top, path.as_c_str(), how)
    }

    /// Opens the directory `parts`; none: there is no such directory.
    pub(super) fn dir(&self, parts: &[CString]) -> Result<Option<OwnedFd>, ImageError> {
        match self.look_up(parts, OFlag::O_RDONLY) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(self.write_error(parts, errno)),
        }
    }

    /// Opens the directory `parts`, unless a link leads there: a layer that has entries below a link
    /// of the layers below replaces the link, and not what it leads to.
    fn dir_itself(&self, parts: &[CString]) -> Result<Option<OwnedFd>, ImageError> {
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
        match self.resolve(parts, OFlag::O_RDONLY, resolve) {
            Ok(dir) => Ok(Some(dir)),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(self.write_error(parts, errno)),
        }
    }

    /// Opens the directory `parts`, and makes what is missing.
    pub(super) fn make_dir(&self, parts: &[CString]) -> Result<OwnedFd, ImageError> {
        match self.look_up(parts, OFlag::O_RDONLY) {
            Ok(dir) => return Ok(dir),
            Err(Errno::ENOENT) => (),
            Err(Errno::ENOTDIR | Errno::ELOOP) => return Err(not_directory(parts)),
            Err(errno) => return Err(self.write_error(parts, errno)),
        }
        let Some((name, above)) = parts.split_last() else {
            return Err(self.write_error(parts, Errno::ENOENT));
        };
        let parent = self.make_dir(above)?;
        match mkdirat(&parent, name.as_c_str(), DIR_MODE) {
            Ok(()) => (),
            // A link that leads nowhere.
            Err(Errno::EEXIST) => return Err(not_directory(parts)),
            Err(errno) => return Err(self.write_error(parts, errno)),
        }
        let made = self.look_up(parts, OFlag::O_RDONLY);
        // Whatever the umask of the caller is.
        let made = made.and_then(|it| fchmod(&it, DIR_MODE).map(|()| it));
        made.map_err(|errno| self.write_error(parts, errno))
    }

    /// Returns what `name` in `dir` is; none: nothing. A link is not followed.
    pub(super) fn stat(dir: &OwnedFd, name: &CString) -> nix::Result<Option<FileStat>> {
        match fstatat(dir, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Removes what is at `parts`, with everything below. A link is removed as itself.
    pub(super) fn erase(&self, parts: &[CString]) -> Result<(), ImageError> {
        let Some((name, above)) = parts.split_last() else { return Ok(()) };
        let Some(parent) = self.dir_itself(above)? else { return Ok(()) };
        self.erase_in(&parent, parts, name)
    }

    pub(super) fn erase_in(
        &self,
        parent: &OwnedFd,
        parts: &[CString],
        name: &CString,
    ) -> Result<(), ImageError> {
        let shown = self.shown(parts);
        remove_tree(parent.as_fd(), name, &shown)
            .map_err(|error| ImageError::Write { path: shown, source: io::Error::other(error) })
    }

    /// Removes everything in the directory `parts`.
    pub(super) fn clear(&self, parts: &[CString]) -> Result<(), ImageError> {
        let Some(dir) = self.dir_itself(parts)? else { return Ok(()) };
        let failed = |errno| self.write_error(parts, errno);
        let copy = dir.try_clone().map_err(|error| self.write_error(parts, error))?;
        let mut listed = Dir::from_fd(copy).map_err(failed)?;
        let mut names = Vec::new();
        for entry in listed.iter() {
            let name = entry.map_err(failed)?.file_name().to_owned();
            if name.as_c_str() != c"." && name.as_c_str() != c".." {
                names.push(name);
            }
        }
        names.iter().try_for_each(|name| {
            let below = [parts, std::slice::from_ref(name)].concat();
            self.erase_in(&dir, &below, name)
        })
    }

    /// Reads a small regular file of the image, following links within it; none: there is none.
    pub(super) fn read(&self, path: &str, most: u64) -> Option<Vec<u8>> {
        use std::io::Read as _;
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let file = File::from(sys::open_within(&self.top, path, how).ok()?);
        file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Returns whether `path` leads to a file that can be executed.
    pub(super) fn is_program(&self, path: &str) -> bool {
        use std::os::unix::fs::PermissionsExt as _;
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let found = sys::open_within(&self.top, path, how)
            .ok()
            .and_then(|it| File::from(it).metadata().ok());
        found.is_some_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    }
}

fn not_directory(parts: &[CString]) -> ImageError {
    let path: Vec<&[u8]> = parts.iter().map(|it| it.to_bytes()).collect();
    ImageError::entry(&path.join(&b'/'), EntryFault::NotDirectory)
}

/// Returns whether it is a directory.
pub(super) fn is_dir(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
}

/// Creates a regular file that was not there.
pub(super) fn create(dir: &OwnedFd, name: &CString) -> nix::Result<File> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(dir, name.as_c_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from)
}
