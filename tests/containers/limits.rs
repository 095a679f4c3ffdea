//! Limits that the command line sets and saves, and that are lost, on real containers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::screen::Screen;
use crate::support::{
    Lxcpath, can_run_containers, finish, leftovers, rootfs, text, told, wait_until,
};

/// A container that sleeps, with `lines` in its configuration.
fn sleeper(lxcpath: &Lxcpath, root: &tempfile::TempDir, lines: &str) -> Option<String> {
    if !can_run_containers() || !rootfs::busybox(root.path()) {
        return None;
    }
    let name = lxcpath.name("limited");
    lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
    let config = lxcpath.path().join(&name).join("config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + lines).unwrap();
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    Some(name)
}

#[test]
fn a_kept_limit_is_changed_in_both_spellings() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let both = "lxc.cgroup.pids.max = 50\nlxc.cgroup2.pids.max = 50\n\
                lxc.cgroup.memory.limit_in_bytes = 512M\nlxc.cgroup2.memory.max = 512M\n";
    let Some(name) = sleeper(&lxcpath, &root, both) else { return };
    let memory = ["memory.max", "memory.limit_in_bytes"]
        .into_iter()
        .find(|it| lxcpath.wharf(&["cgroup", &name, it]).status.success());
    lxcpath.ok(&["cgroup", &name, "pids.max", "40", "--keep"]);
    let memory = memory.unwrap();
    lxcpath.ok(&["cgroup", &name, memory, "1.5G", "--keep"]);
    let config = || fs::read_to_string(lxcpath.path().join(&name).join("config")).unwrap();
    for line in [
        "lxc.cgroup.pids.max = 40\n",
        "lxc.cgroup2.pids.max = 40\n",
        "lxc.cgroup.memory.limit_in_bytes = 1610612736\n",
        "lxc.cgroup2.memory.max = 1610612736\n",
    ] {
        assert!(config().contains(line), "{line} is missing in {}", config());
    }
    // "No limit" has another word in each version, and -1 is a value.
    lxcpath.ok(&["cgroup", &name, memory, "-1", "--keep"]);
    assert!(config().contains("memory.limit_in_bytes = -1\n"), "{}", config());
    assert!(config().contains("lxc.cgroup2.memory.max = max\n"), "{}", config());
    let before = config();
    for empty in ["", " "] {
        let refused = lxcpath.wharf(&["cgroup", &name, "pids.max", empty, "--keep"]);
        assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    }
    assert_eq!(config(), before, "an empty value was kept");
    // A whole key changes only the configuration, whether the container is running or not.
    lxcpath.ok(&["cgroup", &name, "lxc.cgroup2.pids.max", "", "--keep"]);
    assert!(!config().contains("pids.max"), "{}", config());
    assert_eq!(lxcpath.ok(&["cgroup", &name, "pids.max"]).trim(), "40");
}

/// Limits by their keys for cgroup v1 and for v2, and what the kernel then has in which file.
const OLD: &str = "lxc.cgroup.memory.memsw.limit_in_bytes = 96M\n\
    lxc.cgroup.memory.limit_in_bytes = 64M\nlxc.cgroup.cpu.shares = 512\n\
    lxc.cgroup.cpu.cfs_period_us = 20000\nlxc.cgroup.cpu.cfs_quota_us = 10000\n\
    lxc.cgroup.pids.max = 44\nlxc.cgroup.cpuset.cpus = 0\n\
    lxc.cgroup.memory.swappiness = 10\nlxc.cgroup.net_cls.classid = 1\n";
const NEW: &str = "lxc.cgroup2.memory.swap.max = 32M\nlxc.cgroup2.memory.max = 64M\n\
    lxc.cgroup2.cpu.weight = 50\nlxc.cgroup2.cpu.max = 10000 20000\n\
    lxc.cgroup2.pids.max = 44\nlxc.cgroup2.cpuset.cpus = 0\n\
    lxc.cgroup2.memory.high = 60M\n";
const HELD_ON_V1: [(&str, &str); 7] = [
    ("memory.limit_in_bytes", "67108864"),
    ("memory.memsw.limit_in_bytes", "100663296"),
    ("cpu.shares", "512"),
    ("cpu.cfs_period_us", "20000"),
    ("cpu.cfs_quota_us", "10000"),
    ("pids.max", "44"),
    ("cpuset.cpus", "0"),
];
const HELD_ON_V2: [(&str, &str); 6] = [
    ("memory.max", "67108864"),
    ("memory.swap.max", "33554432"),
    ("cpu.weight", "50"),
    ("cpu.max", "10000 20000"),
    ("pids.max", "44"),
    ("cpuset.cpus", "0"),
];

