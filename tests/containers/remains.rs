//! What remains of containers and commands that came halfway, for another reason than a kill: it is
//! never taken for the whole. As root.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Lxcpath, can_run_containers, finish, has_program, told};

/// A directory in which nothing can be made or removed, until this is dropped.
struct Fixed(PathBuf);

impl Fixed {
    fn new(dir: PathBuf) -> Option<Self> {
        let fixed = Self(dir);
        let done = fixed.set("+i");
        if !done {
            println!("skipped: no file attributes here");
        }
        done.then_some(fixed)
    }

    fn set(&self, flag: &str) -> bool {
        Command::new("chattr").arg(flag).arg(&self.0).output().is_ok_and(|it| it.status.success())
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        // It may have been moved into a draft.
        _ = self.set("-i");
    }
}

/// Makes a container whose root has a directory with one in it, whose only file goes before what is
/// around it does.
fn nested(lxcpath: &Lxcpath, word: &str) -> (String, PathBuf) {
    let name = lxcpath.name(word);
    lxcpath.ok(&["create", &name]);
    let dir = lxcpath.path().join(&name);
    fs::create_dir_all(dir.join("rootfs/outer/inner")).unwrap();
    fs::write(dir.join("rootfs/outer/inner/file"), "").unwrap();
    let config = fs::read_to_string(dir.join("config")).unwrap();
    let root = format!("{config}\nlxc.rootfs.path = dir:{}\n", dir.join("rootfs").display());
    fs::write(dir.join("config"), root).unwrap();
    (name, dir)
}

#[test]
fn what_was_removed_in_part_is_neither_restored_nor_started_and_can_be_removed() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let (name, dir) = nested(&lxcpath, "half");
    lxcpath.ok(&["snapshot", &name]);
    let Some(fixed) = Fixed::new(dir.join("snaps/snap0/rootfs/outer")) else { return };
    let said = lxcpath.refused(&["snapshot", &name, "delete", "snap0"], 1);
    assert!(said.contains("lsattr") && said.contains("a part of it is gone"), "{said}");
    assert!(lxcpath.ok(&["snapshot", &name, "list"]).contains("snap0"));
    let said = lxcpath.refused(&["snapshot", &name, "restore", "snap0"], 1);
    assert!(said.contains("only `delete` takes it"), "{said}");
    assert!(dir.join("rootfs/outer/inner/file").exists());
    drop(fixed);
    lxcpath.ok(&["snapshot", &name, "delete", "snap0"]);
    assert!(!dir.join("snaps").exists());

    let Some(fixed) = Fixed::new(dir.join("rootfs/outer")) else { return };
    let said = lxcpath.refused(&["destroy", "--now", &name], 1);
    assert!(said.contains("lsattr") && said.contains("a part of it is gone"), "{said}");
    let said = lxcpath.refused(&["start", &name], 1);
    assert!(said.contains("there is no such container"), "{said}");
    drop(fixed);
    lxcpath.ok(&["destroy", "--now", &name]);
    // Of one of which nothing could be removed nothing is lost.
    let (whole, dir) = nested(&lxcpath, "whole");
    fs::remove_dir_all(dir.join("rootfs/outer/inner")).unwrap();
    fs::remove_file(dir.join("seccomp")).unwrap();
    fs::write(dir.join("rootfs/outer/file"), "").unwrap();
    let Some(fixed) = Fixed::new(dir.join("rootfs/outer")) else { return };
    let said = lxcpath.refused(&["destroy", "--now", &whole], 1);
    assert!(said.contains("lsattr") && !said.contains("gone"), "{said}");
    assert_eq!(lxcpath.state(&whole), "STOPPED");
    drop(fixed);
}

#[test]
fn a_container_goes_only_if_it_is_known_that_nobody_uses_its_files() {
    if !can_run_containers() {
        return;
    }
    let (lxcpath, other) = (Lxcpath::new(), Lxcpath::new());
    let (base, dir) = nested(&lxcpath, "base");
    let copy = other.name("copy");
    let there = other.path().to_str().unwrap();
    lxcpath.ok(&["clone", "--snapshot", "-p", there, &base, &copy]);
    let (list, kept) = (dir.join("lxc_snapshots"), dir.join("kept"));
    fs::rename(&list, &kept).unwrap();
    symlink(&kept, &list).unwrap();
    for line in [&["destroy", "--now", &base][..], &["destroy", &base]] {
        let said = lxcpath.refused(line, 1);
        assert!(said.contains("lxc_snapshots, which tells"), "{said}");
    }
    fs::rename(&kept, &list).unwrap();
    let said = lxcpath.refused(&["destroy", "--now", &base], 1);
    assert!(said.contains("others use its files"), "{said}");
    other.ok(&["destroy", "--now", &copy]);
}

#[test]
fn without_another_thread_several_are_acted_on_one_after_the_other() {
    if !can_run_containers() || !has_program("setpriv") {
        return;
    }
    let lxcpath = Lxcpath::new();
    let names = ["one", "two"].map(|it| lxcpath.name(it));
    fs::set_permissions(lxcpath.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for name in &names {
        fs::create_dir(lxcpath.path().join(name)).unwrap();
        fs::write(lxcpath.path().join(name).join("config"), "").unwrap();
    }
    let program = lxcpath.path().join("program");
    fs::copy(env!("CARGO_BIN_EXE_wharf"), &program).unwrap();
    let mut command = Command::new("prlimit");
    let [uid, gid] = ["--reuid", "--regid"].map(|it| format!("{it}=64321"));
    command.args(["--nproc=1", "setpriv", &uid, &gid, "--clear-groups"]);
    command.arg(&program).arg("-P").arg(lxcpath.path()).arg("freeze").args(&names);
    let runtime = lxcpath.path().join("runtime");
    fs::create_dir(&runtime).unwrap();
    chown(&runtime, Some(64321), Some(64321)).unwrap();
    command.env("XDG_RUNTIME_DIR", &runtime).env("HOME", lxcpath.path());
    let output = finish(command);
    fs::remove_file(&program).unwrap();
    fs::remove_dir_all(&runtime).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    for name in &names {
        assert!(told(&output).contains(&format!("cannot freeze `{name}`")), "{}", told(&output));
    }
}

/// Where not even a directory can be made, what is to make room can go.
#[test]
fn a_container_and_a_snapshot_can_be_removed_from_a_full_disk() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let place = lxcpath.path().join("full");
    fs::create_dir(&place).unwrap();
    let script = "mount --make-rprivate / && mount -t tmpfs -o nr_inodes=60 none \"$1\" && \
        wharf() { \"$0\" -P \"$lxcpath\" \"$@\"; }; lxcpath=$1 && \
        wharf -q create \"$2\" && wharf snapshot \"$2\" && i=0 && \
        while touch \"$1/$i\" 2>&-; do i=$((i + 1)); done && ! mkdir \"$1/none\" 2>&- && \
        wharf snapshot \"$2\" delete snap0 && \
        while touch \"$1/$i\" 2>&-; do i=$((i + 1)); done && ! mkdir \"$1/none\" 2>&- && \
        ! wharf destroy \"$2\" && wharf destroy --now \"$2\" && ! ls -d \"$1/$2\" \"$1/.$2.new\" 2>&-";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_wharf")]);
    command.arg(&place).arg(lxcpath.name("large"));
    let output = finish(command);
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("the trash frees none"), "{}", told(&output));
    fs::remove_dir(&place).unwrap();
}
