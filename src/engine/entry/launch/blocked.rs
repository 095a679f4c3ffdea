//! Names the directory that a container's own users may not pass: the root of a user namespace is
//! nobody special on the host.

use std::ffi::{CStr, OsStr};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::engine::entry::plan::{MountSource, MountStep, RootStep, Step, UserStep};
use crate::engine::terms::hook::Moment;
use crate::engine::terms::idmap::{IdMap, Owner};
use crate::engine::terms::shown::shown_bytes;

/// The bit of a mode that lets others pass a directory.
const PASS: u32 = 0o001;

/// Says which directory kept `step` from what it names, if the container has users of its own.
pub(super) fn hint(steps: &[Step], step: &Step) -> Option<String> {
    let (map, inside) = users(steps)?;
    let root = steps.iter().find_map(|it| {
        let Step::Root { root: RootStep::Directory(dir), .. } = it else { return None };
        Some(path(dir))
    });
    let host = Owner { uid: 0, gid: 0 };
    let (path, who) = if matches!(step, Step::Root { .. }) {
        // Unless a hook mounts it, it is opened before the process becomes the container's root.
        (root?, host)
    } else if matches!(step, Step::Hook(it) if it.moment != Moment::Start) {
        (root?, map.owner(inside)?)
    } else if let Step::Mount(MountStep { source, .. }) = step
        && let MountSource::Bind { path: source, relative: false, .. } = source
    {
        (path(source), map.owner(inside)?)
    } else {
        return None;
    };
    let dir = first_closed(path, &|it| passes(it, who))?;
    let dir = shown_bytes(dir.as_os_str().as_bytes());
    Some(format!("; the container's root may not pass {dir}; `chmod o+x {dir}` lets it"))
}

fn users(steps: &[Step]) -> Option<(&IdMap, Owner)> {
    let mut steps = steps.iter();
    let map = steps.find_map(|it| {
        if let Step::Users(UserStep::Map(map)) = it { Some(&map.value) } else { None }
    })?;
    let inside = steps.find_map(|it| {
        if let Step::Users(UserStep::Become { owner, .. }) = it { Some(*owner) } else { None }
    })?;
    Some((map, inside))
}

fn path(text: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(text.to_bytes()))
}

/// Returns the first directory on the way to `path` that does not let `passes` pass.
fn first_closed(path: &Path, passes: &dyn Fn(&Metadata) -> bool) -> Option<PathBuf> {
    let mut way: Vec<&Path> = path.ancestors().skip(1).collect();
    way.reverse();
    let closed = |it: &&Path| std::fs::metadata(it).is_ok_and(|it| !passes(&it));
    way.into_iter().find(closed).map(Path::to_path_buf)
}

/// Returns whether `who`, without privileges, may pass the directory.
fn passes(dir: &Metadata, who: Owner) -> bool {
    let shift = if dir.uid() == who.uid {
        6
    } else if dir.gid() == who.gid {
        3
    } else {
        0
    };
    dir.mode() & (PASS << shift) != 0
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_directory_that_others_may_not_pass_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c");
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
        let owner = fs::metadata(&path).unwrap();
        let other = Owner { uid: owner.uid() + 1, gid: owner.gid() + 1 };
        let same = Owner { uid: owner.uid(), gid: owner.gid() };
        assert_eq!(first_closed(&path, &|it| passes(it, other)), None);
        for closed in ["a/b", "a"] {
            let closed = dir.path().join(closed);
            fs::set_permissions(&closed, Permissions::from_mode(0o710)).unwrap();
            assert_eq!(first_closed(&path, &|it| passes(it, other)), Some(closed));
        }
        assert_eq!(first_closed(&path, &|it| passes(it, same)), None);
    }
}
