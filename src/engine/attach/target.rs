//! The container to enter: its init, its namespaces, its cgroups and its confinement.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::engine::cgroup::{Cgroup, CgroupError, Entry, Hierarchies};
use crate::engine::command_socket::{Client, SocketError};
use crate::engine::{Kind, Lxcpath, Name, sys};

/// A running container, held by a pidfd of its init.
#[derive(Debug)]
pub(super) struct Target {
    pidfd: OwnedFd,
    cgroup: Option<Cgroup>,
    /// `CLONE_NEW*` flags of the namespaces that differ from ours.
    pub(super) namespaces: i32,
    /// Init's capability bounding set.
    pub(super) bounding: u64,
    pub(super) no_new_privs: bool,
}

/// Why a container cannot be entered.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    #[error("it is not running")]
    NotRunning,
    #[error(transparent)]
    Socket(SocketError),
    #[error("hold init {pid}: {}", errno.desc())]
    Init { pid: i32, errno: Errno },
    #[error("read {path}")]
    Proc { path: String, source: io::Error },
    #[error(transparent)]
    Cgroup(CgroupError),
}

impl TargetError {
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::NotRunning => Kind::NotRunning,
            Self::Init { errno: Errno::EPERM, .. } => Kind::Denied,
            Self::Socket(_) | Self::Init { .. } | Self::Proc { .. } | Self::Cgroup(_) => {
                Kind::Failed
            }
        }
    }
}

/// Namespaces in `/proc/PID/ns`, and their flags for setns(2).
const NAMESPACES: [(&str, i32); 7] = [
    ("user", libc::CLONE_NEWUSER),
    ("mnt", libc::CLONE_NEWNS),
    ("pid", libc::CLONE_NEWPID),
    ("uts", libc::CLONE_NEWUTS),
    ("ipc", libc::CLONE_NEWIPC),
    ("net", libc::CLONE_NEWNET),
    ("cgroup", libc::CLONE_NEWCGROUP),
];

impl Target {
    /// Asks the container's supervisor for its init.
    pub(super) fn find(lxcpath: &Lxcpath, name: &Name) -> Result<Self, TargetError> {
        let client = Client::connect(lxcpath, name)
            .map_err(TargetError::Socket)?
            .ok_or(TargetError::NotRunning)?;
        let pid = client.init_pid().map_err(TargetError::Socket)?;
        let pidfd = sys::pidfd_open(pid).map_err(|errno| TargetError::Init { pid, errno })?;
        // What is read below belongs to this init only if the supervisor still names the pid
        // after the pidfd was opened.
        if client.init_pid().map_err(TargetError::Socket)? != pid {
            return Err(TargetError::NotRunning);
        }
        let path = cgroup_path(&client)?;
        let cgroup = match path {
            Some(path) => {
                let hierarchies =
                    Hierarchies::discover(lxcpath.host()).map_err(TargetError::Cgroup)?;
                Some(Cgroup::open(&hierarchies, &path))
            }
            None => None,
        };
        let status = read(format!("/proc/{pid}/status"))?;
        Ok(Self {
            pidfd,
            cgroup,
            namespaces: differing(pid),
            bounding: field(&status, "CapBnd:")
                .and_then(|it| u64::from_str_radix(it, 16).ok())
                .unwrap_or(0),
            no_new_privs: field(&status, "NoNewPrivs:") == Some("1"),
        })
    }

    /// Returns the descriptor of init.
    pub(super) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Opens the container's cgroups for joining.
    pub(super) fn entry(&self) -> Result<Entry, TargetError> {
        match &self.cgroup {
            Some(cgroup) => cgroup.entry().map_err(TargetError::Cgroup),
            None => Ok(Entry { tasks: Vec::new(), unified: None }),
        }
    }
}

/// A supervisor answers for the unified hierarchy or for a v1 controller, by its layout.
fn cgroup_path(client: &Client) -> Result<Option<String>, TargetError> {
    for controller in [Some("freezer"), None, Some("memory")] {
        if let Some(path) = client.cgroup(controller).map_err(TargetError::Socket)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn differing(pid: i32) -> i32 {
    NAMESPACES
        .into_iter()
        .filter(|(name, _)| {
            let theirs = fs::read_link(format!("/proc/{pid}/ns/{name}"));
            let ours = fs::read_link(format!("/proc/self/ns/{name}"));
            theirs.is_ok() && theirs.ok() != ours.ok()
        })
        .fold(0, |flags, (_, flag)| flags | flag)
}

fn read(path: String) -> Result<String, TargetError> {
    fs::read_to_string(&path).map_err(|source| TargetError::Proc { path, source })
}

fn field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}
