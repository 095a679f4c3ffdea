//! Every command line of the manual page that wharf began with, lxc(7) of 2009, as it stands there:
//! each does what the page says of it, by LXC's names.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::screen::Screen;
use crate::support::{
    Lxcpath, can_run_containers, finish, has_program, rootfs, text, told, wait_until,
};

/// The names as links first in PATH, and an lxcpath that is the default one, so that the lines need
/// no option that they do not have.
struct Page {
    dir: tempfile::TempDir,
    lxcpath: Lxcpath,
}

impl Page {
    fn new() -> Option<Self> {
        if !can_run_containers() {
            return None;
        }
        let page = Self { dir: tempfile::tempdir().unwrap(), lxcpath: Lxcpath::new() };
        page.lxcpath.ok(&["link", page.dir.path().to_str().unwrap()]);
        // For what a shell starts: the same names with the lxcpath of the test.
        for link in fs::read_dir(page.dir.path()).unwrap() {
            let link = link.unwrap().path();
            let own = link.file_name().unwrap().to_str().unwrap().to_owned();
            let target = page.dir.path().join("links").join(&own);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::rename(&link, &target).unwrap();
            let here = page.lxcpath.path().display();
            let line = format!("#!/bin/sh\nexec {} -P {here} \"$@\"\n", target.display());
            fs::write(&link, line).unwrap();
            fs::set_permissions(&link, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
        }
        Some(page)
    }

    /// Prepares a line for the shell.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        let path = std::env::var("PATH").unwrap_or_default();
        command.args(["-c", line]).stdin(Stdio::null());
        command.env("PATH", format!("{}:{path}", self.dir.path().display()));
        command
    }

    fn run(&self, line: &str) -> Output {
        finish(self.command(line))
    }

    /// Runs a line that is to succeed without a word on standard error.
    fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        let silent = output.stderr.is_empty();
        assert!(output.status.success() && silent, "{line}: {}", told(&output));
        text(&output.stdout)
    }

    fn state(&self, name: &str) -> String {
        self.lxcpath.ok(&["info", "-s", "-H", name]).trim().to_owned()
    }
}

/// The line that begins the page makes a container, runs a shell in it, and leaves nothing.
#[test]
fn quick_start() {
    let Some(page) = Page::new() else { return };
    // The page's template needs an interface of the host; `empty` is the kind that needs none.
    let template = page.lxcpath.path().join("lxc-macvlan.conf");
    fs::write(&template, "lxc.net.0.type = empty\nlxc.uts.name = foo\n").unwrap();
    let line = format!("lxc-execute -n foo -f {} /bin/bash", template.display());
    let mut shell = Screen::spawn(page.command(&line), 80, 24);
    shell.keys("echo pid=$((0+$$)) $(hostname)\r");
    shell.wait_for("foo");
    shell.keys("exit 3\r");
    assert_eq!(shell.exit().code(), Some(3));
    assert!(!page.lxcpath.path().join("foo/config").exists(), "it was made for this command alone");
}

#[test]
fn creating_and_destroying() {
    let Some(page) = Page::new() else { return };
    page.ok("lxc-create -n foo");
    assert!(page.lxcpath.path().join("foo/config").exists());
    let again = page.run("lxc-create -n foo");
    assert_eq!(again.status.code(), Some(1), "{}", told(&again));
    page.ok("lxc-destroy -n foo");
    assert!(!page.lxcpath.path().join("foo").exists());
}

#[test]
fn starting_and_stopping() {
    let Some(page) = Page::new() else { return };
    page.ok("lxc-create -n foo");
    // In the container the init has pid 1, and the first process of the application has the pid 2.
    let said = page.ok("lxc-execute -n foo -- /bin/sh -c 'echo $$ $PPID'");
    assert_eq!(said, "2 1\n");
    // The pid of the first process is 1.
    page.ok("lxc-start -n foo -- /bin/sh -c 'trap : TERM PWR INT; while :; do sleep 0.1; done'");
    assert_eq!(page.ok("lxc-attach -n foo -- cat /proc/1/comm"), "sh\n");
    let init = page.lxcpath.ok(&["info", "-p", "-H", "foo"]);
    // Without pity: this one ignores what asks it to halt.
    page.ok("lxc-stop -n foo -t 1");
    assert_eq!(page.state("foo"), "STOPPED");
    assert!(!Path::new("/proc").join(init.trim()).exists());
    page.ok("lxc-destroy -n foo");
}

#[test]
fn freezing() {
    let Some(page) = Page::new() else { return };
    page.ok("lxc-create -n foo");
    page.ok("lxc-start -n foo -- /bin/sleep 1000");
    page.ok("lxc-freeze -n foo");
    assert_eq!(page.ok("lxc-info -n foo -s"), "State:          FROZEN\n");
    page.ok("lxc-unfreeze -n foo");
    assert_eq!(page.ok("lxc-info -n foo -s"), "State:          RUNNING\n");
    page.ok("lxc-stop -n foo -k");
    page.ok("lxc-destroy -n foo");
}

