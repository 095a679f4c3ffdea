//! What a supervisor intends and knows, written before it acts, so that the next command can report
//! the truth and clean up at whatever moment the supervisor is killed.

mod draft;
pub(in crate::engine) mod last_words;
mod limits;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub(in crate::engine) use limits::{Limits, NoteError, SetLimit};

use crate::engine::cgroup::{GroupPath, PlannedGroups};
use crate::engine::entry::host_steps::HostStep;
use crate::engine::host::Host;
use crate::engine::host::identity::Identity;
use crate::engine::host::lxcpath::{self, Lxcpath, key_of};
use crate::engine::host::short::read_at_once;
use crate::engine::running::oom::OomKill;
use crate::engine::terms::exit::Exit;
use crate::engine::terms::name::Name;
use crate::engine::terms::state::State;

/// The modes of files and directories that only the owner may read.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// The extension of a record that is just being written.
const DRAFT: &str = "new";
/// The extension of the file on which a container's network is mounted.
const NETWORK: &str = "network";
/// The extension of the note of a checkpoint.
const SAVING: &str = "saving";
/// The largest record that is read; ours have a few hundred bytes, and more for each interface.
const MAX_BYTES: u64 = 1024 * 1024;

/// One run of a container, from the intent to start it on; kept after its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Record {
    pub name: Name,
    /// The directory itself, by its one path.
    #[serde(with = "lxcpath::written")]
    pub lxcpath: PathBuf,
    pub supervisor: Identity,
    pub init: Option<Identity>,
    /// Below the hierarchies' root, such as `/lxc.payload.web`; none before it is created.
    pub cgroup: Option<GroupPath>,
    /// Its inode in every hierarchy, which distinguishes it from a later group of the same name.
    #[serde(default)]
    pub cgroup_inodes: Vec<u64>,
    /// The supervisor's own group, such as `/lxc.monitor.web`.
    pub monitor_cgroup: Option<GroupPath>,
    #[serde(default)]
    pub monitor_inodes: Vec<u64>,
    /// Where both are to be; none: where they usually are.
    #[serde(default)]
    pub planned: Option<PlannedGroups>,
    pub state: State,
    /// When it entered `state`, in milliseconds since the epoch.
    pub since_ms: u64,
    /// When it entered RUNNING.
    pub started_ms: Option<u64>,
    /// When it is started again, while it waits for that because it keeps restarting itself.
    #[serde(default)]
    pub restart_ms: Option<u64>,
    /// How init ended; none while it runs, or if no supervisor saw it.
    pub exit: Option<Exit>,
    /// How many OOM kills there were in this run.
    #[serde(default)]
    pub oom_kills: u64,
    /// What is known of the last of them.
    #[serde(default)]
    pub oom_last: Option<OomKill>,
    /// Its memory limit when the run ended; none while it runs, or if there was none.
    #[serde(default)]
    pub memory_max_bytes: Option<u64>,
    /// Such a kill ended the run.
    #[serde(default)]
    pub died_of_memory: bool,
    /// Which process has the name by which LXC's tools look for it, if that is a stranger; in
    /// words.
    #[serde(default)]
    pub squatter: Option<String>,
    /// What was done on the host for it and is not undone yet, in order.
    #[serde(default)]
    pub host_steps: Vec<HostStep>,
    /// The files whose limits the kernel no longer has as wharf set them.
    #[serde(default)]
    pub lost_limits: Vec<String>,
    /// Why the loss of its limits would not be noticed, if they could not be recorded.
    #[serde(default)]
    pub limits_unwatched: Option<String>,
}

/// Returns the present time in the form of records and events.
pub(in crate::engine) fn now_ms() -> u64 {
    // A clock before 1970 counts as 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

impl Record {
    /// Begins a record of a run that this process will supervise.
    pub(in crate::engine) fn begin(lxcpath: &Lxcpath, name: &Name) -> Self {
        let pid = std::process::id() as i32;
        Self {
            name: name.clone(),
            lxcpath: lxcpath.to_path_buf(),
            supervisor: Identity::of(lxcpath.host(), pid)
                .unwrap_or(Identity { pid, start_time: 0 }),
            init: None,
            cgroup: None,
            cgroup_inodes: Vec::new(),
            monitor_cgroup: None,
            monitor_inodes: Vec::new(),
            planned: None,
            state: State::Starting,
            since_ms: now_ms(),
            started_ms: None,
            restart_ms: None,
            exit: None,
            oom_kills: 0,
            oom_last: None,
            memory_max_bytes: None,
            died_of_memory: false,
            squatter: None,
            host_steps: Vec::new(),
            lost_limits: Vec::new(),
            limits_unwatched: None,
        }
    }

    /// Resets what applies to only one run, before the same supervisor starts the next.
    pub(in crate::engine) fn forget_run(&mut self) {
        self.init = None;
        self.cgroup = None;
        self.cgroup_inodes = Vec::new();
        self.started_ms = None;
        self.restart_ms = None;
        self.exit = None;
        self.oom_kills = 0;
        self.oom_last = None;
        self.memory_max_bytes = None;
        self.died_of_memory = false;
    }

    /// Reads the record of the present or the last run; `None` when there is none that can be read.
    pub(in crate::engine) fn read(lxcpath: &Lxcpath, name: &Name) -> Option<Self> {
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
        let file = File::options()
            .read(true)
            .custom_flags(flags)
            .open(path(lxcpath.host(), lxcpath, name))
            .ok()?;
        let record: Self = serde_json::from_slice(&read_at_once(file, MAX_BYTES).ok()?).ok()?;
        // The directory is a hash of the lxcpath: two could share it.
        (record.lxcpath == lxcpath.dir() && record.name == *name).then_some(record)
    }

    /// Replaces the record in one step.
    pub(in crate::engine) fn write(&self, host: &Host) -> io::Result<()> {
        let path = path(host, &self.lxcpath, &self.name);
        draft::replace(&path, &draft_of(&path), &serde_json::to_vec(self)?)
    }

    /// Returns the path of the group in which the container's processes are.
    pub(in crate::engine) fn processes(&self) -> Option<GroupPath> {
        let limits = self.cgroup.as_ref()?;
        // Without groups there is none below one.
        let planned = self.planned.as_ref().filter(|_| !limits.is_empty());
        Some(planned.map_or_else(|| limits.clone(), |it| it.processes(limits)))
    }

    /// Returns whether the process that wrote this supervises the container now.
    pub(in crate::engine) fn is_live(&self, host: &Host) -> bool {
        self.state.is_active() && self.supervisor.lives(host)
    }

    /// Returns whether the process that wrote this has died without finishing it.
    pub(in crate::engine) fn is_orphaned(&self, host: &Host) -> bool {
        self.state.is_active() && !self.supervisor.lives(host)
    }
}

/// Where a record is written before it takes its place. One name is enough: a writer holds the
/// container's socket, or makes the record of a run that is over.
fn draft_of(path: &Path) -> PathBuf {
    path.with_extension(DRAFT)
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)
}

