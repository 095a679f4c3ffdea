//! How a container is asked to end: inits that receive the signal and inits that do not, and
//! supervisors that are asked to end. As root.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::support::{self, Lxcpath, can_run_containers, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const DEAF: &str = "ended by stop, init has no handler for SIGPWR";

/// Less than the time that wharf waits for an init that receives the signal.
const SOON: Duration = Duration::from_secs(10);

fn last_exit(lxcpath: &Lxcpath, name: &str) -> String {
    let table = lxcpath.ok(&["ls", "-F", "exit", name]);
    table.lines().last().unwrap_or_default().trim().to_owned()
}

#[test]
fn an_init_without_a_handler_is_not_waited_for() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("deaf");
    let message = lxcpath.refused(&["stop", "-W", &name], 1);
    assert!(message.contains("no handler for SIGPWR"), "{message}");
    let message = lxcpath.refused(&["stop", "--nokill", &name], 1);
    assert!(message.contains("no handler for SIGPWR"), "{message}");
    assert_eq!(lxcpath.state(&name), "RUNNING");
    let begun = Instant::now();
    lxcpath.ok(&["stop", "-t", "600", &name]);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(last_exit(&lxcpath, &name), DEAF);
    assert!(lxcpath.ok(&["info", &name]).contains(DEAF), "{}", lxcpath.ok(&["info", &name]));
}

#[test]
fn the_others_get_a_moment_if_init_has_no_handler() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("moment");
    lxcpath.ok(&["create", &name]);
    let file = lxcpath.path().join("told");
    let script = "sh -c 'trap \"sleep 0.2; echo ended > $0; exit\" TERM; echo up > $0; \
        while :; do sleep 0.05; done' \"$0\" & exec sleep 1000";
    let file = file.to_str().unwrap();
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script, file]);
    wait_until("the other process", || fs::read_to_string(file).is_ok_and(|it| it == "up\n"));
    lxcpath.ok(&["stop", "-t", "600", &name]);
    assert_eq!(fs::read_to_string(file).unwrap(), "ended\n");
    assert_eq!(last_exit(&lxcpath, &name), DEAF);
    fs::remove_file(file).unwrap();
}

#[test]
fn an_init_that_knows_sigterm_alone_gets_that() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("term");
    lxcpath.ok(&["create", &name]);
    let file = lxcpath.path().join("up");
    let script = "trap 'sleep 2.5; exit 6' TERM; echo > $0; while :; do sleep 0.05; done";
    let file = file.to_str().unwrap();
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script, file]);
    wait_until("init", || fs::exists(file).unwrap());
    lxcpath.ok(&["stop", "-t", "600", &name]);
    assert_eq!(last_exit(&lxcpath, &name), "exit 6");
    fs::remove_file(file).unwrap();
}

#[test]
fn a_frozen_container_receives_the_halt_signal() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("ice");
    lxcpath.ok(&["create", &name]);
    let file = lxcpath.path().join("up");
    let script = "trap 'exit 7' PWR; echo > $0; while :; do sleep 0.05; done";
    let file = file.to_str().unwrap();
    for options in [&["-t", "600"][..], &["-W"]] {
        lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script, file]);
        wait_until("init", || fs::exists(file).unwrap());
        lxcpath.ok(&["freeze", &name]);
        let mut args = vec!["stop"];
        args.extend(options);
        args.push(&name);
        lxcpath.ok(&args);
        wait_until("its end", || lxcpath.state(&name) == "STOPPED");
        assert_eq!(last_exit(&lxcpath, &name), "exit 7", "{options:?}");
        fs::remove_file(file).unwrap();
    }
}

/// Starts a container in the foreground whose init is `script`, and returns once that is up.
fn in_foreground(lxcpath: &Lxcpath, name: &str, script: &str) -> Child {
    let file = lxcpath.path().join("up");
    let script = format!("{script}; echo > $0; while :; do sleep 0.05; done");
    let args = ["start", "-F", name, "--", "/bin/sh", "-c", &script, file.to_str().unwrap()];
    let child = lxcpath.command(&args).spawn().unwrap();
    wait_until("init", || fs::exists(&file).unwrap());
    fs::remove_file(file).unwrap();
    child
}

fn tell(supervisor: &Child, signal: Signal) {
    kill(Pid::from_raw(supervisor.id().cast_signed()), signal).unwrap();
}

