//! The check of this host: what the kernel offers to containers, seen and not guessed. Changes
//! nothing.

use std::fmt;
use std::fs;
use std::path::Path;

use nix::errno::Errno;

use super::sys;

/// One thing that containers can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub feature: &'static str,
    pub status: Status,
    /// What was looked at and what it said.
    pub evidence: String,
    /// What does not work without it.
    pub loss: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Present,
    /// Containers run, without what [`Probe::loss`] says.
    Missing,
    /// No container can run.
    Required,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Required => "required, but missing",
        })
    }
}

/// Probes this host.
pub fn host() -> Vec<Probe> {
    let mut probes = namespaces();
    probes.extend(controllers());
    probes.extend(kernel());
    probes.push(capabilities());
    probes
}

/// Name in /proc/self/ns, feature, whether no container runs without it, loss.
const NAMESPACES: [(&str, &str, bool, &str); 8] = [
    ("mnt", "mount namespace", true, "containers cannot have files of their own"),
    ("pid", "pid namespace", true, "containers cannot have processes of their own"),
    ("uts", "uts namespace", true, "containers cannot have a host name"),
    ("ipc", "ipc namespace", true, "containers would share the host's message queues"),
    ("net", "network namespace", true, "only lxc.net.0.type = none is possible"),
    ("cgroup", "cgroup namespace", false, "containers see where on the host they are"),
    ("user", "user namespace", false, "no lxc.idmap, and no containers without root"),
    ("time", "time namespace", false, "no lxc.time.offset"),
];

fn namespaces() -> Vec<Probe> {
    let probe = |(file, feature, needed, loss): (&str, &'static str, bool, &'static str)| {
        let path = format!("/proc/self/ns/{file}");
        path_probe(feature, &path, if needed { Status::Required } else { Status::Missing }, loss)
    };
    NAMESPACES.into_iter().map(probe).collect()
}

/// Controller on v1, on v2, loss.
const CONTROLLERS: [(&str, &str, &str, &str); 7] = [
    ("cgroup cpu", "cpu", "cpu", "no limits of processor time"),
    ("cgroup cpuset", "cpuset", "cpuset", "containers cannot be bound to processors"),
    ("cgroup memory", "memory", "memory", "no limits of memory, and no figures of it"),
    ("cgroup io", "blkio", "io", "no limits of disk traffic"),
    ("cgroup pids", "pids", "pids", "a fork bomb inside reaches the host"),
    ("cgroup devices", "devices", "", "devices are confined by BPF alone (v2)"),
    ("cgroup freezer", "freezer", "", "freeze works through cgroup.freeze alone (v2)"),
];

/// A mounted hierarchy: where, version, controllers.
struct Hierarchy {
    mount: String,
    version: u8,
    controllers: Vec<String>,
}

fn controllers() -> Vec<Probe> {
    let hierarchies = hierarchies();
    let unified = hierarchies.iter().find(|it| it.version == 2);
    let mut probes = vec![probe(
        "cgroup hierarchies",
        !hierarchies.is_empty(),
        Status::Missing,
        hierarchies.iter().map(|it| format!("v{} at {}", it.version, it.mount)).collect(),
        "no limits, no figures, no freeze",
    )];
    for (feature, v1, v2, loss) in CONTROLLERS {
        let found = hierarchies.iter().find(|it| {
            let name = if it.version == 2 { v2 } else { v1 };
            it.controllers.iter().any(|known| known == name)
        });
        // Version 2 has these two without a controller.
        let found = found.or_else(|| unified.filter(|_| v2.is_empty()));
        let evidence = found.map(|it| format!("v{} at {}", it.version, it.mount));
        probes.push(probe(
            feature,
            found.is_some(),
            Status::Missing,
            evidence.into_iter().collect(),
            loss,
        ));
    }
    let kill = unified.and_then(|it| child_with(&it.mount, "cgroup.kill").or_else(kernel_kills));
    let loss = "processes are killed one by one";
    probes.push(probe(
        "cgroup.kill",
        kill.is_some(),
        Status::Missing,
        kill.into_iter().collect(),
        loss,
    ));
    probes
}

/// Finds a cgroup below `mount` that has `file`; the root itself lacks most.
fn child_with(mount: &str, file: &str) -> Option<String> {
    let found = fs::read_dir(mount).ok()?.flatten().map(|it| it.path().join(file));
    found.into_iter().find(|it| it.exists()).map(|it| it.display().to_string())
}

/// Without a cgroup to look into, the release tells: cgroup.kill came with Linux 5.14.
fn kernel_kills() -> Option<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = release.split('.').map_while(|it| it.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next()?);
    (version >= (5, 14)).then(|| format!("Linux {}", release.trim()))
}

