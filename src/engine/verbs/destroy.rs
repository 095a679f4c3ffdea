//! The verb `destroy`: removes a stopped container, never through a link or a mount.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::engine::cgroup::Patience;
use crate::engine::config;
use crate::engine::host::mountinfo;
use crate::engine::running::command_socket::{Seat, SeatError};
use crate::engine::running::event::{self, What};
use crate::engine::running::record::{self, ReclaimError, Record};
use crate::engine::store::{
    RemoveError, Store, StoreError, draft_name, drafted, remove_container, remove_tree,
};
use crate::engine::terms::error::words;
use crate::engine::terms::shown::shown;
use crate::engine::verbs::proxmox::{self, Pct};
use crate::engine::{Engine, Error, ErrorKind, Lxcpath, Name, State, Verb};

/// Why a container is still there.
#[derive(Debug, thiserror::Error)]
enum DestroyError {
    #[error("it is not defined: {0} is missing")]
    Missing(PathBuf),
    #[error("it is {0}; stop it first")]
    Running(State),
    #[error("lxc.rootfs.managed = 0 protects its root in {0}; move the root away first")]
    Unmanaged(PathBuf),
    #[error("Proxmox manages it ({}); `{instead}` removes it with its disks", conf.display())]
    Owned { conf: PathBuf, instead: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Remove(#[from] RemoveError),
    #[error(transparent)]
    Reclaim(#[from] ReclaimError),
    #[error(transparent)]
    Seat(SeatError),
    #[error("lxc.hook.destroy {hook}: {said}")]
    Hook { hook: String, said: String },
    #[error("it was removed, but the record of its last run was not")]
    Forget(#[source] io::Error),
}

/// How long a supervisor may take to end after it has told that its container did.
const GOING: Duration = Duration::from_secs(2);

impl DestroyError {
    const fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_) => ErrorKind::NotFound,
            Self::Running(_) => ErrorKind::Running,
            Self::Unmanaged(_) | Self::Owned { .. } => ErrorKind::Invalid,
            Self::Store(StoreError::Busy(_)) => ErrorKind::Busy,
            Self::Store(_)
            | Self::Hook { .. }
            | Self::Remove(_)
            | Self::Reclaim(_)
            | Self::Seat(_)
            | Self::Forget(_) => ErrorKind::Failed,
        }
    }
}

impl Engine {
    /// Removes `LXCPATH/NAME` and what a dead supervisor left. Refuses a running container. A root
    /// outside of `LXCPATH/NAME` is not touched.
    pub fn destroy(&self, name: &Name) -> Result<(), Error> {
        let destroyed = self.try_destroy(name);
        self.tidy();
        destroyed.map_err(|error| Error::new(Verb::Destroy, name, error.kind(), error))
    }

    fn try_destroy(&self, name: &Name) -> Result<(), DestroyError> {
        if let Some(owned) = proxmox::owner(self.lxcpath.host(), name) {
            let instead = owned.pct(Pct::Destroy);
            return Err(DestroyError::Owned { conf: owned.conf, instead });
        }
        let store = Store::new(&self.lxcpath);
        let _lock = store.lock(name)?;
        let had_draft = remove_draft(&store, name)?;
        let had_record = Record::read(&self.lxcpath, name).is_some();
        // Whoever starts it has to wait for this, and then finds it gone.
        let _seat = self.take_seat(name)?;
        record::clean_up_held(&self.lxcpath, name)?;
        let dir = store.dir(name);
        if exists(&dir) {
            return self.remove(&store, name);
        }
        // What a destruction that was killed has left is a record alone.
        if !had_record && !had_draft {
            return Err(DestroyError::Missing(dir));
        }
        record::forget(&self.lxcpath, name).map_err(DestroyError::Forget)
    }

    /// Destroys an ephemeral container for its own supervisor, which still holds its socket.
    pub(in crate::engine) fn destroy_held(&self, name: &Name) -> Result<(), Error> {
        let failed = |error: DestroyError| Error::new(Verb::Destroy, name, error.kind(), error);
        let store = Store::new(&self.lxcpath);
        let _lock = store.lock(name).map_err(|error| failed(error.into()))?;
        self.remove(&store, name).map_err(failed)
    }

    fn remove(&self, store: &Store, name: &Name) -> Result<(), DestroyError> {
        check_managed(store, name)?;
        run_hooks(store, name)?;
        remove_draft(store, name)?;
        take_away(store, name)?;
        let forgotten = record::forget(&self.lxcpath, name);
        event::publish(&self.lxcpath, name, What::Destroyed);
        forgotten.map_err(DestroyError::Forget)
    }

