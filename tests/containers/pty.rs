//! The real screen on a real terminal: an operator's whole session, every way out, every size.

use std::process::Command;
use std::time::Duration;

use crate::support::screen::{ENTER, ESCAPE, Screen, TAB};
use crate::support::{Lxcpath, can_run_containers, wait_until};
use nix::sys::signal::Signal;

const CONTROL_T: &str = "\x14";
const CONTROL_U: &str = "\x15";
/// Gives the next key to wharf while a program in a pane has the keyboard.
const PANE_ESCAPE: &str = "\x1d";

const EMPTY: &str = "There are no containers yet.";

/// After this long without output, the screen has shown the effect of a key.
const QUIET: Duration = Duration::from_millis(150);

fn open(lxcpath: &Lxcpath, cols: u16, rows: u16) -> Screen {
    Screen::spawn(lxcpath.command(&[]), cols, rows)
}

/// Waits until the container's row in the list shows `state`.
fn wait_state(screen: &mut Screen, name: &str, state: &str) {
    // Events have an arrow and describe the past.
    let row = |it: &str| it.contains(name) && it.contains(state) && !it.contains('→');
    screen.wait_until(&format!("{name} {state}"), |text| text.lines().any(row));
}

#[test]
fn an_operator_does_everything_with_keys() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("keys");
    let mut screen = open(&lxcpath, 120, 36);
    screen.wait_for(EMPTY);

    screen.keys("n");
    screen.wait_gone(EMPTY);
    screen.keys(&name);
    screen.wait_for(&name);
    screen.keys(&[TAB, TAB, TAB, "/bin/sh", CONTROL_T].concat());
    wait_state(&mut screen, &name, "RUNNING");
    assert_eq!(lxcpath.state(&name), "RUNNING");

    screen.keys("f");
    wait_state(&mut screen, &name, "FROZEN");
    assert_eq!(lxcpath.state(&name), "FROZEN");
    screen.keys("f");
    wait_state(&mut screen, &name, "RUNNING");
    assert_eq!(lxcpath.state(&name), "RUNNING");

    change_limit(&mut screen, &lxcpath, &name);
    use_console(&mut screen, &lxcpath, &name);

    screen.keys("S");
    wait_state(&mut screen, &name, "STOPPING");
    // A shell that is pid 1 receives no signal, so the second press kills it.
    screen.keys("S");
    wait_state(&mut screen, &name, "STOPPED");
    assert_eq!(lxcpath.state(&name), "STOPPED");

    screen.keys("D");
    screen.wait_for("Esc keeps it");
    screen.keys(&["another", ENTER].concat());
    screen.wait_for("that is not the name");
    screen.keys(&[CONTROL_U, &name, ENTER].concat());
    screen.wait_for(EMPTY);
    assert!(!lxcpath.path().join(&name).exists());

    screen.keys("q");
    assert!(screen.exit().success());
    screen.assert_restored();
}

/// Changes a limit in its row, and undoes the change.
fn change_limit(screen: &mut Screen, lxcpath: &Lxcpath, name: &str) {
    let file = "pids.max";
    let before = lxcpath.ok(&["cgroup", name, file]);
    screen.keys("e");
    screen.wait_for(file);
    screen.cursor_to(file);
    screen.keys(ENTER);
    screen.wait_for("keep old value");
    screen.keys(&[CONTROL_U, "77", ENTER].concat());
    screen.wait_for("77");
    let value = |wanted: &str| lxcpath.ok(&["cgroup", name, file]).trim() == wanted;
    wait_until("the written limit", || value("77"));
    // The undo is offered by name.
    screen.wait_for(&format!("z set {file} "));
    screen.keys("z");
    wait_until("the old limit", || value(before.trim()));
    back_to_list(screen);
}

/// Types at the container's console in a pane, and leaves it.
fn use_console(screen: &mut Screen, lxcpath: &Lxcpath, name: &str) {
    screen.keys("c");
    screen.wait_for("keys go to the container");
    // The shell's echo differs from its output.
    screen.keys(&["echo sa''id", ENTER].concat());
    screen.wait_for("said");
    screen.keys(&[PANE_ESCAPE, "q"].concat());
    screen.wait_gone("keys go to the container");
    back_to_list(screen);
    assert_eq!(lxcpath.state(name), "RUNNING", "leaving the console left the container alone");
}

