//! The minimum cost of a container in the kernel: creating four cgroups with limits, cloning a
//! process into namespaces and groups, executing a program, and removing everything.

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, execv, write};
use wharf::engine::cgroup::{Hierarchies, Version};
use wharf::engine::{Host, Name};
use wharf::engine::{Side, clone3, exit_now};

use super::Failure;

const NAMESPACES: i32 =
    libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
/// Controller, and the limit to write, by version.
const LIMITS: [(&str, &str, &str, &str); 4] = [
    ("cpu", "cpu.shares", "cpu.weight", "512"),
    ("memory", "memory.limit_in_bytes", "memory.max", "268435456"),
    ("pids", "pids.max", "pids.max", "64"),
    ("freezer", "freezer.state", "cgroup.freeze", ""),
];

/// Where the groups are created, and what runs in them.
#[derive(Debug)]
pub(crate) struct Floor {
    groups: Vec<(PathBuf, Version)>,
    program: CString,
}

impl Floor {
    pub(crate) fn new(name: &Name, program: &Path) -> Result<Self, Failure> {
        let hierarchies = Hierarchies::discover(&Host::this())?;
        let mut groups: Vec<(PathBuf, Version)> = Vec::new();
        for (controller, ..) in LIMITS {
            let owner = hierarchies.iter().find(|it| it.controls(controller));
            let Some(owner) = owner.or_else(|| hierarchies.unified()) else { continue };
            let group = (owner.base.join(format!("floor.{name}")), owner.version);
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        Ok(Self { groups, program: CString::new(program.as_os_str().as_bytes())? })
    }

    /// Creates everything, waits for the program's end, and removes everything.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut tasks = Vec::new();
        let mut unified: Option<OwnedFd> = None;
        for (dir, version) in &self.groups {
            std::fs::create_dir(dir)?;
            limit(dir);
            match version {
                Version::V1 => {
                    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                    tasks.push(open(&dir.join("tasks"), flags, Mode::empty())?);
                }
                Version::V2 => {
                    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
                    unified = Some(open(dir, flags, Mode::empty())?);
                }
            }
        }
        let cgroup = unified.as_ref().map(|it| it.as_fd());
        let ended = match clone3(NAMESPACES as u64, cgroup)? {
            Side::Child => self.child(&tasks),
            Side::Parent { pid, .. } => waitpid(Pid::from_raw(pid), None),
        };
        for (dir, _) in &self.groups {
            std::fs::remove_dir(dir)?;
        }
        let ended = ended?;
        if matches!(ended, WaitStatus::Exited(_, 0)) {
            return Ok(());
        }
        Err(format!("the floor's program ended with {ended:?}").into())
    }

    fn child(&self, tasks: &[OwnedFd]) -> ! {
        let joined = tasks.iter().all(|it| write(it, b"0").is_ok());
        if joined {
            // It returns only when it failed.
            _ = execv(&self.program, &[&self.program]);
        }
        exit_now(127)
    }
}

/// Writes those limits whose files the group has.
fn limit(dir: &Path) {
    for (_, old, new, value) in LIMITS {
        for file in [old, new] {
            if !value.is_empty() && dir.join(file).exists() {
                _ = std::fs::write(dir.join(file), value);
            }
        }
    }
}
