//! Containers of an ordinary user, without root: on users that the test makes on this machine.

mod copied;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::screen::{ENTER, Screen};
use crate::support::{
    self, can_run_containers, finish, has_program, rootfs, text, told, wait_until,
};
use nix::sched::{CloneFlags, unshare};

/// Who is root in the containers here.
const ROOT: u32 = 800_000;
const LAST: u32 = ROOT + 65_535;

/// A user with a home, ids for containers and a copy of wharf, which go with it.
struct User {
    name: String,
    id: u32,
    home: tempfile::TempDir,
}

impl User {
    /// Makes one; none if this machine cannot.
    fn new() -> Option<Self> {
        if !can_run_containers() {
            return None;
        }
        if !["/usr/bin/newuidmap", "/usr/bin/newgidmap"].iter().all(|it| Path::new(it).exists()) {
            println!("skipped: no newuidmap on this machine; install the package uidmap");
            return None;
        }
        if !has_program("useradd") || !Path::new("/proc/self/ns/user").exists() {
            return None;
        }
        let home = tempfile::Builder::new().prefix("wharf-user-").tempdir().unwrap();
        fs::set_permissions(home.path(), Permissions::from_mode(0o711)).unwrap();
        let name = format!("wharf{}", std::process::id());
        for file in ["/etc/subuid", "/etc/subgid"] {
            fs::File::options().create(true).append(true).open(file).unwrap();
        }
        run("useradd", &["-M", "-s", "/bin/sh", "-d", home.path().to_str().unwrap(), &name]);
        let id = nix::unistd::User::from_name(&name).unwrap().unwrap().uid.as_raw();
        let user = Self { name, id, home };
        chown(user.home.path(), Some(id), Some(id)).unwrap();
        rootfs::copy_program(env!("CARGO_BIN_EXE_wharf"), &user.program());
        Some(user)
    }

    /// Gives it ids.
    fn allot(&self) {
        let range = format!("{ROOT}-{LAST}");
        run("usermod", &["--add-subuids", &range, "--add-subgids", &range, &self.name]);
    }

    /// Takes them, and what `useradd` gave.
    fn take_ids(&self) {
        for file in ["/etc/subuid", "/etc/subgid"] {
            let text = fs::read_to_string(file).unwrap();
            let kept = text.lines().filter(|it| !it.starts_with(&format!("{}:", self.name)));
            let kept: Vec<String> = kept.map(|it| format!("{it}\n")).collect();
            fs::write(file, kept.concat()).unwrap();
        }
    }

    fn program(&self) -> PathBuf {
        self.home.path().join("wharf")
    }

    /// Where systemd runs, it keeps a manager and a directory for the user.
    fn runtime(&self) -> PathBuf {
        if has_systemd() {
            PathBuf::from(format!("/run/user/{}", self.id))
        } else {
            self.home.path().join("run")
        }
    }

    fn log_in(&self) {
        if has_systemd() {
            run("loginctl", &["enable-linger", &self.name]);
            let socket = self.runtime().join("systemd/private");
            wait_until("the user's systemd runs", || socket.exists());
        } else {
            self.sh("mkdir -m 700 ~/run");
        }
    }

    fn container(&self, name: &str) -> PathBuf {
        self.home.path().join(".local/share/lxc").join(name)
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).uid(self.id).gid(self.id).stdin(Stdio::null()).current_dir("/");
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("TERM", "linux");
        command.env("HOME", self.home.path()).env("USER", &self.name);
        command.env("XDG_RUNTIME_DIR", self.runtime());
        command
    }

    fn wharf(&self, args: &[&str]) -> Output {
        finish(self.command(self.program().to_str().unwrap(), args))
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.wharf(args);
        assert!(output.status.success(), "wharf {args:?}: {}", told(&output));
        text(&output.stdout)
    }

    fn refused(&self, args: &[&str]) -> String {
        let output = self.wharf(args);
        assert_eq!(output.status.code(), Some(1), "wharf {args:?}: {}", told(&output));
        text(&output.stderr)
    }

    /// Writes the configuration of a container, as the user would.
    fn configure(&self, name: &str, lines: &str) {
        let dir = self.container(name);
        let root = self.home.path().join("root");
        let general = format!(
            "lxc.uts.name = {name}\nlxc.rootfs.path = {}\nlxc.net.0.type = empty\n\
             lxc.mount.auto = proc:mixed sys:ro\n",
            root.display()
        );
        self.sh(&format!(
            "mkdir -p {0}; cat > {0}/config <<'E'\n{general}{lines}\nE",
            dir.display()
        ));
    }

    fn sh(&self, script: &str) -> String {
        let output = finish(self.command("/bin/sh", &["-ec", script]));
        assert!(output.status.success(), "{script}: {}", told(&output));
        text(&output.stdout)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        for name in text(&self.wharf(&["ls", "-1"]).stdout).lines() {
            self.wharf(&["stop", "-k", name]);
        }
        self.take_ids();
        if has_systemd() {
            run("loginctl", &["disable-linger", &self.name]);
            _ = Command::new("loginctl").args(["terminate-user", &self.name]).output();
            wait_until("the user's systemd is gone", || !self.runtime().exists());
        }
        // It is the machine's, which must not keep it after a failure either.
        _ = Command::new("userdel").arg("-f").arg(&self.name).output();
    }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", told(&output));
}

