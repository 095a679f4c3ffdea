//! Makes the container's groups. A user to whom none are delegated has containers without, as long
//! as nothing asks for a limit.

use super::Run;
use super::error::RunError;
use crate::engine::cgroup::{
    self, Cgroup, CgroupError, Fitted, Hierarchies, PlannedGroups, Version,
};
use crate::engine::entry::plan;
use crate::engine::terms::idmap::{IdMap, Owner};
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{At, CgroupSetting, Spec};

/// Finds the hierarchies in which the groups are made: at their roots, or below those of who starts the
/// container.
pub(super) fn find(run: &Run) -> Result<Hierarchies, CgroupError> {
    let host = run.lxcpath.host();
    if run.spec.groups.relative {
        Hierarchies::below_own(host)
    } else {
        Hierarchies::discover(host)
    }
}

/// Turns the limits into those of this host's version of cgroups.
pub(super) fn fit(spec: &mut Spec, hierarchies: &Hierarchies) {
    let Fitted { v1, v2, lost } = cgroup::fit(hierarchies, &spec.cgroup_v1, &spec.cgroup_v2);
    (spec.cgroup_v1, spec.cgroup_v2) = (v1, v2);
    spec.warnings.extend(lost);
}

/// Creates the groups in every hierarchy where this process may.
pub(super) fn make(
    run: &Run,
    planned: &PlannedGroups,
    hierarchies: &Hierarchies,
) -> Result<Cgroup, RunError> {
    let made = planned.create_payload(&run.spec.groups, hierarchies);
    match made {
        Err(CgroupError::Unwritable { .. }) if !nix::unistd::geteuid().is_root() => {
            without(&run.spec, hierarchies)
        }
        made => made.map_err(RunError::Cgroup),
    }
}

fn without(spec: &Spec, hierarchies: &Hierarchies) -> Result<Cgroup, RunError> {
    let has = |version| hierarchies.iter().any(|it| it.version == version);
    let of = |version, settings: &[At<CgroupSetting>]| {
        // What is for the other version never prevents a start.
        let native = settings.iter().filter(|it| it.value.given.is_none());
        let limit = native.into_iter().find(|it| !it.value.file.starts_with("devices."));
        limit.filter(|_| has(version)).cloned()
    };
    let v1 = of(Version::V1, &spec.cgroup_v1).map(|it| ("lxc.cgroup", it));
    let limit = v1.or_else(|| of(Version::V2, &spec.cgroup_v2).map(|it| ("lxc.cgroup2", it)));
    if let Some((prefix, At { value, place })) = limit {
        let place = place.map(|it| format!(" ({it})")).unwrap_or_default();
        let setting = format!("{prefix}.{} = {}{place}", value.file, value.value);
        return Err(RunError::NotDelegated(setting));
    }
    // Its end is what ends the other processes.
    if spec.namespaces.has_own(Space::Pid) { Ok(Cgroup::none()) } else { Err(RunError::NoEnd) }
}

/// Returns whose the groups of a container are whose users are mapped so.
pub(super) fn owner(spec: &Spec, users: &IdMap) -> Option<Owner> {
    users.owner(plan::setup(users, spec).ok()?)
}
