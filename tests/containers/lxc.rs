//! LXC and wharf control each other's containers. Skipped without LXC.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::lxc::Lxc;
use crate::support::screen::Screen;
use crate::support::{Beside, finish, leftovers, rootfs, told, wait_until};

#[test]
fn lxc_stop_r_comes_back_when_the_container_runs_again() {
    let Some(lxc) = Lxc::new() else { return };
    let root = tempfile::tempdir().unwrap();
    if !rootfs::busybox(root.path()) {
        return;
    }
    let name = lxc.lxcpath.name("again");
    let home = lxc.lxcpath.path().join(&name);
    fs::create_dir(&home).unwrap();
    let config = format!("lxc.rootfs.path = {}\nlxc.signal.reboot = 10\n", root.path().display());
    fs::write(home.join("config"), config).unwrap();
    let script = "trap 'busybox reboot -f' USR1; echo life >> /lives; while :; do sleep 0.05; done";
    lxc.lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script]);
    let lives = || fs::read_to_string(root.path().join("lives")).unwrap_or_default();
    wait_until("its life", || lives() == "life\n");
    let pid = lxc.lxcpath.ok(&["info", "-p", "-H", &name]);
    lxc.ok("lxc-stop", &["-n", &name, "-r"]);
    assert_eq!(lxc.lxcpath.state(&name), "RUNNING");
    assert_ne!(lxc.lxcpath.ok(&["info", "-p", "-H", &name]), pid);
    wait_until("its second life", || lives() == "life\nlife\n");
}

#[test]
fn lxc_names_the_hosts_end_of_a_network() {
    let Some(lxc) = Lxc::new() else { return };
    let name = lxc.lxcpath.name("wired");
    lxc.lxcpath.ok(&["create", &name, "-s", "lxc.net.0.type=veth"]);
    lxc.lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let said = lxc.ok("lxc-info", &["-n", &name, "-S"]);
    let link = said.lines().find_map(|it| it.strip_prefix("Link:")).expect(&said).trim();
    assert!(Path::new("/sys/class/net").join(link).exists(), "{said}");
    lxc.lxcpath.ok(&["stop", "-k", &name]);
    assert!(!Path::new("/sys/class/net").join(link).exists());
}

#[test]
fn a_container_of_lxc_shares_its_namespaces_with_one_of_wharf() {
    let Some(lxc) = Lxc::new() else { return };
    let root = tempfile::tempdir().unwrap();
    if !rootfs::busybox(root.path()) {
        return;
    }
    let ours = lxc.lxcpath.name("ours");
    lxc.lxcpath.ok(&["create", &ours, "--dir", root.path().to_str().unwrap()]);
    let theirs = lxc.lxcpath.name("theirs");
    let home = lxc.lxcpath.path().join(&theirs);
    fs::create_dir(&home).unwrap();
    let config = format!("lxc.rootfs.path = {}\n", root.path().display());
    fs::write(home.join("config"), config).unwrap();
    lxc.ok("lxc-start", &["-n", &theirs, "--", "/bin/sleep", "1000"]);
    let run = ["--share-net", &theirs, "--", "/bin/sleep", "1000"];
    lxc.lxcpath.ok(&[&["start", &ours][..], &run].concat());
    let [one, other] = [&ours, &theirs].map(|it| lxc.lxcpath.ok(&["info", "-p", "-H", it]));
    let space = |pid: &str, kind| fs::read_link(format!("/proc/{}/ns/{kind}", pid.trim())).unwrap();
    assert_eq!(space(&one, "net"), space(&other, "net"));
    assert_ne!(space(&one, "pid"), space(&other, "pid"));
    lxc.lxcpath.ok(&["stop", "-k", &ours]);
    lxc.both_say(&theirs, "RUNNING");
    lxc.ok("lxc-stop", &["-n", &theirs, "-k"]);
}

