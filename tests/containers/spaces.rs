//! Namespaces that a container keeps, or shares with others: `lxc.namespace.*` on real containers.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{self, Lxcpath, can_run_containers, rootfs, wait_until};

const KINDS: [&str; 8] = ["user", "mnt", "pid", "uts", "ipc", "net", "cgroup", "time"];

/// Makes a container of busybox's with `lines` in its configuration; none if it could not start.
fn create(lxcpath: &Lxcpath, word: &str, root: &Path, lines: &str) -> Option<String> {
    if !can_run_containers() || !rootfs::busybox(root) {
        return None;
    }
    let name = lxcpath.name(word);
    lxcpath.ok(&["create", &name, "--dir", root.to_str().unwrap()]);
    let file = lxcpath.path().join(&name).join("config");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{before}{lines}\n")).unwrap();
    Some(name)
}

fn start(lxcpath: &Lxcpath, name: &str, options: &[&str]) -> i32 {
    let args = [&["start", name], options, &["--", "/bin/sleep", "1000"]].concat();
    lxcpath.ok(&args);
    init(lxcpath, name)
}

fn init(lxcpath: &Lxcpath, name: &str) -> i32 {
    lxcpath.ok(&["info", "-p", "-H", name]).trim().parse().unwrap()
}

/// Returns what distinguishes a namespace; none if the kernel has no such kind.
fn space(pid: i32, kind: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

/// Lists the kinds in which two processes differ.
fn differing(one: i32, other: i32) -> Vec<&'static str> {
    KINDS.into_iter().filter(|it| space(one, it) != space(other, it)).collect()
}

#[test]
fn only_what_the_configuration_names_is_kept_or_made() {
    let lxcpath = Lxcpath::new();
    let host_name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for (lines, own) in [
        ("lxc.namespace.keep = net ipc uts time user", vec!["mnt", "pid", "cgroup"]),
        ("lxc.namespace.clone = mnt pid net", vec!["mnt", "pid", "net"]),
        ("lxc.namespace.clone = MNT\nlxc.namespace.clone = uts", vec!["mnt", "uts"]),
    ] {
        let root = tempfile::tempdir().unwrap();
        let lines = format!("{lines}\nlxc.uts.name = inside");
        let Some(name) = create(&lxcpath, "kept", root.path(), &lines) else { return };
        let init = start(&lxcpath, &name, &[]);
        assert_eq!(differing(init, own_pid()), own, "{lines}");
        let shown = lxcpath.ok(&["attach", &name, "--", "/bin/cat", "/proc/sys/kernel/hostname"]);
        let expected = if own.contains(&"uts") { "inside\n" } else { &host_name };
        assert_eq!(shown, expected, "{lines}");
        lxcpath.ok(&["stop", &name]);
        assert_eq!(lxcpath.state(&name), "STOPPED");
        lxcpath.ok(&["destroy", &name]);
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), host_name);
}

#[test]
fn namespaces_are_shared_by_name_path_pid_and_file() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(db) = create(&lxcpath, "db", &root.path().join("db"), "") else { return };
    let of = start(&lxcpath, &db, &[]);
    let file = format!("/proc/{of}/ns/net");
    let path = lxcpath.path().join(&db).to_str().unwrap().to_owned();
    for (at, from) in [db.clone(), path, of.to_string(), file].iter().enumerate() {
        let kinds: &[&str] = if from.contains("/ns/") { &["net"] } else { &["net", "ipc", "uts"] };
        let lines: Vec<String> =
            kinds.iter().map(|it| format!("lxc.namespace.share.{it} = {from}")).collect();
        let root = root.path().join(at.to_string());
        let name = create(&lxcpath, &format!("web{at}"), &root, &lines.join("\n")).unwrap();
        let init = start(&lxcpath, &name, &[]);
        let both = differing(init, of);
        for kind in KINDS.iter().filter(|it| !["user", "time"].contains(it)) {
            assert_eq!(kinds.contains(kind), !both.contains(kind), "{kind} of {from}: {both:?}");
        }
        // The next run takes them again.
        lxcpath.ok(&["stop", "-r", "-t", "0", &name]);
        wait_until("the next run", || lxcpath.state(&name) == "RUNNING");
        assert!(!differing(self::init(&lxcpath, &name), of).contains(&"net"), "{from}");
        lxcpath.ok(&["stop", "-k", &name]);
    }
    assert_eq!(lxcpath.state(&db), "RUNNING");
}

