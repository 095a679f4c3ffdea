//! The cheap way into a group: a process writes itself into v1 groups, and is born in a v2 one.
//!
//! Writing another process's pid to `cgroup.procs` costs 8 ms on an idle machine, since the kernel
//! waits for every processor; a thread that moves itself through `tasks` costs 40 µs.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::file::write_once;
use super::hand_down::{home, restore};
use super::{Cgroup, CgroupError, Group, Version};

/// The pid that means the writing process itself.
const MYSELF: &[u8] = b"0";

/// The group that LXC creates for processes that enter a container with groups of its own.
const BESIDE: &str = ".lxc";
const MODE: u32 = 0o755;

/// Open descriptors for joining a container's groups, all close-on-exec.
#[derive(Debug, Default)]
pub struct CgroupFds {
    /// v1 `tasks` files, and `cgroup.procs` of v2 for a process that is not born there; a
    /// single-threaded process that writes `0` to each has joined.
    pub tasks: Vec<OwnedFd>,
    /// The v2 group's directory, for `CLONE_INTO_CGROUP`.
    pub unified: Option<OwnedFd>,
}

impl CgroupFds {
    /// Moves the calling process, which must be single-threaded, into the v1 groups; returns
    /// whether it is in all of them.
    pub(in crate::engine) fn join_v1(self) -> bool {
        let mut doors = self.tasks.into_iter().map(File::from);
        doors.all(|mut it| it.write_all(MYSELF).is_ok())
    }
}

impl Cgroup {
    /// Opens the descriptors for a child that is about to be cloned.
    pub fn entry(&self) -> Result<CgroupFds, CgroupError> {
        let mut entry = CgroupFds { tasks: Vec::new(), unified: None };
        for group in &self.groups {
            match group.hierarchy.version {
                Version::V1 => {
                    let tasks = group.dir.join(door(Version::V1));
                    let opened = File::options().write(true).open(&tasks);
                    entry.tasks.push(opened.map_err(|errno| open(tasks, errno))?.into());
                }
                Version::V2 => {
                    let dir = open_dir(&group.dir);
                    entry.unified = Some(dir.map_err(|errno| open(group.dir.clone(), errno))?);
                }
            }
        }
        Ok(entry)
    }

    /// The same for a child that will join the v2 group as it joins the v1 ones, since it cannot be
    /// born there.
    pub(in crate::engine) fn entry_by_joining(&self) -> Result<CgroupFds, CgroupError> {
        let doors = self.groups.iter().map(|it| {
            let door = it.dir.join(door(it.hierarchy.version));
            let opened = File::options().write(true).open(&door);
            opened.map(OwnedFd::from).map_err(|errno| open(door, errno))
        });
        Ok(CgroupFds { tasks: doors.collect::<Result<_, _>>()?, unified: None })
    }

    /// The same for a container whose v2 group has enabled controllers for groups below it, as
    /// systemd does: such a group cannot hold a process itself, so a sibling of them is used, which
    /// is created if necessary and removed with the container.
    pub(in crate::engine) fn entry_beside(&self) -> Result<CgroupFds, CgroupError> {
        let mut entry = self.entry()?;
        if let Some(group) = self.unified() {
            let dir = beside(&group.dir)?;
            entry.unified = Some(open_dir(&dir).map_err(|errno| open(dir, errno))?);
        }
        Ok(entry)
    }

    /// Moves the process `pid`, which must be stopped, into the groups, whatever `pids.max` says:
    /// that limits only processes born there. Slow, see above.
    pub(in crate::engine) fn admit(&self, pid: i32) -> Result<(), CgroupError> {
        let pid = pid.to_string();
        for group in &self.groups {
            let dir = &group.dir;
            match admit(dir, pid.as_bytes()) {
                Err(CgroupError::Join { errno, .. })
                    if errno.raw_os_error() == Some(libc::EBUSY)
                        && group.hierarchy.version == Version::V2 =>
                {
                    admit(&beside(dir)?, pid.as_bytes())?;
                }
                result => result?,
            }
        }
        Ok(())
    }

    /// Moves the calling process, which must be single-threaded, into the group.
    pub(in crate::engine) fn join(&self) -> Result<(), CgroupError> {
        let mut groups = self.groups.iter();
        groups.try_for_each(|it| join(&it.dir, it.hierarchy.version))
    }

    /// Opens the parent of the v2 group, for `CLONE_INTO_CGROUP`; none without such a group.
    pub(in crate::engine) fn outside(&self) -> Option<OwnedFd> {
        open_dir(&home(&self.unified()?.hierarchy.base).ok()?).ok()
    }

    /// Gives the parent of the v2 group its processes back, once nothing else is left in it.
    pub(in crate::engine) fn restore_parent(&self) {
        if let Some(it) = self.unified() {
            restore(&it.hierarchy.base);
        }
    }

    /// Moves the calling process, which must be single-threaded, out of the v1 groups only.
    pub(in crate::engine) fn leave_v1(&self) {
        for it in self.groups.iter().filter(|it| it.hierarchy.version == Version::V1) {
            // If it stays, the removal of the group fails and reports that.
            _ = join(&it.hierarchy.base, Version::V1);
        }
    }

    /// Moves the calling process, which must be single-threaded, to the group in which wharf
    /// creates its own, so that the group can be removed.
    pub(in crate::engine) fn leave_to_root(&self) -> Result<(), CgroupError> {
        let mut first_failure = Ok(());
        // A group that cannot be left must not prevent leaving the others.
        for Group { hierarchy, .. } in &self.groups {
            let base = &hierarchy.base;
            let to = match hierarchy.version {
                Version::V1 => Ok(base.clone()),
                Version::V2 => {
                    home(base).map_err(|errno| CgroupError::Join { dir: base.clone(), errno })
                }
            };
            let left = to.and_then(|it| join(&it, hierarchy.version));
            first_failure = first_failure.and(left);
        }
        first_failure
    }
}

/// Returns the file by which a process joins a group itself.
const fn door(version: Version) -> &'static str {
    match version {
        Version::V1 => "tasks",
        Version::V2 => "cgroup.procs",
    }
}

fn join(dir: &Path, version: Version) -> Result<(), CgroupError> {
    write_once(&dir.join(door(version)), MYSELF)
        .map_err(|errno| CgroupError::Join { dir: dir.to_path_buf(), errno })
}

fn admit(dir: &Path, pid: &[u8]) -> Result<(), CgroupError> {
    write_once(&dir.join("cgroup.procs"), pid)
        .map_err(|errno| CgroupError::Join { dir: dir.to_path_buf(), errno })
}

/// Creates the group [`BESIDE`] below the container's, if it does not exist.
fn beside(dir: &Path) -> Result<PathBuf, CgroupError> {
    let dir = dir.join(BESIDE);
    match DirBuilder::new().mode(MODE).create(&dir) {
        Err(errno) if errno.kind() != io::ErrorKind::AlreadyExists => {
            Err(CgroupError::Create { dir, errno })
        }
        Ok(()) | Err(_) => Ok(dir),
    }
}

fn open_dir(dir: &Path) -> io::Result<OwnedFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    File::options().read(true).custom_flags(flags).open(dir).map(Into::into)
}

const fn open(path: PathBuf, errno: io::Error) -> CgroupError {
    CgroupError::Open { path, errno }
}
