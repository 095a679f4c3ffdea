//! Containers that run out of memory: the operator is informed, while they run and when they end.

use std::fs::{self, File};
use std::path::Path;

use crate::support::screen::Screen;
use crate::support::{self, Lxcpath, can_limit_memory, can_run_containers, wait_until};
use serde_json::Value;

/// Fills memory until the kernel kills it.
const HOG: &str = "x=$(head -c 100000000 /dev/zero | tr '\\0' x)";

/// Starts a container with 16 MiB and no swap that runs `script`; none if memory cannot be limited.
fn start_small(lxcpath: &Lxcpath, word: &str, script: &str) -> Option<String> {
    let name = create_small(lxcpath, word)?;
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", script]);
    Some(name)
}

fn create_small(lxcpath: &Lxcpath, word: &str) -> Option<String> {
    if !can_run_containers() || !can_limit_memory() {
        return None;
    }
    let name = lxcpath.name(word);
    let mut args = vec!["create", &name];
    for limit in [
        "lxc.cgroup.memory.limit_in_bytes=16M",
        "lxc.cgroup2.memory.max=16M",
        "lxc.cgroup2.memory.swap.max=0",
    ] {
        args.extend(["-s", limit]);
    }
    lxcpath.ok(&args);
    Some(name)
}

/// An event's description of one kill; details only if the kernel's log can be read.
fn killed() -> &'static str {
    if File::open("/dev/kmsg").is_ok() {
        "out of memory: killed"
    } else {
        "out of memory: 1 killed"
    }
}

fn info(lxcpath: &Lxcpath, name: &str) -> Value {
    serde_json::from_str(&lxcpath.ok(&["info", "--json", name])).unwrap()
}

#[test]
fn a_container_that_dies_of_memory_says_so() {
    let lxcpath = Lxcpath::new();
    let Some(name) = start_small(&lxcpath, "dies", HOG) else { return };
    wait_until("its end", || lxcpath.state(&name) == "STOPPED");
    assert_eq!(info(&lxcpath, &name)["oom_killed"], true);
    let told = lxcpath.ok(&["info", &name]);
    assert!(told.contains("out of memory"), "{told}");
    let mut screen = Screen::spawn(lxcpath.command(&[]), 120, 36);
    screen.wait_for("oom-killed");
    // Beside its row the screen shows what happened, at which limit, and the keys that help.
    screen.wait_for("what happened");
    screen.wait_for("out of memory: ");
    screen.wait_for("·/16M");
    screen.wait_for("s start");
    // It was also reported as it happened.
    screen.keys("gm");
    screen.wait_until("the event", |it| {
        it.contains("out of memory: killed") || it.contains("out of memory: 1 killed")
    });
}

#[test]
fn an_init_that_dies_of_memory_before_its_start_is_reported_dies_of_memory() {
    let lxcpath = Lxcpath::new();
    let Some(name) = create_small(&lxcpath, "early") else { return };
    // While the record of limits is locked, the start does not get on, and init does.
    lxcpath.ok(&["start", &name, "--", "/bin/true"]);
    wait_until("the end of the first run", || lxcpath.state(&name) == "STOPPED");
    let lock = lock_limits(&name);
    let mut start = lxcpath.command(&["start", &name, "--", "/bin/sh", "-c", HOG]).spawn().unwrap();
    wait_until("the kernel's kill", || {
        support::leftovers::cgroups(&name).iter().any(|it| was_killed(it))
    });
    lock.unlock().unwrap();
    assert!(start.wait().unwrap().success());
    wait_until("its end", || lxcpath.state(&name) == "STOPPED");
    assert_eq!(info(&lxcpath, &name)["oom_killed"], true);
}

#[test]
fn whoever_locks_the_record_of_limits_without_end_stops_no_start() {
    let lxcpath = Lxcpath::new();
    let Some(name) = create_small(&lxcpath, "locked") else { return };
    lxcpath.ok(&["start", &name, "--", "/bin/true"]);
    wait_until("the end of the first run", || lxcpath.state(&name) == "STOPPED");
    let lock = lock_limits(&name);
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let us = format!("is locked by process {}", std::process::id());
    let trouble = info(&lxcpath, &name)["trouble"].to_string();
    assert!(trouble.contains("loss of its limits would not be noticed"), "{trouble}");
    assert!(trouble.contains(&us), "{trouble}");
    let error = lxcpath.refused(&["cgroup", &name, "pids.max", "99"], 1);
    assert!(error.contains(&us), "{error}");
    drop(lock);
    lxcpath.ok(&["stop", "-k", &name]);
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    assert!(info(&lxcpath, &name)["trouble"].is_null());
}

/// Takes the lock that guards which limits of this container wharf has set; its record shows where.
fn lock_limits(name: &str) -> File {
    let records = fs::read_dir("/run/wharf/run").unwrap().flatten().map(|it| it.path());
    let dir = records.filter(|it| it.join(format!("{name}.json")).exists()).last().unwrap();
    let lock = File::open(dir).unwrap();
    lock.lock().unwrap();
    lock
}

