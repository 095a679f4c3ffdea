//! wharf on an operator's host: systemd as pid 1, pure cgroup v2, Debian's own LXC beside it. Runs
//! on such a host, as in the layouts bookworm and trixie of `tests/vm`; reports elsewhere that it
//! is skipped. The tests run in an ordinary service to which systemd delegates nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::host::{Machine, debian, host, host_with_systemd};
use crate::support::screen::Screen;
use crate::support::{Lxcpath, finish, rootfs, text, told, wait_until};
use serde_json::Value;

#[test]
fn one_container_goes_through_every_verb() {
    let Some(_turn) = host_with_systemd() else { return };
    let lxcpath = Lxcpath::new();
    let root = tempfile::tempdir().unwrap();
    if !rootfs::busybox(root.path()) {
        return;
    }
    let name = lxcpath.name("life");
    let name = name.as_str();
    lxcpath.ok(&["checkconfig"]);
    let mut monitor = Screen::spawn(lxcpath.command(&["monitor", name]), 100, 30);
    lxcpath.ok(&["create", name, "--dir", root.path().to_str().unwrap()]);
    assert_eq!(lxcpath.state(name), "STOPPED");
    lxcpath.refused(&["stop", name], 2);

    lxcpath.ok(&["start", name, "--", "/bin/sh", "-c", "trap 'exit 0' PWR; sleep 1000 & wait"]);
    assert_eq!(lxcpath.state(name), "RUNNING");
    lxcpath.ok(&["wait", name, "-s", "RUNNING", "-t", "0"]);
    assert!(lxcpath.ok(&["ls", "-1", "--running"]).contains(name));
    wait_until("ps shows the child", || lxcpath.ok(&["ps", name]).contains("sleep 1000"));
    limits(&lxcpath, name);
    lxcpath.ok(&["freeze", name]);
    assert_eq!(lxcpath.state(name), "FROZEN");
    lxcpath.ok(&["unfreeze", name]);
    assert_eq!(lxcpath.state(name), "RUNNING");
    assert_eq!(lxcpath.ok(&["attach", name, "--", "hostname"]).trim(), name);
    let output = lxcpath.wharf(&["attach", name, "--", "sh", "-c", "exit 7"]);
    assert_eq!(output.status.code(), Some(7), "{}", told(&output));
    console(&lxcpath, name);
    lxcpath.ok(&["stop", "-t", "50", name]);
    assert_eq!(lxcpath.state(name), "STOPPED");
    let output = lxcpath.wharf(&["start", "-F", name, "--", "sh", "-c", "exit 5"]);
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    let output = lxcpath.wharf(&["execute", name, "--", "sh", "-c", "exit 6"]);
    assert_eq!(output.status.code(), Some(6), "{}", told(&output));
    for state in ["RUNNING", "FROZEN", "STOPPED"] {
        monitor.wait_for(&format!("changed state to [{state}]"));
    }
    lxcpath.ok(&["destroy", name]);
    lxcpath.refused(&["info", name], 1);
}

/// Also sets limits of controllers that a freshly booted host has not enabled.
fn limits(lxcpath: &Lxcpath, name: &str) {
    for (file, value) in
        [("memory.max", "67108864"), ("pids.max", "99"), ("cpu.max", "50000 100000")]
    {
        lxcpath.ok(&["cgroup", name, file, value]);
        assert_eq!(lxcpath.ok(&["cgroup", name, file]).trim(), value, "{file}");
    }
    let info = lxcpath.ok(&["info", name]);
    assert!(info.contains("Memory limit:   64"), "{info}");
}

fn console(lxcpath: &Lxcpath, name: &str) {
    let mut console = Screen::spawn(lxcpath.command(&["console", name, "-t", "0"]), 80, 24);
    console.wait_for("Connected to");
    console.keys("\x01q");
    assert!(console.exit().success());
}

/// Runs wharf as the user `user`, with a login's environment and session.
fn as_user(wharf: &Path, args: &str) -> Output {
    let mut command = Command::new("su");
    command.args(["-", "user", "-c", &format!("exec {} {args}", wharf.display())]);
    finish(command)
}