fn has_systemd() -> bool {
    Path::new("/run/systemd/system").exists()
}

fn map() -> String {
    format!("lxc.idmap = u 0 {ROOT} 65536\nlxc.idmap = g 0 {ROOT} 65536\n")
}

#[test]
fn an_ordinary_user_has_containers() {
    let Some(user) = User::new() else { return };
    let root = user.home.path().join("root");
    if !rootfs::busybox(&root) {
        return;
    }
    for path in support::tree(&root).iter().chain([&root]) {
        lchown(path, Some(ROOT), Some(ROOT)).unwrap();
    }
    user.take_ids();
    user.allot();
    undelegated(&user);
    user.log_in();
    user.take_ids();
    user.configure("web", "");
    let said = user.refused(&["start", "web", "--", "/bin/sleep", "1000"]);
    assert!(
        said.contains("needs a user namespace") && said.contains("usermod --add-sub"),
        "{said}"
    );
    user.configure("web", &map());
    let said = user.refused(&["start", "web", "--", "/bin/sleep", "1000"]);
    let command = format!("usermod --add-subuids {ROOT}-{LAST} {}", user.name);
    assert!(said.contains(&command) && said.contains("line 5 of"), "{said}");
    user.allot();
    user.ok(&["start", "web", "--", "/bin/sleep", "1000"]);
    let told = user.ok(&["ls"]);
    assert!(told.contains("RUNNING"), "{told}");
    let init = user.ok(&["info", "-p", "-H", "web"]);
    let status = fs::read_to_string(format!("/proc/{}/status", init.trim())).unwrap();
    assert!(status.contains(&format!("Uid:\t{ROOT}\t{ROOT}\t{ROOT}\t{ROOT}")), "{status}");
    let told = user.ok(&["ps", "web"]);
    assert!(told.contains("/bin/sleep 1000"), "{told}");
    let seen =
        user.ok(&["attach", "web", "--", "/bin/sh", "-c", "id -u; hostname; echo x > /made"]);
    assert_eq!(seen, "0\nweb\n");
    user.ok(&["stop", "-k", "web"]);
    assert!(user.ok(&["info", "web"]).contains("STOPPED"));
    executed(&user);
    copied::copied(&user);
    shared(&user);
    chown(user.container("web"), Some(ROOT), Some(user.id)).unwrap();
    user.ok(&["destroy", "web"]);
    user.ok(&["trash", "restore", "web"]);
    user.ok(&["destroy", "--now", "web"]);
    assert!(!user.container("web").exists());
    limited(&user);
    on_the_screen(&user);
    wired(&user);
    unpacked(&user);
    templated(&user);
}

/// A container can have the users of another one.
fn shared(user: &User) {
    user.configure("two", &format!("{}lxc.namespace.share.user = web", map()));
    let init = |name: &str| {
        user.ok(&["start", name, "--", "/bin/sleep", "1000"]);
        user.ok(&["info", "-p", "-H", name]).trim().to_owned()
    };
    let inits = ["web", "two"].map(init);
    let spaces = |kind: &str| {
        inits.each_ref().map(|it| fs::read_link(format!("/proc/{it}/ns/{kind}")).unwrap())
    };
    let [users, others] = spaces("user");
    assert_eq!(users, others);
    for kind in ["mnt", "pid", "net", "uts"] {
        let [own, others] = spaces(kind);
        assert_ne!(own, others, "{kind}");
    }
    let seen = user.ok(&["attach", "two", "--", "/bin/sh", "-c", "id -u; hostname"]);
    assert_eq!(seen, "0\ntwo\n");
    for name in ["web", "two"] {
        user.ok(&["stop", "-k", name]);
        assert!(user.ok(&["info", name]).contains("STOPPED"));
    }
    user.ok(&["destroy", "--now", "two"]);
}