#[test]
fn information() {
    let Some(page) = Page::new() else { return };
    if !has_program("ps") {
        println!("skipped: no ps");
        return;
    }
    for it in ["bar", "foo"] {
        page.ok(&format!("lxc-create -n {it}"));
    }
    page.ok("lxc-start -n foo -- /bin/sh -c 'sleep 1000; :'");
    wait_until("its child", || page.ok("lxc-ps -n foo").lines().count() == 3);
    let names = page.ok("lxc-ls");
    assert_eq!(names.split_whitespace().collect::<Vec<_>>(), ["bar", "foo"]);
    assert_eq!(page.ok("lxc-ls -1"), "bar\nfoo\n");
    let list = page.ok("lxc-ls -l");
    assert!(list.lines().all(|it| it.starts_with('d')) && list.contains("foo"), "{list}");
    assert!(
        page.ok("lxc-info -n foo").starts_with("Name:           foo\nState:          RUNNING\n")
    );
    let tree = page.ok("lxc-ps -n foo --forest");
    assert!(tree.contains("\\_ sleep"), "{tree}");
    let tree = page.ok("lxc-ps --lxc -- --forest");
    assert!(tree.contains("\\_ sleep"), "{tree}");
    // Both loops of the page, one of whose containers is stopped.
    let states = page.ok("for i in $(lxc-ls -1); do\n  lxc-info -n $i\ndone\n");
    let told: Vec<&str> = states.lines().filter(|it| it.starts_with("State:")).collect();
    assert_eq!(told, ["State:          STOPPED", "State:          RUNNING"]);
    let pids = page.ok("for i in $(lxc-ls -1); do\n  lxc-ps -n $i --forest\ndone\n");
    assert_eq!(pids.lines().filter(|it| it.starts_with("foo ")).count(), 2, "{pids}");
    page.ok("lxc-stop -n foo -k");
    for it in ["bar", "foo"] {
        page.ok(&format!("lxc-destroy -n {it}"));
    }
}

#[test]
fn monitoring() {
    let Some(page) = Page::new() else { return };
    let watch = |line: &str, file: &str| {
        let file = page.dir.path().join(file);
        let mut command = page.command(&format!("exec {line}"));
        let child = command.stdout(fs::File::create(&file).unwrap()).spawn().unwrap();
        (child, file)
    };
    let mut two = watch("lxc-monitor -n \"foo|bar\"", "two");
    let mut all = watch("lxc-monitor -n \".*\"", "all");
    let seen = |file: &Path, what: &str| fs::read_to_string(file).unwrap().contains(what);
    for it in ["bar", "foo", "other"] {
        page.ok(&format!("lxc-create -n {it}"));
        // A watch that has not begun yet does not see the first life.
        wait_until("what they print", || {
            page.ok(&format!("lxc-execute -n {it} -- true"));
            let stopped = format!("'{it}' changed state to [STOPPED]");
            seen(&all.1, &stopped) && (it == "other" || seen(&two.1, &stopped))
        });
    }
    assert!(!seen(&two.1, "other"));
    assert!(seen(
        &all.1,
        "'other' changed state to [STARTING]\n'other' changed state to [RUNNING]\n"
    ));
    for child in [&mut two.0, &mut all.0] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for it in ["bar", "foo", "other"] {
        page.ok(&format!("lxc-destroy -n {it}"));
    }
}

#[test]
fn the_control_group() {
    let Some(page) = Page::new() else { return };
    page.ok("lxc-create -n foo");
    page.ok("lxc-start -n foo -- /bin/sleep 1000");
    // The command fails if the name does not exist: this one is of cgroup v1, the page's other one was
    // never one.
    let cpus = page.run("lxc-cgroup -n foo cpuset.cpus");
    let has_it = cpus.status.success();
    assert!(has_it || text(&cpus.stderr).contains("cpuset.cpus"), "{}", told(&cpus));
    let shares = page.run("lxc-cgroup -n foo cpus.share 512");
    assert_eq!(shares.status.code(), Some(1), "{}", told(&shares));
    let real = ["cpu.shares", "cpu.weight"]
        .into_iter()
        .find(|it| page.run(&format!("lxc-cgroup -n foo {it}")).status.success());
    if let Some(file) = real {
        page.ok(&format!("lxc-cgroup -n foo {file} 512"));
        assert_eq!(page.ok(&format!("lxc-cgroup -n foo {file}")).trim(), "512");
    }
    page.ok("lxc-stop -n foo -k");
    page.ok("lxc-destroy -n foo");
}

/// The page's own way to give a container a root of its own.
#[test]
fn an_application_with_a_tree_of_its_own() {
    let Some(page) = Page::new() else { return };
    let root = page.lxcpath.path().join("sshd");
    if !rootfs::busybox(&root) {
        return;
    }
    for it in ["lib", "bin", "usr", "sbin", "var/run/sshd", "dev/shm/network"] {
        fs::create_dir_all(root.join(it)).unwrap();
    }
    let r = root.display();
    let fstab = page.lxcpath.path().join("fstab");
    let mounts = format!("/lib {r}/lib none ro,bind 0 0\n/usr {r}/usr none ro,bind 0 0\n");
    fs::write(&fstab, mounts).unwrap();
    let config = page.lxcpath.path().join("sshd.conf");
    let lines = format!("lxc.rootfs.path = {r}\nlxc.mount.fstab = {}\n", fstab.display());
    fs::write(&config, lines).unwrap();
    page.ok(&format!("lxc-create -n foo -f {}", config.display()));
    let said =
        page.ok("lxc-execute -n foo -- /bin/sh -c 'touch /usr/x 2>/dev/null || echo ro; ls /usr'");
    assert!(said.starts_with("ro\n") && said.contains("bin"), "{said}");
    page.ok("lxc-destroy -n foo");
    assert!(Path::new("/usr/bin").exists());
}
