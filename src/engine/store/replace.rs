//! Replaces a file in one step: write beside it, sync, rename over it, sync the directory.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The permission bits of a mode.
const PERMISSIONS: u32 = 0o777;

/// Puts `bytes` at `path`. A link there is replaced, not followed; on failure nothing is left, and
/// leftovers of killed writers are removed. The caller is the only writer of this file.
pub(super) fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    put(path, bytes, |file| file.set_permissions(Permissions::from_mode(mode)))
}

/// The same, with the mode and the owner of the old file.
pub(super) fn write_like(path: &Path, bytes: &[u8], old: &Metadata) -> io::Result<()> {
    put(path, bytes, |file| {
        let new = file.metadata()?;
        let (uid, gid) = (old.uid(), old.gid());
        if (new.uid(), new.gid()) != (uid, gid) {
            fchown(file, Some(uid), Some(gid))?;
        }
        file.set_permissions(Permissions::from_mode(old.mode() & PERMISSIONS))
    })
}

fn put(path: &Path, bytes: &[u8], dress: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    let beside = beside(path)?;
    remove_drafts(path);
    let done = write(&beside, bytes, dress).and_then(|()| std::fs::rename(&beside, path));
    if done.is_err() {
        // The first error is the one to report.
        _ = std::fs::remove_file(&beside);
        return done;
    }
    let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// Removes what killed writers of `path` have left. Failures are harmless.
pub(super) fn remove_drafts(path: &Path) {
    drafts(path).for_each(|it| _ = std::fs::remove_file(it));
}

/// Returns whether `dir` has drafts of one of these files, of active or of killed writers.
pub(super) fn has_drafts(dir: &Path, files: &[&str]) -> bool {
    let mut entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.any(|it| files.iter().any(|file| is_draft(&it.file_name(), file.as_ref())))
}

/// Lists the drafts of `path`, those of active and of killed writers.
fn drafts(path: &Path) -> impl Iterator<Item = PathBuf> {
    let dir = path.parent().map(std::fs::read_dir);
    let entries = dir.into_iter().flatten().flatten().flatten();
    let is_of = |file: &OsStr| path.file_name().is_some_and(|name| is_draft(file, name));
    entries.filter(move |it| is_of(&it.file_name())).map(|it| it.path())
}

/// Returns whether `file` is a name that [`beside`] returns for `name`.
fn is_draft(file: &OsStr, name: &OsStr) -> bool {
    let numbers = file
        .as_encoded_bytes()
        .strip_prefix(b".")
        .and_then(|it| it.strip_prefix(name.as_encoded_bytes()))
        .and_then(|it| it.strip_prefix(b"."));
    numbers.is_some_and(|it| {
        let mut parts = it.split(|byte| *byte == b'.');
        let numeric = |it: &[u8]| !it.is_empty() && it.iter().all(u8::is_ascii_digit);
        parts.by_ref().take(2).filter(|it| numeric(it)).count() == 2 && parts.next().is_none()
    })
}

fn write(path: &Path, bytes: &[u8], dress: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)?;
    file.write_all(bytes)?;
    dress(&file)?;
    file.sync_all()
}

/// A hidden name in the same directory, different for every call of every process.
fn beside(path: &Path) -> io::Result<PathBuf> {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let Some(name) = path.file_name() else {
        return Err(io::Error::from_raw_os_error(libc::EISDIR));
    };
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.{call}", std::process::id()));
    Ok(path.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn content_and_mode_are_replaced_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        write_atomic(&path, b"old", 0o644).unwrap();
        write_atomic(&path, b"new", 0o640).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_is_replaced_and_its_target_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        let path = dir.path().join("config");
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        write_atomic(&path, b"new", 0o640).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn what_killed_writers_have_left_goes_with_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let others = [".config", ".config.1", ".config.x.1", ".config.1.2.3", ".other.1.2"];
        for name in [".config.4242.0", ".config.1.77"].iter().chain(&others) {
            fs::write(dir.path().join(name), "half").unwrap();
        }
        write_atomic(&path, b"new", 0o640).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(
            left,
            [".config", ".config.1", ".config.1.2.3", ".config.x.1", ".other.1.2", "config"]
        );
    }

    #[test]
    fn the_owner_and_the_mode_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        write_atomic(&path, b"old", 0o640).unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(0), Some(4711)).unwrap();
        }
        let before = fs::metadata(&path).unwrap();
        write_like(&path, b"new", &before).unwrap();
        let after = fs::metadata(&path).unwrap();
        let of = |it: &Metadata| (it.uid(), it.gid(), it.mode());
        assert_eq!((fs::read(&path).unwrap().as_slice(), of(&after)), (&b"new"[..], of(&before)));
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("config/full")).unwrap();
        assert!(write_atomic(&dir.path().join("config"), b"x", 0o640).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