#[test]
fn a_stop_leaves_no_record_of_limits() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(name) = sleeper(&lxcpath, &root, "") else { return };
    let recorded = || {
        let dirs = fs::read_dir("/run/wharf/run").into_iter().flatten().flatten();
        let mut files = dirs.map(|it| it.path().join(format!("{name}.limits")));
        files.any(|it| it.exists())
    };
    assert!(recorded());
    lxcpath.ok(&["stop", "-k", &name]);
    wait_until("the record of its limits to go", || !recorded());
    lxcpath.refused(&["start", &name, "--", "/none"], 1);
    assert!(!recorded(), "a failed start leaves one");
}

/// Starts a container with `lines`, and returns its name and what its log says.
fn logged(lxcpath: &Lxcpath, root: &tempfile::TempDir, lines: &str) -> Option<(String, String)> {
    let log = lxcpath.path().join("log");
    // What `create` writes has limits in both spellings.
    let none = "lxc.cgroup.pids.max =\nlxc.cgroup2.pids.max =\n";
    let lines = format!("{none}{lines}lxc.log.level = WARN\nlxc.log.file = {}\n", log.display());
    let name = sleeper(lxcpath, root, &lines)?;
    Some((name, fs::read_to_string(log).unwrap()))
}

#[test]
fn a_limit_for_the_other_version_of_cgroups_is_translated_or_told() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let (lines, held, lost) = if unified {
        (OLD, &HELD_ON_V2[..], &["memory.swappiness 10", "net_cls.classid 1"][..])
    } else {
        (NEW, &HELD_ON_V1[..], &["memory.high 60M"][..])
    };
    let Some((name, said)) = logged(&lxcpath, &root, lines) else { return };
    let mut checked = 0;
    for (file, value) in held {
        // A kernel may not count swap, and a controller may be absent.
        let read = lxcpath.wharf(&["cgroup", &name, file]);
        let applied = said.contains(&format!(" is applied as {file} "));
        if read.status.success() {
            assert_eq!(text(&read.stdout).trim(), *value, "{file}: {said}");
            assert!(applied, "{file}: {said}");
            checked += 1;
        } else {
            assert!(!applied && said.contains(&format!("as {file}")), "{file}: {said}");
        }
    }
    assert!(checked > 2, "{said}");
    for what in lost {
        let line = said.split(';').find(|it| it.contains(what)).unwrap_or_default();
        assert!(line.contains(" has no effect: "), "{what}: {said}");
    }
    let places = lines.lines().filter(|it| said.contains(it.split(' ').next().unwrap()));
    assert!(places.count() >= checked && said.contains("/config)"), "{said}");
}

#[test]
fn where_both_spellings_are_there_the_hosts_own_counts() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let both = "lxc.cgroup.pids.max = 51\nlxc.cgroup2.pids.max = 52\n\
                lxc.cgroup.memory.limit_in_bytes = 51M\nlxc.cgroup.memory.swappiness = 1\n\
                lxc.cgroup2.memory.max = 52M\nlxc.cgroup2.memory.high = 52M\n";
    let old = ["pids", "memory"].map(|it| {
        let controllers = fs::read_to_string("/proc/self/cgroup").unwrap();
        let mut lines = controllers.lines().filter_map(|it| it.split(':').nth(1));
        lines.any(|list| list.split(',').any(|controller| controller == it))
    });
    let Some((name, said)) = logged(&lxcpath, &root, both) else { return };
    let expected = if old[0] { "51" } else { "52" };
    assert_eq!(lxcpath.ok(&["cgroup", &name, "pids.max"]).trim(), expected);
    let (file, expected) =
        if old[1] { ("memory.limit_in_bytes", 51 << 20) } else { ("memory.max", 52 << 20) };
    assert_eq!(lxcpath.ok(&["cgroup", &name, file]).trim(), expected.to_string());
    assert!(!said.contains("lxc.cgroup"), "{said}");
}

