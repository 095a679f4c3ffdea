//! Cleans up after a supervisor that was killed. Does nothing while one is alive.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use crate::engine::cgroup::{self, Cgroup, CgroupError, GroupPath, Hierarchies, PlannedGroups};
use crate::engine::entry::host_steps::{self, HostStepError, RunEnd};
use crate::engine::host::Host;
use crate::engine::host::identity;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::command_socket::{Seat, SeatError};
use crate::engine::running::event::{self, What};
use crate::engine::running::record::{self, Record, now_ms};
use crate::engine::sys;
use crate::engine::terms::name::Name;
use crate::engine::terms::state::State;

/// How long the leftovers may take to die: their init has been killed with the supervisor.
const DYING: Duration = Duration::from_secs(2);

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Reclaimed {
    /// No run was left behind.
    Nothing,
    /// A dead run was cleaned up and reported as STOPPED.
    DeadRun,
}

/// Why a dead run could not be cleaned up.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum ReclaimError {
    #[error(transparent)]
    Seat(SeatError),
    #[error("its init (pid {pid}) was killed but has not ended")]
    Alive { pid: i32 },
    #[error("clean up after a supervisor that was killed")]
    Cgroup(#[source] CgroupError),
    #[error("clean up after a supervisor that was killed")]
    Host(#[source] HostStepError),
}

/// Cleans up what a dead supervisor of `name` left: processes, cgroups, and its last state.
pub(in crate::engine) fn reclaim(
    lxcpath: &Lxcpath,
    name: &Name,
) -> Result<Reclaimed, ReclaimError> {
    if !Record::read(lxcpath, name).is_some_and(|it| is_unfinished(lxcpath.host(), &it)) {
        return Ok(Reclaimed::Nothing);
    }
    // Holding the seat prevents another start of the container meanwhile.
    let seat = match Seat::take(lxcpath, name) {
        Ok(seat) => seat,
        Err(SeatError::Taken | SeatError::Locked) => return Ok(Reclaimed::Nothing),
        Err(error) => return Err(ReclaimError::Seat(error)),
    };
    let found = clean_up_held(lxcpath, name);
    drop(seat);
    found
}

/// Cleans up after a container that is not defined, and removes its record, since nobody can ask
/// for it any more. Does nothing while it exists.
pub(in crate::engine) fn forget_ended(lxcpath: &Lxcpath, name: &Name) {
    let host = lxcpath.host();
    if Record::read(lxcpath, name).is_some_and(|it| it.supervisor.lives(host)) {
        return;
    }
    // The next command finds what could not be removed.
    if let Ok(_seat) = Seat::take(lxcpath, name)
        && clean_up_held(lxcpath, name).is_ok()
        && !Record::read(lxcpath, name).is_some_and(|it| is_unfinished(host, &it))
    {
        _ = record::forget(lxcpath, name);
    }
}

/// The same for a caller that holds the container's seat.
pub(in crate::engine) fn clean_up_held(
    lxcpath: &Lxcpath,
    name: &Name,
) -> Result<Reclaimed, ReclaimError> {
    let Some(mut record) =
        Record::read(lxcpath, name).filter(|it| is_unfinished(lxcpath.host(), it))
    else {
        return Ok(Reclaimed::Nothing);
    };
    let hierarchies = Hierarchies::discover(lxcpath.host()).map_err(ReclaimError::Cgroup)?;
    end_groups(&record, &hierarchies).map_err(ReclaimError::Cgroup)?;
    record::forget_limits(lxcpath, name);
    if let Some(init) = record.init
        && let Some(pidfd) = init.hold(lxcpath.host())
        && !end_process(pidfd.as_fd(), DYING)
    {
        return Err(ReclaimError::Alive { pid: init.pid });
    }
    cgroup::sweep_keep(&hierarchies);
    if let Some(planned) = &record.planned {
        cgroup::sweep_keep(&hierarchies.at(planned.bases()));
    }
    let end = RunEnd { init: record.init.map(|it| it.pid), ..RunEnd::default() };
    let mut steps = std::mem::take(&mut record.host_steps);
    let undone = host_steps::undo_all(&mut steps, &end, &mut |left, failed| {
        record.host_steps = left.to_vec();
        // Without space the hook may run again.
        _ = record.write(lxcpath.host());
        if let Some(error) = failed {
            event::publish(lxcpath, name, What::Warned { said: error.to_string() });
        }
    });
    record.host_steps = steps;
    let from = record.state;
    if from.is_active() {
        record.state = State::Stopped;
        record.since_ms = now_ms();
    }
    let written = record.write(lxcpath.host());
    undone.map_err(ReclaimError::Host)?;
    if written.is_err() {
        // There is no space to record the end: a missing record means the same. If even removal
        // fails, the next command finds it again.
        _ = record::forget(lxcpath, name);
    }
    if !from.is_active() {
        return Ok(Reclaimed::Nothing);
    }
    event::publish(lxcpath, name, What::SupervisorKilled);
    event::publish(lxcpath, name, What::State { from, to: State::Stopped });
    Ok(Reclaimed::DeadRun)
}

/// Kills what is in the groups of a run, and removes them.
fn end_groups(record: &Record, hierarchies: &Hierarchies) -> Result<(), CgroupError> {
    let usual = || PlannedGroups::usual(&record.name);
    let planned = record.planned.clone().unwrap_or_else(usual);
    let open = |path: &GroupPath| Cgroup::open(hierarchies, path);
    match &record.cgroup {
        Some(path) => end(&open(path), &record.cgroup_inodes)?,
        None => remove_empty(hierarchies, planned.payloads())?,
    }
    match &record.monitor_cgroup {
        Some(path) => end(&open(path), &record.monitor_inodes)?,
        None => remove_empty(hierarchies, planned.monitors())?,
    }
    planned.remove_above();
    Ok(())
}

/// Returns whether a run whose supervisor is gone has left something: it never reported its end, or
/// a group could not be removed.
fn is_unfinished(host: &Host, record: &Record) -> bool {
    if record.state.is_active() {
        return record.is_orphaned(host);
    }
    if record.supervisor.lives(host) {
        return false;
    }
    if !record.host_steps.is_empty() || record.init.is_some_and(|it| it.lives(host)) {
        return true;
    }
    let groups =
        [(&record.cgroup, &record.cgroup_inodes), (&record.monitor_cgroup, &record.monitor_inodes)];
    if groups.iter().all(|(path, _)| path.is_none()) {
        return false;
    }
    let Ok(hierarchies) = Hierarchies::discover(host) else { return false };
    groups.into_iter().any(|(path, inodes)| {
        path.as_ref().is_some_and(|it| is_recorded(&Cgroup::open(&hierarchies, it), inodes))
    })
}

/// Returns whether processes of a container are still there. It is asked about one whose supervisor
/// is gone: they do not die while they are frozen, or in the pid namespace of others.
pub(in crate::engine) fn outlives(lxcpath: &Lxcpath, name: &Name) -> bool {
    let host = lxcpath.host();
    let Some(record) = Record::read(lxcpath, name) else { return false };
    if record.init.is_some_and(|it| it.lives(host)) {
        return true;
    }
    let Ok(hierarchies) = Hierarchies::discover(host) else { return false };
    record.cgroup.as_ref().is_some_and(|it| {
        let group = Cgroup::open(&hierarchies, it);
        group.populated() && is_recorded(&group, &record.cgroup_inodes)
    })
}

/// Kills the process and returns whether it has ended within `patience`. Init is killed by its
/// pidfd, since it may have been moved out of its groups, or they were removed; everything else in
/// its pid namespace ends with it.
pub(in crate::engine) fn end_process(pidfd: BorrowedFd<'_>, patience: Duration) -> bool {
    // Refused for one that has ended, which is seen below.
    _ = sys::pidfd_send_signal(pidfd, libc::SIGKILL);
    has_ended(pidfd, patience)
}

/// Waits until the process has ended, and returns whether it is known to have.
pub(in crate::engine) fn has_ended(pidfd: BorrowedFd<'_>, patience: Duration) -> bool {
    identity::has_ended(pidfd, patience).unwrap_or(false)
}

/// Kills and removes a group that is still the one that was recorded. A newer one of the same name
/// belongs to a container of that name in another lxcpath.
fn end(cgroup: &Cgroup, recorded: &[u64]) -> Result<(), CgroupError> {
    if !is_recorded(cgroup, recorded) {
        return Ok(());
    }
    if cgroup.remove_empty() {
        return Ok(());
    }
    cgroup.kill_all(Instant::now() + DYING)?;
    cgroup.remove()
}

/// Returns whether anything of the group exists, and all of it was recorded.
fn is_recorded(cgroup: &Cgroup, recorded: &[u64]) -> bool {
    let found = cgroup.inodes();
    !found.is_empty() && found.iter().all(|it| recorded.contains(it))
}

/// Removes a group that may have been created just before it could be recorded, under its first
/// name or, if a container of another lxcpath had that, under the next free one.
fn remove_empty(
    hierarchies: &Hierarchies,
    names: impl Iterator<Item = GroupPath>,
) -> Result<(), CgroupError> {
    for (at, candidate) in names.enumerate() {
        let cgroup = Cgroup::open(hierarchies, &candidate);
        if at > 0 && cgroup.inodes().is_empty() {
            break;
        }
        if !cgroup.populated() {
            cgroup.remove()?;
        }
    }
    Ok(())
}
