//! Whole lives of real containers, from create to destroy, through the command line. As root.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::str::FromStr as _;

use crate::support::{self, Lxcpath, can_run_containers, rootfs, told, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

#[test]
fn a_container_that_shares_the_host_lives_and_dies() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("host");
    lxcpath.ok(&["create", &name]);
    live(&lxcpath, &name, "/bin/sleep");
}

#[test]
fn a_container_with_a_root_of_its_own_lives_and_dies() {
    let lxcpath = Lxcpath::new();
    let root = tempfile::tempdir().unwrap();
    if !can_run_containers() || !rootfs::busybox(root.path()) {
        return;
    }
    let name = lxcpath.name("root");
    lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
    live(&lxcpath, &name, "/bin/sleep");
    assert!(root.path().join("bin/busybox").exists(), "destroy took a root that is not its own");
}

/// Takes a created container through every verb.
fn live(lxcpath: &Lxcpath, name: &str, sleep: &str) {
    assert_eq!(lxcpath.state(name), "STOPPED");
    lxcpath.refused(&["freeze", name], 1);
    lxcpath.refused(&["stop", name], 2);

    lxcpath.ok(&["start", name, "--", sleep, "1000"]);
    assert_eq!(lxcpath.state(name), "RUNNING");
    lxcpath.refused(&["start", name, "--", sleep, "1000"], 1);
    lxcpath.refused(&["destroy", name], 1);
    let pid = lxcpath.ok(&["info", "-p", "-H", name]).trim().to_owned();
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(command.starts_with(sleep), "{command:?}");
    assert!(lxcpath.ok(&["ls", "-1", "--running"]).contains(name));

    let table = lxcpath.ok(&["ps", name]);
    let row = table.lines().find(|it| it.contains("sleep")).unwrap_or_else(|| panic!("{table}"));
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(&cells[..3], [name, &pid, "1"], "{table}");

    let (file, value) = pids_limit(lxcpath, name);
    assert_eq!(value, "123", "{file}");
    lxcpath.refused(&["cgroup", name, "no.such.file"], 1);
    lxcpath.refused(&["cgroup", name, "../cgroup.procs"], 1);

    lxcpath.ok(&["freeze", name]);
    assert_eq!(lxcpath.state(name), "FROZEN");
    lxcpath.ok(&["unfreeze", name]);
    assert_eq!(lxcpath.state(name), "RUNNING");

    let inside = lxcpath.ok(&["attach", name, "--", "/bin/sh", "-c", "echo inside as $$"]);
    assert!(inside.starts_with("inside as "), "{inside}");
    let output = lxcpath.wharf(&["attach", name, "--", "/bin/sh", "-c", "exit 7"]);
    assert_eq!(output.status.code(), Some(7), "{}", told(&output));
    let output = lxcpath.wharf(&["attach", name, "--", "/no/such/command"]);
    assert_eq!(output.status.code(), Some(127), "{}", told(&output));

    lxcpath.ok(&["stop", "-k", name]);
    assert_eq!(lxcpath.state(name), "STOPPED");
    lxcpath.ok(&["destroy", name]);
    lxcpath.refused(&["info", name], 1);
    assert!(!lxcpath.path().join(name).exists());
}