/// Returns whether the kernel counts an OOM kill in this group.
fn was_killed(group: &Path) -> bool {
    ["memory.events", "memory.oom_control"].iter().any(|file| {
        let text = fs::read_to_string(group.join(file)).unwrap_or_default();
        text.lines().any(|it| it.strip_prefix("oom_kill ").is_some_and(|it| it.trim() != "0"))
    })
}

#[test]
fn an_oom_kill_is_reported_while_the_container_runs() {
    // After the kill init only waits; but while the memory of the dead process is still held, by a
    // reader in /proc for instance, the kernel also kills init for its next allocation. Of more than
    // ten kills within five seconds, those of other tests included, it logs no details.
    let tries = 6;
    assert!((0..tries).any(|_| init_outlives_a_kill()), "the kernel killed init {tries} times");
}

fn init_outlives_a_kill() -> bool {
    let lxcpath = Lxcpath::new();
    let script =
        format!("sleep 1000 & while [ ! -e /dev/shm/go ]; do sleep 0.1; done; ({HOG}); wait");
    let Some(name) = start_small(&lxcpath, "lives", &script) else { return true };
    let mut screen = Screen::spawn(lxcpath.command(&[]), 120, 36);
    screen.wait_for("RUNNING");
    lxcpath.ok(&["attach", &name, "--", "/bin/sh", "-c", ": > /dev/shm/go"]);
    screen.wait_for("out of memory: ");
    if !screen.contents().contains(killed()) {
        return false;
    }
    // Its row shows it for a while, with the keys that help beside it.
    screen.wait_until("a mark in its row", |it| {
        it.lines().any(|it| it.contains(&name) && it.contains('▲') && it.contains("oom"))
    });
    screen.wait_for("l log");
    let told = lxcpath.ok(&["info", &name]);
    if told.contains("STOPPED") {
        return false;
    }
    assert!(told.contains("RUNNING"), "{told}\n{}", screen.framed());
    assert_eq!(info(&lxcpath, &name)["oom_killed"], false);
    assert_eq!(info(&lxcpath, &name)["oom_kills"], 1);
    tells_whole(&lxcpath, &name, &screen.contents());
    // A kill by hand now is the cause, not the earlier OOM kill.
    lxcpath.ok(&["stop", "-k", &name]);
    assert_eq!(info(&lxcpath, &name)["oom_killed"], false);
    let told = lxcpath.ok(&["info", &name]);
    let end = told.lines().find(|it| it.starts_with("Last exit")).unwrap();
    assert!(end.ends_with("signal 9"), "{told}");
    true
}

/// The kernel's log of the kill is shown by `info`, in JSON and on the screen.
fn tells_whole(lxcpath: &Lxcpath, name: &str, screen: &str) {
    if File::open("/dev/kmsg").is_err() {
        println!("skipped in part: the kernel's log cannot be read");
        return;
    }
    let last = &info(lxcpath, name)["oom_last"];
    let (pid, process) = (last["pid"].as_i64().unwrap(), last["process"].as_str().unwrap());
    assert!(pid > 1 && !process.is_empty(), "{last}");
    assert!(last["held_bytes"].as_u64().unwrap() > 1 << 20, "{last}");
    assert_eq!(last["limit_bytes"], 16 << 20, "{last}");
    assert!(last["group"].as_str().unwrap().ends_with(name), "{last}");
    assert!(last["limit_file"].as_str().unwrap().starts_with("memory."), "{last}");
    let told = lxcpath.ok(&["info", name]);
    let words = format!("{process} (pid {pid}) with ");
    assert!(told.contains(&format!("Last OOM kill:  {words}")), "{told}");
    assert!(screen.contains(&words), "{screen}");
}

#[test]
fn cache_that_the_kernel_would_drop_is_not_use() {
    if !can_run_containers() || !can_limit_memory() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("cache");
    lxcpath.ok(&["create", &name]);
    // The machine's /tmp may be in memory, which does not count as cache.
    let disk = tempfile::tempdir_in("/var/tmp").unwrap();
    let file = disk.path().join("file");
    let script = format!(
        "dd if=/dev/zero of='{0}' bs=1M count=60 conv=fsync 2>/dev/null; : >'{0}.done'; sleep 1000",
        file.display()
    );
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", &script]);
    wait_until("the file", || file.with_extension("done").exists());
    let seen = info(&lxcpath, &name);
    let used = seen["memory_bytes"].as_u64().unwrap();
    let cache = seen["memory_cache_bytes"].as_u64().unwrap();
    assert!(used < 20 << 20, "{used} bytes count as use");
    assert!(cache > 40 << 20, "{cache} bytes are cache");
    let told = lxcpath.ok(&["info", &name]);
    assert!(told.contains("Memory cache:"), "{told}");
}
