//! Copies a root that is not in use: with owners, modes, times, extended attributes, hard links,
//! special files and holes. Follows no link.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmodat, fstat, futimens, mkdirat,
    mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, Whence, fchownat, linkat, lseek, symlinkat};

use super::{EntryFault, ImageError};
use crate::engine::sys;
use crate::engine::sys::copy_range::copy_range;
use crate::engine::terms::progress::Progress;

/// Directories are not deeper: each costs two descriptors.
const DEEPEST: usize = 400;
/// Between two looks at whether it was cancelled.
const PIECE: u64 = 8 << 20;
const BUFFER: usize = 128 * 1024;
const MODE: u32 = 0o7777;
const OWN_MODE: u32 = 0o600;

/// Copies everything in the directory `from` into the empty directory `to`, and makes that like
/// `from` itself. What is removed meanwhile is left out.
pub(in crate::engine) fn copy(
    from: &Path,
    to: &Path,
    progress: &Progress,
) -> Result<(), ImageError> {
    let source =
        File::open(from).map_err(|source| ImageError::Read { path: from.to_path_buf(), source })?;
    let target =
        File::open(to).map_err(|source| ImageError::Write { path: to.to_path_buf(), source })?;
    progress.begin("copying", 0);
    let [source, target] = [source, target].map(OwnedFd::from);
    let mut copier =
        Copier { from, to, top: &target, here: PathBuf::new(), links: HashMap::new(), progress };
    copier.dir(&source, &target, 0)
}

/// Copies one file that is not in use, with its holes, to the new file `to`, which only its owner
/// can read.
pub(in crate::engine) fn copy_file(
    from: &Path,
    to: &Path,
    progress: &Progress,
) -> Result<(), ImageError> {
    let read = |source| ImageError::Read { path: from.to_path_buf(), source };
    let write = |source| ImageError::Write { path: to.to_path_buf(), source };
    let source = File::open(from).map_err(read)?;
    if matches!(source.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return Err(read(io::Error::from(Errno::EBUSY)));
    }
    let mut options = File::options();
    let options = options.write(true).create_new(true).mode(OWN_MODE);
    let target = options.open(to).map_err(write)?;
    let length = source.metadata().map_err(read)?.len();
    progress.begin("copying", length);
    let top = OwnedFd::from(target.try_clone().map_err(write)?);
    let (here, links) = (PathBuf::new(), HashMap::new());
    Copier { from, to, top: &top, here, links, progress }.contents(&source, &target, length)
}

/// A copy in progress.
struct Copier<'a> {
    from: &'a Path,
    to: &'a Path,
    top: &'a OwnedFd,
    /// The entry that is copied, below both.
    here: PathBuf,
    /// The first name in the copy of each file that has several.
    links: HashMap<(u64, u64), PathBuf>,
    progress: &'a Progress,
}

