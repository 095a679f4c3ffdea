//! The lxcpath on disk: finding, reading, locking and atomically replacing containers' files.
//!
//! Never follows a link where it writes or removes, and never crosses a mount.

pub(in crate::engine) mod dependents;
mod give_back;
mod lock;
mod remove;
mod replace;
pub(in crate::engine) mod size;
mod small;
pub(in crate::engine) mod snaps;
mod take_away;
pub(in crate::engine) mod trash;
mod upper;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(in crate::engine) use give_back::mark_successor;
pub(in crate::engine) use lock::Lock;
pub(in crate::engine) use remove::IN_DRAFT;
pub(in crate::engine) use remove::{RemoveError, remove_tree};
pub(in crate::engine) use small::{regular_file, small_file};
use take_away::remove_dir_at;
pub(in crate::engine) use take_away::{
    has_draft, mount_below, remove_below, remove_dir, remove_draft, remove_drafts, take_away,
};
pub(in crate::engine) use upper::{UpperClaim, claim_upper, tidy_uppers};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::engine::config::Document;
use crate::engine::host::HostError;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::terms::error::words;
use crate::engine::terms::name::Name;
use crate::engine::terms::patience::Patience;

/// The system's file, whose `lxc.lxcpath` may move the containers.
const SYSTEM_CONFIG: &str = "/etc/lxc/lxc.conf";
const SYSTEM_LXCPATH: &str = "/var/lib/lxc";

/// The directories of the locks of commands and of supervisors, in the runtime directory.
const COMMAND_LOCK: &str = "lock";
const SEAT_LOCK: &str = "seat";
pub(super) const LOCKS: [&str; 2] = [COMMAND_LOCK, SEAT_LOCK];

/// How long a command waits for another one, which may be only cleaning up.
const CLEANING: Duration = Duration::from_secs(3);

/// Why a file of the store could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("another command is working on container `{0}`; try again when it is done")]
    Busy(Name),
    #[error("lock {path}: {}", words(source))]
    Lock { path: PathBuf, source: io::Error },
    #[error("read {path}: {}", words(source))]
    Read { path: PathBuf, source: io::Error },
    #[error("write {path}: {}", words(source))]
    Write { path: PathBuf, source: io::Error },
    #[error("{} is a link; change the file that it points to", .0.display())]
    Link(PathBuf),
    #[error(transparent)]
    Host(#[from] HostError),
}

/// The containers in one lxcpath.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Store {
    lxcpath: Lxcpath,
}

impl Store {
    /// Uses the containers in `lxcpath`, which need not exist.
    pub(in crate::engine) fn new(lxcpath: &Lxcpath) -> Self {
        Self { lxcpath: lxcpath.clone() }
    }

    /// Returns the directory that holds the containers.
    pub(in crate::engine) const fn lxcpath(&self) -> &Lxcpath {
        &self.lxcpath
    }

    /// Returns the container's own directory.
    pub(in crate::engine) fn dir(&self, name: &Name) -> PathBuf {
        self.lxcpath.join(name.as_str())
    }

    /// Returns the same directory below the lxcpath as it was given, for files.
    pub(in crate::engine) fn spelled(&self, name: &Name) -> PathBuf {
        self.lxcpath.spelled().join(name.as_str())
    }

    /// Returns the path of the container's configuration.
    pub(in crate::engine) fn config_path(&self, name: &Name) -> PathBuf {
        self.dir(name).join("config")
    }

    /// Returns the path of the file that marks a container as being made (LXC's convention).
    pub(super) fn partial_path(&self, name: &Name) -> PathBuf {
        self.dir(name).join(remove::PARTIAL)
    }

    /// Returns whether LXC's `lxc-create` is making the container: it holds a lock of the file that
    /// marks it as incomplete. One that was killed has left the file alone.
    pub(in crate::engine) fn is_being_made(&self, name: &Name) -> bool {
        let mut options = std::fs::OpenOptions::new();
        let Ok(file) = options.read(true).write(true).open(self.partial_path(name)) else {
            return false;
        };
        let lock = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        let taken = fcntl(&file, FcntlArg::F_OFD_SETLK(&lock));
        matches!(taken, Err(Errno::EAGAIN | Errno::EACCES))
    }