#[test]
fn lxc_drives_a_container_of_wharf() {
    let Some(lxc) = Lxc::new() else { return };
    let name = lxc.lxcpath.start_sleeper("ours");
    let name = name.as_str();
    lxc.both_say(name, "RUNNING");
    let pid = lxc.lxcpath.ok(&["info", "-p", "-H", name]);
    assert_eq!(lxc.ok("lxc-info", &["-n", name, "-p", "-H"]), pid);
    assert_eq!(lxc.ok("lxc-info", &["-n", name, "-H", "-c", "lxc.uts.name"]).trim(), name);
    assert!(lxc.ok("lxc-ls", &["--running", "-1"]).contains(name));

    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        let output = lxc.run("lxc-attach", &["-n", name, "--", "/bin/sh", "-c", script]);
        assert_eq!(output.status.code(), Some(code), "{script}: {}", told(&output));
    }
    let inside = lxc.ok("lxc-attach", &["-n", name, "--", "/bin/cat", "/proc/1/comm"]);
    assert_eq!(inside, "sleep\n");

    lxc.ok("lxc-freeze", &["-n", name]);
    lxc.both_say(name, "FROZEN");
    lxc.ok("lxc-wait", &["-n", name, "-s", "FROZEN", "-t", "0"]);
    lxc.ok("lxc-unfreeze", &["-n", name]);
    lxc.both_say(name, "RUNNING");
    lxc.lxcpath.ok(&["freeze", name]);
    lxc.both_say(name, "FROZEN");
    lxc.lxcpath.ok(&["unfreeze", name]);
    lxc.both_say(name, "RUNNING");

    lxc.ok("lxc-cgroup", &["-n", name, "pids.max", "77"]);
    assert_eq!(lxc.lxcpath.ok(&["cgroup", name, "pids.max"]).trim(), "77");
    assert_eq!(lxc.ok("lxc-cgroup", &["-n", name, "pids.max"]).trim(), "77");

    let mut command = lxc.inside("lxc-wait", &["-n", name, "-s", "STOPPED", "-t", "30"]);
    let mut waiting = command.spawn().unwrap();
    lxc.ok("lxc-stop", &["-n", name, "-k"]);
    assert!(waiting.wait().unwrap().success());
    lxc.both_say(name, "STOPPED");
    let output = lxc.run("lxc-stop", &["-n", name, "-k"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
}

#[test]
fn wharf_drives_a_container_of_lxc() {
    let Some(lxc) = Lxc::new() else { return };
    let Some(name) = lxc.plain("theirs") else { return };
    let name = name.as_str();
    lxc.both_say(name, "STOPPED");
    let mut monitor = Screen::spawn(lxc.lxcpath.command(&["monitor", name]), 100, 30);
    let start = ["-n", name, "--", "/bin/sh", "-c", "trap : PWR; cat /dev/tty1 & sleep 1000"];
    lxc.ok("lxc-start", &start);
    lxc.both_say(name, "RUNNING");
    assert!(lxc.lxcpath.ok(&["ls", "-1", "--running"]).contains(name));
    let pid = lxc.ok("lxc-info", &["-n", name, "-p", "-H"]);
    assert_eq!(lxc.lxcpath.ok(&["info", "-p", "-H", name]), pid);
    wait_until("ps shows the command", || lxc.lxcpath.ok(&["ps", name]).contains("sleep 1000"));

    let inside = lxc.lxcpath.ok(&["attach", name, "--", "/bin/hostname"]);
    assert_eq!(inside.trim(), name);
    let output = lxc.lxcpath.wharf(&["attach", name, "--", "/bin/sh", "-c", "exit 5"]);
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));

    lxc.lxcpath.ok(&["freeze", name]);
    lxc.both_say(name, "FROZEN");
    lxc.lxcpath.ok(&["unfreeze", name]);
    lxc.both_say(name, "RUNNING");
    let memory = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        "memory.max"
    } else {
        "memory.limit_in_bytes"
    };
    for (file, value) in [("pids.max", "99"), (memory, "67108864")] {
        lxc.lxcpath.ok(&["cgroup", name, file, value]);
        assert_eq!(lxc.lxcpath.ok(&["cgroup", name, file]).trim(), value, "{file}");
        assert_eq!(lxc.ok("lxc-cgroup", &["-n", name, file]).trim(), value, "{file}");
    }
    let info = lxc.lxcpath.ok(&["info", name]);
    assert!(info.contains("Memory limit:   64"), "{info}");

    let mut console = Screen::spawn(lxc.lxcpath.command(&["console", name]), 80, 24);
    console.wait_for("Connected to tty 1");
    console.keys("\x01q");
    assert!(console.exit().success());

    lxc.lxcpath.ok(&["stop", "-k", name]);
    lxc.both_say(name, "STOPPED");
    lxc.ok("lxc-start", &start);
    lxc.lxcpath.ok(&["stop", "-t", "1", name]);
    lxc.both_say(name, "STOPPED");
    for state in ["FROZEN", "RUNNING", "STOPPED"] {
        monitor.wait_for(&format!("changed state to [{state}]"));
    }
}

