//! One command at a time on a container: flock(2) on a file of the runtime directory, which the
//! kernel releases when its holder dies. Never waits.

use std::fs::{File, OpenOptions, TryLockError};
use std::hash::Hasher;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::{StoreError, checked_runtime_dir, private_dir};
use crate::engine::name::Name;

/// A container taken for one command. Dropped, it is free and its file is gone.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Whoever waits on the old file notices that it is gone and opens the new one.
        _ = std::fs::remove_file(&self.path);
    }
}

/// Takes the lock of `name` in `lxcpath`.
pub(super) fn take(lxcpath: &Path, name: &Name) -> Result<Lock, StoreError> {
    let dir = checked_runtime_dir()?.join("lock");
    private_dir(&dir)?;
    let path = dir.join(format!("{:016x}-{name}", key(lxcpath)));
    let failed = |source| StoreError::Lock { path: path.clone(), source };
    loop {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Busy(name.clone())),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {
                continue;
            }
            Err(TryLockError::Error(error)) => {
                // Nobody holds it; the next command makes its own.
                _ = std::fs::remove_file(&path);
                return Err(failed(error));
            }
        }
        if still_there(&file, &path).map_err(failed)? {
            return Ok(Lock { path, _file: file });
        }
    }
}

/// Tells whether the locked file is the one that others would open now.
fn still_there(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// FNV-1a of the lxcpath, resolved if it exists, so that two spellings share one lock.
fn key(lxcpath: &Path) -> u64 {
    let resolved = lxcpath.canonicalize().unwrap_or_else(|_missing| lxcpath.to_path_buf());
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.write(resolved.as_os_str().as_bytes());
    hash.finish()
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        const PRIME: u64 = 0x0100_0000_01b3;
        self.0 = bytes.iter().fold(self.0, |hash, it| (hash ^ u64::from(*it)).wrapping_mul(PRIME));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_free_when_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let name: Name = "web".parse().unwrap();
        let lock = take(dir.path(), &name).unwrap();
        assert!(matches!(take(dir.path(), &name), Err(StoreError::Busy(_))));
        let other = "db".parse().unwrap();
        assert!(take(dir.path(), &other).is_ok());
        let path = lock.path.clone();
        drop(lock);
        assert!(!path.exists());
        assert!(take(dir.path(), &name).is_ok());
    }
}