fn back_to_list(screen: &mut Screen) {
    screen.settle(QUIET);
    for _ in 0..3 {
        if screen.contents().contains("↵ open") {
            return;
        }
        screen.keys(ESCAPE);
        screen.settle(QUIET);
    }
    screen.wait_for("↵ open");
}

#[test]
fn a_read_only_screen_changes_nothing() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("read");
    let mut screen = Screen::spawn(lxcpath.command(&["--read-only"]), 80, 24);
    wait_state(&mut screen, &name, "RUNNING");
    assert!(screen.contents().lines().next().unwrap().contains("read-only"));
    for key in ["f", "S", "n", "c", "D"] {
        screen.keys(key);
        screen.wait_for("this screen is read-only");
        screen.keys(ESCAPE);
        screen.wait_gone("this screen is read-only");
    }
    assert_eq!(lxcpath.state(&name), "RUNNING");
    screen.keys("q");
    assert!(screen.exit().success());
    lxcpath.refused(&["--read-only", "stop", &name], 1);
}

#[test]
fn every_way_out_restores_the_terminal() {
    let lxcpath = Lxcpath::new();
    let open = || {
        let mut screen = open(&lxcpath, 80, 24);
        screen.wait_for(EMPTY);
        screen
    };
    for key in ["q", "\x03"] {
        let mut screen = open();
        assert!(screen.terminal().alternate_screen());
        screen.keys(key);
        assert!(screen.exit().success());
        screen.assert_restored();
    }
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        let mut screen = open();
        screen.signal(signal);
        _ = screen.exit();
        screen.assert_restored();
    }
}

#[test]
fn containers_outlive_a_killed_screen() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("outlives");
    let pid = lxcpath.ok(&["info", "-p", "-H", &name]);
    let mut screen = open(&lxcpath, 120, 36);
    wait_state(&mut screen, &name, "RUNNING");
    screen.signal(Signal::SIGKILL);
    _ = screen.exit();
    assert_eq!(lxcpath.ok(&["info", "-p", "-H", &name]), pid);
    let mut again = open(&lxcpath, 120, 36);
    wait_state(&mut again, &name, "RUNNING");
    lxcpath.ok(&["stop", "-k", &name]);
    wait_state(&mut again, &name, "STOPPED");
}

#[test]
fn a_container_can_be_seen_and_opened_at_every_size() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("size");
    for (cols, rows) in [(200, 50), (120, 36), (80, 24), (40, 10)] {
        let mut screen = open(&lxcpath, cols, rows);
        wait_state(&mut screen, &name, "RUNNING");
        screen.keys(ENTER);
        screen.wait_for("/bin/");
        screen.keys("q");
        assert!(screen.exit().success(), "{cols}x{rows}");
        screen.assert_restored();
    }
}

#[test]
fn a_spoilt_screen_is_painted_afresh() {
    let lxcpath = Lxcpath::new();
    let mut screen = open(&lxcpath, 80, 24);
    screen.wait_for(EMPTY);
    screen.settle(QUIET);
    screen.spoil();
    assert!(!screen.contents().contains(EMPTY));
    screen.keys("\x0c");
    screen.wait_for(EMPTY);
    screen.keys("q");
    assert!(screen.exit().success());
    screen.assert_restored();
}

/// Stopped meanwhile, the screen finds the key and the new size together when it goes on.
#[test]
fn a_key_and_a_resize_at_the_same_moment_are_both_taken_in() {
    let lxcpath = Lxcpath::new();
    let mut screen = open(&lxcpath, 80, 24);
    screen.wait_for(EMPTY);
    for (cols, rows) in [(120, 36), (80, 24), (100, 30)] {
        screen.signal(Signal::SIGSTOP);
        wait_until("the screen has stopped", || {
            let stat = procfs::process::Process::new(screen.pid()).unwrap().stat().unwrap();
            stat.state == 'T'
        });
        screen.keys("n");
        screen.resize(cols, rows);
        screen.signal(Signal::SIGCONT);
        let last = usize::from(rows) - 1;
        let filled = |it: &str| it.lines().nth(last).is_some_and(|it| !it.is_empty());
        let form = |it: &str| !it.contains(EMPTY) && filled(it);
        screen.wait_until(&format!("the form at {cols}x{rows}"), form);
        screen.keys(ESCAPE);
        screen.wait_for(EMPTY);
    }
    screen.keys("q");
    assert!(screen.exit().success());
    screen.assert_restored();
}

