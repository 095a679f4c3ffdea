//! After a kill or a full disk, commands find the true state, and can clean up. As root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::screen::{ENTER, Screen};
use crate::support::{self, Lxcpath, can_run_containers, finish, told, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Kills the supervisor of a running container, and waits until it is dead.
fn kill_supervisor(lxcpath: &Lxcpath, name: &str) {
    let pid = lxcpath.ok(&["info", "-p", "-H", name]).trim().to_owned();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap();
    kill(Pid::from_raw(parent.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    let stat = format!("/proc/{}/stat", parent.trim());
    wait_until("its death", || fs::read_to_string(&stat).map_or(true, |it| it.contains(") Z ")));
}

#[test]
fn destroy_cleans_up_after_a_killed_supervisor_and_forgets_the_run() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    // A frozen process does not die with its supervisor.
    let name = lxcpath.start_sleeper("frozen");
    let mut monitor = Screen::monitor(&lxcpath, &name);
    lxcpath.ok(&["freeze", &name]);
    kill_supervisor(&lxcpath, &name);
    lxcpath.ok(&["destroy", "-f", &name]);
    monitor.wait_for("lost its supervisor, which was killed");
    wait_until("its groups gone", || support::leftovers::cgroups(&name).is_empty());
    lxcpath.ok(&["create", &name]);
    let told = lxcpath.ok(&["info", &name]);
    assert!(!told.contains("Last exit") && !told.contains("Since"), "{told}");
}

#[test]
fn what_outlived_its_supervisor_is_stopped_or_destroyed_by_force() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    // The freezer of cgroup v1 delays SIGKILL; that of v2 lets frozen processes die.
    let holds = fs::read_to_string("/proc/self/cgroup").unwrap().contains("freezer");
    for verb in [["stop", "-k"], ["stop", "-t1"], ["destroy", "-f"]] {
        let name = lxcpath.start_sleeper("outlives");
        lxcpath.ok(&["freeze", &name]);
        kill_supervisor(&lxcpath, &name);
        let state = if holds { "FROZEN" } else { "STOPPED" };
        wait_until(state, || lxcpath.state(&name) == state);
        let ended = lxcpath.wharf(&[verb[0], verb[1], &name]);
        let code = if holds || verb[0] == "destroy" { 0 } else { 2 };
        assert_eq!(ended.status.code(), Some(code), "{verb:?}");
        wait_until("its groups gone", || support::leftovers::cgroups(&name).is_empty());
        let told = lxcpath.wharf(&["stop", "-k", &name]);
        assert_eq!(told.status.code(), Some(2), "{verb:?}");
        _ = lxcpath.wharf(&["destroy", "--now", &name]);
    }
}

#[test]
fn destroying_by_force_kills_nothing_that_it_will_not_remove() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("copied");
    fs::create_dir_all(lxcpath.path().join(&name).join("snaps/snap0")).unwrap();
    let said = lxcpath.refused(&["destroy", "-f", "--now", &name], 1);
    assert!(said.contains("it has snapshots in"), "{said}");
    assert_eq!(lxcpath.state(&name), "RUNNING");
    fs::remove_dir_all(lxcpath.path().join(&name)).unwrap();
    // Of one that runs without being defined nothing is left once it is killed.
    let ended = lxcpath.wharf(&["destroy", "-f", &name]);
    assert!(ended.status.success(), "{}", told(&ended));
    assert!(told(&ended).contains("it is not defined"), "{}", told(&ended));
    wait_until("its groups gone", || support::leftovers::cgroups(&name).is_empty());
    let said = lxcpath.refused(&["destroy", "-f", &name], 1);
    assert!(said.contains("there is no such container"), "{said}");
}

/// Makes the record of a run look as it does before the supervisor has recorded its groups.
fn forget_groups(lxcpath: &Lxcpath, name: &str) {
    let records = fs::read_dir("/run/wharf/run").unwrap().flatten();
    let file = records.map(|it| it.path().join(format!("{name}.json"))).find(|it| {
        let text = fs::read_to_string(it).unwrap_or_default();
        text.contains(lxcpath.path().to_str().unwrap())
    });
    let file = file.unwrap();
    let mut record: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for key in ["cgroup", "monitor_cgroup"] {
        let told = record.insert(key.to_owned(), serde_json::Value::Null);
        assert!(told.is_some_and(|it| it.is_string()), "{record:?}");
    }
    fs::write(&file, serde_json::to_vec(&record).unwrap()).unwrap();
}

#[test]
fn groups_that_no_record_tells_of_are_removed_beside_those_of_a_namesake() {
    if !can_run_containers() {
        return;
    }
    let (first, second) = (Lxcpath::new(), Lxcpath::new());
    let name = first.start_sleeper("namesake");
    second.ok(&["create", &name]);
    second.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let init = second.ok(&["info", "-p", "-H", &name]).trim().to_owned();
    kill_supervisor(&second, &name);
    wait_until("the end of init", || !fs::exists(format!("/proc/{init}")).unwrap());
    forget_groups(&second, &name);
    let suffixed = format!("{name}-1");
    assert!(!support::leftovers::cgroups(&suffixed).is_empty());
    second.ok(&["destroy", "--now", &name]);
    assert!(support::leftovers::cgroups(&suffixed).is_empty());
    assert_eq!(first.state(&name), "RUNNING");
}

