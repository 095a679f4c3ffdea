//! One command at a time on a container, and one supervisor: flock(2) on a file of the runtime
//! directory, which the kernel releases when its holder dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::engine::host::lxcpath::{Lxcpath, fnv64};
use crate::engine::host::{Host, private_dir};
use crate::engine::terms::name::Name;

/// A container locked for one command, or by its supervisor. Dropping it releases the lock and
/// removes its file.
#[derive(Debug)]
pub(in crate::engine) struct Lock {
    /// None: it stays when the lock is released.
    path: Option<PathBuf>,
    file: File,
}

impl Lock {
    /// Releases the lock and leaves its file, which tells of one who has died with it.
    pub(super) fn leave(mut self) {
        self.path = None;
    }

    /// Moves the lock's descriptor above `others`, which it protects: a process that ends closes
    /// its descriptors from the lowest on.
    pub(in crate::engine) fn outlive(&mut self, others: RawFd) -> io::Result<()> {
        let above = nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(others + 1);
        self.file = crate::engine::sys::own_fd(nix::fcntl::fcntl(&self.file, above)?).into();
        Ok(())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A process that waits for the old file notices that it is gone and opens the new one.
        self.path.iter().for_each(|it| _ = std::fs::remove_file(it));
    }
}

/// Returns the file of the lock of one `kind` of `name` in `lxcpath`.
pub(super) fn path(kind: &str, lxcpath: &Lxcpath, name: &Name) -> PathBuf {
    lxcpath.host().runtime_dir().join(kind).join(format!("{}-{name}", lxcpath.key()))
}

/// Takes the lock of one `kind` of `name` in `lxcpath`.
pub(super) fn take(kind: &str, lxcpath: &Lxcpath, name: &Name) -> Result<Lock, StoreError> {
    private_dir(&lxcpath.host().checked_runtime_dir()?.join(kind))?;
    let lock = lock(&path(kind, lxcpath, name))?;
    lock.ok_or_else(|| StoreError::Busy(name.clone()))
}

/// Takes the lock of one `kind` of a file that is no container's; none if another process has it.
pub(super) fn take_of_file(
    kind: &str,
    host: &Host,
    file: &Path,
) -> Result<Option<Lock>, StoreError> {
    let dir = host.checked_runtime_dir()?.join(kind);
    private_dir(&dir)?;
    // By where it is, whatever links led to it.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    lock(&dir.join(format!("file-{:016x}", fnv64(file.as_os_str().as_encoded_bytes()))))
}

/// Locks the file `path` of the runtime directory; none if another process has locked it.
pub(super) fn lock(path: &Path) -> Result<Option<Lock>, StoreError> {
    let failed = |source| StoreError::Lock { path: path.to_path_buf(), source };
    loop {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {
                continue;
            }
            Err(TryLockError::Error(error)) => {
                // Nobody holds it; the next command creates its own.
                _ = std::fs::remove_file(path);
                return Err(failed(error));
            }
        }
        if still_there(&file, path).map_err(failed)? {
            return Ok(Some(Lock { path: Some(path.to_path_buf()), file }));
        }
    }
}

/// Returns whether the locked file is the one that others would open now.
fn still_there(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_free_when_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let lxcpath = Lxcpath::open(&Host::keeping_in(dir.path()), dir.path());
        let name: Name = "web".parse().unwrap();
        let lock = take("lock", &lxcpath, &name).unwrap();
        assert!(matches!(take("lock", &lxcpath, &name), Err(StoreError::Busy(_))));
        let other = "db".parse().unwrap();
        assert!(take("lock", &lxcpath, &other).is_ok());
        let of_file = || take_of_file("lock", lxcpath.host(), &dir.path().join("common.conf"));
        let held = of_file().unwrap().unwrap();
        assert!(of_file().unwrap().is_none());
        drop(held);
        let path = lock.path.clone().unwrap();
        drop(lock);
        assert!(!path.exists());
        assert!(take("lock", &lxcpath, &name).is_ok());
    }
}
