//! Confinement and containers as Debian's own LXC has them: its AppArmor profiles, its default
//! configuration, its bridge. Runs on a host with systemd and LXC, as in the layouts bookworm and
//! trixie of `tests/vm`; reports elsewhere that it is skipped.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::host::{MAPPED, Machine, host, host_with_systemd};
use crate::support::screen::Screen;
use crate::support::{Lxcpath, rootfs, wait_until};

#[test]
fn apparmor_confines_a_container_and_what_is_attached() {
    let Some(_turn) = host_with_systemd() else { return };
    let lxcpath = Lxcpath::new();
    let root = tempfile::tempdir().unwrap();
    if !rootfs::busybox(root.path()) {
        return;
    }
    let loaded = fs::read_to_string("/sys/kernel/security/apparmor/profiles").unwrap();
    assert!(loaded.contains("lxc-container-default-cgns "), "{loaded}");
    let name = lxcpath.name("confined");
    let config = lxcpath.path().join(&name).join("config");
    let plain = format!(
        "lxc.rootfs.path = dir:{}\nlxc.mount.auto = proc:mixed\n\
         lxc.init.cmd = /bin/sleep 1000\n",
        root.path().display()
    );
    fs::create_dir(config.parent().unwrap()).unwrap();
    let with = |profile: &str| {
        let line = format!("lxc.apparmor.profile = {profile}\n");
        fs::write(&config, plain.clone() + if profile.is_empty() { "" } else { &line }).unwrap();
    };
    let print = "cat /proc/1/attr/current /proc/self/attr/current";
    for (profile, label) in [
        ("", "lxc-container-default-cgns (enforce)\n"),
        ("unconfined", "unconfined\n"),
        ("lxc-container-default", "lxc-container-default (enforce)\n"),
    ] {
        with(profile);
        lxcpath.ok(&["start", &name]);
        let pid = lxcpath.ok(&["info", "-p", "-H", &name]);
        let init = fs::read_to_string(format!("/proc/{}/attr/current", pid.trim())).unwrap();
        assert_eq!(init, label, "{profile}");
        let attached = lxcpath.ok(&["attach", &name, "--", "sh", "-c", print]);
        assert_eq!(attached, label.repeat(2), "{profile}");
        lxcpath.ok(&["stop", "-k", &name]);
        // wharf's own init executes nothing.
        let executed = lxcpath.ok(&["execute", &name, "--", "sh", "-c", print]);
        assert_eq!(executed, label.repeat(2), "{profile}");
    }
    with("wharf-nosuch");
    let refused = lxcpath.refused(&["start", &name], 1);
    assert!(refused.contains("no such profile is loaded"), "{refused}");
    assert!(refused.contains("line 4 of"), "{refused}");
}

/// Returns the supervisor of a container, whose init is `init`.
fn supervisor_of(init: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", init.trim())).unwrap();
    status.lines().find_map(|it| it.strip_prefix("PPid:")).unwrap().trim().to_owned()
}

