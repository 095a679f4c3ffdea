//! `--timeout`: what is given up in time, its exit code, and that nothing of it is left. As root.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use crate::support::{Lxcpath, can_run_containers, text, told};

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
    assert!(said.contains("not done after 500 ms"), "{said}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    assert_eq!(lxcpath.state(&name), "STOPPED");
    // It can be started at once, as nothing holds it.
    fs::write(&hook, "#!/bin/sh\n").unwrap();
    lxcpath.ok(&["start", "-t", "60", &name, "--", "/bin/sleep", "1000"]);
    assert_eq!(lxcpath.state(&name), "RUNNING");
    fs::remove_file(&hook).unwrap();
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
            assert!(said.contains("had not ended after 0.5 s, and was ended"), "{said}");
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
        assert!(said.contains("not done after 1 ms, and was given up"), "{said}");
    }
    assert!(!lxcpath.path().join(&copy).exists());
    assert_eq!(text(&lxcpath.wharf(&["snapshot", &name, "list"]).stdout), "");
    lxcpath.ok(&["clone", "-t", "100", &name, &copy]);
    fs::remove_dir_all(&root).unwrap();
}
