//! `--timeout`: what is given up in time, its exit code, and that nothing of it is left. As root.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use crate::support::{Lxcpath, can_run_containers, finish, text, told};

/// How long anything may take that was given half a second, on a machine under load.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_start_that_takes_too_long_is_given_up_and_leaves_nothing() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("slow");
    let hook = lxcpath.path().join("hook");
    fs::write(&hook, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let setting = format!("lxc.hook.pre-start={}", hook.display());
    lxcpath.ok(&["create", &name, "-s", &setting]);
    let begun = Instant::now();
    let said = lxcpath.refused(&["start", "-t", "0.5", &name], 1);
    assert!(said.contains("gave up after 500 ms"), "{said}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(lxcpath.state(&name), "STOPPED");
    // It can be started at once, as nothing holds it.
    fs::write(&hook, "#!/bin/sh\n").unwrap();
    lxcpath.ok(&["start", "-t", "60", &name, "--", "/bin/sleep", "1000"]);
    assert_eq!(lxcpath.state(&name), "RUNNING");
    fs::remove_file(&hook).unwrap();
}

#[test]
fn a_start_is_given_up_while_a_hook_runs_inside() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("inside");
    lxcpath.ok(&["create", &name, "-s", "lxc.hook.mount=/bin/sh -c 'exec sleep 15'"]);
    let begun = Instant::now();
    let said = lxcpath.refused(&["start", "-t", "0.5", &name, "--", "/bin/sleep", "1000"], 1);
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
    assert!(said.contains("gave up after 500 ms"), "{said}");
    assert_eq!(lxcpath.state(&name), "STOPPED");
    lxcpath.ok(&["config", "set", &name, "lxc.hook.mount", ""]);
    lxcpath.ok(&["start", "-t", "60", &name, "--", "/bin/sleep", "1000"]);
}

#[test]
fn a_start_that_is_reported_lives_however_close_its_time_was() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("close");
    lxcpath.ok(&["create", &name]);
    for limit in (20..=200).step_by(20) {
        let limit = format!("0.{limit:03}");
        let started = lxcpath.wharf(&["start", "-t", &limit, &name, "--", "/bin/sleep", "1000"]);
        if started.status.success() {
            assert_eq!(lxcpath.state(&name), "RUNNING", "{limit}");
            lxcpath.ok(&["stop", "-k", &name]);
        } else {
            assert!(text(&started.stderr).contains("gave up"), "{limit}: {}", told(&started));
            assert_eq!(lxcpath.state(&name), "STOPPED", "{limit}");
        }
    }
}

#[test]
fn what_a_command_has_begun_ends_with_it_when_its_time_is_over() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("group");
    // The second child does not heed the first signal. Each keeps this test's pipe open.
    for child in ["sleep 5417", "sh -c 'trap \"\" TERM; while :; do sleep 0.2; done'"] {
        let begun = Instant::now();
        let script = format!("{child}; :");
        let said = lxcpath.refused(&["attach", &name, "-t", "0.5", "--", "sh", "-c", &script], 1);
        assert!(said.contains("its command ran longer than 0.5 s and was ended"), "{said}");
        assert!(begun.elapsed() < SOON, "{child}: {:?}", begun.elapsed());
    }
    assert_eq!(lxcpath.state(&name), "RUNNING");
    // It does not say that the command ran when only what that has left did.
    let (other, begun) = (lxcpath.name("left"), Instant::now());
    let args = ["execute", &other, "-t", "2", "--", "sh", "-c", "sleep 1000 & exit 7"];
    let said = lxcpath.refused(&args, 1);
    assert!(said.contains("what its command started, ran longer than 2 s"), "{said}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[test]
fn a_run_whose_time_is_over_while_it_ends_is_not_waited_for() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("ending");
    let begun_file = lxcpath.path().join("begun");
    // It heeds the signal, so that its end is waited for, and does not end.
    let script = "trap : TERM; touch begun; while :; do sleep 0.2; done";
    let mut command = std::process::Command::new("timeout");
    let binary = lxcpath.command(&[]);
    command.args(["-s", "TERM", "3"]).arg(binary.get_program()).args(binary.get_args());
    let mount = format!("lxc.mount.entry={} srv none bind 0 0", lxcpath.path().display());
    command.args(["execute", &name, "-s", &mount, "-t", "6", "--", "sh", "-c"]);
    command.arg(format!("cd /srv; {script}"));
    let begun = Instant::now();
    let ended = finish(command);
    assert!(begun_file.exists(), "{}", told(&ended));
    assert!(begun.elapsed() < SOON, "{:?}: {}", begun.elapsed(), told(&ended));
}

