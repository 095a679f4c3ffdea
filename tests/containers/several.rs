//! Commands on several containers at once, by names and patterns, and what scripts read of them. As
//! root.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::support::{self, Lxcpath, can_run_containers, text, told};
use serde_json::Value;

/// Three containers that share the host's files, by name.
fn three(lxcpath: &Lxcpath) -> [String; 3] {
    let names = ["some1", "some2", "some3"].map(|it| lxcpath.name(it));
    for name in &names {
        lxcpath.ok(&["create", name]);
    }
    names
}

fn states(lxcpath: &Lxcpath, names: &[String]) -> Vec<String> {
    names.iter().map(|it| lxcpath.state(it)).collect()
}

#[test]
fn names_and_patterns_are_acted_on_together() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let names = three(&lxcpath);
    let [one, two, three] = &names;
    let pattern = one.replace("some1", "some*");
    lxcpath.ok(&["start", one, two, "--", "/bin/sleep", "1000"]);
    assert_eq!(states(&lxcpath, &names), ["RUNNING", "RUNNING", "STOPPED"]);
    // A pattern stands for those that can be acted on.
    lxcpath.ok(&["freeze", &pattern]);
    assert_eq!(states(&lxcpath, &names), ["FROZEN", "FROZEN", "STOPPED"]);
    lxcpath.ok(&["unfreeze", "--filter", "some[12]"]);
    lxcpath.ok(&["start", &pattern, "--", "/bin/sleep", "1000"]);
    assert_eq!(states(&lxcpath, &names), ["RUNNING"; 3]);
    lxcpath.ok(&["wait", "-s", "RUNNING", "-t", "20", one, two, three]);
    let late = lxcpath.wharf(&["wait", "-s", "STOPPED", "-t", "0", &pattern]);
    assert_eq!(late.status.code(), Some(1), "{}", told(&late));

    let would = lxcpath.ok(&["stop", "--dry-run", "-k", &pattern]);
    assert_eq!(would, format!("would stop {one}\nwould stop {two}\nwould stop {three}\n"));
    assert_eq!(states(&lxcpath, &names), ["RUNNING"; 3]);
    lxcpath.ok(&["restart", "-t", "20", one, three]);
    lxcpath.ok(&["stop", "-k", &pattern]);
    assert_eq!(states(&lxcpath, &names), ["STOPPED"; 3]);
    let nothing = lxcpath.wharf(&["stop", &pattern]);
    assert!(nothing.status.success(), "{}", told(&nothing));
    assert!(text(&nothing.stderr).contains("none to stop"), "{}", told(&nothing));
}

#[test]
fn a_wrong_name_among_several_changes_nothing() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let names = three(&lxcpath);
    let [one, two, _] = &names;
    // Without `--` a command would be taken for another container.
    let said = lxcpath.refused(&["start", one, "sleep", "1000"], 1);
    assert!(said.contains("`sleep`") && said.contains("no such container"), "{said}");
    assert_eq!(states(&lxcpath, &names), ["STOPPED"; 3]);
    let said = lxcpath.refused(&["stop", "none*"], 1);
    assert!(said.contains("no container has such a name"), "{said}");
    lxcpath.refused(&["stop", "--filter", "("], 1);
    lxcpath.refused(&["start", "-F", one, two], 1);
    lxcpath.refused(&["start"], 1);
    for args in [&["clone", "none", "new"][..], &["rename", "none", "new"], &["logs", "none"]] {
        let said = lxcpath.refused(args, 1);
        assert!(said.contains("`none`: there is no such container"), "{said}");
    }

    // One that fails does not keep the others from it, and decides the exit code.
    lxcpath.ok(&["start", one, "--", "/bin/sleep", "1000"]);
    let said = lxcpath.refused(&["start", one, two, "--", "/bin/sleep", "1000"], 1);
    assert!(said.contains("already running") && said.lines().count() == 1, "{said}");
    assert_eq!(states(&lxcpath, &names), ["RUNNING", "RUNNING", "STOPPED"]);
    lxcpath.refused(&["stop", "-k", one, &names[2]], 2);
    assert_eq!(states(&lxcpath, &names), ["STOPPED", "RUNNING", "STOPPED"]);
}

