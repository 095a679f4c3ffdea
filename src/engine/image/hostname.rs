//! The host name that a copied root has in `/etc/hostname`. Follows no link.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::{Mode, mkdirat};

use crate::engine::sys;

const DIR: &str = "etc";
const FILE: &str = "etc/hostname";

/// Writes `name` into the file of the root in `root`, if it has one, and returns whether it has.
pub(in crate::engine) fn rename(root: &Path, name: &str) -> io::Result<bool> {
    let root = File::open(root)?;
    // To open what the container has put there may be an act: only a file is.
    let Some(found) = open(&root, FILE, OFlag::O_PATH)? else { return Ok(false) };
    let meta = found.metadata()?;
    if meta.is_symlink() {
        return Ok(false);
    }
    if meta.is_file() {
        let path = format!("/proc/self/fd/{}", found.as_raw_fd());
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.set_len(0)?;
        file.write_all(name.as_bytes())?;
    }
    Ok(true)
}

/// Does so in the upper directory of an overlay: a file of the lower one is put above it.
pub(in crate::engine) fn rename_above(lower: &Path, upper: &Path, name: &str) -> io::Result<()> {
    if rename(upper, name)? {
        return Ok(());
    }
    let [lower, upper] = [File::open(lower)?, File::open(upper)?];
    let dir = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
    let Some(like_dir) = open(&lower, DIR, dir)? else { return Ok(()) };
    let Some(like) = open(&lower, FILE, OFlag::O_PATH)? else { return Ok(()) };
    if !like.metadata()?.is_file() {
        return Ok(());
    }
    match mkdirat(&upper, DIR, Mode::S_IRWXU) {
        Ok(()) => {
            let made = open(&upper, DIR, dir)?.ok_or(Errno::ENOENT)?;
            dress(&made, &like_dir)?;
        }
        Err(Errno::EEXIST) => (),
        Err(errno) => return Err(errno.into()),
    }
    let new = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
    match open(&upper, FILE, new) {
        Ok(Some(mut file)) => {
            dress(&file, &like)?;
            file.write_all(name.as_bytes())
        }
        Ok(None) => Ok(()),
        // It was removed: what removes it is there.
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

fn dress(file: &File, like: &File) -> io::Result<()> {
    let like = like.metadata()?;
    fchown(file, Some(like.uid()), Some(like.gid()))?;
    file.set_permissions(Permissions::from_mode(like.mode() & 0o7777))
}

/// None: it is not there, or not by that path alone.
fn open(root: &File, path: &str, flags: OFlag) -> io::Result<Option<File>> {
    let mode = if flags.contains(OFlag::O_CREAT) { 0o600 } else { 0 };
    let how = OpenHow::new()
        .flags(flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .mode(Mode::from_bits_truncate(mode))
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS);
    match sys::open_within(root, path, how) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP | Errno::ENXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_name_is_written_over_a_file_and_never_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let [lower, upper] = ["lower", "upper"].map(|it| dir.path().join(it));
        fs::create_dir_all(lower.join("etc")).unwrap();
        fs::create_dir(&upper).unwrap();
        assert!(!rename(&lower, "web").unwrap());
        rename_above(&lower, &upper, "web").unwrap();
        assert!(!upper.join("etc").exists());
        fs::write(lower.join("etc/hostname"), "a-long-name\n").unwrap();
        fs::set_permissions(lower.join("etc"), Permissions::from_mode(0o751)).unwrap();
        rename_above(&lower, &upper, "web").unwrap();
        assert_eq!(fs::read_to_string(upper.join("etc/hostname")).unwrap(), "web");
        assert_eq!(fs::metadata(upper.join("etc")).unwrap().mode() & 0o777, 0o751);
        assert!(rename(&lower, "db").unwrap());
        assert_eq!(fs::read_to_string(lower.join("etc/hostname")).unwrap(), "db");
        let outside = dir.path().join("outside");
        fs::write(&outside, "mine").unwrap();
        fs::remove_file(lower.join("etc/hostname")).unwrap();
        symlink(&outside, lower.join("etc/hostname")).unwrap();
        assert!(!rename(&lower, "web").unwrap());
        assert_eq!(fs::read_to_string(&outside).unwrap(), "mine");
    }

    #[test]
    fn what_is_no_file_is_not_even_opened() {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd as _;
        use std::os::unix::fs::OpenOptionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        let pipe = dir.path().join("etc/hostname");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let mut options = OpenOptions::new();
        let reader = options.read(true).custom_flags(libc::O_NONBLOCK).open(&pipe).unwrap();
        rename(dir.path(), "web").unwrap();
        // It would see that a writer has come and gone.
        let mut seen = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut seen, PollTimeout::ZERO).unwrap(), 0);
    }
}
