//! Roots that are packed into images, and copies of containers whatever keeps their files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{self, Lxcpath, can_run_containers, rootfs, tree};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Makes an archive of a root that has a host name; none: images cannot be made or mounted here.
fn packable(dir: &Path) -> Option<PathBuf> {
    let has = |it: &str| Path::new(it).exists();
    if !has("/dev/loop-control") || !has("/usr/sbin/mkfs.ext4") && !has("/sbin/mkfs.ext4") {
        println!("skipped: no loop devices, or no mkfs.ext4");
        return None;
    }
    let root = dir.join("root");
    fs::create_dir(&root).unwrap();
    if !can_run_containers() || !rootfs::busybox(&root) {
        return None;
    }
    fs::write(root.join("etc/hostname"), "web\n").unwrap();
    let archive = dir.join("plain.tar");
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&root).arg("-cf").arg(&archive).args(["bin", "etc"]);
    assert!(tar.status().unwrap().success());
    Some(archive)
}

#[test]
fn a_root_is_packed_into_an_image_which_is_copied_as_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let Some(archive) = packable(dir.path()) else { return };
    let (lxcpath, tar) = (Lxcpath::new(), archive.to_str().unwrap());
    let [packed, copy, plain, other] =
        ["packed", "copy", "plain", "other"].map(|it| lxcpath.name(it));
    let at = |name: &str, file: &str| lxcpath.path().join(name).join(file);
    lxcpath.ok(&["create", &packed, "--from", tar, "-B", "loop", "--fssize", "32M"]);
    let root = format!("lxc.rootfs.path = loop:{}", at(&packed, "rootdev").display());
    assert!(fs::read_to_string(at(&packed, "config")).unwrap().contains(&root));
    assert_eq!(fs::metadata(at(&packed, "rootdev")).unwrap().len(), 32 << 20);
    assert_eq!(fs::read_dir(at(&packed, "rootfs")).unwrap().count(), 0);
    let script = "cat /etc/hostname; grep ' / ' /proc/mounts; echo x > /new";
    let script = ["/bin/sh", "-c", script];
    let execute = |name: &str| lxcpath.ok(&[&["execute", name, "--"], &script[..]].concat());
    let said = execute(&packed);
    assert!(said.starts_with("web\n") && said.contains(" / ext4 rw"), "{said}");

    lxcpath.ok(&["create", &copy, "--from", &packed]);
    let said = execute(&copy);
    assert!(said.starts_with(&format!("{copy}/dev/loop")), "{said}");
    lxcpath.ok(&["create", &plain, "--from", tar]);
    lxcpath.ok(&["create", &other, "--from", &plain, "-B", "loop", "--fssize", "32M"]);
    assert!(execute(&other).starts_with(&format!("{other}/dev/loop")));

    let x = lxcpath.name("x");
    for (args, words) in [
        (&["--from", &packed, "-S"][..], "which is copied whole"),
        (&["--from", &packed, "-B", "loop"], "packs only a root that is a directory"),
        (&["--from", tar, "-B", "loop", "--fssize", "1M"], "--fssize gives the image more room"),
    ] {
        let said = lxcpath.refused(&[&["create", &x], args].concat(), 1);
        assert!(said.contains(words), "{said}");
    }
    let left = tree(lxcpath.path());
    assert!(!left.iter().any(|it| it.to_str().unwrap().contains(&x)), "{left:?}");
    for name in [packed, copy, plain, other] {
        lxcpath.ok(&["destroy", "--now", &name]);
    }
}