    /// Returns whether the container is defined: its configuration exists, and is complete.
    pub(in crate::engine) fn exists(&self, name: &Name) -> bool {
        self.config_path(name).is_file() && !self.partial_path(name).exists()
    }

    /// Locks the container for one command, until the lock is dropped. Waits for one that only
    /// cleans up, but not until a long command has ended.
    pub(in crate::engine) fn lock(&self, name: &Name) -> Result<Lock, StoreError> {
        let mut patience = Patience::until(Instant::now() + CLEANING);
        loop {
            match self.try_lock(name) {
                Err(StoreError::Busy(_)) if patience.again() => (),
                taken => return taken,
            }
        }
    }

    /// The same for a configuration that is no container's; none if another command has it for long.
    pub(in crate::engine) fn lock_file(&self, file: &Path) -> Result<Option<Lock>, StoreError> {
        let mut patience = Patience::until(Instant::now() + CLEANING);
        loop {
            match lock::take_of_file(COMMAND_LOCK, self.lxcpath.host(), file)? {
                None if patience.again() => (),
                taken => return Ok(taken),
            }
        }
    }

    /// Returns the container whose own configuration is at `path`, however that is spelled.
    pub(in crate::engine) fn container_of(&self, path: &Path) -> Option<Name> {
        let (dir, file) = (path.parent()?.canonicalize().ok()?, path.file_name()?);
        let name: Name = dir.file_name()?.to_str()?.parse().ok()?;
        let own = self.config_path(&name);
        let is_own = own.file_name() == Some(file) && own.parent()?.canonicalize().ok()? == dir;
        is_own.then_some(name)
    }

    /// The same without a wait, for a clean-up.
    pub(in crate::engine) fn try_lock(&self, name: &Name) -> Result<Lock, StoreError> {
        lock::take(COMMAND_LOCK, &self.lxcpath, name)
    }

    /// Removes the lock's file if a command that was killed has left it.
    pub(in crate::engine) fn tidy_lock(&self, name: &Name) {
        if lock::path(COMMAND_LOCK, &self.lxcpath, name).symlink_metadata().is_ok() {
            _ = self.try_lock(name);
        }
    }

    /// Removes the locks of killed commands, whatever became of what they were for.
    pub(in crate::engine) fn tidy_locks(&self) {
        let dir = self.lxcpath.host().runtime_dir().join(COMMAND_LOCK);
        let of_here = format!("{}-", self.lxcpath.key());
        let is_of_here = |it: &std::fs::DirEntry| {
            it.file_name().to_str().is_some_and(|it| it.starts_with(&of_here))
        };
        let locks = std::fs::read_dir(dir).into_iter().flatten().flatten().filter(is_of_here);
        // Dropping one removes its file.
        locks.for_each(|it| drop(lock::lock(&it.path())));
    }

    /// Returns whether writers of its files have left something, or are at it.
    pub(in crate::engine) fn has_drafts(&self, name: &Name) -> bool {
        let [bases, copies] = dependents::FILES;
        replace::has_drafts(&self.dir(name), &["config", bases, copies])
    }

    /// Removes what killed writers of its files have left, unless one is active.
    pub(in crate::engine) fn tidy(&self, name: &Name) {
        let dir = self.dir(name);
        let config = self.config_path(name);
        // Other commands wait while the lock is held, so it is taken only if there is something to
        // remove.
        if (self.has_drafts(name) || dependents::lists_what_is_gone(&dir, &self.lxcpath))
            && let Ok(_lock) = self.try_lock(name)
        {
            replace::remove_drafts(&config);
            // Commands for its copies write the lists without the lock of this one.
            _ = dependents::remove_drafts(&dir);
            // What stays listed is found the next time.
            _ = dependents::forget_what_is_gone(&dir, &self.lxcpath);
        }
    }

