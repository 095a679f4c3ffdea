//! Checkpoint and restore with CRIU: a container goes on where it was, and has its network, console,
//! cgroups and limits; what cannot be done is refused, and what fails leaves it running. As root; the
//! first needs a CRIU that works on the machine's kernel, all others a made-up one.

mod counter;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use self::counter::{Counter, Dir, criu_works};
use crate::support::{finish, rootfs, text, told, wait_until};

/// Starts a counter on a bridge in a network of the test's own.
fn bridged() -> Option<Counter> {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    for line in ["link set lo up", "link add br0 type bridge", "link set br0 up"] {
        assert!(Command::new("ip").args(line.split(' ')).status().unwrap().success(), "{line}");
    }
    let log = tempfile::NamedTempFile::new().unwrap().path().display().to_string();
    let it = Counter::start(&[
        "lxc.tty.max=0",
        "lxc.net.0.type=veth",
        "lxc.net.0.link=br0",
        "lxc.net.0.flags=up",
        "lxc.net.0.ipv4.address=10.77.0.2/24",
        "lxc.cgroup2.memory.max=64M",
        "lxc.cgroup.memory.limit_in_bytes=64M",
        "lxc.mount.auto=proc:mixed sys:mixed",
        &format!("lxc.console.logfile={log}"),
    ])?;
    it.lxcpath.ok(&["cgroup", &it.name, "pids.max", "77"]);
    it.counts_on(0);
    Some(Counter { log: Some(Dir(log)), ..it })
}

