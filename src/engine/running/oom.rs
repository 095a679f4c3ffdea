//! The OOM kills in the kernel's log: which process, how large, by which limit. It reads and
//! parses; it kills nothing.

use std::fmt;
use std::fs::{File, read_link};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

use serde::{Deserialize, Serialize};

const LOG: &str = "/dev/kmsg";
/// The number of that device; LXC gives its containers a console by that name.
const LOG_DEVICE: u64 = libc::makedev(1, 11);
/// More than the longest record, which the kernel cuts at 8 KiB.
const RECORD: usize = 16 * 1024;
/// The inodes of the host's own namespaces, see `proc_ns.h` of the kernel.
const HOST_PIDS: &str = "pid:[4026531836]";
const HOST_CGROUPS: &str = "cgroup:[4026531835]";

/// One OOM kill, as far as the kernel logged it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomKill {
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    /// In the host's pid namespace.
    pub pid: i32,
    /// Its name, which it chose itself. Not safe to print as it is.
    pub process: String,
    /// Its memory in use.
    pub held_bytes: Option<u64>,
    /// The group that was at its limit; none if the whole host was out of memory.
    pub group: Option<String>,
    /// The file of that limit, such as `memory.max`.
    pub limit_file: Option<String>,
    pub limit_bytes: Option<u64>,
}

impl fmt::Display for OomKill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MIB: f64 = 1024.0 * 1024.0;
        write!(f, "{} (pid {})", self.process, self.pid)?;
        if let Some(held) = self.held_bytes {
            write!(f, " with {:.1} MiB", held as f64 / MIB)?;
        }
        match (&self.group, &self.limit_file, self.limit_bytes) {
            (Some(group), Some(file), Some(limit)) => {
                write!(f, ", at {file} = {:.1} MiB of {group}", limit as f64 / MIB)
            }
            (Some(group), _, _) => write!(f, ", at the limit of {group}"),
            (None, _, _) => write!(f, ", as the host was out of memory"),
        }
    }
}

/// A process that was killed for lack of memory according to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Death {
    pub(in crate::engine) kill: OomKill,
    /// The group that the process was in; the kernel does not log it for every kill when there are
    /// many.
    group: Option<String>,
    /// The log may show a part of the path that is not visible to this process.
    rooted: bool,
}

impl Death {
    /// Returns whether the process was in the group at `path` or below it.
    pub(in crate::engine) fn was_in(&self, path: &str) -> bool {
        let Some(group) = self.group.as_ref().filter(|_| !path.is_empty()) else { return false };
        let mut found = group.match_indices(path).map(|(at, _)| (at, group.get(at + path.len()..)));
        found.any(|(at, rest)| {
            (at == 0 || !self.rooted) && rest.is_some_and(|it| it.is_empty() || it.starts_with('/'))
        })
    }
}

/// The kernel's log, opened when it is first needed.
#[derive(Debug, Default)]
pub(in crate::engine) struct KernelLog {
    file: Option<File>,
    rooted: bool,
    report: OomReport,
}

impl KernelLog {
    /// Returns the kills that were logged since the last call, oldest first; none if the log cannot
    /// be read, or its pids are of another namespace.
    pub(in crate::engine) fn read(&mut self, now_ms: u64) -> Option<Vec<Death>> {
        if self.file.is_none() {
            self.file = open();
            self.rooted = is_in(HOST_CGROUPS, "/proc/self/ns/cgroup");
        }
        let mut record = vec![0; RECORD];
        let mut deaths = Vec::new();
        loop {
            match self.file.as_mut()?.read(&mut record) {
                Ok(0) => return Some(deaths),
                Ok(count) => {
                    let text = String::from_utf8_lossy(record.get(..count)?);
                    let death = kernels_line(&text).and_then(|it| self.report.hear(it, now_ms));
                    deaths.extend(death.map(|it| Death { rooted: self.rooted, ..it }));
                }
                // Unread messages were overwritten; reading continues with the oldest one left.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => (),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Some(deaths),
                Err(_) => return None,
            }
        }
    }

    /// Returns a descriptor that polls when more was logged.
    pub(in crate::engine) fn news(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }
}

fn open() -> Option<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = File::options().read(true).custom_flags(flags).open(LOG).ok()?;
    let is_log = file.metadata().is_ok_and(|it| it.rdev() == LOG_DEVICE);
    (is_log && is_in(HOST_PIDS, "/proc/self/ns/pid")).then_some(file)
}

