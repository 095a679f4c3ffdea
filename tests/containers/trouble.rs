//! Containers that crash or do not start: the screen shows what happened beside their row.

use crate::support::screen::{ENTER, ESCAPE, Screen};
use crate::support::{Lxcpath, can_run_containers, wait_until};

#[test]
fn a_crash_is_told_with_what_was_said_last_and_the_keys() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("crash");
    lxcpath.ok(&["create", &name]);
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", "echo cannot open the da''ta; exit 3"]);
    wait_until("its end", || lxcpath.state(&name) == "STOPPED");
    for (cols, rows) in [(160, 48), (120, 36), (80, 24)] {
        let mut screen = Screen::spawn(lxcpath.command(&[]), cols, rows);
        screen.wait_for("init ended by itself: exit 3");
        screen.wait_for("cannot open the data");
        screen.wait_for("s start");
        screen.keys(ENTER);
        screen.wait_gone("what happened");
        screen.wait_for("init ended by itself: exit 3");
        screen.keys(&[ESCAPE, "l"].concat());
        screen.wait_for("cannot open the data");
        screen.keys("q");
        assert!(screen.exit().success(), "{cols}x{rows}");
    }
}

#[test]
fn a_failed_start_is_told_with_its_reason_and_the_keys() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("fails");
    lxcpath.ok(&["create", &name, "-s", "lxc.init.cmd=/sbin/is-not-there"]);
    for (cols, rows) in [(120, 36), (80, 24)] {
        let mut screen = Screen::spawn(lxcpath.command(&[]), cols, rows);
        screen.wait_for_row(&name);
        screen.keys("s");
        screen.wait_for("start failed: ");
        screen.wait_for("is-not-there");
        screen.wait_for("7 configuration");
        screen.keys("q");
        assert!(screen.exit().success(), "{cols}x{rows}");
    }
}
