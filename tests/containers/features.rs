//! `checkconfig`: what it finds is what containers then have, it leaves nothing, and a start that is
//! refused for the lack of a feature says so in its words.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::support::nobody::Nobody;
use crate::support::screen::Screen;
use crate::support::{self, Lxcpath, can_run_containers, finish, leftovers, told, wait_until};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::geteuid;
use serde_json::Value;

/// Who looks for what a check leaves must be the only one that checks.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The rows by their names.
fn rows(output: &Output) -> BTreeMap<String, Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let rows: Vec<Value> =
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{}", told(output)));
    rows.into_iter().map(|it| (it["feature"].as_str().unwrap().to_owned(), it)).collect()
}

fn status<'a>(rows: &'a BTreeMap<String, Value>, name: &str) -> &'a str {
    rows.get(name).unwrap_or_else(|| panic!("no row {name}"))["status"].as_str().unwrap()
}

/// Groups and interfaces that a trial made.
fn left() -> Vec<String> {
    let groups = leftovers::cgroup_mounts().into_iter().filter_map(|it| fs::read_dir(it).ok());
    let groups = groups.flatten().map(|it| it.unwrap().file_name().into_string().unwrap());
    let links = fs::read_dir("/sys/class/net").unwrap();
    let links = links.map(|it| it.unwrap().file_name().into_string().unwrap());
    let profiles = fs::read_to_string("/sys/kernel/security/apparmor/profiles").unwrap_or_default();
    let profiles = profiles.lines().filter(|it| it.starts_with("wharf-probe "));
    let made = groups
        .chain(links)
        .filter(|it| it.starts_with("wharf.probe.") || ["first", "second"].contains(&it.as_str()));
    made.chain(profiles.map(ToOwned::to_owned)).collect()
}

#[test]
fn each_feature_has_its_words_and_nothing_is_left() {
    let _alone = alone();
    let lxcpath = Lxcpath::new();
    let output = lxcpath.wharf(&["checkconfig", "--json"]);
    let rows = rows(&output);
    for (name, row) in &rows {
        for field in ["status", "evidence", "loss", "remedy"] {
            assert!(!row[field].as_str().unwrap().is_empty(), "{name}: {row}");
        }
    }
    wait_until("the end of what other tests try", || left().is_empty());
    let unfit = rows.values().any(|it| it["status"] == "required, but missing");
    assert_eq!(output.status.code(), Some(i32::from(unfit)), "{}", told(&output));
    let plain = lxcpath.wharf(&["checkconfig"]);
    let plain = String::from_utf8(plain.stdout).unwrap();
    for (name, row) in &rows {
        let lost = format!("  lost: {}", row["loss"].as_str().unwrap());
        let missing = status(&rows, name).contains("missing");
        assert!(plain.lines().any(|it| it.starts_with(name.as_str())), "{name}: {plain}");
        assert!(!missing || plain.contains(&lost), "{name}: {plain}");
    }
    if geteuid().is_root() && can_run_containers() {
        for name in
            ["mount namespaces", "pid namespaces", "mount API", "pidfd", "cgroups", "freezer"]
        {
            assert_eq!(status(&rows, name), "present", "{name}");
        }
        assert!(!rows.contains_key("ids for this user"));
    }
}

#[test]
fn an_ordinary_user_is_told_what_only_root_can() {
    let _alone = alone();
    if !can_run_containers() {
        return;
    }
    let Some(nobody) = Nobody::new() else { return };
    let lxcpath = Lxcpath::new();
    let output = finish(nobody.command(lxcpath.command(&["checkconfig", "--json"]).get_args()));
    let rows = rows(&output);
    for name in ["loop devices", "overlay", "vlan", "root's capabilities"] {
        assert_eq!(status(&rows, name), "for root", "{name}");
    }
    // Nobody has no ids there.
    assert_eq!(status(&rows, "ids for this user"), "required, but missing");
    assert!(rows["ids for this user"]["remedy"].as_str().unwrap().contains("--add-subuids"));
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    wait_until("the end of what other tests try", || left().is_empty());
}