#[test]
fn an_ordinary_user_does_not_reach_roots_containers() {
    let Some(_turn) = host_with_systemd() else { return };
    if nix::unistd::User::from_name("user").unwrap().is_none() {
        println!("skipped: there is no user named user");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let wharf = dir.path().join("wharf");
    rootfs::copy_program(env!("CARGO_BIN_EXE_wharf"), &wharf);
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("roots");

    let output = as_user(&wharf, "ls --json");
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(text(&output.stdout).trim(), "[]", "{}", told(&output));
    let output = as_user(&wharf, "create mine");
    assert!(output.status.success(), "{}", told(&output));
    let output = as_user(&wharf, "destroy mine");
    assert!(output.status.success(), "{}", told(&output));

    // Containers of root's cannot be reached, and stay unchanged.
    for verb in ["stop -k", "freeze", "destroy -f"] {
        let args = format!("-P {} {verb} {name}", lxcpath.path().display());
        let output = as_user(&wharf, &args);
        assert!(!output.status.success(), "{args}: {}", told(&output));
        assert!(text(&output.stderr).starts_with("wharf: "), "{args}: {}", told(&output));
    }
    assert_eq!(lxcpath.state(&name), "RUNNING");
}

/// Limits of controllers that systemd keeps enabled, and of those that it disables.
const LIMITS: [(&str, &str); 4] = [
    ("cpu.max", "50000 100000"),
    ("cpuset.cpus", "0"),
    ("memory.max", "67108864"),
    ("pids.max", "77"),
];

/// Where the controllers are kept enabled while a container runs.
const KEEP: &str = "/sys/fs/cgroup/wharf.keep";

#[test]
fn limits_outlive_what_systemd_does() {
    let Some(_turn) = host_with_systemd() else { return };
    let lxcpath = Lxcpath::new();
    let root = tempfile::tempdir().unwrap();
    if !rootfs::busybox(root.path()) {
        return;
    }
    let name = lxcpath.name("limited");
    let name = name.as_str();
    lxcpath.ok(&["create", name, "--dir", root.path().to_str().unwrap()]);
    let mut start = vec!["start".to_owned(), name.to_owned()];
    for (file, value) in LIMITS {
        start.extend(["-s".to_owned(), format!("lxc.cgroup2.{file}={value}")]);
    }
    start.extend(["--", "/bin/sleep", "1000"].map(str::to_owned));
    let start: Vec<&str> = start.iter().map(String::as_str).collect();
    lxcpath.ok(&start);
    let disk = host("lsblk", &["-ndo", "MAJ:MIN"]);
    let disk = disk.split_whitespace().next().unwrap();
    let disk = format!("{disk} rbps=1048576 wbps=max riops=max wiops=max");
    let later = [("cpu.weight", "50"), ("io.max", disk.as_str())];
    for (file, value) in later {
        lxcpath.ok(&["cgroup", name, file, value]);
    }

    for act in [
        &["systemctl", "daemon-reload"][..],
        &["systemd-run", "--wait", "--quiet", "true"],
        &["systemd-run", "--wait", "--quiet", "-p", "CPUQuota=20%", "-p", "IOWeight=50", "true"],
        &["systemd-run", "--wait", "--quiet", "-p", "AllowedCPUs=0", "true"],
        &["systemctl", "daemon-reexec"],
        &["systemctl", "daemon-reload"],
    ] {
        host(act[0], &act[1..]);
        for (file, value) in LIMITS.into_iter().chain(later) {
            assert_eq!(lxcpath.ok(&["cgroup", name, file]).trim(), value, "{file} after {act:?}");
        }
    }
    assert!(Path::new(KEEP).is_dir());
    lxcpath.ok(&["stop", "-k", name]);
    // It is removed with the last container.
    wait_until("the controllers are not kept for nobody", || !Path::new(KEEP).exists());
}

#[test]
fn limits_of_an_lxc_container_are_found_where_they_are() {
    let Some(_turn) = host_with_systemd() else { return };
    let lxcpath = Lxcpath::new();
    let root = tempfile::tempdir().unwrap();
    if !rootfs::busybox(root.path()) {
        return;
    }
    for (word, dirs) in [("flat", false), ("outer", true)] {
        let name = lxcpath.name(word);
        let home = lxcpath.path().join(&name);
        fs::create_dir(&home).unwrap();
        let dirs_of = format!(
            "lxc.cgroup.relative = 0\nlxc.cgroup.dir.monitor = {name}.monitor/1\n\
             lxc.cgroup.dir.container = {name}/1\nlxc.cgroup.dir.container.inner = ns\n"
        );
        let config = format!(
            "lxc.uts.name = {word}\nlxc.rootfs.path = dir:{}\nlxc.net.0.type = none\n\
             lxc.cgroup2.pids.max = 77\nlxc.apparmor.profile = unconfined\n\
             lxc.mount.auto = proc\nlxc.init.cmd = /bin/sleep 1000\n{}",
            root.path().display(),
            if dirs { &dirs_of } else { "" }
        );
        fs::write(home.join("config"), config).unwrap();
        let lxc = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            command.arg("-P").arg(lxcpath.path()).args(["-n", &name]).args(args);
            let output = finish(command);
            assert!(output.status.success(), "{program}: {}", told(&output));
        };
        lxc("lxc-start", &[]);
        lxcpath.ok(&["wait", &name, "-s", "RUNNING", "-t", "20"]);
        assert_eq!(lxcpath.ok(&["cgroup", &name, "pids.max"]).trim(), "77", "{word}");
        assert!(lxcpath.ok(&["ls", "--json"]).contains("\"pids_max\": 77"), "{word}");
        let group = if dirs { format!("{name}/1") } else { format!("lxc.payload.{name}") };
        let file = Path::new("/sys/fs/cgroup").join(&group).join("pids.max");
        let info = lxcpath.ok(&["info", &name]);
        assert!(info.contains(&format!(" /{group}\n")) && !info.contains("lost"), "{info}");
        assert_eq!(info.contains(&format!(" /{group}/ns\n")), dirs, "{info}");
        // Lost limits are reported and restored; removed ones are not reported.
        let mut monitor = Screen::spawn(lxcpath.command(&["monitor", &name]), 100, 30);
        fs::write(&file, "max").unwrap();
        let info = lxcpath.ok(&["info", &name]);
        assert!(info.contains("lost its limit: pids.max"), "{info}");
        monitor.wait_for("pids.max lost its limit [77]");
        assert!(lxcpath.ok(&["cgroup", "--again", &name]).contains("pids.max = 77"));
        assert!(!lxcpath.ok(&["info", &name]).contains("lost"));
        lxcpath.ok(&["cgroup", &name, "pids.max", "max"]);
        assert!(!lxcpath.ok(&["info", &name]).contains("lost"));
        lxcpath.ok(&["cgroup", &name, "pids.max", "33"]);
        assert_eq!(fs::read_to_string(file).unwrap().trim(), "33", "{word}");
        let processes = lxcpath.ok(&["ps", &name]);
        assert!(processes.contains("sleep 1000"), "{word}: {processes}");
        lxc("lxc-stop", &["-k"]);
        fs::remove_dir_all(home).unwrap();
        // LXC leaves the parents that it created.
        for dir in [format!("{name}.monitor"), name.clone()] {
            _ = fs::remove_dir(Path::new("/sys/fs/cgroup").join(dir));
        }
    }
}