#[test]
fn a_command_that_runs_too_long_is_ended_even_if_it_does_not_want_to() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("in");
    let other = lxcpath.name("own");
    let deaf = "trap '' TERM; while :; do sleep 1; done";
    for verb in [&["attach", &name][..], &["execute", &other]] {
        for script in ["exec sleep 1000", deaf] {
            let begun = Instant::now();
            let args = [verb, &["-t", "0.5", "--", "sh", "-c", script][..]].concat();
            let said = lxcpath.refused(&args, 1);
            assert!(said.contains("ran longer than 0.5 s"), "{said}");
            assert!(begun.elapsed() < SOON, "{args:?}: {:?}", begun.elapsed());
        }
        let quick = lxcpath.wharf(&[verb, &["-t", "60", "--", "sh", "-c", "exit 7"][..]].concat());
        assert_eq!(quick.status.code(), Some(7), "{}", told(&quick));
    }
    assert_eq!(lxcpath.state(&name), "RUNNING");
    assert!(!lxcpath.ok(&["ls", "-1"]).contains(&other));
}

#[test]
fn what_follows_ends_when_its_time_is_over() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("log");
    lxcpath.ok(&["create", &name]);
    lxcpath.ok(&["start", &name, "--", "sh", "-c", "echo begun; exec sleep 1000"]);
    for args in [&["logs", "-f", "-t", "0.5", &name][..], &["top", "-t", "0.5", "-d", "0.2"]] {
        let begun = Instant::now();
        lxcpath.ok(args);
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(400) && took < SOON, "{args:?}: {took:?}");
    }
    for (args, words) in [
        (&["logs", "-t", "1", &name][..], "goes with -f"),
        (&["start", "-t", "0", &name], "leaves no time"),
        (&["attach", "-t", "-1", &name], "takes seconds"),
        (&["start", "-F", "-t", "1", &name], "cannot be used"),
        (&["start", "--dry-run", "-t", "1", &name], "cannot be used"),
        (&["snapshot", &name, "list", "-t", "bogus"], "goes with a snapshot that is taken"),
        (&["snapshot", &name, "delete", "all", "-t", "1"], "goes with a snapshot that is taken"),
    ] {
        let said = lxcpath.refused(args, 1);
        assert!(said.contains(words), "{args:?}: {said}");
    }
}

#[test]
fn a_copy_or_a_snapshot_that_takes_too_long_leaves_nothing() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let [name, copy] = ["big", "copy"].map(|it| lxcpath.name(it));
    let root = lxcpath.path().join("root");
    for at in 0..200 {
        let dir = root.join(at.to_string());
        fs::create_dir_all(&dir).unwrap();
        (0..20).for_each(|it| fs::write(dir.join(it.to_string()), "x").unwrap());
    }
    lxcpath.ok(&["create", &name, "--dir", root.to_str().unwrap()]);
    for args in [&["clone", "-t", "0.001", &name, &copy][..], &["snapshot", "-t", "0.001", &name]] {
        let said = lxcpath.refused(args, 1);
        assert!(said.contains("gave up after 1 ms"), "{said}");
    }
    assert!(!lxcpath.path().join(&copy).exists());
    assert_eq!(text(&lxcpath.wharf(&["snapshot", &name, "list"]).stdout), "");
    lxcpath.ok(&["clone", "-t", "100", &name, &copy]);
    fs::remove_dir_all(&root).unwrap();
}
