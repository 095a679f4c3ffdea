//! Removes a container for a caller with its lock and its seat: a command, or the supervisor of an
//! ephemeral one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::engine::Name;
use crate::engine::config::{self, Config};
use crate::engine::running::event::{self, What};
use crate::engine::running::record;
use crate::engine::store::{RemoveError, Store, remove_draft, take_away};
use crate::engine::terms::error::words;
use crate::engine::terms::rootfs::Storage;
use crate::engine::terms::shown::shown;

/// Why it still exists, or a part of it.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum RemovalError {
    #[error("lxc.rootfs.managed = 0 protects its root in {0}; move the root away first")]
    Unmanaged(PathBuf),
    #[error("others use its files: {0}; destroy them first")]
    Copied(String),
    #[error("it has snapshots in {0}; remove them first")]
    Snapshots(PathBuf),
    #[error("lxc.hook.destroy {hook}: {said}")]
    Hook { hook: String, said: String },
    #[error(transparent)]
    Remove(#[from] RemoveError),
    #[error("it was removed, but the record of its last run was not")]
    Forget(#[source] io::Error),
}

/// Removes `LXCPATH/NAME`, and the record of the container's last run. A root outside is not
/// touched.
pub(in crate::engine) fn remove(store: &Store, name: &Name) -> Result<(), RemovalError> {
    check_dependents(store, name)?;
    // A configuration that cannot be read protects nothing: a broken container must be removable.
    if let Ok(config) = config::load(name, store.lxcpath(), None, &[]) {
        check_managed(&config, &store.dir(name))?;
        run_hooks(&config, name)?;
    }
    remove_draft(store, name)?;
    take_away(store, name)?;
    let forgotten = record::forget(store.lxcpath(), name);
    event::publish(store.lxcpath(), name, What::Destroyed);
    forgotten.map_err(RemovalError::Forget)
}

/// Refuses if the configuration says that the root inside `dir` must not be deleted.
fn check_managed(config: &Config, dir: &Path) -> Result<(), RemovalError> {
    let storage = config.storage();
    let Some(root) = storage.as_ref().and_then(Storage::changed) else { return Ok(()) };
    let unmanaged = config.get("lxc.rootfs.managed").as_deref() == Some("0");
    // The configuration may write the directory's path differently.
    let inside = root.canonicalize().unwrap_or_else(|_missing| root.to_path_buf());
    let is_there = root.symlink_metadata().is_ok();
    if unmanaged && is_there && (inside.starts_with(dir) || root.starts_with(dir)) {
        return Err(RemovalError::Unmanaged(root.to_path_buf()));
    }
    Ok(())
}

/// Refuses if LXC has made copies that show this container's files, or snapshots of it, which are in
/// its directory.
fn check_dependents(store: &Store, name: &Name) -> Result<(), RemovalError> {
    let dir = store.dir(name);
    // Two lines for each: its lxcpath and its name.
    let listed = fs::read(dir.join("lxc_snapshots")).unwrap_or_default();
    let listed = String::from_utf8_lossy(&listed);
    let lines: Vec<&str> = listed.lines().collect();
    let copies = lines.chunks_exact(2).filter_map(|it| {
        let [lxcpath, name] = it else { return None };
        // One that wharf has destroyed is still listed.
        let there = Path::new(lxcpath).join(name);
        there.exists().then(|| shown(&there.to_string_lossy()).into_owned())
    });
    let copies: Vec<String> = copies.collect();
    if !copies.is_empty() {
        return Err(RemovalError::Copied(copies.join(", ")));
    }
    let snapshots = dir.join("snaps");
    if fs::read_dir(&snapshots).is_ok_and(|mut it| it.next().is_some()) {
        return Err(RemovalError::Snapshots(snapshots));
    }
    Ok(())
}

/// Runs what `lxc.hook.destroy` names, as LXC does: by the shell, with the container's name, `lxc`
/// and `destroy` as arguments. If one fails, the container is not destroyed.
fn run_hooks(config: &Config, name: &Name) -> Result<(), RemovalError> {
    let item = |key| config.get(key).unwrap_or_default();
    let by_arguments = item("lxc.hook.version") != "1";
    for hook in item("lxc.hook.destroy").lines() {
        let failed = |said: String| RemovalError::Hook { hook: shown(hook).into_owned(), said };
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
