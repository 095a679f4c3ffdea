//! Trials of cgroups, in one group that is made for all of them and removed at the end. They enable no
//! controller: that is left to a start.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::vec;

use super::trial::{self, Tried};
use super::users::sleep;
use crate::engine::Host;
use crate::engine::cgroup::{Cgroup, Hierarchies, Hierarchy, Version};
use crate::engine::running::delegation;
use crate::engine::sys::bpf::{self, Instruction};
use crate::engine::sys::{self, Side, exit_now};
use crate::engine::terms::error::words;

/// What the group is called, before a pid.
const PREFIX: &str = "wharf.probe.";
/// One process is frozen within milliseconds.
const FREEZING: Duration = Duration::from_secs(2);

/// One trial in the group. Returns what was found besides that it works.
pub(super) type GroupTrial = fn(&ProbeGroup) -> io::Result<String>;

/// The results of all trials in their order; none: there was no group to try it in.
pub(super) struct Trials(vec::IntoIter<Option<Tried>>);

impl Trials {
    /// Has a child make a group, and all of `trials` in it.
    pub(super) fn of(host: &Host, trials: impl Iterator<Item = GroupTrial>) -> Self {
        let trials: Vec<GroupTrial> = trials.collect();
        let without = |why: String| {
            let mut all = vec![None; trials.len()];
            // The first is about groups themselves.
            if let Some(first) = all.first_mut() {
                *first = Some(Err(why));
            }
            all
        };
        let all = || match ProbeGroup::make(host) {
            Ok(group) => trials.iter().map(|it| Some(trial::told(it(&group)))).collect(),
            Err(error) => without(words(&error)),
        };
        let tried: Vec<Option<Tried>> = trial::undisturbed(|| {
            trial::in_child(all).unwrap_or_else(|why| {
                // Killed for taking too long, it could not remove its group.
                sweep(&Hierarchies::discover(host).unwrap_or_default());
                without(why)
            })
        });
        Self(tried.into_iter())
    }

    pub(super) fn next(&mut self) -> Option<Tried> {
        self.0.next().flatten()
    }
}

/// A group in each hierarchy where this user may make one.
pub(super) struct ProbeGroup {
    name: String,
    hierarchies: Hierarchies,
    dirs: Vec<(Hierarchy, PathBuf)>,
}

impl ProbeGroup {
    fn make(host: &Host) -> io::Result<Self> {
        delegation::seek(host, "wharf checkconfig");
        let hierarchies = Hierarchies::discover(host).map_err(io::Error::other)?;
        sweep(&hierarchies);
        let name = format!("{PREFIX}{}", std::process::id());
        let mut made = Self { name, hierarchies, dirs: Vec::new() };
        let mut refused = io::Error::other("no hierarchy is mounted");
        for it in made.hierarchies.iter() {
            let dir = it.base.join(&made.name);
            match fs::create_dir(&dir) {
                Ok(()) => {
                    admit(it, &dir);
                    made.dirs.push((it.clone(), dir));
                }
                Err(error) => refused = error,
            }
        }
        if made.dirs.is_empty() { Err(refused) } else { Ok(made) }
    }

    fn find(&self, version: Version, controller: &str) -> Option<(String, &Path)> {
        let mut dirs = self.dirs.iter();
        let (hierarchy, dir) = dirs.find(|(hierarchy, _)| {
            let any = version == Version::V2 && controller.is_empty();
            hierarchy.version == version && (any || hierarchy.controls(controller))
        })?;
        Some((seen(hierarchy), dir))
    }

    fn unified(&self) -> io::Result<&Path> {
        let found = self.find(Version::V2, "").map(|(_, dir)| dir);
        found.ok_or_else(|| io::Error::other("cgroup v2 is not mounted"))
    }
}

/// Lets processes into a new group of v1: with cpuset, none may enter one without processors and
/// memory nodes.
fn admit(hierarchy: &Hierarchy, dir: &Path) {
    if hierarchy.version == Version::V1 && hierarchy.controls("cpuset") {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            _ = fs::read(hierarchy.base.join(file)).and_then(|it| fs::write(dir.join(file), it));
        }
    }
}

impl Drop for ProbeGroup {
    fn drop(&mut self) {
        for (_, dir) in &self.dirs {
            // A process that was killed may still be about to leave.
            remove(dir);
        }
    }
}

/// Removes groups that a trial left when it was killed.
fn sweep(hierarchies: &Hierarchies) {
    let places =
        hierarchies.iter().filter_map(|it| fs::read_dir(&it.base).ok()).flatten().flatten();
    for place in places {
        let name = place.file_name().into_string().unwrap_or_default();
        let pid = name.strip_prefix(PREFIX).and_then(|it| it.parse::<u32>().ok());
        if pid.is_some_and(|it| !Path::new("/proc").join(it.to_string()).exists()) {
            // A process that is frozen on v1 cannot die.
            _ = write(&place.path().join("freezer.state"), "THAWED");
            remove(&place.path());
        }
    }
}

fn remove(dir: &Path) {
    use crate::engine::terms::patience::Patience;
    let mut patience = Patience::until(std::time::Instant::now() + FREEZING);
    while fs::remove_dir(dir).is_err_and(|it| it.raw_os_error() == Some(libc::EBUSY)) {
        if !patience.again() {
            break;
        }
    }
}