/// The files of an image and of a copy belong to the container's users, and go with it.
fn unpacked(user: &User) {
    use std::os::unix::fs::MetadataExt as _;
    let (root, file) = (user.home.path().join("root"), user.home.path().join("root.tar"));
    let (root, file) = (root.to_str().unwrap(), file.to_str().unwrap());
    fs::create_dir(Path::new(root).join("closed")).unwrap();
    fs::set_permissions(Path::new(root).join("closed"), Permissions::from_mode(0o700)).unwrap();
    fs::write(Path::new(root).join("closed/file"), "x").unwrap();
    fs::write(Path::new(root).join("etc/hostname"), "old\n").unwrap();
    run("tar", &["-C", root, "--owner=0", "--group=0", "-cf", file, "."]);
    user.ok(&["create", "tarred", "--from", file]);
    user.ok(&["create", "copied", "--from", "tarred"]);
    for name in ["tarred", "copied"] {
        let made = user.container(name).join("rootfs");
        for path in [&made, &made.join("bin/busybox"), &made.join("closed/file")] {
            let meta = fs::metadata(path).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (ROOT, ROOT), "{}", path.display());
        }
    }
    let renamed = user.container("copied").join("rootfs/etc/hostname");
    assert_eq!(fs::read_to_string(renamed).unwrap(), "copied");
    if has_systemd() {
        user.ok(&["start", "copied", "--", "/bin/sleep", "1000"]);
        let seen = user.ok(&["attach", "copied", "--", "/bin/cat", "/closed/file"]);
        assert_eq!(seen, "x");
        user.ok(&["stop", "-k", "copied"]);
    }
    // An owner who is not mapped.
    run("tar", &["-C", root, "--owner=70000", "--group=0", "-cf", file, "."]);
    let said = user.refused(&["create", "bad", "--from", file]);
    assert!(said.contains("its owner is not one that lxc.idmap maps"), "{said}");
    for name in ["tarred", "copied"] {
        user.ok(&["destroy", "--now", name]);
    }
    let left = fs::read_dir(user.container("tarred").parent().unwrap()).unwrap().count();
    assert_eq!(left, 0);
}

/// A template and a clone hook run as root of the container's users, as with LXC.
fn templated(user: &User) {
    use std::os::unix::fs::MetadataExt as _;
    let program = user.home.path().join("template");
    let program = program.to_str().unwrap();
    user.sh(&format!(
        "cat > {program} <<'E'\n#!/bin/sh -e\nfor it do case $it in --rootfs=*) root=${{it#*=}} ;; \
         --fail) exit 3 ;; esac; done\necho \"$*\" > $root/args\nid -u > $root/who\nE\nchmod 755 {program}"
    ));
    let said = user.refused(&["create", "bad", "-t", program, "--", "--fail"]);
    assert!(said.contains("failed (exit status: 3)"), "{said}");
    assert!(!user.container("bad").exists());
    user.ok(&["create", "made", "-t", program, "--", "--word"]);
    let files = user.container("made").join("rootfs");
    let read = |file: &Path| fs::read_to_string(file).unwrap();
    let args = read(&files.join("args"));
    assert!(args.contains(" --word --mapped-uid 65536 --mapped-gid 65536"), "{args}");
    assert_eq!(read(&files.join("who")), "0\n");
    let config = user.container("made").join("config");
    let hook = "lxc.hook.clone = /bin/sh -c 'id -u > $LXC_ROOTFS_MOUNT/hooked'";
    user.sh(&format!("echo \"{}\" >> {}", hook.replace('$', "\\$"), config.display()));
    user.ok(&["create", "again", "--from", "made"]);
    let hooked = user.container("again").join("rootfs/hooked");
    assert_eq!(read(&hooked), "0\n");
    for path in [&hooked, &files, &files.join("who")] {
        assert_eq!(fs::metadata(path).unwrap().uid(), ROOT, "{}", path.display());
    }
    for name in ["made", "again"] {
        user.ok(&["destroy", "--now", name]);
    }
}