/// Returns the ports of the bridge.
fn ports() -> Vec<String> {
    let output = Command::new("ip").args(["-o", "link", "show", "master", "br0"]).output().unwrap();
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn a_counter_goes_on_where_it_was_with_all_that_it_had() {
    if !criu_works() {
        return;
    }
    let Some(it) = bridged() else { return };
    let (first, second) = (Dir(it.dir("a")), Dir(it.dir("b")));
    let hardware = it.inside("cat /sys/class/net/eth0/address");

    // It runs on unless it is to stop.
    it.lxcpath.ok(&["checkpoint", &it.name, "-D", &first.0]);
    assert_eq!(fs::metadata(&first.0).unwrap().permissions().mode() & 0o777, 0o700);
    it.counts_on(it.count());
    let full = it.lxcpath.refused(&["checkpoint", &it.name, "-D", &first.0], 1);
    assert!(full.contains("has a checkpoint already"), "{full}");

    it.lxcpath.ok(&["checkpoint", &it.name, "-D", &second.0, "--stop"]);
    assert_eq!(it.info("-s"), "STOPPED");
    it.was_saved();
    let stopped = it.count();
    it.lxcpath.ok(&["restore", &it.name, "-D", &second.0]);
    it.counts_on(stopped);
    assert!(it.count() < stopped + 1000, "it jumped");

    it.has_everything(stopped, &hardware);
    it.lxcpath.ok(&["freeze", &it.name]);
    assert_eq!(it.info("-s"), "FROZEN");
    let frozen = it.lxcpath.refused(&["checkpoint", &it.name, "-D", &it.dir("c")], 1);
    assert!(frozen.contains("it is frozen; `wharf unfreeze"), "{frozen}");
    it.lxcpath.ok(&["unfreeze", &it.name]);
    it.is_saved_again_and_loses_its_supervisor();
}

impl Counter {
    /// Checks that its end is no death by a signal to whoever looks.
    fn was_saved(&self) {
        let record = self.lxcpath.ok(&["info", "--json", &self.name]);
        assert!(record.contains("\"saved\""), "{record}");
    }

    /// Checks what a restored one has besides its processes.
    fn has_everything(&self, stopped: u32, hardware: &str) {
        assert_eq!(self.info("-s"), "RUNNING");
        assert_eq!(self.inside("cat /sys/class/net/eth0/address"), hardware);
        assert!(self.inside("cat /proc/1/cmdline").contains("count.sh"));
        assert_eq!(ports().len(), 1);
        assert_eq!(self.lxcpath.ok(&["cgroup", &self.name, "pids.max"]).trim(), "77");
        let memory = |file| {
            let output = self.lxcpath.wharf(&["cgroup", &self.name, file]);
            output.status.success().then(|| text(&output.stdout).trim().to_owned())
        };
        let memory = memory("memory.max").or_else(|| memory("memory.limit_in_bytes"));
        assert_eq!(memory.as_deref(), Some("67108864"));
        let log = self.log.as_ref().unwrap();
        let new = |line: &str| {
            let said = line.trim().strip_prefix("said ").and_then(|it| it.parse::<u32>().ok());
            said.is_some_and(|it| it > stopped)
        };
        wait_until("new output on the console", || {
            fs::read_to_string(&log.0).unwrap_or_default().lines().any(new)
        });
    }

    fn is_saved_again_and_loses_its_supervisor(&self) {
        let dir = Dir(self.dir("d"));
        let saved =
            finish(in_place_of(self, &["lxc", "checkpoint", &self.name, "-s", "-D", &dir.0]));
        assert!(saved.status.success(), "{}", told(&saved));
        let stopped = self.count();
        let args = ["lxc", "checkpoint", &self.name, "-r", "-D", &dir.0];
        let restored = finish(in_place_of(self, &args));
        assert!(restored.status.success(), "{}", told(&restored));
        self.counts_on(stopped);
        let init = self.info("-p");
        let status = fs::read_to_string(format!("/proc/{init}/status")).unwrap();
        let parent = status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap();
        kill(Pid::from_raw(parent.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
        // Under AppArmor the kernel does not end it with its supervisor.
        self.lxcpath.wharf(&["stop", "-k", &self.name]);
        wait_until("the end of the container", || self.info("-s") == "STOPPED");
        assert_eq!(ports(), Vec::<String>::new());
    }
}

/// Notes each of CRIU's stages in the file beside it.
const STAGES: &str = "#!/bin/sh\necho \"$CRTOOLS_SCRIPT_ACTION\" >>\"$0.stages\"\n";

#[test]
fn what_was_saved_in_advance_is_built_upon_and_a_script_runs_at_each_stage() {
    if !criu_works() {
        return;
    }
    let Some(it) = bridged() else { return };
    let (early, late) = (Dir(it.dir("early")), Dir(it.dir("late")));
    let script = it.root.join("stages.sh");
    rootfs::write_script(STAGES, &script);
    let script = script.to_str().unwrap();
    let lxc = |args: &[&str]| {
        let output = finish(in_place_of(&it, &[&["lxc", "checkpoint", &it.name], args].concat()));
        assert!(output.status.success(), "{args:?}: {}", told(&output));
    };

    lxc(&["-p", "-D", &early.0]);
    it.counts_on(it.count());
    let previous = format!("../{}", Path::new(&early.0).file_name().unwrap().to_str().unwrap());
    lxc(&["-s", "-D", &late.0, "--predump-dir", &previous, "-A", script]);
    assert_eq!(fs::read_link(Path::new(&late.0).join("parent")).unwrap(), Path::new(&previous));
    let stopped = it.count();
    lxc(&["-r", "-D", &late.0, "-A", script]);
    it.counts_on(stopped);
    let stages = fs::read_to_string(format!("{script}.stages")).unwrap();
    for stage in ["pre-dump", "post-dump", "pre-restore", "post-restore"] {
        assert!(stages.lines().any(|it| it == stage), "{stage}: {stages}");
    }
}

#[test]
fn what_criu_cannot_do_is_refused_and_nothing_is_touched() {
    let Some(it) = Counter::start(&["lxc.tty.max=1"]) else { return };
    let dir = it.dir("never");
    let args = ["checkpoint", &it.name, "-D", &dir, "--stop"];
    let said = it.lxcpath.refused(&args, 1);
    assert!(said.contains("lxc.tty.max is 1") && said.contains("restart it"), "{said}");
    assert!(!Path::new(&dir).exists());
    assert_eq!(it.info("-s"), "RUNNING");
    // LXC's command says it as well, with LXC's code.
    let said = finish(in_place_of(&it, &["lxc", "checkpoint", "-n", &it.name, "-D", &dir]));
    assert_eq!(said.status.code(), Some(1));
    assert!(text(&said.stderr).contains("lxc.tty.max is 1"), "{}", told(&said));
    for (args, text_) in [
        (&["lxc", "checkpoint", &it.name][..], "-D is required"),
        (&["lxc", "checkpoint", &it.name, "-r", "-s", "-D", "x"], "-s not compatible with -r"),
        (&["lxc", "checkpoint", &it.name, "-r", "-D", "x"], "is running, not restoring"),
    ] {
        let output = finish(in_place_of(&it, args));
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(text(&output.stderr).contains(text_), "{}", told(&output));
    }
    let said = it.lxcpath.refused(&["restore", &it.name, "-D", &dir], 1);
    assert!(said.contains("is already running"), "{said}");
}

/// Calls a command by LXC's name, with this lxcpath behind it.
fn in_place_of(it: &Counter, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(args).arg("-P").arg(it.lxcpath.path()).stdin(Stdio::null());
    command
}

#[test]
fn a_criu_that_does_not_work_here_is_named_with_its_words() {
    let Some(it) = Counter::start(&[]) else { return };
    let dir = it.dir("never");
    let mut command = it.with_criu("", &["checkpoint", &it.name, "-D", &dir]);
    let criu = it.lxcpath.path().join(".bin/criu");
    let script = "#!/bin/sh\n[ \"$1\" != --version ] || { echo Version: 3.17.1; exit; }\n\
                  echo 'Error (criu/vdso.c:625): vdso: Unexpected rt vDSO area bounds' >&2; exit 1\n";
    rootfs::write_script(script, &criu);
    let output = finish(command);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let said = text(&output.stderr);
    assert!(said.contains("CRIU does not work on this kernel: vdso: Unexpected rt vDSO"), "{said}");
    assert!(!Path::new(&dir).exists());
    assert_eq!(it.info("-s"), "RUNNING");

    command = it.with_criu("", &["restore", &it.name, "-D", &dir]);
    it.lxcpath.ok(&["stop", "-k", &it.name]);
    let output = finish(command);
    assert!(text(&output.stderr).contains("No such file or directory"), "{}", told(&output));
    assert_eq!(it.info("-s"), "STOPPED");
}

#[test]
fn a_dump_that_fails_is_late_or_cancelled_leaves_the_container_running() {
    let Some(it) = Counter::start(&[]) else { return };
    let dir = Dir(it.dir("failed"));
    let log = "echo '(00.1) Error (criu/tty.c:7): tty: Unable to find a master' >$d/dump.log";
    let fails = format!("{FIND}; {log}; : >$d/inventory.img; exit 1");
    let output = finish(it.with_criu(&fails, &["checkpoint", &it.name, "-s", "-D", &dir.0]));
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let said = text(&output.stderr);
    assert!(said.contains("CRIU failed: tty: Unable to find a master (all of it in "), "{said}");
    let mut left: Vec<_> =
        fs::read_dir(&dir.0).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["dump.log"], "nothing that could be taken for a checkpoint");
    it.counts_on(it.count());

    // It has frozen the container, and hangs.
    let hangs = format!("{FIND}; {FREEZE}; : >$d/hangs; exec sleep 1000");
    let args = ["checkpoint", &it.name, "-D", &dir.0, "--timeout", "1"];
    let output = finish(it.with_criu(&hangs, &args));
    assert!(
        text(&output.stderr).contains("did not end within 1 s and was killed"),
        "{}",
        told(&output)
    );
    it.counts_on(it.count());

    fs::remove_file(Path::new(&dir.0).join("hangs")).unwrap();
    let mut command = it.with_criu(&hangs, &["checkpoint", &it.name, "-D", &dir.0]);
    let child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("the call of CRIU", || Path::new(&dir.0).join("hangs").exists());
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = ended(child);
    assert!(text(&output.stderr).contains("cancelled"), "{}", told(&output));
    it.counts_on(it.count());
}

/// Finds the directory and the freezer in what CRIU is told.
const FIND: &str =
    "for w; do [ \"$p\" = -D ] && d=$w; [ \"$p\" = --freeze-cgroup ] && f=$w; p=$w; done";
/// Freezes the container, as CRIU does.
const FREEZE: &str = "if [ -e $f/freezer.state ]; then echo FROZEN >$f/freezer.state; \
                      else echo 1 >$f/cgroup.freeze; fi";

#[test]
fn a_checkpoint_takes_nothing_of_others() {
    let Some(it) = Counter::start(&[]) else { return };
    let dir = Dir(it.dir("mine"));
    fs::create_dir(&dir.0).unwrap();
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o700)).unwrap();
    let disk = Path::new(&dir.0).join("disk1.img");
    fs::write(&disk, "a disk").unwrap();
    let args = ["checkpoint", &it.name, "-D", &dir.0];
    let refused = finish(it.with_criu("exit 1", &args));
    assert!(text(&refused.stderr).contains("or other images"), "{}", told(&refused));
    assert_eq!(fs::read(&disk).unwrap(), b"a disk");
    fs::remove_file(disk).unwrap();

    // Of two at once the second is refused, whatever its directory, and the first is not disturbed.
    let slow = format!(
        "{FIND}; {FREEZE}; : >$d/pages-1.img; until [ -e $d/go ]; do sleep 0.05; done; \
         : >$d/inventory.img; {}; exit 0",
        FREEZE.replace("FROZEN", "THAWED").replace("echo 1", "echo 0")
    );
    let mut first = it.with_criu(&slow, &args);
    let first = first.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("the first", || Path::new(&dir.0).join("pages-1.img").exists());
    for dir in [&dir.0, &it.dir("other")] {
        let second = finish(it.lxcpath.command(&["checkpoint", &it.name, "-D", dir]));
        assert!(text(&second.stderr).contains("another checkpoint"), "{}", told(&second));
    }
    fs::write(Path::new(&dir.0).join("go"), "").unwrap();
    let first = ended(first);
    assert!(first.status.success(), "{}", told(&first));
    assert!(Path::new(&dir.0).join("pages-1.img").exists());
    it.counts_on(it.count());
}

