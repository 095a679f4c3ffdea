//! Containers on btrfs, in an image of the test's own: subvolumes as roots, as LXC makes them, below
//! overlays and in its lxcpath. As root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::oci::run;
use crate::support::{Lxcpath, can_run_containers, finish, has_program, rootfs, told};

/// A mounted file system, with an lxcpath on it.
struct Btrfs {
    /// Gives names, and looks for what is left of them.
    names: Lxcpath,
    dir: tempfile::TempDir,
}

/// About the least that mkfs.btrfs takes.
const BYTES: u64 = 256 << 20;

impl Btrfs {
    /// None: this machine has no btrfs, which is reported.
    fn new() -> Option<Self> {
        if !can_run_containers() || !has_program("mkfs.btrfs") || !has_program("btrfs") {
            return None;
        }
        let (names, dir) = (Lxcpath::new(), tempfile::tempdir().unwrap());
        fs::File::create(dir.path().join("image")).unwrap().set_len(BYTES).unwrap();
        run(dir.path(), "mkfs.btrfs", &["-q", "image"]);
        fs::create_dir(dir.path().join("fs")).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "btrfs", "-o", "loop", "image", "fs"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        if !mounted.status.success() {
            println!("skipped: this kernel mounts no btrfs: {}", told(&mounted));
            return None;
        }
        let made = Self { names, dir };
        fs::create_dir(made.lxcpath()).unwrap();
        Some(made)
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("fs")
    }

    fn lxcpath(&self) -> PathBuf {
        self.path().join("lxc")
    }

    /// Makes a subvolume.
    fn subvolume(&self, at: &Path) {
        run(&self.path(), "btrfs", &["subvolume", "create", at.to_str().unwrap()]);
    }

    /// Counts the subvolumes.
    fn count(&self) -> usize {
        run(&self.path(), "btrfs", &["subvolume", "list", "."]).lines().count()
    }

    fn wharf(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.arg("-P").arg(self.lxcpath()).args(args);
        finish(command)
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.wharf(args);
        assert!(output.status.success(), "{args:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn inside(&self, name: &str, script: &str) -> String {
        self.ok(&["start", name, "--", "/bin/sleep", "1000"]);
        let said = self.ok(&["attach", name, "--", "/bin/sh", "-c", script]);
        self.ok(&["stop", "-k", name]);
        said
    }
}

impl Drop for Btrfs {
    fn drop(&mut self) {
        let names = String::from_utf8(self.wharf(&["ls", "-1"]).stdout).unwrap_or_default();
        for name in names.lines() {
            _ = self.wharf(&["destroy", "-f", "--now", name]);
        }
        _ = Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn a_subvolume_is_a_root_and_below_an_overlay() {
    let Some(btrfs) = Btrfs::new() else { return };
    let base = btrfs.path().join("base");
    btrfs.subvolume(&base);
    assert!(rootfs::busybox(&base));
    let plain = btrfs.names.name("plain");
    let root = format!("lxc.rootfs.path=btrfs:{}", base.display());
    btrfs.ok(&["create", &plain, "-s", &root]);
    let told = btrfs.inside(&plain, "echo x > /made; cat /proc/mounts");
    assert!(told.lines().any(|it| it.contains(" / btrfs rw,")), "{told}");
    assert!(base.join("made").exists());
    let over = btrfs.names.name("over");
    let upper = btrfs.path().join("upper");
    let root = format!("lxc.rootfs.path=overlay:{}:{}", base.display(), upper.display());
    btrfs.ok(&["create", &over, "-s", &root]);
    let told = btrfs.inside(&over, "rm /made; cat /proc/mounts");
    assert!(told.lines().any(|it| it.contains(" / overlay rw,")), "{told}");
    assert!(base.join("made").exists() && upper.join("made").symlink_metadata().is_ok());
    for name in [&plain, &over] {
        btrfs.ok(&["destroy", "--now", name]);
    }
    assert!(base.join("made").exists(), "it is outside of the container's directory");
}

#[test]
fn a_container_whose_root_is_a_subvolume_lives_as_any_other() {
    let Some(btrfs) = Btrfs::new() else { return };
    let name = btrfs.names.name("sub");
    // As lxc-create -B btrfs leaves it, with one that systemd has made inside.
    let home = btrfs.lxcpath().join(&name);
    let root = home.join("rootfs");
    fs::create_dir(&home).unwrap();
    btrfs.subvolume(&root);
    assert!(rootfs::busybox(&root));
    fs::create_dir_all(root.join("var/lib")).unwrap();
    btrfs.subvolume(&root.join("var/lib/machines"));
    fs::write(root.join("var/lib/machines/file"), "x").unwrap();
    let lines = format!(
        "lxc.rootfs.path = btrfs:{}\nlxc.uts.name = {name}\nlxc.net.0.type = empty\n",
        root.display()
    );
    fs::write(home.join("config"), lines).unwrap();
    assert_eq!(btrfs.inside(&name, "hostname; cat /var/lib/machines/file"), format!("{name}\nx"));
    let copy = btrfs.names.name("copy");
    btrfs.ok(&["clone", &name, &copy]);
    assert_eq!(btrfs.inside(&copy, "cat /var/lib/machines/file"), "x");
    btrfs.ok(&["snapshot", &copy]);
    btrfs.ok(&["snapshot", &copy, "restore", "snap0"]);
    assert_eq!(btrfs.inside(&copy, "cat /var/lib/machines/file"), "x");
    let moved = btrfs.names.name("moved");
    btrfs.ok(&["rename", &name, &moved]);
    btrfs.ok(&["destroy", &moved]);
    btrfs.ok(&["trash", "restore", &moved]);
    assert_eq!(btrfs.inside(&moved, "cat /var/lib/machines/file"), "x");
    assert_eq!(btrfs.count(), 2);
    btrfs.ok(&["destroy", "--now", &moved]);
    btrfs.ok(&["snapshot", &copy, "delete", "snap0"]);
    btrfs.ok(&["destroy", "--now", &copy]);
    assert_eq!(btrfs.count(), 0, "subvolumes are left");
}