#[test]
fn what_scripts_read_comes_in_their_own_form() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("read");
    let line = lxcpath.ok(&["ls", "--format", "{name}\\t{state} {{}}"]);
    assert_eq!(line, format!("{name}\tRUNNING {{}}\n"));
    let pid = lxcpath.ok(&["info", "-p", "-H", &name]);
    assert_eq!(lxcpath.ok(&["info", &name, "--format", "{init_pid}"]), pid);
    assert!(lxcpath.ok(&["ps", "--format", "{pid}"]).lines().any(|it| it == pid.trim()));
    let said = lxcpath.refused(&["ls", "--format", "{label}"], 1);
    assert!(said.contains("`label`") && said.contains("name"), "{said}");

    let all: Value = serde_json::from_str(&lxcpath.ok(&["info", "--json", "*"])).unwrap();
    assert_eq!(all.as_array().map(Vec::len), Some(1), "a pattern gives a list");
    let tops = lxcpath.ok(&["top", "-c", "2", "-d", "0.1", "--json"]);
    let tops: Vec<Value> = tops.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let percent = |it: &Value| it["containers"][0]["cpu_percent"].clone();
    assert_eq!((tops.len(), &tops[1]["containers"][0]["name"]), (2, &Value::from(&*name)));
    assert!(percent(&tops[0]).is_null() && percent(&tops[1]).is_number(), "{tops:?}");

    let files = lxcpath.ok(&["cgroup", &name]);
    let pids = files.lines().find(|it| it.starts_with("pids.max ")).unwrap();
    assert!(pids.split_whitespace().count() > 2, "its meaning is missing: {pids}");
    let files: Value = serde_json::from_str(&lxcpath.ok(&["cgroup", "--json", &name])).unwrap();
    assert!(files.as_array().unwrap().iter().any(|it| it["file"] == "pids.max"));
}

#[test]
fn a_signal_reaches_the_process_that_was_named() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("signalled");
    lxcpath.ok(&["create", &name]);
    let script = "trap 'echo heard' USR1; sleep 1000 & echo ready; while :; do wait; done";
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script]);
    support::wait_until("the trap is set", || lxcpath.ok(&["logs", &name]).contains("ready"));
    let find = |command: &str| {
        let processes = lxcpath.ok(&["ps", "--json", &name]);
        let processes: Value = serde_json::from_str(&processes).unwrap();
        let is_it = |it: &&Value| it["command"].as_str().unwrap().starts_with(command);
        processes.as_array().unwrap().iter().find(is_it).map(|it| it["pid"].to_string())
    };
    let shell = find("/bin/sh").unwrap();
    lxcpath.ok(&["signal", &name, "USR1", &shell]);
    support::wait_until("the trap has run", || lxcpath.ok(&["logs", &name]).contains("heard"));
    let said = lxcpath.refused(&["signal", &name, "KILL", "1"], 1);
    assert!(said.contains("process 1 is not in the container"), "{said}");
    lxcpath.refused(&["signal", &name, "NONE"], 1);
    lxcpath.refused(&["signal", &name], 1);
    let sleep = find("sleep 1000").unwrap();
    lxcpath.ok(&["signal", &name, "9", &sleep]);
    support::wait_until("the sleep has ended", || find("sleep 1000") != Some(sleep.clone()));
    assert_eq!(lxcpath.state(&name), "RUNNING");
}

#[test]
fn a_log_is_followed_until_the_container_stops() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("logged");
    lxcpath.ok(&["create", &name]);
    let script =
        "echo one; printf '\\033[31mtwo\\033[0m\\n'; read line; echo \"three \\033c $line\"";
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script]);
    support::wait_until("it has printed", || lxcpath.ok(&["logs", &name]).contains("two"));
    assert_eq!(lxcpath.ok(&["logs", "-l", "1", &name]), "two\n");
    assert!(lxcpath.ok(&["logs", "--raw", &name]).contains("\u{1b}[31mtwo"));

    let mut follow = lxcpath.command(&["logs", "-f", &name]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("one"));
    assert_eq!(lines.next().as_deref(), Some("two"));
    lxcpath.ok(&["stop", "-k", &name]);
    assert_eq!(lines.next(), None);
    assert!(follow.wait().unwrap().success());
    // The output of the last run is kept.
    assert!(lxcpath.ok(&["logs", &name]).starts_with("one\ntwo\n"));
    lxcpath.refused(&["logs", "-f", &name], 1);
}

#[test]
fn exit_codes_are_listed() {
    let lxcpath = Lxcpath::new();
    let codes = lxcpath.ok(&["help", "exit-codes"]);
    for code in ["0 ", "2 ", "127", "128+N", "141"] {
        assert!(codes.lines().any(|it| it.trim_start().starts_with(code)), "{code}: {codes}");
    }
}