#[test]
fn what_runs_is_judged_and_not_what_its_file_says() {
    let Some(it) = Counter::start(&[]) else { return };
    it.lxcpath.ok(&["stop", "-k", &it.name]);
    it.lxcpath.ok(&["start", &it.name, "-s", "lxc.ephemeral=1"]);
    let dir = it.dir("never");
    let args = ["checkpoint", &it.name, "-s", "-D", &dir];
    let refused = finish(it.with_criu(": >$0.called; exit 1", &args));
    assert!(text(&refused.stderr).contains("lxc.ephemeral is set"), "{}", told(&refused));
    assert!(!it.lxcpath.path().join(".bin/criu.called").exists());
    assert_eq!(it.info("-s"), "RUNNING");
    it.lxcpath.ok(&["stop", "-k", &it.name]);

    let Some(it) = Counter::start(&[]) else { return };
    it.lxcpath.ok(&["stop", "-k", &it.name]);
    it.lxcpath.ok(&["start", &it.name, "-s", "lxc.tty.max=2"]);
    let refused = it.lxcpath.refused(&["checkpoint", &it.name, "-D", &dir], 1);
    assert!(refused.contains("lxc.tty.max is 2"), "{refused}");
}

/// Waits for a command that was prepared with pipes.
fn ended(mut child: Child) -> Output {
    wait_until("the end of the command", || child.try_wait().unwrap().is_some());
    child.wait_with_output().unwrap()
}

