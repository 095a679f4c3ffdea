//! Where a container's groups are: `lxc.cgroup.dir` and its kin, on real containers.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{self, Lxcpath, can_run_containers, leftovers, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Makes a container with `lines` in its configuration.
fn create(lxcpath: &Lxcpath, word: &str, lines: &str) -> String {
    let name = lxcpath.name(word);
    lxcpath.ok(&["create", &name]);
    configure(lxcpath, &name, lines);
    name
}

fn configure(lxcpath: &Lxcpath, name: &str, lines: &str) {
    let file = lxcpath.path().join(name).join("config");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{before}{lines}\n")).unwrap();
}

fn start(lxcpath: &Lxcpath, name: &str) {
    lxcpath.ok(&["start", name, "--", "/bin/sleep", "1000"]);
}

fn init(lxcpath: &Lxcpath, name: &str) -> i32 {
    lxcpath.ok(&["info", "-p", "-H", name]).trim().parse().unwrap()
}

/// Lists the groups in which a process is that LXC's hierarchies have.
fn groups_of(pid: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let paths = text.lines().filter_map(|it| it.splitn(3, ':').nth(2));
    // A hierarchy that is not mounted, or not used, leaves the process at its root.
    paths.filter(|it| *it != "/").map(str::to_owned).collect()
}

fn parent_of(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap();
    line.trim().parse().unwrap()
}

fn all_end_with(pid: i32, group: &str) {
    let found = groups_of(pid);
    assert!(!found.is_empty() && found.iter().all(|it| it.ends_with(group)), "{found:?}");
}

#[test]
fn groups_are_below_the_configured_directory_until_nobody_uses_it() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let dir = lxcpath.name("dir");
    let lines = format!(
        "lxc.cgroup.dir = {dir}/x\nlxc.cgroup.pids.max = 77\nlxc.cgroup2.pids.max = 77\n\
         lxc.cgroup.dir.monitor.pivot = {dir}/pivot"
    );
    let (web, db) = (create(&lxcpath, "web", &lines), create(&lxcpath, "db", &lines));
    start(&lxcpath, &web);
    start(&lxcpath, &db);
    let pid = init(&lxcpath, &web);
    all_end_with(pid, &format!("{dir}/x/lxc.payload.{web}"));
    all_end_with(parent_of(pid), &format!("{dir}/x/lxc.monitor.{web}"));
    assert_eq!(lxcpath.ok(&["cgroup", &web, "pids.max"]).trim(), "77");
    assert!(lxcpath.ok(&["ls", "--json"]).contains("\"pids_max\": 77"));
    lxcpath.ok(&["freeze", &web]);
    assert_eq!(lxcpath.state(&web), "FROZEN");
    lxcpath.ok(&["unfreeze", &web]);
    assert!(lxcpath.ok(&["ps", &web]).contains("sleep 1000"));
    lxcpath.ok(&["stop", "-r", "-t", "0", &web]);
    wait_until("the next run", || lxcpath.state(&web) == "RUNNING");
    all_end_with(init(&lxcpath, &web), &format!("{dir}/x/lxc.payload.{web}"));
    lxcpath.ok(&["stop", "-k", &web]);
    wait_until("its groups gone", || leftovers::cgroups(&web).is_empty());
    assert_eq!(lxcpath.state(&db), "RUNNING");
    lxcpath.ok(&["stop", "-k", &db]);
    wait_until("the other's groups gone", || leftovers::cgroups(&db).is_empty());
    // Who made those above them had to leave them to the other.
    wait_until("those above gone", || leftovers::cgroups(&dir).is_empty());
}