#[test]
fn what_a_container_has_of_its_own_is_not_the_hosts() {
    let lxcpath = Lxcpath::new();
    let root = tempfile::tempdir().unwrap();
    if !can_run_containers() || !rootfs::busybox(root.path()) {
        return;
    }
    let name = lxcpath.name("own");
    let dir = root.path().to_str().unwrap();
    lxcpath.ok(&["create", &name, "--dir", dir, "-s", "lxc.uts.name=own-name"]);
    // A supervisor started by a process that is the first to be OOM-killed does not inherit that.
    let wharf = lxcpath.command(&["start", &name, "--", "/bin/sleep", "1000"]);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "echo 500 > /proc/self/oom_score_adj; exec \"$0\" \"$@\""]);
    shell.arg(wharf.get_program()).args(wharf.get_args()).stdin(Stdio::null());
    let output = support::finish(shell);
    assert!(output.status.success(), "{}", told(&output));

    let init = lxcpath.ok(&["info", "-p", "-H", &name]).trim().to_owned();
    let of_init = |file: &str| fs::read_to_string(format!("/proc/{init}/{file}")).unwrap();
    let mounts = of_init("mounts");
    for mount in [" /dev/shm tmpfs ", " /dev/mqueue mqueue "] {
        assert!(mounts.contains(mount), "{mount}:\n{mounts}");
    }
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "uts"] {
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_ne!(namespace(&init), namespace("self"), "{kind}");
    }
    let script = "busybox hostname; busybox ip link show lo";
    let inside = lxcpath.ok(&["attach", &name, "--", "/bin/sh", "-c", script]);
    assert!(inside.starts_with("own-name\n") && inside.contains("LOOPBACK,UP"), "{inside}");
    let status = of_init("status");
    let supervisor = status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap().trim();
    let score = fs::read_to_string(format!("/proc/{supervisor}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "0");
    lxcpath.ok(&["stop", "-k", &name]);
}

#[test]
fn whoever_ignores_the_end_of_his_children_learns_that_of_a_container() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("careless");
    lxcpath.ok(&["create", &name]);
    let run = |args: &[&str]| {
        let wharf = lxcpath.command(args);
        let mut env = Command::new("env");
        env.arg("--ignore-signal=CHLD").arg(wharf.get_program()).args(wharf.get_args());
        env.stdin(Stdio::null());
        support::finish(env)
    };
    let started = run(&["start", &name, "--", "/bin/sleep", "1000"]);
    assert!(started.status.success(), "{}", told(&started));
    for args in [&["attach", &name][..], &["execute", &lxcpath.name("job")]] {
        let ended = run(&[args, &["--", "/bin/sh", "-c", "exit 7"]].concat());
        assert_eq!(ended.status.code(), Some(7), "{}", told(&ended));
    }
    lxcpath.ok(&["stop", "-k", &name]);
}

/// Sets and reads back a limit that every layout has.
fn pids_limit(lxcpath: &Lxcpath, name: &str) -> (&'static str, String) {
    let file = "pids.max";
    lxcpath.ok(&["cgroup", name, file, "123"]);
    (file, lxcpath.ok(&["cgroup", name, file]).trim().to_owned())
}

#[test]
fn execute_gives_back_the_exit_code() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("code");
    for (script, code) in [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 137), ("kill -15 $$", 143)]
    {
        let output = lxcpath.wharf(&["execute", &name, "--", "/bin/sh", "-c", script]);
        assert_eq!(output.status.code(), Some(code), "{script}: {}", told(&output));
    }
    let output = lxcpath.wharf(&["execute", &name, "--", "/no/such/command"]);
    assert_eq!(output.status.code(), Some(127), "{}", told(&output));
    let output = lxcpath.wharf(&["execute", &name, "--", "/etc/passwd"]);
    assert_eq!(output.status.code(), Some(126), "{}", told(&output));
}

#[test]
fn a_signal_reaches_the_command_and_what_it_leaves_ends_with_it() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("signalled");
    let script = "for it in HUP INT QUIT TERM USR1 USR2; do trap \"echo $it; exit 9\" $it; done\n\
                  sleep 1000 & echo ready; while :; do wait; done";
    for signal in ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2"] {
        let mut command = lxcpath.command(&["execute", &name, "--", "/bin/sh", "-c", script]);
        let mut execute = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(execute.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert_eq!(said.next().unwrap(), "ready");
        let number = Signal::from_str(&format!("SIG{signal}")).unwrap();
        kill(Pid::from_raw(execute.id().cast_signed()), number).unwrap();
        wait_until("its end", || execute.try_wait().unwrap().is_some());
        assert_eq!(execute.wait().unwrap().code(), Some(9), "{signal}");
        assert_eq!(said.collect::<Vec<_>>(), [signal]);
    }
}

#[test]
fn execute_makes_and_removes_a_container_that_is_not_defined() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("once");
    let script = "echo $$; echo out; echo err >&2; read -r line < /proc/1/comm; echo $line";
    let output = lxcpath.wharf(&["execute", &name, "--", "/bin/sh", "-c", script]);
    assert!(output.status.success(), "{}", told(&output));
    let said = support::text(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.first(), Some(&"2"), "the command is pid 2: {}", told(&output));
    assert_eq!(lines.get(1), Some(&"out"));
    assert_eq!(lines.get(2), Some(&"wharf"), "pid 1 is wharf's own init");
    assert!(support::text(&output.stderr).contains("err"));
    assert!(!lxcpath.path().join(&name).exists(), "the container is still defined");
    assert_eq!(lxcpath.ok(&["ls", "-1"]), "");
}