#[test]
fn a_container_of_lxc_is_found_by_every_spelling_of_its_path() {
    let Some(lxc) = Lxc::new() else { return };
    let name = lxc.lxcpath.name("spelled");
    let dir = lxc.lxcpath.path().join(&name);
    if !rootfs::busybox(&dir.join("rootfs")) {
        return;
    }
    let config = format!(
        "lxc.uts.name = {name}\nlxc.rootfs.path = dir:{}\nlxc.net.0.type = empty\n\
         lxc.apparmor.profile = unconfined\n",
        dir.join("rootfs").display()
    );
    fs::write(dir.join("config"), config).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink(lxc.lxcpath.path(), &link).unwrap();
    for spelling in [
        link.clone(),
        link.join("."),
        link.join("..").join(lxc.lxcpath.path().file_name().unwrap()),
    ] {
        let mut start = lxc.program("lxc-start");
        start.arg("-P").arg(&spelling).args(["-n", &name, "--", "/bin/sleep", "1000"]);
        let started = finish(start);
        assert!(started.status.success(), "{spelling:?}: {}", told(&started));
        assert_eq!(lxc.lxcpath.state(&name), "RUNNING", "{spelling:?}");
        lxc.lxcpath.refused(&["start", &name, "--", "/bin/sleep", "1001"], 1);
        lxc.lxcpath.refused(&["destroy", &name], 1);
        assert!(dir.join("rootfs/bin").exists());
        lxc.lxcpath.ok(&["stop", "-k", &name]);
        assert_eq!(lxc.lxcpath.state(&name), "STOPPED", "{spelling:?}");
    }
}

#[test]
fn the_busybox_template_makes_a_container_that_lives() {
    let Some(lxc) = Lxc::new() else { return };
    let scratch = tempfile::tempdir().unwrap();
    if !rootfs::busybox(scratch.path()) {
        return;
    }
    let name = lxc.lxcpath.name("template");
    let name = name.as_str();
    let wharf = env!("CARGO_BIN_EXE_wharf");
    lxc.ok(wharf, &["create", name, "-t", "busybox"]);
    lxc.lxcpath.ok(&["start", name]);
    lxc.both_say(name, "RUNNING");

    let mut console = Screen::spawn(lxc.lxcpath.command(&["console", name]), 80, 24);
    console.wait_for("Connected to tty 1");
    console.keys_until("\r", &format!("{name} login:"));
    console.keys("\x01q");
    assert!(console.exit().success());
    let command = lxc.inside("lxc-console", &["-n", name, "-t", "1"]);
    let mut console = Screen::spawn(command, 80, 24);
    console.wait_for("Connected to tty 1");
    console.keys_until("\r", "login:");
    console.keys("\x01q");
    assert!(console.exit().success());

    let inside = lxc.lxcpath.ok(&["attach", name, "--", "/bin/sh", "-c", "hostname; id -u"]);
    assert_eq!(inside, format!("{name}\n0\n"));
    // The halt signal of the template, SIGUSR1, ends it long before the time is up.
    lxc.lxcpath.ok(&["stop", "-t", "25", name]);
    lxc.both_say(name, "STOPPED");
    lxc.lxcpath.ok(&["destroy", name]);
    assert!(!lxc.lxcpath.path().join(name).exists());
}

/// How often a container of LXC is started and ends.
const LIVES: usize = 5;

/// Has LXC start a container that ends with 7.
fn short_life(lxc: &Lxc, name: &str) {
    lxc.ok("lxc-start", &["-n", name, "--", "/bin/sh", "-c", "sleep 0.1; exit 7"]);
    lxc.ok("lxc-wait", &["-n", name, "-s", "STOPPED"]);
}