#[test]
fn a_container_is_where_it_is_told_and_a_kill_leaves_nothing() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let dir = lxcpath.name("own");
    let lines = format!(
        "lxc.cgroup.dir.container = {dir}/c/1\nlxc.cgroup.dir.container.inner = in\n\
         lxc.cgroup.dir.monitor = {dir}/m\nlxc.cgroup.pids.max = 66\nlxc.cgroup2.pids.max = 66"
    );
    let name = create(&lxcpath, "web", &lines);
    let places = |word: &str| -> Vec<PathBuf> {
        let found = leftovers::cgroups(&dir).into_iter();
        found.filter(|it| it.ends_with(Path::new(&dir).join(word))).collect()
    };
    start(&lxcpath, &name);
    let pid = init(&lxcpath, &name);
    all_end_with(pid, &format!("{dir}/c/1/in"));
    all_end_with(parent_of(pid), &format!("{dir}/m"));
    let limit = places("c/1").into_iter().find(|it| it.join("pids.max").exists()).unwrap();
    assert_eq!(fs::read_to_string(limit.join("pids.max")).unwrap().trim(), "66");
    assert_eq!(lxcpath.ok(&["cgroup", &name, "pids.max"]).trim(), "66");
    // Who enters it sees the root of its groups, and not the limits.
    let seen = lxcpath.ok(&["attach", &name, "--", "/bin/cat", "/proc/self/cgroup"]);
    assert!(seen.lines().all(|it| it.ends_with(":/")), "{seen}");
    lxcpath.ok(&["freeze", &name]);
    assert_eq!(lxcpath.state(&name), "FROZEN");
    lxcpath.ok(&["unfreeze", &name]);
    // At once, while its supervisor may still be leaving its own group.
    lxcpath.ok(&["stop", "-k", &name]);
    start(&lxcpath, &name);
    let pid = init(&lxcpath, &name);
    let supervisor = parent_of(pid);
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    let stat = format!("/proc/{supervisor}/stat");
    wait_until("its death", || fs::read_to_string(&stat).map_or(true, |it| it.contains(") Z ")));
    assert!(!leftovers::cgroups(&dir).is_empty());
    lxcpath.ok(&["destroy", "-f", &name]);
    wait_until("the groups gone", || leftovers::cgroups(&dir).is_empty());
}

#[test]
fn what_is_somebody_elses_is_refused_by_its_line() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let other = create(&lxcpath, "other", "");
    start(&lxcpath, &other);
    let taken = lxcpath.name("taken");
    let mounts = leftovers::cgroup_mounts();
    let place = mounts.iter().map(|it| it.join(&taken)).find(|it| fs::create_dir(it).is_ok());
    let place = place.unwrap();
    for (lines, word) in [
        (format!("lxc.cgroup.dir = lxc.payload.{other}"), "has processes of its own"),
        (format!("lxc.cgroup.dir = lxc.payload.{other}/x"), "has processes of its own"),
        (
            format!("lxc.cgroup.dir.container = {taken}\nlxc.cgroup.dir.monitor = {taken}.m"),
            "exists, and wharf did not make it",
        ),
        (
            format!("lxc.cgroup.dir.container = c\nlxc.cgroup.dir.monitor = lxc.monitor.{other}"),
            "exists, and wharf did not make it",
        ),
        ("lxc.cgroup.dir = ../x".to_owned(), "without .."),
        ("lxc.cgroup.dir = /x".to_owned(), "relative path"),
        ("lxc.cgroup.dir.container = x".to_owned(), "requires lxc.cgroup.dir.monitor"),
    ] {
        let name = create(&lxcpath, "web", "");
        let line = fs::read_to_string(lxcpath.path().join(&name).join("config")).unwrap();
        let line = line.lines().count() + lines.lines().count();
        configure(&lxcpath, &name, &lines);
        let said = lxcpath.refused(&["start", &name, "--", "/bin/true"], 1);
        assert!(said.contains(word), "{lines}: {said}");
        let places = [line, line - 1].map(|it| format!("line {it} of "));
        assert!(places.iter().any(|it| said.contains(it)), "{lines}: {said}");
        assert!(leftovers::cgroups(&name).is_empty());
        lxcpath.ok(&["destroy", &name]);
    }
    assert!(place.exists() && lxcpath.state(&other) == "RUNNING");
    fs::remove_dir(place).unwrap();
    lxcpath.ok(&["stop", "-k", &other]);
}

/// A group in each hierarchy, called differently in each; removed when it is dropped.
struct Elsewhere(Vec<PathBuf>);

impl Elsewhere {
    fn new(word: &str) -> Self {
        let mounts = leftovers::cgroup_mounts();
        let dirs = mounts.iter().enumerate().map(|(at, it)| it.join(format!("{word}-{at}")));
        let elsewhere = Self(dirs.collect());
        for (dir, mount) in elsewhere.0.iter().zip(&mounts) {
            fs::create_dir(dir).unwrap();
            for file in ["cpuset.cpus", "cpuset.mems"] {
                // Without them a group of v1 takes no process.
                let whole = fs::read(mount.join(file)).unwrap_or_default();
                _ = fs::write(dir.join(file), whole);
            }
        }
        elsewhere
    }

