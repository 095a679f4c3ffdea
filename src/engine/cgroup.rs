//! Control groups: where they are mounted, and one container's group in each hierarchy.
//!
//! The same calls serve v1, v2 and hybrid hosts. A process joins by writing itself in, or is cloned
//! into the group, since both are cheap for the kernel; moving a process by its pid is reserved for
//! a group that is at its pids limit.

pub(in crate::engine) mod configured;
mod control;
mod create;
mod delegate;
mod devices;
mod entry;
mod error;
mod exact;
mod file;
mod freeze;
mod hand_down;
mod hierarchy;
mod keep;
mod kill;
pub mod knob;
mod mark;
mod nodes;
mod oom;
mod planned;
mod settings;
pub(in crate::engine) mod spelling;
mod stuck;
mod translation;
pub mod value;
mod values;
mod words;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

pub(in crate::engine) use devices::{DeviceRules, LoadedDevices};
pub use entry::CgroupFds;
pub use error::CgroupError;
pub use hierarchy::{Hierarchies, Hierarchy, Version};
pub use keep::{Keep, sweep as sweep_keep};
pub(in crate::engine) use oom::OomWatch;
pub(in crate::engine) use planned::{PastGroups, PlannedGroups};
pub use settings::AppliedDevices;
pub(in crate::engine) use translation::{Fitted, fit};
pub use values::{CgroupFile, Change};
pub(in crate::engine) use values::{FileList, check_name};

pub use crate::engine::terms::group_path::GroupPath;

/// Which cgroup versions the host mounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    V1,
    V2,
    Hybrid,
}

/// One container's group in every hierarchy that has it.
#[derive(Clone, Debug)]
pub struct Cgroup {
    /// Relative to the root of the hierarchies, such as `/lxc.payload.web`.
    path: GroupPath,
    /// v1 first, as in [`Hierarchies`].
    groups: Vec<Group>,
}

/// The group in one hierarchy.
#[derive(Clone, Debug)]
struct Group {
    hierarchy: Hierarchy,
    dir: PathBuf,
    /// Of the directory when it was found or made; none: it was gone at once.
    inode: Option<u64>,
}

impl Group {
    fn of(hierarchy: &Hierarchy, dir: PathBuf) -> Self {
        let inode = std::fs::metadata(&dir).ok().map(|it| it.ino());
        Self { hierarchy: hierarchy.clone(), dir, inode }
    }
}

impl Cgroup {
    /// Finds the group at `path` in every hierarchy where it exists. Creates nothing.
    pub fn open(hierarchies: &Hierarchies, path: &GroupPath) -> Self {
        let groups = hierarchies.iter().filter_map(|hierarchy| {
            let (dir, inode) = hierarchy.group(path)?;
            Some(Group { hierarchy: hierarchy.clone(), dir, inode: Some(inode) })
        });
        Self { path: path.clone(), groups: groups.collect() }
    }

    /// A container without any group, as an ordinary user's without delegation.
    pub(in crate::engine) const fn none() -> Self {
        Self { path: GroupPath::NONE, groups: Vec::new() }
    }

    /// Drops the group, which no longer exists: its name may soon be another container's.
    pub(in crate::engine) fn forget(&mut self) {
        self.groups.clear();
    }

    /// Returns the path below the hierarchies' root, such as `/lxc.payload.web`.
    pub const fn path(&self) -> &GroupPath {
        &self.path
    }

    /// Returns the group's directories, v1 first.
    pub fn dirs(&self) -> Vec<PathBuf> {
        self.groups.iter().map(|it| it.dir.clone()).collect()
    }

    /// Names the group in each hierarchy as CRIU does: `CONTROLLER[,CONTROLLER…]:PATH`, in the unified
    /// one the path alone.
    pub(in crate::engine) fn roots(&self) -> Vec<String> {
        let root = |it: &Group| {
            let path = it.hierarchy.path_of(&it.dir);
            match it.hierarchy.version {
                Version::V1 => format!("{}:{path}", it.hierarchy.controllers.join(",")),
                Version::V2 => path,
            }
        };
        self.groups.iter().map(root).collect()
    }

    /// Returns the directory by which its processes are frozen: on v2 its own.
    pub(in crate::engine) fn frozen_by(&self) -> Option<&Path> {
        self.v1("freezer").or_else(|| self.unified()).map(|it| it.dir.as_path())
    }

    /// Returns what distinguishes this group from others with the same path, for each hierarchy in
    /// which it existed when it was found or made.
    pub(in crate::engine) fn inodes(&self) -> Vec<u64> {
        self.groups.iter().filter_map(|it| it.inode).collect()
    }

    /// Returns the directories with the files that are written when a limit changes: the groups, and
    /// those above the v2 group, which enable its controllers.
    pub(in crate::engine) fn limit_dirs(&self) -> Vec<PathBuf> {
        let above = self.unified().into_iter().flat_map(|it| {
            let within = it.dir.ancestors().skip(1);
            within.take_while(|dir| dir.starts_with(&it.hierarchy.mount))
        });
        self.dirs().into_iter().chain(above.map(Path::to_path_buf)).collect()
    }

    /// Returns the directory that holds `file`, in the hierarchy of its controller if possible.
    fn dir_of(&self, file: &str) -> Option<&Path> {
        self.dirs_for(file).find(|it| it.join(file).exists())
    }

    /// Lists the directories that may hold `file`, the likely ones first.
    fn dirs_for(&self, file: &str) -> impl Iterator<Item = &Path> {
        let controller = file::controller_of(file);
        let owners = self.groups.iter().filter(move |it| it.hierarchy.controls(controller));
        owners.chain(self.unified()).chain(&self.groups).map(|it| it.dir.as_path())
    }

    /// Opens `file` where it is found first, and returns the directory, too; none: it is nowhere.
    fn open_file(&self, file: &str, options: &OpenOptions) -> Option<(&Path, io::Result<File>)> {
        let opened = |dir: &Path| match options.open(dir.join(file)) {
            Err(errno) if errno.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened),
        };
        self.dirs_for(file).find_map(|dir| Some((dir, opened(dir)?)))
    }

    /// Returns the group in the unified hierarchy.
    fn unified(&self) -> Option<&Group> {
        self.groups.iter().find(|it| it.hierarchy.version == Version::V2)
    }

    /// Returns the v1 group of `controller`.
    fn v1(&self, controller: &str) -> Option<&Group> {
        let mut groups = self.groups.iter();
        groups.find(|it| it.hierarchy.version == Version::V1 && it.hierarchy.controls(controller))
    }
}