impl Copier<'_> {
    fn read_error(&self, source: impl Into<io::Error>) -> ImageError {
        ImageError::Read { path: self.at(self.from), source: source.into() }
    }

    fn write_error(&self, source: impl Into<io::Error>) -> ImageError {
        ImageError::Write { path: self.at(self.to), source: source.into() }
    }

    fn at(&self, top: &Path) -> PathBuf {
        if self.here.as_os_str().is_empty() { top.to_path_buf() } else { top.join(&self.here) }
    }

    fn dir(&mut self, from: &OwnedFd, to: &OwnedFd, depth: usize) -> Result<(), ImageError> {
        use std::os::unix::ffi::OsStrExt as _;
        if depth > DEEPEST {
            let path = self.here.as_os_str().as_bytes();
            return Err(ImageError::entry(path, EntryFault::TooDeep));
        }
        let copy = from.try_clone().map_err(|it| self.read_error(it))?;
        let mut listed = Dir::from_fd(copy).map_err(|it| self.read_error(it))?;
        let mut names = Vec::new();
        for entry in listed.iter() {
            let name = entry.map_err(|it| self.read_error(it))?.file_name().to_owned();
            if name.as_c_str() != c"." && name.as_c_str() != c".." {
                names.push(name);
            }
        }
        for name in names {
            self.here.push(std::ffi::OsStr::from_bytes(name.to_bytes()));
            self.entry([from, to], &name, depth)?;
            self.here.pop();
        }
        let stat = fstat(from).map_err(|it| self.read_error(it))?;
        let copy = to.try_clone().map_err(|it| self.write_error(it))?;
        self.dress(&File::from(copy), from, &stat)
    }

    fn entry(
        &mut self,
        [from, to]: [&OwnedFd; 2],
        name: &CString,
        depth: usize,
    ) -> Result<(), ImageError> {
        if self.progress.is_cancelled() {
            return Err(ImageError::Cancelled);
        }
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let found = match openat(from, name.as_c_str(), flags, Mode::empty()) {
            Ok(found) => found,
            // Whoever uses the root removed it meanwhile.
            Err(Errno::ENOENT) => return Ok(()),
            Err(errno) => return Err(self.read_error(errno)),
        };
        let stat = fstat(&found).map_err(|it| self.read_error(it))?;
        let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
        if kind == SFlag::S_IFDIR {
            let source = match open(&found, c".", OFlag::O_DIRECTORY) {
                Ok(source) => source,
                Err(Errno::ENOENT) => return Ok(()),
                Err(errno) => return Err(self.read_error(errno)),
            };
            drop(found);
            mkdirat(to, name.as_c_str(), Mode::S_IRWXU).map_err(|it| self.write_error(it))?;
            let target = open(to, name, OFlag::O_DIRECTORY).map_err(|it| self.write_error(it))?;
            return self.dir(&source, &target, depth + 1);
        }
        let several = stat.st_nlink > 1;
        let identity = (stat.st_dev, stat.st_ino);
        if let Some(first) = self.links.get(&identity).filter(|_| several) {
            return linkat(self.top, first, to, name.as_c_str(), AtFlags::empty())
                .map_err(|it| self.write_error(it));
        }
        if several {
            self.links.insert(identity, self.here.clone());
        }
        if kind == SFlag::S_IFREG {
            return self.file(&found, to, name, &stat);
        }
        if kind == SFlag::S_IFLNK {
            let target = readlinkat(&found, c"").map_err(|it| self.read_error(it))?;
            symlinkat(target.as_os_str(), to, name.as_c_str())
                .map_err(|it| self.write_error(it))?;
        } else {
            mknodat(to, name.as_c_str(), kind, Mode::empty(), stat.st_rdev)
                .map_err(|it| self.write_error(it))?;
        }
        dress_unopened(to, name, &stat, kind).map_err(|it| self.write_error(it))
    }

    fn file(
        &self,
        found: &OwnedFd,
        to: &OwnedFd,
        name: &CString,
        stat: &FileStat,
    ) -> Result<(), ImageError> {
        // The very file that was looked at: another of its name may be a disk of the host.
        let source = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()));
        let source = OwnedFd::from(source.map_err(|it| self.read_error(it))?);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let target = openat(to, name.as_c_str(), flags | OFlag::O_CLOEXEC, mode)
            .map_err(|it| self.write_error(it))?;
        let [source_file, target] = [File::from(source), File::from(target)];
        let length = u64::try_from(stat.st_size).unwrap_or_default();
        self.contents(&source_file, &target, length)?;
        self.dress(&target, &OwnedFd::from(source_file), stat)
    }

    fn contents(&self, source: &File, target: &File, length: u64) -> Result<(), ImageError> {
        let mut at = 0;
        while let Some(data) = next_data(source, at, length) {
            self.data(source, target, data)?;
            at = data.1;
        }
        target.set_len(length).map_err(|it| self.write_error(it))
    }

    /// Copies the bytes from the first to the second place, by the kernel if it can.
    fn data(
        &self,
        source: &File,
        target: &File,
        (mut at, end): (u64, u64),
    ) -> Result<(), ImageError> {
        let mut buffer = Vec::new();
        while at < end {
            if self.progress.is_cancelled() {
                return Err(ImageError::Cancelled);
            }
            let most = usize::try_from(PIECE.min(end - at)).unwrap_or(BUFFER);
            let copied = if buffer.is_empty() {
                copy_range(source, target, at, most)
            } else {
                Err(Errno::EOPNOTSUPP)
            };
            let count = match copied {
                Ok(count) => count,
                // Not between these two file systems.
                Err(Errno::EXDEV | Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS) => {
                    buffer.resize(BUFFER, 0);
                    let piece = buffer.get_mut(..most.min(BUFFER)).unwrap_or_default();
                    let count = source.read_at(piece, at).map_err(|it| self.read_error(it))?;
                    let piece = piece.get(..count).unwrap_or_default();
                    target.write_all_at(piece, at).map_err(|it| self.write_error(it))?;
                    count
                }
                Err(errno) => return Err(self.write_error(errno)),
            };
            // It was made shorter meanwhile.
            if count == 0 {
                break;
            }
            at += count as u64;
            self.progress.advance(count as u64);
        }
        Ok(())
    }

    /// Makes `target` like the open file `from`.
    fn dress(&self, target: &File, from: &OwnedFd, stat: &FileStat) -> Result<(), ImageError> {
        fchown(target, Some(stat.st_uid), Some(stat.st_gid)).map_err(|it| self.write_error(it))?;
        // After the owner, whose change takes the bits of setuid and setgid away.
        let mode = Permissions::from_mode(stat.st_mode & MODE);
        target.set_permissions(mode).map_err(|it| self.write_error(it))?;
        let attributes = match sys::xattr::all(from.as_fd()) {
            Ok(attributes) => attributes,
            Err(Errno::EOPNOTSUPP) => Vec::new(),
            Err(errno) => return Err(self.read_error(errno)),
        };
        for (name, value) in attributes {
            match sys::xattr::set(target.as_fd(), &name, &value) {
                // The file system or the user has none, or the kernel sets it by itself.
                Ok(()) | Err(Errno::EOPNOTSUPP | Errno::EPERM) => (),
                Err(errno) => return Err(self.write_error(errno)),
            }
        }
        let [accessed, modified] = times(stat);
        futimens(target, &accessed, &modified).map_err(|it| self.write_error(it))
    }
}

