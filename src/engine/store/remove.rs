//! Removes a directory tree by directory descriptors, never through a link, never across a mount,
//! and at any depth with few descriptors.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag, renameat, renameat2};
use nix::sys::stat::{Mode, SFlag, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::engine::sys;
use crate::engine::terms::error::words;

/// The name of a container's directory within its draft.
pub(in crate::engine) const IN_DRAFT: &CStr = c"draft";

/// The file in a container's directory that marks it as incomplete (LXC's convention).
pub(super) const PARTIAL: &str = "partial";

/// Directories deeper than this are moved up and removed from there, so that an image full of
/// nested directories costs no more descriptors than others.
const MAX_DEPTH: usize = 64;

/// Why a tree still exists, or part of it.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum RemoveError {
    #[error("{0} is a mount point; unmount it first (umount {0})")]
    Mount(PathBuf),
    #[error(
        "{0} may not be removed: it or its directory is immutable or append-only (lsattr, \
             chattr -i -a)"
    )]
    Immutable(PathBuf),
    #[error("remove {path}: {}", words(source))]
    Remove { path: PathBuf, source: io::Error },
    #[error(
        "{} belongs to the container and cannot be moved back to {}: {}; move it there, or what is in \
         its way elsewhere", from.display(), to.display(), words(error)
    )]
    GiveBack { from: PathBuf, to: PathBuf, error: io::Error },
    #[error(
        "{0}; a part of it is gone, so that it cannot be used any more: remove it again once that is \
         mended"
    )]
    Half(Box<Self>),
    /// By another process.
    #[error("{0}")]
    Elsewhere(String),
}

impl RemoveError {
    /// Returns whether another user might be allowed to.
    pub(super) fn is_denied(&self) -> bool {
        match self {
            Self::Remove { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            Self::Half(error) => error.is_denied(),
            Self::Mount(_) | Self::Immutable(_) | Self::GiveBack { .. } | Self::Elsewhere(_) => {
                false
            }
        }
    }
}

/// Removes `name` in the directory `parent`, with everything below. A link is removed as itself.
/// `shown` is the path of `name` for messages. A missing `name` is not an error.
pub(in crate::engine) fn remove_tree(
    parent: impl AsFd,
    name: &CStr,
    shown: &Path,
) -> Result<(), RemoveError> {
    remove_counting(parent.as_fd(), name, shown, &mut 0)
}

/// The same, and counts what was removed also when it fails.
fn remove_counting(
    parent: BorrowedFd<'_>,
    name: &CStr,
    shown: &Path,
    removed: &mut u64,
) -> Result<(), RemoveError> {
    if remove_leaf(parent, name, shown)? {
        *removed += 1;
        return Ok(());
    }
    let top = open(parent, name, shown)?;
    let mut work = TreeRemoval { top: &top, moved: 0, removed };
    while empty(&top, shown, 1, &mut work)? > 0 {}
    remove_dir(parent, name, shown)?;
    *removed += 1;
    Ok(())
}

/// Removes the container's directory `name` in `parent`: it is moved into the draft `hidden` first,
/// so that a command killed in the middle leaves nothing under its own name. On failure the
/// container is there as before; if a part of it is gone, it is marked as incomplete.
pub(super) fn remove_container(
    parent: impl AsFd,
    name: &CStr,
    hidden: &CStr,
    shown: &Path,
) -> Result<(), RemoveError> {
    let parent = parent.as_fd();
    if remove_leaf(parent, name, shown)? {
        return Ok(());
    }
    match mkdirat(parent, hidden, Mode::S_IRWXU) {
        // What goes now is what makes room.
        Err(Errno::ENOSPC | Errno::EDQUOT) => return remove_in_place(parent, name, shown),
        made => made.map_err(|error| {
            failed(&shown.with_file_name(OsStr::from_bytes(hidden.to_bytes())), error)
        })?,
    }
    let removed = remove_in_draft(parent, name, hidden, shown);
    // If something could not be removed, the first error is the one to report.
    let tidied = remove_dir(parent, hidden, shown);
    removed.and(tidied)
}

fn remove_in_draft(
    parent: BorrowedFd<'_>,
    name: &CStr,
    hidden: &CStr,
    shown: &Path,
) -> Result<(), RemoveError> {
    let draft = open(parent, hidden, shown)?;
    let draft = draft.as_fd();
    match rename(parent, name, draft, IN_DRAFT) {
        // Overlayfs does not move what is in a lower layer.
        Err(Errno::EXDEV) => return remove_in_place(parent, name, shown),
        moved => moved.map_err(|error| failed(shown, error))?,
    }
    match remove_all_but_config(draft, IN_DRAFT, shown) {
        Ok(()) => remove_tree(draft, IN_DRAFT, shown),
        // Without a mark the next command removes the rest.
        Err(error @ RemoveError::Half(_)) if !is_marked(draft, shown) => Err(error),
        Err(error) => {
            // The first error is the one to report.
            _ = rename(draft, IN_DRAFT, parent, name);
            Err(error)
        }
    }
}

/// Returns whether a directory in a draft has the mark of what is incomplete.
fn is_marked(draft: BorrowedFd<'_>, shown: &Path) -> bool {
    open(draft, IN_DRAFT, shown)
        .is_ok_and(|it| fstatat(&it, PARTIAL, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok())
}

/// Removes what cannot be moved first. The mark and the configuration go last.
fn remove_in_place(parent: BorrowedFd<'_>, name: &CStr, shown: &Path) -> Result<(), RemoveError> {
    let dir = open(parent, name, shown)?;
    // Where there is no room for it, there is once a part has gone.
    let marked = mark(&dir).is_ok();
    match remove_all_but_config(parent, name, shown) {
        Ok(()) => remove_tree(parent, name, shown),
        Err(error @ RemoveError::Half(_)) => Err(error),
        Err(error) => {
            if marked {
                // It is as before.
                _ = unlinkat(&dir, PARTIAL, UnlinkatFlags::NoRemoveDir);
            }
            Err(error)
        }
    }
}

/// Marks a directory as incomplete, which it was not before.
fn mark(dir: &OwnedFd) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    nix::fcntl::openat(dir, PARTIAL, flags, Mode::S_IRUSR | Mode::S_IWUSR)
}

/// Renames, and replaces nothing. Some file systems cannot promise that; nobody else makes these
/// names.
fn rename(
    from: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    new_name: &CStr,
) -> nix::Result<()> {
    match renameat2(from, name, to, new_name, RenameFlags::RENAME_NOREPLACE) {
        Err(Errno::EINVAL) => renameat(from, name, to, new_name),
        other => other,
    }
}

fn remove_all_but_config(
    parent: BorrowedFd<'_>,
    hidden: &CStr,
    shown: &Path,
) -> Result<(), RemoveError> {
    let dir = open(parent, hidden, shown)?;
    let mut removed = 0;
    // The mark of one that is incomplete already goes last as well.
    let stays = |it: &CString| it.as_c_str() == c"config" || it.as_bytes() == PARTIAL.as_bytes();
    for name in names(&dir, shown)?.iter().filter(|it| !stays(it)) {
        let path = shown.join(name.to_string_lossy().as_ref());
        let done = remove_counting(dir.as_fd(), name, &path, &mut removed);
        if let Err(error) = done {
            return Err(if removed > 0 { half(&dir, error) } else { error });
        }
    }
    Ok(())
}

/// Marks what was removed in part, as LXC marks what is incomplete: nothing starts or restores it.
fn half(dir: &OwnedFd, error: RemoveError) -> RemoveError {
    // It may be there. Whoever moves it sees if it is not.
    _ = mark(dir);
    RemoveError::Half(Box::new(error))
}

/// The removal of one tree.
struct TreeRemoval<'a> {
    /// Where directories that are too deep are moved, under unique names.
    top: &'a OwnedFd,
    moved: u64,
    removed: &'a mut u64,
}