/// Returns whether a process has not ended; nobody may reap it.
fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

#[test]
fn a_command_that_is_killed_meanwhile_leaves_nothing_that_the_next_does_not_settle() {
    let Some(it) = Counter::start(&[]) else { return };
    let dir = Dir(it.dir("killed"));
    let hangs = format!("{FIND}; {FREEZE}; : >$d/pages-1.img; echo $$ >$d/pid; exec sleep 1000");
    let args = ["checkpoint", &it.name, "-D", &dir.0, "--timeout", "2"];
    let never = Dir(it.dir("never"));
    let mut child = it.with_criu(&hangs, &args).spawn().unwrap();
    let file = |name: &str| Path::new(&dir.0).join(name);
    let pid = || fs::read_to_string(file("pid")).ok()?.trim().parse::<i32>().ok();
    wait_until("the call of CRIU", || pid().is_some());
    let criu = Pid::from_raw(pid().unwrap());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lives(criu), "CRIU may come to its end by itself");
    // Its time is over, some day.
    wait_until("the container to run on", || {
        finish(it.with_criu("exit 1", &["checkpoint", &it.name, "-D", &never.0]));
        it.info("-s") == "RUNNING"
    });
    it.counts_on(it.count());
    wait_until("the end of CRIU", || !lives(criu));
    assert!(!file("pages-1.img").exists(), "nothing that could be taken for a checkpoint");
}

