//! The processes of one container. Reads only the pids that its cgroup names, never all of `/proc`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::aside::Aside;
use super::rates::per_second;
use crate::engine::host::identity::{Identity, Stat, ZOMBIE};
use crate::engine::host::short::{read_at_once, read_short};
use crate::engine::seen::process::Process;

/// What seldom changes (command line, user) is read again after this time, or at once when the name
/// changed, as exec does.
const STALE: Duration = Duration::from_secs(5);
/// Longer command lines are cut.
const COMMAND_BYTES: u64 = 4096;
const STATUS_BYTES: u64 = 16 * 1024;
/// Enough for some hundred thousand children.
const CHILDREN_BYTES: u64 = 1024 * 1024;

/// The processes of the last sample, by identity.
#[derive(Debug)]
pub(super) struct Processes {
    proc: PathBuf,
    known: HashMap<Identity, KnownProcess>,
    /// A process can block the reader of its command line, which is in its memory.
    lines: Aside<Identity, Vec<u8>>,
    /// Those of several processes: to wait for one thread once costs less than once for each.
    many_lines: Aside<(), HashMap<Identity, Vec<u8>>>,
    ticks_per_second: u64,
    page_bytes: u64,
}

#[derive(Debug)]
struct KnownProcess {
    cpu_ticks: u64,
    at: Instant,
    name: Vec<u8>,
    described: Instant,
    command: String,
    uid: Option<u32>,
    inner_pid: Option<i32>,
}

impl KnownProcess {
    /// Returns whether what was read of it still holds.
    fn describes(&self, stat: &Stat, now: Instant) -> bool {
        self.name == stat.name && now.saturating_duration_since(self.described) < STALE
    }
}

impl Processes {
    /// Reads below `proc`, which is `/proc` except in tests.
    pub(super) fn new(proc: &Path) -> Self {
        Self {
            proc: proc.to_owned(),
            known: HashMap::new(),
            lines: Aside::new(),
            many_lines: Aside::new(),
            ticks_per_second: procfs::ticks_per_second().max(1),
            page_bytes: procfs::page_size(),
        }
    }

    /// Reads `pids`, and drops all others. A process that ended meanwhile is left out. `tasks` is
    /// the kernel's count of threads and zombies: if it is higher than what was found, zombies are
    /// searched for, which cgroups do not list.
    pub(super) fn read(&mut self, pids: &[i32], tasks: Option<u64>) -> Vec<Process> {
        let mut known = HashMap::with_capacity(pids.len());
        let stats: Vec<Stat> = pids.iter().filter_map(|it| self.stat(*it)).collect();
        let lines = self.look_ahead(&stats);
        let one = |it: &Stat| self.one(it, &mut known, lines.get(&it.identity));
        let mut processes: Vec<Process> = stats.iter().map(one).collect();
        let seen = processes.iter().map(|it| u64::from(it.threads)).sum();
        if tasks.is_none_or(|it| it > seen) {
            let listed: HashSet<i32> = processes.iter().map(|it| it.pid).collect();
            let children: Vec<i32> =
                processes.iter().flat_map(|it| self.children(it.pid)).collect();
            let unlisted = children.into_iter().filter(|it| !listed.contains(it));
            let unlisted: Vec<Stat> = unlisted.filter_map(|it| self.stat(it)).collect();
            let dead = unlisted.iter().filter(|it| it.state == ZOMBIE);
            processes.extend(dead.map(|it| self.one(it, &mut known, None)));
        }
        self.known = known;
        processes
    }

    fn stat(&self, pid: i32) -> Option<Stat> {
        Stat::parse(&read(&self.proc.join(format!("{pid}/stat")), COMMAND_BYTES)?)
    }

