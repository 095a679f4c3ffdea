//! Where the cgroup hierarchies are mounted, according to mountinfo and the caller's membership.
//!
//! Discovery is our own, since cgroups-rs expects v2 at one fixed place and does not support named
//! or co-mounted hierarchies. It only reads; nothing is mounted or created here.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use procfs::process::MountInfo;
use procfs::{FromBufRead as _, ProcessCGroup, ProcessCGroups};

use super::file::{LEAF, words_of};
use super::{CgroupError, GroupPath, Layout};
use crate::engine::config::used_controllers;
use crate::engine::host::Host;
use crate::engine::host::mountinfo;
use crate::engine::host::short::{read_at_once, read_short};
use crate::engine::terms::spec::MountedHierarchy;

/// Where the hierarchies usually are.
const PLACE: &str = "/sys/fs/cgroup";
const MEMBERSHIP: &str = "self/cgroup";

/// Which interface a hierarchy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V1,
    V2,
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    pub version: Version,
    /// What it controls: `cpu`, `cpuacct` …, or `name=systemd` for a named one.
    pub(in crate::engine) controllers: Vec<String>,
    /// Where it is mounted.
    pub(in crate::engine) mount: PathBuf,
    /// The directory below which wharf creates its groups: the mount for root, else the caller's
    /// own group.
    pub base: PathBuf,
}

impl Hierarchy {
    /// Returns whether `controller` is one of this hierarchy's.
    pub fn controls(&self, controller: &str) -> bool {
        self.controllers.iter().any(|it| it == controller)
    }

    /// Returns how a container mounts it.
    pub(in crate::engine) fn as_mounted(&self) -> MountedHierarchy {
        let below = self.mount.strip_prefix(PLACE).ok();
        let name = below
            .or_else(|| self.mount.file_name().map(Path::new))
            .unwrap_or_else(|| Path::new(""));
        let v1 = (self.version == Version::V1).then(|| self.controllers.join(","));
        MountedHierarchy { name: name.to_path_buf(), v1 }
    }

    /// Returns what it controls, by which a [`GroupPath`] names it.
    pub(in crate::engine) fn key(&self) -> String {
        match self.version {
            Version::V1 => self.controllers.join(","),
            Version::V2 => String::new(),
        }
    }

    /// Returns the path of `dir` below its root.
    pub(in crate::engine) fn path_of(&self, dir: &Path) -> String {
        let below = dir.strip_prefix(&self.mount).unwrap_or(dir);
        format!("/{}", below.display())
    }

    /// Finds the group at `path`, such as `/lxc.payload.web`: below the root of the hierarchy, or
    /// below an unprivileged caller's own group. Returns its inode, too.
    pub(in crate::engine) fn group(&self, path: &GroupPath) -> Option<(PathBuf, u64)> {
        let found = |dir: PathBuf| {
            let it = std::fs::metadata(&dir).ok().filter(std::fs::Metadata::is_dir)?;
            Some((dir, it.ino()))
        };
        self.places(path)?.into_iter().flatten().find_map(found)
    }

    /// Returns where the group at `path` is, or would be. The kernel is asked only where there are
    /// two places for it.
    pub(in crate::engine) fn place(&self, path: &GroupPath) -> Option<PathBuf> {
        match self.places(path)? {
            [only, None] => only,
            _ => self.group(path).map(|it| it.0),
        }
    }

    fn places(&self, path: &GroupPath) -> Option<[Option<PathBuf>; 2]> {
        let below = path.within(&self.key())?.trim_start_matches('/');
        if below.is_empty() || below.split('/').any(|it| it == "..") {
            return None;
        }
        // Where that is the root, the group of this name is another one.
        let own = Path::new(below).file_name().filter(|_| self.base != self.mount);
        Some([Some(self.mount.join(below)), own.map(|it| self.base.join(it))])
    }
}

/// Every hierarchy that this process can see, v1 first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchies(Vec<Hierarchy>);

impl Hierarchies {
    /// Finds where the cgroups of `host` are mounted, at any place.
    pub fn discover(host: &Host) -> Result<Self, CgroupError> {
        Self::seen_by(host, nix::unistd::geteuid().is_root())
    }

    /// The same; groups are made below those of this process, whoever it is.
    pub(in crate::engine) fn below_own(host: &Host) -> Result<Self, CgroupError> {
        Self::seen_by(host, false)
    }

    fn seen_by(host: &Host, root: bool) -> Result<Self, CgroupError> {
        let mounts = read(host.proc().join(mountinfo::FILE), read_short)?;
        let own = read(host.proc().join(MEMBERSHIP), read_at_once)?;
        let mut found = Self::parse(&mounts, &own, root, visible);
        for it in &mut found.0 {
            if it.version == Version::V2 {
                it.controllers = words_of(&it.base.join("cgroup.controllers"));
            }
        }
        if let Some(used) = used_controllers(host) {
            found.use_only(&used);
        }
        if found.0.is_empty() { Err(CgroupError::NotMounted) } else { Ok(found) }
    }