#[test]
fn what_a_killed_create_has_left_goes_with_the_next_one() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("half");
    let draft = lxcpath.path().join(format!(".{name}.new"));
    let leave = || {
        fs::create_dir_all(draft.join("draft")).unwrap();
        fs::write(draft.join("draft/config"), "lxc.uts.na").unwrap();
    };
    leave();
    lxcpath.ok(&["create", &name]);
    assert!(!draft.exists());
    leave();
    lxcpath.ok(&["destroy", "--now", &name]);
    assert_eq!(support::tree(lxcpath.path()), Vec::<PathBuf>::new());
    // A container of LXC's whose name looks like it stays.
    fs::create_dir(&draft).unwrap();
    fs::write(draft.join("config"), "").unwrap();
    lxcpath.ok(&["create", &lxcpath.name("other")]);
    lxcpath.ok(&["destroy", "--now", &lxcpath.name("other")]);
    lxcpath.refused(&["create", &name], 1);
    assert!(draft.join("config").exists());
}

#[test]
fn execute_that_cannot_begin_leaves_no_container() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("never");
    for setting in ["lxc.no.such.key=1", "lxc.rootfs.path=/no/such/root", "lxc.idmap=u 0 1 2"] {
        lxcpath.refused(&["execute", &name, "-s", setting, "--", "/bin/true"], 1);
        assert_eq!(support::tree(lxcpath.path()), Vec::<PathBuf>::new(), "{setting}");
    }
}

#[test]
fn an_ephemeral_container_goes_when_it_stops() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("brief");
    lxcpath.ok(&["create", &name, "-s", "lxc.ephemeral=1"]);
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    lxcpath.ok(&["stop", "-k", &name]);
    wait_until("its end", || !lxcpath.path().join(&name).exists());
}

/// With space for this many files in the runtime directory, a start is refused and leaves nothing,
/// or the container is visible and can be stopped.
#[test]
fn a_full_runtime_directory_makes_no_container_that_cannot_be_stopped() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("full");
    lxcpath.ok(&["create", &name]);
    let script = "mount --make-rprivate / && \
        mount -t tmpfs -o mode=755,nr_inodes=$3 none /run && \
        if \"$0\" -P \"$1\" start \"$2\" -- /bin/sleep 1000; then \
            test \"$(\"$0\" -P \"$1\" info -s -H \"$2\")\" = RUNNING && \
            \"$0\" -P \"$1\" stop -k \"$2\"; \
        else test $? = 1; fi";
    for inodes in 2..12 {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_wharf")]);
        command.arg(lxcpath.path()).args([&name, &inodes.to_string()]);
        let output = finish(command);
        assert!(output.status.success(), "{inodes} files: {}", told(&output));
        wait_until("no cgroup is left", || support::leftovers::cgroups(&name).is_empty());
    }
}

#[test]
fn what_a_dead_container_said_last_can_be_read() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("said");
    lxcpath.ok(&["create", &name]);
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", "echo last words; exit 3"]);
    wait_until("its end", || lxcpath.state(&name) == "STOPPED");
    let mut screen = Screen::spawn(lxcpath.command(&[]), 120, 36);
    screen.wait_for("Containers  1 ");
    screen.wait_for("exit 3");
    screen.keys(ENTER);
    screen.wait_for("last words");
}

/// Lists what is kept of the container and its runs.
fn records(name: &str) -> Vec<String> {
    let all = support::tree(Path::new("/run/wharf"));
    let files = all.iter().map(|it| it.to_string_lossy().into_owned());
    files.filter(|it| it.contains(name)).collect()
}

#[test]
fn a_run_of_an_undefined_container_leaves_no_record() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let file = lxcpath.path().join("file");
    fs::write(&file, "lxc.uts.name = x\n").unwrap();
    let file = file.to_str().unwrap();
    let name = lxcpath.name("nowhere");
    lxcpath.ok(&["execute", "-f", file, &name, "--", "true"]);
    assert_eq!(records(&name), [""; 0]);
    lxcpath.ok(&["start", "-f", file, &name, "--", "/bin/sleep", "1000"]);
    assert!(!records(&name).is_empty());
    lxcpath.ok(&["stop", "-k", &name]);
    assert_eq!(records(&name), [""; 0]);
    lxcpath.refused(&["start", "-f", file, &name, "--", "/no/such/program"], 1);
    assert_eq!(records(&name), [""; 0]);
    // The next command with permission cleans up after a killed one.
    lxcpath.ok(&["start", "-f", file, &name, "--", "/bin/sleep", "1000"]);
    kill_supervisor(&lxcpath, &name);
    let other = lxcpath.name("other");
    lxcpath.ok(&["create", &other]);
    assert_eq!(records(&name), [""; 0]);
    wait_until("its groups gone", || support::leftovers::cgroups(&name).is_empty());
}

