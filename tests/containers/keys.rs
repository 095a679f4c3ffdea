//! Configuration keys other than mounts, on real containers.

use std::fs;

use crate::support::{self, Lxcpath, can_run_containers, rootfs, text, told};

/// Appends lines to the configuration of a container.
fn configure(lxcpath: &Lxcpath, name: &str, lines: &str) {
    let file = lxcpath.path().join(name).join("config");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{before}{lines}\n")).unwrap();
}

#[test]
fn the_terminals_lie_where_the_configuration_says() {
    let lxcpath = Lxcpath::new();
    let root = tempfile::tempdir().unwrap();
    if !can_run_containers() || !rootfs::busybox(root.path()) {
        return;
    }
    let name = lxcpath.name("ttys");
    lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
    configure(&lxcpath, &name, "lxc.tty.dir = lxc\nlxc.tty.max = 1");
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    // Some programs do not follow a link when they open the console.
    let look = "readlink /dev/console; readlink /dev/tty1; test -c /dev/lxc/console && \
        test -c /dev/lxc/tty1 && stat -c %t:%T:%i /dev/console /dev/lxc/console";
    let said = lxcpath.ok(&["attach", &name, "--", "/bin/sh", "-c", look]);
    let [tty, console, other] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert_eq!(tty, "lxc/tty1");
    assert_eq!(console, other);
}

/// The lines of a mount table for what is mounted on `target`: type, source and options.
fn mounted<'a>(table: &'a str, target: &str) -> Vec<&'a str> {
    let mine = table.lines().filter(|it| it.split(' ').nth(4) == Some(target));
    mine.filter_map(|it| it.split_once(" - ")).map(|(_, it)| it).collect()
}

#[test]
fn file_systems_have_the_names_and_sizes_that_lxc_gives_them() {
    let lxcpath = Lxcpath::new();
    let root = tempfile::tempdir().unwrap();
    if !can_run_containers() || !rootfs::busybox(root.path()) {
        return;
    }
    let name = lxcpath.name("named");
    lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
    configure(&lxcpath, &name, "lxc.autodev.tmpfs.size = 65536\nlxc.mount.auto = proc:rw sys:rw");
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let table = lxcpath.ok(&["attach", &name, "--", "/bin/cat", "/proc/self/mountinfo"]);
    for (target, start) in [
        ("/dev", "tmpfs none rw,size=64k,"),
        ("/dev/pts", "devpts devpts rw,"),
        ("/dev/shm", "tmpfs tmpfs rw,size=65536k"),
        ("/dev/mqueue", "mqueue mqueue rw"),
        ("/proc", "proc proc rw"),
        ("/sys", "sysfs sysfs rw"),
    ] {
        // A configured mount does not cover a hidden one.
        let all = mounted(&table, target);
        assert!(matches!(all[..], [it] if it.starts_with(start)), "{target}: {all:?}");
    }
}

#[test]
fn a_container_whose_configuration_does_not_mention_them_has_its_own_shm_and_queues() {
    let lxcpath = Lxcpath::new();
    let root = tempfile::tempdir().unwrap();
    if !can_run_containers() || !rootfs::busybox(root.path()) {
        return;
    }
    let name = lxcpath.name("bare");
    fs::create_dir(lxcpath.path().join(&name)).unwrap();
    let config =
        format!("lxc.rootfs.path = dir:{}\nlxc.mount.auto = proc\n", root.path().display());
    fs::write(lxcpath.path().join(&name).join("config"), config).unwrap();
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let table = lxcpath.ok(&["attach", &name, "--", "/bin/cat", "/proc/self/mountinfo"]);
    for (target, start) in
        [("/dev/shm", "tmpfs tmpfs rw,size=65536k"), ("/dev/mqueue", "mqueue mqueue rw")]
    {
        let all = mounted(&table, target);
        assert!(matches!(all[..], [it] if it.starts_with(start)), "{target}: {all:?}");
    }
}

