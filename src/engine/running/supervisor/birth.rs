//! The creation of a container's groups and of its first process.

use nix::unistd::geteuid;

use super::error::RunError;
use super::life::Life;
use super::{Run, groups, restored, sweep, viewer};
use crate::engine::cgroup::{
    AppliedDevices, Cgroup, Hierarchies, LoadedDevices, OomWatch, PlannedGroups,
};
use crate::engine::entry::host_steps;
use crate::engine::entry::launch::{self, LaunchError, LaunchRequest, Launched};
use crate::engine::entry::notifier::Notifier;
use crate::engine::entry::perform::SharedSpace;
use crate::engine::entry::plan;
use crate::engine::running::record::Limits;
use crate::engine::running::shares::{self, Shares};
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{At, CgroupSetting, NotifySpec};

/// A container that was created, with its program running.
pub(super) struct Born {
    pub(super) launched: Launched,
    /// With its limits.
    pub(super) cgroup: Cgroup,
    /// With its processes: the same, or one in it.
    pub(super) inner: Cgroup,
    /// Watches since before the program ran, which may have died of memory by now.
    pub(super) oom: Option<OomWatch>,
    pub(super) notifier: Option<Notifier>,
    /// The rules for its devices, if they are no files.
    pub(super) devices: Option<LoadedDevices>,
}

/// Creates the cgroups and the process. On failure nothing of them is left.
pub(super) fn bear(
    run: &Run,
    steps: &[plan::Step],
    hierarchies: &Hierarchies,
    life: &mut Life,
) -> Result<Born, RunError> {
    life.warn(&run.spec.warnings);
    life.carry_out(host_steps::early(&run.spec), None)?;
    // A pre-start hook may make what is shared.
    let Shares { spaces: shared, warnings } =
        shares::open(&run.lxcpath, &run.spec.namespaces).map_err(RunError::Share)?;
    life.warn(&warnings);
    let mut notifier = run.spec.notify.as_ref().map(notifier).transpose()?;
    let planned = life.record.planned.clone();
    let planned = planned.unwrap_or_else(|| PlannedGroups::usual(&run.name));
    let cgroup = groups::make(run, &planned, hierarchies)?;
    // Before any process is in it, so that a clean-up knows what is ours.
    life.record.cgroup = Some(cgroup.path().clone());
    life.record.cgroup_inodes = cgroup.inodes();
    life.save();
    let claimed = life.saved().and_then(|()| life.claims.take(run, hierarchies));
    let plan = LaunchPlan { steps, shared: &shared, notifier: notifier.as_mut() };
    let launched = claimed.and_then(|()| launch_in(run, plan, &cgroup, life));
    note_limits(run, &cgroup, life);
    match launched {
        Ok(born) => Ok(Born { notifier, ..born }),
        Err(error) => {
            _ = sweep(&cgroup);
            Err(error)
        }
    }
}

/// Connects to who decides about some of its system calls.
fn notifier(spec: &NotifySpec) -> Result<Notifier, RunError> {
    let proxy = || spec.proxy.clone().unwrap_or_default();
    Notifier::new(spec).map_err(|source| RunError::Proxy { proxy: proxy(), source })
}

/// What a launch is made of.
struct LaunchPlan<'a> {
    steps: &'a [plan::Step],
    shared: &'a [SharedSpace],
    notifier: Option<&'a mut Notifier>,
}

