//! Limits that are changed on the screen: in the configuration of a stopped container, and of
//! several at once. As root.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::support::screen::{ENTER, Screen};
use crate::support::{Lxcpath, can_run_containers, rootfs, told, wait_until};

const CONTROL_U: &str = "\x15";

/// The key of the memory limit that applies on this host.
fn memory_key() -> &'static str {
    if Path::new("/sys/fs/cgroup/memory").exists() {
        "lxc.cgroup.memory.limit_in_bytes"
    } else {
        "lxc.cgroup2.memory.max"
    }
}

/// A stopped container with its own root and `lines` in its configuration.
fn stopped(lxcpath: &Lxcpath, root: &tempfile::TempDir, lines: &str) -> Option<(String, PathBuf)> {
    if !can_run_containers() || !rootfs::busybox(root.path()) {
        return None;
    }
    let name = lxcpath.name("edited");
    lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
    let config = lxcpath.path().join(&name).join("config");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + lines).unwrap();
    Some((name, config))
}

/// Moves the cursor to the row of `key`, and begins to edit it.
fn edit(screen: &mut Screen, key: &str) {
    screen.wait_for(key);
    screen.cursor_to(key);
    screen.keys(ENTER);
    screen.wait_for("keep old value");
}

#[test]
fn an_oom_loop_can_be_fixed_on_the_screen() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let key = memory_key();
    let mine = "# mine\nlxc.init.cmd = /bin/dd if=/dev/zero of=/dev/null bs=64M\n";
    let lines = format!("{mine}{key} = 16M\n");
    let Some((name, config)) = stopped(&lxcpath, &root, &lines) else { return };
    let mut screen = Screen::spawn(lxcpath.command(&[]), 120, 36);
    screen.wait_for_row(&name);
    screen.keys("s");
    screen.wait_until("its end for want of memory", |it| {
        it.lines().any(|it| it.contains(&name) && it.contains("STOPPED") && it.contains("oom"))
    });
    screen.keys("e");
    screen.wait_for("Limits for the next start");
    edit(&mut screen, key);
    screen.keys(&[CONTROL_U, "128M"].concat());
    screen.wait_for("16M → 128M");
    screen.keys(ENTER);
    screen.wait_for("in the configuration");
    let text = || fs::read_to_string(&config).unwrap();
    wait_until("the new line", || text().ends_with(&format!("{mine}{key} = 128M\n")));
    screen.keys("s");
    wait_until("it runs", || lxcpath.state(&name) == "RUNNING");
    lxcpath.ok(&["stop", "-k", &name]);
    // What was written is undone as any other change, after a question, since there was a start.
    screen.keys_until("z", "Undo an earlier change");
    screen.keys("y");
    wait_until("the old line", || text().contains(&format!("{key} = 16M\n")));
}

