//! Removes a container for a caller with its lock and its seat: a command, or the supervisor of an
//! ephemeral one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::Name;
use crate::engine::config::{self, Config};
use crate::engine::entry::script::{self, Script, Section};
use crate::engine::running::command_socket::{Seat, SeatError};
use crate::engine::running::event::{self, What};
use crate::engine::running::record;
use crate::engine::store::dependents::{self, Dependent, Unlisted};
use crate::engine::store::{
    RemoveError, Store, StoreError, command_for, mount_below, remove_draft, remove_drafts, snaps,
    take_away,
    trash::{self, Trash},
};
use crate::engine::terms::shown::shown;
use crate::engine::terms::spec::Hooks;

/// Why it still exists, or a part of it.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum RemovalError {
    #[error("lxc.rootfs.managed = 0 protects its root in {0}; move the root away first")]
    Unmanaged(PathBuf),
    #[error("others use its files: {0}; destroy them first")]
    Copied(String),
    #[error(transparent)]
    Unlisted(#[from] Unlisted),
    #[error("{ids} in the trash shows its files; `{wharf} trash empty {ids}` first")]
    Trashed { ids: String, wharf: String },
    #[error("it has snapshots in {dir}; `{command}` removes them")]
    Snapshots { dir: String, command: String },
    #[error("{hook}: {error}; the container was not destroyed")]
    Hook { hook: String, error: io::Error },
    #[error(transparent)]
    Remove(#[from] RemoveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a snapshot of it is in use: {0}")]
    Seat(#[from] SeatError),
    #[error("it was removed, but the record of its last run was not")]
    Forget(#[source] io::Error),
}

impl RemovalError {
    pub(super) fn trashed(store: &Store, ids: String) -> Self {
        Self::Trashed { ids, wharf: command_for(store.lxcpath()) }
    }

    pub(super) fn snapshots(store: &Store, name: &Name, dir: &Path) -> Self {
        let command = format!("{} snapshot {name} delete all", command_for(store.lxcpath()));
        Self::Snapshots { dir: dir.display().to_string(), command }
    }

    /// Returns whether it is how things are, rather than a failure.
    pub(in crate::engine) const fn is_refusal(&self) -> bool {
        match self {
            Self::Unmanaged(_)
            | Self::Copied(_)
            | Self::Trashed { .. }
            | Self::Snapshots { .. } => true,
            Self::Hook { .. }
            | Self::Unlisted(_)
            | Self::Remove(_)
            | Self::Store(_)
            | Self::Seat(_)
            | Self::Forget(_) => false,
        }
    }
}

/// Removes `LXCPATH/NAME`, and the record of the container's last run. A root outside is not
/// touched.
pub(in crate::engine) fn remove(store: &Store, name: &Name) -> Result<(), RemovalError> {
    // It may hold snapshots of the container.
    remove_draft(store, name)?;
    if let Some(config) = check(store, name)? {
        run_hooks(&config, name)?;
    }
    remove_checked(store, name)
}

/// Removes its snapshots first, once nothing else keeps it.
pub(in crate::engine) fn remove_with_snapshots(
    store: &Store,
    name: &Name,
) -> Result<(), RemovalError> {
    remove_draft(store, name)?;
    check_replaceable(store, name)?;
    let kept = snaps::store_of(store, name);
    let names = snaps::names(&kept);
    let mut held = Vec::new();
    for it in &names {
        held.push((kept.lock(it)?, Seat::take(kept.lxcpath(), it)?));
        check(&kept, it)?;
    }
    if let Ok(config) = config::load(name, store.lxcpath(), None, &[]) {
        run_hooks(&config, name)?;
    }
    for it in &names {
        remove(&kept, it)?;
    }
    drop(held);
    // What is there without being a snapshot is not for it to remove.
    check_dependents(store, name)?;
    remove_checked(store, name)
}

fn remove_checked(store: &Store, name: &Name) -> Result<(), RemovalError> {
    let bases = dependents::bases(&store.dir(name));
    take_away(store, name)?;
    let own = Dependent::of(store, name);
    // Of one that stays listed, the next check sees that it is gone.
    for it in bases {
        _ = dependents::remove_copy(&it.dir(), &own);
    }
    let forgotten = record::forget(store.lxcpath(), name);
    event::publish(store.lxcpath(), name, What::Destroyed);
    forgotten.map_err(RemovalError::Forget)
}

/// Refuses what must not be removed, running or not; returns the configuration.
pub(in crate::engine) fn check(store: &Store, name: &Name) -> Result<Option<Config>, RemovalError> {
    check_dependents(store, name)?;
    // A configuration that cannot be read protects nothing: a broken container must be removable.
    let Ok(config) = config::load(name, store.lxcpath(), None, &[]) else { return Ok(None) };
    check_managed(&config, &store.dir(name))?;
    Ok(Some(config))
}

/// Refuses if the files in the container's directory must not be replaced: others use them, or the
/// configuration says so.
pub(in crate::engine) fn check_replaceable(store: &Store, name: &Name) -> Result<(), RemovalError> {
    check_copies(store, name)?;
    if let Some(mount) = mount_below(store.lxcpath(), name.as_str()) {
        return Err(RemoveError::Mount(mount).into());
    }
    match config::load(name, store.lxcpath(), None, &[]) {
        Ok(config) => check_managed(&config, &store.dir(name)),
        Err(_broken) => Ok(()),
    }
}

/// Refuses if the configuration says that the root inside `dir` must not be deleted.
pub(in crate::engine) fn check_managed(config: &Config, dir: &Path) -> Result<(), RemovalError> {
    if config.get("lxc.rootfs.managed").as_deref() != Some("0") {
        return Ok(());
    }
    match roots(config).into_iter().find(|it| lies_in(it, dir)) {
        Some(root) => Err(RemovalError::Unmanaged(root)),
        None => Ok(()),
    }
}

/// Lists the paths that the configuration names as its root, of whatever type that is.
pub(super) fn roots(config: &Config) -> Vec<PathBuf> {
    let written = config.written_root().unwrap_or_default();
    let Some((_, paths)) = written.split_once('/') else { return Vec::new() };
    paths.split(":/").map(|it| PathBuf::from(format!("/{it}"))).collect()
}

/// Returns whether there is something at `path`, and that is in `dir`.
fn lies_in(path: &Path, dir: &Path) -> bool {
    // The path may be written differently.
    let real = path.canonicalize().unwrap_or_else(|_missing| path.to_path_buf());
    path.symlink_metadata().is_ok() && (real.starts_with(dir) || path.starts_with(dir))
}

/// Lists the other containers of the lxcpath whose root is, in part, in the directory of `name`.
fn users(store: &Store, name: &Name) -> Vec<String> {
    let listed = fs::read_dir(store.lxcpath()).into_iter().flatten().flatten();
    let names = listed.filter_map(|it| it.file_name().to_str()?.parse::<Name>().ok());
    let users = names.filter(|it| it != name && uses(store, it, (store, name)));
    users.map(|it| it.to_string()).collect()
}

/// Lists those in the trash. Another of the same name speaks of its own directory.
fn trashed_users(store: &Store, name: &Name) -> Vec<String> {
    let trash = Trash::of(store);
    let ids = trash.list().unwrap_or_default().into_iter();
    let users =
        ids.filter(|it| it.name() != name && uses(&trash.store(it), it.name(), (store, name)));
    users.map(|it| it.to_string()).collect()
}

/// Returns whether the root of `other`, in `at`, is in part in the directory of `name`.
fn uses(at: &Store, other: &Name, (store, name): (&Store, &Name)) -> bool {
    // Most configurations do not speak of it, and need not be understood.
    let text = at.read_config(other).unwrap_or_default();
    let mentions = text.windows(name.as_str().len()).any(|it| it == name.as_str().as_bytes());
    let config = || config::load(other, at.lxcpath(), None, &[]).ok();
    let dir = store.dir(name);
    mentions && config().is_some_and(|it| roots(&it).iter().any(|it| lies_in(it, &dir)))
}

/// Refuses if others show this container's files, or it has snapshots.
pub(in crate::engine) fn check_dependents(store: &Store, name: &Name) -> Result<(), RemovalError> {
    check_copies(store, name)?;
    let kept = snaps::store_of(store, name);
    remove_drafts(&kept);
    if !snaps::names(&kept).is_empty() {
        return Err(RemovalError::snapshots(store, name, &kept.lxcpath().spelled()));
    }
    // What somebody else keeps there goes only with somebody's consent.
    let dir = store.dir(name).join(snaps::SNAPS);
    let gone = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    let stays = fs::remove_dir(&dir).is_err_and(|it| !gone.contains(&it.kind()));
    if stays { Err(RemovalError::snapshots(store, name, &dir)) } else { Ok(()) }
}

/// Refuses if there are copies that show this container's files.
fn check_copies(store: &Store, name: &Name) -> Result<(), RemovalError> {
    check_live_copies(store, name)?;
    let listed = dependents::listed_copies(&store.dir(name))?.into_iter();
    let trashed = listed.filter(|it| it.dir().exists());
    let mut trashed: Vec<String> = trashed.filter_map(|it| trash::id_in(&it.dir())).collect();
    if trashed.is_empty() {
        trashed = trashed_users(store, name);
    }
    if trashed.is_empty() { Ok(()) } else { Err(RemovalError::trashed(store, trashed.join(" "))) }
}

/// The same, where those in the trash do not count.
pub(in crate::engine) fn check_live_copies(store: &Store, name: &Name) -> Result<(), RemovalError> {
    let listed = dependents::listed_copies(&store.dir(name))?.into_iter();
    let copies = listed.filter_map(|it| {
        // One that was removed by hand is still listed.
        let there = it.dir();
        let counts = there.exists() && trash::id_in(&there).is_none();
        counts.then(|| shown(&there.to_string_lossy()).into_owned())
    });
    let mut copies: Vec<String> = copies.collect();
    if copies.is_empty() {
        copies = users(store, name);
    }
    if copies.is_empty() { Ok(()) } else { Err(RemovalError::Copied(copies.join(", "))) }
}

/// Runs what `lxc.hook.destroy` names, as LXC does: by the shell, with the container's name, `lxc`
/// and `destroy` as arguments. If one fails, the container is not destroyed.
pub(in crate::engine) fn run_hooks(config: &Config, name: &Name) -> Result<(), RemovalError> {
    let item = |key| config.get(key).unwrap_or_default();
    let file = config.file().to_string_lossy().into_owned();
    let environment = [
        ("LXC_NAME", name.to_string()),
        ("LXC_CONFIG_FILE", file),
        ("LXC_ROOTFS_PATH", item("lxc.rootfs.path")),
        ("LXC_HOOK_VERSION", item("lxc.hook.version")),
    ];
    let environment = environment.map(|(key, value)| (key.to_owned(), value)).to_vec();
    let by_arguments = item("lxc.hook.version") != "1";
    let hooks = Hooks { by_arguments, environment, ..Hooks::default() };
    for command in item("lxc.hook.destroy").lines() {
        let hook = Script::new(Section::Container, "destroy", command, name.as_str(), &hooks);
        hook.run_within(script::HOUR)
            .map_err(|error| RemovalError::Hook { hook: hook.to_string(), error })?;
    }
    Ok(())
}