/// The screen offers what this user can do, and refuses what needs more with the reason.
fn on_the_screen(user: &User) {
    user.configure("tui", &format!("{}lxc.init.cmd = /bin/sleep 1000\n", map()));
    let program = user.program();
    let mut screen = Screen::spawn(user.command(program.to_str().unwrap(), &[]), 120, 36);
    screen.wait_for_row("tui");
    let in_state = |state: &'static str| {
        // Events have an arrow.
        let row = move |it: &str| it.contains("tui") && it.contains(state) && !it.contains("→");
        move |it: &str| it.lines().any(row)
    };
    screen.keys("s");
    // While an act is in progress, no other begins.
    screen.wait_for("started in");
    screen.wait_until("it runs", in_state("RUNNING "));
    screen.keys("f");
    if has_systemd() {
        screen.wait_for("frozen in");
        screen.wait_until("it is frozen", in_state("FROZEN "));
        assert!(user.ok(&["info", "tui"]).contains("FROZEN"));
        screen.keys("f");
        screen.wait_for("thawed in");
        screen.wait_until("it is thawed", in_state("RUNNING "));
    } else {
        screen.wait_for("cannot limit or freeze containers: no cgroup is delegated");
    }
    screen.keys(&["x", "\x15", "id -u", ENTER].concat());
    screen.wait_for("ended: exit 0");
    screen.keys(&[ENTER, "S"].concat());
    wait_until("it is stopped", || user.ok(&["info", "tui"]).contains("STOPPED"));
    screen.keys("q");
    assert!(screen.exit().success());
    user.ok(&["destroy", "--now", "tui"]);
}

fn executed(user: &User) {
    // wharf's own init executes no program.
    let seen = user.ok(&["execute", "web", "--", "/bin/sh", "-c", "id -u; echo $$"]);
    assert_eq!(seen, "0\n2\n");
    user.configure("web", &format!("{}lxc.init.groups = 5,6", map()));
    let seen = user.ok(&["execute", "web", "--", "/bin/sh", "-c", "id -G"]);
    assert!(seen.contains('5') && seen.contains('6'), "{seen}");
    user.configure("web", &map());
}

/// What `create` writes by itself never prevents a start, of a user whom nobody has logged in.
fn undelegated(user: &User) {
    user.sh("mkdir -m 700 ~/bare");
    let run = |args: &[&str]| {
        let mut command = user.command(user.program().to_str().unwrap(), args);
        command.env("XDG_RUNTIME_DIR", user.home.path().join("bare"));
        command
    };
    let root = user.home.path().join("root");
    let what = ["-s", "lxc.init.cmd=/bin/sleep 1000", "--dir", root.to_str().unwrap()];
    let create = run(&[&["create", "bare"][..], &what].concat());
    let mut terminal = Screen::spawn(create, 500, 36);
    terminal.wait_for("no cgroup is delegated to you and nothing would enforce them: lxc.cgroup");
    assert!(terminal.exit().success());
    let config = fs::read_to_string(user.container("bare").join("config")).unwrap();
    assert!(config.contains("\n# lxc.cgroup2.pids.max = 4096\n"), "{config}");
    let mut screen = Screen::spawn(run(&[]), 120, 36);
    screen.wait_for_row("bare");
    screen.keys("s");
    screen.wait_for("started in");
    screen.keys("q");
    assert!(screen.exit().success());
    for args in [&["stop", "-k", "bare"][..], &["destroy", "--now", "-q", "bare"]] {
        let output = finish(run(args));
        assert!(output.status.success(), "{args:?}: {}", told(&output));
    }
    // The test of who gives what begins without.
    user.sh("rm -r ~/bare");
}

/// A limit holds where a cgroup is delegated, and is not passed over where none is.
fn limited(user: &User) {
    // What `create` writes limits processes.
    let both = ["-s", "lxc.cgroup.pids.max=77", "-s", "lxc.cgroup2.pids.max=77"];
    user.ok(&[&["create", "lim"][..], &both].concat());
    let config = fs::read_to_string(user.container("lim").join("config")).unwrap();
    assert!(config.contains(&format!("lxc.idmap = u 0 {ROOT} 65536")), "{config}");
    if has_systemd() {
        user.ok(&["start", "lim", "--", "/bin/sleep", "1000"]);
        assert_eq!(user.ok(&["cgroup", "lim", "pids.max"]).trim(), "77");
        user.ok(&["cgroup", "lim", "pids.max", "88"]);
        let seen = user.ok(&["attach", "lim", "--", "/bin/cat", "/proc/self/cgroup"]);
        assert_eq!(seen.trim(), "0::/");
        user.ok(&["freeze", "lim"]);
        user.ok(&["unfreeze", "lim"]);
        user.ok(&["stop", "-k", "lim"]);
    } else {
        let said = user.refused(&["start", "lim", "--", "/bin/sleep", "1000"]);
        assert!(
            said.contains("pids.max = 77") && said.contains("no cgroup is delegated"),
            "{said}"
        );
    }
    user.ok(&["destroy", "--now", "lim"]);
}