#[test]
fn a_limit_is_changed_without_harm_to_the_rest_of_the_file() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let common = tempfile::NamedTempFile::new().unwrap();
    fs::write(common.path(), "lxc.cgroup.pids.max = 50\nlxc.cgroup2.pids.max = 50\n").unwrap();
    let include = format!("lxc.include = {}\n", common.path().display());
    let lines = format!("# a\nlxc.cgroup.cpu.shares = 512\n\n{include}#z\n");
    let Some((name, config)) = stopped(&lxcpath, &root, &lines) else { return };
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    let text = || fs::read_to_string(&config).unwrap();
    let others: Vec<String> = text().lines().map(str::to_owned).collect();
    let others = others.into_iter().filter(|it| !it.contains(".pids.max = "));
    let before: String = others.map(|it| it + "\n").collect();
    fs::write(&config, &before).unwrap();
    let keep = |key: &str, value: &str| lxcpath.wharf(&["cgroup", &name, key, value, "--keep"]);

    assert!(keep("lxc.cgroup.cpu.shares", "256").status.success());
    assert_eq!(text(), before.replace("shares = 512", "shares = 256"));
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    // An included value must not override the written one.
    assert!(keep("pids.max", "60").status.success());
    assert!(text().contains(&include) && text().ends_with(".pids.max = 60\n"), "{}", text());
    assert!(keep("pids.max", "").status.success());
    assert_eq!(text(), before.replace("shares = 512", "shares = 256"));
    // What only the included file sets is not removed here.
    let refused = keep("pids.max", "");
    assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
    let place = format!("of {}", common.path().display());
    assert!(told(&refused).contains(&place), "{}", told(&refused));

    for (key, value, said) in [
        ("pids.max", "lots", "expected a number"),
        ("pids.max", "5\nlxc.idmap = u 0 0 1", "expected a number"),
        ("lxc.cgroup2.io.weight", "5\nlxc.idmap = u 0 0 1", "control character"),
        ("../config", "1", "../config"),
    ] {
        let refused = keep(key, value);
        assert!(!refused.status.success() && told(&refused).contains(said), "{}", told(&refused));
    }
    fs::write(&config, text() + "lxc.bogus = 1\n").unwrap();
    // A line that is wrong keeps nobody from setting a limit beside it.
    let bad = text();
    assert!(keep("pids.max", "60").status.success());
    assert!(text().starts_with(&bad) && text().ends_with(".pids.max = 60\n"), "{}", text());
    let target = lxcpath.path().join("elsewhere");
    fs::rename(&config, &target).unwrap();
    std::os::unix::fs::symlink(&target, &config).unwrap();
    fs::write(&target, &before).unwrap();
    assert!(told(&keep("pids.max", "60")).contains("is a link"));
}

#[test]
fn one_edit_of_several_says_what_each_has_and_what_came_of_it() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some((resting, config)) = stopped(&lxcpath, &root, "") else { return };
    let running = lxcpath.start_sleeper("running");
    lxcpath.ok(&["cgroup", &running, "pids.max", "70"]);
    let mut screen = Screen::spawn(lxcpath.command(&[]), 120, 36);
    screen.wait_for(&resting);
    screen.wait_for(&running);
    screen.keys("ae");
    // Its title depends on which of them the cursor is on.
    screen.wait_for(&format!("  for {resting}"));
    edit(&mut screen, "pids.max");
    screen.wait_for("now: ");
    screen.keys(&[CONTROL_U, "80", ENTER].concat());
    screen.wait_for("of 2 containers?");
    screen.wait_for(&format!("{running}  70 → 80"));
    screen.wait_for(&format!("{resting}  4096 → 80 in its configuration"));
    screen.keys("y");
    let limit = || lxcpath.ok(&["cgroup", &running, "pids.max"]).trim().to_owned();
    wait_until("the running one's limit", || limit() == "80");
    wait_until("the other one's line", || {
        fs::read_to_string(&config).unwrap().contains(".pids.max = 80\n")
    });
    screen.wait_for(&format!("✓ {running}  pids.max  70 → 80"));
    screen.wait_until("the other result", |it| {
        it.contains(&format!("✓ {resting}")) && it.contains("4096 → 80, in the configuration")
    });
}

#[test]
fn a_line_for_the_other_version_that_counts_is_not_called_unused() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let [here, other] = ["lxc.cgroup.memory.limit_in_bytes", "lxc.cgroup2.memory.max"];
    let other = if memory_key() == here { other } else { here };
    let unused = |it: &str| it.lines().any(|it| it.contains(other) && it.contains("not used on"));
    let line = format!("{other} = 64M\n");
    let Some((name, config)) = stopped(&lxcpath, &root, &line) else { return };
    let mut screen = Screen::spawn(lxcpath.command(&[]), 120, 36);
    screen.wait_for_row(&name);
    screen.keys("e");
    screen.wait_for(other);
    assert!(!unused(&screen.contents()), "{}", screen.contents());
    // Beside one for this host it does not count.
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}{} = 32M\n", memory_key())).unwrap();
    screen.wait_until("its note", unused);
}