#[test]
fn a_start_has_what_was_found_and_is_refused_in_the_same_words_otherwise() {
    let _alone = alone();
    if !can_run_containers() {
        return;
    }
    // The threads of this test have a network of their own.
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let lxcpath = Lxcpath::new();
    let rows = rows(&lxcpath.wharf(&["checkconfig", "--json"]));
    if status(&rows, "veth") != "present" {
        println!("skipped: this kernel has no veth");
        return;
    }
    let ip = ["link", "add", "wharf-up", "type", "veth", "peer", "name", "wharf-far"];
    let Ok(made) = Command::new("ip").args(ip).output() else {
        println!("skipped: no ip on this machine");
        return;
    };
    assert!(made.status.success(), "{}", told(&made));
    for kind in ["macvlan", "ipvlan", "vlan"] {
        let name = lxcpath.name(kind);
        let kind_line = format!("lxc.net.0.type={kind}");
        let mut run = vec!["execute", &name, "-s", &kind_line, "-s", "lxc.net.0.link=wharf-up"];
        if kind == "vlan" {
            run.extend(["-s", "lxc.net.0.vlan.id=7"]);
        }
        run.extend(["--", "true"]);
        if status(&rows, kind) == "present" {
            lxcpath.ok(&run);
        } else {
            let refused = lxcpath.refused(&run, 1);
            assert!(refused.contains(rows[kind]["remedy"].as_str().unwrap()), "{refused}");
        }
    }
    let name = lxcpath.name("cores");
    lxcpath.ok(&["create", &name, "-s", "lxc.sched.core=1"]);
    let start = ["start", &name, "--", "/bin/sleep", "1000"];
    if status(&rows, "core scheduling") == "present" {
        lxcpath.ok(&start);
    } else {
        let refused = lxcpath.refused(&start, 1);
        assert!(refused.contains(rows["core scheduling"]["remedy"].as_str().unwrap()), "{refused}");
        assert!(refused.contains("(line "), "{refused}");
    }
    let name = lxcpath.name("clocks");
    let run = ["execute", &name, "-s", "lxc.time.offset.boot=7s", "--", "true"];
    if status(&rows, "time namespaces") == "present" {
        lxcpath.ok(&run);
    } else {
        let refused = lxcpath.refused(&run, 1);
        assert!(refused.contains(rows["time namespaces"]["remedy"].as_str().unwrap()), "{refused}");
    }
}

/// Prepares the command in a user namespace in which its user may have no instance of inotify(7).
fn without_inotify(command: &Command) -> Command {
    const NONE: &str = "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$@\"";
    let mut inside = Command::new("unshare");
    inside.args(["-Ur", "sh", "-c", NONE, "sh"]).arg(command.get_program());
    inside.args(command.get_args()).stdin(Stdio::null()).stdout(Stdio::piped());
    inside
}

#[test]
fn where_inotify_is_used_up_changes_are_noticed_all_the_same() {
    if !can_run_containers() || !geteuid().is_root() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let output = finish(without_inotify(&lxcpath.command(&["checkconfig", "--json"])));
    let rows = rows(&output);
    assert_eq!(status(&rows, "inotify"), "missing", "{}", told(&output));
    let name = lxcpath.start_sleeper("watched");
    let wait = lxcpath.command(&["wait", &name, "-s", "STOPPED", "--timeout", "60"]);
    let mut waiting = without_inotify(&wait).spawn().unwrap();
    let open = format!("/proc/{}/fd", waiting.id());
    wait_until("the clock of the command that waits", || {
        let open = fs::read_dir(&open).unwrap().flatten();
        let mut open = open.filter_map(|it| fs::read_link(it.path()).ok());
        open.any(|it| it.to_string_lossy().contains("timerfd"))
    });
    lxcpath.ok(&["stop", "-k", &name]);
    assert!(waiting.wait().unwrap().success());
}

/// A terminal's interrupt goes to every process of the command, also to the one that has the groups.
#[test]
fn an_interrupt_leaves_no_group() {
    const TRIES: usize = 30;
    let _alone = alone();
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let of_groups = || left().into_iter().any(|it| it.starts_with("wharf.probe."));
    let mut hits = 0;
    for _ in 0..TRIES {
        let mut screen = Screen::spawn(lxcpath.command(&["checkconfig"]), 200, 50);
        let deadline = Instant::now() + support::PATIENCE;
        while !of_groups() && !screen.contents().contains("FEATURE") && Instant::now() < deadline {
            screen.settle(Duration::ZERO);
        }
        hits += usize::from(of_groups());
        screen.keys("\x03");
        screen.exit();
        assert_eq!(left(), Vec::<String>::new());
        if hits == 3 {
            return;
        }
    }
    println!("skipped: no group was seen in time");
}