#[test]
fn every_run_has_a_boot_id_of_its_own() {
    const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
    let lxcpath = Lxcpath::new();
    if !can_run_containers() {
        return;
    }
    let name = lxcpath.name("booted");
    lxcpath.ok(&["create", &name]);
    let mut seen = vec![fs::read_to_string(BOOT_ID).unwrap()];
    for _ in 0..2 {
        lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
        let read = || lxcpath.ok(&["attach", &name, "--", "/bin/cat", BOOT_ID]);
        let id = read();
        assert_eq!(id, read(), "it stays the same for the run");
        assert!(!seen.contains(&id), "{id}");
        assert_eq!(id.len(), 37, "{id}");
        let script = format!("echo x 2>/dev/null > {BOOT_ID} && echo written");
        let write = lxcpath.wharf(&["attach", &name, "--", "/bin/sh", "-c", &script]);
        assert_eq!(text(&write.stdout), "");
        seen.push(id);
        lxcpath.ok(&["stop", "-k", &name]);
    }
}

#[test]
fn a_hook_runs_before_a_container_is_destroyed() {
    let lxcpath = Lxcpath::new();
    if !can_run_containers() {
        return;
    }
    let name = lxcpath.name("hook");
    let seen = lxcpath.path().join("seen");
    lxcpath.ok(&["create", &name]);
    configure(&lxcpath, &name, "lxc.hook.destroy = /bin/sh -c 'echo no >&2; exit 3'");
    let said = lxcpath.refused(&["destroy", &name], 1);
    assert!(said.contains("lxc.hook.destroy") && said.contains("no"), "{said}");
    assert_eq!(lxcpath.state(&name), "STOPPED");
    let hook = format!("/bin/sh -c 'echo $0 $1 $2 $LXC_NAME > {}'", seen.display());
    configure(&lxcpath, &name, &format!("lxc.hook.destroy =\nlxc.hook.destroy = {hook}"));
    lxcpath.ok(&["destroy", &name]);
    let told = fs::read_to_string(seen).unwrap();
    assert_eq!(told.trim(), format!("{name} lxc destroy {name}"));
}

#[test]
fn execute_without_a_command_runs_the_configured_one() {
    let lxcpath = Lxcpath::new();
    if !can_run_containers() {
        return;
    }
    let name = lxcpath.name("execute");
    // If it is set, `create` adds no command of its own.
    lxcpath.ok(&["create", &name, "-s", "lxc.init.cmd=/bin/sh"]);
    let said = lxcpath.refused(&["execute", &name], 1);
    assert!(said.contains("lxc.execute.cmd"), "{said}");
    configure(&lxcpath, &name, "lxc.execute.cmd = /bin/sh -c 'echo here; exit 4'");
    let output = lxcpath.wharf(&["execute", &name]);
    assert_eq!(output.status.code(), Some(4), "{}", told(&output));
    assert_eq!(text(&output.stdout).trim(), "here");
}

#[test]
fn unsupported_keys_are_refused() {
    let lxcpath = Lxcpath::new();
    if !can_run_containers() {
        return;
    }
    let name = lxcpath.name("log");
    lxcpath.ok(&["create", &name]);
    configure(&lxcpath, &name, "lxc.rootfs.path = nbd:/a");
    let said = lxcpath.refused(&["start", &name], 1);
    assert!(said.contains("lxc.rootfs.path nbd:/a"), "{said}");
}

#[test]
fn what_a_hook_mounts_can_be_the_supervisors_alone() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (dir, path) = (dir.path(), dir.path().to_str().unwrap());
    fs::write(dir.join("below"), "").unwrap();
    let lines = format!(
        "lxc.monitor.unshare = 1\nlxc.mount.entry = {path} mnt none bind,create=dir 0 0\n\
         lxc.hook.pre-start = /bin/sh -c 'mount -t tmpfs none {path} && : > {path}/above'"
    );
    let Some(name) = start_with(&lxcpath, root.path(), &lines) else { return };
    assert_eq!(lxcpath.ok(&["attach", &name, "--", "/bin/ls", "/mnt"]).trim(), "above");
    let seen = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!seen().contains(path) && dir.join("below").exists(), "{}", seen());
    lxcpath.ok(&["stop", "-k", &name]);
    assert!(!seen().contains(path) && !dir.join("above").exists(), "{}", seen());
}

/// Starts a container of busybox's with these lines; none if that is not possible here.
fn start_with(lxcpath: &Lxcpath, root: &std::path::Path, lines: &str) -> Option<String> {
    if !can_run_containers() || !rootfs::busybox(root) {
        return None;
    }
    let name = lxcpath.name("keys");
    lxcpath.ok(&["create", &name, "--dir", root.to_str().unwrap()]);
    configure(lxcpath, &name, lines);
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    Some(name)
}