#[test]
fn what_proxmox_owns_is_left_to_it() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(name) = sleeper(&lxcpath, &root, "") else { return };
    // In a mount namespace where Proxmox manages the container.
    let with_proxmox = |args: &[&str]| {
        let wharf = lxcpath.command(args);
        let mut command = Command::new("unshare");
        let lay = "mount -t tmpfs none /etc && mkdir -p /etc/pve/lxc && \
                   : > /etc/pve/lxc/$0.conf && exec \"$@\"";
        command.args(["--mount", "--propagation", "private", "sh", "-c", lay, &name]);
        command.arg(wharf.get_program()).args(wharf.get_args());
        finish(command)
    };
    let kept = with_proxmox(&["cgroup", &name, "pids.max", "33", "--keep"]);
    assert_eq!(kept.status.code(), Some(1), "{}", told(&kept));
    assert!(told(&kept).contains("pids.max: 33` into /etc/pve/lxc/"), "{}", told(&kept));
    assert_eq!(lxcpath.ok(&["cgroup", &name, "pids.max"]).trim(), "33");
    let destroyed = with_proxmox(&["destroy", "-f", &name]);
    assert!(!destroyed.status.success(), "{}", told(&destroyed));
    assert!(told(&destroyed).contains(&format!("pct destroy {name}")), "{}", told(&destroyed));
    assert!(lxcpath.path().join(&name).join("config").exists());
    let stopped = with_proxmox(&["stop", "-k", &name]);
    assert!(stopped.status.success(), "{}", told(&stopped));
    assert!(told(&stopped).contains(&format!("pct stop {name}")), "{}", told(&stopped));
    // The /etc of this namespace has nothing that a profile could be made of.
    let unconfined = ["-s", "lxc.apparmor.profile=unconfined", "--", "/bin/sleep", "1000"];
    let started = with_proxmox(&[&["start", &name][..], &unconfined].concat());
    assert!(started.status.success(), "{}", told(&started));
    assert!(told(&started).contains(&format!("pct start {name}")), "{}", told(&started));
    assert_eq!(lxcpath.state(&name), "RUNNING");
}

#[test]
fn a_lost_limit_is_reported_and_restored() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    // The line for the other version was not set.
    let both = "lxc.cgroup.pids.max = 50\nlxc.cgroup2.pids.max = 60\n";
    let Some(name) = sleeper(&lxcpath, &root, both) else { return };
    let mut groups = leftovers::cgroups(&format!("lxc.payload.{name}"));
    groups.retain(|it| it.join("pids.max").exists());
    let file = groups[0].join("pids.max");
    let limit = || fs::read_to_string(&file).unwrap().trim().to_owned();
    let set = limit();
    let trouble = || lxcpath.ok(&["ls"]).contains("lost its limit: pids.max");
    assert!(!trouble(), "{}", lxcpath.ok(&["ls"]));
    fs::write(&file, "max").unwrap();
    wait_until("the loss is reported", trouble);
    assert_eq!(lxcpath.ok(&["cgroup", "--again", &name]).trim(), format!("pids.max = {set}"));
    assert_eq!(limit(), set);
    wait_until("it is no longer reported", || !trouble());
    // A limit set by a command is watched from then on; one removed by a command is not reported as
    // lost.
    lxcpath.ok(&["cgroup", &name, "pids.max", "40"]);
    fs::write(&file, "max").unwrap();
    wait_until("the loss is reported", trouble);
    lxcpath.ok(&["cgroup", &name, "pids.max", "max"]);
    wait_until("it is no longer reported", || !trouble());
}

/// The descriptors of the process that supervises the container, by what they lead to.
fn descriptors(lxcpath: &Lxcpath, name: &str) -> Vec<PathBuf> {
    let init = lxcpath.ok(&["info", "-p", "-H", name]);
    let status = fs::read_to_string(format!("/proc/{}/status", init.trim())).unwrap();
    let parent = status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap().trim().to_owned();
    let open = fs::read_dir(format!("/proc/{parent}/fd")).unwrap().flatten();
    open.filter_map(|it| fs::read_link(it.path()).ok()).collect()
}

