//! Writes the entries of an archive below a root: those of a whole root, and those of a layer, which
//! may also remove what the layers below it have.

use std::cell::Cell;
use std::ffi::CString;
use std::fs::{File, Permissions};
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{
    FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, futimens, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat, linkat, symlinkat};
use tar::{Archive, Entry, EntryType};

use super::flow::{Bounded, Hashed, Stream};
use super::root::{EntryPath, NewRoot, create, is_dir, parts};
use super::{EntryFault, ImageError};
use crate::engine::sys;
use crate::engine::terms::progress::Progress;

/// More than the headers of one entry take, with the longest path and attributes.
const MAX_HEADERS: u64 = 1 << 20;
/// A sparse file takes a few bytes of an image, whatever its length.
pub(in crate::engine) const MAX_SPARSE: u64 = 16 << 30;
/// What a hole is read as, in pieces of at most this length.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// What removes files, and which directories are there, is remembered until the end of a layer.
const MOST_REMEMBERED: usize = 64 << 20;
/// The prefix of how newer archives describe holes.
const PAX_HOLES: &str = "GNU.sparse.";
/// The bits of a mode that a file may have.
const MODE: u32 = 0o7777;

/// What a name of a layer begins with that removes the rest of the name from the layers below.
const WHITEOUT: &[u8] = b".wh.";
/// Removes everything that the layers below have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other names that begin so are the layers' own.
const RESERVED: &[u8] = b".wh..wh.";

/// Extended attributes that are kept: capabilities of programs, and those of users.
const ATTRIBUTES: [&str; 2] = ["security.capability", "user."];
const PAX_ATTRIBUTE: &str = "SCHILY.xattr.";

type Source = Bounded<Hashed<Stream>>;
pub(super) type FoundEntry<'a> = Entry<'a, Source>;

/// Shows every entry of the archive in `stream` to `each`, and returns the digest of all its bytes.
pub(super) fn walk(
    stream: Stream,
    path: &Path,
    each: &mut dyn FnMut(&mut FoundEntry<'_>) -> Result<(), ImageError>,
) -> Result<String, ImageError> {
    let failed = |source| ImageError::Read { path: path.to_path_buf(), source };
    let left = Rc::new(Cell::new(MAX_HEADERS));
    let source = Bounded { source: Hashed::new(stream), left: Rc::clone(&left) };
    let mut archive = Archive::new(source);
    let mut entries = archive.entries().map_err(failed)?;
    while let Some(entry) = {
        left.set(MAX_HEADERS);
        entries.next()
    } {
        let mut entry = entry.map_err(failed)?;
        left.set(u64::MAX);
        if has_pax_holes(&mut entry) {
            return Err(ImageError::entry(&entry.path_bytes(), EntryFault::PaxSparse));
        }
        if entry.header().entry_type() == EntryType::GNUSparse && entry.size() > MAX_SPARSE {
            return Err(ImageError::entry(&entry.path_bytes(), EntryFault::TooSparse));
        }
        each(&mut entry)?;
        io::copy(&mut entry, &mut io::sink()).map_err(failed)?;
    }
    left.set(u64::MAX);
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(failed)?;
    Ok(rest.source.digest())
}

/// What an entry of a layer removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whiteout {
    One(EntryPath),
    /// Everything in the directory.
    All(EntryPath),
}

/// Reads the name of an entry as a whiteout; none: it is an ordinary entry.
pub(super) fn whiteout(path: &[u8]) -> Result<Option<Whiteout>, EntryFault> {
    let mut parts = parts(path)?;
    let Some(last) = parts.pop() else { return Ok(None) };
    let name = last.to_bytes();
    if name == OPAQUE {
        return Ok(Some(Whiteout::All(parts)));
    }
    let Some(hidden) = name.strip_prefix(WHITEOUT) else { return Ok(None) };
    if name.starts_with(RESERVED) {
        return Ok(None);
    }
    if matches!(hidden, b"" | b"." | b"..") {
        return Err(EntryFault::NoName);
    }
    parts.push(CString::new(hidden).map_err(|_nul| EntryFault::Nul)?);
    Ok(Some(Whiteout::One(parts)))
}

