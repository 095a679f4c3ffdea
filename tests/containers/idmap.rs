//! User namespaces: `lxc.idmap` on real containers.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::Path;
use std::process::Command;

use crate::support::mapped::{self, ROOT, field, inside, shift, sleep};
use crate::support::{self, Lxcpath, can_run_containers, rootfs, wait_until};

fn create(lxcpath: &Lxcpath, root: &Path, lines: &str) -> Option<String> {
    mapped::create(lxcpath, "users", root, lines)
}

#[test]
fn root_inside_is_nobody_outside() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let lines = "lxc.tty.max = 1\nlxc.mount.auto = proc:rw\nlxc.sysctl.net.ipv4.ip_forward = 1\n\
                 lxc.proc.oom_score_adj = 7\nlxc.prlimit.nofile = 100:200";
    let Some(name) = create(&lxcpath, root.path(), lines) else { return };
    shift(root.path());
    let init = sleep(&lxcpath, &name);
    assert_eq!(field(&init, "Uid:"), "100000\t100000\t100000\t100000");
    assert_eq!(field(&init, "Groups:"), "");
    let map = fs::read_to_string(format!("/proc/{init}/uid_map")).unwrap();
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "100000", "65536"]);
    let ours = fs::read_link("/proc/self/ns/user").unwrap();
    assert_ne!(fs::read_link(format!("/proc/{init}/ns/user")).unwrap(), ours);
    assert_eq!(fs::read_to_string(format!("/proc/{init}/oom_score_adj")).unwrap(), "7\n");
    let seen = inside(
        &lxcpath,
        &name,
        "id -u; id -g; ulimit -Sn; ulimit -Hn; cat /proc/sys/net/ipv4/ip_forward; \
         echo x > /made && echo y > /dev/null && ls -ln /dev/console /dev/tty1 /dev/null",
    );
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[..5], ["0", "0", "100", "200", "1"], "{seen}");
    let owners: Vec<&str> =
        lines[5..].iter().map(|it| it.split_whitespace().nth(2).unwrap()).collect();
    assert_eq!(owners, ["0", "65534", "0"], "{seen}");
    let made = fs::metadata(root.path().join("made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (ROOT, ROOT));
    // What root inside owns are its own namespaces, not the host.
    let refused = inside(
        &lxcpath,
        &name,
        "hostname changed && hostname; echo 1 2>/dev/null > /proc/sys/kernel/panic || echo kept",
    );
    assert!(refused.ends_with("kept\n"), "{refused}");
    lxcpath.ok(&["freeze", &name]);
    lxcpath.ok(&["unfreeze", &name]);
    lxcpath.ok(&["stop", "-k", &name]);
    lxcpath.ok(&["destroy", &name]);
}

#[test]
fn the_files_of_its_network_are_its_roots() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let lines = "lxc.cap.drop =\nlxc.mount.auto = sys:mixed";
    let Some(name) = create(&lxcpath, root.path(), lines) else { return };
    shift(root.path());
    sleep(&lxcpath, &name);
    let seen = inside(
        &lxcpath,
        &name,
        "ls -ln /sys/devices/virtual/net/lo/mtu; echo 1400 > /sys/devices/virtual/net/lo/mtu; \
         cat /sys/class/net/lo/mtu",
    );
    let owner = seen.split_whitespace().nth(2);
    assert_eq!(owner, Some("0"), "{seen}");
    assert!(seen.ends_with("1400\n"), "{seen}");
}

#[test]
fn the_hosts_sysfs_is_shown_where_the_network_is_the_hosts() {
    let lxcpath = Lxcpath::new();
    if !can_run_containers() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let lines = "lxc.net =\nlxc.net.0.type = none\nlxc.mount.auto = sys:mixed";
    let Some(name) = create(&lxcpath, root.path(), lines) else { return };
    shift(root.path());
    sleep(&lxcpath, &name);
    let seen = inside(&lxcpath, &name, "ls /sys/class/net; mkdir /sys/x 2>/dev/null || echo kept");
    let host = fs::read_dir("/sys/class/net").unwrap().flatten();
    for name in host.map(|it| it.file_name().into_string().unwrap()) {
        assert!(seen.lines().any(|it| it == name), "{name} is not in {seen}");
    }
    assert!(seen.ends_with("kept\n"), "{seen}");
}