#[test]
fn a_container_takes_none_of_the_few_instances_of_inotify() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let both = "lxc.cgroup.pids.max = 50\nlxc.cgroup2.pids.max = 50\n";
    let Some(name) = sleeper(&lxcpath, &root, both) else { return };
    let payload = format!("lxc.payload.{name}");
    // By then it watches its limits.
    wait_until("the watch of its limits", || {
        descriptors(&lxcpath, &name).iter().any(|it| it.ends_with(&payload))
    });
    let open = descriptors(&lxcpath, &name);
    assert!(!open.iter().any(|it| it.to_string_lossy().contains("inotify")), "{open:?}");
    // It ends as ever, also with a report that it has not looked at.
    lxcpath.ok(&["cgroup", &name, "pids.max", "40"]);
    lxcpath.ok(&["stop", "-k", &name]);
    let json = lxcpath.ok(&["info", "--json", &name]);
    assert!(json.contains("STOPPED"), "{json}");
}

#[test]
fn a_limit_is_restored_after_its_controller_was_disabled() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let cgroups = Path::new("/sys/fs/cgroup");
    if !cgroups.join("cgroup.controllers").exists() {
        println!("skipped: /sys/fs/cgroup is not cgroup v2 alone");
        return;
    }
    let quota = "lxc.cgroup2.cpu.max = 50000 100000\n";
    let Some(name) = sleeper(&lxcpath, &root, quota) else { return };
    let mut monitor = Screen::monitor(&lxcpath, &name);
    let file = cgroups.join(format!("lxc.payload.{name}/cpu.max"));
    wait_until("the controller is gone", || {
        // Another container's start may bring it back, with a new value.
        for dir in [cgroups.join("wharf.keep"), cgroups.to_path_buf()] {
            _ = fs::write(dir.join("cgroup.subtree_control"), "-cpu");
        }
        fs::read_to_string(&file).unwrap_or_default().trim() != "50000 100000"
    });
    let trouble = || lxcpath.ok(&["ls"]).contains("lost its limit: cpu.max");
    wait_until("the loss is reported", trouble);
    monitor.wait_for("cpu.max lost its limit [50000 100000]");
    assert!(lxcpath.ok(&["cgroup", "--again", &name]).contains("cpu.max = 50000 100000"));
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), "50000 100000");
    wait_until("it is no longer reported", || !trouble());
}

/// A group in which the test runs, like a docker container with its own cgroup namespace. Dropping
/// it removes it, with the groups created in it.
struct Outer(PathBuf);

impl Drop for Outer {
    fn drop(&mut self) {
        wait_until("the groups inside to go", || {
            let inner = fs::read_dir(&self.0).into_iter().flatten().flatten().map(|it| it.path());
            inner.filter(|it| it.is_dir()).for_each(|it| _ = fs::remove_dir(it));
            fs::remove_dir(&self.0).is_ok() || !self.0.exists()
        });
    }
}

#[test]
fn limits_hold_where_processes_live_in_the_group_itself() {
    if !can_run_containers() {
        return;
    }
    let root = Path::new("/sys/fs/cgroup");
    if !root.join("cgroup.controllers").exists() {
        println!("skipped: /sys/fs/cgroup is not cgroup v2 alone");
        return;
    }
    fs::write(root.join("cgroup.subtree_control"), "+memory +pids").unwrap();
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("nested");
    lxcpath.ok(&["create", &name, "-s", "lxc.cgroup2.memory.max=64M"]);
    let outer = Outer(root.join(lxcpath.name("outer")));
    fs::create_dir(&outer.0).unwrap();
    let inside = "umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; \
                  w() { verb=$1; shift; \"$WHARF\" $verb -P \"$LXCPATH\" \"$@\"; }; \
                  w start $NAME -- /bin/sleep 1000; w cgroup $NAME memory.max; \
                  w cgroup $NAME pids.max 77; w cgroup $NAME pids.max; w stop -k $NAME";
    let output = finish({
        let mut shell = Command::new("/bin/sh");
        shell.args(["-ec", "echo $$ > \"$GROUP/cgroup.procs\"; exec unshare -C -m sh -ec \"$0\""]);
        shell.arg(inside).env("GROUP", &outer.0).env("NAME", &name).env("LXCPATH", lxcpath.path());
        shell.env("WHARF", env!("CARGO_BIN_EXE_wharf")).stdin(Stdio::null());
        shell
    });
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(text(&output.stdout).lines().collect::<Vec<_>>(), ["67108864", "77"]);
    // The supervisor also finds a place outside of its own group, which can then be removed.
    wait_until("the groups of wharf to go", || {
        let inner = fs::read_dir(&outer.0).unwrap().flatten().map(|it| it.file_name());
        inner.filter(|it| it.to_str().unwrap().starts_with("lxc.")).count() == 0
    });
}
