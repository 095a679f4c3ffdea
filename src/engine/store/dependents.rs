//! Which containers use another one's files, as LXC records it: `lxc_rdepends` of a copy names each
//! container whose files it shows, and `lxc_snapshots` of that one names the copy.

use std::fs::TryLockError;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use super::small::small_file;
use super::{Store, draft_name, replace};
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::terms::error::words;
use crate::engine::terms::name::Name;
use crate::engine::terms::patience::Patience;

/// The files, and their mode.
const BASES: &str = "lxc_rdepends";
const COPIES: &str = "lxc_snapshots";
pub(super) const FILES: [&str; 2] = [BASES, COPIES];
const MODE: u32 = 0o644;
/// How long a change waits for another one, which takes a moment.
const HELD: Duration = Duration::from_secs(3);

/// A container in a lxcpath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Dependent {
    pub(in crate::engine) lxcpath: String,
    pub(in crate::engine) name: String,
}

impl Dependent {
    /// Describes the container `name` of `store`.
    pub(in crate::engine) fn of(store: &Store, name: &Name) -> Self {
        let lxcpath = store.lxcpath().spelled().to_string_lossy().into_owned();
        Self { lxcpath, name: name.to_string() }
    }

    pub(in crate::engine) fn dir(&self) -> PathBuf {
        Path::new(&self.lxcpath).join(&self.name)
    }
}

/// Returns the containers whose files the one in `dir` shows.
pub(in crate::engine) fn bases(dir: &Path) -> Vec<Dependent> {
    read(&dir.join(BASES)).unwrap_or_default()
}

/// Returns the copies that show the files of the one in `dir`.
pub(in crate::engine) fn copies(dir: &Path) -> Vec<Dependent> {
    read(&dir.join(COPIES)).unwrap_or_default()
}

/// The same for who would remove these files: a list that cannot be read may be a long one.
pub(in crate::engine) fn listed_copies(dir: &Path) -> Result<Vec<Dependent>, Unlisted> {
    let path = dir.join(COPIES);
    read(&path).map_err(|error| Unlisted { path, error })
}

/// The same for who would move the one in `dir`, which they list.
pub(in crate::engine) fn listed_bases(dir: &Path) -> Result<Vec<Dependent>, Unlisted> {
    let path = dir.join(BASES);
    read(&path).map_err(|error| Unlisted { path, error })
}

/// Why it is not known which containers show the files of another one.
#[derive(Debug, thiserror::Error)]
#[error("read {path}, which tells of the containers that share files with it: {}", words(error))]
pub(in crate::engine) struct Unlisted {
    path: PathBuf,
    error: io::Error,
}

/// Records whose files the copy in `dir` shows.
pub(in crate::engine) fn set_bases(dir: &Path, bases: &[Dependent]) -> io::Result<()> {
    write(&dir.join(BASES), bases)
}

/// Records that `copy` shows the files of the container in `dir`.
pub(in crate::engine) fn add_copy(dir: &Path, copy: &Dependent) -> io::Result<()> {
    let _one_by_one = hold(dir)?;
    let mut all = read(&dir.join(COPIES))?;
    if !all.contains(copy) {
        all.push(copy.clone());
    }
    write(&dir.join(COPIES), &all)
}

/// Removes that record; the file with the last one.
pub(in crate::engine) fn remove_copy(dir: &Path, copy: &Dependent) -> io::Result<()> {
    let _one_by_one = hold(dir)?;
    let path = dir.join(COPIES);
    let all = read(&path)?;
    let left: Vec<Dependent> = all.iter().filter(|it| *it != copy).cloned().collect();
    match (left.len() == all.len(), left.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => fs::remove_file(path),
        (false, false) => write(&path, &left),
    }
}

/// Returns whether the container in `dir` lists copies in `lxcpath` that were never finished, by a
/// command that was killed, or are gone. In other lxcpaths they may be on a disk that is not mounted.
pub(super) fn lists_what_is_gone(dir: &Path, lxcpath: &Lxcpath) -> bool {
    copies(dir).iter().any(|it| is_gone(it, lxcpath))
}

/// Takes those from the list. The caller holds the container's lock, as whoever copies it does.
pub(super) fn forget_what_is_gone(dir: &Path, lxcpath: &Lxcpath) -> io::Result<()> {
    let gone = copies(dir).into_iter().filter(|it| is_gone(it, lxcpath));
    gone.into_iter().try_for_each(|it| remove_copy(dir, &it))
}