    /// Reads the container's configuration.
    pub(in crate::engine) fn read_config(&self, name: &Name) -> Result<Vec<u8>, StoreError> {
        let path = self.config_path(name);
        regular_file(&path).map_err(|source| StoreError::Read { path, source })
    }

    /// Replaces the container's configuration with `content`.
    pub(in crate::engine) fn replace_config(
        &self,
        name: &Name,
        content: &[u8],
    ) -> Result<(), StoreError> {
        self.replace_file(&self.config_path(name), content)
    }

    #[expect(
        clippy::unused_self,
        reason = "it is the store's way of writing, wherever the path is"
    )]
    /// Replaces a configuration with `content` in one step; its owner and mode stay. A link is not
    /// replaced: its target may belong to others too.
    pub(in crate::engine) fn replace_file(
        &self,
        path: &Path,
        content: &[u8],
    ) -> Result<(), StoreError> {
        let path = path.to_path_buf();
        let old = match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_symlink() => return Err(StoreError::Link(path)),
            Ok(meta) => meta,
            Err(source) => return Err(StoreError::Read { path, source }),
        };
        replace::write_like(&path, content, &old)
            .map_err(|source| StoreError::Write { path, source })
    }

    #[expect(
        clippy::unused_self,
        reason = "it is the store's way of writing, wherever the path is"
    )]
    /// Writes `content` to `to`, with the owner and the mode of the file at `path`.
    pub(in crate::engine) fn copy_like(
        &self,
        path: &Path,
        to: &Path,
        content: &[u8],
    ) -> Result<(), StoreError> {
        let old = std::fs::metadata(path);
        let old = old.map_err(|source| StoreError::Read { path: path.to_path_buf(), source })?;
        replace::write_like(to, content, &old)
            .map_err(|source| StoreError::Write { path: to.to_path_buf(), source })
    }

    #[expect(
        clippy::unused_self,
        reason = "it is the store's way of writing, wherever the path is"
    )]
    /// Writes `bytes` to `path` in one step: a reader sees the old content or the new.
    pub(in crate::engine) fn write_atomic(
        &self,
        path: &Path,
        bytes: &[u8],
        mode: u32,
    ) -> Result<(), StoreError> {
        replace::write_atomic(path, bytes, mode)
            .map_err(|source| StoreError::Write { path: path.to_path_buf(), source })
    }
}

/// Takes the lock of the container's supervisor. Does not wait.
pub(super) fn seat_lock(lxcpath: &Lxcpath, name: &Name) -> Result<Lock, StoreError> {
    lock::take(SEAT_LOCK, lxcpath, name)
}

/// Returns the file that is locked for it.
pub(super) fn seat_lock_path(lxcpath: &Lxcpath, name: &Name) -> PathBuf {
    lock::path(SEAT_LOCK, lxcpath, name)
}

/// Returns the name of the draft directory, in which a container is created before it is moved into
/// place, and removed after it was moved away. The container's lock is held while that directory is
/// created or removed.
pub(super) fn draft_name(name: &Name) -> String {
    format!(".{name}.new")
}

/// Returns which container's draft the directory `file` of the lxcpath is. A container of LXC's may
/// have such a name; it has a configuration, which a draft has one level deeper.
pub(super) fn drafted(lxcpath: &Lxcpath, file: &str) -> Option<Name> {
    let name = file.strip_prefix('.')?.strip_suffix(".new")?.parse().ok()?;
    let config = lxcpath.join(file).join("config").symlink_metadata();
    config.is_err_and(|it| it.kind() == io::ErrorKind::NotFound).then_some(name)
}

/// Returns the lxcpath to use when none was given.
pub(in crate::engine) fn default_lxcpath() -> PathBuf {
    let root = nix::unistd::geteuid().is_root();
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let (config, fallback) = if root {
        (PathBuf::from(SYSTEM_CONFIG), PathBuf::from(SYSTEM_LXCPATH))
    } else {
        (home.join(".config/lxc/lxc.conf"), home.join(".local/share/lxc"))
    };
    configured_lxcpath(&config).unwrap_or(fallback)
}

