//! `wharf autostart` and `lxc-autostart`: which containers are started and stopped, in which order,
//! and what one that fails does to the others. As root.

use std::fs;
use std::process::Output;

use crate::support::{Lxcpath, can_run_containers, finish, rootfs, text, told, wait_until};

/// Containers of which each notes in one file when it is up and when it halts.
struct Noting {
    lxcpath: Lxcpath,
    files: tempfile::TempDir,
}

impl Noting {
    fn new() -> Self {
        Self { lxcpath: Lxcpath::new(), files: tempfile::tempdir().unwrap() }
    }

    /// Makes one with these settings.
    fn create(&self, word: &str, settings: &[&str]) -> String {
        let name = self.lxcpath.name(word);
        let (init, notes) = (self.files.path().join(word), self.files.path().join("notes"));
        let script = format!(
            "#!/bin/sh\ntrap 'echo -{word} >> {0}; exit 0' PWR\necho +{word} >> {0}\n\
             while :; do sleep 0.05; done\n",
            notes.display()
        );
        rootfs::write_script(&script, &init);
        let init = format!("lxc.init.cmd={}", init.display());
        let mut args = vec!["create", &name, "-s", &init];
        args.extend(settings.iter().flat_map(|it| ["-s", it]));
        self.lxcpath.ok(&args);
        name
    }