#[test]
fn a_supervisor_that_is_asked_to_end_ends_its_container() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("unit");
    lxcpath.ok(&["create", &name]);
    // It receives the signal, it does not, and it ignores it, which a second signal ends.
    for (script, words, exit, code) in [
        ("trap 'exit 7' PWR", 1, "exit 7", 7),
        ("trap '' PWR", 1, DEAF, 0),
        ("trap : PWR", 2, "signal 9", 137),
    ] {
        let mut supervisor = in_foreground(&lxcpath, &name, script);
        let begun = Instant::now();
        for _ in 0..words {
            tell(&supervisor, Signal::SIGTERM);
            // Two pending signals of a kind are merged.
            wait_until("to be heard", || words == 1 || !is_pending(&supervisor));
        }
        wait_until(&format!("the end of {script}"), || supervisor.try_wait().unwrap().is_some());
        assert_eq!(supervisor.wait().unwrap().code(), Some(code), "{script}");
        assert!(begun.elapsed() < SOON, "{script}: {:?}", begun.elapsed());
        assert_eq!(last_exit(&lxcpath, &name), exit, "{script}");
        assert!(support::leftovers::cgroups(&name).is_empty(), "{script}");
    }
}

/// Returns whether a signal is pending for `process`.
fn is_pending(process: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let pending = status.lines().find_map(|it| it.strip_prefix("ShdPnd:")).unwrap_or_default();
    pending.trim().contains(|it| it != '0')
}

/// How an init with `script` ends by `stop -k` where `lxc.signal.stop` is SIGTERM, and how long
/// that takes.
fn killed(lxcpath: &Lxcpath, word: &str, script: &str) -> (String, Duration) {
    let name = lxcpath.name(word);
    lxcpath.ok(&["create", &name, "-s", "lxc.signal.stop=SIGTERM"]);
    let file = lxcpath.path().join(format!("up-{word}"));
    let script = format!("{script}; echo > $0; while :; do sleep 0.05; done");
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", &script, file.to_str().unwrap()]);
    wait_until("init", || fs::exists(&file).unwrap());
    fs::remove_file(file).unwrap();
    let begun = Instant::now();
    lxcpath.ok(&["stop", "-k", &name]);
    let took = begun.elapsed();
    assert_eq!(lxcpath.state(&name), "STOPPED");
    (last_exit(lxcpath, &name), took)
}

#[test]
fn a_kill_begins_with_the_stop_signal_if_init_handles_it() {
    /// Less than the time that wharf waits after a stop signal that init handles.
    const AT_ONCE: Duration = Duration::from_secs(4);
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let (exit, took) = killed(&lxcpath, "ends", "trap 'exit 7' TERM");
    assert!(exit == "exit 7" && took < AT_ONCE, "{exit} after {took:?}");
    let (exit, took) = killed(&lxcpath, "deaf", ":");
    assert!(exit == "signal 9" && took < AT_ONCE, "{exit} after {took:?}");
    let (exit, took) = killed(&lxcpath, "stays", "trap : TERM");
    assert!(exit == "signal 9" && took < SOON, "{exit} after {took:?}");
}

#[test]
fn a_frozen_container_receives_the_stop_signal() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("ice");
    lxcpath.ok(&["create", &name, "-s", "lxc.signal.stop=SIGTERM"]);
    let file = lxcpath.path().join("up");
    let script = "trap 'exit 7' TERM; echo > $0; while :; do sleep 0.05; done";
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script, file.to_str().unwrap()]);
    wait_until("init", || fs::exists(&file).unwrap());
    lxcpath.ok(&["freeze", &name]);
    lxcpath.ok(&["stop", "-k", &name]);
    assert_eq!(last_exit(&lxcpath, &name), "exit 7");
    fs::remove_file(file).unwrap();
}

fn init(lxcpath: &Lxcpath, name: &str) -> i32 {
    lxcpath.ok(&["info", "-p", "-H", name]).trim().parse().unwrap()
}

/// Waits until another init than `last` runs; in between there is none.
fn next_init(lxcpath: &Lxcpath, name: &str, last: i32) -> i32 {
    let mut next = None;
    wait_until("the next life", || {
        let told = support::text(&lxcpath.wharf(&["info", "-p", "-H", name]).stdout);
        next = told.trim().parse().ok().filter(|it| *it != last);
        next.is_some()
    });
    next.unwrap()
}

/// Makes a container whose configuration asks for wharf's own init above `/bin/sh -c SCRIPT`.
fn tended(lxcpath: &Lxcpath, word: &str, script: &str) -> String {
    let name = lxcpath.name(word);
    let [execute, init] =
        ["execute", "init"].map(|it| format!("lxc.{it}.cmd=/bin/sh -c '{script}'"));
    lxcpath.ok(&["create", &name, "-s", &execute, "-s", &init]);
    name
}

