//! `start --dry-run` beside the start that it tells of, for each kind of root.

use std::collections::BTreeSet;
use std::fs;

use crate::support::rootfs::{EXT4, image};
use crate::support::{Lxcpath, can_run_containers, rootfs};

/// What the steps of `start --dry-run` say will be mounted, by target; what is mounted with proc, with
/// sysfs and with the nodes of /dev is theirs.
fn announced(steps: &[&str]) -> BTreeSet<String> {
    let mut targets = BTreeSet::new();
    for step in steps {
        let on = step.strip_prefix("mount ").and_then(|it| it.split_once(" on "));
        let named = match (on, *step) {
            (Some((_, targets)), _) => targets.to_owned(),
            (None, "make /dev") => "/dev".to_owned(),
            (None, "make /dev/tty1 to /dev/tty2") => "/dev/tty1, /dev/tty2".to_owned(),
            (None, step) if step.starts_with("lxc.rootfs.path ") => "/".to_owned(),
            (None, "make /dev/console" | "make /dev/ptmx") => step.replace("make ", ""),
            (None, _) => continue,
        };
        targets.extend(named.split(", ").map(str::to_owned));
    }
    targets
}

/// The mounts that `pid` has and this process has not.
fn mounted(pid: &str) -> BTreeSet<String> {
    const NODES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];
    let part = |it: &str| {
        let node = it.strip_prefix("/dev/").is_some_and(|it| NODES.contains(&it));
        node || it.starts_with("/proc/") || it.starts_with("/sys/")
    };
    let table = |pid: &str| {
        let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        let line = |it: &str| {
            let words: Vec<&str> = it.split(' ').collect();
            let target = words[4].to_owned();
            ((words[2].to_owned(), words[3].to_owned(), target.clone()), target)
        };
        table.lines().map(line).collect::<Vec<_>>()
    };
    let ours: BTreeSet<_> = table("self").into_iter().map(|(mount, _)| mount).collect();
    let theirs = table(pid).into_iter().filter(|(mount, _)| !ours.contains(mount));
    theirs.map(|(_, target)| target).filter(|it| !part(it)).collect()
}

#[test]
fn a_dry_run_says_what_a_start_does() {
    let (lxcpath, base) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    if !can_run_containers() || !rootfs::busybox(base.path()) {
        return;
    }
    let (base, upper) = (base.path(), lxcpath.path().join("up"));
    let mut roots = vec![
        ("dir", format!("dir:{}", base.display())),
        ("over", format!("overlay:{}:{}", base.display(), upper.display())),
        ("none", String::new()),
    ];
    let images = [("ext", &EXT4[..]), ("btr", &["mkfs.btrfs", "-q", "-r", "{dir}", "{image}"])];
    for (word, command) in images {
        let made = image(base, lxcpath.path(), command);
        roots.extend(made.map(|it| (word, format!("loop:{}", it.display()))));
    }
    let more = [
        "lxc.uts.name=inside",
        "lxc.cgroup.pids.max=77",
        "lxc.cgroup2.pids.max=77",
        "lxc.tty.max=2",
        "lxc.init.uid=1000",
        "lxc.init.gid=1001",
        "lxc.init.cwd=/tmp",
    ];
    let own =
        ["lxc.mount.auto=proc sys:ro", "lxc.mount.entry=none mnt tmpfs size=1m,create=dir 0 0"];
    for (word, root) in &roots {
        let name = lxcpath.name(word);
        let hosts = if root.is_empty() { &["lxc.autodev=0"][..] } else { &own };
        fs::create_dir(lxcpath.path().join(&name)).unwrap();
        let root = if root.is_empty() { root } else { &format!("lxc.rootfs.path={root}") };
        let lines = [&[root.as_str()][..], &more[..], hosts].concat();
        fs::write(lxcpath.path().join(&name).join("config"), lines.join("\n")).unwrap();
        let said = lxcpath.ok(&["start", &name, "--dry-run", "--", "/bin/sleep", "1000"]);
        assert!(*word != "over" || !upper.exists(), "{said}");
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = said.replace(" In the new process: ", "; ").replace(" On the host: ", "; ");
        let steps: Vec<&str> = said.trim_start_matches("On the host: ").split("; ").collect();
        lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
        let pid = lxcpath.ok(&["info", "-pH", &name]).trim().to_owned();
        assert_eq!(mounted(&pid), announced(&steps), "{word}: {said}");
        compare(&lxcpath, &name, &pid, &steps);
        lxcpath.ok(&["stop", "-k", &name]);
    }
}

/// Compares what a running container is with the steps of its `start --dry-run`.
fn compare(lxcpath: &Lxcpath, name: &str, pid: &str, steps: &[&str]) {
    let has = |step: &str| assert!(steps.contains(&step), "{step} is missing in {steps:?}");
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let space = |pid: &str, it: &str| fs::read_link(format!("/proc/{pid}/ns/{it}")).unwrap();
    let mut own = vec!["mnt", "pid", "uts", "ipc", "net", "cgroup", "user", "time"];
    own.retain(|it| space(pid, it) != space("self", it));
    has(&format!("make a process with namespaces of its own ({})", own.join(", ")));
    let groups = read("cgroup");
    let group =
        groups.lines().find(|it| it.contains("pids")).or_else(|| groups.lines().last()).unwrap();
    has(&format!("make the cgroups {}", group.rsplit('/').next().unwrap()));
    has(&format!("set pids.max to {}", lxcpath.ok(&["cgroup", name, "pids.max"]).trim()));
    let status = read("status");
    let id = |word| {
        let line = status.lines().find_map(|it: &str| it.strip_prefix(word)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    has(&format!("become uid {}, gid {}", id("Uid:"), id("Gid:")));
    has(&format!(
        "set the host name to {}",
        lxcpath.ok(&["attach", name, "--", "/bin/hostname"]).trim()
    ));
    let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    has(&format!("enter {}", cwd.display()));
    has(&format!("exec {}", read("cmdline").split('\0').next().unwrap()));
}