fn is_in(namespace: &str, link: &str) -> bool {
    read_link(link).is_ok_and(|it| it.as_os_str() == namespace)
}

/// Returns the text of a record, such as `6,339,5140900,-;text`, if the kernel itself wrote it:
/// root may write there too.
fn kernels_line(record: &str) -> Option<&str> {
    let (head, text) = record.split_once(';')?;
    // The facility is the rest of the priority; the kernel's is 0.
    let priority: u32 = head.split(',').next()?.parse().ok()?;
    (priority < 8).then(|| text.lines().next())?
}

/// What was logged about a kill so far. Kills are logged one after the other: the kernel holds a
/// lock.
#[derive(Debug, Default)]
struct OomReport {
    /// Each file of a limit, with its usage and limit in bytes.
    limits: Vec<(&'static str, u64, u64)>,
    chosen: Option<Chosen>,
}

/// The process that the kernel announced it would kill.
#[derive(Debug)]
struct Chosen {
    pid: i32,
    group: String,
    limited: Option<String>,
    /// The kernel kills all that is in the group.
    all: bool,
}

impl OomReport {
    /// Processes one line of the log; returns a kill when it is complete.
    fn hear(&mut self, line: &str, now_ms: u64) -> Option<Death> {
        if line.contains(" invoked oom-killer: ") {
            *self = Self::default();
        } else if let Some(usage) = line.strip_prefix("memory: usage ") {
            // The next line shows which version it is.
            self.limits = limit("memory.max", usage).into_iter().collect();
        } else if let Some(usage) = line.strip_prefix("memory+swap: usage ") {
            self.limits.iter_mut().for_each(|it| it.0 = "memory.limit_in_bytes");
            self.limits.extend(limit("memory.memsw.limit_in_bytes", usage));
        } else if let Some(rest) = line.strip_prefix("oom-kill:") {
            self.chosen = chosen(rest);
        } else if line.ends_with(" are going to be killed due to memory.oom.group set") {
            self.chosen.iter_mut().for_each(|it| it.all = true);
        } else if let Some((_, rest)) = line.split_once(": Killed process ") {
            return self.death(rest, now_ms);
        }
        None
    }

    /// Reads `8532 (sh) total-vm:24868kB, anon-rss:15232kB, file-rss:548kB, shmem-rss:0kB, …`.
    fn death(&self, text: &str, now_ms: u64) -> Option<Death> {
        let (pid, rest) = text.split_once(" (")?;
        let pid = pid.parse().ok()?;
        // The name may hold brackets, so it ends at the last possible place.
        let (process, sizes) = rest.rsplit_once(") total-vm:")?;
        let kinds = ["anon-rss:", "file-rss:", "shmem-rss:"].map(|it| kilobytes(sizes, it));
        let held = kinds.into_iter().flatten().reduce(u64::saturating_add);
        let chosen = self.chosen.as_ref().filter(|it| it.pid == pid || it.all);
        let limited = chosen.and_then(|it| it.limited.clone());
        let limit = self.limits.iter().filter(|_| limited.is_some());
        // The one with the least left; plain memory if both have the same.
        let limit = limit.min_by_key(|(_, used, most)| most.saturating_sub(*used));
        let kill = OomKill {
            at_ms: now_ms,
            pid,
            process: process.to_owned(),
            held_bytes: held,
            group: limited,
            limit_file: limit.map(|(file, ..)| (*file).to_owned()),
            limit_bytes: limit.map(|(.., most)| *most),
        };
        Some(Death { kill, group: chosen.map(|it| it.group.clone()), rooted: true })
    }
}

/// Reads `constraint=…,oom_memcg=/a,task_memcg=/a/b,task=sh,pid=8532,uid=0`. The name of the
/// process may hold commas, so its number is found from the end.
fn chosen(text: &str) -> Option<Chosen> {
    let (rest, pid) = text.rsplit_once(",pid=")?;
    let pid = pid.split(',').next()?.parse().ok()?;
    let (rest, group) = rest.split_once(",task_memcg=")?;
    let group = group.rsplit_once(",task=")?.0;
    let limited = rest.split_once(",oom_memcg=").map(|(_, it)| it.to_owned());
    Some(Chosen { pid, group: group.to_owned(), limited, all: false })
}

/// Reads `16384kB, limit 16384kB, failcnt 125`.
fn limit(file: &'static str, text: &str) -> Option<(&'static str, u64, u64)> {
    Some((file, kilobytes(text, "")?, kilobytes(text, "limit ")?))
}

/// Returns the bytes behind `key`, which the kernel writes as `15232kB`.
fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let (_, rest) = text.split_once(key)?;
    rest.split_once("kB")?.0.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(lines: &[&str]) -> Vec<Death> {
        let mut report = OomReport::default();
        lines.iter().filter_map(|it| report.hear(it, 7)).collect()
    }