#[test]
fn its_groups_are_those_of_its_root() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(name) = create(&lxcpath, root.path(), "") else { return };
    shift(root.path());
    sleep(&lxcpath, &name);
    let groups = support::leftovers::cgroups(&format!("lxc.payload.{name}"));
    assert!(!groups.is_empty());
    for group in groups {
        let owner = |path: &Path| fs::metadata(path).unwrap().uid();
        assert_eq!(owner(&group), ROOT, "{}", group.display());
        assert_eq!(owner(&group.join("cgroup.procs")), ROOT, "{}", group.display());
        for limit in ["pids.max", "devices.allow", "memory.max", "memory.limit_in_bytes"] {
            let limit = group.join(limit);
            assert!(!limit.exists() || owner(&limit) == 0, "{}", limit.display());
        }
        // As a manager of services inside would.
        let below = group.join("made-inside");
        fs::create_dir(&below).unwrap();
        lchown(&below, Some(ROOT), Some(ROOT)).unwrap();
    }
    lxcpath.ok(&["stop", "-k", &name]);
    lxcpath.ok(&["destroy", &name]);
}

#[test]
fn files_of_the_hosts_root_are_shown_as_the_containers() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let data = lxcpath.path().join(".data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), "kept").unwrap();
    let lines = format!(
        "lxc.rootfs.options = idmap=container\nlxc.mount.entry = {} srv none \
         bind,create=dir,idmap=container",
        data.display()
    );
    let Some(name) = create(&lxcpath, root.path(), &lines) else { return };
    fs::set_permissions(lxcpath.path(), Permissions::from_mode(0o711)).unwrap();
    let output = lxcpath.wharf(&["start", &name, "--", "/bin/sleep", "1000"]);
    let said = support::told(&output);
    if said.contains("this kernel cannot show the files of its file system as another user's") {
        println!("skipped: the file system here cannot be mounted with other owners");
        return;
    }
    assert!(output.status.success(), "{said}");
    let seen = inside(
        &lxcpath,
        &name,
        "echo x > /made; echo y > /srv/made; cat /srv/file; ls -ln /srv /made",
    );
    assert!(seen.starts_with("kept"), "{seen}");
    assert!(!seen.contains("65534"), "{seen}");
    for made in [root.path().join("made"), data.join("made")] {
        assert_eq!(fs::metadata(&made).unwrap().uid(), 0, "{}", made.display());
    }
}

#[test]
fn hooks_run_as_the_root_whose_container_it_is() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let log = lxcpath.path().join(".log");
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, Permissions::from_mode(0o666)).unwrap();
    let line = |moment: &str| {
        format!(
            "lxc.hook.{moment} = /bin/sh -c 'echo {moment} $(id -u) $(cut -c1-22 \
             /proc/self/uid_map) >> {}'\n",
            log.display()
        )
    };
    let outside = ["pre-start", "start-host"].map(line).join("");
    let inside = ["pre-mount", "mount", "autodev"].map(line).join("");
    let Some(name) = create(&lxcpath, root.path(), &format!("{outside}{inside}")) else { return };
    shift(root.path());
    for dir in [lxcpath.path(), root.path()] {
        fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    }
    sleep(&lxcpath, &name);
    let told = fs::read_to_string(&log).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    let expected = ["pre-start 0 0 0", "pre-mount 0 0 100000", "mount 0 0 100000"];
    assert_eq!(lines[..3], expected, "{told}");
    assert_eq!(lines[3..], ["autodev 0 0 100000", "start-host 0 0 0"], "{told}");
}

#[test]
fn a_command_enters_as_any_user_that_is_mapped() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(name) = create(&lxcpath, root.path(), "lxc.init.uid = 7\nlxc.init.gid = 8") else {
        return;
    };
    shift(root.path());
    let init = sleep(&lxcpath, &name);
    assert_eq!(field(&init, "Uid:"), "100007\t100007\t100007\t100007");
    let seen = lxcpath.ok(&["attach", &name, "-u", "1000", "-g", "33", "--", "/bin/id"]);
    assert!(seen.starts_with("uid=1000 gid=33"), "{seen}");
    let said = lxcpath.refused(&["attach", &name, "-u", "70000", "--", "/bin/id"], 1);
    assert!(said.contains("its user namespace does not map that id"), "{said}");
}

