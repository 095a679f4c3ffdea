//! The check of this host: what the kernel offers to containers, by observation. Changes nothing.

use std::fmt;
use std::fs;
use std::path::Path;

use nix::errno::Errno;

use crate::engine::cgroup::{Hierarchies, Hierarchy, Version};
use crate::engine::{Host, sys};

/// The file that names the kernel's release, below /proc.
const RELEASE: &str = "sys/kernel/osrelease";

/// One feature that containers can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub feature: &'static str,
    pub status: Status,
    /// What was checked, and the result.
    pub evidence: String,
    /// What does not work without it.
    pub loss: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Present,
    /// Containers run, with the limitation in [`Probe::loss`].
    Missing,
    /// No container can run without it.
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

/// Probes `host`. Features that only a system call can show are those of the kernel that this
/// process runs on.
pub fn probe(host: &Host) -> Vec<Probe> {
    let mut probes = namespaces(host);
    probes.extend(controllers(host));
    probes.extend(kernel(host));
    probes.push(capabilities(host));
    probes
}

/// Name in self/ns, feature, whether it is required, loss.
const NAMESPACES: [(&str, &str, bool, &str); 8] = [
    ("mnt", "mount namespace", true, "containers cannot have files of their own"),
    ("pid", "pid namespace", true, "containers cannot have processes of their own"),
    ("uts", "uts namespace", true, "containers cannot have a host name of their own"),
    ("ipc", "ipc namespace", true, "containers would share the host's message queues"),
    ("net", "network namespace", true, "only lxc.net.0.type = none is possible"),
    ("cgroup", "cgroup namespace", false, "containers see their place in the host's cgroups"),
    ("user", "user namespace", false, "no lxc.idmap, and no containers without root"),
    ("time", "time namespace", false, "no lxc.time.offset"),
];

fn namespaces(host: &Host) -> Vec<Probe> {
    let probe = |(file, feature, needed, loss): (&str, &'static str, bool, &'static str)| {
        let path = host.proc().join("self/ns").join(file);
        path_probe(feature, &path, if needed { Status::Required } else { Status::Missing }, loss)
    };
    NAMESPACES.into_iter().map(probe).collect()
}

/// Controller on v1, on v2, loss.
const CONTROLLERS: [(&str, &str, &str, &str); 7] = [
    ("cgroup cpu", "cpu", "cpu", "no CPU limits"),
    ("cgroup cpuset", "cpuset", "cpuset", "containers cannot be bound to processors"),
    ("cgroup memory", "memory", "memory", "no memory limits and no memory figures"),
    ("cgroup io", "blkio", "io", "no disk I/O limits"),
    ("cgroup pids", "pids", "pids", "a fork bomb inside a container can take down the host"),
    ("cgroup devices", "devices", "", "devices are confined only by BPF (v2)"),
    ("cgroup freezer", "freezer", "", "freeze works only through cgroup.freeze (v2)"),
];

fn controllers(host: &Host) -> Vec<Probe> {
    let hierarchies = Hierarchies::discover(host).unwrap_or_default();
    let seen = |it: &Hierarchy| match it.version {
        Version::V1 => format!("v1 at {}", it.mount.display()),
        Version::V2 => format!("v2 at {}", it.mount.display()),
    };
    let all: Vec<String> = hierarchies.iter().map(seen).collect();
    let loss = "no limits, no figures, no freeze";
    let mut probes = vec![optional("cgroup hierarchies", all, loss)];
    for (feature, v1, v2, loss) in CONTROLLERS {
        let found = hierarchies.iter().find(|it| match it.version {
            Version::V1 => it.controls(v1),
            Version::V2 => it.controls(v2),
        });
        // v2 has these two without a controller.
        let found = found.or_else(|| hierarchies.unified().filter(|_| v2.is_empty()));
        probes.push(optional(feature, found.map(seen), loss));
    }
    let kill = hierarchies
        .unified()
        .and_then(|it| child_with(&it.mount, "cgroup.kill").or_else(|| kernel_kills(host)));
    probes.push(optional("cgroup.kill", kill, "processes are killed one by one"));
    probes
}

/// Finds a cgroup below `mount` that has `file`; the root itself lacks most files.
fn child_with(mount: &Path, file: &str) -> Option<String> {
    let found = fs::read_dir(mount).ok()?.flatten().map(|it| it.path().join(file));
    found.into_iter().find(|it| it.exists()).map(|it| it.display().to_string())
}

/// If there is no cgroup to check, the release decides: cgroup.kill came with Linux 5.14.
fn kernel_kills(host: &Host) -> Option<String> {
    let release = fs::read_to_string(host.proc().join(RELEASE)).ok()?;
    let mut numbers = release.split('.').map_while(|it| it.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next()?);
    (version >= (5, 14)).then(|| format!("Linux {}", release.trim()))
}

