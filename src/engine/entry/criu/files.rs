//! The directory of a checkpoint: who may have written it, and the files in it that are not CRIU's
//! own: the console's, in LXC's form, and the limits that were set while the container ran.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::engine::terms::error::words;

/// By it every checkpoint is recognised.
const INVENTORY: &str = "inventory.img";
/// LXC's: which terminal was the console.
const TTY: &str = "tty.info";
/// Wharf's: a list of key and value. LXC does not look at it.
const LIMITS: &str = "wharf-limits.json";
/// CRIU's link to what was saved in advance.
const PARENT: &str = "parent";
/// More than anybody saves in advance.
const GENERATIONS: usize = 64;
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The bits by which others than the owner can write.
const OTHERS_WRITE: u32 = 0o022;
const STICKY: u32 = 0o1000;
/// How much of a log is read, from its end; and the most of the other files.
const MOST: u64 = 64 * 1024;

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum DirError {
    #[error("{}: {}", .0.display(), words(.1))]
    Io(PathBuf, io::Error),
    #[error(
        "{} has a checkpoint already, or other images; choose another directory, or remove that first",
        .0.display()
    )]
    Full(PathBuf),
    #[error("another checkpoint is being written into {}", .0.display())]
    Busy(PathBuf),
    #[error(
        "{}: CRIU has a shell run it, which takes no blanks and special characters in its path",
        .0.display()
    )]
    Script(PathBuf),
    #[error("{} has no checkpoint (there is no {INVENTORY})", .0.display())]
    Empty(PathBuf),
    #[error("{} is not a directory", .0.display())]
    NotDir(PathBuf),
    #[error(
        "{} can be written by others than root, and CRIU does as root what the files of a checkpoint \
         say; use a directory that is root's alone (`chown root` and `chmod go-w` make it so)",
        .0.display()
    )]
    Untrusted(PathBuf),
}

/// Prepares the directory for a new checkpoint, which is made if it is missing. It is the caller's while
/// the second that is returned is open.
pub(in crate::engine) fn to_write(dir: &Path) -> Result<(PathBuf, File), DirError> {
    let failed = |error| DirError::Io(dir.to_path_buf(), error);
    // Checked before anything is made in it.
    let whole = std::path::absolute(dir).map_err(failed)?;
    let mut there = whole.ancestors();
    let above = there.find(|it| it.symlink_metadata().is_ok()).unwrap_or_else(|| Path::new("/"));
    trusted(&above.canonicalize().map_err(failed)?)?;
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(&whole).map_err(failed)?;
    let dir = opened(&whole)?;
    let lock = File::open(&dir).map_err(failed)?;
    if lock.try_lock().is_err() {
        return Err(DirError::Busy(dir));
    }
    // A failed call removes all of these, which must be its own.
    for entry in fs::read_dir(&dir).map_err(failed)? {
        if is_of_checkpoint(&entry.map_err(failed)?.file_name()) {
            return Err(DirError::Full(dir));
        }
    }
    Ok((dir, lock))
}

fn is_of_checkpoint(name: &OsStr) -> bool {
    let others = [TTY, LIMITS, PARENT];
    Path::new(name).extension() == Some(OsStr::new("img")) || others.iter().any(|it| name == *it)
}

/// Checks what was saved in advance, at a path relative to that of the checkpoint.
pub(in crate::engine) fn check_previous(dir: &Path, previous: &Path) -> Result<(), DirError> {
    check_files(&opened(&dir.join(previous))?)
}

/// Finds a script that CRIU runs as root, by its one path.
pub(in crate::engine) fn script(path: &Path) -> Result<PathBuf, DirError> {
    let failed = |error| DirError::Io(path.to_path_buf(), error);
    let found = path.canonicalize().map_err(failed)?;
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "/._-+".contains(it);
    if !found.to_str().is_some_and(|it| it.chars().all(is_plain)) {
        return Err(DirError::Script(found));
    }
    if is_others(&found.metadata().map_err(failed)?) {
        return Err(DirError::Untrusted(found));
    }
    trusted(&found)?;
    Ok(found)
}

/// Finds the checkpoint in the directory, with files that only root can have written.
pub(in crate::engine) fn to_read(dir: &Path) -> Result<PathBuf, DirError> {
    let dir = opened(dir)?;
    if !dir.join(INVENTORY).is_file() {
        return Err(DirError::Empty(dir));
    }
    check_files(&dir)?;
    Ok(dir)
}

/// Refuses files that others could have written, in the directory and in those of what was saved
/// before it.
fn check_files(dir: &Path) -> Result<(), DirError> {
    let mut dir = dir.to_path_buf();
    for _ in 0..GENERATIONS {
        let failed = |error| DirError::Io(dir.clone(), error);
        let mut parent = None;
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let meta = path.symlink_metadata().map_err(failed)?;
            if path.ends_with(PARENT) {
                parent = Some(opened(&path)?);
            } else if meta.is_symlink() || is_others(&meta) {
                return Err(DirError::Untrusted(path));
            }
        }
        let Some(parent) = parent else { return Ok(()) };
        dir = parent;
    }
    Err(DirError::Untrusted(dir))
}

/// Returns the directory by its one path.
fn opened(dir: &Path) -> Result<PathBuf, DirError> {
    let dir = dir.canonicalize().map_err(|error| DirError::Io(dir.to_path_buf(), error))?;
    if !dir.is_dir() {
        return Err(DirError::NotDir(dir));
    }
    let meta = dir.metadata().map_err(|error| DirError::Io(dir.clone(), error))?;
    if is_others(&meta) {
        return Err(DirError::Untrusted(dir));
    }
    trusted(&dir)?;
    Ok(dir)
}