#[test]
fn execute_runs_in_a_shared_root_as_well() {
    let lxcpath = Lxcpath::new();
    if !can_run_containers() {
        return;
    }
    let name = lxcpath.name("shared");
    let seen = lxcpath.ok(&[
        "execute",
        &name,
        "-s",
        "lxc.idmap=u 0 100000 65536",
        "-s",
        "lxc.idmap=g 0 100000 65536",
        "--",
        "/bin/sh",
        "-c",
        "id -u; cat /proc/1/uid_map; echo > /dev/null && test -c /dev/null && echo device",
    ]);
    let words: Vec<&str> = seen.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "100000", "65536", "device"]);
}

#[test]
fn a_directory_that_is_closed_to_others_is_named() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let closed = lxcpath.path().join(".closed");
    fs::create_dir_all(closed.join("data")).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(lxcpath.path(), Permissions::from_mode(0o711)).unwrap();
    let data = closed.join("data");
    let lines = format!("lxc.mount.entry = {} srv none bind,create=dir", data.display());
    let Some(name) = create(&lxcpath, root.path(), &lines) else { return };
    shift(root.path());
    let said = lxcpath.refused(&["start", &name, "--", "/bin/sleep", "1000"], 1);
    let hint = format!("the container's root may not pass {}", closed.display());
    assert!(said.contains(&hint) && said.contains("(line "), "{said}");
    fs::set_permissions(&closed, Permissions::from_mode(0o711)).unwrap();
    sleep(&lxcpath, &name);
    // One of another user's, whom the host's root may pass only by privilege.
    lxcpath.ok(&["stop", "-k", &name]);
    lchown(root.path(), Some(ROOT), Some(ROOT)).unwrap();
    wait_until("the end", || lxcpath.state(&name) == "STOPPED");
}

#[test]
fn a_map_that_the_kernel_would_refuse_changes_nothing() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(name) = create(&lxcpath, root.path(), "lxc.idmap = u 65535 7 1") else { return };
    let said = lxcpath.refused(&["start", &name, "--", "/bin/sleep", "1000"], 1);
    assert!(said.contains("overlap with those of `u 0 100000 65536` (line "), "{said}");
    assert!(support::leftovers::cgroups(&name).is_empty());
}

/// Makes an image of the tree with ext4; none, with a message, if it could not be mounted here.
fn image(dir: &Path, image: &Path) -> Option<()> {
    if fs::File::open("/dev/loop-control").is_err() {
        println!("skipped: this kernel has no loop devices");
        return None;
    }
    if !support::has_program("mke2fs") {
        return None;
    }
    let mut command = Command::new("mke2fs");
    command.args(["-q", "-t", "ext4", "-d"]).args([dir, image]).arg("32M");
    let made = support::finish(command);
    assert!(made.status.success(), "{}", support::told(&made));
    Some(())
}

