//! openat2(2), which can keep a path within a directory.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use nix::NixPath;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// How often the kernel may be unsure. EAGAIN has other causes with O_NONBLOCK, which stay.
const TRIES: usize = 10_000;

/// Opens `path` below `dir` as `how` says. The kernel gives up with EAGAIN if it meets `..` while
/// something is renamed or mounted anywhere on the machine, which says nothing of this path: it is
/// asked again.
pub(in crate::engine) fn open_within<D: AsFd, P: ?Sized + NixPath>(
    dir: D,
    path: &P,
    how: OpenHow,
) -> nix::Result<OwnedFd> {
    let unsure = |it: &nix::Result<OwnedFd>| matches!(it, Err(Errno::EAGAIN | Errno::EINTR));
    let mut opened = openat2(dir.as_fd(), path, how);
    for _ in 1..TRIES {
        if !unsure(&opened) {
            break;
        }
        opened = openat2(dir.as_fd(), path, how);
    }
    opened
}

/// Opens `path` as it is inside `root`, the root directory of a container: its links lead where they
/// lead inside, never out.
pub(in crate::engine) fn open_inside<D: AsFd, P: ?Sized + NixPath>(
    root: D,
    path: &P,
    flags: OFlag,
) -> nix::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    open_within(root, path, OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve))
}

/// Reads at most `most` bytes of the file at `path` inside `root`. What is not a regular file is an
/// error: a pipe that the container put there would be waited for.
pub(in crate::engine) fn read_inside<D: AsFd, P: ?Sized + NixPath>(
    root: D,
    path: &P,
    most: u64,
) -> io::Result<Vec<u8>> {
    let found = File::from(open_inside(root, path, OFlag::O_PATH)?);
    if !found.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_path_is_found_while_other_files_are_renamed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/file"), "").unwrap();
        let root = File::open(dir.path()).unwrap();
        let how = OpenHow::new().flags(OFlag::O_PATH).resolve(ResolveFlag::RESOLVE_IN_ROOT);
        let path = format!("a/{}file", "b/../".repeat(200));
        let [one, other] = ["one", "other"].map(|it| dir.path().join(it));
        fs::write(&one, "").unwrap();
        let (done, failed) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let rename = || {
            while !done.load(Ordering::Relaxed) {
                fs::rename(&one, &other).unwrap();
                fs::rename(&other, &one).unwrap();
            }
        };
        let open = || {
            let errors = (0..2000).filter_map(|_| open_within(&root, path.as_str(), how).err());
            failed.lock().unwrap().extend(errors);
            done.store(true, Ordering::Relaxed);
        };
        std::thread::scope(|scope| {
            scope.spawn(rename);
            scope.spawn(open);
        });
        assert_eq!(*failed.lock().unwrap(), []);
    }
}