    const V1: [&str; 5] = [
        "sh invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
        "memory: usage 16384kB, limit 16384kB, failcnt 125",
        "memory+swap: usage 16384kB, limit 9007199254740988kB, failcnt 0",
        "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=web,mems_allowed=0,\
         oom_memcg=/lxc.payload.web,task_memcg=/lxc.payload.web/a,task=sh,pid=8532,uid=0",
        "Memory cgroup out of memory: Killed process 8532 (sh) total-vm:24868kB, \
         anon-rss:15232kB, file-rss:548kB, shmem-rss:4kB, UID:0 pgtables:88kB oom_score_adj:0",
    ];

    #[test]
    fn an_oom_kill_is_reported_in_full() {
        let deaths = tell(&V1);
        let [death] = deaths.as_slice() else { panic!("{deaths:?}") };
        let told = "sh (pid 8532) with 15.4 MiB, at memory.limit_in_bytes = 16.0 MiB of \
                    /lxc.payload.web";
        assert_eq!(death.kill.to_string(), told);
        assert_eq!((death.kill.at_ms, death.kill.held_bytes), (7, Some(15784 * 1024)));
        assert!(death.was_in("/lxc.payload.web"));
        assert!(!death.was_in("/lxc.payload.we") && !death.was_in("/a"));
        let hidden = Death { rooted: false, ..death.clone() };
        assert!(hidden.was_in("/a"));
    }

    #[test]
    fn the_limit_is_the_one_that_was_reached() {
        let mut lines = V1;
        lines[2] = "memory+swap: usage 20480kB, limit 20480kB, failcnt 9";
        lines[1] = "memory: usage 15000kB, limit 16384kB, failcnt 0";
        let kill = tell(&lines).remove(0).kill;
        assert_eq!(kill.limit_file.as_deref(), Some("memory.memsw.limit_in_bytes"));
        assert_eq!(kill.limit_bytes, Some(20480 * 1024));
        lines[1] = V1[1];
        lines[2] = "swap: usage 0kB, limit 0kB, failcnt 3";
        assert_eq!(tell(&lines).remove(0).kill.limit_file.as_deref(), Some("memory.max"));
    }

    #[test]
    fn a_host_out_of_memory_is_not_a_limit() {
        let lines = [
            "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,\
             global_oom,task_memcg=/lxc.payload.web,task=sh,pid=9,uid=0",
            "Out of memory: Killed process 9 (sh) total-vm:8kB, anon-rss:4kB",
        ];
        let death = tell(&lines).remove(0);
        assert_eq!(
            death.kill.to_string(),
            "sh (pid 9) with 0.0 MiB, as the host was out of memory"
        );
        assert!(death.was_in("/lxc.payload.web"));
    }

    #[test]
    fn names_cannot_deceive() {
        let lines = [
            "oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/w,task_memcg=/w,task=,pid=1,uid=0,\
             pid=42,uid=0",
            "Memory cgroup out of memory: Killed process 42 (x) total-vm:1kB) total-vm:8kB, \
             anon-rss:4kB",
        ];
        let death = tell(&lines).remove(0);
        assert_eq!((death.kill.pid, death.kill.process.as_str()), (42, "x) total-vm:1kB"));
        assert!(death.was_in("/w"));
    }

    #[test]
    fn a_kill_without_a_context_is_of_no_group() {
        let [first, second] =
            [V1[4], "Out of memory: Killed process 77 (b) total-vm:8kB, anon-rss:4kB"];
        let deaths = tell(&[V1[3], first, second]);
        assert!(deaths[0].was_in("/lxc.payload.web"));
        assert_eq!((deaths[1].kill.pid, deaths[1].was_in("/lxc.payload.web")), (77, false));
        let all = "Tasks in /lxc.payload.web are going to be killed due to memory.oom.group set";
        assert!(tell(&[V1[3], first, all, second])[1].was_in("/lxc.payload.web"));
    }

    #[test]
    fn only_the_kernels_own_lines_count() {
        assert_eq!(kernels_line("6,339,5140900,-;text\n KEY=value\n"), Some("text"));
        assert_eq!(kernels_line("12,339,5140900,-;text\n"), None);
        assert_eq!(kernels_line("nonsense"), None);
    }
}