#[test]
fn processes_in_a_foreign_pid_namespace_end_with_their_own_container() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(db) = create(&lxcpath, "db", &root.path().join("db"), "") else { return };
    let of = start(&lxcpath, &db, &[]);
    let web = create(&lxcpath, "web", &root.path().join("web"), "").unwrap();
    let script = "sleep 1234 & exec sleep 1000";
    lxcpath.ok(&["start", &web, "--share-pid", &db, "--", "/bin/sh", "-c", script]);
    let init = init(&lxcpath, &web);
    assert!(!differing(init, of).contains(&"pid"));
    let listed = lxcpath.ok(&["attach", &db, "--", "/bin/ps"]);
    assert!(listed.contains("sleep 1234"), "{listed}");
    // A command in it sees the same.
    let listed = lxcpath.ok(&["attach", &web, "--", "/bin/ps"]);
    assert!(listed.contains("sleep 1000"), "{listed}");
    lxcpath.ok(&["stop", "-k", &web]);
    let listed = lxcpath.ok(&["attach", &db, "--", "/bin/ps"]);
    assert!(!listed.contains("sleep 1234"), "{listed}");
    assert_eq!(lxcpath.state(&db), "RUNNING");
    // The command is no child of an init of ours, which could end what is not the container's.
    let output =
        lxcpath.wharf(&["execute", &web, "--share-pid", &db, "--", "/bin/sh", "-c", "exit 7"]);
    assert_eq!(output.status.code(), Some(7), "{}", support::told(&output));
    assert_eq!(lxcpath.state(&db), "RUNNING");
}

#[test]
fn a_container_without_mounts_of_its_own_is_where_the_others_are() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(db) = create(&lxcpath, "db", root.path(), "") else { return };
    let of = start(&lxcpath, &db, &[]);
    let before = fs::read_to_string(format!("/proc/{of}/mountinfo")).unwrap();
    for (lines, shares) in [
        (format!("lxc.namespace.share.mnt = {db}"), of),
        ("lxc.namespace.keep = mnt user".to_owned(), own_pid()),
    ] {
        let name = lxcpath.name("bare");
        fs::create_dir(lxcpath.path().join(&name)).unwrap();
        fs::write(lxcpath.path().join(&name).join("config"), format!("{lines}\n")).unwrap();
        let init = start(&lxcpath, &name, &[]);
        assert!(!differing(init, shares).contains(&"mnt"), "{lines}");
        assert!(differing(init, shares).contains(&"pid"), "{lines}");
        let here = lxcpath.ok(&["attach", &name, "--", "/bin/ls", "-A", "/"]);
        let inside = fs::read_dir(format!("/proc/{shares}/root")).unwrap().count();
        assert_eq!(here.lines().count(), inside, "{here}");
        lxcpath.ok(&["stop", "-k", &name]);
        lxcpath.ok(&["destroy", &name]);
    }
    assert_eq!(fs::read_to_string(format!("/proc/{of}/mountinfo")).unwrap(), before);
}

#[test]
fn what_cannot_be_shared_is_told_and_nothing_is_left() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(name) = create(&lxcpath, "web", root.path(), "") else { return };
    let (file, db) = (root.path().join("file"), lxcpath.name("db"));
    fs::write(&file, "").unwrap();
    for (from, said) in [
        (db.as_str(), format!("`wharf start {db}` starts it")),
        (file.to_str().unwrap(), "the file is not a namespace".to_owned()),
        (&name, "expected another container".to_owned()),
    ] {
        let told = lxcpath.refused(&["start", &name, "--share-net", from, "--", "/bin/true"], 1);
        assert!(told.contains(&said) && told.contains("lxc.namespace.share.net"), "{told}");
        assert_eq!(lxcpath.state(&name), "STOPPED");
    }
    let args = ["start", &name, "--share-net", "/proc/self/ns/uts", "--", "/bin/true"];
    let told = lxcpath.refused(&args, 1);
    assert!(told.contains("the file is a namespace of another kind"), "{told}");
}

/// The points below a container's /sys/fs/cgroup at which cgroups are mounted, with their options.
fn cgroup_mounts(init: i32) -> Vec<(String, String)> {
    let text = fs::read_to_string(format!("/proc/{init}/mounts")).unwrap();
    let fields = text.lines().map(|it| it.split(' ').collect::<Vec<_>>());
    let mounts = fields.filter(|it| it[2].starts_with("cgroup"));
    mounts.map(|it| (it[1].to_owned(), it[3].to_owned())).collect()
}