    /// Reads the command lines of those that are to be described, if there are several. If that takes
    /// too long, [`Self::describe`] finds out for which it does.
    fn look_ahead(&mut self, stats: &[Stat]) -> HashMap<Identity, Vec<u8>> {
        let now = Instant::now();
        let due = stats.iter().filter(|it| {
            self.known.get(&it.identity).is_none_or(|known| !known.describes(it, now))
        });
        let file = |it: &Stat| self.proc.join(format!("{}/cmdline", it.identity.pid));
        let due: Vec<(Identity, PathBuf)> = due.map(|it| (it.identity, file(it))).collect();
        if due.len() < 2 {
            return HashMap::new();
        }
        let line = |(of, file): (_, PathBuf)| (of, read(&file, COMMAND_BYTES).unwrap_or_default());
        self.many_lines.ask((), move || due.into_iter().map(line).collect()).unwrap_or_default()
    }

    fn one(
        &mut self,
        stat: &Stat,
        known: &mut HashMap<Identity, KnownProcess>,
        line: Option<&Vec<u8>>,
    ) -> Process {
        let now = Instant::now();
        let before = self.known.remove(&stat.identity);
        let cpu_percent = before.as_ref().and_then(|it| self.cpu_percent(it, stat, now));
        let described = before
            .filter(|it| it.describes(stat, now))
            .unwrap_or_else(|| self.describe(stat, line, now));
        let process = Process {
            pid: stat.identity.pid,
            parent: stat.parent,
            inner_pid: described.inner_pid,
            start_time: stat.identity.start_time,
            state: stat.state,
            threads: stat.threads,
            uid: described.uid,
            cpu_percent,
            cpu_ticks: stat.cpu_ticks,
            rss_bytes: stat.rss_pages.checked_mul(self.page_bytes),
            command: described.command.clone(),
            depth: 0,
            later_siblings: Vec::new(),
        };
        known.insert(
            stat.identity,
            KnownProcess { cpu_ticks: stat.cpu_ticks, at: now, ..described },
        );
        process
    }

    /// Returns `init` and its descendants: the processes of a container without groups, except those
    /// that entered it later.
    pub(super) fn descendants(&self, init: i32) -> Vec<i32> {
        let (mut found, mut next) = (vec![init], 0);
        while let Some(parent) = found.get(next) {
            let children = self.children(*parent);
            found.extend(children);
            next += 1;
        }
        found
    }

    /// Lists the children of every thread of `parent`, zombies among them.
    fn children(&self, parent: i32) -> Vec<i32> {
        let tasks = self.proc.join(format!("{parent}/task"));
        let threads = std::fs::read_dir(tasks).into_iter().flatten().flatten();
        let lists = threads.filter_map(|it| {
            read_short(File::open(it.path().join("children")).ok()?, CHILDREN_BYTES).ok()
        });
        let numbers = |list: Vec<u8>| {
            let text = String::from_utf8_lossy(&list).into_owned();
            text.split_ascii_whitespace().filter_map(|it| it.parse().ok()).collect::<Vec<i32>>()
        };
        lists.flat_map(numbers).collect()
    }

    fn cpu_percent(&self, before: &KnownProcess, now: &Stat, at: Instant) -> Option<f32> {
        let ticks = per_second(before.cpu_ticks, now.cpu_ticks, at - before.at)?;
        Some((ticks * 100.0 / self.ticks_per_second as f64) as f32)
    }

    fn describe(&mut self, stat: &Stat, line: Option<&Vec<u8>>, now: Instant) -> KnownProcess {
        let dir = self.proc.join(stat.identity.pid.to_string());
        let file = dir.join("cmdline");
        let line = line.cloned().or_else(|| {
            let read = move || read(&file, COMMAND_BYTES).unwrap_or_default();
            self.lines.ask(stat.identity, read)
        });
        let status = read(&dir.join("status"), STATUS_BYTES).unwrap_or_default();
        let status = String::from_utf8_lossy(&status);
        let field = |key| status.lines().find_map(|it: &str| it.strip_prefix(key));
        KnownProcess {
            cpu_ticks: stat.cpu_ticks,
            at: now,
            name: stat.name.clone(),
            described: now,
            command: command(line.as_deref(), &stat.name),
            // The second one is the effective one.
            uid: field("Uid:").and_then(|it| it.split_ascii_whitespace().nth(1)?.parse().ok()),
            inner_pid: field("NSpid:")
                .and_then(|it| it.split_ascii_whitespace().next_back()?.parse().ok()),
        }
    }
}

