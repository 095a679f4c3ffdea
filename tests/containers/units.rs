//! The units of `assets/systemd`, installed on an operator's host: a container as a service, and
//! what a shutdown of the machine does to other containers; and units that deny wharf what it
//! needs. Runs where `systemd` does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::host::{Machine, host, host_with_systemd};
use crate::support::{self, Lxcpath, leftovers, rootfs, text, told, wait_until};

/// The shipped units, under a name of this test's, for its wharf and its lxcpath. Removed from the
/// host on drop.
struct Units {
    name: String,
}

impl Units {
    const INSTALLED: &str = "/run/systemd/system";

    fn install(lxcpath: &Lxcpath) -> Self {
        let units = Self { name: lxcpath.name("unit") };
        let wharf = format!("{} -P {} ", env!("CARGO_BIN_EXE_wharf"), lxcpath.path().display());
        for (file, installed) in units.files() {
            let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/systemd").join(file);
            let mut text = fs::read_to_string(shipped).unwrap();
            for verb in ["start ", "ls ", "stop ", "autostart "] {
                text = text.replace(&format!("wharf {verb}"), &format!("{wharf}{verb}"));
            }
            text = text.replace("/var/lib/lxc/", &format!("{}/", lxcpath.path().display()));
            text = text.replace("wharf-shutdown.service", &units.shutdown());
            fs::write(installed, text).unwrap();
        }
        host("systemctl", &["daemon-reload"]);
        units
    }

    fn files(&self) -> [(&'static str, PathBuf); 3] {
        let installed = |name: &str| Path::new(Self::INSTALLED).join(name);
        let service = format!("{}@.service", self.name);
        [
            ("wharf@.service", installed(&service)),
            ("wharf-shutdown.service", installed(&self.shutdown())),
            ("wharf.service", installed(&self.all())),
        ]
    }

    fn of(&self, container: &str) -> String {
        format!("{}@{container}.service", self.name)
    }

    /// Leaves the groups below that of a container's unit to wharf, or does not say so.
    fn delegate(&self, container: &str, delegated: bool) {
        let dir = Path::new(Self::INSTALLED).join(format!("{}.d", self.of(container)));
        _ = fs::remove_dir_all(&dir);
        if delegated {
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("delegate.conf"), "[Service]\nDelegate=yes\n").unwrap();
        }
        host("systemctl", &["daemon-reload"]);
    }

    fn all(&self) -> String {
        format!("{}.service", self.name)
    }

    fn shutdown(&self) -> String {
        format!("{}-shutdown.service", self.name)
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        for (_, installed) in self.files() {
            _ = fs::remove_file(installed);
        }
        _ = Command::new("systemctl").arg("daemon-reload").status();
    }
}

/// Stops `unit`, which must take less than `seconds`, succeed and leave no process in its group.
fn stop(unit: &str, limit: Duration) {
    let begun = Instant::now();
    host("systemctl", &["stop", unit]);
    assert!(begun.elapsed() < limit, "{unit}: {:?}", begun.elapsed());
    let told = host("systemctl", &["show", "-p", "ActiveState,Result,ExecMainStatus", unit]);
    let mut lines: Vec<&str> = told.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["ActiveState=inactive", "ExecMainStatus=0", "Result=success"], "{unit}");
    assert!(leftovers::cgroups(unit).is_empty(), "{:?}", leftovers::cgroups(unit));
}

/// Less than the time that wharf waits for an init that receives the signal.
const SOON: Duration = Duration::from_secs(15);