/// Writes entries below a root.
pub(super) struct Writer<'a> {
    root: &'a NewRoot,
    archive: PathBuf,
    /// Their times change with each entry in them, so they are set last.
    dirs: Vec<(EntryPath, i64)>,
    /// The length of their paths.
    remembered: usize,
    devices: usize,
    others: usize,
    owns: bool,
    progress: Progress,
    /// Whether names may be whiteouts.
    pub(super) layered: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(root: &'a NewRoot, archive: &Path, progress: &Progress) -> Self {
        Self {
            root,
            archive: archive.to_path_buf(),
            dirs: Vec::new(),
            remembered: 0,
            devices: 0,
            others: 0,
            owns: nix::unistd::geteuid().is_root(),
            progress: progress.clone(),
            layered: false,
        }
    }

    /// Ends a layer.
    pub(super) fn finish_layer(&mut self) -> Result<(), ImageError> {
        self.remembered = 0;
        for (parts, seconds) in std::mem::take(&mut self.dirs) {
            if let Some(dir) = self.root.dir(&parts)? {
                let time = TimeSpec::new(seconds, 0);
                let set = futimens(&dir, &time, &time);
                set.map_err(|errno| self.root.write_error(&parts, errno))?;
            }
        }
        Ok(())
    }

    /// Ends the image, and returns what was left out.
    pub(super) fn finish(mut self) -> Result<Vec<String>, ImageError> {
        self.finish_layer()?;
        let mut notes = Vec::new();
        if self.devices > 0 {
            let count = self.devices;
            notes.push(format!("left out {count} device nodes: a container has a /dev of its own"));
        }
        if self.others > 0 {
            notes.push(format!("left out {} entries of unknown types", self.others));
        }
        if !self.owns {
            notes
                .push("all its files belong to you, since only root can give them away".to_owned());
        }
        Ok(notes)
    }

    /// Writes one entry.
    pub(super) fn put(&mut self, entry: &mut FoundEntry<'_>) -> Result<(), ImageError> {
        let path = entry.path_bytes().into_owned();
        let blame = |fault| ImageError::entry(&path, fault);
        if self.layered && whiteout(&path).map_err(blame)?.is_some() {
            return Ok(());
        }
        let parts = parts(&path).map_err(blame)?;
        let kind = entry.header().entry_type();
        if kind.is_character_special() || kind.is_block_special() {
            self.devices += 1;
            return Ok(());
        }
        if kind.is_pax_global_extensions() {
            return Ok(());
        }
        let Some((name, above)) = parts.split_last() else {
            return if kind.is_dir() { self.dress_dir(&parts, entry) } else { Ok(()) };
        };
        let parent = self.root.make_dir(above)?;
        let failed = |errno: Errno| self.root.write_error(&parts, errno);
        let there = NewRoot::stat(&parent, name).map_err(failed)?;
        if kind.is_dir() {
            if there.as_ref().is_some_and(|it| !is_dir(it)) {
                self.root.erase_in(&parent, &parts, name)?;
            }
            if there.as_ref().is_none_or(|it| !is_dir(it)) {
                mkdirat(&parent, name.as_c_str(), Mode::S_IRWXU).map_err(failed)?;
            }
            return self.dress_dir(&parts, entry);
        }
        if kind.is_hard_link() {
            return self.link(&parent, &parts, entry);
        }
        if there.is_some() {
            self.root.erase_in(&parent, &parts, name)?;
        }
        if kind.is_symlink() {
            let to = entry.link_name_bytes().unwrap_or_default().into_owned();
            let to = CString::new(to).map_err(|_nul| blame(EntryFault::Nul))?;
            symlinkat(to.as_c_str(), &parent, name.as_c_str()).map_err(failed)?;
            return self.dress_link(&parent, &parts, entry);
        }
        if kind.is_fifo() {
            let mode = entry.header().mode().map_err(|_bad| malformed(entry))?;
            let mode = Mode::from_bits_truncate(mode & MODE);
            mknodat(&parent, name.as_c_str(), SFlag::S_IFIFO, mode, 0).map_err(failed)?;
            // Whatever the umask of the caller is. It is no link.
            let follow = FchmodatFlags::FollowSymlink;
            fchmodat(&parent, name.as_c_str(), mode, follow).map_err(failed)?;
            return self.dress_link(&parent, &parts, entry);
        }
        let is_file = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse();
        if !is_file {
            self.others += 1;
            return Ok(());
        }
        let mut file = create(&parent, name).map_err(failed)?;
        self.fill(&mut file, &parts, entry)
    }

    fn fill(
        &self,
        file: &mut File,
        parts: &EntryPath,
        entry: &mut FoundEntry<'_>,
    ) -> Result<(), ImageError> {
        // The writer remembers its own failure, which tells it from one of reading.
        let mut writing = Failing::new(file, &self.progress);
        writing.holes = entry.header().entry_type().is_gnu_sparse();
        let copied = io::copy(entry, &mut writing).and_then(|_| writing.end());
        if let Err(source) = copied {
            let failed = writing.failed;
            return Err(if failed {
                self.root.write_error(parts, source)
            } else {
                ImageError::Read { path: self.archive.clone(), source }
            });
        }
        self.dress(file, parts, entry)
    }

    fn dress_dir(
        &mut self,
        parts: &EntryPath,
        entry: &mut FoundEntry<'_>,
    ) -> Result<(), ImageError> {
        let Some(dir) = self.root.dir(parts)? else { return Ok(()) };
        let seconds = i64::try_from(entry.header().mtime().unwrap_or_default()).unwrap_or_default();
        remember(&mut self.remembered, &entry.path_bytes())?;
        self.dirs.push((parts.clone(), seconds));
        self.dress(&File::from(dir), parts, entry)
    }

    /// Gives a file or directory its owner, mode, attributes and times.
    fn dress(
        &self,
        file: &File,
        parts: &EntryPath,
        entry: &mut FoundEntry<'_>,
    ) -> Result<(), ImageError> {
        let (uid, gid) = owner(entry)?;
        let mode = entry.header().mode().map_err(|_bad| malformed(entry))?;
        let failed = |source: io::Error| self.root.write_error(parts, source);
        if self.owns {
            fchown(file, Some(uid), Some(gid)).map_err(failed)?;
        }
        // After the owner, whose change takes the bits of setuid and setgid away.
        file.set_permissions(Permissions::from_mode(mode & MODE)).map_err(failed)?;
        for (name, value) in attributes(entry) {
            match sys::xattr::set(file.as_fd(), &name, &value) {
                // The file system or the user has none.
                Ok(()) | Err(Errno::EOPNOTSUPP | Errno::EPERM) => (),
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        let time = time_of(entry);
        futimens(file, &time, &time).map_err(|errno| failed(errno.into()))
    }

    /// The same for a link or a pipe, which is not opened.
    fn dress_link(
        &self,
        parent: &OwnedFd,
        parts: &EntryPath,
        entry: &mut FoundEntry<'_>,
    ) -> Result<(), ImageError> {
        let Some(name) = parts.last() else { return Ok(()) };
        let failed = |errno: Errno| self.root.write_error(parts, errno);
        let (uid, gid) = owner(entry)?;
        if self.owns {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            fchownat(parent, name.as_c_str(), uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
                .map_err(failed)?;
        }
        let time = time_of(entry);
        utimensat(parent, name.as_c_str(), &time, &time, UtimensatFlags::NoFollowSymlink)
            .map_err(failed)
    }

    /// Makes another name of a file of the image.
    fn link(
        &self,
        parent: &OwnedFd,
        own: &EntryPath,
        entry: &FoundEntry<'_>,
    ) -> Result<(), ImageError> {
        let path = entry.path_bytes().into_owned();
        let blame = |fault| ImageError::entry(&path, fault);
        let to = entry.link_name_bytes().unwrap_or_default();
        let to = parts(&to).map_err(blame)?;
        let (Some((target, above)), Some(name)) = (to.split_last(), own.last()) else {
            return Err(blame(EntryFault::NoTarget));
        };
        let failed = |errno: Errno| self.root.write_error(own, errno);
        let dir = self.root.dir(above)?.ok_or_else(|| blame(EntryFault::NoTarget))?;
        let found = NewRoot::stat(&dir, target).map_err(failed)?;
        let found = found.filter(|it| !is_dir(it)).ok_or_else(|| blame(EntryFault::NoTarget))?;
        if let Some(there) = NewRoot::stat(parent, name).map_err(failed)? {
            if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino) {
                return Ok(());
            }
            self.root.erase_in(parent, own, name)?;
        }
        linkat(&dir, target.as_c_str(), parent, name.as_c_str(), AtFlags::empty()).map_err(failed)
    }
}

fn owner(entry: &FoundEntry<'_>) -> Result<(u32, u32), ImageError> {
    let id = |it: io::Result<u64>| it.ok().and_then(|it| u32::try_from(it).ok());
    let header = entry.header();
    let ids = id(header.uid()).zip(id(header.gid()));
    ids.filter(|it| it.0 != u32::MAX && it.1 != u32::MAX).ok_or_else(|| malformed(entry))
}

/// A file that remembers that it is the one that failed, and stops if the work was cancelled: the
/// holes of a sparse file are not read.
pub(super) struct Failing<'a> {
    file: &'a mut File,
    progress: &'a Progress,
    /// Zeros are left out, as in the file that was archived.
    holes: bool,
    length: u64,
    pub(super) failed: bool,
}