/// LXC itself leaves these after a restart, and some of a container that ends soon.
fn remove_groups_of_supervisors(name: &str) {
    wait_until("the supervisors have left their groups", || {
        let groups = leftovers::cgroups(&format!("lxc.monitor.{name}"));
        groups.iter().filter(|it| fs::remove_dir(it).is_err()).count() == 0
    });
}

#[test]
fn no_state_of_a_container_of_lxc_is_missed_or_told_twice() {
    let Some(lxc) = Lxc::new() else { return };
    let Some(name) = lxc.plain("watched") else { return };
    let mut monitor = Monitor::of(&lxc, &name);
    let life = || short_life(&lxc, &name);
    let before = monitor.told_once_it_follows(&life);
    for _ in 0..LIVES {
        life();
    }
    let lives = |text: &str| text.matches(">STOPPED:").count();
    wait_until("the last life", || lives(&monitor.told()) >= lives(&before) + LIVES);
    let told = monitor.told()[before.len()..].to_owned();
    let one = "STOPPED>STARTING:-\nSTARTING>RUNNING:-\n->-:{\"code\":7}\nRUNNING>STOPPING:-\nSTOPPING>STOPPED:-\n";
    assert_eq!(told, one.repeat(LIVES));
    monitor.end();
    remove_groups_of_supervisors(&name);
}

#[test]
fn what_a_slow_daemon_of_lxc_says_late_is_told_once_and_in_its_order() {
    let Some(lxc) = Lxc::new() else { return };
    let Some(name) = lxc.plain("slow") else { return };
    let mut monitor = Monitor::of(&lxc, &name);
    let before = monitor.told_once_it_follows(&|| short_life(&lxc, &name));
    let daemon = Paused::daemon_of(lxc.lxcpath.path());
    lxc.ok("lxc-start", &["-n", &name, "--", "/bin/sleep", "1000"]);
    // Longer than the monitor waits for a daemon that has nothing to say.
    std::thread::park_timeout(Duration::from_secs(1));
    drop(daemon);
    let told = || monitor.told()[before.len()..].to_owned();
    wait_until("it is told", || told() == "STOPPED>STARTING:-\nSTARTING>RUNNING:-\n");
    lxc.ok("lxc-stop", &["-n", &name, "-k"]);
    wait_until("its end is told", || told().ends_with("STOPPING>STOPPED:-\n"));
    assert_eq!(told().lines().count(), 5, "{}", told());
    monitor.end();
    remove_groups_of_supervisors(&name);
}

#[test]
fn a_container_of_lxc_that_restarts_itself_is_told_as_stopped_and_started() {
    let Some(lxc) = Lxc::new() else { return };
    let Some(name) = lxc.plain("again") else { return };
    let mut monitor = Monitor::of(&lxc, &name);
    let life = || short_life(&lxc, &name);
    let before = monitor.told_once_it_follows(&life);
    let twice = "sleep 0.1; [ ! -e /been ] || exit 7; >/been; busybox reboot -f; sleep 1000";
    lxc.ok("lxc-start", &["-n", &name, "--", "/bin/sh", "-c", twice]);
    wait_until("the second end", || monitor.told()[before.len()..].contains("\"code\":7"));
    wait_until("the last state", || monitor.told().ends_with("STOPPING>STOPPED:-\n"));
    let told = monitor.told()[before.len()..].to_owned();
    assert_eq!(told.matches("STARTING>RUNNING").count(), 2, "{told}");
    assert_eq!(told.matches(">STOPPED").count(), 2, "{told}");
    monitor.end();
    remove_groups_of_supervisors(&name);
}

#[test]
fn a_state_of_a_container_of_lxc_is_waited_for_however_short_it_is() {
    let Some(lxc) = Lxc::new() else { return };
    let Some(name) = lxc.plain("short") else { return };
    for state in ["STARTING", "RUNNING", "STOPPING"] {
        let waits = lxc.lxcpath.command(&["wait", &name, "-s", state]).spawn().unwrap();
        let mut waits = Beside(waits);
        // It may begin to listen after a life or two.
        wait_until(state, || {
            short_life(&lxc, &name);
            waits.0.try_wait().unwrap().is_some_and(|it| it.success())
        });
    }
    remove_groups_of_supervisors(&name);
}

