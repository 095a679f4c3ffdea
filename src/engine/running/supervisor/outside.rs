//! A file of the host that a container's output goes to, by a path from a configuration. Other
//! users may own directories of that path, and must not be able to redirect root's writes to
//! another file: no link is followed that they could have made, and nothing is appended to a file
//! with a second name.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

/// As LXC creates it, but not readable for others.
const MODE: Mode = Mode::from_bits_truncate(0o600);
/// As many links as the kernel follows; see `path_resolution(7)`.
const MOST_LINKS: u8 = 40;
/// The bits of a mode that let others change a directory.
const OTHERS_WRITE: u32 = 0o022;

/// What kind of file the path may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// A regular file.
    File,
    /// A regular file or a device, also by a link that only root or this user can have made.
    FileOrDevice,
}

/// Where such a file is: its directory, held open, and its name there.
#[derive(Debug)]
pub(super) struct Outside {
    dir: OwnedFd,
    name: OsString,
    last: Last,
}

impl Outside {
    /// Walks to the directory of `path`, which must be absolute.
    pub(super) fn find(path: &Path, last: Last) -> io::Result<Self> {
        if !path.is_absolute() {
            return Err(io::Error::other("not an absolute path"));
        }
        let mut ahead: VecDeque<OsString> = parts(path).collect();
        let mut dir = root()?;
        let mut links = 0;
        loop {
            let Some(name) = ahead.pop_front() else {
                return Err(io::Error::other("not the path of a file"));
            };
            let is_last = ahead.is_empty();
            let target = match link(&dir, &name)? {
                // The file itself is checked when it is opened.
                None if is_last => return Ok(Self { dir, name, last }),
                Some(_) if is_last && last == Last::File => {
                    return Err(io::Error::other("it is a link, which is not followed"));
                }
                None => {
                    dir = enter(&dir, &name)?;
                    continue;
                }
                Some(target) => target,
            };
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::ELOOP.into());
            }
            if !is_ours(&fstat(&dir)?) {
                let link = place(&dir)?.join(&name);
                let link =
                    crate::engine::terms::shown::shown_bytes(link.as_os_str().as_encoded_bytes());
                return Err(io::Error::other(format!(
                    "{link} is a link in a directory that others may change; give the path it \
                     points to"
                )));
            }
            if target.is_absolute() {
                dir = root()?;
            }
            parts(&target).rev().for_each(|it| ahead.push_front(it));
        }
    }

    /// Opens the file to append to it, and creates it if it does not exist.
    pub(super) fn open(&self, access: OFlag) -> io::Result<File> {
        let flags = OFlag::O_APPEND
            | OFlag::O_CREAT
            | OFlag::O_NOFOLLOW
            | OFlag::O_CLOEXEC
            | OFlag::O_NOCTTY
            | OFlag::O_NONBLOCK;
        let file = File::from(openat(&self.dir, self.name.as_os_str(), access | flags, MODE)?);
        let meta = file.metadata()?;
        let kind = meta.file_type();
        let device = kind.is_char_device() || kind.is_fifo();
        if device && self.last == Last::FileOrDevice {
            return Ok(file);
        }
        if !meta.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if meta.nlink() != 1 {
            return Err(io::Error::other("the file has a second name (a hard link)"));
        }
        if !is_trusted(meta.uid()) && !is_ours(&fstat(&self.dir)?) {
            return Err(io::Error::other(format!("the file belongs to user {}", meta.uid())));
        }
        Ok(file)
    }

    /// Gives the file the name `name.1`.
    pub(super) fn rotate(&self) -> io::Result<()> {
        let mut older = self.name.clone();
        older.push(".1");
        Ok(renameat(&self.dir, self.name.as_os_str(), &self.dir, older.as_os_str())?)
    }

    /// Returns whether the file is in the directory `root` or below.
    pub(super) fn lies_below(&self, root: Option<&Path>) -> io::Result<bool> {
        let Some(root) = root.and_then(|it| it.canonicalize().ok()) else { return Ok(false) };
        // A container that shares the host's root has no files of its own.
        Ok(root != Path::new("/") && place(&self.dir)?.starts_with(root))
    }
}