#[test]
fn a_restore_that_is_cancelled_leaves_nothing() {
    let Some(it) = Counter::start(&[]) else { return };
    it.lxcpath.ok(&["stop", "-k", &it.name]);
    let dir = Dir(it.dir("hanging"));
    fs::create_dir(&dir.0).unwrap();
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(Path::new(&dir.0).join("inventory.img"), "x").unwrap();
    let hangs = format!("{FIND}; echo $$ >$d/pid; exec sleep 1000");
    let pid = || fs::read_to_string(Path::new(&dir.0).join("pid")).ok()?.trim().parse::<i32>().ok();
    for how in [&["restore"][..], &["restore", "-F"]] {
        let args = [how, &[&it.name, "-D", &dir.0]].concat();
        let mut command = it.with_criu(&hangs, &args);
        let child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        wait_until("the call of CRIU", || pid().is_some());
        let criu = Pid::from_raw(pid().unwrap());
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
        let output = ended(child);
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(text(&output.stderr).contains("cancelled"), "{}", told(&output));
        assert!(!lives(criu), "CRIU has ended");
        assert_eq!(it.info("-s"), "STOPPED");
        fs::remove_file(Path::new(&dir.0).join("pid")).unwrap();
    }
    it.lxcpath.ok(&["start", &it.name]);
    it.counts_on(it.count());
}

#[test]
fn a_directory_that_others_can_write_is_not_used() {
    let Some(it) = Counter::start(&[]) else { return };
    let dir = Dir(it.dir("open"));
    fs::create_dir(&dir.0).unwrap();
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o777)).unwrap();
    fs::File::create(Path::new(&dir.0).join("inventory.img")).unwrap().write_all(b"x").unwrap();
    let check = |args: &[&str]| {
        let output = finish(it.with_criu(": >$0.called; exit 1", args));
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        assert!(
            text(&output.stderr).contains("can be written by others than root"),
            "{}",
            told(&output)
        );
        assert!(!it.lxcpath.path().join(".bin/criu.called").exists());
    };
    check(&["checkpoint", &it.name, "-D", &dir.0]);
    it.lxcpath.ok(&["stop", "-k", &it.name]);
    check(&["restore", &it.name, "-D", &dir.0]);
}

#[test]
fn a_restore_that_fails_leaves_nothing() {
    let Some(it) = Counter::start(&[]) else { return };
    it.lxcpath.ok(&["stop", "-k", &it.name]);
    let dir = Dir(it.dir("broken"));
    fs::create_dir(&dir.0).unwrap();
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(Path::new(&dir.0).join("inventory.img"), "x").unwrap();
    let fails =
        format!("{FIND}; echo '(00.1) Error (criu/x.c:7): no image magic' >$d/restore.log; exit 1");
    let output = finish(it.with_criu(&fails, &["restore", &it.name, "-D", &dir.0]));
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let said = text(&output.stderr);
    assert!(said.contains("cannot restore `") && said.contains("no image magic"), "{said}");
    assert_eq!(it.info("-s"), "STOPPED");
    let hangs = "exec sleep 1000";
    let output =
        finish(it.with_criu(hangs, &["restore", &it.name, "-D", &dir.0, "--timeout", "1"]));
    assert!(text(&output.stderr).contains("did not end within 1 s"), "{}", told(&output));
    assert_eq!(it.info("-s"), "STOPPED");
    // It starts as ever.
    it.lxcpath.ok(&["start", &it.name]);
    it.counts_on(it.count());
}