#[test]
fn a_confined_container_ends_with_its_supervisor() {
    let Some(_turn) = host_with_systemd() else { return };
    let lxcpath = Lxcpath::new();
    let root = tempfile::tempdir().unwrap();
    if !rootfs::busybox(root.path()) {
        return;
    }
    fs::write(root.path().join("secret"), "").unwrap();
    for (number, (profile, more)) in [
        ("unconfined", ""),
        ("lxc-container-default-cgns", ""),
        ("generated", "lxc.init.uid = 7\nlxc.init.gid = 7\n"),
        (
            "generated",
            "lxc.apparmor.raw = deny /secret r,\nlxc.hook.start = /bin/sh -c '! cat /secret'\n",
        ),
        ("generated", "lxc.no_new_privs = 1\nlxc.apparmor.allow_nesting = 1\n"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = &lxcpath.name(&format!("tied{number}"));
        let home = lxcpath.path().join(name);
        fs::create_dir(&home).unwrap();
        let config = format!(
            "lxc.rootfs.path = dir:{}\nlxc.mount.auto = proc:mixed\nlxc.apparmor.profile = \
             {profile}\nlxc.init.cmd = /bin/sleep 1000\n{more}",
            root.path().display()
        );
        fs::write(home.join("config"), config).unwrap();
        lxcpath.ok(&["start", name]);
        let init = lxcpath.ok(&["info", "-p", "-H", name]);
        let process = format!("/proc/{}", init.trim());
        let label = fs::read_to_string(format!("{process}/attr/current")).unwrap();
        let own = format!("lxc-{name}_<");
        assert!(label.starts_with(if profile == "generated" { &own } else { profile }), "{label}");
        host("kill", &["-9", &supervisor_of(&init)]);
        wait_until("the end of init", || !Path::new(&process).exists());
        wait_until("its state", || lxcpath.state(name) == "STOPPED");
        lxcpath.ok(&["start", name]);
        lxcpath.ok(&["stop", "-k", name]);
        assert!(!has_profile(name));
    }
}

/// Where the kernel shows the profiles that are loaded.
const PROFILES: &str = "/sys/kernel/security/apparmor";

/// Returns whether a profile or a namespace of the container is loaded.
fn has_profile(name: &str) -> bool {
    let profiles = fs::read_to_string(Path::new(PROFILES).join("profiles")).unwrap();
    let own = format!("lxc-{name}_<");
    profiles.contains(&own) || namespaces().iter().any(|it| it.contains(&own))
}

fn namespaces() -> BTreeSet<String> {
    let namespaces = fs::read_dir(Path::new(PROFILES).join("policy/namespaces")).unwrap();
    namespaces.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_container_has_an_apparmor_profile_made_for_it_alone() {
    let Some(_turn) = host_with_systemd() else { return };
    let lxcpath = Lxcpath::new();
    let root = tempfile::tempdir().unwrap();
    if !rootfs::busybox(root.path()) {
        return;
    }
    // Debian's default.conf has a profile generated, with nesting.
    let name = &lxcpath.name("own");
    lxcpath.ok(&["create", name, "--dir", root.path().to_str().unwrap()]);
    let path = lxcpath.path().to_str().unwrap();
    let full = format!("lxc-{name}_<{path}>");
    let before = namespaces();
    let init = || {
        let pid = lxcpath.ok(&["info", "-p", "-H", name]);
        fs::read_to_string(format!("/proc/{}/attr/current", pid.trim())).unwrap()
    };
    fs::create_dir_all(root.path().join("mnt")).unwrap();
    let start = |settings: &[&str]| {
        let mut args = vec!["start", name];
        // Nothing else is in the way of what the profile decides.
        let open =
            ["lxc.cap.drop=", "lxc.mount.entry=", "lxc.mount.auto=proc:rw", "lxc.seccomp.profile="];
        args.extend(open.iter().chain(settings).flat_map(|it| ["-s", *it]));
        args.extend(["--", "/bin/sleep", "1000"]);
        lxcpath.ok(&args);
        let label = init();
        let namespace = label
            .strip_prefix(&format!("{full}//&:"))
            .and_then(|it| it.strip_suffix(":unconfined (enforce)\n"));
        assert!(namespace.is_some_and(|it| namespaces().contains(it)), "{label}");
    };
    let may =
        |script: &str| lxcpath.wharf(&["attach", name, "--", "sh", "-c", script]).status.success();
    let change = "cd /proc/sys/vm; old=$(cat swappiness) && echo $old > swappiness";
    start(&[]);
    // AppArmor 4 denies user namespaces where no rule allows them.
    let makes = "unshare -U true && mount -t proc proc /mnt && umount /mnt";
    assert!(may(makes), "it may mount and have users of its own, as LXC's may");
    assert!(may(change) && !may("echo > /proc/sysrq-trigger"));
    lxcpath.ok(&["stop", "-k", name]);
    assert!(!has_profile(name));
    assert_eq!(namespaces(), before);
    // What its own lines say counts; without nesting, so do LXC's rules for mounts.
    let raw = "lxc.apparmor.raw=deny /secret r,";
    start(&["lxc.apparmor.allow_nesting=0", raw]);
    fs::write(root.path().join("secret"), "").unwrap();
    assert!(!may("cat /secret") && may("cat /etc/passwd"));
    assert!(!may("mount -t proc proc /mnt") && may(&makes.replace("proc", "tmpfs")));
    assert!(!may(change) && may("echo x > /proc/sys/kernel/hostname"));
    // The next command unloads it after a kill.
    let init = lxcpath.ok(&["info", "-p", "-H", name]);
    host("kill", &["-9", &supervisor_of(&init)]);
    assert!(has_profile(name));
    wait_until("the container's end", || lxcpath.state(name) == "STOPPED");
    lxcpath.ok(&["destroy", name]);
    assert!(!has_profile(name));
    assert_eq!(namespaces(), before);
    // A line that means nothing fails the start, and nothing is left.
    lxcpath.ok(&["create", name, "--dir", root.path().to_str().unwrap()]);
    let bogus = ["start", name, "-s", "lxc.apparmor.raw=bogus", "--", "/bin/sleep", "1000"];
    let refused = lxcpath.refused(&bogus, 1);
    assert!(refused.contains("load the AppArmor profile lxc-"), "{refused}");
    assert!(!has_profile(name));
    assert_eq!(namespaces(), before);
}

/// LXC's bridge and who gives addresses on it; what this has made itself is removed at the end.
struct Bridge {
    made: bool,
    server: Option<Child>,
    _files: tempfile::TempDir,
}

impl Bridge {
    fn of_lxc() -> Self {
        let files = tempfile::tempdir().unwrap();
        if Path::new("/sys/class/net/lxcbr0").exists() {
            return Self { made: false, server: None, _files: files };
        }
        host("ip", &["link", "add", "lxcbr0", "type", "bridge"]);
        host("ip", &["address", "add", "10.0.3.1/24", "dev", "lxcbr0"]);
        host("ip", &["link", "set", "lxcbr0", "up"]);
        let [config, leases, pid] = ["config", "leases", "pid"].map(|it| files.path().join(it));
        fs::write(&leases, "").unwrap();
        let lines = format!(
            "start 10.0.3.20\nend 10.0.3.90\ninterface lxcbr0\noption subnet 255.255.255.0\n\
             option lease 600\nlease_file {}\npidfile {}\n",
            leases.display(),
            pid.display()
        );
        fs::write(&config, lines).unwrap();
        let mut server = Command::new("busybox");
        server.args(["udhcpd", "-f"]).arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        Self { made: true, server: Some(server.spawn().unwrap()), _files: files }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            _ = server.kill();
            _ = server.wait();
        }
        if self.made {
            _ = Command::new("ip").args(["link", "delete", "lxcbr0"]).status();
        }
    }
}

/// Root logs in without a password, and systemd asks for an address. Each file has its owner inside.
fn log_in_and_ask_for_an_address(root: &Path) {
    let owner = fs::metadata(root).unwrap().uid();
    let write = |file: &str, text: &str| {
        fs::write(root.join(file), text).unwrap();
        std::os::unix::fs::chown(root.join(file), Some(owner), Some(owner)).unwrap();
    };
    let shadow = fs::read_to_string(root.join("etc/shadow")).unwrap();
    let rest = shadow.split_once('\n').unwrap().1;
    write("etc/shadow", &format!("root::19000:0:99999:7:::\n{rest}"));
    fs::create_dir_all(root.join("etc/systemd/network")).unwrap();
    let lines = "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n";
    write("etc/systemd/network/eth0.network", lines);
    let wanted = root.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wanted).unwrap();
    let unit = "/usr/lib/systemd/system/systemd-networkd.service";
    std::os::unix::fs::symlink(unit, wanted.join("systemd-networkd.service")).unwrap();
}

