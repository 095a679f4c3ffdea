//! Systems in containers: what `create --system` gives a root with an init boots, asks for a login
//! on the console, and ends as it is asked to. As root; systemd itself boots in `systemd`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::screen::{ENTER, Screen};
use crate::support::{Lxcpath, can_run_containers, rootfs, wait_until};

/// Programs of a system besides those of a container.
const APPLETS: [&str; 4] = ["getty", "login", "poweroff", "reboot"];

/// Makes a root whose init is busybox, with a login of root's, who has no password.
fn system(root: &Path) -> bool {
    if !can_run_containers() || !rootfs::busybox(root) {
        return false;
    }
    symlink("../bin/busybox", root.join("sbin/init")).unwrap();
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    let inittab = "::sysinit:/bin/touch /run/booted\n\
                   console::respawn:/bin/getty -L 0 console vt100\n\
                   ::shutdown:/bin/touch /was-asked\n";
    fs::write(root.join("etc/inittab"), inittab).unwrap();
    fs::write(root.join("etc/passwd"), "root::0:0:root:/root:/bin/sh\n").unwrap();
    true
}

/// Makes a container of such a root.
fn create(lxcpath: &Lxcpath, root: &Path) -> Option<String> {
    let name = lxcpath.name("box");
    system(root)
        .then(|| lxcpath.ok(&["create", &name, "--system", "--dir", root.to_str().unwrap()]))?;
    Some(name)
}

/// Logs in as root on the console, which takes keys only once a getty has opened it.
fn log_in(lxcpath: &Lxcpath, name: &str) -> Screen {
    let mut console = Screen::spawn(lxcpath.command(&["console", name, "-t", "0"]), 100, 40);
    console.wait_for("Connected to");
    console.keys_until(ENTER, "login:");
    console.keys("root\r");
    // A newer busybox writes `~` for /root.
    let is_prompt = |row: &str| matches!(row, "/root #" | "~ #");
    console.wait_until("a prompt", |it| it.lines().any(is_prompt));
    console
}

#[test]
fn busybox_boots_to_a_login_with_job_control_and_powers_off() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(name) = create(&lxcpath, root.path()) else { return };
    lxcpath.ok(&["start", &name]);
    let mut console = log_in(&lxcpath, &name);
    // A shell without job control says so, and its programs cannot be stopped.
    console.keys("sleep 1000\r");
    wait_until("the sleep", || lxcpath.ok(&["ps", &name]).contains("sleep 1000"));
    console.keys("\x1a");
    console.wait_for("Stopped");
    assert!(!console.contents().contains("job control turned off"), "{}", console.contents());
    console.keys("ls /run\r");
    console.wait_for("booted");
    assert!(!root.path().join("run/booted").exists(), "/run is not a file system of its own");
    console.keys("poweroff\r");
    wait_until("its end", || lxcpath.state(&name) == "STOPPED");
    assert!(lxcpath.ok(&["info", &name]).contains("halted"), "{}", lxcpath.ok(&["info", &name]));
    assert!(root.path().join("was-asked").exists());
}

#[test]
fn busybox_is_stopped_and_restarted_by_the_signals_that_it_takes() {
    let (lxcpath, root) = (Lxcpath::new(), tempfile::tempdir().unwrap());
    let Some(name) = create(&lxcpath, root.path()) else { return };
    let asked = root.path().join("was-asked");
    let init = || lxcpath.ok(&["info", "-p", "-H", &name]);
    for reboot in [true, false] {
        if lxcpath.state(&name) == "STOPPED" {
            lxcpath.ok(&["start", &name]);
        }
        wait_until("the boot", || lxcpath.ok(&["ps", &name]).contains("getty"));
        let before = init();
        if reboot {
            lxcpath.ok(&["stop", "-r", "-t", "50", &name]);
            assert_ne!(init(), before);
        } else {
            lxcpath.ok(&["stop", "-t", "50", &name]);
            assert_eq!(lxcpath.state(&name), "STOPPED");
            assert!(lxcpath.ok(&["info", &name]).contains("halted"));
        }
        assert!(asked.exists(), "it was killed");
        fs::remove_file(&asked).unwrap();
    }
}

#[test]
fn a_root_with_an_init_is_recognised() {
    let root = tempfile::tempdir().unwrap();
    if !system(root.path()) {
        return;
    }
    let lxcpath = Lxcpath::new();
    let dir = root.path().to_str().unwrap();
    let create = |word: &str, more: &[&str]| {
        let name = lxcpath.name(word);
        lxcpath.ok(&[&["create", &name, "--dir", dir], more].concat())
    };
    let hint = "its root boots a system with busybox, which requires `wharf create --system`";
    assert!(create("hinted", &[]).contains(hint));
    assert!(!create("system", &["--system"]).contains("requires"));
    assert!(!create("program", &["-s", "lxc.init.cmd=/bin/sh"]).contains("requires"));
}
