//! The machine: its load, and what this process is not permitted to do on it.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use nix::unistd::{AccessFlags, access, geteuid};

use super::aside::Aside;
use super::counters::some;
use super::files::{CachedFile, Files};
use super::rates::per_second;
use crate::engine::cgroup::Hierarchies;
use crate::engine::host::subids::{self, SubIds};
use crate::engine::running::delegation;
use crate::engine::seen::sample::{Ability, HostSample, Lack, Psi};

/// Reads the host's files below `proc`, which are another program's (lxcfs) where the host is
/// itself a container.
#[derive(Debug)]
pub(super) struct HostReader {
    /// None: it was not asked for yet.
    hostname: Option<String>,
    file: PathBuf,
    load: Arc<Mutex<Load>>,
    read: Aside<(), HostSample>,
}

impl HostReader {
    pub(super) fn new(proc: &Path) -> Self {
        let load = Arc::new(Mutex::new(Load::new(proc)));
        let file = proc.join("sys/kernel/hostname");
        Self { hostname: None, file, load, read: Aside::new() }
    }

    /// Reads the machine's load, which is unknown while that takes too long.
    pub(super) fn read(&mut self) -> HostSample {
        let load = Arc::clone(&self.load);
        let read = move || load.lock().unwrap_or_else(PoisonError::into_inner).read();
        let host = self.read.ask((), read).unwrap_or_default();
        let read = || std::fs::read_to_string(&self.file).unwrap_or_default().trim_end().to_owned();
        let hostname = self.hostname.get_or_insert_with(read).clone();
        HostSample { hostname, ..host }
    }
}

#[derive(Debug)]
struct Load {
    files: Files,
    stat: CachedFile,
    memory: CachedFile,
    /// Of processors, memory and devices.
    pressure: [CachedFile; 3],
    ticks_per_second: u64,
    /// Busy ticks of all processors together, and when they were read.
    before: Option<(u64, Instant)>,
}

impl Load {
    fn new(proc: &Path) -> Self {
        let kept = |name: &str| CachedFile::new(proc.join(name));
        Self {
            files: Files::new(),
            stat: kept("stat"),
            memory: kept("meminfo"),
            pressure: ["cpu", "memory", "io"].map(|it| kept(&format!("pressure/{it}"))),
            ticks_per_second: procfs::ticks_per_second().max(1),
            before: None,
        }
    }

    fn read(&mut self) -> HostSample {
        let files = &mut self.files;
        let stat = files.read(&mut self.stat).unwrap_or_default();
        let (cpus, busy) = (cpus(stat), busy_ticks(stat));
        let memory = files.read(&mut self.memory).unwrap_or_default();
        let total = kib(memory, "MemTotal:");
        let available = kib(memory, "MemAvailable:");
        let [cpu, memory, io] = self.pressure.each_mut().map(|it| files.read(it).and_then(some));
        HostSample {
            cpus,
            cpu_used: self.cpu_used(busy),
            memory_bytes: total,
            memory_used_bytes: total.zip(available).map(|(all, free)| all.saturating_sub(free)),
            psi: Psi { cpu, memory, io },
            ..HostSample::default()
        }
    }

    fn cpu_used(&mut self, busy: Option<u64>) -> Option<f32> {
        let now = (busy?, Instant::now());
        let before = self.before.replace(now)?;
        let ticks = per_second(before.0, now.0, now.1 - before.1)?;
        Some((ticks / self.ticks_per_second as f64) as f32)
    }
}

/// Returns what this process may not do here.
pub(super) fn lacks(proc: &Path, lxcpath: &Path, hierarchies: &Hierarchies) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let mut lack = |of, why: String| lacks.push(Lack { of, why });
    let status = std::fs::read_to_string(proc.join("self/status")).unwrap_or_default();
    let effective = status.lines().find_map(|it| it.strip_prefix("CapEff:"));
    let effective = effective.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
    let existing = lxcpath.ancestors().find(|it| it.exists());
    let same_user =
        existing.and_then(|it| it.metadata().ok()).is_some_and(|it| it.uid() == geteuid().as_raw());
    // Users can act on their own containers without any capability.
    let own = same_user && !geteuid().is_root();
    for (bit, name, of, loss) in CAPABILITIES {
        let needed = !(own || same_user && of == Ability::Others);
        if needed && effective.is_some_and(|it| it & (1 << bit) == 0) {
            lack(of, format!("{loss}: this process has no {name}"));
        }
    }
    if let Some(why) = Some(()).filter(|()| own).and_then(|()| without_users(proc)) {
        lack(Ability::Enter, format!("cannot start containers or attach to them: {why}"));
    }
    if hierarchies.iter().next().is_none() {
        lack(
            if own { Ability::Limits } else { Ability::Groups },
            "cannot limit or measure containers: no cgroup file system is mounted".into(),
        );
    } else if own && !delegation::is_to_be_had(hierarchies) {
        // Those without limits start in the group of this process.
        lack(Ability::Limits, UNDELEGATED.into());
    } else if !own && !hierarchies.iter().any(|it| writable(&it.base)) {
        lack(
            Ability::Groups,
            "cannot start containers or change their limits: no cgroup is writable for this user"
                .into(),
        );
    }
    if let Some(existing) = existing.filter(|it| !writable(it)) {
        let dir = crate::engine::terms::shown::shown_bytes(existing.as_os_str().as_encoded_bytes());
        lack(Ability::Store, format!("cannot create or destroy containers: {dir} is not writable"));
    }
    lacks
}