#[test]
fn cgroups_are_mounted_as_the_configuration_says() {
    let hosts = support::leftovers::cgroup_mounts();
    let unified = hosts.iter().any(|it| it.join("cgroup.controllers").exists());
    let unified_alone = hosts.iter().all(|it| it.join("cgroup.controllers").exists());
    let lxcpath = Lxcpath::new();
    let hardened = "lxc.cap.drop =\nlxc.mount.auto =\n";
    for (words, mounted, read_only) in [
        ("cgroup:mixed", usize::from(unified_alone), false),
        ("cgroup:rw:force", hosts.len(), false),
        ("cgroup-full:ro:force", hosts.len(), true),
        ("cgroup2:ro:force", 1, true),
        ("cgroup2", usize::from(unified_alone), false),
    ] {
        let root = tempfile::tempdir().unwrap();
        let lines = format!("{hardened}lxc.mount.auto = proc sys {words}");
        let Some(name) = create(&lxcpath, "groups", root.path(), &lines) else { return };
        if words == "cgroup2:ro:force" && !unified {
            let said = lxcpath.refused(&["start", &name, "--", "/bin/sleep", "1000"], 1);
            assert!(said.contains("has no unified cgroup hierarchy"), "{said}");
            lxcpath.ok(&["destroy", &name]);
            continue;
        }
        let found = cgroup_mounts(start(&lxcpath, &name, &[]));
        assert_eq!(found.len(), mounted, "{words}: {found:?}");
        let wanted = if read_only { "ro" } else { "rw" };
        for (place, options) in found {
            assert!(options.split(',').any(|it| it == wanted), "{words}: {place} {options}");
            // It is the container's own group.
            let script = format!("cat {place}/cgroup.procs");
            let pids = lxcpath.ok(&["attach", &name, "--", "/bin/sh", "-c", &script]);
            assert!(pids.lines().any(|it| it == "1"), "{words}: {place} has {pids:?}");
        }
        lxcpath.ok(&["stop", "-k", &name]);
        lxcpath.ok(&["destroy", &name]);
    }
}

/// A directory of the host in which mounts are shared; unmounted when it is dropped.
struct SharedDir(PathBuf);

impl SharedDir {
    fn new(dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).unwrap();
        let shared = Self(dir);
        mount(&["--bind", shared.path(), shared.path()]);
        mount(&["--make-private", shared.path()]);
        mount(&["--make-shared", shared.path()]);
        shared
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for SharedDir {
    fn drop(&mut self) {
        _ = std::process::Command::new("umount").arg("-R").arg(&self.0).status();
    }
}

fn mount(args: &[&str]) {
    assert!(std::process::Command::new("mount").args(args).status().unwrap().success(), "{args:?}");
}

#[test]
fn a_tunnel_brings_mounts_into_a_running_container() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    if !can_run_containers() {
        return;
    }
    let shared = SharedDir::new(root.path().join("shared"));
    let lines = format!("lxc.mount.auto = shmounts:{}", shared.path());
    let Some(name) = create(&lxcpath, "web", &root.path().join("web"), &lines) else { return };
    start(&lxcpath, &name, &[]);
    let late = shared.0.join("late");
    fs::create_dir(&late).unwrap();
    mount(&["-t", "tmpfs", "none", late.to_str().unwrap()]);
    fs::write(late.join("news"), "seen").unwrap();
    let inside = ["attach", &name, "--", "/bin/cat", "/dev/.lxc-mounts/late/news"];
    assert_eq!(lxcpath.ok(&inside), "seen");
    lxcpath.ok(&["stop", "-k", &name]);
}

#[test]
fn init_gets_the_configured_signal_when_its_supervisor_dies() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    // The kernel forgets the signal when a program is executed under another profile.
    let lines = "lxc.monitor.signal.pdeath = SIGUSR2\nlxc.sched.core = 0\n\
        lxc.apparmor.profile = unconfined";
    let Some(name) = create(&lxcpath, "web", root.path(), lines) else { return };
    let script = "trap 'echo USR2 > /seen; exit' USR2; echo > /ready; while :; do sleep 0.05; done";
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script]);
    wait_until("its trap", || root.path().join("ready").exists());
    let status = fs::read_to_string(format!("/proc/{}/status", init(&lxcpath, &name))).unwrap();
    let parent = status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap().trim();
    let parent = nix::unistd::Pid::from_raw(parent.parse().unwrap());
    nix::sys::signal::kill(parent, nix::sys::signal::Signal::SIGKILL).unwrap();
    let seen = || fs::read_to_string(root.path().join("seen")).unwrap_or_default();
    wait_until("the signal", || seen() == "USR2\n");
}

