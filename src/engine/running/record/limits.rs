//! The limits that wharf has set in a run, from the configuration or by a command, kept beside its
//! record, so that lost limits can be recognised.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{MAX_BYTES, draft};
use crate::engine::cgroup::Cgroup;
use crate::engine::cgroup::knob::{self, KnobKind};
use crate::engine::host::Host;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::host::short::read_at_once;
use crate::engine::terms::error::words;
use crate::engine::terms::name::Name;
use crate::engine::terms::patience::Patience;

/// How long another writer may take: it writes one small file, so after ten seconds it hangs.
const WRITING: Duration = Duration::from_secs(10);

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum NoteError {
    #[error("the record of limits in {dir} is locked by {holder}; try again when it has ended")]
    Held { dir: PathBuf, holder: String },
    #[error("the record of limits cannot be written: {}", words(.0))]
    Io(#[from] io::Error),
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct SetLimit {
    pub(in crate::engine) file: String,
    /// The value as requested.
    pub(in crate::engine) set: String,
    /// As the kernel kept it; none: it is just being set.
    pub(in crate::engine) kept: Option<String>,
}

/// All of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Limits {
    /// They belong to this group and not to a later one with its name.
    inodes: Vec<u64>,
    set: Vec<SetLimit>,
}

impl Limits {
    /// None are set in `cgroup` so far.
    pub(in crate::engine) fn of(cgroup: &Cgroup) -> Self {
        Self { inodes: cgroup.inodes(), set: Vec::new() }
    }

    /// Reads what was set in `cgroup`. A missing file, or one of another version, counts as empty.
    pub(in crate::engine) fn read(
        lxcpath: &Lxcpath,
        name: &Name,
        cgroup: &Cgroup,
    ) -> io::Result<Self> {
        let none = Self::of(cgroup);
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
        let path = path(&super::path(lxcpath.host(), lxcpath, name));
        let file = match File::options().read(true).custom_flags(flags).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(none),
            opened => opened?,
        };
        let bytes = read_at_once(file, MAX_BYTES)?;
        let read = serde_json::from_slice::<Self>(&bytes).ok();
        Ok(read.filter(|it| it.inodes == none.inodes).unwrap_or(none))
    }

    /// Changes what is recorded for `cgroup`. Other writers wait meanwhile, so that none overwrites
    /// what another has recorded, but not for one that hangs.
    pub(in crate::engine) fn change(
        lxcpath: &Lxcpath,
        name: &Name,
        cgroup: &Cgroup,
        change: impl FnOnce(&mut Self),
    ) -> Result<(), NoteError> {
        let dir = super::dir(lxcpath);
        let _lock = match lock(lxcpath.host(), &dir, WRITING) {
            Err(NoteError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                super::make_dir(&dir)?;
                lock(lxcpath.host(), &dir, WRITING)?
            }
            locked => locked?,
        };
        let before = Self::read(lxcpath, name, cgroup)?;
        let mut limits = before.clone();
        change(&mut limits);
        if limits == before { Ok(()) } else { Ok(limits.write(lxcpath, name)?) }
    }

    /// Replaces the file in one step.
    fn write(&self, lxcpath: &Lxcpath, name: &Name) -> io::Result<()> {
        let path = path(&super::path(lxcpath.host(), lxcpath, name));
        let draft = path.with_extension(format!("limits.{}", std::process::id()));
        draft::replace(&path, &draft, &serde_json::to_vec(self)?)
    }

    /// Lists them.
    pub(in crate::engine) fn each(&self) -> impl Iterator<Item = &SetLimit> {
        self.set.iter()
    }

    /// Records that `file` is about to be `set`; returns what was recorded for it before.
    pub(in crate::engine) fn begin(&mut self, file: &str, set: &str) -> Option<SetLimit> {
        let before = self.position(file, set).map(|at| self.set.remove(at));
        if knob::of(file).stays {
            let (file, set) = (file.to_owned(), set.to_owned());
            self.set.push(SetLimit { file, set, kept: None });
        }
        before
    }

    /// Records the value that the kernel kept. A removed limit is recorded as well: the
    /// configuration may still have it.
    pub(in crate::engine) fn finish(&mut self, cgroup: &Cgroup, file: &str, set: &str) {
        if let Some(limit) = self.position(file, set).and_then(|at| self.set.get_mut(at))
            && limit.set == set
        {
            limit.kept = held(cgroup, limit);
        }
    }

    /// Records that setting it has failed: the entry from `before` applies again.
    pub(in crate::engine) fn undo(&mut self, file: &str, set: &str, before: Option<SetLimit>) {
        if let Some(at) = self.position(file, set)
            && self.set.get(at).is_some_and(|it| it.set == set && it.kept.is_none())
        {
            self.set.remove(at);
            self.set.extend(before);
        }
    }

    /// Finds the entry that is about the same as `file` set to `set`.
    fn position(&self, file: &str, set: &str) -> Option<usize> {
        let subject = subject(file, set);
        self.set.iter().position(|it| it.file == file && self::subject(file, &it.set) == subject)
    }

    /// Returns those that the kernel no longer has.
    pub(in crate::engine) fn lost(&self, cgroup: &Cgroup) -> Vec<SetLimit> {
        let is_lost = |it: &&SetLimit| {
            it.kept.as_ref().is_some_and(|kept| !is_normal(&it.file, kept))
                && held(cgroup, it) != it.kept
        };
        self.set.iter().filter(is_lost).cloned().collect()
    }

    /// Returns those of LXC's lines `lxc.cgroup2.FILE = VALUE` that the kernel no longer has,
    /// unless they were changed through wharf. LXC's own tools may have set another value.
    pub(in crate::engine) fn vanished(&self, configured: &str, cgroup: &Cgroup) -> Vec<SetLimit> {
        // Of two lines for one file the last one counts.
        let mut wanted = Self::default();
        for line in configured.lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            if let Some(file) = key.trim().strip_prefix(CONFIGURED) {
                wanted.begin(file, value.trim());
            }
        }
        wanted.set.retain(|it| {
            let file = it.file.as_str();
            let held = || held(cgroup, it).is_none_or(|held| is_normal(file, &held));
            !is_normal(file, &it.set) && self.position(file, &it.set).is_none() && held()
        });
        wanted.set
    }
}