#[test]
fn what_the_daemon_of_lxc_does_not_say_is_seen() {
    let Some(lxc) = Lxc::new() else { return };
    let Some(name) = lxc.plain("behind") else { return };
    let mut monitor = Monitor::of(&lxc, &name);
    let life = || {
        lxc.ok("lxc-start", &["-n", &name, "--", "/bin/sleep", "1000"]);
        lxc.ok("lxc-stop", &["-n", &name, "-k"]);
    };
    let before = monitor.told_once_it_follows(&life);
    lxc.ok("lxc-start", &["-n", &name, "--", "/bin/sleep", "1000"]);
    // Nobody tells the daemon, which has just spoken.
    let mut groups = leftovers::cgroups(&name);
    groups.retain(|it| it.to_string_lossy().contains("lxc.payload."));
    let write = |file: &str, value: &str| {
        groups.iter().any(|it| it.join(file).exists() && fs::write(it.join(file), value).is_ok())
    };
    assert!(write("freezer.state", "FROZEN") || write("cgroup.freeze", "1"));
    wait_until("it is frozen", || monitor.told().contains("RUNNING>FROZEN"));
    assert!(write("freezer.state", "THAWED") || write("cgroup.freeze", "0"));
    wait_until("it is thawed", || monitor.told().contains("FROZEN>RUNNING"));
    let told = monitor.told()[before.len()..].to_owned();
    assert_eq!(
        told,
        "STOPPED>STARTING:-\nSTARTING>RUNNING:-\nRUNNING>FROZEN:-\nFROZEN>RUNNING:-\n"
    );
    lxc.ok("lxc-stop", &["-n", &name, "-k"]);
    monitor.end();
    remove_groups_of_supervisors(&name);
}

/// LXC's daemon, which does not run until this is dropped.
struct Paused(Pid);

impl Paused {
    fn daemon_of(lxcpath: &Path) -> Self {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|it| it.file_name().to_str()?.parse().ok());
        let is_it = |pid: &i32| {
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut words = command.split(|it| *it == 0);
            words.next().is_some_and(|it| it.ends_with(b"lxc-monitord"))
                && words.next() == Some(lxcpath.as_os_str().as_bytes())
        };
        let daemon = Self(Pid::from_raw(pids.into_iter().find(is_it).unwrap()));
        kill(daemon.0, Signal::SIGSTOP).unwrap();
        daemon
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // It may have ended.
        _ = kill(self.0, Signal::SIGCONT);
    }
}

/// `wharf monitor` of one container, which writes into a file.
struct Monitor {
    process: Beside,
    file: PathBuf,
}

impl Monitor {
    fn of(lxc: &Lxc, name: &str) -> Self {
        let file = lxc.lxcpath.path().join("events");
        let events = fs::File::create(&file).unwrap();
        let args = ["monitor", "--format", "{from}>{to}:{exit}", name];
        let mut command = lxc.lxcpath.command(&args);
        let process = command.stdout(events).stderr(Stdio::inherit()).spawn().unwrap();
        Self { process: Beside(process), file }
    }

    fn told(&self) -> String {
        fs::read_to_string(&self.file).unwrap()
    }

    /// Has a container live a `life`, as often as it takes until this tells of one, and returns what was
    /// written once nothing more comes.
    fn told_once_it_follows(&self, life: &dyn Fn()) -> String {
        wait_until("the monitor follows", || {
            life();
            self.told().contains("STOPPED")
        });
        let mut before = self.told();
        wait_until("all is told", || {
            // Longer than the monitor waits for more.
            std::thread::park_timeout(Duration::from_millis(600));
            let now = self.told();
            let done = now == before && now.trim_end().ends_with("STOPPED:-");
            before = now;
            done
        });
        before
    }

    fn end(&mut self) {
        kill(Pid::from_raw(self.process.0.id().cast_signed()), Signal::SIGINT).unwrap();
        assert!(self.process.0.wait().unwrap().success());
        fs::remove_file(&self.file).unwrap();
    }
}