    fn notes(&self) -> String {
        let notes = fs::read_to_string(self.files.path().join("notes")).unwrap_or_default();
        notes.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn lxc(&self, args: &[&str]) -> Output {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.args(["lxc", "autostart", "-P"]).arg(self.lxcpath.path()).args(args);
        finish(command)
    }

    fn lxc_says(&self, args: &[&str], code: i32, expected: &str) {
        let output = self.lxc(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
        assert_eq!(text(&output.stdout), expected, "{args:?}");
    }
}

#[test]
fn containers_start_in_their_order_and_stop_in_the_reverse_one() {
    if !can_run_containers() {
        return;
    }
    let it = Noting::new();
    let last = it.create("last", &["lxc.start.auto=1", "lxc.start.order=9"]);
    let first = it.create("first", &["lxc.start.auto=1", "lxc.start.order=-3"]);
    let boot = it.create("boot", &["lxc.start.auto=1", "lxc.group=onboot", "lxc.start.order=50"]);
    let never = it.create("never", &[]);
    let listed = it.lxcpath.ok(&["autostart", "-L", "-g", "onboot,"]);
    assert_eq!(listed, format!("{boot} 0\n{first} 0\n{last} 0\n"));
    it.lxcpath.ok(&["autostart", "-g", "onboot,", "--wait-for", "RUNNING"]);
    for name in [&last, &first, &boot] {
        assert_eq!(it.lxcpath.state(name), "RUNNING");
    }
    assert_eq!(it.lxcpath.state(&never), "STOPPED");
    wait_until("all are up", || it.notes().split(' ').count() == 3);
    assert_eq!(it.notes().split(' ').next(), Some("+boot"));
    // Those that run, frozen ones too, are left as they are.
    it.lxcpath.ok(&["freeze", &first]);
    it.lxcpath.ok(&["autostart", "-a"]);
    assert_eq!(it.lxcpath.state(&first), "FROZEN");
    let begun = it.notes();
    it.lxcpath.ok(&["autostart", "-s", "-a", "-A", "-t", "60"]);
    assert_eq!(it.notes(), format!("{begun} -boot -last -first"));
    for name in [&last, &first, &boot] {
        assert_eq!(it.lxcpath.state(name), "STOPPED");
    }
}

#[test]
fn the_next_waits_until_a_command_inside_succeeds() {
    if !can_run_containers() {
        return;
    }
    let it = Noting::new();
    it.create("one", &["lxc.start.auto=1"]);
    it.create("two", &["lxc.start.auto=1", "lxc.start.order=1"]);
    let sign = it.files.path().join("sign");
    let wait = format!("test -e {}", sign.display());
    // `one` is ready only once this test says so, and `two` does not begin before that.
    let mut command = it.lxcpath.command(&["autostart", "--wait-for", &wait, "-t", "60"]);
    let mut started = command.spawn().unwrap();
    wait_until("the first is up", || it.notes() == "+one");
    assert!(started.try_wait().unwrap().is_none());
    assert_eq!(it.notes(), "+one");
    fs::write(&sign, "").unwrap();
    assert!(started.wait().unwrap().success());
    wait_until("both are up", || it.notes() == "+one +two");
    it.lxcpath.ok(&["autostart", "-k", "-a"]);
    fs::remove_file(sign).unwrap();
    let said = it.lxcpath.refused(&["autostart", "--wait-for", &wait, "-t", "1"], 1);
    assert!(said.contains("inside has not succeeded in time"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn one_that_fails_does_not_keep_the_others_from_their_turn() {
    if !can_run_containers() {
        return;
    }
    let it = Noting::new();
    let bad = it.create("bad", &["lxc.start.auto=1", "lxc.start.order=1"]);
    let good = it.create("good", &["lxc.start.auto=1", "lxc.start.order=2"]);
    let config = it.lxcpath.path().join(&bad).join("config");
    fs::write(&config, fs::read_to_string(&config).unwrap() + "lxc.bogus = 1\n").unwrap();
    let said = it.lxcpath.refused(&["autostart"], 1);
    assert!(
        said.contains(&format!("cannot start `{bad}`: ")) && said.contains("lxc.bogus"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(it.lxcpath.state(&good), "RUNNING");
    // Of LXC's codes, 2 is for some of several, and 1 for all.
    it.lxcpath.ok(&["stop", "-k", &good]);
    it.lxc_says(&[], 2, "");
    it.lxc_says(&[], 1, "");
    it.lxc_says(&["-k"], 0, "");
    assert_eq!(it.lxcpath.state(&good), "STOPPED");
}

#[test]
fn lxcs_own_test_of_autostart_passes() {
    if !can_run_containers() {
        return;
    }
    let it = Noting::new();
    it.lxc_says(&[], 0, "");
    let n = it.create("c", &[]);
    it.lxc_says(&["-L"], 0, "");
    it.lxcpath.ok(&["config", "set", &n, "lxc.start.auto", "1"]);
    it.lxc_says(&["-L"], 0, &format!("{n} 0\n"));
    it.lxcpath.ok(&["config", "set", &n, "lxc.group", "lxc-auto-test"]);
    it.lxcpath.ok(&["config", "set", &n, "lxc.start.delay", "2"]);
    it.lxc_says(&["-L"], 0, "");
    it.lxc_says(&["-L", "-g", "lxc-auto"], 0, "");
    it.lxc_says(&["-L", "-g", ",lxc-auto-test"], 0, &format!("{n} 2\n"));
    let begun = std::time::Instant::now();
    it.lxc_says(&["-g", "lxc-auto-test"], 0, "");
    assert!(begun.elapsed().as_secs() >= 2, "it did not wait");
    it.lxcpath.ok(&["wait", &n, "-s", "RUNNING", "-t", "0"]);
    it.lxc_says(&["-L", "-g", "lxc-auto-test"], 0, "");
    it.lxc_says(&["-L", "-s", "-g", "lxc-auto-test"], 0, &format!("{n}\n"));
    it.lxc_says(&["-s", "-g", "lxc-auto-test", "-t", "120"], 0, "");
    assert_eq!(it.lxcpath.state(&n), "STOPPED");
    it.lxc_says(&["-g", "lxc-auto-test"], 0, "");
    it.lxc_says(&["-k", "-g", "lxc-auto-test"], 0, "");
    assert_eq!(it.lxcpath.state(&n), "STOPPED");
    it.lxc_says(&["-t", "x"], 1, "");
}