#[test]
fn execute_keeps_a_container_that_was_defined() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("kept");
    lxcpath.ok(&["create", &name]);
    lxcpath.ok(&["execute", &name, "--", "/bin/true"]);
    assert!(lxcpath.path().join(&name).join("config").exists());
}

#[test]
fn a_foreground_start_gives_back_the_exit_code() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("front");
    lxcpath.ok(&["create", &name]);
    let output = lxcpath.wharf(&["start", "-F", &name, "--", "/bin/sh", "-c", "echo $$; exit 5"]);
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert_eq!(support::text(&output.stdout).trim(), "1");
    assert_eq!(lxcpath.state(&name), "STOPPED");
}

#[test]
fn a_start_that_cannot_work_says_why_and_leaves_nothing() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("bad");
    lxcpath.ok(&["create", &name]);
    let message = lxcpath.refused(&["start", &name, "--", "/no/such/init"], 1);
    assert!(message.contains("/no/such/init"), "{message}");
    let config = lxcpath.path().join(&name).join("config");
    let mut text = fs::read_to_string(&config).unwrap();
    text.push_str("lxc.rootfs.path = /no/such/root\n");
    fs::write(&config, &text).unwrap();
    let message = lxcpath.refused(&["start", &name, "--", "/bin/true"], 1);
    assert!(message.contains("/no/such/root"), "{message}");
    text.push_str("lxc.roofts.path = /\n");
    fs::write(&config, &text).unwrap();
    let message = lxcpath.refused(&["start", &name, "--", "/bin/true"], 1);
    assert!(message.contains("line ") && message.contains("lxc.roofts.path"), "{message}");
    assert_eq!(lxcpath.state(&name), "STOPPED");
    wait_until("its groups gone", || support::leftovers::cgroups(&name).is_empty());
}

#[test]
fn a_container_that_ends_by_itself_is_stopped() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("short");
    lxcpath.ok(&["create", &name]);
    lxcpath.ok(&["start", &name, "--", "/bin/true"]);
    lxcpath.ok(&["wait", &name, "-s", "STOPPED", "-t", "20"]);
    assert_eq!(lxcpath.state(&name), "STOPPED");
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    assert_eq!(lxcpath.state(&name), "RUNNING");
}

#[test]
fn stop_asks_before_it_kills() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("polite");
    lxcpath.ok(&["create", &name, "-s", "lxc.signal.halt=SIGUSR1"]);
    let up = lxcpath.path().join("up");
    let script = "trap 'exit 6' USR1; : > $0; while :; do sleep 0.05; done";
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script, up.to_str().unwrap()]);
    wait_until("its handler", || up.exists());
    fs::remove_file(up).unwrap();
    let before = std::time::Instant::now();
    lxcpath.ok(&["stop", "-t", "20", &name]);
    assert!(before.elapsed() < std::time::Duration::from_secs(15), "it was waited for in vain");
    let info = lxcpath.ok(&["info", &name]);
    assert!(info.contains("exit 6"), "killed, not asked: {info}");

    let stubborn = "trap '' USR1; while :; do sleep 0.05; done";
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", stubborn]);
    lxcpath.refused(&["stop", "-t", "1", "--nokill", &name], 1);
    assert_eq!(lxcpath.state(&name), "RUNNING");
    lxcpath.ok(&["stop", "-t", "1", &name]);
    assert_eq!(lxcpath.state(&name), "STOPPED");
}

#[test]
fn stop_takes_every_process_and_a_frozen_one_too() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("many");
    lxcpath.ok(&["create", &name]);
    let script = "for i in 1 2 3 4 5; do setsid sleep 1000 & done; sleep 1000";
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script]);
    wait_until("six processes or more", || lxcpath.ok(&["ps", &name]).lines().count() > 6);
    lxcpath.ok(&["freeze", &name]);
    lxcpath.ok(&["stop", "-k", &name]);
    assert_eq!(lxcpath.state(&name), "STOPPED");
    wait_until("its groups gone", || support::leftovers::cgroups(&name).is_empty());
}

