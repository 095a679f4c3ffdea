//! Containers that halt or restart themselves, and ends that only look like it. As root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::support::{self, Lxcpath, can_run_containers, rootfs, told, wait_until};

/// A container with a root of its own and the capability to reboot.
struct Machine {
    lxcpath: Lxcpath,
    name: String,
    root: tempfile::TempDir,
}

impl Machine {
    /// None: this machine cannot run the test, which is reported.
    fn new() -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        if !can_run_containers() || !rootfs::busybox(root.path()) {
            return None;
        }
        let lxcpath = Lxcpath::new();
        let name = lxcpath.name("machine");
        fs::create_dir(lxcpath.path().join(&name)).unwrap();
        let config = format!("lxc.rootfs.path = dir:{}\n", root.path().display());
        fs::write(lxcpath.path().join(&name).join("config"), config).unwrap();
        Some(Self { lxcpath, name, root })
    }

    fn config(&self) -> PathBuf {
        self.lxcpath.path().join(&self.name).join("config")
    }

    fn add(&self, lines: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), text + lines).unwrap();
    }

    /// Starts an init that counts its starts, does `on_usr1` on SIGUSR1, and otherwise keeps
    /// running.
    fn start(&self, on_usr1: &str) {
        let script = format!(
            "trap '{on_usr1}' USR1; echo life >> /lives; echo up; while :; do sleep 0.05; done"
        );
        self.lxcpath.ok(&["start", &self.name, "--", "/bin/sh", "-c", &script]);
        self.has_lived(1);
    }

    /// Waits until init has started for the `count`th time.
    fn has_lived(&self, count: usize) {
        let lives = || fs::read_to_string(self.root.path().join("lives")).unwrap_or_default();
        wait_until("the next life", || lives().lines().count() == count);
    }

    fn init(&self) -> i32 {
        self.lxcpath.ok(&["info", "-p", "-H", &self.name]).trim().parse().unwrap()
    }

    fn tell(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.init()), signal).unwrap();
    }

    fn last_exit(&self) -> String {
        let table = self.lxcpath.ok(&["ls", "-F", "exit", &self.name]);
        table.lines().last().unwrap_or_default().trim().to_owned()
    }
}

/// `wharf monitor`, and its output.
struct Monitor {
    process: Child,
    file: tempfile::NamedTempFile,
}