/// Gives the owner, mode and times of another to what is not opened: a link or a special file.
fn dress_unopened(to: &OwnedFd, name: &CStr, stat: &FileStat, kind: SFlag) -> nix::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
    fchownat(to, name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if kind != SFlag::S_IFLNK {
        let mode = Mode::from_bits_truncate(stat.st_mode & MODE);
        fchmodat(to, name, mode, FchmodatFlags::FollowSymlink)?;
    }
    let [accessed, modified] = times(stat);
    utimensat(to, name, &accessed, &modified, UtimensatFlags::NoFollowSymlink)
}

/// Returns the next part of a file from `at` on that is not a hole; none: there is no other.
fn next_data(file: &File, at: u64, length: u64) -> Option<(u64, u64)> {
    if at >= length {
        return None;
    }
    let seek = |at: u64, whence| lseek(file, at.cast_signed(), whence).map(i64::cast_unsigned);
    let start = match seek(at, Whence::SeekData) {
        Ok(start) => start,
        Err(Errno::ENXIO) => return None,
        // This file system knows no holes.
        Err(_) => at,
    };
    let end = seek(start, Whence::SeekHole).unwrap_or(length).min(length);
    (start < end).then_some((start, end))
}

fn open(dir: &OwnedFd, name: &CStr, flags: OFlag) -> nix::Result<OwnedFd> {
    let flags = flags | OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

const fn times(stat: &FileStat) -> [TimeSpec; 2] {
    [
        TimeSpec::new(stat.st_atime, stat.st_atime_nsec),
        TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec),
    ]
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn a_copy_has_links_holes_modes_and_times() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|it| dir.path().join(it));
        fs::create_dir_all(from.join("etc/deep")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("etc/one"), "one").unwrap();
        fs::hard_link(from.join("etc/one"), from.join("etc/deep/two")).unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        let long = File::create(from.join("long")).unwrap();
        long.set_len(1 << 30).unwrap();
        long.write_all_at(b"end", (1 << 30) - 3).unwrap();
        fs::set_permissions(from.join("etc"), Permissions::from_mode(0o2751)).unwrap();
        let then = TimeSpec::new(1_000_000, 5);
        futimens(&long, &then, &then).unwrap();
        let progress = Progress::default();
        copy(&from, &to, &progress).unwrap();
        let meta = |path: &str| fs::symlink_metadata(to.join(path)).unwrap();
        assert_eq!(meta("etc/one").ino(), meta("etc/deep/two").ino());
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("/etc/passwd"));
        assert_eq!(meta("etc").mode() & MODE, 0o2751);
        let long = meta("long");
        assert_eq!((long.len(), long.mtime(), long.mtime_nsec()), (1 << 30, 1_000_000, 5));
        assert!(long.blocks() < 1000, "the hole was filled: {}", long.blocks());
        let mut end = [0; 3];
        File::open(to.join("long")).unwrap().read_exact_at(&mut end, (1 << 30) - 3).unwrap();
        assert_eq!(&end, b"end");
        progress.cancel();
        let again = dir.path().join("again");
        fs::create_dir(&again).unwrap();
        assert!(matches!(copy(&from, &again, &progress), Err(ImageError::Cancelled)));
    }

    #[test]
    fn what_is_removed_meanwhile_is_left_out() {
        use std::sync::atomic::{AtomicBool, Ordering};

        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir_all(from.join("churn")).unwrap();
        fs::write(from.join("stays"), "there").unwrap();
        let ends = AtomicBool::new(false);
        let come_and_go = || {
            let names = |it| [from.join(format!("churn/f{it}")), from.join(format!("churn/d{it}"))];
            for [file, directory] in (0..50).map(names) {
                fs::write(file, "x").unwrap();
                fs::create_dir(directory).unwrap();
            }
            for [file, directory] in (0..50).map(names) {
                fs::remove_file(file).unwrap();
                fs::remove_dir(directory).unwrap();
            }
        };
        let churn = || {
            while !ends.load(Ordering::Relaxed) {
                come_and_go();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(churn);
            let copied: Vec<_> = (0..20)
                .map(|it| {
                    let to = dir.path().join(format!("to{it}"));
                    fs::create_dir(&to).unwrap();
                    copy(&from, &to, &Progress::default()).map(|()| fs::read(to.join("stays")))
                })
                .collect();
            ends.store(true, Ordering::Relaxed);
            for it in copied {
                assert_eq!(it.unwrap().unwrap(), b"there");
            }
        });
    }
}
