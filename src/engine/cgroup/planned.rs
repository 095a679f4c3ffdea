//! What is decided about the groups of a run before any is made: a record of it lets the next
//! command clean up, at whatever moment the supervisor is killed.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::create::Naming;
use super::hand_down::members;
use super::{Cgroup, CgroupError, GroupPath, Hierarchies, mark};
use crate::engine::terms::groups::{monitor, payload};
use crate::engine::terms::name::Name;
use crate::engine::terms::patience::Patience;
use crate::engine::terms::spec::{At, GroupNames};

/// How long the group of the container's last supervisor may take to be removed.
const LEAVING: Duration = Duration::from_secs(5);

/// The groups that a run makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct PlannedGroups {
    payload: String,
    monitor: String,
    inner: Option<String>,
    exact: bool,
    /// The groups below which they are made.
    #[serde(default)]
    bases: GroupPath,
    /// The directories above them that wharf has made or will make, outermost first.
    above: Vec<PathBuf>,
}

/// What the container's last run had, which it may still be leaving.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct PastGroups {
    /// The inodes of its supervisor's groups.
    pub monitor: Vec<u64>,
    pub planned: Option<PlannedGroups>,
}

impl PastGroups {
    fn made(&self, dir: &Path) -> bool {
        self.planned.as_ref().is_some_and(|it| it.above.iter().any(|it| it == dir))
    }
}

impl PlannedGroups {
    /// Returns LXC's names.
    pub(in crate::engine) fn usual(container: &Name) -> Self {
        let (payload, monitor) = (payload(container), monitor(container));
        let (bases, above) = (GroupPath::NONE, Vec::new());
        Self { payload, monitor, inner: None, exact: false, bases, above }
    }

    /// Decides where the groups are, unless somebody else is there.
    pub(in crate::engine) fn of(
        names: &GroupNames,
        hierarchies: &Hierarchies,
        past: &PastGroups,
    ) -> Result<Self, CgroupError> {
        let mut planned = Self {
            payload: names.payload.value.clone(),
            monitor: names.monitor.value.clone(),
            inner: names.inner.clone(),
            exact: names.exact,
            bases: hierarchies.bases(),
            above: Vec::new(),
        };
        planned.look(names, &names.payload, (hierarchies, past))?;
        planned.look(names, &names.monitor, (hierarchies, past))?;
        Ok(planned)
    }

    /// The same for the next run of a supervisor, which stays where it is.
    pub(in crate::engine) fn again(
        self,
        names: &GroupNames,
        hierarchies: &Hierarchies,
    ) -> Result<Self, CgroupError> {
        let payload = names.payload.value.clone();
        let inner = names.inner.clone();
        let mut planned = Self { payload, inner, exact: names.exact, ..self };
        planned.look(names, &names.payload, (hierarchies, &PastGroups::default()))?;
        Ok(planned)
    }

    fn look(
        &mut self,
        names: &GroupNames,
        name: &At<String>,
        (hierarchies, past): (&Hierarchies, &PastGroups),
    ) -> Result<(), CgroupError> {
        for hierarchy in hierarchies.iter() {
            let found = self.look_in(&hierarchy.base, &name.value, past);
            found.map_err(|why| blame(names, name, why))?;
        }
        Ok(())
    }

    fn look_in(&mut self, base: &Path, name: &str, past: &PastGroups) -> Result<(), CgroupError> {
        let whole = base.join(name);
        let above: Vec<&Path> = whole.ancestors().skip(1).take_while(|it| *it != base).collect();
        above.into_iter().rev().try_for_each(|it| self.pass(it, past))?;
        if self.exact && !leaves(&whole, &past.monitor) {
            return Err(CgroupError::Foreign(whole));
        }
        Ok(())
    }

    /// Goes through the parent `dir`.
    fn pass(&mut self, dir: &Path, past: &PastGroups) -> Result<(), CgroupError> {
        if !members(dir).is_empty() {
            return Err(CgroupError::Crowded(dir.to_path_buf()));
        }
        let made = !dir.exists() || past.made(dir) || mark::has(dir);
        if made && !self.above.iter().any(|it| it == dir) {
            self.above.push(dir.to_path_buf());
        }
        Ok(())
    }

    /// Creates the group of the limits.
    pub(in crate::engine) fn create_payload(
        &self,
        names: &GroupNames,
        hierarchies: &Hierarchies,
    ) -> Result<Cgroup, CgroupError> {
        let made = Cgroup::create_named(hierarchies, &self.payload, self.naming());
        made.map_err(|why| blame(names, &names.payload, why))
    }

    /// Creates the supervisor's own.
    pub(in crate::engine) fn create_monitor(
        &self,
        hierarchies: &Hierarchies,
    ) -> Result<Cgroup, CgroupError> {
        Cgroup::create_named(hierarchies, &self.monitor, self.naming())
    }

    /// Creates the group of the processes in that of the limits, if it is one of its own.
    pub(in crate::engine) fn create_inner(&self, cgroup: &Cgroup) -> Result<Cgroup, CgroupError> {
        self.inner.as_ref().map_or_else(|| Ok(cgroup.clone()), |it| cgroup.create_inner(it))
    }

    /// Returns the path of the processes' group, where `limits` is that of the limits.
    pub(in crate::engine) fn processes(&self, limits: &GroupPath) -> GroupPath {
        self.inner.as_ref().map_or_else(|| limits.clone(), |it| limits.join(it))
    }

    /// Returns the groups below which they are made.
    pub(in crate::engine) const fn bases(&self) -> &GroupPath {
        &self.bases
    }

    /// Lists where the groups may have been made.
    pub(in crate::engine) fn payloads(&self) -> impl Iterator<Item = GroupPath> {
        Cgroup::names(&self.payload, self.naming()).map(|it| self.bases.join(&it))
    }

    /// The same for the supervisor's.
    pub(in crate::engine) fn monitors(&self) -> impl Iterator<Item = GroupPath> {
        Cgroup::names(&self.monitor, self.naming()).map(|it| self.bases.join(&it))
    }

    /// Removes the directories above that wharf made, unless somebody else uses them.
    pub(in crate::engine) fn remove_above(&self) {
        for dir in self.above.iter().rev() {
            _ = std::fs::remove_dir(dir);
        }
    }

    const fn naming(&self) -> Naming {
        if self.exact { Naming::Exact } else { Naming::Suffixed }
    }
}

/// Returns whether nothing is at `dir`, once what is the container's own has gone.
fn leaves(dir: &Path, own: &[u64]) -> bool {
    let mut patience = Patience::until(Instant::now() + LEAVING);
    loop {
        let Ok(found) = std::fs::symlink_metadata(dir) else { return true };
        if !own.contains(&found.ino()) || !patience.again() {
            return false;
        }
    }
}

/// Names the line that has the name, if one has it.
fn blame(names: &GroupNames, name: &At<String>, source: CgroupError) -> CgroupError {
    let Some(place) = &name.place else { return source };
    let key = match (names.exact, *name == names.payload) {
        (true, true) => "lxc.cgroup.dir.container",
        (true, false) => "lxc.cgroup.dir.monitor",
        (false, _) => "lxc.cgroup.dir",
    };
    let (key, place) = (key.to_owned(), Some(place.clone()));
    CgroupError::Setting { key, place, source: Box::new(source) }
}