fn seen(it: &Hierarchy) -> String {
    match it.version {
        Version::V1 => format!("v1 at {}", it.mount.display()),
        Version::V2 => format!("v2 at {}", it.mount.display()),
    }
}

pub(super) fn places(group: &ProbeGroup) -> io::Result<String> {
    let looked = group.dirs.iter().map(|(it, dir)| fs::metadata(dir).map(|_| seen(it)));
    let all: Vec<String> = looked.collect::<io::Result<_>>()?;
    Ok(all.join(", "))
}

pub(super) fn cpu(group: &ProbeGroup) -> io::Result<String> {
    controller(group, ["cpu", "cpu"], ["cpu.shares", "cpu.weight"])
}

pub(super) fn cpuset(group: &ProbeGroup) -> io::Result<String> {
    controller(group, ["cpuset", "cpuset"], ["cpuset.cpus", "cpuset.cpus"])
}

pub(super) fn memory(group: &ProbeGroup) -> io::Result<String> {
    controller(group, ["memory", "memory"], ["memory.limit_in_bytes", "memory.max"])
}

pub(super) fn io(group: &ProbeGroup) -> io::Result<String> {
    controller(group, ["blkio", "io"], ["blkio.throttle.read_bps_device", "io.max"])
}

pub(super) fn pids(group: &ProbeGroup) -> io::Result<String> {
    controller(group, ["pids", "pids"], ["pids.max", "pids.max"])
}

/// Writes the value that a file of the controller has, if any. On v1 and v2, by their names there.
fn controller(group: &ProbeGroup, names: [&str; 2], files: [&str; 2]) -> io::Result<String> {
    let versions = [Version::V1, Version::V2];
    for ((version, name), file) in versions.into_iter().zip(names).zip(files) {
        let Some((place, dir)) = group.find(version, name) else { continue };
        let file = dir.join(file);
        if version == Version::V2 && !file.exists() {
            return Ok(format!("{place}, which enables it when a container starts"));
        }
        let value = fs::read_to_string(&file)?;
        if !value.trim().is_empty() {
            write(&file, value.trim())?;
        }
        return Ok(place);
    }
    Err(io::Error::other("no hierarchy has the controller"))
}

pub(super) fn devices(group: &ProbeGroup) -> io::Result<String> {
    if let Some((place, dir)) = group.find(Version::V1, "devices") {
        write(&dir.join("devices.deny"), "a")?;
        return Ok(place);
    }
    let dir = File::open(group.unified()?)?;
    let program = bpf::load_device_program(&[Instruction::set(0, 1), Instruction::EXIT])?;
    bpf::attach_device_program(dir.as_fd(), program.as_fd(), None)?;
    Ok("by BPF".to_owned())
}

pub(super) fn freeze(group: &ProbeGroup) -> io::Result<String> {
    let old = group.find(Version::V1, "freezer");
    let process = Sleeper::in_group(group)?;
    if let Some((_, dir)) = &old {
        write(&dir.join("cgroup.procs"), &process.pid.to_string())?;
    }
    let cgroup = Cgroup::open(&group.hierarchies, &group.name.as_str().into());
    cgroup.freeze(FREEZING).map_err(io::Error::other)?;
    cgroup.thaw(FREEZING).map_err(io::Error::other)?;
    Ok(old.or_else(|| group.find(Version::V2, "")).map(|(place, _)| place).unwrap_or_default())
}

pub(super) fn kill(group: &ProbeGroup) -> io::Result<String> {
    let dir = group.unified()?;
    let process = Sleeper::in_group(group)?;
    write(&dir.join("cgroup.kill"), "1")?;
    sys::wait_for(process.pidfd.as_fd())?;
    Ok(String::new())
}

pub(super) fn born(group: &ProbeGroup) -> io::Result<String> {
    match sys::clone3(0, Some(open_dir(group.unified()?)?.as_fd()))? {
        Side::Child => exit_now(0),
        Side::Parent { pidfd, .. } => sys::wait_for(pidfd.as_fd())?,
    };
    Ok(String::new())
}

/// A process that sleeps in the v2 group, if there is one, until this is dropped.
struct Sleeper {
    pid: i32,
    pidfd: OwnedFd,
}

impl Sleeper {
    fn in_group(group: &ProbeGroup) -> io::Result<Self> {
        let dir = group.unified().ok().map(open_dir).transpose()?;
        match sys::clone3(0, dir.as_ref().map(OwnedFd::as_fd))? {
            Side::Parent { pid, pidfd } => Ok(Self { pid, pidfd }),
            Side::Child => sleep(),
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        _ = sys::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL);
        // Only one that is reaped leaves the group.
        _ = sys::wait_for(self.pidfd.as_fd());
    }
}

fn open_dir(dir: &Path) -> io::Result<OwnedFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    File::options().read(true).custom_flags(flags).open(dir).map(Into::into)
}

fn write(file: &Path, value: &str) -> io::Result<()> {
    File::options().write(true).open(file)?.write_all(value.as_bytes())
}