fn launch_in(
    run: &Run,
    plan: LaunchPlan<'_>,
    cgroup: &Cgroup,
    life: &mut Life,
) -> Result<Born, RunError> {
    let (v1, v2) = (&run.spec.cgroup_v1, &run.spec.cgroup_v2);
    life.warn(&cgroup.apply(v1, v2).map_err(RunError::Cgroup)?);
    // Under v1 a group that has groups below it takes no rules for devices.
    let guarded = run.spec.groups.inner.is_some() && cgroup.guards_devices_itself();
    if guarded {
        let applied = cgroup.apply_devices(v1, v2).map_err(RunError::Cgroup)?;
        life.warn(applied.said.as_slice());
    }
    let planned = life.record.planned.as_ref();
    let inner = planned.map_or_else(|| Ok(cgroup.clone()), |it| it.create_inner(cgroup));
    let inner = inner.map_err(RunError::Cgroup)?;
    let is_root = geteuid().is_root();
    let shares_users = run.spec.namespaces.shares(Space::User);
    let own = run.spec.idmap.as_ref().filter(|_| is_root && !shares_users);
    if let Some(owner) = own.and_then(|it| groups::owner(&run.spec, &it.value)) {
        inner.give_to(owner).map_err(RunError::Cgroup)?;
    }
    if let Some(from) = &run.start.from {
        let oom = cgroup.watch_oom();
        let (launched, devices) = restored::bear(run, from, (cgroup, is_root && !guarded), life)?;
        let cgroup = cgroup.clone();
        return Ok(Born { launched, cgroup, inner, oom, notifier: None, devices });
    }
    let mut devices = None;
    let request = LaunchRequest {
        host: run.lxcpath.host(),
        steps: plan.steps,
        namespaces: &run.spec.namespaces,
        shared: plan.shared,
        cgroup: Some(&inner),
        inherit: if run.foreground { viewer::inherited() } else { [false; 3] },
        before_exec: &mut |init| {
            // Without root no rules are made, nor can the container make a device.
            if is_root && !guarded {
                let AppliedDevices { said, loaded } = cgroup.apply_devices(v1, v2)?;
                life.warn(said.as_slice());
                devices = loaded;
            }
            let shared = shares_users.then(|| shares::users_of(&run.lxcpath, init));
            if let Some(users) = shared.flatten() {
                life.warn(shares::other_users(&run.spec, &users).as_slice());
                if let Some(owner) = groups::owner(&run.spec, &users).filter(|_| is_root) {
                    inner.give_to(owner)?;
                }
            }
            Ok(life.carry_out(run.host_steps(), Some(init))?)
        },
        notifier: plan.notifier,
    };
    let mut oom = cgroup.watch_oom();
    match launch::launch(request) {
        Ok(launched) => {
            let cgroup = cgroup.clone();
            Ok(Born { launched, cgroup, inner, oom, notifier: None, devices })
        }
        Err(error) => {
            let starved = oom.as_mut().is_some_and(|it| it.grown().is_some());
            Err(RunError::Launch(cause(error, (cgroup, &inner), starved)))
        }
    }
}

/// Returns the limit that was too low for the launch, if that is why it failed. `starved`: there
/// was an OOM kill in the group.
fn cause(error: LaunchError, (cgroup, inner): (&Cgroup, &Cgroup), starved: bool) -> LaunchError {
    let limit = |files: &[&str]| {
        let value = |file: &&str| Some(format!("{file} = {}", cgroup.get(file).ok()?.trim()));
        files.iter().find_map(value).unwrap_or_else(|| "its limit".to_owned())
    };
    if starved && matches!(error, LaunchError::Died) {
        return LaunchError::OutOfMemory { limit: limit(&["memory.max", "memory.limit_in_bytes"]) };
    }
    // The kernel counts how often the process limit was hit.
    let counts = |it: &Cgroup| it.get("pids.events").is_ok_and(|it| it.trim() != "max 0");
    let met = || counts(cgroup) || counts(inner);
    if error.lacks_processes() && met() {
        return LaunchError::TooFew { limit: limit(&["pids.max"]) };
    }
    error
}

/// Records which limits the configuration has set.
fn note_limits(run: &Run, cgroup: &Cgroup, life: &mut Life) {
    life.record.lost_limits.clear();
    let given = cgroup.meant(&run.spec.cgroup_v1, &run.spec.cgroup_v2);
    // Without free space, or while another writer hangs, they are not watched, which must not fail
    // the run.
    let has_any = !given.is_empty();
    let noted = Limits::change(&run.lxcpath, &run.name, cgroup, |limits| {
        *limits = Limits::of(cgroup);
        for (At { value: CgroupSetting { file, value, .. }, .. }, _) in given {
            limits.begin(file, value);
            limits.finish(cgroup, file, value);
        }
    });
    life.record.limits_unwatched = noted.err().filter(|_| has_any).map(|why| why.to_string());
}