#[test]
fn a_dry_run_prints_the_whole_start_and_does_nothing() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let lines = "lxc.uts.name = inside\nlxc.net.1.type = veth\nlxc.hook.pre-start = /bin/hook\n\
        lxc.apparmor.profile = unconfined";
    let Some(name) = create(&lxcpath, "web", root.path(), lines) else { return };
    let before = support::tree(lxcpath.path());
    let said = lxcpath.ok(&["start", &name, "--dry-run", "--", "/bin/sleep", "1000"]);
    let plain = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rest = plain.as_str();
    for words in [
        "On the host:",
        "/bin/hook",
        "make the cgroups",
        "In the new process:",
        "set the host name to inside",
        "On the host:",
        "connect eth1 to the host",
        "In the new process:",
        "exec /bin/sleep",
    ] {
        let at = rest.find(words).unwrap_or_else(|| panic!("{words} is missing in {said}"));
        rest = rest.get(at..).unwrap();
    }
    assert!(said.lines().count() <= 24 && said.lines().all(|it| it.len() <= 80), "{said}");
    assert_eq!(support::tree(lxcpath.path()), before);
    assert_eq!(lxcpath.state(&name), "STOPPED");
}

#[test]
fn a_log_gets_what_happens_at_its_level() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let log = root.path().join("log");
    let lines = format!("lxc.log.file = {}\nlxc.log.level = INFO", log.display());
    let Some(name) = create(&lxcpath, "web", &root.path().join("web"), &lines) else { return };
    start(&lxcpath, &name, &[]);
    let read = || fs::read_to_string(&log).unwrap_or_default();
    let running = read();
    assert!(running.contains(&format!("wharf {name} ")), "{running}");
    assert!(running.contains("INFO     its state is RUNNING"), "{running}");
    lxcpath.ok(&["stop", "-k", &name]);
    wait_until("its end", || read().contains("its state is STOPPED"));
    let hook = ["start", &name, "-s", "lxc.hook.pre-start=/bin/false", "--", "/bin/true"];
    lxcpath.refused(&hook, 1);
    assert!(read().contains("ERROR    lxc.hook.pre-start /bin/false"), "{}", read());
}

#[test]
fn a_hook_before_the_start_may_make_what_is_shared() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let link = lxcpath.path().join(".uts");
    let path = link.display();
    let lines = format!(
        "lxc.namespace.share.uts = {path}\nlxc.hook.version = 1\n\
         lxc.hook.pre-start = ln -s /proc/self/ns/uts {path}"
    );
    let Some(name) = create(&lxcpath, "web", root.path(), &lines) else { return };
    let pid = start(&lxcpath, &name, &[]);
    assert_eq!(space(pid, "uts"), space(std::process::id() as i32, "uts"));
}

#[test]
fn a_container_whose_processes_are_shared_cannot_hold_up_a_start() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let privileged = "lxc.cap.drop =";
    let Some(db) = create(&lxcpath, "db", &root.path().join("db"), privileged) else { return };
    // It reaches every process beside its init and itself.
    let script = "trap '' CONT; while :; do kill -STOP -1; done";
    lxcpath.ok(&["start", &db, "--", "/bin/sh", "-c", &format!("sh -c '{script}' & wait")]);
    // Long enough to be found.
    let log = lxcpath.path().join(".log");
    let lines = format!(
        "lxc.hook.version = 1\nlxc.hook.pre-mount = sleep 30\nlxc.log.level = WARN\n\
         lxc.log.file = {}",
        log.display()
    );
    let web = create(&lxcpath, "web", &root.path().join("web"), &lines).unwrap();
    let said = lxcpath.refused(&["start", &web, "--share-pid", &db, "--", "/bin/true"], 1);
    assert!(said.contains("another process has stopped init before its command ran"), "{said}");
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.contains("may trace processes"), "{log}");
}