#[test]
fn overlays_and_images_are_roots_of_containers_with_users_of_their_own() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(name) = create(&lxcpath, root.path(), "") else { return };
    let config = lxcpath.path().join(&name).join("config");
    let before = fs::read_to_string(&config).unwrap();
    let file = lxcpath.path().join(".image");
    // Its files are the host's root's, and are shown as the container's.
    if image(root.path(), &file).is_some() {
        let lines = format!(
            "{before}lxc.rootfs.path = loop:{}\nlxc.rootfs.options = idmap=container,nosuid\n",
            file.display()
        );
        fs::write(&config, lines).unwrap();
        sleep(&lxcpath, &name);
        let seen = inside(&lxcpath, &name, "echo x > /made; ls -ln /made; cat /proc/mounts");
        assert_eq!(seen.split_whitespace().nth(2), Some("0"), "{seen}");
        assert!(seen.lines().any(|it| it.contains(" / ext4 rw,nosuid,nodev")), "{seen}");
        lxcpath.ok(&["stop", "-k", &name]);
    }
    shift(root.path());
    let upper = lxcpath.path().join(".changed/upper");
    let lines = format!(
        "{before}lxc.rootfs.path = overlay:{}:{}\nlxc.hook.version = 1\n\
         lxc.hook.mount = sh -c \"echo > $LXC_ROOTFS_MOUNT/hooked\"\n",
        root.path().display(),
        upper.display()
    );
    fs::write(&config, lines).unwrap();
    sleep(&lxcpath, &name);
    let seen = inside(&lxcpath, &name, "echo x > /made; ls -ln /made; cat /proc/mounts");
    assert_eq!(seen.split_whitespace().nth(2), Some("0"), "{seen}");
    assert!(seen.lines().any(|it| it.contains(" / overlay rw,")), "{seen}");
    let made = fs::metadata(upper.join("made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (ROOT, ROOT));
    assert!(upper.join("hooked").exists());
    let host = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!host.contains(upper.to_str().unwrap()), "{host}");
    lxcpath.ok(&["stop", "-k", &name]);
    // Named with its line, as what the process mounts itself is.
    fs::write(&config, format!("{before}lxc.rootfs.path = overlay:/proc:/proc/upper\n")).unwrap();
    let said = lxcpath.refused(&["start", &name, "--", "/bin/true"], 1);
    assert!(said.contains("make its upper and its work directory: No such file"), "{said}");
    assert!(said.contains("(line "), "{said}");
}

#[test]
fn a_root_is_shown_by_the_map_of_another_namespace() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(name) = create(&lxcpath, &root.path().join("one"), "") else { return };
    shift(&root.path().join("one"));
    fs::set_permissions(root.path(), Permissions::from_mode(0o711)).unwrap();
    let init = sleep(&lxcpath, &name);
    let other = lxcpath.name("shown");
    assert!(rootfs::busybox(&root.path().join("two")));
    let (dir, shown) = (root.path().join("two"), format!("idmap=/proc/{init}/ns/user"));
    lxcpath.ok(&["create", &other, "--dir", dir.to_str().unwrap()]);
    let options = format!("lxc.rootfs.options={shown}");
    let output = lxcpath.wharf(&["start", &other, "-s", &options, "--", "/bin/sleep", "1000"]);
    let said = support::told(&output);
    if said.contains("this kernel cannot show the files of its file system as another user's") {
        println!("skipped: the file system here cannot be mounted with other owners");
        return;
    }
    assert!(output.status.success(), "{said}");
    let seen = inside(&lxcpath, &other, "ls -ldn /etc");
    assert_eq!(seen.split_whitespace().nth(2), Some("100000"), "{seen}");
}

#[test]
fn what_runs_inside_during_the_start_reaches_nothing_of_the_hosts() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    // The process that sets the container up waits for its hook, and has all its descriptors.
    let script = "cat /proc/1/status; for it in environ mem maps io; do cat /proc/1/$it; done; \
                  for it in fd root/ cwd/ fdinfo task/1/fd map_files; do ls -l /proc/1/$it; done; \
                  cat /proc/1/fd/3; kill -STOP 1; \
                  for it in /proc/self/fd/*; do test $it -ef /seen || ls -l $it; done; true";
    let lines = format!(
        "lxc.cap.drop =\nlxc.mount.auto = proc:rw\nlxc.hook.version = 1\n\
         lxc.hook.start = /bin/sh -c '{{ {script}; }} > /seen 2>&1'"
    );
    let Some(name) = create(&lxcpath, root.path(), &lines) else { return };
    shift(root.path());
    let mut command = lxcpath.command(&["start", &name, "--", "/bin/sleep", "1000"]);
    command.env("WHARF_SECRET", "of the host");
    assert!(support::finish(command).status.success());
    let seen = fs::read_to_string(root.path().join("seen")).unwrap();
    assert!(seen.starts_with("Name:"), "{seen}");
    let denied = seen.lines().filter(|it| it.ends_with(": Permission denied")).count();
    // All of them but the state of the process.
    assert!(denied >= 11, "{denied}: {seen}");
    for secret in ["of the host", "socket:", "/run/wharf", "pidfd"] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
}