/// Says that a container is not there, in the same words whatever was to be done with it.
pub(in crate::engine) fn no_such(lxcpath: &Lxcpath) -> String {
    let (path, wharf) = (lxcpath.display(), command_for(lxcpath));
    format!("there is no such container in {path}; `{wharf} ls` lists them")
}

/// Returns how a command line for the containers in `lxcpath` begins, for advice.
pub(in crate::engine) fn command_for(lxcpath: &Lxcpath) -> String {
    if Lxcpath::open(lxcpath.host(), &default_lxcpath()) == *lxcpath {
        return "wharf".to_owned();
    }
    let path = lxcpath.spelled().to_string_lossy().into_owned();
    let is_plain = |it: char| it.is_alphanumeric() || "/._-+:@".contains(it);
    if path.chars().all(is_plain) {
        format!("wharf -P {path}")
    } else {
        format!("wharf -P '{}'", path.replace('\'', "'\\''"))
    }
}

fn configured_lxcpath(config: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(config).ok()?;
    let document = Document::parse(&text);
    let last = document.values("lxc.lxcpath").last()?;
    last.starts_with('/').then(|| PathBuf::from(last))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::engine::Host;

    #[test]
    fn only_directories_with_a_config_and_a_valid_name_are_containers() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(&Lxcpath::open(&Host::keeping_in(dir.path()), dir.path()));
        for name in ["web", "a.b", "-x", ".hidden", "no-config", "ü", "half-made"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            if name != "no-config" {
                fs::write(dir.path().join(name).join("config"), "").unwrap();
            }
        }
        fs::write(dir.path().join("file"), "").unwrap();
        fs::write(dir.path().join("half-made/partial"), "").unwrap();
        let defined = |name: &str| name.parse().is_ok_and(|it| store.exists(&it));
        assert!(defined("a.b") && defined("web"));
        for name in ["-x", ".hidden", "no-config", "ü", "half-made", "file", "none"] {
            assert!(!defined(name), "{name}");
        }
    }

    #[test]
    fn who_tidies_up_where_nothing_is_left_refuses_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(&Lxcpath::open(&Host::keeping_in(dir.path()), dir.path()));
        let name: Name = "web".parse().unwrap();
        fs::create_dir(store.dir(&name)).unwrap();
        let tidy = || (0..2000).for_each(|_| store.tidy(&name));
        std::thread::scope(|scope| {
            let tidying = scope.spawn(tidy);
            let locks = std::iter::repeat_with(|| store.try_lock(&name).is_ok());
            assert!(locks.take_while(|_| !tidying.is_finished()).all(|it| it));
        });
        let draft = store.dir(&name).join(".config.4242.0");
        fs::write(&draft, "half").unwrap();
        store.tidy(&name);
        assert!(!draft.exists());
    }

    #[test]
    fn a_command_waits_for_one_that_only_cleans_up() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(&Lxcpath::open(&Host::keeping_in(dir.path()), dir.path()));
        let name: Name = "web".parse().unwrap();
        let waits = |tries: &std::sync::mpsc::SyncSender<()>| {
            tries.send(()).unwrap();
            store.lock(&name).is_ok()
        };
        for _ in 0..100 {
            let cleaning = store.try_lock(&name).unwrap();
            let (tries, tried) = std::sync::mpsc::sync_channel(1);
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| waits(&tries));
                tried.recv().unwrap();
                drop(cleaning);
                assert!(waiting.join().unwrap());
            });
        }
    }

    #[test]
    fn the_system_file_moves_the_lxcpath() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("lxc.conf");
        fs::write(&file, "# x\nlxc.lxcpath = /srv/lxc\n").unwrap();
        assert_eq!(configured_lxcpath(&file), Some(PathBuf::from("/srv/lxc")));
        assert_eq!(configured_lxcpath(&dir.path().join("none")), None);
    }
}