fn kernel(host: &Host) -> Vec<Probe> {
    let (missing, proc) = (Status::Missing, host.proc());
    let filters = proc.join("sys/kernel/seccomp/actions_avail");
    let apparmor = Path::new("/sys/kernel/security/apparmor");
    vec![
        path_probe("pressure (PSI)", &proc.join("pressure/cpu"), missing, "no pressure figures"),
        optional("overlayfs", overlay(host), "no overlay roots"),
        path_probe("loop devices", Path::new(LOOP_CONTROL), missing, "no roots in image files"),
        path_probe("seccomp", &filters, missing, "no system call filters"),
        path_probe("AppArmor", apparmor, missing, "lxc.apparmor.* has no effect"),
        call_probe(
            "pidfd",
            sys::pidfd_open(nix::unistd::getpid().as_raw()).err(),
            "a process that ends may be confused with a new one",
        ),
        call_probe("openat2", openat2().err(), "links inside roots are rejected by slower checks"),
        call_probe("mount API", sys::fsopen(c"tmpfs").err(), "no container can be mounted"),
    ]
}

/// Gives out loop devices. Opening it would load the kernel's module.
const LOOP_CONTROL: &str = "/dev/loop-control";

/// Returns where the kernel has overlayfs; a module is loaded by the first mount.
fn overlay(host: &Host) -> Option<String> {
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let known = host.proc().join("filesystems");
    if text(&known).lines().any(|it| it.ends_with("\toverlay")) {
        return Some(known.display().to_string());
    }
    let release = text(&host.proc().join(RELEASE));
    let modules = Path::new("/lib/modules").join(release.trim()).join("modules.dep");
    let has = text(&modules).lines().any(|it| is_module(it, "overlay"));
    has.then(|| format!("{}, loaded on first use", modules.display()))
}

/// Returns whether a line of modules.dep(5) is that of the module `name`, compressed or not.
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

/// The capability that starting containers requires, with its number.
const NEEDED: [(&str, u32); 4] =
    [("chown", 0), ("net_admin", 12), ("sys_chroot", 18), ("sys_admin", 21)];

fn capabilities(host: &Host) -> Probe {
    let status = fs::read_to_string(host.proc().join("self/status")).unwrap_or_default();
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
    result("capabilities", lacking.is_empty(), Status::Required, evidence, loss)
}

fn path_probe(feature: &'static str, path: &Path, absent: Status, loss: &'static str) -> Probe {
    result(feature, path.exists(), absent, path.display().to_string(), loss)
}

fn call_probe(feature: &'static str, error: Option<Errno>, loss: &'static str) -> Probe {
    let evidence = error.map_or("the system call works", Errno::desc);
    result(feature, error.is_none(), Status::Missing, evidence.to_owned(), loss)
}

/// The result for an optional feature.
fn optional(
    feature: &'static str,
    seen: impl IntoIterator<Item = String>,
    loss: &'static str,
) -> Probe {
    let seen: Vec<String> = seen.into_iter().collect();
    let evidence = if seen.is_empty() { "not found".to_owned() } else { seen.join(", ") };
    result(feature, !seen.is_empty(), Status::Missing, evidence, loss)
}

const fn result(
    feature: &'static str,
    present: bool,
    absent: Status,
    evidence: String,
    loss: &'static str,
) -> Probe {
    let status = if present { Status::Present } else { absent };
    Probe { feature, status, evidence, loss }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::made_up::MadeUp;

    #[test]
    fn every_probe_has_its_evidence() {
        let probes = probe(&Host::this());
        assert!(probes.iter().all(|it| !it.evidence.is_empty() && !it.loss.is_empty()));
        let mount = probes.iter().find(|it| it.feature == "mount namespace").unwrap();
        assert_eq!(mount.status, Status::Present);
    }

    #[test]
    fn what_a_host_lacks_is_missing() {
        let machine = MadeUp::new();
        let status = |feature| {
            let probes = probe(&machine.host);
            probes.into_iter().find(|it| it.feature == feature).unwrap().status
        };
        assert_eq!(status("mount namespace"), Status::Required);
        assert_eq!(status("user namespace"), Status::Missing);
        assert_eq!(status("capabilities"), Status::Required);
        assert_eq!(status("cgroup memory"), Status::Present);
        assert_eq!(status("cgroup io"), Status::Missing);
        assert_eq!(status("cgroup devices"), Status::Present);
        assert_eq!(status("overlayfs"), Status::Missing);
        assert_eq!(status("cgroup.kill"), Status::Missing);
        machine.write("proc/self/ns/mnt", "");
        machine.write("proc/self/status", "CapEff:\t000001ffffffffff\n");
        machine.write("proc/filesystems", "nodev\tproc\nnodev\toverlay\n");
        machine.write("proc/sys/kernel/osrelease", "5.14.0-amd64\n");
        assert_eq!(status("mount namespace"), Status::Present);
        assert_eq!(status("capabilities"), Status::Present);
        assert_eq!(status("overlayfs"), Status::Present);
        assert_eq!(status("cgroup.kill"), Status::Present);
    }

    #[test]
    fn a_module_that_is_not_loaded_is_found() {
        let line = "kernel/fs/overlayfs/overlay.ko.xz: kernel/lib/x.ko.xz";
        assert!(is_module(line, "overlay"));
        assert!(is_module("kernel/fs/overlayfs/overlay.ko:", "overlay"));
        assert!(!is_module("kernel/fs/myoverlay.ko:", "overlay"));
    }
}
