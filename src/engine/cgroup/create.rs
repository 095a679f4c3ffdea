//! Creates and removes a container's groups, in every hierarchy or in none.

use std::fs::DirBuilder;
use std::io;
use std::iter;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::file::write_once;
use super::hand_down::{enable, is_crowded};
use super::kill::pids_below;
use super::{
    Cgroup, CgroupError, Group, GroupPath, Hierarchies, Hierarchy, Version, control, mark,
};
use crate::engine::host::short::text_at_once;
use crate::engine::terms::patience::Patience;

/// LXC's highest suffix for a name that is taken.
const LAST_SUFFIX: u16 = 999;
/// How long dying processes may keep a group busy before its removal counts as failed.
const REAPING: Duration = Duration::from_secs(5);
const MODE: u32 = 0o755;
/// How often a parent may vanish.
const ROUNDS: usize = 8;

impl Cgroup {
    /// Creates the group `name` (such as `lxc.payload.web`) in every hierarchy, or in none.
    ///
    /// A dead group of that name is removed first; if a live one has it, `-1` to `-999` is
    /// appended, as LXC does. Hierarchies that this process may not write are left out.
    pub fn create(hierarchies: &Hierarchies, name: &str) -> Result<Self, CgroupError> {
        Self::create_named(hierarchies, name, Naming::Suffixed)
    }

    /// The same; a name that is [`Naming::Exact`] must not exist.
    pub(in crate::engine) fn create_named(
        hierarchies: &Hierarchies,
        name: &str,
        naming: Naming,
    ) -> Result<Self, CgroupError> {
        let parts = name.split('/');
        if name.is_empty() || parts.clone().any(|it| matches!(it, "" | "." | "..")) {
            return Err(CgroupError::Path(name.to_owned()));
        }
        let is_free = |name: &str| hierarchies.iter().all(|it| free(it, name, naming));
        for name in Self::names(name, naming) {
            let mut tried = Self::tried(hierarchies, &name)?;
            // Most names are free, so nothing is asked before the mkdir says otherwise.
            if tried.is_none() && is_free(&name) {
                tried = Self::tried(hierarchies, &name)?;
            }
            if let Some(made) = tried {
                return Ok(made);
            }
        }
        Err(match naming {
            Naming::Suffixed => CgroupError::Taken(name.to_owned()),
            Naming::Exact => CgroupError::Foreign(place(hierarchies, name)),
        })
    }

    /// Returns the names that [`Self::create`] tries, in its order.
    pub(in crate::engine) fn names(name: &str, naming: Naming) -> impl Iterator<Item = String> {
        let last = if naming == Naming::Exact { 0 } else { LAST_SUFFIX };
        let suffixed = (1..=last).map(move |it| format!("{name}-{it}"));
        iter::once(name.to_owned()).chain(suffixed)
    }

    /// Creates the group `name` below it in every hierarchy, for its processes, so that its limits
    /// are outside of what they see.
    pub(in crate::engine) fn create_inner(&self, name: &str) -> Result<Self, CgroupError> {
        let mut groups = Vec::new();
        for Group { hierarchy, dir, .. } in &self.groups {
            if hierarchy.version == Version::V2 {
                enable(dir);
            }
            let dir = dir.join(name);
            make(&dir).map_err(|errno| CgroupError::Create { dir: dir.clone(), errno })?;
            prepare(hierarchy, &dir)?;
            groups.push(Group::of(hierarchy, dir));
        }
        Ok(Self { path: self.path.join(name), groups })
    }