/// Locks the directory, until the file is dropped.
fn lock(host: &Host, dir: &Path, wait: Duration) -> Result<File, NoteError> {
    let file = File::open(dir)?;
    let mut patience = Patience::until(Instant::now() + wait);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if patience.again() => (),
            Err(TryLockError::WouldBlock) => {
                let holder = holder(host, &file).unwrap_or_else(|| "another process".to_owned());
                return Err(NoteError::Held { dir: dir.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

/// Returns which process has locked the file, if the kernel's list of locks shows it.
fn holder(host: &Host, file: &File) -> Option<String> {
    let found = file.metadata().ok()?;
    let (major, minor) = (libc::major(found.dev()), libc::minor(found.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", found.ino());
    let locks = fs::read_to_string(host.proc().join("locks")).ok()?;
    let mut held = locks.lines().map(|it| it.split_whitespace().collect::<Vec<_>>());
    let pid = held.find_map(|words| match words.as_slice() {
        [_, "FLOCK", _, _, pid, at, ..] if *at == place => pid.parse::<i32>().ok(),
        _ => None,
    })?;
    // Of a process in another pid namespace it shows no pid.
    (pid > 0).then(|| format!("process {pid}"))
}

/// The prefix of the keys of limits that can be lost with their controller.
const CONFIGURED: &str = "lxc.cgroup2.";

/// Returns what the kernel has in the file now, or only the device's line of it.
fn held(cgroup: &Cgroup, limit: &SetLimit) -> Option<String> {
    let content = cgroup.get(&limit.file).ok()?;
    match subject(&limit.file, &limit.set) {
        Some(device) => {
            let line = content.lines().find(|it| it.split(' ').next() == Some(device))?;
            Some(line.trim().to_owned())
        }
        None => Some(content.trim().to_owned()),
    }
}

/// Returns the device that a value is about, in files with a line for each.
fn subject<'a>(file: &str, set: &'a str) -> Option<&'a str> {
    let by_device = knob::of(file).value == KnobKind::Devices;
    set.split_whitespace().next().filter(|_| by_device)
}

/// Returns whether it is the default of the file: no limit, which cannot be lost.
fn is_normal(file: &str, kept: &str) -> bool {
    let mut words = kept.split_whitespace();
    let first = words.next();
    match knob::of(file).value {
        KnobKind::Weight { normal, .. } => first == Some(&normal.to_string()),
        // The values after the device.
        KnobKind::Devices => words.all(|it| it.ends_with("=max")),
        KnobKind::Bytes
        | KnobKind::Quota
        | KnobKind::QuotaUs
        | KnobKind::Count
        | KnobKind::List
        | KnobKind::Other => {
            matches!(first, None | Some("max" | "-1"))
        }
    }
}

/// Returns the place beside the `record`.
pub(super) fn path(record: &Path) -> PathBuf {
    record.with_extension("limits")
}

/// Splits the name of a draft into the container's and the pid of its writer.
pub(super) fn of_draft(file: &str) -> Option<(&str, &str)> {
    let (rest, pid) = file.rsplit_once('.')?;
    let is_pid = !pid.is_empty() && pid.bytes().all(|it| it.is_ascii_digit());
    is_pid.then(|| rest.strip_suffix(".limits")).flatten().map(|name| (name, pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_names_the_container_and_its_writer() {
        assert_eq!(of_draft("a.b.limits.8"), Some(("a.b", "8")));
        assert_eq!(of_draft("a.limits.").or_else(|| of_draft("a.json")), None);
        assert_eq!(of_draft("a.b.limits.x").or_else(|| of_draft("a.b.limits")), None);
    }

    #[test]
    fn a_writer_that_hangs_is_named_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::keeping_in(dir.path());
        let first = lock(&host, dir.path(), Duration::ZERO).unwrap();
        let error = lock(&host, dir.path(), Duration::from_millis(20)).unwrap_err().to_string();
        let holder = format!("is locked by process {};", std::process::id());
        assert!(error.contains(&holder), "{error}");
        drop(first);
        lock(&host, dir.path(), Duration::ZERO).unwrap();
    }

    #[test]
    fn concurrent_entries_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        let lxcpath = Lxcpath::open(&Host::keeping_in(dir.path()), dir.path());
        let name: Name = "web".parse().unwrap();
        let cgroup = Cgroup::open(&crate::engine::cgroup::Hierarchies::default(), &"/web".into());
        let note = |writer: usize, number: usize| {
            let set = format!("{writer}:{number} rbps=1");
            Limits::change(&lxcpath, &name, &cgroup, |it| _ = it.begin("io.max", &set)).unwrap();
        };
        let note = &note;
        std::thread::scope(|scope| {
            for writer in 0..4 {
                scope.spawn(move || (0..50).for_each(|number| note(writer, number)));
            }
        });
        assert_eq!(Limits::read(&lxcpath, &name, &cgroup).unwrap().set.len(), 200);
    }

    #[test]
    fn what_lxc_has_set_and_the_kernel_has_not_is_lost_unless_wharf_lifted_it() {
        let cgroup = Cgroup::open(&crate::engine::cgroup::Hierarchies::default(), &"/web".into());
        let configured = "lxc.cgroup2.memory.max = 64M\nlxc.cgroup2.memory.max = 65M\n\
                          lxc.cgroup2.devices.deny = a\nlxc.cgroup2.cpu.weight = 100\n\
                          lxc.cgroup2.pids.max = 7\nlxc.cgroup2.pids.max = max\n\
                          lxc.cgroup2.cpu.max = 1 2\n";
        let mut limits = Limits::default();
        let lost = |limits: &Limits| -> Vec<String> {
            limits.vanished(configured, &cgroup).into_iter().map(|it| it.set).collect()
        };
        assert_eq!(lost(&limits), ["65M", "1 2"]);
        limits.begin("cpu.max", "max");
        limits.finish(&cgroup, "cpu.max", "max");
        assert_eq!(lost(&limits), ["65M"]);
    }

    #[test]
    fn a_failed_change_keeps_the_old_entry() {
        let mut limits = Limits::default();
        limits.begin("pids.max", "7");
        let before = limits.begin("pids.max", "nonsense");
        assert_eq!(before.as_ref().map(|it| it.set.as_str()), Some("7"));
        limits.undo("pids.max", "nonsense", before);
        assert_eq!(limits.set.len(), 1);
        assert_eq!(limits.set[0].set, "7");
    }

    #[test]
    fn a_value_replaces_the_one_before_and_a_device_has_its_own() {
        let mut limits = Limits::default();
        for (file, set) in [
            ("memory.max", "64M"),
            ("io.max", "8:0 rbps=1"),
            ("io.max", "8:16 rbps=1"),
            ("memory.max", "65M"),
            ("io.max", "8:0 rbps=2"),
            ("memory.reclaim", "1M"),
        ] {
            limits.begin(file, set);
        }
        let set: Vec<_> = limits.set.iter().map(|it| it.set.as_str()).collect();
        assert_eq!(set, ["8:16 rbps=1", "65M", "8:0 rbps=2"]);
        for (file, value, normal) in [
            ("cpu.max", "max 100000", true),
            ("cpu.cfs_quota_us", "-1", true),
            ("cpuset.cpus", "", true),
            ("pids.max", "0", false),
            ("cpu.weight", "100", true),
            ("cpu.weight", "50", false),
            ("io.max", "8:0 rbps=max wbps=max", true),
            ("io.max", "8:0 rbps=1 wbps=max", false),
        ] {
            assert_eq!(is_normal(file, value), normal, "{file} {value}");
        }
    }
}