/// Refuses a path on which others could put another directory. In a sticky one they cannot.
fn trusted(dir: &Path) -> Result<(), DirError> {
    for it in dir.ancestors() {
        let meta = it.metadata().map_err(|error| DirError::Io(it.to_path_buf(), error))?;
        if is_others(&meta) && (meta.uid() != 0 || meta.mode() & STICKY == 0) {
            return Err(DirError::Untrusted(it.to_path_buf()));
        }
    }
    Ok(())
}

fn is_others(meta: &fs::Metadata) -> bool {
    meta.uid() != 0 || meta.mode() & OTHERS_WRITE != 0
}

/// Writes which terminal is the console, as CRIU names it: `tty[8800:1f]`.
pub(in crate::engine) fn write_console(dir: &Path, tty: &str) -> io::Result<()> {
    write(&dir.join(TTY), tty.as_bytes())
}

/// Reads it; none: the container had no console.
pub(in crate::engine) fn read_console(dir: &Path) -> Option<String> {
    let text = read(&dir.join(TTY))?;
    let tty = text.trim();
    let numbers = tty.strip_prefix("tty[")?.strip_suffix(']')?;
    let is_plain = numbers.chars().all(|it| it == ':' || it.is_ascii_hexdigit());
    is_plain.then(|| tty.to_owned())
}

/// Writes the limits, as lines of a configuration.
pub(in crate::engine) fn write_limits(dir: &Path, limits: &[(String, String)]) -> io::Result<()> {
    write(&dir.join(LIMITS), &serde_json::to_vec_pretty(limits)?)
}

/// Reads them; a checkpoint of LXC's has none.
pub(in crate::engine) fn read_limits(dir: &Path) -> Vec<(String, String)> {
    let read = read(&dir.join(LIMITS)).unwrap_or_default();
    let limits: Vec<(String, String)> = serde_json::from_str(&read).unwrap_or_default();
    let is_limit = |key: &str| key.starts_with("lxc.cgroup.") || key.starts_with("lxc.cgroup2.");
    limits.into_iter().filter(|(key, _)| is_limit(key)).collect()
}

/// Returns whether a checkpoint in the directory is complete: this is written last, before the
/// processes end or go on.
pub(in crate::engine) fn is_complete(dir: &Path) -> bool {
    dir.join(INVENTORY).exists()
}

/// Removes what a failed call has left of a checkpoint, but not its log.
pub(in crate::engine) fn remove_images(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if is_of_checkpoint(&entry.file_name()) {
            // What stays is seen by the next one, which refuses a directory with an inventory.
            _ = fs::remove_file(entry.path());
        }
    }
}

/// Reads the end of a log.
pub(super) fn end_of(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(MOST))).ok()?;
    let mut bytes = Vec::new();
    file.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn read(path: &Path) -> Option<String> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let mut text = String::new();
    file.take(MOST).read_to_string(&mut text).ok()?;
    Some(text)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true).mode(FILE_MODE);
    options.custom_flags(libc::O_NOFOLLOW).open(path)?.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_console_is_kept_in_lxcs_form() {
        let dir = tempfile::tempdir().unwrap();
        write_console(dir.path(), "tty[8805:1a]").unwrap();
        assert_eq!(fs::read(dir.path().join("tty.info")).unwrap(), b"tty[8805:1a]");
        assert_eq!(read_console(dir.path()).as_deref(), Some("tty[8805:1a]"));
        fs::write(dir.path().join(TTY), "tty[1:2] --root /").unwrap();
        assert_eq!(read_console(dir.path()), None);
    }

    #[test]
    fn limits_are_read_back_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let line = |key: &str| (key.to_owned(), "1".to_owned());
        let given = [line("lxc.cgroup2.memory.max"), line("lxc.hook.pre-start")];
        write_limits(dir.path(), &given).unwrap();
        assert_eq!(read_limits(dir.path()), [line("lxc.cgroup2.memory.max")]);
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn is_untrusted(read: &Result<PathBuf, DirError>) -> bool {
        matches!(read, Err(DirError::Untrusted(_)))
    }

    #[test]
    fn a_directory_takes_one_checkpoint_and_nothing_of_others() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let mine = dir.path().join("new/er");
        let (found, lock) = to_write(&mine).unwrap();
        assert!(matches!(to_write(&mine), Err(DirError::Busy(_))));
        drop(lock);
        assert_eq!(found.metadata().unwrap().permissions().mode() & 0o7777, 0o700);
        assert!(matches!(to_read(&mine), Err(DirError::Empty(_))));
        fs::write(found.join(INVENTORY), "").unwrap();
        assert!(matches!(to_write(&mine), Err(DirError::Full(_))));
        to_read(&mine).unwrap();
        let foreign = dir.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("disk1.img"), "").unwrap();
        assert!(matches!(to_write(&foreign), Err(DirError::Full(_))));
    }

    #[test]
    fn what_others_can_write_is_refused() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (above, before) = (dir.path().join("new"), dir.path().join("before"));
        let mine = above.join("er");
        let (found, lock) = to_write(&mine).unwrap();
        drop(lock);
        fs::write(found.join(INVENTORY), "").unwrap();
        fs::create_dir(&before).unwrap();
        std::os::unix::fs::symlink(&before, found.join(PARENT)).unwrap();
        to_read(&mine).unwrap();
        for (path, usual, open) in [
            (&before, 0o755, 0o777),
            (&found.join(INVENTORY), 0o600, 0o666),
            (&found, 0o700, 0o777),
            (&above, 0o700, 0o777),
        ] {
            set_mode(path, open);
            assert!(is_untrusted(&to_read(&mine)), "{}", path.display());
            set_mode(path, usual);
        }
        to_read(&mine).unwrap();
        set_mode(&found, 0o777);
        assert!(is_untrusted(&to_write(&mine).map(|it| it.0)));
    }
}