#[test]
fn a_unit_starts_restarts_and_stops_its_container() {
    let Some(_turn) = host_with_systemd() else { return };
    let (lxcpath, files) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let units = Units::install(&lxcpath);
    // One that halts when it is asked to, and one that receives no signal.
    for (word, hears) in [("hears", "trap 'exit 0' PWR"), ("deaf", "trap '' PWR TERM INT HUP")] {
        let (name, up) = (lxcpath.name(word), files.path().join("up"));
        let init = files.path().join(word);
        let script =
            format!("#!/bin/sh\n{hears}\necho > {}\nwhile :; do sleep 0.1; done\n", up.display());
        rootfs::write_script(&script, &init);
        let init = format!("lxc.init.cmd={}", init.display());
        lxcpath.ok(&["create", &name, "-s", &init]);
        let unit = units.of(&name);
        let mut inits = Vec::new();
        for verb in ["start", "restart"] {
            host("systemctl", &[verb, &unit]);
            wait_until("init", || up.exists());
            fs::remove_file(&up).unwrap();
            inits.push(lxcpath.ok(&["info", "-p", "-H", &name]));
            let status = host("systemctl", &["status", &unit]);
            assert!(status.contains("active (running)"), "{status}");
        }
        assert_ne!(inits[0], inits[1]);
        stop(&unit, SOON);
        assert_eq!(lxcpath.state(&name), "STOPPED");
        assert!(leftovers::cgroups(&name).is_empty(), "{:?}", leftovers::cgroups(&name));
    }
}

#[test]
fn relative_groups_are_those_of_the_unit_and_go_with_it() {
    let Some(_turn) = host_with_systemd() else { return };
    let lxcpath = Lxcpath::new();
    let name = lxcpath.name("relative");
    let lines =
        ["lxc.cgroup.relative=1", "lxc.cgroup2.pids.max=77", "lxc.init.cmd=/bin/sleep 1000"];
    let settings: Vec<&str> = lines.iter().flat_map(|it| ["-s", it]).collect();
    lxcpath.ok(&[&["create", &name][..], &settings].concat());
    let units = Units::install(&lxcpath);
    let unit = units.of(&name);
    for delegated in [true, false] {
        units.delegate(&name, delegated);
        for verb in ["start", "restart"] {
            host("systemctl", &[verb, &unit]);
            wait_until("RUNNING", || lxcpath.state(&name) == "RUNNING");
            // systemd looks after the groups of its units then.
            host("systemctl", &["daemon-reload"]);
            let own = host("systemctl", &["show", "-P", "ControlGroup", &unit]);
            let group = format!("{}/lxc.payload.{name}", own.trim());
            let init = lxcpath.ok(&["info", "-p", "-H", &name]);
            let seen = fs::read_to_string(format!("/proc/{}/cgroup", init.trim())).unwrap();
            assert!(seen.lines().any(|it| it.ends_with(&group)), "{seen} is not in {group}");
            assert_eq!(lxcpath.ok(&["cgroup", &name, "pids.max"]).trim(), "77");
            lxcpath.ok(&["cgroup", &name, "pids.max", "78"]);
            lxcpath.ok(&["freeze", &name]);
            lxcpath.ok(&["unfreeze", &name]);
            lxcpath.ok(&["attach", &name, "--", "/bin/true"]);
        }
        stop(&unit, SOON);
        assert_eq!(lxcpath.state(&name), "STOPPED");
        assert!(leftovers::cgroups(&name).is_empty(), "{:?}", leftovers::cgroups(&name));
    }
}

