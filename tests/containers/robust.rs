//! Failures must be reported, and must leave nothing: kills at any moment, races, invalid requests.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::support::nobody::Nobody;
use crate::support::{self, Lxcpath, can_run_containers, finish, text, told, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Moments at which a start is cut short, and the time between them.
const MOMENTS: u32 = 10;
const STEP: Duration = Duration::from_millis(6);

const SLEEP: [&str; 3] = ["--", "/bin/sleep", "1000"];

#[test]
fn a_container_whose_supervisor_is_killed_is_stopped_and_starts_again() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("orphan");
    let pid = lxcpath.ok(&["info", "-p", "-H", &name]).trim().to_owned();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap();
    kill(Pid::from_raw(parent.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
    wait_until("the container is STOPPED", || lxcpath.state(&name) == "STOPPED");
    works_again(&lxcpath, &name);
}

#[test]
fn a_start_whose_command_is_killed_is_told_truly_and_starts_again() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("caller");
    lxcpath.ok(&["create", &name]);
    for moment in 0..MOMENTS {
        let mut start = start(&lxcpath, &name);
        thread::park_timeout(STEP * moment);
        start.kill().unwrap();
        start.wait().unwrap();
        // The start continues without its caller, or it does not; it does not get stuck.
        wait_until("the start has ended", || {
            supervisors(&name).is_empty() || lxcpath.state(&name) == "RUNNING"
        });
        works_again(&lxcpath, &name);
    }
}

#[test]
fn a_start_whose_supervisor_is_killed_is_told_truly_and_starts_again() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("halfway");
    lxcpath.ok(&["create", &name]);
    for moment in 0..MOMENTS {
        let mut start = start(&lxcpath, &name);
        wait_until("a supervisor", || {
            !supervisors(&name).is_empty() || start.try_wait().unwrap().is_some()
        });
        thread::park_timeout(STEP * moment);
        wait_until("no supervisor and no start", || {
            for pid in supervisors(&name) {
                _ = kill(pid, Signal::SIGKILL);
            }
            supervisors(&name).is_empty() && start.try_wait().unwrap().is_some()
        });
        wait_until("the container is STOPPED", || lxcpath.state(&name) == "STOPPED");
        works_again(&lxcpath, &name);
    }
}

#[test]
fn of_several_starts_at_once_exactly_one_wins() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("race");
    lxcpath.ok(&["create", &name]);
    let starts: Vec<_> = (0..6).map(|_| start(&lxcpath, &name)).collect();
    let ended: Vec<_> = starts.into_iter().map(|it| it.wait_with_output().unwrap()).collect();
    let (won, lost): (Vec<_>, Vec<_>) = ended.iter().partition(|it| it.status.success());
    assert_eq!(won.len(), 1, "{:?}", ended.iter().map(told).collect::<Vec<_>>());
    for it in lost {
        let message = text(&it.stderr);
        assert!(message.contains("already"), "{message}");
    }
    assert_eq!(lxcpath.state(&name), "RUNNING");
}

#[test]
fn a_container_that_dies_at_once_is_stopped_and_starts_again() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("brief");
    lxcpath.ok(&["create", &name]);
    for _ in 0..3 {
        lxcpath.ok(&["start", &name, "--", "/bin/true"]);
        lxcpath.ok(&["wait", "-t", "20", "-s", "STOPPED", &name]);
        assert_eq!(lxcpath.state(&name), "STOPPED");
    }
    works_again(&lxcpath, &name);
}

#[test]
fn what_cannot_start_says_why_and_leaves_nothing() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("bad");
    lxcpath.ok(&["create", &name]);
    let orders: [(&[&str], &str); 4] = [
        (&["-s", "lxc.rootfs.path=/no/such/root"], "/no/such/root"),
        (&["-s", "lxc.cgroup.nosuch.max=1", "-s", "lxc.cgroup2.nosuch.max=1"], "nosuch.max"),
        (&["-s", "lxc.no.such.key=1"], "lxc.no.such.key"),
        (&["-s", "lxc.mount.entry=/no/such/dir mnt none bind 0 0"], "/no/such/dir"),
    ];
    for (settings, why) in orders {
        let mut args = vec!["start", name.as_str()];
        args.extend(settings);
        args.extend(SLEEP);
        let message = lxcpath.refused(&args, 1);
        assert!(message.contains(why), "{settings:?}: {message}");
        nothing_is_left(&lxcpath, &name);
    }
    let message = lxcpath.refused(&["start", &name, "--", "/no/such/command"], 1);
    assert!(message.contains("/no/such/command"), "{message}");
    nothing_is_left(&lxcpath, &name);

    let config = lxcpath.path().join(&name).join("config");
    let whole = fs::read_to_string(&config).unwrap();
    let lines = whole.lines().count();
    fs::write(&config, format!("{whole}lxc.bogus = 3\n")).unwrap();
    let message = lxcpath.refused(&["start", &name, "--", "/bin/true"], 1);
    assert!(message.contains(&format!("line {} of {}", lines + 1, config.display())), "{message}");
    fs::write(&config, format!("{whole}lxc.cap.dr")).unwrap();
    let message = lxcpath.refused(&["start", &name, "--", "/bin/true"], 1);
    assert!(message.contains(&format!("line {}", lines + 1)), "{message}");

    // With the broken line in it, inspecting the container is an error as well.
    fs::write(&config, whole).unwrap();
    nothing_is_left(&lxcpath, &name);
    works_again(&lxcpath, &name);
}