#[test]
fn a_container_whose_init_is_systemd_can_be_entered() {
    let Some(machine) = Machine::start() else { return };
    let group = format!("/lxc.payload.{}", machine.name);
    let own = format!("{group}/");
    // systemd has created groups below its own, which therefore accepts no process any more.
    let init = fs::read_to_string(format!("/proc/{}/cgroup", machine.init().trim())).unwrap();
    assert!(init.trim().strip_prefix("0::").is_some_and(|it| it.starts_with(&own)), "{init}");
    for round in 0..3 {
        let mut command =
            machine.lxcpath.command(&["attach", &machine.name, "--", "/bin/sleep", "987"]);
        let mut entered = command.stdout(Stdio::null()).spawn().unwrap();
        let mut found = None;
        wait_until("the process that entered", || {
            let processes = machine.lxcpath.ok(&["ps", "--json", &machine.name]);
            let processes: Value = serde_json::from_str(&processes).unwrap();
            // The attach on its way in has the same words at the end of its command line.
            let entered = |it: &&Value| it["command"] == "/bin/sleep 987";
            found = processes.as_array().unwrap().iter().find(entered).map(|it| it["pid"].clone());
            found.is_some()
        });
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", found.unwrap())).unwrap();
        let inside = groups.trim().strip_prefix("0::").unwrap().to_owned();
        assert!(inside.starts_with(&own), "round {round}: {groups}");
        machine.attach("pkill -x -f '/bin/sleep 987'");
        wait_until("its end", || entered.try_wait().unwrap().is_some());
    }
    assert_eq!(machine.attach("exit 7").status.code(), Some(7));
    machine.lxcpath.ok(&["freeze", &machine.name]);
    assert_eq!(machine.lxcpath.state(&machine.name), "FROZEN");
    machine.lxcpath.ok(&["unfreeze", &machine.name]);
    machine.lxcpath.ok(&["stop", "-t", "50", &machine.name]);
    assert_eq!(machine.lxcpath.state(&machine.name), "STOPPED");
    let info = machine.lxcpath.ok(&["info", &machine.name]);
    assert!(info.contains("halted"), "systemd was killed, not halted: {info}");
}