#[test]
fn monitor_tells_a_whole_life_once_and_in_order() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("seen");
    let journal = lxcpath.path().join("../").join(format!("{name}.events"));
    let file = fs::File::create(&journal).unwrap();
    let mut command = lxcpath.command(&["monitor", "--json", &name]);
    let mut monitor = command.stdout(file).stderr(Stdio::null()).spawn().unwrap();
    let read = || fs::read_to_string(&journal).unwrap();

    // The monitor is following once it reports the first event.
    wait_until("the first event", || {
        lxcpath.ok(&["create", &name]);
        lxcpath.ok(&["destroy", &name]);
        read().contains("created")
    });
    lxcpath.ok(&["create", &name]);
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    lxcpath.ok(&["freeze", &name]);
    lxcpath.ok(&["unfreeze", &name]);
    lxcpath.ok(&["stop", "-k", &name]);
    lxcpath.ok(&["destroy", &name]);
    let starts = |text: &str| text.find("STARTING").map(|at| text[at..].to_owned());
    wait_until("the last event", || starts(&read()).is_some_and(|it| it.contains("trashed")));
    let told: Vec<String> = read().lines().filter_map(word).collect();
    let life = told.iter().position(|it| it == "STARTING").unwrap();
    assert_eq!(
        told[life..],
        [
            "STARTING", "RUNNING", "FREEZING", "FROZEN", "THAWED", "RUNNING", "exited", "STOPPING",
            "STOPPED", "trashed"
        ],
        "{}",
        read()
    );

    let pid = Pid::from_raw(monitor.id().cast_signed());
    kill(pid, Signal::SIGINT).unwrap();
    assert!(monitor.wait().unwrap().success(), "an interrupted monitor ends well");
    fs::remove_file(&journal).unwrap();
}

/// Returns an event's state, or its kind.
fn word(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line).ok()?;
    let kind = event.get("event")?.as_str()?;
    let word = if kind == "state" { event.get("to")?.as_str()? } else { kind };
    Some(word.to_owned())
}

#[test]
fn wait_returns_when_the_state_comes() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("late");
    lxcpath.ok(&["wait", &name, "-s", "RUNNING|FROZEN", "-t", "0"]);
    let output = lxcpath.wharf(&["wait", &name, "-s", "STOPPED", "-t", "1"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let mut waiting = lxcpath.command(&["wait", &name, "-s", "STOPPED"]).spawn().unwrap();
    lxcpath.ok(&["stop", "-k", &name]);
    wait_until("the end of wait", || waiting.try_wait().unwrap().is_some());
    assert!(waiting.wait().unwrap().success());
}

#[test]
fn json_tells_the_same() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("json");
    let parse = |args: &[&str]| serde_json::from_str::<Value>(&lxcpath.ok(args)).unwrap();
    let info = parse(&["info", "--json", &name]);
    assert_eq!(info["state"], "RUNNING", "{info}");
    assert!(info["init_pid"].as_i64().is_some_and(|it| it > 1), "{info}");
    let list = parse(&["ls", "--json"]);
    assert_eq!(list[0]["name"], name.as_str(), "{list}");
    assert_eq!(list[0]["init_pid"], info["init_pid"]);
    let processes = parse(&["ps", "--json", &name]);
    assert_eq!(processes[0]["pid"], info["init_pid"], "{processes}");
    assert_eq!(processes[0]["inner_pid"], 1);
}

#[test]
fn two_starts_of_one_name_have_one_winner() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("race");
    lxcpath.ok(&["create", &name]);
    let start = || {
        let mut command = lxcpath.command(&["start", &name, "--", "/bin/sleep", "1000"]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut starts: Vec<_> = (0..4).map(|_| start()).collect();
    let won = starts
        .iter_mut()
        .filter_map(|it| it.wait().ok())
        .filter(std::process::ExitStatus::success)
        .count();
    assert_eq!(won, 1);
    assert_eq!(lxcpath.state(&name), "RUNNING");
}