/// Returns the components of a path without its root, `..` among them.
fn parts(path: &Path) -> impl DoubleEndedIterator<Item = OsString> + '_ {
    path.components().filter_map(|it| match it {
        Component::Normal(_) | Component::ParentDir => Some(it.as_os_str().to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn root() -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(openat(AT_FDCWD, "/", flags, Mode::empty())?)
}

fn enter(dir: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(dir, name, flags, Mode::empty())?)
}

/// Returns the target if `name` is a link.
fn link(dir: &OwnedFd, name: &OsStr) -> io::Result<Option<PathBuf>> {
    match readlinkat(dir, name) {
        Ok(target) => Ok(Some(PathBuf::from(target))),
        // It is not a link, or does not exist.
        Err(Errno::EINVAL | Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Returns whether only root and this user can change the directory's content.
fn is_ours(dir: &FileStat) -> bool {
    let directory = SFlag::from_bits_truncate(dir.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
    directory && is_trusted(dir.st_uid) && dir.st_mode & OTHERS_WRITE == 0
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == nix::unistd::geteuid().as_raw()
}

/// Returns the current path of the directory.
fn place(dir: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn open(path: &Path, last: Last) -> io::Result<File> {
        Outside::find(path, last)?.open(OFlag::O_WRONLY)
    }

    /// A directory that only we may change, with one in it that everybody may.
    fn dirs() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).unwrap();
        (dir, open)
    }

    #[test]
    fn a_link_that_others_could_have_made_is_not_followed() {
        let (dir, others) = dirs();
        let victim = dir.path().join("victim");
        fs::create_dir(&victim).unwrap();
        symlink(&victim, others.join("logs")).unwrap();
        symlink(victim.join("file"), others.join("file")).unwrap();
        for last in [Last::File, Last::FileOrDevice] {
            assert!(open(&others.join("logs/web"), last).is_err());
            assert!(open(&others.join("file"), last).is_err());
            assert!(open(&others.join("../open/logs/web"), last).is_err());
        }
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
        // It may stand in the way as well.
        symlink(&others, dir.path().join("ours")).unwrap();
        assert!(open(&dir.path().join("ours/logs/web"), Last::File).is_err());
    }

    #[test]
    fn links_in_directories_of_ours_are_followed_on_the_way() {
        let (dir, others) = dirs();
        symlink("open", dir.path().join("logs")).unwrap();
        open(&dir.path().join("logs/web"), Last::File).unwrap();
        assert!(others.join("web").exists());
        symlink("open/web", dir.path().join("last")).unwrap();
        assert!(open(&dir.path().join("last"), Last::File).is_err());
        open(&dir.path().join("last"), Last::FileOrDevice).unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        assert!(open(&dir.path().join("loop/web"), Last::File).is_err());
    }

    #[test]
    fn nothing_is_appended_to_a_file_with_a_second_name() {
        let (dir, others) = dirs();
        fs::write(dir.path().join("secret"), "").unwrap();
        fs::hard_link(dir.path().join("secret"), others.join("log")).unwrap();
        for last in [Last::File, Last::FileOrDevice] {
            assert!(open(&others.join("log"), last).is_err());
        }
        assert!(open(Path::new("/dev/null"), Last::File).is_err());
        open(Path::new("/dev/null"), Last::FileOrDevice).unwrap();
    }

    #[test]
    fn a_strangers_file_is_taken_only_where_he_cannot_have_put_it() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let (dir, others) = dirs();
        for at in [dir.path().join("log"), others.join("log")] {
            fs::write(&at, "").unwrap();
            std::os::unix::fs::chown(&at, Some(1234), None).unwrap();
        }
        open(&dir.path().join("log"), Last::File).unwrap();
        assert!(open(&others.join("log"), Last::File).is_err());
    }

    #[test]
    fn files_in_a_root_are_recognised_through_links() {
        let (dir, others) = dirs();
        symlink("open", dir.path().join("link")).unwrap();
        let log = Outside::find(&dir.path().join("link/log"), Last::File).unwrap();
        assert!(log.lies_below(Some(&others)).unwrap());
        assert!(log.lies_below(Some(dir.path())).unwrap());
        assert!(!log.lies_below(Some(&dir.path().join("elsewhere"))).unwrap());
        assert!(!log.lies_below(Some(Path::new("/"))).unwrap());
        assert!(!log.lies_below(None).unwrap());
    }
}