#[test]
fn create_gives_a_root_with_systemd_what_it_needs() {
    let Some(_turn) = host_with_systemd() else { return };
    let Some(root) = debian() else { return };
    let passwd = root.root().join("etc/shadow");
    let opened = fs::read_to_string(&passwd).unwrap();
    let opened: Vec<String> = opened
        .lines()
        .map(|it| if it.starts_with("root:") { "root::1::::::".to_owned() } else { it.to_owned() })
        .collect();
    fs::write(&passwd, opened.join("\n") + "\n").unwrap();
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("deb");
    let dir = root.root();
    let said = lxcpath.ok(&["create", &lxcpath.name("app"), "--dir", dir.to_str().unwrap()]);
    assert!(said.contains("its root boots a system with systemd"), "{said}");
    // LXC's loaded profiles keep the systemd of Debian 13 from giving its services credentials.
    let unconfined = ["-s", "lxc.apparmor.profile=unconfined"];
    let system = ["create", &name, "--system", "--dir", dir.to_str().unwrap()];
    let said = lxcpath.ok(&[&system[..], &unconfined].concat());
    assert!(!said.contains("its root boots"), "{said}");
    lxcpath.ok(&["start", &name]);
    let mut console = Screen::spawn(lxcpath.command(&["console", &name, "-t", "0"]), 100, 40);
    console.wait_for("Connected to");
    console.keys_until("\r", "login:");
    console.keys_until("root\r", ":~# ");
    console.keys("sleep 1000\r");
    wait_until("the sleep", || lxcpath.ok(&["ps", &name]).contains("sleep 1000"));
    console.keys("\x1a");
    console.wait_for("Stopped");
    // The units that fail are those of a machine without the hardware that they are for.
    let failed = lxcpath.wharf(&["attach", &name, "--", "systemctl", "--failed", "--plain"]);
    println!("{}", told(&failed));
    let init = || lxcpath.ok(&["info", "-p", "-H", &name]);
    let before = init();
    lxcpath.ok(&["stop", "-r", "-t", "50", &name]);
    assert_ne!(init(), before);
    wait_until("the systemd inside is up", || {
        let asked = lxcpath.wharf(&["attach", &name, "--", "systemctl", "is-system-running"]);
        ["running", "degraded"].contains(&text(&asked.stdout).trim())
    });
    lxcpath.wharf(&["attach", &name, "--", "systemctl", "poweroff"]);
    wait_until("its end", || lxcpath.state(&name) == "STOPPED");
    let info = lxcpath.ok(&["info", &name]);
    assert!(info.contains("halted"), "{info}");
}

#[test]
fn a_container_whose_init_is_systemd_reboots_and_powers_off() {
    let Some(machine) = Machine::start() else { return };
    let (lxcpath, name) = (&machine.lxcpath, machine.name.as_str());
    let config = lxcpath.path().join(name).join("config");
    let changed = fs::read_to_string(&config).unwrap().replace("pids.max = 500", "pids.max = 600");
    fs::write(&config, changed).unwrap();
    let before = machine.init();
    machine.attach("systemctl reboot");
    let running = || lxcpath.state(name) == "RUNNING";
    wait_until("another init", || running() && machine.init() != before);
    machine.wait_until_up();
    assert_eq!(lxcpath.ok(&["cgroup", name, "pids.max"]).trim(), "600");
    machine.attach("systemctl poweroff");
    wait_until("its end", || lxcpath.state(name) == "STOPPED");
    let info = lxcpath.ok(&["info", name]);
    assert!(info.contains("halted"), "{info}");
}