impl<'a> Failing<'a> {
    pub(super) const fn new(file: &'a mut File, progress: &'a Progress) -> Self {
        Self { file, progress, holes: false, length: 0, failed: false }
    }

    /// Makes the file as long as what was written, whose end may be a hole.
    fn end(&mut self) -> io::Result<()> {
        if !self.holes {
            return Ok(());
        }
        self.file.set_len(self.length).inspect_err(|_| self.failed = true)
    }
}

impl io::Write for Failing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.progress.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let is_hole = self.holes && ZEROS.get(..bytes.len()) == Some(bytes);
        let written = if is_hole {
            let by = i64::try_from(bytes.len()).unwrap_or_default();
            self.file.seek(SeekFrom::Current(by)).map(|_| bytes.len())
        } else {
            self.file.write(bytes)
        };
        let written = written.inspect_err(|_| self.failed = true)?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn malformed(entry: &FoundEntry<'_>) -> ImageError {
    ImageError::entry(&entry.path_bytes(), EntryFault::Malformed)
}

fn time_of(entry: &FoundEntry<'_>) -> TimeSpec {
    let seconds = entry.header().mtime().unwrap_or_default();
    TimeSpec::new(i64::try_from(seconds).unwrap_or_default(), 0)
}

/// Counts about how many bytes a path takes in memory, and refuses one too many.
pub(super) fn remember(remembered: &mut usize, path: &[u8]) -> Result<(), ImageError> {
    const AROUND: usize = 64;
    // Each part is a text of its own, and may have a single letter.
    *remembered += AROUND + path.len() * 16;
    if *remembered > MOST_REMEMBERED {
        return Err(ImageError::entry(path, EntryFault::TooMany));
    }
    Ok(())
}