/// Kills a destroy of a container while it removes the files, which by then have another name: that
/// is what is returned. With few files it may be over before; then there are more the next time.
fn killed_while_it_destroys(lxcpath: &Lxcpath, name: &str) -> PathBuf {
    let hidden = lxcpath.path().join(format!(".{name}.new"));
    let place = lxcpath.path().join(name);
    let is_moved = || hidden.exists() && !place.exists();
    for files in [20_000, 80_000, 320_000] {
        lxcpath.ok(&["create", name]);
        let root = place.join("rootfs");
        fs::create_dir(&root).unwrap();
        for number in 0..files {
            fs::File::create(root.join(number.to_string())).unwrap();
        }
        let mut destroy = lxcpath.command(&["destroy", "--now", name]).spawn().unwrap();
        wait_until("the removal or its end", || {
            is_moved() || destroy.try_wait().unwrap().is_some()
        });
        _ = destroy.kill();
        destroy.wait().unwrap();
        if is_moved() {
            return hidden;
        }
    }
    panic!("it was always over before it could be killed");
}

#[test]
fn a_destroy_that_is_killed_leaves_no_name_that_is_taken() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("many");
    let hidden = killed_while_it_destroys(&lxcpath, &name);
    assert!(!lxcpath.path().join(&name).exists());
    assert_eq!(lxcpath.ok(&["ls", "-1"]), "");
    lxcpath.ok(&["execute", &name, "--", "true"]);
    assert!(!hidden.exists());
    let half = lxcpath.path().join(&name).join(".config.4242.0");
    lxcpath.ok(&["create", &name]);
    fs::write(&half, "half").unwrap();
    lxcpath.ok(&["start", &name, "--", "true"]);
    assert!(!half.exists());
    // Files under a name that is never used again are removed as well.
    fs::create_dir_all(hidden.join("draft/rootfs")).unwrap();
    lxcpath.ok(&["create", &lxcpath.name("other")]);
    assert!(!hidden.exists());
}

/// A command or a supervisor that is killed early leaves its lock files, its socket, and the file
/// that it was writing.
#[test]
fn what_a_killed_start_has_left_goes_with_the_next_stop_or_destroy() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("early");
    let kept = records(&name);
    let file = |of: &str| kept.iter().find(|it| it.starts_with(of)).unwrap().clone();
    let (socket, seat) = (file("/run/wharf/socket/"), file("/run/wharf/seat/"));
    let draft = kept.iter().find_map(|it| it.strip_suffix(".json")).unwrap();
    let draft = format!("{draft}.limits.4194305");
    lxcpath.ok(&["stop", "-k", &name]);
    wait_until("the end of the supervisor", || !fs::exists(&seat).unwrap());
    let lock = seat.replace("/seat/", "/lock/");
    for it in [&socket, &seat, &lock] {
        fs::create_dir_all(Path::new(it).parent().unwrap()).unwrap();
        fs::write(it, "").unwrap();
    }
    lxcpath.refused(&["stop", "-k", &name], 2);
    assert_eq!([&socket, &seat, &lock].map(|it| fs::exists(it).unwrap()), [false; 3]);
    fs::write(&draft, "{").unwrap();
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    assert!(!fs::exists(&draft).unwrap());
    lxcpath.ok(&["stop", "-k", &name]);
    fs::write(&draft, "{").unwrap();
    lxcpath.ok(&["destroy", "--now", &name]);
    assert_eq!(records(&name), [""; 0]);
    // If it was removed by other means, only the draft is left.
    fs::create_dir_all(Path::new(&draft).parent().unwrap()).unwrap();
    fs::write(&draft, "{").unwrap();
    lxcpath.ok(&["create", &lxcpath.name("other")]);
    assert_eq!(records(&name), [""; 0]);
}

/// The next command removes the draft of a record, but not while it is being written.
#[test]
fn drafts_are_removed_unless_their_writer_is_alive() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("drafts");
    let kept = records(&name);
    let record = kept.iter().find_map(|it| it.strip_suffix(".json")).unwrap();
    let drafts = [format!("{record}.new"), format!("{record}.limits.1")];
    let there = || drafts.each_ref().map(|it| fs::exists(it).unwrap());
    let leave = || drafts.iter().for_each(|it| fs::write(it, "{").unwrap());
    leave();
    // As its writer does while writing it.
    let writer = fs::File::open(&drafts[0]).unwrap();
    writer.lock().unwrap();
    lxcpath.ok(&["ls"]);
    assert_eq!(there(), [true, false]);
    drop(writer);
    lxcpath.ok(&["ls"]);
    assert_eq!(there(), [false, false]);
    lxcpath.ok(&["stop", "-k", &name]);
    let other = lxcpath.name("other");
    for args in [
        &["create", &other][..],
        &["start", "-F", &other, "--", "/bin/true"],
        &["destroy", "--now", &other],
    ] {
        leave();
        lxcpath.ok(args);
        assert_eq!(there(), [false, false], "{args:?}");
    }
    leave();
    lxcpath.ok(&["destroy", "--now", &name]);
    assert_eq!(records(&name), [""; 0]);
}
