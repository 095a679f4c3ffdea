//! Containers that try to reach the operator's terminal: by arguments, names and console output.

use std::fs;
use std::process::Stdio;

use crate::support::screen::{ENTER, Screen};
use crate::support::{self, Lxcpath, can_run_containers, wait_until};

/// Sets the title, fills the clipboard, clears the screen; with ESC and with the C1 controls.
const HOSTILE: &str = "\u{1b}]0;pwned\u{7}\u{1b}]52;c;cHduZWQ=\u{7}\u{1b}[2J\u{9b}2J\u{202e}evil";

/// The parts of [`HOSTILE`] that must never reach a terminal. Sequences that wharf itself writes
/// are not here.
const NEVER: [&str; 5] = ["\u{1b}]0;pwned", "\u{1b}]52;", "pwned\u{7}", "\u{9b}", "\u{202e}"];

/// A shell that can give a process any name.
const BASH: &str = "/bin/bash";

fn can_be_hostile() -> bool {
    let bash = std::path::Path::new(BASH).exists();
    if !bash {
        println!("skipped: no {BASH}");
    }
    bash && can_run_containers()
}

/// Starts a container that is hostile in its arguments, in its name for the kernel and on its
/// console.
fn start_hostile(lxcpath: &Lxcpath) -> String {
    let name = lxcpath.name("hostile");
    lxcpath.ok(&["create", &name]);
    let script = "printf '\\033]0;pwned' > /proc/self/comm; (exec -a \"$0\" sleep 1000) & \
        while :; do echo \"$0\"; sleep 0.2; done";
    lxcpath.ok(&["start", &name, "--", BASH, "-c", script, HOSTILE]);
    wait_until("hostile processes", || lxcpath.ok(&["ps", &name]).contains("evil"));
    name
}

#[track_caller]
fn assert_harmless(what: &str, text: &str) {
    for never in NEVER {
        assert!(!text.contains(never), "{what} lets {never:?} through");
    }
}

/// For output to a pipe, which must not contain any control character.
#[track_caller]
fn assert_plain(what: &str, text: &str) {
    assert_harmless(what, text);
    let control = text.chars().find(|it| it.is_control() && *it != '\n');
    assert_eq!(control, None, "{what}: {text:?}");
}

#[test]
fn no_command_prints_what_a_container_wants_printed() {
    if !can_be_hostile() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = start_hostile(&lxcpath);
    for args in [
        &["ps", &name][..],
        &["ps", "--json", &name],
        &["ls"],
        &["ls", "--json"],
        &["ls", "-F", "name,state,exit,rootfs,ipv4,trouble"],
        &["info", &name],
        &["info", "--json", &name],
        &["info", "-c", "lxc.init.cmd", &name],
    ] {
        assert_plain(&args.join(" "), &lxcpath.ok(args));
    }
    for args in [
        &["start", &name, "--", HOSTILE][..],
        &["attach", &name, "--", HOSTILE],
        &["cgroup", &name, HOSTILE],
        &["cgroup", &name, "pids.max", HOSTILE],
        &["info", "-c", HOSTILE, &name],
        &["ls", "-F", HOSTILE],
        &["wait", &name, "-s", HOSTILE],
    ] {
        let output = lxcpath.wharf(args);
        assert!(!output.status.success(), "{args:?}");
        assert_plain(&format!("{args:?}"), &support::told(&output));
    }
}

#[test]
fn no_event_prints_what_a_container_wants_printed() {
    if !can_be_hostile() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("told");
    let out = tempfile::NamedTempFile::new().unwrap();
    let mut command = lxcpath.command(&["monitor"]);
    command.stdout(out.reopen().unwrap()).stderr(Stdio::null());
    let mut monitor = command.spawn().unwrap();
    let read = || fs::read_to_string(out.path()).unwrap();
    // The monitor is following once it reports the first event.
    wait_until("the first event", || {
        lxcpath.ok(&["create", &name]);
        lxcpath.ok(&["destroy", "--now", &name]);
        !read().is_empty()
    });
    lxcpath.ok(&["create", &name]);
    let no_such = format!("/no/such/{HOSTILE}");
    lxcpath.refused(&["start", &name, "--", &no_such], 1);
    wait_until("the failure", || read().contains("evil"));
    assert_plain("monitor", &read());
    monitor.kill().unwrap();
    monitor.wait().unwrap();
}

#[test]
fn nothing_raw_reaches_the_screen() {
    if !can_be_hostile() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = start_hostile(&lxcpath);
    let mut screen = Screen::spawn(lxcpath.command(&[]), 120, 36);
    screen.wait_for("RUNNING");
    screen.wait_for("0;pwned");
    screen.keys(ENTER);
    screen.wait_for("Processes");
    for (tab, seen) in [("2", "0;pwned"), ("5", "evil"), ("6", "RUNNING"), ("7", "lxc.net.0.type")]
    {
        screen.keys(tab);
        screen.wait_for(seen);
    }
    // The pane is a separate terminal: it obeys the container, and the operator's does not.
    screen.keys("c");
    screen.wait_for("keys go to the container");
    screen.wait_for("evil");
    screen.keys("\x1dq");
    screen.wait_gone("keys go to the container");
    screen.keys("q");
    _ = screen.exit();
    assert_harmless("the screen", &support::text(&screen.raw));
    screen.assert_restored();
    assert_eq!(lxcpath.state(&name), "RUNNING");
}
