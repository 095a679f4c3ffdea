//! Error messages: the cause in the operator's terms, not an errno's.

use crate::support::nobody::Nobody;
use crate::support::screen::{ENTER, Screen};
use crate::support::{self, Lxcpath, can_run_containers, rootfs, told};

/// Creates a container that shares the host's files.
fn create(lxcpath: &Lxcpath, word: &str) -> String {
    let name = lxcpath.name(word);
    lxcpath.ok(&["create", &name]);
    name
}

#[test]
fn a_missing_interpreter_is_named() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = create(&lxcpath, "script");
    let script = lxcpath.path().join("script");
    rootfs::write_script("#!/no/such/shell -e\necho no\n", &script);
    let script = script.to_str().unwrap();
    let message = lxcpath.refused(&["start", &name, "--", script], 1);
    assert!(message.contains("its interpreter /no/such/shell does not"), "{message}");
    // As in a shell: the command exists and cannot be executed.
    lxcpath.refused(&["execute", &name, "--", script], 126);
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let message = lxcpath.refused(&["attach", &name, "--", script], 126);
    assert!(message.contains("its interpreter /no/such/shell does not"), "{message}");
    let message = lxcpath.refused(&["attach", &name, "--", "/no/such/command"], 127);
    assert!(!message.contains("interpreter"), "{message}");
}

#[test]
fn a_bind_mount_of_type_bind_is_explained() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = create(&lxcpath, "bind");
    for kind in ["bind", "rbind", "nosuchfs"] {
        let entry = format!("lxc.mount.entry=/etc mnt {kind} 0 0");
        let message = lxcpath.refused(&["start", &name, "-s", &entry, "--", "/bin/true"], 1);
        assert!(message.contains(&format!("no file system type `{kind}`")), "{message}");
        let advised = message.contains(&format!("type `none` and option `{kind}`"));
        assert_eq!(advised, kind != "nosuchfs", "{message}");
    }
}

#[test]
fn a_second_start_is_refused_because_it_runs() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("twice");
    for verb in ["start", "execute"] {
        let message = lxcpath.refused(&[verb, &name, "--", "/bin/true"], 1);
        assert!(message.contains("already running"), "{message}");
    }
}

#[test]
fn a_memory_limit_too_low_for_init_is_the_cause() {
    if !can_run_containers() || !support::can_limit_memory() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = create(&lxcpath, "low");
    let limits = ["lxc.cgroup.memory.limit_in_bytes=4096", "lxc.cgroup2.memory.max=4096"];
    let mut args = vec!["start", &name];
    args.extend(limits.iter().flat_map(|it| ["-s", it]));
    args.extend(["--", "/bin/sleep", "1000"]);
    let output = lxcpath.wharf(&args);
    let message = told(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("out of memory"), "{message}");
    assert!(message.contains("memory.") && message.contains(" = 4096 is too low"), "{message}");
}

#[test]
fn a_limit_of_processes_too_low_for_the_command_is_the_cause() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = create(&lxcpath, "few");
    let limits = ["lxc.cgroup.pids.max=1", "lxc.cgroup2.pids.max=1"];
    let mut args = vec!["execute", &name];
    args.extend(limits.iter().flat_map(|it| ["-s", it]));
    args.extend(["--", "/bin/true"]);
    let message = lxcpath.refused(&args, 1);
    assert!(message.contains("pids.max = 1 is too low"), "{message}");
}

#[test]
fn an_ordinary_user_learns_first_that_root_is_needed() {
    if !can_run_containers() || !support::has_program("setpriv") {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = create(&lxcpath, "user");
    let wharf = lxcpath.command(&["start", &name, "--", "/bin/true"]);
    let run = |options: &[&str]| {
        let mut command = std::process::Command::new("setpriv");
        command.args(options).arg(wharf.get_program()).args(wharf.get_args());
        support::finish(command)
    };
    let output = run(&["--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]);
    let message = told(&output);
    assert!(message.contains("lacks CAP_SYS_ADMIN"), "{message}");
    assert!(!message.contains("as root"), "{message}");
}

#[test]
fn zombies_are_among_the_processes() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = create(&lxcpath, "dead");
    // The program that is executed last is the parent of processes that it did not start.
    let script = "for i in 1 2 3; do sleep 0 & done; exec sleep 1000";
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script]);
    support::wait_until("three zombies", || {
        let list = lxcpath.ok(&["ps", "--json", &name]);
        let list: Vec<serde_json::Value> = serde_json::from_str(&list).unwrap();
        list.iter().filter(|it| it["state"] == "Z").count() == 3
    });
}