    /// Finds the hierarchies in the text of mountinfo and of `/proc/self/cgroup`. `usable` drops
    /// a mount that is hidden by another; the controllers of v2 are left empty.
    pub(in crate::engine) fn parse(
        mountinfo: &[u8],
        membership: &[u8],
        root: bool,
        usable: impl Fn(&Path, &str) -> bool,
    ) -> Self {
        let mounts: Vec<MountInfo> = mountinfo.split(|it| *it == b'\n').filter_map(mount).collect();
        let membership = String::from_utf8_lossy(membership);
        // A line that procfs cannot parse does not affect the others: each is parsed alone.
        let groups = membership.lines().filter_map(|line| {
            ProcessCGroups::from_buf_read(line.as_bytes()).ok()?.into_iter().next()
        });
        let mut found: Vec<_> = groups
            .filter_map(|group| {
                let mut mounts: Vec<_> = mounts.iter().filter(|it| shows(it, &group)).collect();
                // The mount with the shortest root shows the most of the hierarchy.
                mounts.sort_by_key(|it| it.root.len());
                let mut hierarchies = mounts.iter().filter_map(|it| {
                    let point = mountinfo::unescaped(it.mount_point.as_os_str().as_encoded_bytes());
                    usable(&point, &it.majmin).then(|| hierarchy(&group, it, point, root))?
                });
                hierarchies.next()
            })
            .collect();
        found.sort_by_key(|it| it.version);
        Self(found)
    }

    /// Leaves out the v1 hierarchies with a controller that is not `used`, as LXC does.
    fn use_only(&mut self, used: &[String]) {
        let all_used = |it: &Hierarchy| it.controllers.iter().all(|it| used.contains(it));
        self.0.retain(|it| it.version == Version::V2 || all_used(it));
    }

    /// Returns the first of the controllers `used` that no hierarchy has. On v2 there is always a
    /// freezer, and a program for devices.
    pub(in crate::engine) fn lacking<'a>(&self, used: &'a [String]) -> Option<&'a str> {
        let core = |it: &str| self.unified().is_some() && matches!(it, "devices" | "freezer");
        let mut used = used.iter().map(String::as_str);
        used.find(|name| !core(name) && !self.0.iter().any(|it| it.controls(name)))
    }

    /// Returns where groups are made.
    pub(in crate::engine) fn bases(&self) -> GroupPath {
        GroupPath::of(self.0.iter().map(|it| (it.key(), it.path_of(&it.base))))
    }

    /// Returns those below whose groups `bases` groups are made.
    pub(in crate::engine) fn at(&self, bases: &GroupPath) -> Self {
        let based = self.0.iter().filter_map(|it| {
            let below = bases.within(&it.key())?.trim_start_matches('/');
            let base = if below.is_empty() { it.mount.clone() } else { it.mount.join(below) };
            Some(Hierarchy { base, ..it.clone() })
        });
        Self(based.collect())
    }

    /// Returns which versions are mounted; none without any.
    pub fn layout(&self) -> Option<Layout> {
        let has = |version| self.0.iter().any(|it| it.version == version);
        match (has(Version::V1), has(Version::V2)) {
            (true, true) => Some(Layout::Hybrid),
            (true, false) => Some(Layout::V1),
            (false, true) => Some(Layout::V2),
            (false, false) => None,
        }
    }

    /// Iterates over the hierarchies, v1 first.
    pub fn iter(&self) -> impl Iterator<Item = &Hierarchy> {
        self.0.iter()
    }

    /// Returns the unified hierarchy, if it is mounted.
    pub fn unified(&self) -> Option<&Hierarchy> {
        self.0.iter().find(|it| it.version == Version::V2)
    }
}

/// Reads a file in the way in which the kernel hands it out.
fn read(path: PathBuf, how: fn(File, u64) -> io::Result<Vec<u8>>) -> Result<Vec<u8>, CgroupError> {
    let text = File::open(&path).and_then(|it| how(it, u64::MAX));
    text.map_err(|errno| CgroupError::Read { path, errno })
}

/// Parses one line if it is a cgroup mount; others are skipped for speed.
fn mount(line: &[u8]) -> Option<MountInfo> {
    let line = str::from_utf8(line).ok().filter(|it| it.contains(" - cgroup"))?;
    MountInfo::from_line(line).ok()
}

/// Returns whether `mount` shows the hierarchy of `group`.
fn shows(mount: &MountInfo, group: &ProcessCGroup) -> bool {
    if group.hierarchy == 0 {
        return mount.fs_type == "cgroup2";
    }
    let has = |controller: &String| match controller.split_once('=') {
        Some((key, name)) => {
            mount.super_options.get(key).is_some_and(|it| it.as_deref() == Some(name))
        }
        None => mount.super_options.contains_key(controller),
    };
    mount.fs_type == "cgroup" && !group.controllers.is_empty() && group.controllers.iter().all(has)
}

/// Returns none if an unprivileged caller's own group is not below the mount.
fn hierarchy(
    group: &ProcessCGroup,
    mount: &MountInfo,
    point: PathBuf,
    root: bool,
) -> Option<Hierarchy> {
    let base = if root {
        point.clone()
    } else {
        let own = Path::new(&group.pathname).strip_prefix(&mount.root).ok()?;
        // Processes in the group itself were moved aside when the first container was created.
        let own = if own.ends_with(LEAF) { own.parent().unwrap_or(own) } else { own };
        if own.as_os_str().is_empty() { point.clone() } else { point.join(own) }
    };
    let version = if group.hierarchy == 0 { Version::V2 } else { Version::V1 };
    Some(Hierarchy { version, controllers: group.controllers.clone(), mount: point, base })
}

/// Returns whether the file system `majmin` is visible at `point`, and not one mounted over it.
fn visible(point: &Path, majmin: &str) -> bool {
    let Ok(seen) = std::fs::metadata(point) else { return false };
    let device = seen.dev();
    format!("{}:{}", libc::major(device), libc::minor(device)) == majmin
}

#[cfg(test)]
#[path = "hierarchy/tests.rs"]
mod tests;