const ALLOWED: &str = "/etc/lxc/lxc-usernet";

/// An interface on a bridge is given by LXC's program to those whom root names.
fn wired(user: &User) {
    // The program looks for bridges below /sys, which shows the network that it was mounted in.
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    run("mount", &["--make-rslave", "/"]);
    let sys = tempfile::tempdir().unwrap();
    run("mount", &["-t", "sysfs", "sysfs", sys.path().to_str().unwrap()]);
    for part in ["class/net", "devices/virtual/net"] {
        let shown = sys.path().join(part);
        run("mount", &["--bind", shown.to_str().unwrap(), &format!("/sys/{part}")]);
    }
    run("umount", &["-l", sys.path().to_str().unwrap()]);
    let bridge = Command::new("ip").args(["link", "add", "wharfbr0", "type", "bridge"]).status();
    if !bridge.is_ok_and(|it| it.success()) {
        println!("skipped: no bridge can be made here");
        return;
    }
    run("ip", &["link", "set", "wharfbr0", "up"]);
    let veth = "lxc.net.0.type = veth\nlxc.net.0.link = wharfbr0\nlxc.net.0.flags = up\n\
                lxc.net.0.name = net7\nlxc.net.0.hwaddr = 02:00:00:00:00:07\n\
                lxc.net.0.ipv4.address = 10.9.8.7/24\nlxc.hook.version = 1";
    let told_ends = user.home.path().join("ends");
    let script = |moment| {
        let ends = told_ends.display();
        format!("lxc.net.0.script.{moment} = sh -c 'echo {moment} $LXC_NET_PEER >> {ends}'\n")
    };
    let scripts = [script("up"), script("down")].concat();
    user.configure("net", &format!("{}lxc.net =\n{veth}\n{scripts}", map()));
    let start = ["start", "net", "--", "/bin/sleep", "1000"];
    let said = user.refused(&start);
    let program = ["/usr/libexec/lxc", "/usr/lib/x86_64-linux-gnu/lxc"];
    if !program.iter().any(|it| Path::new(it).join("lxc-user-nic").exists()) {
        assert!(said.contains("lxc-user-nic, which is not installed; install"), "{said}");
        println!("skipped: no lxc-user-nic on this machine; install the package lxc");
        user.ok(&["destroy", "--now", "net"]);
        return;
    }
    let line = format!("{} veth wharfbr0 10", user.name);
    assert!(said.contains(&format!("echo '{line}' >> {ALLOWED}")), "{said}");
    let was = fs::read_to_string(ALLOWED).ok();
    fs::write(ALLOWED, format!("{}{line}\n", was.clone().unwrap_or_default())).unwrap();
    let started = user.wharf(&start);
    let seen =
        user.wharf(&["attach", "net", "--", "/bin/busybox", "ip", "addr", "show", "dev", "net7"]);
    let ports = Command::new("ip").args(["-o", "link", "show", "master", "wharfbr0"]).output();
    user.wharf(&["stop", "-k", "net"]);
    match was {
        Some(text) => fs::write(ALLOWED, text).unwrap(),
        None => fs::remove_file(ALLOWED).unwrap(),
    }
    assert!(started.status.success(), "{}", told(&started));
    let seen = text(&seen.stdout);
    assert!(seen.contains("10.9.8.7/24") && seen.contains("02:00:00:00:00:07"), "{seen}");
    let ports = text(&ports.unwrap().stdout);
    assert_eq!(ports.lines().count(), 1);
    let port = ports.split([':', '@']).nth(1).unwrap().trim();
    let ends = fs::read_to_string(&told_ends).unwrap();
    assert_eq!(ends, format!("up {port}\ndown {port}\n"), "of {ports}");
    wait_until("its port gone", || {
        let left = Command::new("ip").args(["-o", "link", "show", "master", "wharfbr0"]).output();
        left.unwrap().stdout.is_empty()
    });
    user.ok(&["destroy", "--now", "net"]);
}
