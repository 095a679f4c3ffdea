//! The machine: where the kernel describes it, and where wharf keeps files until it shuts down.
//! Passed to all code that reads them, so that a test can use a machine of its own.

pub mod accounts;
pub(in crate::engine) mod apparmor;
mod asked;
pub mod identity;
pub(in crate::engine) mod label;
pub(in crate::engine) mod links;
pub mod lxcpath;
pub(in crate::engine) mod mapped;
pub(in crate::engine) mod mountinfo;
pub(in crate::engine) mod ovs;
pub(in crate::engine) mod random;
pub(in crate::engine) mod selinux;
pub(in crate::engine) mod short;
pub(in crate::engine) mod subids;
pub(in crate::engine) mod user_manager;
pub(in crate::engine) mod usernet;

#[cfg(test)]
pub(in crate::engine) mod made_up;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::engine::terms::error::words;

const PROXMOX: &str = "/etc/pve/lxc";
/// Only its owner may enter the runtime directory.
const PRIVATE: u32 = 0o700;
/// The runtime directory of root.
const RUNTIME: &str = "/run/wharf";
const STAGE: &str = "/run/wharf-root";

/// Why there is no runtime directory.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("runtime directory {path}: {}", words(source))]
    Runtime { path: PathBuf, source: io::Error },
    #[error(
        "runtime directory {path} belongs to uid {uid} with mode {mode:o}; it must be yours \
             alone: remove it, or `chmod 700` it if nobody else has written in it"
    )]
    NotOurs { path: PathBuf, uid: u32, mode: u32 },
}

/// One machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Host(Arc<Roots>);

#[derive(Debug)]
struct Roots {
    proc: PathBuf,
    runtime: PathBuf,
    lxc: PathBuf,
    lxc_config: PathBuf,
    proxmox: PathBuf,
    /// Once the runtime directory was found to be ours alone: nobody else can change that.
    ours: OnceLock<()>,
}

impl Host {
    /// The machine that this process runs on. The runtime directory is `/run/wharf` for root, else
    /// `$XDG_RUNTIME_DIR/wharf`.
    pub fn this() -> Self {
        Self(Arc::new(Roots {
            proc: PathBuf::from("/proc"),
            runtime: runtime_path(),
            lxc: PathBuf::from("/run/lxc"),
            lxc_config: lxc_config_path(),
            proxmox: PathBuf::from(PROXMOX),
            ours: OnceLock::new(),
        }))
    }

    /// A machine whose files are below `root`: `proc` and `run`. Its `proc/self/mountinfo` says
    /// where its cgroups are.
    #[cfg(test)]
    pub(crate) fn below(root: &Path) -> Self {
        Self(Arc::new(Roots {
            proc: root.join("proc"),
            runtime: root.join("run/wharf"),
            lxc: root.join("run/lxc"),
            lxc_config: root.join("etc/lxc"),
            proxmox: root.join("etc/pve/lxc"),
            ours: OnceLock::new(),
        }))
    }

    /// This machine, except for its runtime directory and LXC's configuration, which are in `dir`.
    #[cfg(test)]
    pub(crate) fn keeping_in(dir: &Path) -> Self {
        let (runtime, lxc) = (dir.join("wharf"), dir.join("lxc"));
        let lxc_config = dir.join("etc/lxc");
        let (proc, proxmox) = (PathBuf::from("/proc"), PathBuf::from(PROXMOX));
        let ours = OnceLock::new();
        Self(Arc::new(Roots { proc, runtime, lxc, lxc_config, proxmox, ours }))
    }

    /// Returns the path of `/proc`.
    pub fn proc(&self) -> &Path {
        &self.0.proc
    }

    /// Returns the path of `file` in the directory of the process `pid`.
    pub fn of_process(&self, pid: i32, file: &str) -> PathBuf {
        self.0.proc.join(pid.to_string()).join(file)
    }

    /// Returns the runtime directory of LXC's own programs.
    pub fn lxc_runtime(&self) -> &Path {
        &self.0.lxc
    }

    /// Returns where LXC keeps its own configuration of this host.
    pub(super) fn lxc_config(&self) -> &Path {
        &self.0.lxc_config
    }

    /// Returns where Proxmox VE keeps the configurations of its containers.
    pub fn proxmox(&self) -> &Path {
        &self.0.proxmox
    }

    /// Returns wharf's directory for what does not outlive the machine's run, made on first use.
    ///
    /// If other users have access to it, returns a path below which nothing can be created: every
    /// use then fails, instead of trusting a stranger's files. [`Self::checked_runtime_dir`] says
    /// why.
    pub fn runtime_dir(&self) -> PathBuf {
        const NOWHERE: &str = "/proc/self/no-runtime-directory";
        self.checked_runtime_dir().unwrap_or_else(|_reason| PathBuf::from(NOWHERE))
    }

    /// The same, with the reason when there is no such directory.
    pub fn checked_runtime_dir(&self) -> Result<PathBuf, HostError> {
        if self.0.ours.get().is_none() {
            private_dir(&self.0.runtime)?;
            _ = self.0.ours.set(());
        }
        Ok(self.0.runtime.clone())
    }

    /// Returns where that directory is, or would be.
    pub fn runtime_path(&self) -> &Path {
        &self.0.runtime
    }

    /// Returns the directory on which roots are mounted, each where only its container sees it. The
    /// hooks of one with users of its own must be able to pass it.
    pub fn stage_path(&self) -> PathBuf {
        if self.0.runtime == Path::new(RUNTIME) {
            PathBuf::from(STAGE)
        } else {
            self.0.runtime.join("root")
        }
    }
}

/// Where LXC looks for its own configuration; see lxc.system.conf(5).
fn lxc_config_path() -> PathBuf {
    match std::env::var_os("HOME") {
        Some(home) if !nix::unistd::geteuid().is_root() => Path::new(&home).join(".config/lxc"),
        Some(_) | None => PathBuf::from("/etc/lxc"),
    }
}

fn runtime_path() -> PathBuf {
    let uid = nix::unistd::geteuid();
    if uid.is_root() {
        return PathBuf::from(RUNTIME);
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if Path::new(&dir).is_absolute() => Path::new(&dir).join("wharf"),
        _ => PathBuf::from(format!("/tmp/wharf-{uid}")),
    }
}

/// Makes a directory that only we may enter, or checks that the existing one is private.
pub(super) fn private_dir(path: &Path) -> Result<(), HostError> {
    let failed = |source| HostError::Runtime { path: path.to_path_buf(), source };
    match DirBuilder::new().mode(PRIVATE).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
        Err(error) => return Err(failed(error)),
    }
    let meta = std::fs::symlink_metadata(path).map_err(failed)?;
    let (uid, mode) = (meta.uid(), meta.mode() & 0o7777);
    if !meta.is_dir() || uid != nix::unistd::geteuid().as_raw() || mode & 0o077 != 0 {
        return Err(HostError::NotOurs { path: path.to_path_buf(), uid, mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_directory_that_others_may_enter_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        private_dir(&path).unwrap();
        private_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).unwrap();
        assert!(matches!(private_dir(&path), Err(HostError::NotOurs { mode: 0o711, .. })));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/root", &link).unwrap();
        assert!(private_dir(&link).is_err());
    }
}