#[test]
fn a_unit_halts_a_container_whose_init_is_systemd() {
    let Some(machine) = Machine::create() else { return };
    let root = machine.root.root();
    let service = "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sh -c 'echo > /told'\n";
    fs::write(root.join("etc/systemd/system/tells.service"), service).unwrap();
    let units = Units::install(&machine.lxcpath);
    let unit = units.of(&machine.name);
    host("systemctl", &["start", &unit]);
    machine.wait_until_up();
    let output = machine.attach("systemctl start tells");
    assert!(output.status.success(), "{}", told(&output));
    stop(&unit, support::PATIENCE);
    let info = machine.lxcpath.ok(&["info", &machine.name]);
    assert!(info.contains("halted"), "systemd was killed, not halted: {info}");
    assert!(root.join("told").exists(), "its service was not stopped, but killed");
    let left = leftovers::cgroups(&machine.name);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_shutdown_unit_stops_what_was_started_by_hand() {
    let Some(_turn) = host_with_systemd() else { return };
    let lxcpath = Lxcpath::new();
    let units = Units::install(&lxcpath);
    host("systemctl", &["start", &units.shutdown()]);
    let names = [lxcpath.start_sleeper("one"), lxcpath.start_sleeper("two")];
    stop(&units.shutdown(), SOON);
    for name in names {
        assert_eq!(lxcpath.state(&name), "STOPPED");
        let exit = lxcpath.ok(&["info", &name]);
        assert!(exit.contains("ended by stop"), "{exit}");
    }
}

#[test]
fn the_unit_of_all_starts_them_in_order_and_stops_them_in_the_reverse_one() {
    let Some(_turn) = host_with_systemd() else { return };
    let (lxcpath, files) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let units = Units::install(&lxcpath);
    let notes = files.path().join("notes");
    let mut names = Vec::new();
    for (word, order) in [("second", "2"), ("first", "1")] {
        let (name, init) = (lxcpath.name(word), files.path().join(word));
        let script = format!(
            "#!/bin/sh\ntrap 'echo {word} >> {}; exit 0' PWR\nwhile :; do sleep 0.1; done\n",
            notes.display()
        );
        rootfs::write_script(&script, &init);
        let init = format!("lxc.init.cmd={}", init.display());
        let order = format!("lxc.start.order={order}");
        lxcpath.ok(&["create", &name, "-s", &init, "-s", "lxc.start.auto=1", "-s", &order]);
        names.push(name);
    }
    // One that cannot start fails neither the others nor the unit.
    let bad = lxcpath.name("bad");
    lxcpath.ok(&["create", &bad, "-s", "lxc.start.auto=1", "-s", "lxc.init.cmd=/nosuch"]);
    host("systemctl", &["start", &units.all()]);
    let begun = |name: &str| {
        let pid = lxcpath.ok(&["info", "-p", "-H", name]);
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap();
        stat.rsplit(')').next().unwrap().split(' ').nth(20).unwrap().parse::<u64>().unwrap()
    };
    assert!(begun(&names[1]) <= begun(&names[0]), "the second was started first");
    // The supervisors are not in the unit's group, and a restart of systemd leaves them alone.
    assert!(leftovers::cgroups(&units.all()).is_empty());
    host("systemctl", &["daemon-reexec"]);
    let by_hand = lxcpath.start_sleeper("hand");
    host("systemctl", &["stop", &units.all()]);
    for name in names.iter().chain([&by_hand]) {
        assert_eq!(lxcpath.state(name), "STOPPED", "{name}");
    }
    assert_eq!(fs::read_to_string(notes).unwrap(), "second\nfirst\n");
}

/// Runs wharf in a unit with these properties.
fn restricted(lxcpath: &Lxcpath, properties: &[&str], args: &[&str]) -> std::process::Output {
    let wharf = lxcpath.command(args);
    let mut command = Command::new("systemd-run");
    command.args(["--quiet", "--wait", "--pipe", "--collect"]);
    command.args(properties.iter().flat_map(|it| ["-p", it]));
    command.arg(wharf.get_program()).args(wharf.get_args());
    support::finish(command)
}

#[test]
fn what_a_unit_takes_away_is_named() {
    const EPERM: &str = "SystemCallErrorNumber=EPERM";
    const NAMESPACES: &str = "RestrictNamespaces=yes";
    const NO_NAMESPACES: &str = "clone3 unshare setns (a unit's RestrictNamespaces= or";
    let Some(_turn) = host_with_systemd() else { return };
    let lxcpath = Lxcpath::new();
    let runs = lxcpath.start_sleeper("runs");
    let name = lxcpath.name("stopped");
    lxcpath.ok(&["create", &name]);
    let start = ["start", &name, "--", "/bin/sleep", "1000"];
    let execute = ["execute", &name, "--", "/bin/true"];
    let attach = ["attach", &runs, "--", "/bin/true"];
    for (properties, args, cause) in [
        (&["ProtectHostname=yes"][..], &start[..], "denies it sethostname (a unit's ProtectHos"),
        (&["ProtectHostname=yes"], &execute, "denies it sethostname (a unit's ProtectHostname="),
        (&["SystemCallFilter=~@mount"], &start, "kills it for mount umount2 pivot_root open_tree"),
        (&["SystemCallFilter=~@mount"], &execute, "kills it for mount umount2 pivot_root"),
        (&["SystemCallFilter=~@mount"], &attach, "kills it for mount umount2 pivot_root"),
        (&["SystemCallFilter=~@mount", EPERM], &start, "denies it mount umount2 pivot_root"),
        (&["SystemCallFilter=@system-service"], &start, "kills it for mount"),
        (&["SystemCallFilter=~@privileged"], &start, "sethostname bpf"),
        (&["SystemCallFilter=~sethostname"], &start, "kills it for sethostname"),
        (&["SystemCallFilter=~keyctl"], &start, "kills it for keyctl"),
        (&["SystemCallFilter=~bpf", EPERM], &start, "denies it bpf (a unit's SystemCallFilter="),
        (&["SystemCallFilter=~clone clone3", EPERM], &start, "denies it clone"),
        (&["SystemCallFilter=~setns"], &attach, "kills it for setns (a unit's Restr"),
        (&["SystemCallFilter=~setns", EPERM], &attach, "denies it setns (a unit's Restr"),
        (&[NAMESPACES], &start, NO_NAMESPACES),
        (&[NAMESPACES], &attach, NO_NAMESPACES),
        (&["RestrictAddressFamilies=AF_INET"], &start, "denies it socket(AF_UNIX) (a unit's Restr"),
        (&["RestrictSUIDSGID=yes"], &start, "denies it openat2 (a unit's RestrictSUIDSGID="),
        (&["PrivateUsers=yes"], &start, "it is in a user namespace (a unit's PrivateUsers="),
        (&["ProtectControlGroups=yes"], &start, "it can only read /sys/fs/cgroup (Prot"),
        (&["ProtectSystem=strict"], &start, "it can only read /run/wharf and /"),
        (&["ProtectSystem=strict"], &["create", "other"], "it can only read "),
        (&["CapabilityBoundingSet=CAP_SYS_ADMIN"], &start, "root lacks CAP_CHOWN CAP_DAC_OVERRIDE"),
    ] {
        let output = restricted(&lxcpath, properties, args);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{properties:?}: {}", told(&output));
        assert!(message.starts_with("wharf: cannot "), "{properties:?} {args:?}: {message}");
        assert!(message.contains(cause), "{properties:?} {args:?}: {message}");
        assert_eq!(message.trim_end().lines().count(), 1, "{properties:?} {args:?}: {message}");
        for noise in ["os error", "EPERM: ", "ENOSYS: "] {
            assert!(!message.contains(noise), "{properties:?} {args:?}: {message}");
        }
        println!("{properties:?} {args:?}: {message}");
    }
    assert_eq!(lxcpath.state(&name), "STOPPED");
    assert!(leftovers::cgroups(&name).is_empty(), "{:?}", leftovers::cgroups(&name));
    // Common settings of a unit. One that makes /sys read-only keeps a profile from being loaded.
    let setting = "lxc.apparmor.profile=unconfined";
    let unconfined = ["execute", &name, "-s", setting, "--", "/bin/true"];
    for property in [
        "NoNewPrivileges=yes",
        "ProtectKernelTunables=yes",
        "LockPersonality=yes",
        "PrivateDevices=yes",
    ] {
        let output = restricted(&lxcpath, &[property], &unconfined);
        assert!(output.status.success(), "{property}: {}", told(&output));
    }
}
