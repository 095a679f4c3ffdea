//! Replaces the files beside a record in one step, and removes what a killed writer has left: a
//! writer locks its draft, and the kernel releases that lock when the writer dies.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::FILE_MODE;

/// How often a writer retries if its draft is removed as a dead one's before it is locked; far more
/// often than clean-ups can happen within a moment.
const TRIES: usize = 10_000;

/// Writes `bytes` to `draft`, which then replaces `path`. Only one process at a time writes the
/// same draft.
pub(super) fn replace(path: &Path, draft: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut written = write(path, draft, bytes);
    for _ in 1..TRIES {
        let prepared = match written.as_ref().map_err(io::Error::kind) {
            // Left by a process that was killed in the middle of this.
            Err(io::ErrorKind::AlreadyExists) => fs::remove_file(draft),
            // The draft is gone, or the directory is, or is not there yet.
            Err(io::ErrorKind::NotFound) => path.parent().map_or(Ok(()), super::make_dir),
            Ok(()) | Err(_) => break,
        };
        if prepared.is_err_and(|it| it.kind() != io::ErrorKind::NotFound) {
            break;
        }
        written = write(path, draft, bytes);
    }
    if written.is_err() {
        // A draft that could not be written may not exist.
        _ = fs::remove_file(draft);
    }
    written
}

fn write(path: &Path, draft: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create(draft)?;
    // The holder of the lock is about to remove it: then it cannot be renamed.
    _ = file.try_lock();
    file.write_all(bytes)?;
    fs::rename(draft, path)
}

/// Creates a file that only we may read, if there is none.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let mut options = File::options();
    options.write(true).create_new(true).mode(FILE_MODE).custom_flags(flags);
    // No fsync: the runtime directory does not outlive the machine's uptime, as the run does not.
    options.open(path)
}

/// Removes the draft if its writer is dead.
pub(super) fn remove_dead(draft: &Path) {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    let Ok(file) = File::options().read(true).custom_flags(flags).open(draft) else { return };
    // While this lock is held, a writer that has just begun fails and retries.
    if file.try_lock().is_ok() && is_still_there(&file, draft) {
        _ = fs::remove_file(draft);
    }
}

fn is_still_there(file: &File, path: &Path) -> bool {
    let identity = |it: fs::Metadata| (it.dev(), it.ino());
    let ours = file.metadata().map(identity);
    ours.is_ok_and(|ours| fs::symlink_metadata(path).map(identity).is_ok_and(|it| it == ours))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_draft_goes_when_its_writer_is_dead_and_not_before() {
        let dir = tempfile::tempdir().unwrap();
        let draft = dir.path().join("web.new");
        let writer = File::create(&draft).unwrap();
        writer.lock().unwrap();
        remove_dead(&draft);
        assert!(draft.exists());
        drop(writer);
        remove_dead(&draft);
        assert!(!draft.exists());
        remove_dead(&draft);
    }

    #[test]
    fn a_writer_is_not_kept_from_his_work_by_those_who_tidy_up() {
        let dir = tempfile::tempdir().unwrap();
        let (path, draft) = (dir.path().join("run/web.json"), dir.path().join("run/web.new"));
        let over = AtomicBool::new(false);
        let tidy = || {
            while !over.load(Ordering::Relaxed) {
                remove_dead(&draft);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(tidy);
            let mut failed = 0;
            for number in 0..2000 {
                let text = number.to_string();
                failed += usize::from(replace(&path, &draft, text.as_bytes()).is_err());
            }
            over.store(true, Ordering::Relaxed);
            assert_eq!(failed, 0);
        });
        assert_eq!(fs::read_to_string(&path).unwrap(), "1999");
        assert!(!draft.exists());
    }
}
