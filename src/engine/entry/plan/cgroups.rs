//! The steps that mount cgroups in a container, as its cgroup namespace shows them. Pure.

use std::path::{Path, PathBuf};

use super::{PlanError, Step, kept, mount_step};
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{
    At, AutoCgroup, AutoMode, CgroupReach, Mount, MountedHierarchy, Spec, TargetKind,
};

/// The number of `CAP_SYS_ADMIN`.
const SYS_ADMIN: u8 = 21;
/// Where cgroups are mounted.
const PLACE: &str = "sys/fs/cgroup";
const FLAGS: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC | libc::MS_RELATIME;

/// Lists them. As with LXC, nothing is mounted for a system that can do so itself, unless that is
/// forced, or the host has cgroup v2 alone, which systems expect to find.
pub(super) fn mounts(spec: &Spec) -> Result<Vec<Step>, PlanError> {
    let Some(At { value: auto, place }) = &spec.auto.cgroup else { return Ok(Vec::new()) };
    let all = &spec.auto.hierarchies;
    let unified_alone = all.iter().all(|it| it.v1.is_none());
    if !spec.namespaces.has_own(Space::Cgroup) {
        return Err(PlanError::CgroupNamespace);
    }
    let able = kept(&spec.capabilities) & (1 << SYS_ADMIN) != 0;
    if able && !auto.forced && !unified_alone {
        return Ok(Vec::new());
    }
    let step = |value| mount_step(&At { value, place: place.clone() });
    if unified_alone || auto.reach == CgroupReach::Unified {
        if !all.iter().any(|it| it.v1.is_none()) {
            return Err(PlanError::NoUnified);
        }
        return Ok(vec![step(hierarchy(PLACE.into(), None, *auto))?]);
    }
    let each = all.iter().map(|MountedHierarchy { name, v1 }| {
        let target = Path::new(PLACE).join(name);
        let create = Some(TargetKind::Dir);
        Mount { create, ..hierarchy(target, v1.as_deref(), *auto) }
    });
    std::iter::once(directory()).chain(each).map(step).collect()
}

/// The directory of the hierarchies.
fn directory() -> Mount {
    mount("tmpfs", PLACE.into(), FLAGS, "size=10240k,mode=755")
}

fn hierarchy(target: PathBuf, v1: Option<&str>, auto: AutoCgroup) -> Mount {
    let read_only = if auto.mode == Some(AutoMode::ReadOnly) { libc::MS_RDONLY } else { 0 };
    let fstype = if v1.is_some() { "cgroup" } else { "cgroup2" };
    mount(fstype, target, FLAGS | read_only, v1.unwrap_or_default())
}

fn mount(fstype: &str, target: PathBuf, flags: libc::c_ulong, data: &str) -> Mount {
    Mount {
        // As LXC names it.
        source: "none".to_owned(),
        target,
        fstype: fstype.to_owned(),
        flags,
        propagation: 0,
        data: data.to_owned(),
        optional: false,
        create: None,
        relative: false,
        users: None,
    }
}