#[test]
fn a_storm_of_resizes_leaves_a_whole_screen() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("storm");
    let mut screen = open(&lxcpath, 120, 36);
    wait_state(&mut screen, &name, "RUNNING");
    for round in 0..60_u16 {
        screen.resize(1 + (round * 37) % 200, 1 + (round * 11) % 50);
        if round % 7 == 0 {
            screen.keys("j");
        }
    }
    screen.resize(120, 36);
    wait_state(&mut screen, &name, "RUNNING");
    screen.wait_for("? help");
    screen.keys("q");
    assert!(screen.exit().success());
    screen.assert_restored();
}

#[test]
fn the_clock_is_the_operators() {
    // Each is half an hour off UTC, so that no hour matches by chance.
    let mut zones = vec!["IST-5:30"];
    if std::path::Path::new("/usr/share/zoneinfo/Asia/Kolkata").exists() {
        zones.extend(["Asia/Kolkata", ":Asia/Kolkata", "/usr/share/zoneinfo/Asia/Kolkata"]);
    } else {
        eprintln!("skipped in part: this machine has no database of time zones");
    }
    let lxcpath = Lxcpath::new();
    for zone in zones {
        let mut command = lxcpath.command(&[]);
        command.env("TZ", zone);
        let mut screen = Screen::spawn(command, 120, 36);
        screen.wait_until(&format!("the time of {zone}"), |text| {
            let date = Command::new("date").arg("+%H:%M:").env("TZ", zone).output().unwrap();
            text.contains(String::from_utf8(date.stdout).unwrap().trim())
        });
        screen.keys("q");
        assert!(screen.exit().success());
    }
}

/// What the terminal sends for a press of the left button and its release, by column and row.
fn click(column: u16, row: u16) -> String {
    let (column, row) = (column + 1, row + 1);
    format!("\x1b[<0;{column};{row}M\x1b[<0;{column};{row}m")
}

const WHEEL_DOWN: &str = "\x1b[<65;10;10M";

#[test]
fn the_mouse_is_taken_and_given_back() {
    let lxcpath = Lxcpath::new();
    let mut screen = open(&lxcpath, 80, 24);
    screen.wait_for(EMPTY);
    let free = vt100::MouseProtocolMode::None;
    assert_ne!(screen.terminal().mouse_protocol_mode(), free);
    screen.keys("m");
    screen.wait_for("m takes it back");
    assert_eq!(screen.terminal().mouse_protocol_mode(), free);
    screen.keys("m");
    screen.wait_for("m gives it back");
    assert_ne!(screen.terminal().mouse_protocol_mode(), free);
    // While it is suspended the terminal is another's.
    screen.keys("\x1a");
    wait_until("the screen has stopped", || {
        let stat = procfs::process::Process::new(screen.pid()).unwrap().stat().unwrap();
        stat.state == 'T'
    });
    screen.settle(QUIET);
    screen.assert_restored();
    screen.signal(Signal::SIGCONT);
    screen.wait_for(EMPTY);
    assert_ne!(screen.terminal().mouse_protocol_mode(), free);
    screen.keys("q");
    assert!(screen.exit().success());
    screen.assert_restored();
}

#[test]
fn an_operator_points_at_what_is_meant() {
    let lxcpath = Lxcpath::new();
    let names: Vec<String> =
        ["a", "b", "c", "d", "e"].iter().map(|it| lxcpath.name(&format!("point-{it}"))).collect();
    for name in &names {
        lxcpath.ok(&["create", name]);
    }
    let mut screen = open(&lxcpath, 80, 24);
    screen.wait_for(&names[4]);
    let under_cursor = |screen: &mut Screen, name: &str| {
        let row = format!("▸○ {name}");
        screen.wait_for(row.get(..row.len().min(30)).unwrap());
    };
    under_cursor(&mut screen, &names[0]);
    // The first is below the header, the frame and the titles.
    screen.keys(&click(10, 4));
    under_cursor(&mut screen, &names[1]);
    screen.keys(WHEEL_DOWN);
    under_cursor(&mut screen, &names[4]);
    // Not below the form.
    screen.keys("n");
    screen.wait_for("Help for this field");
    screen.keys(&[&*click(10, 4), &*click(10, 4), WHEEL_DOWN].concat());
    screen.keys(ESCAPE);
    screen.wait_for("↵ open");
    under_cursor(&mut screen, &names[4]);
    screen.keys(&[click(10, 4), click(10, 4)].concat());
    screen.wait_for("[1 Overview]");
    screen.keys("q");
    assert!(screen.exit().success());
}