const UNDELEGATED: &str = "cannot limit or freeze containers: no cgroup is delegated to this user; \
                           the user's systemd delegates one on a host with cgroup v2 alone";

/// Returns why this ordinary user cannot give a container users of its own.
fn without_users(proc: &Path) -> Option<String> {
    subids::barred(proc).or_else(|| SubIds::ours().lines().err())
}

/// Number, name, and what is lost without it.
const CAPABILITIES: [(u32, &str, Ability, &str); 4] = [
    (
        21,
        "CAP_SYS_ADMIN",
        Ability::Enter,
        "cannot start containers, attach to them or mount for them",
    ),
    (5, "CAP_KILL", Ability::Others, "cannot control containers of other users"),
    (
        19,
        "CAP_SYS_PTRACE",
        Ability::Look,
        "cannot see the namespaces and mounts of other users' containers",
    ),
    (12, "CAP_NET_ADMIN", Ability::Network, "cannot set up the network of containers"),
];

fn writable(path: &Path) -> bool {
    access(path, AccessFlags::W_OK).is_ok()
}

fn kib(memory: &str, key: &str) -> Option<u64> {
    let line = memory.lines().find_map(|it| it.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

fn cpus(stat: &str) -> Option<u32> {
    let numbered = |it: &&str| {
        it.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|it: char| it.is_ascii_digit()))
    };
    let count = stat.lines().filter(numbered).count();
    u32::try_from(count).ok().filter(|it| *it > 0)
}

/// Adds up what the first line counts as work: all but idle (4th), iowait (5th) and, since they
/// are counted in user and nice already, the guests' (9th, 10th).
fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let numbers = line.split_ascii_whitespace().map(|it| it.parse::<u64>().ok());
    let numbers: Vec<u64> = numbers.collect::<Option<_>>()?;
    let worked = numbers.iter().take(8).enumerate().filter(|(index, _)| !matches!(index, 3 | 4));
    Some(worked.map(|(_, ticks)| ticks).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_read_from_its_files() {
        let proc = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = proc.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("stat", "cpu  10 1 20 500 7 3 4 5 9 9\ncpu0 1 2\ncpu1 1 2\nintr 1\n");
        write("meminfo", "MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n");
        write("pressure/cpu", "some avg10=4.00 avg60=0 total=1\n");
        write("sys/kernel/hostname", "vm\n");
        let host = HostReader::new(proc.path()).read();
        assert_eq!((host.hostname.as_str(), host.cpus), ("vm", Some(2)));
        assert_eq!(host.memory_bytes, Some(1_024_000));
        assert_eq!(host.memory_used_bytes, Some(600 * 1024));
        assert_eq!((host.psi.cpu, host.psi.io), (Some(4.0), None));
        assert_eq!(busy_ticks("cpu  10 1 20 500 7 3 4 5 9 9\n"), Some(43));
    }

    #[test]
    fn what_is_missing_is_unknown() {
        let host = HostReader::new(Path::new("/nonexistent")).read();
        assert_eq!((host.cpus, host.memory_bytes, host.cpu_used), (None, None, None));
    }

    #[test]
    fn missing_capabilities_are_said() {
        let proc = tempfile::tempdir().unwrap();
        std::fs::create_dir(proc.path().join("self")).unwrap();
        std::fs::write(proc.path().join("self/status"), "CapEff:\t0000000000000020\n").unwrap();
        let lacks = lacks(proc.path(), proc.path(), &Hierarchies::default());
        let said: Vec<&str> = lacks.iter().map(|it| it.why.as_str()).collect();
        let said = said.join("\n");
        assert!(said.contains("CAP_SYS_ADMIN") && !said.contains("CAP_KILL"), "{said}");
        assert!(said.contains("no cgroup file system"), "{said}");
    }
}