impl TreeRemoval<'_> {
    fn move_up(&mut self, from: BorrowedFd<'_>, name: &CStr) -> nix::Result<()> {
        loop {
            self.moved += 1;
            let hidden = format!(".wharf-removed-{}", self.moved);
            match fstatat(self.top, hidden.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                Err(Errno::ENOENT) => return renameat(from, name, self.top, hidden.as_str()),
                Err(error) => return Err(error),
                Ok(_) => (),
            }
        }
    }
}

/// Removes what is in `dir`; returns how many entries were moved up instead.
fn empty(
    dir: &OwnedFd,
    shown: &Path,
    depth: usize,
    work: &mut TreeRemoval<'_>,
) -> Result<usize, RemoveError> {
    let mut left = 0;
    for name in names(dir, shown)? {
        let path = shown.join(name.to_string_lossy().as_ref());
        if remove_leaf(dir.as_fd(), &name, &path)? {
            *work.removed += 1;
            continue;
        }
        if depth >= MAX_DEPTH {
            work.move_up(dir.as_fd(), &name).map_err(|error| failed(&path, error))?;
            left += 1;
            continue;
        }
        let child = open(dir.as_fd(), &name, &path)?;
        left += empty(&child, &path, depth + 1, work)?;
        remove_dir(dir.as_fd(), &name, &path)?;
        *work.removed += 1;
    }
    Ok(left)
}

/// Removes `name` if it is not a directory. False: it is one.
fn remove_leaf(parent: BorrowedFd<'_>, name: &CStr, shown: &Path) -> Result<bool, RemoveError> {
    let stat = match fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::ENOENT) => return Ok(true),
        Err(error) => return Err(failed(shown, error)),
    };
    if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR {
        return Ok(false);
    }
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(true),
        Err(error) => Err(failed(shown, error)),
    }
}

fn remove_dir(parent: BorrowedFd<'_>, name: &CStr, shown: &Path) -> Result<(), RemoveError> {
    match unlinkat(parent, name, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(failed(shown, error)),
    }
}

