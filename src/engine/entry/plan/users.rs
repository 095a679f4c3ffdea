//! Steps into a user namespace. Pure.

use std::ffi::CString;
use std::fmt;

use super::root::opened_before;
use super::{KernelStep, PlanError, SHARED_INSIDE, Step, enter_shared};
use crate::engine::terms::hook::Moment;
use crate::engine::terms::idmap::{IdMap, IdMapError, Owner};
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{At, ConfigPlace, Spec};

/// One thing about the process's users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum UserStep {
    /// The supervisor gives the user namespace its map, which the process may not write itself.
    Map(At<IdMap>),
    /// Made once the map is there: whose its files below /sys are is decided when it is made.
    OwnNetwork,
    /// Becomes who sets the container up.
    Become {
        /// Inside.
        owner: Owner,
        /// The container's root, or of what it is made. They are opened before, since who starts it
        /// may pass directories that the container's root may not.
        root: Vec<CString>,
    },
    /// The supervisor does it, since the process has only the privileges of its user namespace.
    Outside(KernelStep),
}

/// Returns the steps by which a process enters the users of another and creates the one that stays,
/// which is born there: only then are its own namespaces theirs. None comes back from there, so
/// this is not done by the supervisor.
pub(super) fn enter(spec: &Spec) -> Vec<Step> {
    if !spec.namespaces.shares(Space::User) {
        return Vec::new();
    }
    // In the order of `Space`: the others may belong to these users.
    let mut steps: Vec<Step> = enter_shared(spec, |it| !SHARED_INSIDE.contains(&it)).collect();
    let namespaces = spec.namespaces.at_birth() as i32;
    steps.extend([Step::Appear { namespaces, awaited: true }, Step::DieWithSupervisor]);
    steps
}

/// Returns the steps that make a user namespace of its own usable.
pub(super) fn map(spec: &Spec) -> Vec<Step> {
    let own = spec.namespaces.has_own(Space::User);
    let Some(map) = spec.idmap.clone().filter(|_| own) else { return Vec::new() };
    let network = spec.namespaces.has_own(Space::Net).then_some(UserStep::OwnNetwork);
    [UserStep::Map(map)].into_iter().chain(network).map(Step::Users).collect()
}

/// Returns the steps by which the process stops being one of the host's users. What only those may do
/// comes before.
pub(super) fn leave(spec: &Spec) -> Result<Vec<Step>, PlanError> {
    let Some(map) = &spec.idmap else { return Ok(Vec::new()) };
    let owner = setup(&map.value, spec).map_err(PlanError::IdMap)?;
    // A hook could mount it only later.
    let mounts = spec.hooks.all.iter().any(|it| it.value.moment == Moment::PreMount);
    let root = spec.rootfs.as_ref().filter(|_| !mounts);
    let root = root.map_or(Ok(Vec::new()), |it| opened_before(&it.value))?;
    // The change of identity clears the parent-death signal.
    let become_owner = UserStep::Become { owner, root };
    Ok(vec![Step::Users(become_owner), Step::DieWithSupervisor])
}

/// Returns by which ids inside the container is set up.
pub(in crate::engine) fn setup(map: &IdMap, spec: &Spec) -> Result<Owner, IdMapError> {
    map.setup(Owner { uid: spec.init.uid, gid: spec.init.gid })
}

/// Has the supervisor carry out what only the host's root may do.
pub(super) fn outside(spec: &Spec, step: Step) -> Step {
    if let Step::Kernel(it) = &step
        && spec.idmap.is_some()
        && it.needs_host()
    {
        return Step::Users(UserStep::Outside(it.clone()));
    }
    step
}

impl UserStep {
    pub(super) const fn place(&self) -> Option<&ConfigPlace> {
        match self {
            Self::Map(At { place, .. }) => place.as_ref(),
            Self::OwnNetwork | Self::Become { .. } => None,
            Self::Outside(it) => it.place(),
        }
    }
}

impl fmt::Display for UserStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(_) => write!(f, "map its users and groups"),
            Self::OwnNetwork => write!(f, "make a network namespace"),
            Self::Become { owner: Owner { uid, gid }, .. } => {
                write!(f, "become uid {uid}, gid {gid} of its user namespace")
            }
            Self::Outside(it) => it.fmt(f),
        }
    }
}