#[test]
fn a_program_in_the_pane_gets_the_mouse_and_ends_with_a_question() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("panes");
    let mut screen = open(&lxcpath, 80, 24);
    wait_state(&mut screen, &name, "RUNNING");
    screen.keys("x");
    screen.wait_for("Run inside");
    // The command is shown in the pane's frame, so it must not contain its whole output.
    let script =
        r#"/bin/sh -c 'stty -echo raw; printf "\033[?1000h\033[?1006hrea%s" dy; exec cat -v'"#;
    screen.keys(&[CONTROL_U, script, ENTER].concat());
    screen.wait_for("ready");
    screen.keys(&click(10, 10));
    // Three lines above the terminal of the pane, its frame, and what is left of it.
    screen.wait_for("^[[<0;10;7M^[[<0;10;7m");
    screen.keys(&[PANE_ESCAPE, "c"].concat());
    screen.wait_gone("keys go to the container");
    screen.keys("q");
    screen.wait_for("ends when wharf quits");
    screen.keys("n");
    screen.wait_gone("ends when wharf quits");
    screen.keys("qy");
    assert!(screen.exit().success());
    screen.assert_restored();
}

#[test]
fn keys_for_a_program_that_has_ended_open_nothing() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("ended");
    let mut screen = open(&lxcpath, 80, 24);
    wait_state(&mut screen, &name, "RUNNING");
    screen.keys("x");
    screen.wait_for("Run inside");
    screen.keys(&[CONTROL_U, "/bin/true", ENTER].concat());
    screen.wait_for("ended: ");
    screen.keys(PANE_ESCAPE);
    screen.wait_for("C-] then");
    screen.keys("c");
    screen.wait_gone("C-] then");
    screen.settle(QUIET);
    assert!(!screen.contents().contains("keys go to the container"), "{}", screen.framed());
    screen.wait_for("opens the console here");
    assert_eq!(lxcpath.state(&name), "RUNNING");
}

#[test]
fn undo_asks_before_it_reaches_back_and_a_frozen_console_says_so() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("undo");
    let mut screen = open(&lxcpath, 80, 24);
    wait_state(&mut screen, &name, "RUNNING");
    screen.keys("f");
    screen.wait_for(&format!("z thaw {name}"));
    assert_eq!(lxcpath.state(&name), "FROZEN");
    screen.keys("c");
    screen.wait_for("C-] c, then f thaws it");
    screen.keys(&[PANE_ESCAPE, "q"].concat());
    back_to_list(&mut screen);
    // Something else is said meanwhile.
    screen.keys("m");
    screen.wait_for("m takes it back");
    screen.keys("z");
    screen.wait_for("Undo an earlier change");
    assert_eq!(lxcpath.state(&name), "FROZEN");
    screen.keys("y");
    wait_state(&mut screen, &name, "RUNNING");
    screen.wait_for(&format!("Z freeze {name}"));
    assert_eq!(lxcpath.state(&name), "RUNNING");
}

#[test]
fn a_dumb_terminal_gets_the_names_of_the_commands() {
    let lxcpath = Lxcpath::new();
    let wharf = lxcpath.command(&[]);
    // A new screen is an xterm by default; this one is not.
    let mut command = Command::new("env");
    command.arg("TERM=dumb").arg(wharf.get_program()).args(wharf.get_args());
    let mut screen = Screen::spawn(command, 200, 24);
    screen.wait_for("TERM=dumb");
    assert_eq!(screen.exit().code(), Some(1));
    let said = screen.contents();
    assert!(said.contains("wharf ls") && said.contains("wharf monitor"), "{said}");
    assert!(!screen.terminal().alternate_screen());
}