#[test]
fn a_configuration_that_cannot_be_used_is_marked_in_the_list() {
    let lxcpath = Lxcpath::new();
    let [good, broken, unsafe_] = ["good", "broken", "unsafe"].map(|it| create(&lxcpath, it));
    let file = |name: &str| lxcpath.path().join(name).join("config");
    let config = std::fs::read_to_string(file(&broken)).unwrap();
    let line = config.lines().count() + 1;
    std::fs::write(file(&broken), config + "lxc.bogus = 1\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(file(&unsafe_), mode).unwrap();
    let where_ = format!("unknown key lxc.bogus (line {line} of {}", file(&broken).display());
    let list = lxcpath.ok(&["ls"]);
    let row = |name: &str| list.lines().find(|it| it.starts_with(name)).unwrap().to_owned();
    assert!(list.contains("TROUBLE") && row(&broken).contains(&where_), "{list}");
    assert!(row(&unsafe_).contains("other users may write to the file"), "{list}");
    assert!(!row(&good).contains("configuration"), "{list}");
    let rows = lxcpath.ok(&["ls", "--json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&rows).unwrap();
    let trouble =
        |name: &str| rows.iter().find(|it| it["name"] == name).unwrap()["trouble"].clone();
    assert!(trouble(&broken).as_str().unwrap().contains(&where_), "{rows:?}");
    assert!(trouble(&good).is_null(), "{rows:?}");
}

#[test]
fn missing_permission_is_reported_and_not_that_nothing_runs() {
    if !can_run_containers() {
        return;
    }
    let Some(nobody) = Nobody::new() else { return };
    let lxcpath = Lxcpath::new();
    let name = create(&lxcpath, "private");
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    // Any user can see from its socket that it runs, but no more than that.
    for (args, code) in [
        (&["ls"][..], 0),
        (&["info", &name], 0),
        (&["ps", &name], 1),
        (&["wait", "-s", "STOPPED", "-t", "1", &name], 1),
        (&["stop", &name], 1),
    ] {
        let output = support::finish(nobody.command(lxcpath.command(args).get_args()));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
        assert!(!support::text(&output.stdout).contains("STOPPED"), "{args:?}: {}", told(&output));
        let silent = args[0] == "wait";
        assert!(silent || told(&output).contains("permission denied"), "{}", told(&output));
    }
}

#[test]
fn containers_that_may_not_be_seen_are_not_passed_over_in_silence() {
    let Some(nobody) = Nobody::new() else { return };
    let lxcpath = Lxcpath::new();
    let name = create(&lxcpath, "stopped");
    let public = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(lxcpath.path(), public).unwrap();
    let output = support::finish(nobody.command(lxcpath.command(&["ls"]).get_args()));
    let message = told(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains(&format!("permission denied: {name} in")), "{message}");
}

#[test]
fn the_screen_says_that_another_users_container_may_not_be_looked_at() {
    if !can_run_containers() {
        return;
    }
    let Some(nobody) = Nobody::new() else { return };
    let lxcpath = Lxcpath::new();
    let name = create(&lxcpath, "private");
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    for (columns, rows) in [(80, 24), (120, 36)] {
        let command = nobody.command(lxcpath.command(&[]).get_args());
        let mut screen = Screen::spawn(command, columns, rows);
        screen.wait_for_row(&name);
        if columns >= 120 {
            wait_for_pane(&mut screen, "the peek");
        }
        screen.keys(ENTER);
        for tab in ["1", "2", "3", "4", "5", "6", "7", "8", "9"] {
            screen.keys(tab);
            screen.wait_for(&format!("[{tab} "));
            wait_for_pane(&mut screen, tab);
        }
        screen.keys("q");
        assert!(screen.exit().success());
    }
}

/// Waits until a pane says why it is empty, and no pane promises more.
fn wait_for_pane(screen: &mut Screen, what: &str) {
    screen.wait_until(&format!("the refusal in {what}"), |text| {
        text.contains("│ permission denied: only root") && !text.contains("looking …")
    });
}