/// Joins the command line's words; if it cannot be read now, only the name is used.
fn command(line: Option<&[u8]>, name: &[u8]) -> String {
    let Some(line) = line else { return format!("{} …", String::from_utf8_lossy(name)) };
    let end = line.iter().rposition(|&it| it != 0).map_or(0, |it| it + 1);
    let words = line.get(..end).unwrap_or_default();
    if words.is_empty() {
        return format!("[{}]", String::from_utf8_lossy(name));
    }
    String::from_utf8_lossy(words).replace('\0', " ")
}

fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    read_at_once(File::open(path).ok()?, most).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(proc: &Path, pid: i32, stat: &str) {
        let dir = proc.join(pid.to_string());
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("stat"), stat).unwrap();
        std::fs::write(dir.join("cmdline"), "nginx: worker\0-c\0/etc/x\0\0").unwrap();
        std::fs::write(dir.join("status"), "Name:\tx\nUid:\t0\t33\t0\t0\nNSpid:\t7\t18\t2\n")
            .unwrap();
    }

    #[test]
    fn a_process_is_read_from_its_three_files() {
        let proc = tempfile::tempdir().unwrap();
        fake(proc.path(), 7, "7 (n x) S 1 7 7 0 -1 0 1 0 0 0 30 12 0 0 20 0 3 0 99 0 2 0");
        let mut processes = Processes::new(proc.path());
        let seen = processes.read(&[7, 8], Some(3));
        let [it] = seen.as_slice() else { panic!("{seen:?}") };
        assert_eq!((it.pid, it.parent, it.inner_pid, it.uid), (7, 1, Some(2), Some(33)));
        assert_eq!((it.start_time, it.state, it.threads), (99, 'S', 3));
        assert_eq!(it.rss_bytes, Some(2 * procfs::page_size()));
        assert_eq!(it.command, "nginx: worker -c /etc/x");
        assert_eq!(it.cpu_percent, None);
    }

    #[test]
    fn a_reused_pid_has_no_rate() {
        let proc = tempfile::tempdir().unwrap();
        fake(proc.path(), 7, "7 (a) S 1 7 7 0 -1 0 1 0 0 0 30 12 0 0 20 0 3 0 99 0 2 0");
        let mut processes = Processes::new(proc.path());
        _ = processes.read(&[7], None);
        fake(proc.path(), 7, "7 (a) S 1 7 7 0 -1 0 1 0 0 0 90 12 0 0 20 0 3 0 100 0 2 0");
        assert_eq!(processes.read(&[7], None)[0].cpu_percent, None);
        assert_eq!(processes.known.len(), 1);
    }

    #[test]
    fn zombies_are_found_among_the_children() {
        let proc = tempfile::tempdir().unwrap();
        let rest = "7 7 0 -1 0 1 0 0 0 30 12 0 0 20 0 1 0 99 0 2 0";
        fake(proc.path(), 7, &format!("7 (a) S 1 {rest}"));
        fake(proc.path(), 8, &format!("8 (b) Z 7 {rest}"));
        fake(proc.path(), 9, &format!("9 (c) S 7 {rest}"));
        let thread = proc.path().join("7/task/7");
        std::fs::create_dir_all(&thread).unwrap();
        std::fs::write(thread.join("children"), "8 9 ").unwrap();
        let mut processes = Processes::new(proc.path());
        let mut pids = |tasks| {
            let seen = processes.read(&[7], tasks);
            seen.iter().map(|it| (it.pid, it.state)).collect::<Vec<_>>()
        };
        // A child in another cgroup is not the container's.
        assert_eq!(pids(Some(2)), [(7, 'S'), (8, 'Z')]);
        assert_eq!(pids(None), [(7, 'S'), (8, 'Z')]);
        // Nothing is missing, so nothing is searched for.
        assert_eq!(pids(Some(1)), [(7, 'S')]);
    }

    #[test]
    fn a_process_without_arguments_shows_its_name() {
        assert_eq!(command(Some(b""), b"kworker"), "[kworker]");
        assert_eq!(command(Some(b"\0\0"), b"x"), "[x]");
        assert_eq!(command(None, b"x"), "x …");
    }
}
