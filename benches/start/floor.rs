//! The minimum cost of a container in the kernel: four cgroups with limits, a process cloned into
//! namespaces and groups, its root and `/proc`, a program, and the removal of everything.

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, execv, pivot_root, write};
use wharf::engine::Host;
use wharf::engine::cgroup::{Hierarchies, Version};
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

/// Which groups are created, and what runs in which root.
#[derive(Debug)]
pub(crate) struct Floor {
    groups: Vec<(PathBuf, Version)>,
    root: PathBuf,
}

/// A running one.
#[derive(Debug)]
pub(crate) struct Running {
    pid: Pid,
    groups: Vec<PathBuf>,
}

impl Floor {
    pub(crate) fn new(root: &Path) -> Result<Self, Failure> {
        let hierarchies = Hierarchies::discover(&Host::this())?;
        let mut groups: Vec<(PathBuf, Version)> = Vec::new();
        for (controller, ..) in LIMITS {
            let owner = hierarchies.iter().find(|it| it.controls(controller));
            let Some(owner) = owner.or_else(|| hierarchies.unified()) else { continue };
            let group = (owner.base.clone(), owner.version);
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        Ok(Self { groups, root: root.to_owned() })
    }

    /// Creates everything and starts `program` of the root.
    pub(crate) fn start(&self, name: &str, program: &str) -> Result<Running, Failure> {
        let program = CString::new(program)?;
        let mut tasks = Vec::new();
        let mut unified: Option<OwnedFd> = None;
        let mut groups = Vec::new();
        for (base, version) in &self.groups {
            let dir = base.join(name);
            std::fs::create_dir(&dir)?;
            limit(&dir);
            match version {
                Version::V1 => {
                    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
                    tasks.push(open(&dir.join("tasks"), flags, Mode::empty())?);
                }
                Version::V2 => {
                    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
                    unified = Some(open(&dir, flags, Mode::empty())?);
                }
            }
            groups.push(dir);
        }
        let cgroup = unified.as_ref().map(|it| it.as_fd());
        match clone3(NAMESPACES as u64, cgroup)? {
            Side::Child => {
                // They return only when they failed.
                _ = self.child(&tasks, &program);
                exit_now(127)
            }
            Side::Parent { pid, .. } => Ok(Running { pid: Pid::from_raw(pid), groups }),
        }
    }

    fn child(&self, tasks: &[OwnedFd], program: &CString) -> nix::Result<()> {
        for it in tasks {
            write(it, b"0")?;
        }
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none)?;
        mount(Some(&self.root), &self.root, none, MsFlags::MS_BIND, none)?;
        chdir(&self.root)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("proc"), "proc", Some("proc"), flags, none)?;
        pivot_root(".", ".")?;
        umount2(".", MntFlags::MNT_DETACH)?;
        chdir("/")?;
        execv(program, &[program]).map(|_| ())
    }
}

impl Running {
    /// Waits for the program's end, and removes everything.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let ended = waitpid(self.pid, None);
        for dir in &self.groups {
            std::fs::remove_dir(dir)?;
        }
        let ended = ended?;
        let expected =
            matches!(ended, WaitStatus::Exited(_, 0) | WaitStatus::Signaled(_, Signal::SIGKILL, _));
        if !expected {
            return Err(format!("the floor's program ended with {ended:?}").into());
        }
        Ok(())
    }

    /// Kills init, and with it all others, and removes everything.
    pub(crate) fn kill(self) -> Result<(), Failure> {
        kill(self.pid, Signal::SIGKILL)?;
        self.finish()
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