    /// Takes the place of the container's supervisor. One that has told the end of its container
    /// is gone in a moment.
    fn take_seat(&self, name: &Name) -> Result<Seat, DestroyError> {
        let mut patience = Patience::until(Instant::now() + GOING);
        loop {
            match Seat::take(&self.lxcpath, name) {
                Ok(seat) => return Ok(seat),
                Err(SeatError::Taken) => (),
                Err(error) => return Err(DestroyError::Seat(error)),
            }
            let state = self.state(name).unwrap_or(State::Stopped);
            if state.is_active() || !patience.again() {
                return Err(DestroyError::Running(state));
            }
        }
    }
}

/// Refuses if the configuration says that the root inside is not ours to delete. A configuration
/// that cannot be read protects nothing: a broken container must be removable.
fn check_managed(store: &Store, name: &Name) -> Result<(), DestroyError> {
    let Ok(config) = config::load(name, store.lxcpath(), None, &[]) else { return Ok(()) };
    let root = PathBuf::from(config.get("lxc.rootfs.path").unwrap_or_default());
    let unmanaged = config.get("lxc.rootfs.managed").as_deref() == Some("0");
    // The configuration may spell the directory otherwise.
    let inside = root.canonicalize().unwrap_or_else(|_missing| root.clone());
    if unmanaged && (inside.starts_with(store.dir(name)) || root.starts_with(store.dir(name))) {
        return Err(DestroyError::Unmanaged(root));
    }
    Ok(())
}

/// Runs what `lxc.hook.destroy` names, as LXC does: by the shell, with the container's name, `lxc`
/// and `destroy` behind it. One that fails keeps the container.
fn run_hooks(store: &Store, name: &Name) -> Result<(), DestroyError> {
    let Ok(config) = config::load(name, store.lxcpath(), None, &[]) else { return Ok(()) };
    let item = |key| config.get(key).unwrap_or_default();
    let by_arguments = item("lxc.hook.version") != "1";
    for hook in item("lxc.hook.destroy").lines() {
        let failed = |said: String| DestroyError::Hook { hook: shown(hook).into_owned(), said };
        let arguments = if by_arguments { format!(" {name} lxc destroy") } else { String::new() };
        let output = Command::new("/bin/sh")
            .args(["-c", &format!("exec {hook}{arguments}")])
            .env("LXC_NAME", name.as_str())
            .env("LXC_CONFIG_FILE", config.file())
            .env("LXC_ROOTFS_PATH", item("lxc.rootfs.path"))
            .env("LXC_HOOK_TYPE", "destroy")
            .env("LXC_HOOK_SECTION", "lxc")
            .env("LXC_HOOK_VERSION", item("lxc.hook.version"))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(words(&error)))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last =
                said.lines().last().map_or_else(String::new, |it| format!(": {}", shown(it)));
            return Err(failed(format!(
                "{}{last}; the container was not destroyed",
                output.status
            )));
        }
    }
    Ok(())
}

/// Removes the container's directory in one step, as others see it.
fn take_away(store: &Store, name: &Name) -> Result<(), RemoveError> {
    let shown = store.dir(name);
    // Told before anything is gone, not halfway; the removal itself refuses mounts as well.
    if let Some(mount) = mount_below(store.lxcpath(), name.as_str()) {
        return Err(RemoveError::Mount(mount));
    }
    let failed = |source| RemoveError::Remove { path: shown.clone(), source };
    let parent = File::open(store.lxcpath()).map_err(failed)?;
    let [plain, hidden] = [name.to_string(), draft_name(name)].map(CString::new);
    let nul = |_nul| failed(io::Error::from_raw_os_error(libc::EINVAL));
    remove_container(&parent, &plain.map_err(nul)?, &hidden.map_err(nul)?, &shown)
}

/// Removes what a creation or a removal that was killed has left under its hidden name. The caller holds the
/// container's lock. Returns whether there was something.
pub(in crate::engine) fn remove_draft(store: &Store, name: &Name) -> Result<bool, RemoveError> {
    let draft = draft_name(name);
    let there = exists(&store.lxcpath().join(&draft)) && drafted(store.lxcpath(), &draft).is_some();
    if there {
        remove_dir(store.lxcpath(), &draft)?;
    }
    Ok(there)
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Removes one directory of the lxcpath with all that is in it.
pub(in crate::engine) fn remove_dir(lxcpath: &Lxcpath, name: &str) -> Result<(), RemoveError> {
    let shown = lxcpath.join(name);
    // Told before anything is gone, not halfway; the removal itself refuses mounts as well.
    if let Some(mount) = mount_below(lxcpath, name) {
        return Err(RemoveError::Mount(mount));
    }
    let failed = |source| RemoveError::Remove { path: shown.clone(), source };
    let parent = File::open(lxcpath).map_err(failed)?;
    let name =
        CString::new(name).map_err(|_nul| failed(io::Error::from_raw_os_error(libc::EINVAL)))?;
    remove_tree(&parent, &name, &shown)
}

/// Finds a mount in the directory, as the kernel lists it.
fn mount_below(lxcpath: &Lxcpath, name: &str) -> Option<PathBuf> {
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