#[test]
fn limits_hold_for_init_and_for_what_is_attached() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let lines = "lxc.prlimit.nofile = 100:200\nlxc.prlimit.core = 7\nlxc.prlimit.sigpending = 50";
    let Some(name) = start_with(&lxcpath, root.path(), lines) else { return };
    let words = |text: &str, start: &str| {
        let line = text.lines().find(|it| it.starts_with(start)).unwrap().to_owned();
        line.split_whitespace().rev().skip(1).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    for process in ["1", "self"] {
        let path = format!("/proc/{process}/limits");
        let text = lxcpath.ok(&["attach", &name, "--", "/bin/cat", &path]);
        assert_eq!(words(&text, "Max open files"), ["200", "100"], "{text}");
        assert_eq!(words(&text, "Max core file size"), ["7", "7"], "{text}");
        assert_eq!(words(&text, "Max pending signals"), ["50", "50"], "{text}");
    }
}

#[test]
fn settings_of_the_kernel_are_the_containers_own() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let own = "/proc/sys/net/ipv4/ip_default_ttl";
    let before = fs::read_to_string(own).unwrap();
    let lines = "lxc.mount.auto = proc\nlxc.sysctl.net.ipv4.ip_default_ttl = 77\n\
                 lxc.sysctl.kernel.shmmni = 99\nlxc.proc.oom_score_adj = 555\n\
                 lxc.init.groups = 7,8\nlxc.init.groups = 9";
    let Some(name) = start_with(&lxcpath, root.path(), lines) else { return };
    let read = |path: &str| lxcpath.ok(&["attach", &name, "--", "/bin/cat", path]);
    assert_eq!(read(own).trim(), "77");
    assert_eq!(read("/proc/sys/kernel/shmmni").trim(), "99");
    assert_eq!(read("/proc/1/oom_score_adj").trim(), "555");
    let groups = read("/proc/1/status");
    assert!(groups.lines().any(|it| it.trim_end() == "Groups:\t7 8 9"), "{groups}");
    assert_eq!(fs::read_to_string(own).unwrap(), before, "the host's changed");
}

#[test]
fn a_setting_that_the_kernel_refuses_is_named_with_its_line() {
    let lxcpath = Lxcpath::new();
    if !can_run_containers() {
        return;
    }
    for (line, said) in [
        ("lxc.sysctl.net.ipv4.nosuch = 1", "lxc.sysctl.net.ipv4.nosuch = 1: No such file"),
        ("lxc.proc.nosuch = 1", "lxc.proc.nosuch = 1: "),
        ("lxc.prlimit.nosuch = 1", "lxc.prlimit.nosuch 1: expected a limit among"),
    ] {
        let name = lxcpath.name("refused");
        lxcpath.ok(&["create", &name]);
        configure(&lxcpath, &name, line);
        let message = lxcpath.refused(&["start", &name, "--", "/bin/sleep", "1000"], 1);
        assert!(message.contains(said) && message.contains("/config)"), "{message}");
        lxcpath.ok(&["destroy", &name]);
    }
}

#[test]
fn a_32_bit_container_sees_a_32_bit_machine() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(name) = start_with(&lxcpath, root.path(), "lxc.arch = i686") else { return };
    let machine = lxcpath.ok(&["attach", &name, "--", "/bin/busybox", "uname", "-m"]);
    let expected = if cfg!(target_arch = "x86_64") { "i686" } else { "armv8l" };
    assert_eq!(machine.trim(), expected);
}

#[test]
fn a_containers_clocks_can_be_ahead() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    if !std::path::Path::new("/proc/self/ns/time").exists() {
        println!("skipped: no time namespaces");
        return;
    }
    let lines = "lxc.mount.auto = proc\nlxc.time.offset.boot = 1000h";
    let Some(name) = start_with(&lxcpath, root.path(), lines) else { return };
    let uptime = lxcpath.ok(&["attach", &name, "--", "/bin/cat", "/proc/uptime"]);
    let seconds: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
    let own = fs::read_to_string("/proc/uptime").unwrap();
    let own: f64 = own.split(' ').next().unwrap().parse().unwrap();
    assert!((seconds - own - 3_600_000.0).abs() < 100.0, "{seconds} and {own}");
}

