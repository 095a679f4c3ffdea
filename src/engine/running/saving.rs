//! The call of CRIU that saves a container, noted beside the record of its run. A command that is killed
//! meanwhile can bound that call no more, nor let the container run on that a killed CRIU has left frozen
//! and without network: the next command does.

use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::engine::cgroup::{Cgroup, GroupPath, Hierarchies};
use crate::engine::entry::criu::network::OpenNetwork;
use crate::engine::entry::criu::{Criu, GRACE, files};
use crate::engine::host::Host;
use crate::engine::host::identity::{self, Identity};
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::record::{self, now_ms};
use crate::engine::terms::name::Name;

/// How long a container may take to thaw that CRIU has left frozen.
const THAWING: Duration = Duration::from_secs(5);
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The largest note that is read.
const MOST: u64 = 64 * 1024;

/// A container that is being saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Saving {
    /// None: it is about to run.
    pub(in crate::engine) criu: Option<Identity>,
    pub(in crate::engine) init: Identity,
    /// With its limits; by it CRIU freezes it.
    pub(in crate::engine) group: GroupPath,
    pub(in crate::engine) dir: PathBuf,
    /// It does not run on.
    pub(in crate::engine) stop: bool,
    /// When CRIU has had all its time, in milliseconds since the epoch.
    pub(in crate::engine) until_ms: u64,
}

impl Saving {
    /// Lets it run on after a call that failed or was killed, and leaves nothing of a checkpoint. CRIU
    /// has done so itself if it could.
    pub(in crate::engine) fn undo(&self, host: &Host, network: Option<&OpenNetwork>) {
        let hierarchies = Hierarchies::discover(host).unwrap_or_default();
        let cgroup = Cgroup::open(&hierarchies, &self.group);
        // Never another container's, which has the same name by now.
        if self.init.lives(host) && cgroup.thawed() == Some(false) {
            _ = cgroup.thaw(THAWING);
        }
        if let (Ok(criu), Some(network)) = (Criu::find(), network) {
            network.release(&criu);
        }
        files::remove_images(&self.dir);
    }
}

/// The note, which is this process's while it is open.
#[derive(Debug)]
pub(in crate::engine) struct SavingNote(File);

impl SavingNote {
    /// Takes it; none: a container is being saved.
    pub(in crate::engine) fn take(lxcpath: &Lxcpath, name: &Name) -> io::Result<Option<Self>> {
        let path = record::saving_file(lxcpath, name);
        // One that LXC has started has no record.
        let mut dirs = DirBuilder::new();
        dirs.recursive(true).mode(DIR_MODE).create(path.parent().unwrap_or(&path))?;
        Self::open(&path, true)
    }

    fn open(path: &Path, create: bool) -> io::Result<Option<Self>> {
        let mut options = File::options();
        let options = options.read(true).write(true).create(create).mode(FILE_MODE);
        let file = options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
        Ok(file.try_lock().is_ok().then_some(Self(file)))
    }

    fn read(&mut self) -> Option<Saving> {
        read(&self.0)
    }

    /// Notes what is done now.
    pub(in crate::engine) fn write(&mut self, saving: &Saving) -> io::Result<()> {
        self.clear()?;
        self.0.write_all(&serde_json::to_vec(saving)?)
    }

    /// Notes that nothing is left to do.
    pub(in crate::engine) fn clear(&mut self) -> io::Result<()> {
        self.0.set_len(0)?;
        self.0.rewind()
    }

    /// Ends what a killed command has left, unless that may still come to its end by itself. Returns
    /// whether it is over.
    pub(in crate::engine) fn settle(&mut self, host: &Host) -> bool {
        let Some(saving) = self.read() else { return true };
        let criu = saving.criu.and_then(|it| Some((it.pid, it.hold(host)?)));
        if criu.is_some() && now_ms() < saving.until_ms {
            return false;
        }
        let network = OpenNetwork::of(host, saving.init);
        if let Some((pid, pidfd)) = criu {
            // It leads a group of its own, which is that as long as it is held and has not ended.
            let group = Pid::from_raw(pid);
            _ = killpg(group, Signal::SIGTERM);
            if !identity::has_ended(pidfd.as_fd(), GRACE).unwrap_or(false) {
                _ = killpg(group, Signal::SIGKILL);
                _ = identity::has_ended(pidfd.as_fd(), GRACE);
            }
        }
        if !files::is_complete(&saving.dir) {
            saving.undo(host, network.as_ref());
        }
        // One that stays is settled again, which changes nothing.
        _ = self.clear();
        true
    }
}

fn read(file: &File) -> Option<Saving> {
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Settles what a killed command has left of a checkpoint of the container. Returns whether it is not
/// being saved.
pub(in crate::engine) fn settle_if_free(lxcpath: &Lxcpath, name: &Name) -> bool {
    match SavingNote::open(&record::saving_file(lxcpath, name), false) {
        Ok(note) => note.is_some_and(|mut it| it.settle(lxcpath.host())),
        Err(_) => true,
    }
}

/// Returns whether `init` was ended by CRIU, since its container was saved and is not to run on.
pub(in crate::engine) fn has_ended(lxcpath: &Lxcpath, name: &Name, init: Identity) -> bool {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let path = record::saving_file(lxcpath, name);
    let file = File::options().read(true).custom_flags(flags).open(path);
    let saving = file.ok().and_then(|it| read(&it));
    saving.is_some_and(|it| it.stop && it.init == init && files::is_complete(&it.dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_command_left_is_settled_by_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::keeping_in(dir.path());
        let path = dir.path().join("web.saving");
        let images = dir.path().join("images");
        std::fs::create_dir(&images).unwrap();
        std::fs::write(images.join("core-1.img"), "").unwrap();
        let me = Identity::of(&host, std::process::id() as i32).unwrap();
        let gone = Identity { start_time: me.start_time + 1, ..me };
        let (group, stop) = (GroupPath::Same("/none".to_owned()), true);
        let saving = Saving {
            criu: Some(me),
            init: gone,
            group,
            dir: images.clone(),
            stop,
            until_ms: u64::MAX,
        };
        let mut note = SavingNote::open(&path, true).unwrap().unwrap();
        note.write(&saving).unwrap();
        assert!(SavingNote::open(&path, true).unwrap().is_none());
        drop(note);
        // It runs, and has time.
        let mut note = SavingNote::open(&path, false).unwrap().unwrap();
        assert!(!note.settle(&host));
        assert!(images.join("core-1.img").exists());
        note.write(&Saving { criu: Some(gone), ..saving }).unwrap();
        drop(note);
        let mut note = SavingNote::open(&path, false).unwrap().unwrap();
        assert!(note.settle(&host));
        assert!(!images.join("core-1.img").exists());
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