fn hierarchies() -> Vec<Hierarchy> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut found = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(mount), Some(fstype), Some(options)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let controllers = match fstype {
            "cgroup" => options.split(',').map(str::to_owned).collect(),
            "cgroup2" => fs::read_to_string(Path::new(mount).join("cgroup.controllers"))
                .unwrap_or_default()
                .split_ascii_whitespace()
                .map(str::to_owned)
                .collect(),
            _ => continue,
        };
        let version = if fstype == "cgroup2" { 2 } else { 1 };
        found.push(Hierarchy { mount: mount.to_owned(), version, controllers });
    }
    found
}

fn kernel() -> Vec<Probe> {
    let overlay = overlay();
    let missing = Status::Missing;
    vec![
        path_probe("pressure (PSI)", "/proc/pressure/cpu", missing, "no pressure figures"),
        probe(
            "overlayfs",
            overlay.is_some(),
            missing,
            overlay.into_iter().collect(),
            "no overlay roots",
        ),
        path_probe(
            "seccomp",
            "/proc/sys/kernel/seccomp/actions_avail",
            missing,
            "no system call filters",
        ),
        path_probe(
            "AppArmor",
            "/sys/kernel/security/apparmor",
            missing,
            "lxc.apparmor.* is without effect",
        ),
        call_probe(
            "pidfd",
            sys::pidfd_open(nix::unistd::getpid().as_raw()).err(),
            "a process that ends may be confused with a new one",
        ),
        call_probe("openat2", openat2().err(), "links inside roots are refused by slower means"),
        call_probe("mount API", sys::fsopen(c"tmpfs").err(), "no container can be mounted"),
    ]
}

/// Says where the kernel has overlayfs; a module is loaded by the first mount.
fn overlay() -> Option<String> {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    if text("/proc/filesystems").lines().any(|it| it.ends_with("\toverlay")) {
        return Some("/proc/filesystems".to_owned());
    }
    let release = text("/proc/sys/kernel/osrelease");
    let modules = format!("/lib/modules/{}/modules.dep", release.trim());
    let has = text(&modules).lines().any(|it| is_module(it, "overlay"));
    has.then(|| format!("{modules}, loaded when it is used"))
}

/// Tells whether a line of modules.dep(5) is that of the module `name`, compressed or not.
fn is_module(line: &str, name: &str) -> bool {
    let path = line.split(':').next().unwrap_or_default();
    let file = path.rsplit('/').next().unwrap_or_default();
    file.split_once(".ko").is_some_and(|(module, _)| module == name)
}

fn openat2() -> nix::Result<()> {
    use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(AT_FDCWD, "/", how).map(drop)
}

/// What starting containers takes, with its number.
const NEEDED: [(&str, u32); 4] =
    [("chown", 0), ("net_admin", 12), ("sys_chroot", 18), ("sys_admin", 21)];

fn capabilities() -> Probe {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|it| it.strip_prefix("CapEff:"))
        .and_then(|it| u64::from_str_radix(it.trim(), 16).ok())
        .unwrap_or_default();
    let lacking: Vec<&str> = NEEDED
        .into_iter()
        .filter(|(_, bit)| mask & (1 << bit) == 0)
        .map(|(name, _)| name)
        .collect();
    let evidence = if lacking.is_empty() {
        format!("CapEff {mask:016x}")
    } else {
        format!("CapEff {mask:016x} lacks {}", lacking.join(", "))
    };
    let loss = "containers cannot be started by this user";
    probe("capabilities", lacking.is_empty(), Status::Required, vec![evidence], loss)
}

fn path_probe(feature: &'static str, path: &str, absent: Status, loss: &'static str) -> Probe {
    probe(feature, Path::new(path).exists(), absent, vec![path.to_owned()], loss)
}

fn call_probe(feature: &'static str, error: Option<Errno>, loss: &'static str) -> Probe {
    let evidence = error.map_or("the system call answers", Errno::desc);
    probe(feature, error.is_none(), Status::Missing, vec![evidence.to_owned()], loss)
}

fn probe(
    feature: &'static str,
    present: bool,
    absent: Status,
    evidence: Vec<String>,
    loss: &'static str,
) -> Probe {
    let status = if present { Status::Present } else { absent };
    let evidence = if evidence.is_empty() { "not found".to_owned() } else { evidence.join(", ") };
    Probe { feature, status, evidence, loss }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_probe_has_its_evidence() {
        let probes = host();
        assert!(probes.iter().all(|it| !it.evidence.is_empty() && !it.loss.is_empty()));
        let mount = probes.iter().find(|it| it.feature == "mount namespace").unwrap();
        assert_eq!(mount.status, Status::Present);
    }

    #[test]
    fn a_module_that_is_not_loaded_is_found() {
        let line = "kernel/fs/overlayfs/overlay.ko.xz: kernel/lib/x.ko.xz";
        assert!(is_module(line, "overlay"));
        assert!(is_module("kernel/fs/overlayfs/overlay.ko:", "overlay"));
        assert!(!is_module("kernel/fs/myoverlay.ko:", "overlay"));
    }
}
