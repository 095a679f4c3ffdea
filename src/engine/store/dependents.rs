//! Which containers use another one's files, as LXC records it: `lxc_rdepends` of a copy names each
//! container whose files it shows, and `lxc_snapshots` of that one names the copy.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::replace;

/// The files, and their mode.
const BASES: &str = "lxc_rdepends";
const COPIES: &str = "lxc_snapshots";
const MODE: u32 = 0o644;

/// A container in a lxcpath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Dependent {
    pub(in crate::engine) lxcpath: String,
    pub(in crate::engine) name: String,
}

impl Dependent {
    pub(in crate::engine) fn dir(&self) -> PathBuf {
        Path::new(&self.lxcpath).join(&self.name)
    }
}

/// Returns the containers whose files the one in `dir` shows.
pub(in crate::engine) fn bases(dir: &Path) -> Vec<Dependent> {
    read(&dir.join(BASES))
}

/// Returns the copies that show the files of the one in `dir`.
pub(in crate::engine) fn copies(dir: &Path) -> Vec<Dependent> {
    read(&dir.join(COPIES))
}

/// Records whose files the copy in `dir` shows.
pub(in crate::engine) fn set_bases(dir: &Path, bases: &[Dependent]) -> io::Result<()> {
    write(&dir.join(BASES), bases)
}

/// Records that `copy` shows the files of the container in `dir`.
pub(in crate::engine) fn add_copy(dir: &Path, copy: &Dependent) -> io::Result<()> {
    let mut all = copies(dir);
    if !all.contains(copy) {
        all.push(copy.clone());
    }
    write(&dir.join(COPIES), &all)
}

/// Removes that record; the file with the last one.
pub(in crate::engine) fn remove_copy(dir: &Path, copy: &Dependent) -> io::Result<()> {
    let path = dir.join(COPIES);
    let all = copies(dir);
    let left: Vec<Dependent> = all.iter().filter(|it| *it != copy).cloned().collect();
    match (left.len() == all.len(), left.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => fs::remove_file(path),
        (false, false) => write(&path, &left),
    }
}

/// Two lines for each.
fn read(path: &Path) -> Vec<Dependent> {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.chunks_exact(2).filter_map(|it| {
        let [lxcpath, name] = it else { return None };
        Some(Dependent { lxcpath: (*lxcpath).to_owned(), name: (*name).to_owned() })
    });
    pairs.collect()
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
}
