//! Lists and kills the processes in a container.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::file::{event, write_once};
use super::stuck;
use super::{Cgroup, CgroupError, Group};
use crate::engine::sys;
use crate::engine::terms::patience::Patience;

/// How many processes to hold a descriptor of at once.
const BATCH: usize = 128;
/// How long to wait for the freezer before killing without its help.
const STANDSTILL: Duration = Duration::from_millis(200);

impl Cgroup {
    /// Returns the pid of every process, including those in groups below, in ascending order.
    pub fn pids(&self) -> Vec<i32> {
        let pids = self.primary().and_then(|it| pids_below(&it.dir).ok());
        pids.unwrap_or_default().into_iter().collect()
    }

    /// Returns whether any process lives in the container.
    pub fn populated(&self) -> bool {
        let unified = self.unified().and_then(|it| {
            event(&std::fs::read_to_string(it.dir.join("cgroup.events")).ok()?, "populated")
        });
        unified == Some(true) || !self.pids().is_empty()
    }

    /// Kills every process and returns when none is left, or when `deadline` has passed.
    pub fn kill_all(&self, deadline: Instant) -> Result<(), CgroupError> {
        let begun = Instant::now();
        let mut patience = Patience::until(deadline);
        loop {
            if !self.kill_unified() && self.sweep() == 0 {
                return Ok(());
            }
            if !patience.again() {
                let who = stuck::describe(Path::new("/proc"), &self.pids());
                return Err(CgroupError::Undying { who, waited: begun.elapsed() });
            }
        }
    }

    /// Has the kernel kill the unified group at once, so that no fork escapes. Returns whether any
    /// process was left to kill that way.
    fn kill_unified(&self) -> bool {
        let Some(group) = self.unified() else { return false };
        let events = std::fs::read_to_string(group.dir.join("cgroup.events")).unwrap_or_default();
        let populated = event(&events, "populated") == Some(true);
        // `cgroup.kill` came with Linux 5.14; before it, the sweep does the work.
        let killed = populated && write_once(&group.dir.join("cgroup.kill"), b"1").is_ok();
        if killed && let Some(freezer) = self.v1("freezer") {
            // A process in the v1 freezer dies only when it is thawed.
            _ = write_once(&freezer.dir.join("freezer.state"), b"THAWED");
            self.thaw_below();
        }
        killed
    }

    /// Kills the members of every group one by one, frozen meanwhile so that none can fork.
    /// Returns how many there were.
    fn sweep(&self) -> usize {
        let has_members = |it: &&Group| pids_below(&it.dir).is_ok_and(|it| !it.is_empty());
        let groups: Vec<_> = self.groups.iter().filter(has_members).collect();
        if groups.is_empty() {
            return 0;
        }
        // Without a freezer, or with a process that cannot be frozen, the next sweep finds what
        // was forked during this one.
        _ = self.freeze(STANDSTILL);
        let killed =
            groups.iter().map(|it| signal_members(&it.dir, libc::SIGKILL, None)).sum::<usize>();
        _ = self.thaw(Duration::ZERO);
        self.thaw_below();
        killed.max(1)
    }

    /// Sends `signal` to every process but `spared`.
    pub(in crate::engine) fn signal_others(&self, signal: i32, spared: i32) {
        if let Some(group) = self.primary() {
            signal_members(&group.dir, signal, Some(spared));
        }
    }

    /// Returns the group whose members count as the container's: the one from which its root user
    /// is least likely to have moved processes.
    fn primary(&self) -> Option<&Group> {
        let v1 = || self.v1("freezer").or_else(|| self.v1("pids"));
        self.unified().or_else(v1).or_else(|| self.groups.first())
    }
}

/// Returns the pids in `dir` and in the groups below it.
pub(super) fn pids_below(dir: &Path) -> io::Result<BTreeSet<i32>> {
    let mut pids = BTreeSet::new();
    collect(dir, &mut pids)?;
    Ok(pids)
}

fn collect(dir: &Path, pids: &mut BTreeSet<i32>) -> io::Result<()> {
    // A threaded v2 group lists no processes; its domain above does.
    let text = match std::fs::read_to_string(dir.join("cgroup.procs")) {
        Err(errno) if errno.raw_os_error() == Some(libc::EOPNOTSUPP) => String::new(),
        other => other?,
    };
    // Pid 0 stands for a process outside of the reader's pid namespace.
    pids.extend(text.lines().filter_map(|it| it.parse::<i32>().ok()).filter(|it| *it > 0));
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        match collect(&entry.path(), pids) {
            // A group that vanished after it was listed has no members.
            Err(errno) if matches!(errno.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => (),
            other => other?,
        }
    }
    Ok(())
}

/// Signals what is in `dir` and below. A pid that was reused outside the group is never hit: the
/// process is held by a descriptor first, and signalled only if its pid is still a member.
fn signal_members(dir: &Path, signal: i32, spared: Option<i32>) -> usize {
    let mut listed: Vec<i32> = pids_below(dir).unwrap_or_default().into_iter().collect();
    listed.retain(|it| Some(*it) != spared);
    for batch in listed.chunks(BATCH) {
        let held: Vec<_> =
            batch.iter().filter_map(|pid| Some((*pid, sys::pidfd_open(*pid).ok()?))).collect();
        let members = pids_below(dir).unwrap_or_default();
        for (pid, process) in held {
            if members.contains(&pid) {
                // It may have just died by itself.
                _ = sys::pidfd_send_signal(process.as_fd(), signal);
            }
        }
    }
    listed.len()
}
