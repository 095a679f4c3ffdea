//! Removes directories of the lxcpath: a container's own, and incomplete creations and removals.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

use super::give_back::give_back;
use super::remove::{RemoveError, remove_container, remove_tree};
use super::{Store, draft_name, drafted};
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::host::mapped::{self, MappedJob, Removes};
use crate::engine::host::mountinfo;
use crate::engine::terms::name::Name;
use crate::engine::terms::progress::Progress;

/// Removes the container's directory in one step, as others see it.
pub(in crate::engine) fn take_away(store: &Store, name: &Name) -> Result<(), RemoveError> {
    let shown = store.dir(name);
    // Reported before anything is removed, not halfway; the removal itself refuses mounts as well.
    if let Some(mount) = mount_below(store.lxcpath(), name.as_str()) {
        return Err(RemoveError::Mount(mount));
    }
    let failed = |source| RemoveError::Remove { path: shown.clone(), source };
    let parent = File::open(store.lxcpath()).map_err(failed)?;
    let [plain, hidden] = [name.to_string(), draft_name(name)].map(CString::new);
    let nul = |_nul| failed(io::Error::from_raw_os_error(libc::EINVAL));
    let done = remove_container(&parent, &plain.map_err(nul)?, &hidden.map_err(nul)?, &shown);
    or_as_its_users(done, store.lxcpath(), name.as_str(), Removes::Container)
}

/// Removes for an ordinary user what belongs to the users of his containers.
fn or_as_its_users(
    done: Result<(), RemoveError>,
    lxcpath: &Lxcpath,
    name: &str,
    removes: Removes,
) -> Result<(), RemoveError> {
    match done {
        Err(error) if error.is_denied() && !geteuid().is_root() => {
            let (lxcpath, name) = (lxcpath.dir().to_path_buf(), name.to_owned());
            let job = MappedJob::Remove { lxcpath, name, removes };
            let removed = mapped::run(None, &job, &Progress::default());
            removed.map(drop).map_err(RemoveError::Elsewhere)
        }
        done => done,
    }
}

/// Removes what a killed creation or removal has left under its hidden name, once the container has
/// back what is its own in there: without that, nothing is removed. The caller holds its lock. Returns whether there was something.
pub(in crate::engine) fn remove_draft(store: &Store, name: &Name) -> Result<bool, RemoveError> {
    let there = has_draft(store, name);
    if there {
        give_back(store, name)?;
        remove_dir(store.lxcpath(), &draft_name(name))?;
    }
    Ok(there)
}

/// Returns whether there is such a directory.
pub(in crate::engine) fn has_draft(store: &Store, name: &Name) -> bool {
    let draft = draft_name(name);
    exists(&store.lxcpath().join(&draft)) && drafted(store.lxcpath(), &draft).is_some()
}

/// Removes all of them in a store but those on which a command is working.
pub(in crate::engine) fn remove_drafts(store: &Store) {
    let entries = std::fs::read_dir(store.lxcpath()).into_iter().flatten().flatten();
    let names = entries.filter_map(|it| it.file_name().into_string().ok());
    for name in names.filter_map(|it| drafted(store.lxcpath(), &it)) {
        // A command that creates or removes it now holds the lock.
        if let Ok(_lock) = store.try_lock(&name) {
            // What cannot be removed is found the next time.
            _ = remove_draft(store, &name);
        }
    }
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Removes one directory of the lxcpath with everything in it.
pub(in crate::engine) fn remove_dir(lxcpath: &Lxcpath, name: &str) -> Result<(), RemoveError> {
    let parent = File::open(lxcpath)
        .map_err(|source| RemoveError::Remove { path: lxcpath.join(name), source })?;
    remove_dir_at(&parent, lxcpath, name)
}

/// The same, where the caller has opened the directory.
pub(super) fn remove_dir_at(
    parent: impl AsFd,
    lxcpath: &Lxcpath,
    name: &str,
) -> Result<(), RemoveError> {
    let shown = lxcpath.join(name);
    // Reported before anything is removed, not halfway; the removal itself refuses mounts as well.
    if let Some(mount) = mount_below(lxcpath, name) {
        return Err(RemoveError::Mount(mount));
    }
    let failed = |source| RemoveError::Remove { path: shown.clone(), source };
    let plain =
        CString::new(name).map_err(|_nul| failed(io::Error::from_raw_os_error(libc::EINVAL)))?;
    or_as_its_users(remove_tree(parent, &plain, &shown), lxcpath, name, Removes::Draft)
}

/// Removes the directory `name` of a container in the making, with everything in it.
pub(in crate::engine) fn remove_below(dir: &Path, name: &str) -> Result<(), RemoveError> {
    let shown = dir.join(name);
    let failed = |source| RemoveError::Remove { path: shown.clone(), source };
    let parent = File::open(dir).map_err(failed)?;
    let name =
        CString::new(name).map_err(|_nul| failed(io::Error::from_raw_os_error(libc::EINVAL)))?;
    remove_tree(&parent, &name, &shown)
}

/// Finds a mount in the directory, as the kernel lists it.
pub(in crate::engine) fn mount_below(lxcpath: &Lxcpath, name: &str) -> Option<PathBuf> {
    let dir = lxcpath.canonicalize().ok()?.join(name);
    let table = std::fs::read(lxcpath.host().proc().join(mountinfo::FILE)).ok()?;
    mountinfo::points(&table).find(|it| it.starts_with(&dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::made_up::MadeUp;

    #[test]
    fn a_mount_is_found_below_a_path_with_blanks() {
        let machine = MadeUp::new();
        machine.write("lx/a b/rootfs/.keep", "");
        let place = machine.path("lx/a b/rootfs").canonicalize().unwrap();
        let escaped = place.display().to_string().replace(' ', "\\040");
        machine.write("proc/self/mountinfo", &format!("30 1 0:2 / {escaped} rw - tmpfs none rw\n"));
        assert_eq!(mount_below(&machine.lxcpath, "a b"), Some(place));
        assert_eq!(mount_below(&machine.lxcpath, "a"), None);
    }
}