#[test]
fn a_root_can_be_read_only() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let lines = "lxc.rootfs.options = ro,noatime";
    let Some(name) = start_with(&lxcpath, root.path(), lines) else { return };
    let write = lxcpath.wharf(&["attach", &name, "--", "/bin/sh", "-c", ": > /new"]);
    assert!(
        !write.status.success() && text(&write.stderr).contains("Read-only"),
        "{}",
        told(&write)
    );
    assert!(!root.path().join("new").exists());
    // Its own /dev is not part of it.
    lxcpath.ok(&["attach", &name, "--", "/bin/sh", "-c", ": > /dev/shm/new"]);
}

#[test]
fn a_root_can_bring_its_own_dev() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    if !can_run_containers() || !rootfs::busybox(root.path()) {
        return;
    }
    let dev = root.path().join("dev");
    make_node(&dev.join("null"), 1, 3);
    make_node(&dev.join("ptmx"), 5, 2);
    fs::write(dev.join("mark"), "").unwrap();
    let name = lxcpath.name("owndev");
    lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
    configure(&lxcpath, &name, "lxc.autodev = 0\nlxc.tty.max = 1");
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let look = "echo x > /dev/null && test -e /dev/mark && test -L /dev/stdin && test ! -e /dev/zero && \
                test -c /dev/console && test -c /dev/tty1 && exec 3<> /dev/ptmx && ls /dev/pts";
    let said = lxcpath.ok(&["attach", &name, "--", "/bin/sh", "-c", look]);
    // The console, the tty, and the pty that was just opened.
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2", "ptmx"]);
    lxcpath.ok(&["stop", "-k", &name]);
    let left: Vec<_> = fs::read_dir(dev.join("pts")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_root_without_any_device_starts_too() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    if !can_run_containers() || !rootfs::busybox(root.path()) {
        return;
    }
    // As Waydroid's, whose init fills /dev.
    let name = lxcpath.name("nodev");
    lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
    configure(&lxcpath, &name, "lxc.autodev = 0\nlxc.console.path = none\nlxc.tty.max = 0");
    let init = "read -r line; echo \"read $?\" > /tmp/told; exec sleep 1000";
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", init]);
    let told = || fs::read_to_string(root.path().join("tmp/told")).unwrap_or_default();
    support::wait_until("the end of its input", || told() == "read 1\n");
    lxcpath.ok(&["stop", "-k", &name]);
}

fn make_node(path: &std::path::Path, major: u64, minor: u64) {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    mknod(path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(major, minor)).unwrap();
}

#[test]
fn a_link_in_the_roots_own_dev_leads_nowhere() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let outside = tempfile::tempdir().unwrap();
    if !can_run_containers() || !rootfs::busybox(root.path()) {
        return;
    }
    let dev = root.path().join("dev");
    fs::create_dir(dev.join("pts")).unwrap();
    for (at, place) in ["dev/console", "dev/tty1", "dev/pts", "dev"].into_iter().enumerate() {
        let place = root.path().join(place);
        _ = fs::remove_file(&place).or_else(|_| fs::remove_dir_all(&place));
        std::os::unix::fs::symlink(outside.path(), &place).unwrap();
        let name = lxcpath.name(&format!("link{at}"));
        lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
        configure(&lxcpath, &name, "lxc.autodev = 0\nlxc.tty.max = 1");
        lxcpath.refused(&["start", &name, "--", "/bin/sleep", "1000"], 1);
        assert!(fs::read_dir(outside.path()).unwrap().next().is_none());
        fs::remove_file(&place).unwrap();
    }
}

#[test]
fn a_container_on_the_hosts_root_can_use_the_hosts_dev() {
    let lxcpath = Lxcpath::new();
    if !can_run_containers() {
        return;
    }
    // The kernel makes loop devices when another test asks for them, and the configuration has the
    // place for message queues made, which a host without an init may lack.
    let names = || -> std::collections::BTreeSet<_> {
        let all = fs::read_dir("/dev").unwrap().map(|it| it.unwrap().file_name());
        all.filter(|it| !it.to_string_lossy().starts_with("loop") && it != "mqueue").collect()
    };
    let before = names();
    let name = lxcpath.name("hostdev");
    lxcpath.ok(&["create", &name]);
    configure(&lxcpath, &name, "lxc.autodev = 0");
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let look = "echo x > /dev/null && exec 3<> /dev/ptmx && ls /dev/pts";
    let said = lxcpath.ok(&["attach", &name, "--", "/bin/sh", "-c", look]);
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["0", "1", "ptmx"]);
    lxcpath.ok(&["stop", "-k", &name]);
    assert_eq!(names(), before);
}