fn is_gone(copy: &Dependent, lxcpath: &Lxcpath) -> bool {
    let missing = |path: PathBuf| {
        path.symlink_metadata().is_err_and(|it| it.kind() == io::ErrorKind::NotFound)
    };
    let Ok(name) = copy.name.parse::<Name>() else { return false };
    let place = Path::new(&copy.lxcpath);
    // Snapshots are in a directory of their container. One that is being made is in its draft, and
    // is moved from there: that is looked for first.
    place.starts_with(lxcpath.spelled())
        && missing(place.join(draft_name(&name)))
        && missing(copy.dir())
}

/// Keeps others from changing the list meanwhile: they may not hold the lock of the container, but
/// that of one of its copies. Whoever can open the directory can lock it, and is not waited for long.
fn hold(dir: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    let dir = options.read(true).custom_flags(libc::O_DIRECTORY).open(dir)?;
    let mut patience = Patience::until(Instant::now() + HELD);
    loop {
        match dir.try_lock() {
            Ok(()) => return Ok(dir),
            Err(TryLockError::WouldBlock) if patience.again() => (),
            Err(TryLockError::WouldBlock) => {
                let why = "another program has locked it (flock)";
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Removes what killed writers of the lists have left.
pub(super) fn remove_drafts(dir: &Path) -> io::Result<()> {
    let _one_by_one = hold(dir)?;
    for file in FILES {
        replace::remove_drafts(&dir.join(file));
    }
    Ok(())
}

/// Two lines for each. Without the file there are none.
fn read(path: &Path) -> io::Result<Vec<Dependent>> {
    let text = match small_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        text => text?,
    };
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.chunks_exact(2).filter_map(|it| {
        let [lxcpath, name] = it else { return None };
        Some(Dependent { lxcpath: (*lxcpath).to_owned(), name: (*name).to_owned() })
    });
    Ok(pairs.collect())
}

fn write(path: &Path, all: &[Dependent]) -> io::Result<()> {
    let lines = all.iter().flat_map(|it| [&*it.lxcpath, "\n", &*it.name, "\n"]);
    let lines: String = lines.collect();
    replace::write_atomic(path, lines.as_bytes(), MODE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_listed_as_lxc_does_and_the_last_takes_the_file_along() {
        let dir = tempfile::tempdir().unwrap();
        let copy = |name: &str| Dependent { lxcpath: "/lxc".to_owned(), name: name.to_owned() };
        for name in ["a", "b", "a"] {
            add_copy(dir.path(), &copy(name)).unwrap();
        }
        let file = dir.path().join(COPIES);
        assert_eq!(fs::read_to_string(&file).unwrap(), "/lxc\na\n/lxc\nb\n");
        remove_copy(dir.path(), &copy("other")).unwrap();
        remove_copy(dir.path(), &copy("a")).unwrap();
        assert_eq!(copies(dir.path()), [copy("b")]);
        remove_copy(dir.path(), &copy("b")).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn a_list_that_cannot_be_read_is_not_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let copy = Dependent { lxcpath: "/lxc".to_owned(), name: "a".to_owned() };
        let other = dir.path().join("other");
        fs::write(&other, "/lxc\nb\n").unwrap();
        std::os::unix::fs::symlink(&other, dir.path().join(COPIES)).unwrap();
        add_copy(dir.path(), &copy).unwrap_err();
        remove_copy(dir.path(), &copy).unwrap_err();
        listed_copies(dir.path()).unwrap_err();
        assert!(dir.path().join(COPIES).is_symlink());
        assert_eq!(listed_copies(&dir.path().join("none")).unwrap(), []);
    }

    #[test]
    fn a_copy_that_is_gone_is_forgotten_where_it_must_have_been() {
        let dir = tempfile::tempdir().unwrap();
        let lxcpath = Lxcpath::open(&crate::engine::Host::keeping_in(dir.path()), dir.path());
        let here = dir.path().to_str().unwrap();
        let copy = |lxcpath: &str, name: &str| Dependent {
            lxcpath: lxcpath.to_owned(),
            name: name.to_owned(),
        };
        let base = dir.path().join("base");
        fs::create_dir_all(&base).unwrap();
        fs::create_dir(dir.path().join("there")).unwrap();
        let [there, away] = [copy(here, "there"), copy("/no/such", "away")];
        for it in [&there, &copy(here, "gone"), &away] {
            add_copy(&base, it).unwrap();
        }
        let draft = dir.path().join(".gone.new");
        fs::create_dir(&draft).unwrap();
        assert!(!lists_what_is_gone(&base, &lxcpath), "it is being made");
        fs::remove_dir(&draft).unwrap();
        assert!(lists_what_is_gone(&base, &lxcpath));
        forget_what_is_gone(&base, &lxcpath).unwrap();
        assert_eq!(copies(&base), [there, away]);
        assert!(!lists_what_is_gone(&base, &lxcpath));
    }
}