#[test]
fn a_copy_is_completed_by_its_hook_whatever_keeps_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let Some(archive) = packable(dir.path()) else { return };
    let (lxcpath, tar) = (Lxcpath::new(), archive.to_str().unwrap());
    // Its path has a real name, at which it is: no hook shall reach the host's files by it.
    let hook = "sh -c 'test -d $LXC_ROOTFS_MOUNT/bin && \
                test -e $(echo $LXC_ROOTFS_PATH | sed s/.*://) && \
                test $(readlink -f $LXC_ROOTFS_MOUNT) = $LXC_ROOTFS_MOUNT && echo $LXC_SRC_NAME $* $LXC_ROOTFS_PATH > \
                $LXC_ROOTFS_MOUNT/etc/told && echo lxc.tty.max = 3 >> $LXC_CONFIG_FILE' x";
    let hook = format!("lxc.hook.clone={hook}");
    let [dir, packed] = ["dir", "packed"].map(|it| lxcpath.name(it));
    lxcpath.ok(&["create", &dir, "--from", tar, "-s", &hook]);
    let size = ["--from", tar, "-B", "loop", "--fssize", "32M", "-s", &hook];
    lxcpath.ok(&[&["create", &packed], &size[..]].concat());
    for (word, from, more, root) in [
        ("full", &dir, &[][..], "dir:"),
        ("over", &dir, &["-S"], "overlay:"),
        ("image", &packed, &[], "loop:"),
    ] {
        let name = lxcpath.name(word);
        lxcpath.ok(&[&["create", &name, "--from", from], more].concat());
        let told = lxcpath.ok(&["execute", &name, "--", "/bin/cat", "/etc/told", "/etc/hostname"]);
        assert!(told.starts_with(&format!("{from} {name} lxc clone {root}/")), "{told}");
        assert!(told.ends_with(&format!("\n{name}")), "{told}");
        let config = fs::read_to_string(lxcpath.path().join(&name).join("config")).unwrap();
        assert!(config.contains("lxc.tty.max = 3"), "{config}");
    }
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!table.contains(lxcpath.path().to_str().unwrap()), "{table}");
    let file = lxcpath.path().join(&dir).join("config");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}lxc.hook.clone = sh -c 'echo not today; exit 4'\n")).unwrap();
    let x = lxcpath.name("x");
    let said = lxcpath.refused(&["create", &x, "--from", &dir, "-S"], 1);
    assert!(said.contains("exit status: 4: not today; nothing was created"), "{said}");
    assert!(!lxcpath.path().join(&x).exists());
}

/// Makes a container with a root of its own in which nothing can run.
fn hollow(lxcpath: &Lxcpath, more: &str) -> String {
    let name = lxcpath.name("hollow");
    lxcpath.ok(&["create", &name]);
    let dir = lxcpath.path().join(&name);
    fs::create_dir(dir.join("rootfs")).unwrap();
    let text = fs::read_to_string(dir.join("config")).unwrap();
    let root = format!("lxc.rootfs.path = dir:{}/rootfs\n", dir.display());
    fs::write(dir.join("config"), text + &root + more).unwrap();
    name
}

#[test]
fn a_hook_that_is_cancelled_leaves_no_copy() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let mark = lxcpath.path().join("mark");
    let hook = format!("lxc.hook.clone = sh -c 'touch {}; sleep 1000'\n", mark.display());
    let name = hollow(&lxcpath, &hook);
    let copy = lxcpath.name("copy");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.arg("-P").arg(lxcpath.path()).args(["clone", &name, &copy]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    support::wait_until("the hook", || mark.exists());
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = support::told(&output);
    assert!(!output.status.success() && said.contains("cancelled; nothing is left"), "{said}");
    assert!(!lxcpath.path().join(&copy).exists());
    assert!(!lxcpath.path().join(format!(".{copy}.new")).exists());
}

#[test]
fn a_destruction_that_is_refused_keeps_the_snapshots() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = hollow(&lxcpath, "");
    lxcpath.ok(&["snapshot", &name]);
    let dir = lxcpath.path().join(&name);
    let text = fs::read_to_string(dir.join("config")).unwrap();
    let destroy = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.args(["lxc", "destroy", "-s", "-n", &name, "-P"]).arg(lxcpath.path());
        support::finish(command)
    };
    let hook = "lxc.hook.destroy = sh -c 'echo not today; exit 4'\n";
    fs::write(dir.join("config"), format!("{text}{hook}")).unwrap();
    let before = tree(lxcpath.path());
    let output = destroy();
    assert_eq!(output.status.code(), Some(1), "{}", support::told(&output));
    assert_eq!(tree(lxcpath.path()), before);
    fs::write(dir.join("config"), text).unwrap();
    let output = destroy();
    assert!(output.status.success(), "{}", support::told(&output));
    assert!(!dir.exists());
}