#[test]
fn a_container_as_create_makes_it_halts_at_once_and_restarts() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("plain");
    lxcpath.ok(&["create", &name]);
    // The shell is interactive and ignores SIGTERM.
    lxcpath.ok(&["start", &name]);
    let begun = Instant::now();
    lxcpath.ok(&["stop", "-t", "600", &name]);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(last_exit(&lxcpath, &name), "halted");

    lxcpath.ok(&["start", &name]);
    let (first, supervisor) = (init(&lxcpath, &name), parent(init(&lxcpath, &name)));
    lxcpath.ok(&["stop", "-r", "-t", "600", &name]);
    let second = init(&lxcpath, &name);
    assert!(second != first && parent(second) == supervisor);
    // Only init is asked here.
    kill(Pid::from_raw(second), Signal::SIGINT).unwrap();
    assert_eq!(parent(next_init(&lxcpath, &name, second)), supervisor);
    lxcpath.ok(&["freeze", &name]);
    lxcpath.ok(&["stop", "-t", "600", &name]);
    assert_eq!(last_exit(&lxcpath, &name), "halted");
}

fn parent(pid: i32) -> i32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("PPid:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn a_supervisor_that_is_asked_to_end_halts_a_default_container() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("unit");
    lxcpath.ok(&["create", &name]);
    let mut start = lxcpath.command(&["start", "-F", &name]);
    // The shell waits for input that never comes.
    let mut supervisor = start.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let _input = supervisor.stdin.take();
    wait_until("its start", || lxcpath.state(&name) == "RUNNING");
    tell(&supervisor, Signal::SIGTERM);
    wait_until("its end", || supervisor.try_wait().unwrap().is_some());
    assert_eq!(supervisor.wait().unwrap().code(), Some(0));
    assert_eq!(last_exit(&lxcpath, &name), "halted");
}

#[test]
fn wharfs_init_reaps_and_ends_as_the_command_does() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let file = lxcpath.path().join("on");
    let on = file.display();
    let script = format!(
        "(sleep 0.1; exec sleep 0.1) & echo up; until test -e {on}; do sleep 0.05; done; sleep 600 & exit 7"
    );
    let name = tended(&lxcpath, "code", &script);
    lxcpath.ok(&["start", &name]);
    let pid = init(&lxcpath, &name);
    // The attached command leaves an orphan, whose new parent is init.
    let orphan = "sh -c 'sleep 0.1 & echo $!'";
    lxcpath.ok(&["attach", &name, "--", "/bin/sh", "-c", orphan]);
    wait_until("the orphan to go", || {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().count() == 1
    });
    fs::write(&file, "").unwrap();
    let begun = Instant::now();
    wait_until("its end", || lxcpath.state(&name) == "STOPPED");
    assert!(begun.elapsed() < SOON, "the other was waited for");
    assert_eq!(last_exit(&lxcpath, &name), "exit 7");
    fs::remove_file(&file).unwrap();
}

#[test]
fn a_process_that_ignores_the_halt_is_not_waited_for_long() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let file = lxcpath.path().join("up");
    let script =
        format!(r#"trap "" TERM HUP; echo > {}; while :; do sleep 0.05; done"#, file.display());
    let name = tended(&lxcpath, "stubborn", &script);
    lxcpath.ok(&["start", &name]);
    wait_until("the trap", || fs::exists(&file).unwrap());
    let begun = Instant::now();
    lxcpath.ok(&["stop", "-t", "600", &name]);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(last_exit(&lxcpath, &name), "halted");
    fs::remove_file(&file).unwrap();
}

#[test]
fn the_configured_signals_halt_and_restart() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("signals");
    let signals = ["-s", "lxc.signal.halt=SIGRTMIN+3", "-s", "lxc.signal.reboot=SIGUSR1"];
    lxcpath.ok(&[&["create", &name][..], &signals].concat());
    lxcpath.ok(&["start", &name]);
    let first = init(&lxcpath, &name);
    lxcpath.ok(&["stop", "-r", "-W", &name]);
    next_init(&lxcpath, &name, first);
    lxcpath.ok(&["stop", "-t", "600", &name]);
    assert_eq!(last_exit(&lxcpath, &name), "halted");
    // A signal that cannot be handled does no harm.
    lxcpath.ok(&["start", &name, "-s", "lxc.signal.halt=SIGKILL"]);
    lxcpath.ok(&["stop", "-t", "600", &name]);
    assert_eq!(last_exit(&lxcpath, &name), "halted");
}

#[test]
fn a_command_that_is_named_stays_pid_1() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("named");
    let command = fs::read(format!("/proc/{}/cmdline", init(&lxcpath, &name))).unwrap();
    assert_eq!(command, b"/bin/sleep\x001000\0");
}