    /// Runs wharf in these groups; it must succeed.
    fn ok(&self, lxcpath: &Lxcpath, args: &[&str]) {
        let script = "for it in $GROUPS_TO_JOIN; do \
            if [ -d $it/wharf.leaf ]; then it=$it/wharf.leaf; fi; \
            echo $$ > $it/cgroup.procs || exit 9; done; \
            unset GROUPS_TO_JOIN; exec \"$@\"";
        let listed: Vec<&str> = self.0.iter().map(|it| it.to_str().unwrap()).collect();
        let wharf = lxcpath.command(args);
        let mut command = std::process::Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).arg(wharf.get_program()).args(wharf.get_args());
        command.env("GROUPS_TO_JOIN", listed.join(" "));
        let output = support::finish(command);
        assert!(output.status.success(), "{args:?}: {}", support::told(&output));
    }

    /// Checks that the process is in the group `below` of each.
    fn hold(&self, pid: i32, below: &str) {
        for it in &self.0 {
            let procs = fs::read_to_string(it.join(below).join("cgroup.procs")).unwrap();
            assert!(procs.lines().any(|it| it == pid.to_string()), "{} in {}", pid, it.display());
        }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // A process on its way out of them may take a moment.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        for it in &self.0 {
            while it.exists() && std::time::Instant::now() < deadline {
                _ = fs::remove_dir(it.join("wharf.leaf"));
                _ = fs::remove_dir(it);
            }
        }
    }
}

#[test]
fn relative_groups_are_below_those_of_who_starts_it_in_each_hierarchy() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let lines = "lxc.cgroup.relative = 1\nlxc.cgroup.pids.max = 77\nlxc.cgroup2.pids.max = 77";
    let web = create(&lxcpath, "web", lines);
    let elsewhere = Elsewhere::new(&lxcpath.name("base"));
    let said = lxcpath.ok(&["start", &web, "--dry-run", "--", "/bin/true"]);
    assert!(said.contains("below those of"), "{said}");
    elsewhere.ok(&lxcpath, &["start", &web, "--", "/bin/sleep", "1000"]);
    let pid = init(&lxcpath, &web);
    let payload = format!("lxc.payload.{web}");
    elsewhere.hold(pid, &payload);
    elsewhere.hold(parent_of(pid), &format!("lxc.monitor.{web}"));
    assert_eq!(lxcpath.ok(&["cgroup", &web, "pids.max"]).trim(), "77");
    lxcpath.ok(&["cgroup", &web, "pids.max", "78"]);
    let limits = elsewhere.0.iter().map(|it| it.join(&payload).join("pids.max"));
    let limits: Vec<String> = limits.filter_map(|it| fs::read_to_string(it).ok()).collect();
    assert_eq!(limits, ["78\n"]);
    assert!(lxcpath.ok(&["ls", "--json"]).contains("\"pids_max\": 78"));
    assert!(lxcpath.ok(&["ps", &web]).contains("sleep 1000"));
    lxcpath.ok(&["freeze", &web]);
    assert_eq!(lxcpath.state(&web), "FROZEN");
    lxcpath.ok(&["unfreeze", &web]);
    let seen = lxcpath.ok(&["attach", &web, "--", "/bin/cat", "/proc/self/cgroup"]);
    assert!(seen.lines().all(|it| it.ends_with(":/")), "{seen}");
    lxcpath.ok(&["stop", "-r", "-t", "0", &web]);
    wait_until("the next run", || lxcpath.state(&web) == "RUNNING");
    elsewhere.hold(init(&lxcpath, &web), &payload);
    lxcpath.ok(&["stop", "-k", &web]);
    wait_until("its groups gone", || leftovers::cgroups(&web).is_empty());
    let restored = || elsewhere.0.iter().all(|it| !it.join("wharf.leaf").exists());
    wait_until("the groups as they were", restored);
    // A kill leaves nothing that the next command does not find.
    elsewhere.ok(&lxcpath, &["start", &web, "--", "/bin/sleep", "1000"]);
    let supervisor = parent_of(init(&lxcpath, &web));
    kill(Pid::from_raw(supervisor), Signal::SIGKILL).unwrap();
    let stat = format!("/proc/{supervisor}/stat");
    wait_until("its death", || fs::read_to_string(&stat).map_or(true, |it| it.contains(") Z ")));
    assert!(!leftovers::cgroups(&web).is_empty());
    lxcpath.ok(&["destroy", "-f", &web]);
    wait_until("the groups gone", || leftovers::cgroups(&web).is_empty());
    let left = |it: &PathBuf| it.join("wharf.keep").exists();
    assert!(!elsewhere.0.iter().any(left), "{:?}", elsewhere.0);
    wait_until("the groups as they were again", restored);
}