/// Returns whether the entry is a sparse file as newer archives write it: as a list of holes and the
/// rest, which would be taken for its content.
fn has_pax_holes(entry: &mut FoundEntry<'_>) -> bool {
    let Ok(Some(pax)) = entry.pax_extensions() else { return false };
    pax.flatten().any(|it| it.key().is_ok_and(|it| it.starts_with(PAX_HOLES)))
}

/// Returns the extended attributes that are kept.
fn attributes(entry: &mut FoundEntry<'_>) -> Vec<(CString, Vec<u8>)> {
    let Ok(Some(pax)) = entry.pax_extensions() else { return Vec::new() };
    let kept = pax.flatten().filter_map(|it| {
        let name = it.key().ok()?.strip_prefix(PAX_ATTRIBUTE)?;
        let keeps =
            ATTRIBUTES.iter().any(|it| name == *it || it.ends_with('.') && name.starts_with(it));
        keeps.then_some(())?;
        Some((CString::new(name).ok()?, it.value_bytes().to_vec()))
    });
    kept.collect()
}

/// Applies what a layer removes from those below it.
pub(super) fn remove(root: &NewRoot, whiteouts: &[Whiteout]) -> Result<(), ImageError> {
    whiteouts.iter().try_for_each(|it| match it {
        Whiteout::One(parts) => root.erase(parts),
        Whiteout::All(parts) => root.clear(parts),
    })
}

#[cfg(test)]
#[path = "layer/tests.rs"]
mod tests;
