//! What CRIU is told, in LXC's words and order, so that either restores what the other has saved.
//! Pure.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::engine::cgroup::Cgroup;
use crate::engine::entry::host_steps::HostStep;
use crate::engine::terms::label::SecurityModule;
use crate::engine::terms::nic::NicKind;
use crate::engine::terms::spec::{At, Mount, Spec};

/// What each call gets.
const COMMON: [&str; 12] = [
    "--tcp-established",
    "--file-locks",
    "--link-remap",
    "--manage-cgroups=full",
    "--ext-mount-map",
    "auto",
    "--enable-external-sharing",
    "--enable-external-masters",
    "--enable-fs",
    "hugetlbfs",
    "--enable-fs",
    "tracefs",
];
/// The key of the console's mount in the files.
const CONSOLE: &str = "console";

/// What both directions need to know.
#[derive(Debug)]
pub(in crate::engine) struct Calling<'a> {
    pub(in crate::engine) spec: &'a Spec,
    pub(in crate::engine) dir: &'a Path,
    /// The group with its limits.
    pub(in crate::engine) cgroup: &'a Cgroup,
    pub(in crate::engine) verbose: bool,
    pub(in crate::engine) action_script: Option<&'a Path>,
}

/// What a container is saved by.
#[derive(Debug)]
pub(in crate::engine) struct Dumping<'a> {
    /// Only its memory, while it runs.
    pub(in crate::engine) in_advance: bool,
    pub(in crate::engine) init: i32,
    /// What freezes its processes.
    pub(in crate::engine) freezer: &'a Path,
    /// As `tty[…]`; none: it has none.
    pub(in crate::engine) console: Option<&'a str>,
    /// The directory of what was saved in advance, relative to that of the checkpoint.
    pub(in crate::engine) previous: Option<&'a Path>,
    pub(in crate::engine) stop: bool,
}

/// The console of a container that is made again.
#[derive(Debug)]
pub(in crate::engine) struct ConsoleEnd<'a> {
    pub(in crate::engine) tty: &'a str,
    /// The descriptor of the process that becomes CRIU.
    pub(in crate::engine) fd: i32,
    /// `/dev/pts/N`.
    pub(in crate::engine) path: &'a str,
}

/// Returns the file in which a call says what it does.
pub(in crate::engine) fn log_of(dir: &Path, act: &str) -> PathBuf {
    dir.join(format!("{act}.log"))
}

/// Returns CRIU's word for saving.
pub(in crate::engine) const fn act_of(in_advance: bool) -> &'static str {
    if in_advance { "pre-dump" } else { "dump" }
}

/// Lists the arguments that save a container.
pub(in crate::engine) fn dump(call: &Calling<'_>, dump: &Dumping<'_>) -> Vec<OsString> {
    let mut all = common(act_of(dump.in_advance), call);
    for Mount { target, .. } in bound(call.spec) {
        let target = target.display();
        push(&mut all, "--ext-mount-map", format!("/{target}:{target}"));
    }
    push(&mut all, "-t", dump.init.to_string());
    all.push("--skip-in-flight".into());
    push(&mut all, "--freeze-cgroup", dump.freezer);
    if let Some(tty) = dump.console {
        let place = call.spec.tty_dir.as_ref().map_or_else(String::new, |it| format!("{it}/"));
        push(&mut all, "--ext-mount-map", format!("/dev/{place}console:{CONSOLE}"));
        push(&mut all, "--external", tty);
    }
    if let Some(previous) = dump.previous {
        push(&mut all, "--prev-images-dir", previous);
        all.push("--track-mem".into());
    }
    all.push("--force-irmap".into());
    if !dump.in_advance && !dump.stop {
        all.push("--leave-running".into());
    }
    all
}

