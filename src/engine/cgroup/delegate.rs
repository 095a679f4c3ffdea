//! Hands a container's groups to the root of its user namespace, who makes groups of its own below
//! them. Its limits stay the host's.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use super::file::words_of;
use super::{Cgroup, CgroupError, Version};
use crate::engine::terms::idmap::Owner;

/// Where the kernel lists the files of v2 that whoever manages a group may write.
const DELEGATED: &str = "/sys/kernel/cgroup/delegate";
/// What it listed first, in Linux 4.15.
const FIRST_DELEGATED: [&str; 3] = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"];
const DELEGATED_V1: [&str; 2] = ["cgroup.procs", "tasks"];
const DIR_MODE: u32 = 0o775;
const FILE_MODE: u32 = 0o664;

impl Cgroup {
    /// Gives every group to `owner`.
    pub(in crate::engine) fn give_to(&self, owner: Owner) -> Result<(), CgroupError> {
        for group in &self.groups {
            give(&group.dir, DIR_MODE, owner)?;
            let files = files(group.hierarchy.version);
            // A kernel may list what this group does not have.
            let mut files = files.iter().map(|it| group.dir.join(it)).filter(|it| it.exists());
            files.try_for_each(|it| give(&it, FILE_MODE, owner))?;
        }
        Ok(())
    }
}

fn files(version: Version) -> Vec<String> {
    let owned = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect();
    match version {
        Version::V1 => owned(&DELEGATED_V1),
        Version::V2 => {
            let listed = words_of(Path::new(DELEGATED));
            if listed.is_empty() { owned(&FIRST_DELEGATED) } else { listed }
        }
    }
}

fn give(path: &Path, mode: u32, owner: Owner) -> Result<(), CgroupError> {
    let give = || -> io::Result<()> {
        chown(path, Some(owner.uid), Some(owner.gid))?;
        std::fs::set_permissions(path, Permissions::from_mode(mode))
    };
    give().map_err(|errno| CgroupError::Give { path: path.to_path_buf(), errno })
}
