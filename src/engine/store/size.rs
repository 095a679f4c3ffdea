//! How much space a directory takes.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Instant;

/// The unit of `st_blocks`, whatever the block size of the file system is.
const BLOCK: u64 = 512;

/// Returns the bytes that the files below `dir` take, each once; none: something cannot be read.
/// Follows no link and leaves out what is mounted there.
pub(in crate::engine) fn of(dir: &Path) -> Option<u64> {
    of_until(dir, None)
}

/// The same; none also if it takes longer than until then.
pub(in crate::engine) fn of_until(dir: &Path, until: Option<Instant>) -> Option<u64> {
    let top = fs::symlink_metadata(dir).ok()?;
    let mut bytes = top.blocks() * BLOCK;
    let mut linked = HashSet::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).ok()? {
            if until.is_some_and(|it| Instant::now() >= it) {
                return None;
            }
            let entry = entry.ok()?;
            let meta = entry.metadata().ok()?;
            if meta.dev() != top.dev()
                || meta.nlink() > 1 && !meta.is_dir() && !linked.insert(meta.ino())
            {
                continue;
            }
            bytes += meta.blocks() * BLOCK;
            if meta.is_dir() {
                pending.push(entry.path());
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_two_names_counts_once_and_a_hole_takes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let empty = of(dir.path()).unwrap();
        fs::write(dir.path().join("one"), vec![1; 1 << 20]).unwrap();
        let one = of(dir.path()).unwrap();
        assert!(one >= empty + (1 << 20), "{one}");
        fs::hard_link(dir.path().join("one"), dir.path().join("two")).unwrap();
        fs::File::create(dir.path().join("hole")).unwrap().set_len(1 << 30).unwrap();
        assert!(of(dir.path()).unwrap() < one + (1 << 20));
        assert_eq!(of(Path::new("/no/such")), None);
        assert_eq!(of_until(dir.path(), Some(Instant::now())), None);
    }
}