/// Lists the arguments that make it again. `steps`: what is done on the host for it, which names its
/// ends of pairs.
pub(in crate::engine) fn restore(
    call: &Calling<'_>,
    root: &Path,
    console: Option<&ConsoleEnd<'_>>,
    steps: &[At<HostStep>],
) -> Vec<OsString> {
    let mut all = common("restore", call);
    for Mount { target, source, .. } in bound(call.spec) {
        push(&mut all, "--ext-mount-map", format!("{}:{source}", target.display()));
    }
    push(&mut all, "--root", root);
    all.extend(["--restore-detached".into(), "--restore-sibling".into()]);
    if let Some(ConsoleEnd { tty, fd, path }) = console {
        push(&mut all, "--inherit-fd", format!("fd[{fd}]:{tty}"));
        push(&mut all, "--ext-mount-map", format!("{CONSOLE}:{path}"));
    }
    if let Some(At { value: label, .. }) = &call.spec.label {
        let module = match label.module {
            SecurityModule::AppArmor => "apparmor",
            SecurityModule::SeLinux => "selinux",
        };
        push(&mut all, "--lsm-profile", format!("{module}:{}", label.name));
    }
    for At { value: nic, .. } in &call.spec.nics {
        let name = &nic.name;
        let link = nic.link.as_deref().unwrap_or_default();
        let told = match &nic.kind {
            // Its end on the host is connected as at a start, which knows more than CRIU.
            NicKind::Veth(_) => steps
                .iter()
                .find_map(|it| it.value.host_end(nic.index))
                .map(|end| format!("veth[{name}]:{end}")),
            NicKind::Macvlan(_) => Some(format!("macvlan[{name}]:{link}")),
            NicKind::Empty | NicKind::Ipvlan(..) | NicKind::Vlan(_) | NicKind::Phys => None,
        };
        if let Some(told) = told {
            push(&mut all, "--external", told);
        }
    }
    all
}

fn common(act: &str, call: &Calling<'_>) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec![act.into()];
    all.extend(COMMON.map(OsString::from));
    push(&mut all, "-D", call.dir);
    push(&mut all, "-o", log_of(call.dir, act));
    for root in call.cgroup.roots() {
        push(&mut all, "--cgroup-root", root);
    }
    if call.verbose {
        all.push("-v4".into());
    }
    if let Some(script) = call.action_script {
        push(&mut all, "--action-script", script);
    }
    all
}

fn push(all: &mut Vec<OsString>, option: &str, value: impl Into<OsString>) {
    all.extend([option.into(), value.into()]);
}

/// Lists what is mounted in the container from the host.
fn bound(spec: &Spec) -> impl Iterator<Item = &Mount> {
    let is_bound = |it: &&Mount| {
        let changes = it.flags & libc::MS_REMOUNT != 0;
        it.flags & libc::MS_BIND != 0 && !changes && !it.relative
    };
    spec.mounts.iter().map(|it| &it.value).filter(is_bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config;

    fn spec(lines: &str) -> Spec {
        let (name, file) = ("web".parse().unwrap(), Path::new("/lxc/web/config"));
        let text = format!("lxc.rootfs.path = dir:/srv\n{lines}");
        let config = config::parse(&name, Path::new("/lxc"), text.as_bytes(), file, &[]).unwrap();
        let mut spec = config.spec().unwrap();
        spec.nics = config.nics().unwrap();
        spec
    }

    fn told(arguments: Vec<OsString>) -> String {
        let words: Vec<_> = arguments.iter().map(|it| it.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn a_mount_and_the_console_are_named_in_both_directions() {
        let spec = spec("lxc.mount.entry = /usr data none bind,create=dir 0 0\n");
        let cgroup = Cgroup::none();
        let dir = Path::new("/var/cp");
        let call =
            Calling { spec: &spec, dir, cgroup: &cgroup, verbose: true, action_script: None };
        let dumping = Dumping {
            in_advance: false,
            init: 7,
            freezer: Path::new("/sys/fs/cgroup/lxc.payload.web"),
            console: Some("tty[8800:1f]"),
            previous: None,
            stop: false,
        };
        let saved = told(dump(&call, &dumping));
        assert!(saved.starts_with("dump --tcp-established --file-locks"), "{saved}");
        assert!(saved.contains("-D /var/cp -o /var/cp/dump.log -v4 --ext-mount-map /data:data"));
        assert!(saved.ends_with(
            "-t 7 --skip-in-flight --freeze-cgroup /sys/fs/cgroup/lxc.payload.web --ext-mount-map \
             /dev/console:console --external tty[8800:1f] --force-irmap --leave-running"
        ));
        let end = ConsoleEnd { tty: "tty[8800:1f]", fd: 9, path: "/dev/pts/3" };
        let made = told(restore(&call, Path::new("/run/root"), Some(&end), &[]));
        assert!(made.contains("--ext-mount-map data:/usr --root /run/root"), "{made}");
        assert!(made.contains(
            "--restore-detached --restore-sibling --inherit-fd fd[9]:tty[8800:1f] \
             --ext-mount-map console:/dev/pts/3"
        ));
    }
}