#[test]
fn a_container_that_lxc_created_lives_under_wharf() {
    let Some(machine) = Machine::of_lxc() else { return };
    lives(&machine, "0 0 4294967295");
}

#[test]
fn an_unprivileged_container_that_lxc_created_lives_under_wharf() {
    let Some(machine) = Machine::of_lxc_with_map() else { return };
    lives(&machine, &format!("0 {MAPPED} 65536"));
}

/// Boots it, logs in, and reboots from inside; `map` is that of its users.
fn lives(machine: &Machine, map: &str) {
    let _bridge = Bridge::of_lxc();
    let (lxcpath, name, root) = (&machine.lxcpath, machine.name.as_str(), machine.root.root());
    let config = fs::read_to_string(lxcpath.path().join(name).join("config")).unwrap();
    assert!(config.contains("type = veth") && config.contains("profile = generated"), "{config}");
    log_in_and_ask_for_an_address(&root);

    machine.boot();
    let of_init =
        |file: &str| fs::read_to_string(format!("/proc/{}/{file}", machine.init().trim())).unwrap();
    let label = of_init("attr/current");
    assert!(label.starts_with(&format!("lxc-{name}_<")), "{label:?}");
    assert!(of_init("status").contains("Seccomp:\t2\n"), "{}", of_init("status"));
    assert_eq!(of_init("uid_map").split_whitespace().collect::<Vec<_>>().join(" "), map);
    let has_address = || lxcpath.ok(&["info", name]).contains("IP:             10.0.3.");
    wait_until("its address", has_address);

    let console = lxcpath.command(&["console", name, "-t", "0"]);
    let mut console = Screen::spawn(console, 100, 30);
    console.keys_until("\r", "login:");
    console.keys("root\r");
    console.wait_for("root@");
    console.keys("stty sane; echo $((6 * 7)) on $(tty)\r");
    console.wait_for("42 on /dev/console");
    console.keys("exit\r");
    console.keys("\x01q");
    assert!(console.exit().success());

    let before = machine.init();
    machine.attach("systemctl reboot");
    let running = || lxcpath.state(name) == "RUNNING";
    wait_until("another init", || running() && machine.init() != before);
    machine.wait_until_up();
    wait_until("its address again", has_address);
    lxcpath.ok(&["stop", "-t", "50", name]);
    let info = lxcpath.ok(&["info", name]);
    assert!(info.contains("halted"), "systemd was killed, not halted: {info}");
    assert!(!has_profile(name));
    // LXC's own command still accepts it.
    host("lxc-info", &["-P", lxcpath.path().to_str().unwrap(), "-n", name]);
}