/// Removes what killed writers have left beside the records.
pub(in crate::engine) fn remove_drafts(lxcpath: &Lxcpath) {
    let dir = dir(lxcpath);
    for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let is_draft = |it: &str| {
            limits::of_draft(it).is_some() || it.rsplit_once('.').is_some_and(|it| it.1 == DRAFT)
        };
        if file.to_str().is_some_and(is_draft) {
            draft::remove_dead(&entry.path());
        }
    }
}

/// Removes the record: the container was destroyed. Fails if the record cannot be removed.
pub(in crate::engine) fn forget(lxcpath: &Lxcpath, name: &Name) -> io::Result<()> {
    let path = path(lxcpath.host(), lxcpath, name);
    remove_drafts(lxcpath);
    let saving = path.with_extension(SAVING);
    for file in [draft_of(&path), last_words::path(&path), limits::path(&path), saving, path] {
        match fs::remove_file(file) {
            // A missing record counts as removed.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => (),
        }
    }
    // Refused while there are others.
    _ = fs::remove_dir(dir(lxcpath));
    Ok(())
}

/// Removes what was recorded of the limits of a run: its groups are gone.
pub(in crate::engine) fn forget_limits(lxcpath: &Lxcpath, name: &Name) {
    // One that stays names groups that do not exist, and is ignored.
    _ = fs::remove_file(limits::path(&path(lxcpath.host(), lxcpath, name)));
}

/// Returns the directory of the records of one lxcpath.
pub(in crate::engine) fn dir(lxcpath: &Lxcpath) -> PathBuf {
    lxcpath.host().runtime_dir().join("run").join(lxcpath.key())
}

/// Returns where the network of a container is kept while it has something of the host's.
pub(in crate::engine) fn network_file(lxcpath: &Lxcpath, name: &Name) -> PathBuf {
    path(lxcpath.host(), lxcpath, name).with_extension(NETWORK)
}

/// Returns where a checkpoint that is being made is noted.
pub(in crate::engine) fn saving_file(lxcpath: &Lxcpath, name: &Name) -> PathBuf {
    path(lxcpath.host(), lxcpath, name).with_extension(SAVING)
}

/// Returns the container that `file` in such a directory belongs to.
pub(in crate::engine) fn of_file(file: &str) -> Option<Name> {
    if let Some((name, _pid)) = limits::of_draft(file) {
        return name.parse().ok();
    }
    let (name, kind) = file.rsplit_once('.')?;
    matches!(kind, "json" | DRAFT | NETWORK | SAVING | "console" | "limits")
        .then(|| name.parse().ok())?
}

fn path(host: &Host, lxcpath: &Path, name: &Name) -> PathBuf {
    host.runtime_dir().join(format!("run/{}/{name}.json", key_of(lxcpath)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        use std::os::unix::ffi::OsStrExt as _;
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"no text \xff"));
        let lxcpath = Lxcpath::open(&Host::keeping_in(dir.path()), &odd);
        let name: Name = "record-test".parse().unwrap();
        let mut record = Record::begin(&lxcpath, &name);
        record.exit = Some(Exit::Code(3));
        record.write(lxcpath.host()).unwrap();
        assert_eq!(Record::read(&lxcpath, &name), Some(record.clone()));
        assert!(!record.is_orphaned(lxcpath.host()));
        record.supervisor.start_time += 1;
        assert!(record.is_orphaned(lxcpath.host()));
        forget(&lxcpath, &name).unwrap();
        forget(&lxcpath, &name).unwrap();
        assert_eq!(Record::read(&lxcpath, &name), None);
    }
}
