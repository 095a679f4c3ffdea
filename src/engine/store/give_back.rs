//! Gives a container back what the directory holds that it replaced. A restore exchanges both
//! directories in one step and does this afterwards, and a file in the container's directory tells
//! of it until all is there: whoever comes after a kill goes on with it. Snapshots are given back
//! wherever they are found. What cannot be given back stays where it is, and so does all of its draft.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::remove::RemoveError;
use super::snaps::SNAPS;
use super::{IN_DRAFT, Store, draft_name};
use crate::engine::terms::name::Name;

/// The file that a container's directory has while that which it replaced may hold more of it.
const REPLACES: &str = ".wharf-replaces";
/// What a container's directory has of its own: its state, which the successor has as well.
const OWN: [&str; 10] = [
    "config",
    "partial",
    "rootfs",
    "rootdev",
    "overlay",
    "spare",
    "lxc_snapshots",
    "lxc_rdepends",
    "ts",
    "comment",
];

/// Marks the directory `dir` as the successor of a container, before both are exchanged.
pub(in crate::engine) fn mark_successor(dir: &Path) -> io::Result<()> {
    fs::File::create_new(dir.join(REPLACES))?.sync_all()
}

/// Gives the container `name` back what is in the draft under its name: everything that no snapshot
/// keeps if it has replaced what is there, else snapshots. The caller holds the container's lock.
pub(in crate::engine) fn give_back(store: &Store, name: &Name) -> Result<(), RemoveError> {
    let place = store.dir(name);
    let old = store.lxcpath().join(draft_name(name)).join(OsStr::from_bytes(IN_DRAFT.to_bytes()));
    let mark = place.join(REPLACES);
    if exists(&mark) && exists(&old) {
        for entry in entries(&old)? {
            if ![&OWN[..], &[SNAPS, REPLACES]].concat().iter().any(|it| entry == Path::new(it)) {
                give(&old.join(&entry), &place.join(&entry))?;
            }
        }
    }
    let snaps = old.join(SNAPS);
    if snaps.symlink_metadata().is_ok_and(|it| it.is_dir()) {
        give_snapshots(&snaps, &place)?;
    }
    match fs::remove_file(&mark) {
        Err(error) if missing(&error) => Ok(()),
        done => done.map_err(|source| RemoveError::Remove { path: mark, source }),
    }
}

/// Gives them back one by one if others were taken meanwhile.
fn give_snapshots(snaps: &Path, place: &Path) -> Result<(), RemoveError> {
    let to = place.join(SNAPS);
    // Nothing is lost with an empty directory.
    if fs::remove_dir(snaps).is_ok() {
        return Ok(());
    }
    _ = fs::remove_dir(&to);
    if !exists(&to) {
        return give(snaps, &to);
    }
    for entry in entries(snaps)? {
        give(&snaps.join(&entry), &to.join(&entry))?;
    }
    fs::remove_dir(snaps).map_err(|source| failed(snaps, &to, source))
}

/// A file that the successor has of its own stays; a directory is never replaced, nor lost.
fn give(from: &Path, to: &Path) -> Result<(), RemoveError> {
    if exists(to) {
        let is_dir = from.symlink_metadata().is_ok_and(|it| it.is_dir());
        if !is_dir {
            return Ok(());
        }
        return Err(failed(from, to, io::Error::from_raw_os_error(libc::EEXIST)));
    }
    fs::rename(from, to).map_err(|source| failed(from, to, source))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>, RemoveError> {
    let all = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let all = all.map_err(|source| failed(dir, dir, source))?;
    Ok(all.into_iter().map(|it| PathBuf::from(it.file_name())).collect())
}

fn failed(from: &Path, to: &Path, error: io::Error) -> RemoveError {
    RemoveError::GiveBack { from: from.to_path_buf(), to: to.to_path_buf(), error }
}

fn exists(path: &Path) -> bool {
    // What cannot be looked at may be there.
    path.symlink_metadata().map_or_else(|error| !missing(&error), |_| true)
}

fn missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use super::super::remove_draft;
    use super::*;
    use crate::engine::host::made_up::MadeUp;

    fn made() -> (MadeUp, Store, Name) {
        let machine = MadeUp::new();
        machine.write("lx/.web.new/draft/snaps/snap0/config", "old");
        machine.write("lx/.web.new/draft/hooks/start", "old");
        let store = Store::new(&machine.lxcpath);
        (machine, store, "web".parse().unwrap())
    }

    #[test]
    fn snapshots_stay_in_a_draft_without_a_container() {
        let (machine, store, web) = made();
        remove_draft(&store, &web).unwrap_err();
        assert!(machine.path("lx/.web.new/draft/snaps/snap0/config").exists());
    }

    #[test]
    fn snapshots_are_put_beside_others_and_never_over_them() {
        let (machine, store, web) = made();
        machine.write("lx/web/snaps/snap0/config", "new");
        remove_draft(&store, &web).unwrap_err();
        let read = |it: &str| fs::read_to_string(machine.path(it)).unwrap();
        assert_eq!(read("lx/.web.new/draft/snaps/snap0/config"), "old");
        assert_eq!(read("lx/web/snaps/snap0/config"), "new");
        fs::rename(machine.path("lx/web/snaps/snap0"), machine.path("lx/web/snaps/snap1")).unwrap();
        assert!(remove_draft(&store, &web).unwrap());
        assert_eq!(read("lx/web/snaps/snap0/config"), "old");
        assert_eq!(read("lx/web/snaps/snap1/config"), "new");
        assert!(!machine.path("lx/.web.new").exists());
        assert!(!machine.path("lx/web/hooks").exists(), "it was never exchanged");
    }

    #[test]
    fn what_no_snapshot_keeps_is_given_back_after_the_exchange() {
        let (machine, store, web) = made();
        machine.write("lx/web/config", "new");
        machine.write("lx/.web.new/draft/config", "old");
        machine.write("lx/.web.new/draft/rootfs/state", "old");
        machine.write("lx/.web.new/draft/.secret", "old");
        machine.write("lx/.web.new/draft/hook.sh", "old");
        machine.write("lx/web/hook.sh", "new");
        mark_successor(&machine.path("lx/web")).unwrap();
        assert!(remove_draft(&store, &web).unwrap());
        let read = |it: &str| fs::read_to_string(machine.path(it)).unwrap();
        for (file, text) in [(".secret", "old"), ("hooks/start", "old"), ("hook.sh", "new")] {
            assert_eq!(read(&format!("lx/web/{file}")), text);
        }
        assert_eq!(read("lx/web/config"), "new");
        assert!(!machine.path("lx/web/rootfs").exists() && !machine.path("lx/.web.new").exists());
        assert!(!machine.path("lx/web").join(REPLACES).exists());
    }
}
