//! Cgroups on the real kernel, in whichever layout this machine mounts them. Needs root.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "a test that cannot run says so")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use wharf::engine::Host;
use wharf::engine::cgroup::{Cgroup, Hierarchies, Keep, Layout, sweep_keep};
use wharf::engine::error::ErrorKind;
use wharf::engine::spec::{At, CgroupSetting, ConfigPlace};

const LONG: Duration = Duration::from_secs(20);

/// A group with a unique name, which is killed and removed however the test ends.
struct Trial {
    hierarchies: Hierarchies,
    cgroup: Cgroup,
    children: Vec<Child>,
}

impl Trial {
    /// None: this machine cannot run the test, which is reported.
    fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let hierarchies = Hierarchies::discover(&Host::this())
            .inspect_err(|why| eprintln!("skipped: {why}"))
            .ok()?;
        let cgroup = Cgroup::create(&hierarchies, &unique()).unwrap();
        Some(Self { hierarchies, cgroup, children: Vec::new() })
    }

    /// Starts a shell in the group; it joins the cheap way and then runs `script`.
    fn spawn(&mut self, script: &str) {
        let files = self.cgroup.dirs().into_iter().map(|dir| {
            let tasks = dir.join("tasks");
            if tasks.exists() { tasks } else { dir.join("cgroup.procs") }
        });
        let join: Vec<_> = files.map(|it| format!("echo 0 >'{}' && ", it.display())).collect();
        let join = join.concat();
        let mut child = Command::new("sh")
            .args(["-c", &format!("{join}echo joined && {{ {script}\n}}")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut joined = [0; 7];
        child.stdout.as_mut().unwrap().read_exact(&mut joined).unwrap();
        self.children.push(child);
    }

    /// Returns a setting for the limit on processes, for whichever version has it.
    fn has(&self, file: &str) -> bool {
        self.cgroup.get(file).is_ok()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        _ = self.cgroup.kill_all(Instant::now() + LONG);
        for child in &mut self.children {
            _ = child.kill();
            _ = child.wait();
        }
        _ = self.cgroup.remove();
    }
}

fn unique() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("lxc.payload.wharf-test-{}-{number}", std::process::id())
}

fn setting(file: &str, value: &str) -> At<CgroupSetting> {
    let place = ConfigPlace { file: "/c/config".into(), line: 7 };
    let value = CgroupSetting { file: file.to_owned(), value: value.to_owned(), given: None };
    At { value, place: Some(place) }
}

#[test]
fn a_group_is_made_everywhere_and_removed_everywhere() {
    let Some(trial) = Trial::new() else { return };
    let dirs = trial.cgroup.dirs();
    assert_eq!(dirs.len(), trial.hierarchies.iter().count());
    assert!(dirs.iter().all(|it| it.is_dir()));
    let opened = Cgroup::open(&trial.hierarchies, trial.cgroup.path());
    assert_eq!(opened.dirs(), dirs);
    assert!(!opened.populated());
    // A group that the container made inside is removed too.
    for dir in &dirs {
        std::fs::create_dir(dir.join("inner")).unwrap();
    }
    trial.cgroup.remove().unwrap();
    assert!(dirs.iter().all(|it| !it.exists()));
    trial.cgroup.remove().unwrap();
}