/// Opens a directory below `parent`; a link or another mount is refused by the kernel.
fn open(parent: BorrowedFd<'_>, name: &CStr, shown: &Path) -> Result<OwnedFd, RemoveError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let resolve = ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_XDEV
        | ResolveFlag::RESOLVE_BENEATH;
    let how = OpenHow::new().flags(flags).resolve(resolve);
    match sys::open_within(parent, name, how) {
        Ok(fd) => Ok(fd),
        Err(Errno::ENOSYS) => open_and_compare(parent, name, flags, shown),
        Err(error) => Err(failed(shown, error)),
    }
}

/// For kernels before 5.6: opens without following, then compares the mounts of both.
fn open_and_compare(
    parent: BorrowedFd<'_>,
    name: &CStr,
    flags: OFlag,
    shown: &Path,
) -> Result<OwnedFd, RemoveError> {
    let child = nix::fcntl::openat(parent, name, flags, Mode::empty())
        .map_err(|error| failed(shown, error))?;
    let same = mount_id(parent).and_then(|it| Ok(it == mount_id(child.as_fd())?));
    match same {
        Ok(true) => Ok(child),
        Ok(false) => Err(RemoveError::Mount(shown.to_path_buf())),
        Err(source) => Err(RemoveError::Remove { path: shown.to_path_buf(), source }),
    }
}

fn mount_id(fd: BorrowedFd<'_>) -> io::Result<Option<String>> {
    use std::os::fd::AsRawFd as _;
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()))?;
    Ok(text.lines().find(|it| it.starts_with("mnt_id:")).map(str::to_owned))
}

fn names(dir: &OwnedFd, shown: &Path) -> Result<Vec<CString>, RemoveError> {
    let failed = |error| failed(shown, error);
    let copy = dir
        .try_clone()
        .map_err(|source| RemoveError::Remove { path: shown.to_path_buf(), source })?;
    let mut entries = Dir::from_fd(copy).map_err(failed)?;
    let mut names = Vec::new();
    for entry in entries.iter() {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn failed(shown: &Path, error: Errno) -> RemoveError {
    let path = shown.to_path_buf();
    if matches!(error, Errno::EXDEV | Errno::EBUSY) {
        RemoveError::Mount(path)
    } else if error == Errno::EPERM && nix::unistd::geteuid().is_root() {
        RemoveError::Immutable(path)
    } else {
        RemoveError::Remove { path, source: io::Error::from(error) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn remove(dir: &Path, name: &CStr) -> Result<(), RemoveError> {
        let parent = fs::File::open(dir).unwrap();
        remove_tree(&parent, name, &dir.join(name.to_str().unwrap()))
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::create_dir_all(&victim).unwrap();
        fs::write(victim.join("keep"), "").unwrap();
        fs::create_dir_all(dir.path().join("tree/a/b")).unwrap();
        symlink(&victim, dir.path().join("tree/a/link")).unwrap();
        symlink("../../victim/keep", dir.path().join("tree/a/file")).unwrap();
        remove(dir.path(), c"tree").unwrap();
        assert!(!dir.path().join("tree").exists());
        assert!(victim.join("keep").exists());

        symlink(&victim, dir.path().join("tree")).unwrap();
        remove(dir.path(), c"tree").unwrap();
        assert!(victim.join("keep").exists());
        remove(dir.path(), c"tree").unwrap();
    }

    #[test]
    fn a_container_is_removed_completely() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("web/rootfs/bin")).unwrap();
        fs::write(dir.path().join("web/config"), "").unwrap();
        let victim = dir.path().join("victim");
        fs::create_dir(&victim).unwrap();
        symlink(&victim, dir.path().join("link")).unwrap();
        let parent = fs::File::open(dir.path()).unwrap();
        for name in [c"web", c"link", c"missing"] {
            remove_container(&parent, name, c".hidden", dir.path()).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(victim.exists());
    }

    #[test]
    fn what_was_removed_is_counted_and_the_rest_marked() {
        let dir = tempfile::tempdir().unwrap();
        let at = OwnedFd::from(fs::File::open(dir.path()).unwrap());
        let mend = || RemoveError::Mount(dir.path().to_path_buf());
        assert!(matches!(half(&at, mend()), RemoveError::Half(_)));
        assert!(dir.path().join(PARTIAL).exists());
        let mut removed = 0;
        fs::create_dir_all(dir.path().join("tree/a")).unwrap();
        fs::write(dir.path().join("tree/a/file"), "").unwrap();
        remove_counting(at.as_fd(), c"tree", &dir.path().join("tree"), &mut removed).unwrap();
        assert_eq!(removed, 3);
    }

    #[test]
    fn depth_costs_no_descriptors() {
        const DEPTH: usize = 3000;
        let dir = tempfile::tempdir().unwrap();
        let mut at = OwnedFd::from(fs::File::open(dir.path()).unwrap());
        for _ in 0..DEPTH {
            mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
            at = nix::fcntl::openat(&at, "d", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
                .unwrap();
        }
        remove(dir.path(), c"d").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