#[test]
fn without_permission_nothing_happens_but_a_message() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("denied");
    lxcpath.ok(&["create", &name]);
    let Some(nobody) = Nobody::new() else { return };
    let path = lxcpath.path().to_str().unwrap();
    for verb in ["start", "execute", "stop", "destroy", "freeze"] {
        let mut args = vec!["-P", path, verb, &name];
        if matches!(verb, "start" | "execute") {
            args.extend(["--", "/bin/true"]);
        }
        // What runs in an unreadable directory is unknown: code 2 means that nothing is visibly
        // running.
        let code = if verb == "stop" { 2 } else { 1 };
        denied(&nobody, &args, code);
    }
    nothing_is_left(&lxcpath, &name);
    assert!(lxcpath.path().join(&name).join("config").exists());
}

#[test]
fn without_permission_a_running_container_is_left_alone_with_a_message() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("mine");
    let pid = lxcpath.ok(&["info", "-p", "-H", &name]);
    let Some(nobody) = Nobody::new() else { return };
    let path = lxcpath.path().to_str().unwrap();
    let verbs: [&[&str]; 6] = [
        &["stop"],
        &["stop", "-k"],
        &["stop", "-W"],
        &["freeze"],
        &["unfreeze"],
        &["destroy", "-f"],
    ];
    for (verb, mode) in verbs.iter().flat_map(|verb| [(verb, 0o700), (verb, 0o755)]) {
        fs::set_permissions(lxcpath.path(), fs::Permissions::from_mode(mode)).unwrap();
        denied(&nobody, &[&["-P", path], *verb, &[&name]].concat(), 1);
        assert_eq!(lxcpath.state(&name), "RUNNING", "{verb:?}");
    }
    assert_eq!(lxcpath.ok(&["info", "-p", "-H", &name]), pid);
}

/// Runs wharf as `nobody`, and expects that it fails with `code` and a message.
fn denied(nobody: &Nobody, args: &[&str], code: i32) {
    let mut command = nobody.command(args);
    command.stdin(Stdio::null());
    let output = finish(command);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
    assert!(text(&output.stderr).starts_with("wharf: "), "{args:?}: {}", told(&output));
}

/// Begins a start and returns without waiting for it.
fn start(lxcpath: &Lxcpath, name: &str) -> std::process::Child {
    let mut command = lxcpath.command(&["start", name]);
    command.args(SLEEP).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Finds the processes that supervise the container `name`, or are about to.
fn supervisors(name: &str) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
    let supervises = |pid: &i32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = command.split(|byte| *byte == 0);
        words.any(|it| it == b"supervise") && words.any(|it| it == name.as_bytes())
    };
    pids.filter(supervises).map(Pid::from_raw).collect()
}

/// Checks that `stop -k` leaves nothing of the container, and that its name starts again.
fn works_again(lxcpath: &Lxcpath, name: &str) {
    let output = lxcpath.wharf(&["stop", "-k", name]);
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}", told(&output));
    nothing_is_left(lxcpath, name);
    lxcpath.ok(&["start", name, "--", "/bin/sleep", "1000"]);
    assert_eq!(lxcpath.state(name), "RUNNING");
    lxcpath.ok(&["stop", "-k", name]);
    nothing_is_left(lxcpath, name);
}

fn nothing_is_left(lxcpath: &Lxcpath, name: &str) {
    assert_eq!(lxcpath.state(name), "STOPPED");
    wait_until("no cgroup is left", || support::leftovers::cgroups(name).is_empty());
}