#[test]
fn a_dead_name_is_reused_and_a_live_one_is_left_alone() {
    let Some(mut trial) = Trial::new() else { return };
    let name = trial.cgroup.path().to_string().trim_start_matches('/').to_owned();
    let again = Cgroup::create(&trial.hierarchies, &name).unwrap();
    assert_eq!(again.path(), trial.cgroup.path());
    trial.spawn("exec sleep 1000");
    let other = Cgroup::create(&trial.hierarchies, &name).unwrap();
    assert_eq!(other.path().to_string(), format!("/{name}-1"));
    other.remove().unwrap();
    assert_eq!(trial.cgroup.pids().len(), 1);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let Some(Trial { hierarchies, .. }) = &Trial::new() else { return };
    for name in ["", "/", "..", "a/../b", "/abs", "a//b"] {
        let error = Cgroup::create(hierarchies, name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

#[test]
fn processes_join_are_listed_and_die() {
    let Some(mut trial) = Trial::new() else { return };
    trial.spawn("sleep 1000 & sleep 1000 & wait");
    assert!(trial.cgroup.populated());
    let deadline = Instant::now() + LONG;
    while trial.cgroup.pids().len() < 3 && Instant::now() < deadline {}
    let pids = trial.cgroup.pids();
    assert_eq!(pids.len(), 3, "{pids:?}");
    let shell = trial.children[0].id().cast_signed();
    assert!(pids.contains(&shell));
    trial.cgroup.kill_all(Instant::now() + LONG).unwrap();
    assert!(!trial.cgroup.populated());
    trial.cgroup.remove().unwrap();
}

#[test]
fn a_frozen_group_does_not_run_and_can_be_killed() {
    let Some(mut trial) = Trial::new() else { return };
    trial.spawn("while :; do :; done");
    trial.cgroup.freeze(LONG).unwrap();
    assert_eq!(trial.cgroup.frozen(), Some(true));
    let stat = format!("/proc/{}/stat", trial.children[0].id());
    let ticks = || {
        let text = std::fs::read_to_string(&stat).unwrap();
        text.split_whitespace().nth(13).map(str::to_owned)
    };
    let before = ticks();
    let rest = Instant::now() + Duration::from_millis(100);
    while Instant::now() < rest {}
    assert_eq!(ticks(), before, "a frozen process used the processor");
    trial.cgroup.thaw(LONG).unwrap();
    assert_eq!(trial.cgroup.frozen(), Some(false));
    trial.cgroup.freeze(LONG).unwrap();
    trial.cgroup.kill_all(Instant::now() + LONG).unwrap();
    assert!(!trial.cgroup.populated());
}

#[test]
fn the_opened_doors_let_a_process_in() {
    let Some(trial) = Trial::new() else { return };
    let entry = trial.cgroup.entry().unwrap();
    let v1 = trial.hierarchies.iter().count() - usize::from(trial.hierarchies.unified().is_some());
    assert_eq!(entry.tasks.len(), v1);
    assert_eq!(entry.unified.is_some(), trial.hierarchies.unified().is_some());
    // Only through the descriptors: the writer is this shell, which inherits them by number.
    let mut child =
        Command::new("sh").args(["-c", "read x"]).stdin(Stdio::piped()).spawn().unwrap();
    for tasks in entry.tasks {
        File::from(tasks).write_all(child.id().to_string().as_bytes()).unwrap();
    }
    let expected = v1 > 0;
    assert_eq!(
        trial.cgroup.dirs().iter().any(|dir| {
            let listed = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap();
            listed.trim() == child.id().to_string()
        }),
        expected
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn limits_are_applied_and_read_back() {
    let Some(trial) = Trial::new() else { return };
    let mut v1 = vec![];
    let mut v2 = vec![];
    for (file, value) in [
        ("memory.memsw.limit_in_bytes", "128M"),
        ("memory.limit_in_bytes", "64M"),
        ("memory.max", "64M"),
        ("pids.max", "10"),
        ("cpu.shares", "512"),
        ("cpu.max", "50%"),
    ] {
        if trial.has(file) {
            v1.push(setting(file, value));
            v2.push(setting(file, value));
        }
    }
    // On a hybrid host each file is in one of the two versions.
    if trial.hierarchies.layout() == Some(Layout::Hybrid) {
        v2.clear();
    }
    trial.cgroup.apply(&v1, &v2).unwrap();
    for (file, kept) in [
        ("memory.memsw.limit_in_bytes", "134217728\n"),
        ("memory.limit_in_bytes", "67108864\n"),
        ("memory.max", "67108864\n"),
        ("pids.max", "10\n"),
        ("cpu.shares", "512\n"),
        ("cpu.max", "50000 100000\n"),
    ] {
        if trial.has(file) {
            assert_eq!(trial.cgroup.get(file).unwrap(), kept, "{file}");
        }
    }
    let change = trial.cgroup.set("pids.max", "max").unwrap();
    assert_eq!((change.old.as_str(), change.new.as_str()), ("10", "max"));
    let listed = trial.cgroup.files();
    let pids = listed.iter().find(|it| it.file == "pids.max").unwrap();
    assert_eq!((pids.controller.as_str(), pids.value.as_deref()), ("pids", Some("max")));
    assert!(pids.writable);
}

#[test]
fn refusals_say_what_and_why() {
    let Some(trial) = Trial::new() else { return };
    let text = |file: &str, value: &str| trial.cgroup.set(file, value).unwrap_err().to_string();
    assert!(text("../pids.max", "1").contains("without a slash"));
    assert!(text("pids.mx", "1").contains("pids.max"));
    assert!(text("pids.max", "lots").contains("expected a number, or max"));
    let other = if trial.has("memory.max") { "memory.limit_in_bytes" } else { "memory.max" };
    assert!(text(other, "1").contains("on this host it is memory."), "{}", text(other, "1"));
    // No counter can be written, so the kernel refuses a valid size.
    let counter = ["memory.current", "memory.usage_in_bytes"].into_iter().find(|it| trial.has(it));
    let (counter, as_typed) = (counter.unwrap(), "the kernel refused \"16M\" (16777216) for ");
    assert!(text(counter, "16M").starts_with(as_typed), "{}", text(counter, "16M"));
    let refused = text(counter, "4096");
    assert!(refused.starts_with("the kernel refused \"4096\" for "), "{refused}");
    let line = [setting(counter, "16M")];
    let error = trial.cgroup.apply(&line, &line).unwrap_err();
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.starts_with(as_typed), "{why}");
    let wrong = [setting("pids.max", "-5")];
    let error = trial.cgroup.apply(&wrong, &wrong).unwrap_err();
    assert!(error.to_string().contains("pids.max at line 7 of /c/config"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn forbidden_devices_cannot_be_opened() {
    let Some(mut trial) = Trial::new() else { return };
    let rules = [
        setting("devices.deny", "a"),
        setting("devices.allow", "c 1:3 rw"),
        setting("devices.allow", "c 1:5 r"),
    ];
    if let Err(why) = trial.cgroup.apply_devices(&rules, &rules) {
        eprintln!("skipped: {why}");
        return;
    }
    trial.spawn(
        "for it in null zero full; do (: <\"/dev/$it\") 2>/dev/null && echo \"r $it\"; \
         (: >\"/dev/$it\") 2>/dev/null && echo \"w $it\"; done; echo end",
    );
    let mut seen = String::new();
    trial.children[0].stdout.take().unwrap().read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "r null\nw null\nr zero\nend\n");
    // The rules bind the container, not the host.
    File::options().write(true).custom_flags(libc::O_NONBLOCK).open("/dev/zero").unwrap();
}

#[test]
fn controllers_stay_while_anybody_keeps_them() {
    let Some(trial) = Trial::new() else { return };
    let base = trial.hierarchies.unified().map(|it| it.base.clone()).unwrap_or_default();
    let Some(first) = Keep::take(&trial.hierarchies) else {
        eprintln!("skipped: no controller is bound to cgroup v2");
        return;
    };
    let control = base.join("cgroup.subtree_control");
    let kept = std::fs::read_to_string(&control).unwrap();
    let second = Keep::take(&trial.hierarchies).unwrap();
    drop(first);
    for controller in kept.split_whitespace() {
        let refused = std::fs::write(&control, format!("-{controller}")).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EBUSY), "{controller}");
    }
    sweep_keep(&trial.hierarchies);
    assert!(base.join("wharf.keep").is_dir(), "it is swept although somebody holds it");
    drop(second);
    // Containers of other tests hold it for a while, those of this machine's user for longer.
    let keep = base.join("wharf.keep");
    let is_held = || File::open(&keep).is_ok_and(|it| it.try_lock().is_err());
    let deadline = Instant::now() + LONG;
    while keep.exists() {
        sweep_keep(&trial.hierarchies);
        if Instant::now() >= deadline {
            assert!(is_held(), "it stays although nobody holds it");
            eprintln!("skipped: a container of this machine runs all the time");
            return;
        }
    }
}

#[test]
fn an_empty_value_clears_or_is_refused() {
    let Some(mut trial) = Trial::new() else { return };
    let refused = trial.cgroup.set("pids.max", "").unwrap_err().to_string();
    assert!(refused.contains("write max"), "{refused}");
    if !trial.has("cpuset.cpus") {
        eprintln!("skipped: no cpuset controller");
        return;
    }
    trial.cgroup.set("cpuset.cpus", "0").unwrap();
    trial.cgroup.set("cpuset.cpus", "").unwrap();
    assert_eq!(trial.cgroup.get("cpuset.cpus").unwrap().trim(), "");
    trial.cgroup.set("cpuset.cpus", "0").unwrap();
    trial.spawn("sleep 1000");
    // v1, and v2 of some kernels, do not allow a group with processes to have no processors.
    let cleared = trial.cgroup.set("cpuset.cpus", "");
    let holds = trial.cgroup.get("cpuset.cpus").unwrap();
    let expected = if cleared.is_ok() { "" } else { "0" };
    assert_eq!(holds.trim(), expected, "{cleared:?}");
}
