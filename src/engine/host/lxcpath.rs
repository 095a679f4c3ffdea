//! The directory that holds the containers, opened once: which directory it is, and how its path
//! was written.
//!
//! A path has many spellings (a slash at its end, `.`, `..`, a link, a relative one), and a
//! container must be the same one through all of them. So whatever identifies a container, its
//! socket, record, lock and events, is named after the directory itself, never after a spelling.

pub(in crate::engine) mod written;

use std::ffi::OsStr;
use std::io;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use crate::engine::host::Host;

/// As many links in a row as the kernel follows; see `path_resolution(7)`.
const MOST_LINKS: u8 = 40;

/// An lxcpath on a machine. It need not exist.
#[derive(Clone, Debug)]
pub struct Lxcpath {
    host: Host,
    dir: PathBuf,
    given: PathBuf,
}

impl Lxcpath {
    /// Opens the directory that `given` names now. Its existing part is resolved as the kernel
    /// would, the rest is taken as written.
    pub fn open(host: &Host, given: &Path) -> Self {
        // Without a current directory a relative path names nothing, and every use of it will fail.
        let full = std::path::absolute(given).unwrap_or_else(|_nowhere| given.to_path_buf());
        Self::opened(host, resolve(&full, MOST_LINKS), given)
    }

    /// Names a directory that was opened before, by this process or its parent.
    pub fn opened(host: &Host, dir: impl Into<PathBuf>, given: &Path) -> Self {
        let host = host.clone();
        Self { host, dir: dir.into(), given: without_last_slashes(given).to_path_buf() }
    }

    /// Returns the machine that its containers run on.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the directory's one absolute path without links, `.` and `..`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the path as it was given, without slashes at its end, as LXC's tools write it.
    pub fn given(&self) -> &Path {
        &self.given
    }

    /// Returns the path to write down for LXC and for people: absolute, and through the links it
    /// was given with, which may exist so that the containers can be moved.
    pub fn spelled(&self) -> PathBuf {
        std::path::absolute(&self.given).unwrap_or_else(|_nowhere| self.dir.clone())
    }

    /// Returns the name for files about it elsewhere.
    pub fn key(&self) -> String {
        key_of(&self.dir)
    }
}

impl Deref for Lxcpath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.dir
    }
}

impl AsRef<Path> for Lxcpath {
    fn as_ref(&self) -> &Path {
        &self.dir
    }
}

impl PartialEq for Lxcpath {
    fn eq(&self, other: &Self) -> bool {
        self.dir == other.dir
    }
}

impl Eq for Lxcpath {}

/// Returns the name for files about the containers in `dir`, which is resolved.
pub fn key_of(dir: &Path) -> String {
    format!("{:016x}", fnv64(dir.as_os_str().as_bytes()))
}

/// Removes the slashes at the end, as LXC's tools do before they name a socket.
pub fn without_last_slashes(path: &Path) -> &Path {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|it| *it != b'/').map_or(0, |it| it + 1);
    Path::new(OsStr::from_bytes(bytes.get(..end).unwrap_or_default()))
}

/// Resolves an absolute path; parts that do not exist, or may not be read, stay as written.
fn resolve(path: &Path, links: u8) -> PathBuf {
    if let Ok(whole) = path.canonicalize() {
        return whole;
    }
    let mut components = path.components();
    match components.next_back() {
        Some(Component::Normal(name)) => {
            let parent = resolve(components.as_path(), links);
            let here = parent.join(name);
            // A dangling link: files will be created at its target.
            match here.read_link() {
                Ok(target) if links > 0 => resolve(&parent.join(target), links - 1),
                Ok(_) | Err(_) => here,
            }
        }
        Some(Component::ParentDir) => {
            let mut parent = resolve(components.as_path(), links);
            parent.pop();
            parent
        }
        Some(Component::CurDir) => resolve(components.as_path(), links),
        Some(Component::RootDir | Component::Prefix(_)) | None => path.to_path_buf(),
    }
}

/// Returns whether `path`, as somebody else wrote it, is `dir` now: by its inode, so that a second
/// mount of the same directory counts too.
pub fn is_same(path: &Path, dir: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    if path == dir {
        return Ok(true);
    }
    let (theirs, ours) = (std::fs::metadata(path)?, std::fs::metadata(dir)?);
    Ok((theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()))
}

/// Computes the 64 bit FNV-1a hash.
pub(in crate::engine) fn fnv64(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn open(given: &Path) -> Lxcpath {
        Lxcpath::open(&Host::this(), given)
    }

    #[test]
    fn every_spelling_is_one_directory() {
        let temp = tempfile::tempdir().unwrap();
        let base = temp.path().canonicalize().unwrap();
        let dir = base.join("lx");
        fs::create_dir(&dir).unwrap();
        symlink("lx", base.join("link")).unwrap();
        let dots = format!("..{}", base.display()).replace("../", "/../");
        let base = base.display();
        for spelling in [
            format!("{base}/lx"),
            format!("{base}/lx/"),
            format!("{base}/lx//"),
            format!("{base}/lx/."),
            format!("{base}//lx"),
            format!("{base}/./lx"),
            format!("{base}/lx/../lx"),
            format!("{base}/link/../lx/"),
            format!("{base}/link"),
            format!("{base}/link/"),
            format!("{dots}/lx"),
        ] {
            let opened = open(Path::new(&spelling));
            assert_eq!(opened.dir(), dir, "{spelling}");
            assert_eq!(opened.key(), key_of(&dir), "{spelling}");
            assert_eq!(opened, open(&dir), "{spelling}");
        }
    }

    #[test]
    fn a_relative_path_is_the_directory_it_names_here() {
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(open(Path::new("src/")).dir(), here.join("src"));
        assert_eq!(open(Path::new("./none")).dir(), here.join("none"));
        assert_eq!(open(Path::new("src/")).spelled(), here.join("src"));
    }

    #[test]
    fn what_does_not_exist_yet_is_where_it_will_be() {
        let temp = tempfile::tempdir().unwrap();
        let base = temp.path().canonicalize().unwrap();
        symlink("later", base.join("link")).unwrap();
        symlink("loop", base.join("loop")).unwrap();
        let later = base.join("later/lx");
        for spelling in ["later/lx/", "link/lx", "link/./x/../lx", "./later//lx"] {
            assert_eq!(open(&base.join(spelling)).dir(), later, "{spelling}");
        }
        let before = open(&base.join("link/lx"));
        fs::create_dir_all(&later).unwrap();
        assert_eq!(before, open(&base.join("link/lx")));
        // A path that nobody can resolve is still one path.
        assert_eq!(open(&base.join("loop/")), open(&base.join("loop/.")));
    }

    #[test]
    fn the_spelling_is_kept_as_lxcs_tools_make_it() {
        for (given, kept) in
            [("/x/lx/", "/x/lx"), ("/x/lx//", "/x/lx"), ("/x/lx/.", "/x/lx/."), ("lx/", "lx")]
        {
            assert_eq!(
                Lxcpath::opened(&Host::this(), "/y", Path::new(given)).given(),
                Path::new(kept)
            );
        }
        assert_eq!(without_last_slashes(Path::new("//")), Path::new(""));
    }

    #[test]
    fn bytes_that_are_no_text_are_a_path_too() {
        let temp = tempfile::tempdir().unwrap();
        let odd = temp.path().canonicalize().unwrap().join(OsStr::from_bytes(b"l\xff"));
        fs::create_dir(&odd).unwrap();
        assert_eq!(open(&odd.join(".")).dir(), odd);
    }
}