impl Monitor {
    /// Returns once it follows the container, which is running.
    fn of(Machine { lxcpath, name, .. }: &Machine) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        let output = file.reopen().unwrap();
        let process = lxcpath.command(&["monitor", name]).stdout(output).spawn().unwrap();
        let monitor = Self { process, file };
        wait_until("the monitor", || {
            lxcpath.ok(&["freeze", name]);
            lxcpath.ok(&["unfreeze", name]);
            monitor.told().contains("FROZEN")
        });
        monitor
    }

    fn told(&self) -> String {
        fs::read_to_string(self.file.path()).unwrap()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn parent(pid: i32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap().trim().to_owned()
}

fn exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn poweroff_inside_is_a_clean_end() {
    let Some(machine) = Machine::new() else { return };
    let Machine { lxcpath, name, .. } = &machine;
    for how in ["poweroff", "halt"] {
        let args = ["start", "-F", name, "--", "/bin/busybox", how, "-f"];
        let output = lxcpath.wharf(&args);
        assert_eq!(output.status.code(), Some(0), "{how}: {}", told(&output));
        assert!(lxcpath.ok(&["info", name]).contains("halted"), "{}", lxcpath.ok(&["info", name]));
    }
}

#[test]
fn a_reboot_inside_starts_it_again_as_it_is_configured_now() {
    let Some(machine) = Machine::new() else { return };
    let Machine { lxcpath, name, .. } = &machine;
    machine.start("busybox reboot -f");
    let (first, supervisor) = (machine.init(), parent(machine.init()));
    machine.add("lxc.cgroup.pids.max = 77\nlxc.cgroup2.pids.max = 77\n");
    machine.tell(nix::sys::signal::SIGUSR1);
    machine.has_lived(2);
    wait_until("its state", || lxcpath.state(name) == "RUNNING");
    let second = machine.init();
    assert!(second != first && !exists(first), "{first} and {second}");
    assert_eq!(parent(second), supervisor, "another supervisor");
    assert_eq!(lxcpath.ok(&["cgroup", name, "pids.max"]).trim(), "77");
    // A viewer of its console sees the new run, and it can be entered and stopped.
    assert_eq!(lxcpath.ok(&["attach", name, "--", "/bin/echo", "in"]).trim(), "in");
    machine.tell(nix::sys::signal::SIGUSR1);
    machine.has_lived(3);
    lxcpath.ok(&["stop", "-k", name]);
    assert_eq!(lxcpath.state(name), "STOPPED");
    // The supervisor's own group is removed when the supervisor has ended.
    wait_until("its groups gone", || support::leftovers::cgroups(name).is_empty());
}

#[test]
fn a_reboot_into_a_broken_configuration_stops_it_with_the_reason() {
    let Some(machine) = Machine::new() else { return };
    let Machine { lxcpath, name, .. } = &machine;
    machine.start("busybox reboot -f");
    let monitor = Monitor::of(&machine);
    // Before it is broken, since `info` would then print the pid and fail.
    let init = nix::unistd::Pid::from_raw(machine.init());
    machine.add("lxc.no.such.key = 1\n");
    nix::sys::signal::kill(init, nix::sys::signal::SIGUSR1).unwrap();
    lxcpath.ok(&["wait", name, "-s", "STOPPED", "-t", "20"]);
    wait_until("the reason", || {
        let told = monitor.told();
        told.contains("rebooted") && told.contains("lxc.no.such.key")
    });
    drop(monitor);
    wait_until("its groups gone", || support::leftovers::cgroups(name).is_empty());
}

#[test]
fn a_signal_from_outside_is_no_reboot() {
    let Some(machine) = Machine::new() else { return };
    let Machine { lxcpath, name, .. } = &machine;
    // The kernel drops what an init has no handler for, at once.
    lxcpath.ok(&["start", name, "--", "/bin/sleep", "1000"]);
    let init = machine.init();
    for signal in [nix::sys::signal::SIGHUP, nix::sys::signal::SIGINT] {
        machine.tell(signal);
        assert!(exists(init), "{signal}");
    }
    assert_eq!((lxcpath.state(name), machine.init()), ("RUNNING".to_owned(), init));
    lxcpath.ok(&["stop", "-k", name]);

    // An init with a handler ends as that decides.
    let script = "trap 'exit 3' HUP; echo life >> /lives; while :; do sleep 0.05; done";
    lxcpath.ok(&["start", name, "--", "/bin/sh", "-c", script]);
    machine.has_lived(1);
    machine.tell(nix::sys::signal::SIGHUP);
    wait_until("its end", || lxcpath.state(name) == "STOPPED");
    assert_eq!(machine.last_exit(), "exit 3");
    machine.has_lived(1);
}

#[test]
fn stop_r_has_the_guest_restart_itself() {
    let Some(machine) = Machine::new() else { return };
    let Machine { lxcpath, name, .. } = &machine;
    machine.add("lxc.signal.reboot = SIGUSR1\n");
    machine.start("echo asked >> /asked; busybox reboot -f");
    let (first, supervisor) = (machine.init(), parent(machine.init()));
    lxcpath.ok(&["stop", "-r", "-t", "20", name]);
    assert_eq!(lxcpath.state(name), "RUNNING");
    machine.has_lived(2);
    assert_ne!(machine.init(), first);
    assert_eq!(parent(machine.init()), supervisor);
    // A frozen one receives it as well.
    lxcpath.ok(&["freeze", name]);
    lxcpath.ok(&["stop", "-r", "-t", "20", name]);
    machine.has_lived(3);
    assert_eq!(fs::read_to_string(machine.root.path().join("asked")).unwrap(), "asked\nasked\n");
    assert_eq!(lxcpath.state(name), "RUNNING");
}

#[test]
fn stop_r_starts_again_what_cannot_restart_itself() {
    let Some(machine) = Machine::new() else { return };
    let Machine { lxcpath, name, .. } = &machine;
    // Without a handler, or ending on the signal without a restart, or ignoring it: the command
    // stays the same.
    for (script, seconds) in [
        ("echo life >> /lives; exec sleep 1000", "60"),
        ("trap 'exit 4' INT; echo life >> /lives; while :; do sleep 0.05; done", "60"),
        ("trap '' PWR; trap : INT; echo life >> /lives; while :; do sleep 0.05; done", "1"),
    ] {
        lxcpath.ok(&["start", name, "--", "/bin/sh", "-c", script]);
        machine.has_lived(1);
        if script.contains("exec") {
            // A shell handles SIGINT, and one that arrives while it executes another program is
            // lost.
            wait_until("the deaf program", || {
                let name = fs::read_to_string(format!("/proc/{}/comm", machine.init())).unwrap();
                name.trim() == "sleep"
            });
        }
        let first = machine.init();
        lxcpath.ok(&["stop", "-r", "-t", seconds, name]);
        machine.has_lived(2);
        assert!(!exists(first), "{script}");
        assert_eq!(lxcpath.state(name), "RUNNING", "{script}");
        lxcpath.ok(&["stop", "-k", name]);
        fs::remove_file(machine.root.path().join("lives")).unwrap();
    }
    lxcpath.refused(&["stop", "-r", name], 2);
}

#[test]
fn stop_r_does_not_wait_for_a_shell_that_is_typed_into() {
    let Some(machine) = Machine::new() else { return };
    let Machine { lxcpath, name, .. } = &machine;
    lxcpath.ok(&["start", name, "--", "/bin/sh"]);
    let first = machine.init();
    // It has a handler for SIGINT, and only discards the typed line.
    wait_until("the handler", || {
        let status = fs::read_to_string(format!("/proc/{first}/status")).unwrap();
        let caught = status.lines().find_map(|it| it.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() & 1 << (libc::SIGINT - 1) != 0
    });
    for ask in ["-W", "--nokill"] {
        let said = lxcpath.refused(&["stop", "-r", ask, name], 1);
        assert!(said.contains("init is a shell"), "{said}");
    }
    let monitor = Monitor::of(&machine);
    let begun = Instant::now();
    lxcpath.ok(&["stop", "-r", "-t", "60", name]);
    assert!(begun.elapsed() < Duration::from_secs(30), "it was waited for");
    wait_until("what ended it", || {
        monitor.told().contains("ended by restart, init does not restart on SIGINT")
    });
    assert!(!monitor.told().contains("signal [9]"), "{}", monitor.told());
    assert_ne!(machine.init(), first);
    assert_eq!(lxcpath.state(name), "RUNNING");
}

#[test]
fn a_stop_is_not_undone_by_a_guest_that_reboots() {
    let Some(machine) = Machine::new() else { return };
    let Machine { lxcpath, name, .. } = &machine;
    machine.add("lxc.signal.halt = SIGUSR1\n");
    machine.start("busybox reboot -f");
    lxcpath.ok(&["stop", "-t", "20", name]);
    assert_eq!(lxcpath.state(name), "STOPPED");
    assert_eq!(machine.last_exit(), "rebooted");
    machine.has_lived(1);
}

#[test]
fn a_container_that_does_nothing_but_restart_is_slowed_down_and_can_be_stopped() {
    let Some(machine) = Machine::new() else { return };
    let Machine { lxcpath, name, root } = &machine;
    machine.start("busybox reboot -f");
    let monitor = Monitor::of(&machine);
    let lives = || fs::read_to_string(root.path().join("lives")).unwrap().lines().count();
    lxcpath.ok(&["stop", name]);
    // While it waits it can be inspected and ended, in any way.
    for options in [&["-t", "600"][..], &["-k"], &["-W"]] {
        let (before, past) = (lives(), monitor.told().len());
        let script = "echo life >> /lives; exec busybox reboot -f";
        lxcpath.ok(&["start", name, "--", "/bin/sh", "-c", script]);
        let told = || monitor.told().split_off(past);
        wait_until("the fourth wait", || told().contains("waits [8 s]"));
        let first = "restarted itself [5] times in a row, waits [1 s]";
        assert!(told().contains(first), "{}", told());
        assert_eq!(lives() - before, 8);
        assert_eq!(lxcpath.state(name), "STOPPING");
        let why = lxcpath.refused(&["freeze", name], 1);
        assert!(why.contains("it keeps restarting itself, and waits"), "{why}");
        assert!(why.contains(&format!("`wharf stop {name}` ends that")), "{why}");
        lxcpath.ok(&[&["stop"][..], options, &[name]].concat());
        assert_eq!(lxcpath.state(name), "STOPPED", "{options:?}");
        // It did not even wait for one more run.
        assert_eq!(lives() - before, 8, "{options:?}");
    }
}

#[test]
fn stop_r_ends_the_wait_for_the_next_start() {
    let Some(machine) = Machine::new() else { return };
    let Machine { lxcpath, name, root } = &machine;
    let lives = || fs::read_to_string(root.path().join("lives")).unwrap_or_default();
    // The wait after ten lives is 32 seconds; the next life stays.
    let script = "echo life >> /lives; [ $(busybox wc -l < /lives) -gt 10 ] && exec sleep 1000; \
        exec busybox reboot -f";
    lxcpath.ok(&["start", name, "--", "/bin/sh", "-c", script]);
    wait_until("the tenth life", || lives().lines().count() == 10);
    wait_until("the wait", || !lxcpath.ok(&["info", name]).contains("PID:"));
    let info = lxcpath.ok(&["info", name]);
    assert!(info.contains("it keeps restarting itself"), "{info}");
    let began = Instant::now();
    lxcpath.ok(&["stop", "-r", name]);
    assert!(began.elapsed() < Duration::from_secs(30), "it was not restarted at once");
    assert_eq!(lxcpath.state(name), "RUNNING");
    let info = lxcpath.ok(&["info", name]);
    assert!(!info.contains("it keeps restarting itself"), "{info}");
    lxcpath.ok(&["stop", "-k", name]);
}

#[test]
fn what_waits_to_restart_is_not_taken_for_a_namesake_elsewhere() {
    let Some(machine) = Machine::new() else { return };
    let Machine { lxcpath, name, root } = &machine;
    let lives = || fs::read_to_string(root.path().join("lives")).unwrap_or_default();
    let script = "echo life >> /lives; exec busybox reboot -f";
    lxcpath.ok(&["start", name, "--", "/bin/sh", "-c", script]);
    // The next start is delayed by 32 seconds.
    wait_until("the tenth life", || lives().lines().count() == 10);
    wait_until("the wait", || !lxcpath.ok(&["info", name]).contains("PID:"));
    // The name of its group is free meanwhile.
    let elsewhere = Lxcpath::new();
    fs::create_dir(elsewhere.path().join(name)).unwrap();
    fs::copy(machine.config(), elsewhere.path().join(name).join("config")).unwrap();
    elsewhere.ok(&["start", name, "--", "/bin/sleep", "1000"]);
    let group = format!("/lxc.payload.{name}");
    assert!(elsewhere.ok(&["info", name]).contains(&group), "{}", elsewhere.ok(&["info", name]));
    let told = lxcpath.ok(&["info", name]) + &lxcpath.ok(&["ps", name]);
    assert!(!told.contains(&format!("{group}\n")) && !told.contains("sleep"), "{told}");
    lxcpath.ok(&["stop", "-k", name]);
    assert_eq!(elsewhere.state(name), "RUNNING");
    elsewhere.ok(&["stop", "-k", name]);
}

#[test]
fn a_restart_that_a_shell_took_along_into_a_program_is_not_waited_for() {
    let Some(machine) = Machine::new() else { return };
    let Machine { lxcpath, name, .. } = &machine;
    let script = "trap 'asked=yes' USR1; echo life >> /lives; \
        while [ -z \"$asked\" ]; do sleep 0.05; done; exec sleep 10000";
    machine.add("lxc.signal.reboot = SIGUSR1\n");
    for options in [&["--nokill"][..], &[]] {
        lxcpath.ok(&["start", name, "--", "/bin/sh", "-c", script]);
        let before = Instant::now();
        let args = [&["stop", "-r", "-t", "3000"][..], options, &[name]].concat();
        if options.is_empty() {
            lxcpath.ok(&args);
            assert_eq!(lxcpath.state(name), "RUNNING");
        } else {
            let told = lxcpath.refused(&args, 1);
            assert!(told.contains("no handler for SIGUSR1"), "{told}");
        }
        assert!(before.elapsed() < Duration::from_mins(10), "it was waited for");
        lxcpath.ok(&["stop", "-k", name]);
    }
}