    /// Creates the groups; none if one of that name exists.
    fn tried(hierarchies: &Hierarchies, name: &str) -> Result<Option<Self>, CgroupError> {
        let mut made = CreatedDirs::default();
        match made.all(hierarchies, name) {
            Ok(groups) => {
                made.dirs.clear();
                Self::made(groups, hierarchies, made.refusal.take()).map(Some)
            }
            Err(CgroupError::Create { errno, .. })
                if errno.kind() == io::ErrorKind::AlreadyExists =>
            {
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    fn made(
        groups: Vec<Group>,
        hierarchies: &Hierarchies,
        refusal: Option<io::Error>,
    ) -> Result<Self, CgroupError> {
        if groups.is_empty() {
            let bases = hierarchies.iter().map(|it| it.base.display().to_string());
            let errno = refusal.unwrap_or_else(|| io::Error::from_raw_os_error(libc::EACCES));
            let base = bases.collect::<Vec<_>>().join(", ");
            return Err(CgroupError::Unwritable { base, errno });
        }
        let each = groups.iter().map(|it| (it.hierarchy.key(), it.hierarchy.path_of(&it.dir)));
        Ok(Self { path: GroupPath::of(each), groups })
    }

    /// Removes the groups that contain nothing; returns whether those are all. The kernel
    /// refuses it for others, so that no file has to be read first.
    pub(in crate::engine) fn remove_empty(&self) -> bool {
        let gone = |dir: &Path| match std::fs::remove_dir(dir) {
            Err(errno) => errno.kind() == io::ErrorKind::NotFound,
            Ok(()) => true,
        };
        // All are tried.
        self.groups.iter().rev().filter(|it| !gone(&it.dir)).count() == 0
    }

    /// Removes the groups and all groups below them. Their processes must be dead or dying.
    pub fn remove(&self) -> Result<(), CgroupError> {
        let mut patience = Patience::until(Instant::now() + REAPING);
        let mut first_failure = Ok(());
        // A group that cannot be removed must not prevent the removal of the others.
        for group in self.groups.iter().rev() {
            let removed = remove_patiently(&group.dir, &mut patience)
                .map_err(|errno| CgroupError::Remove { dir: group.dir.clone(), errno });
            first_failure = first_failure.and(removed);
        }
        first_failure
    }
}

/// What is done about a name that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Naming {
    /// A dead group makes room, and a live one has the next name tried.
    Suffixed,
    /// The start is refused.
    Exact,
}

/// The directories created so far; those still in it on drop are removed again.
#[derive(Debug, Default)]
struct CreatedDirs {
    dirs: Vec<PathBuf>,
    /// Why a hierarchy was left out.
    refusal: Option<io::Error>,
}

impl CreatedDirs {
    fn all(&mut self, hierarchies: &Hierarchies, name: &str) -> Result<Vec<Group>, CgroupError> {
        let mut groups = Vec::new();
        for hierarchy in hierarchies.iter() {
            let before = self.dirs.len();
            match self.one(hierarchy, name) {
                Ok(dir) => groups.push(Group::of(hierarchy, dir)),
                Err(CgroupError::Create { errno, .. }) if forbidden(&errno) => {
                    remove_dirs(self.dirs.split_off(before));
                    self.refusal = Some(errno);
                }
                Err(other) => return Err(other),
            }
        }
        Ok(groups)
    }

    /// Creates the group and the parents that `name` implies in one hierarchy. Another container
    /// that ends may remove a parent that both have.
    fn one(&mut self, hierarchy: &Hierarchy, name: &str) -> Result<PathBuf, CgroupError> {
        for _ in 1..ROUNDS {
            match self.once(hierarchy, name) {
                Err(CgroupError::Create { errno, .. })
                    if errno.kind() == io::ErrorKind::NotFound => {}
                done => return done,
            }
        }
        self.once(hierarchy, name)
    }

    fn once(&mut self, hierarchy: &Hierarchy, name: &str) -> Result<PathBuf, CgroupError> {
        let mut dir = hierarchy.base.clone();
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            // Only where wharf itself lives are processes moved out of the way.
            let may = dir == hierarchy.base || !is_crowded(&dir);
            if hierarchy.version == Version::V2 && may {
                enable(&dir);
            }
            dir.push(part);
            match make(&dir) {
                Ok(()) => self.dirs.push(dir.clone()),
                Err(errno) if errno.kind() == io::ErrorKind::AlreadyExists && !is_last => continue,
                Err(errno) => return Err(CgroupError::Create { dir, errno }),
            }
            if !is_last {
                mark::set(&dir);
            }
            prepare(hierarchy, &dir)?;
        }
        Ok(dir)
    }
}

/// Returns where the group `name` exists, or else where it would be first.
fn place(hierarchies: &Hierarchies, name: &str) -> PathBuf {
    let places: Vec<PathBuf> = hierarchies.iter().map(|it| it.base.join(name)).collect();
    let found = places.iter().find(|it| it.exists()).or_else(|| places.first());
    found.cloned().unwrap_or_default()
}

fn make(dir: &Path) -> io::Result<()> {
    DirBuilder::new().mode(MODE).create(dir)
}

impl Drop for CreatedDirs {
    fn drop(&mut self) {
        remove_dirs(std::mem::take(&mut self.dirs));
    }
}

/// Removes what was just created, in reverse order.
fn remove_dirs(dirs: Vec<PathBuf>) {
    for dir in dirs.iter().rev() {
        // Best effort: a group that someone else populated meanwhile stays.
        _ = std::fs::remove_dir(dir);
    }
}

/// Prepares a v1 group so that a process may join it.
fn prepare(hierarchy: &Hierarchy, dir: &Path) -> Result<(), CgroupError> {
    if hierarchy.version == Version::V2 {
        return Ok(());
    }
    if hierarchy.controls("cpuset") {
        control::fill_cpuset(dir, &hierarchy.mount)
            .map_err(|errno| CgroupError::Create { dir: dir.to_path_buf(), errno })?;
    }
    if hierarchy.controls("memory") {
        // Groups that a container creates inside count towards its limit. Kernels from 5.11 on
        // always do this; older ones need the flag while the group has no children.
        let file = dir.join("memory.use_hierarchy");
        if text_at_once(&file).is_ok_and(|it| it.starts_with('0')) {
            _ = write_once(&file, b"1");
        }
    }
    Ok(())
}

/// Returns whether `name` can be created in this hierarchy, removing a dead group of that name.
fn free(hierarchy: &Hierarchy, name: &str, naming: Naming) -> bool {
    let dir = hierarchy.base.join(name);
    !dir.is_dir()
        || naming == Naming::Suffixed
            && pids_below(&dir).is_ok_and(|it| it.is_empty())
            && control::clear(&dir, &hierarchy.mount).is_ok()
}

/// Removes `dir` and all below it, retrying while dying processes keep it busy.
fn remove_patiently(dir: &Path, patience: &mut Patience) -> io::Result<()> {
    loop {
        match remove_tree(dir) {
            Err(errno) if errno.raw_os_error() == Some(libc::EBUSY) && patience.again() => (),
            done => return done,
        }
    }
}

/// Removes `dir` and the groups below it, deepest first. One that no longer exists is fine.
fn remove_tree(dir: &Path) -> io::Result<()> {
    let absent = |it: &io::Error| it.kind() == io::ErrorKind::NotFound;
    match std::fs::remove_dir(dir) {
        Err(errno) if errno.raw_os_error() == Some(libc::EBUSY) => {}
        Err(errno) if absent(&errno) => return Ok(()),
        done => return done,
    }
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(dir).or_else(|errno| if absent(&errno) { Ok(()) } else { Err(errno) })
}

fn forbidden(errno: &io::Error) -> bool {
    matches!(errno.raw_os_error(), Some(libc::EACCES | libc::EPERM | libc::EROFS))
}
