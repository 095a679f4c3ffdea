//! Clones, new names and snapshots of real containers, laid out as LXC lays them out. As root.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::UNIX_EPOCH;

use crate::support::{self, Lxcpath, can_run_containers, rootfs, told, tree};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

/// Makes a container whose root has a busybox, a host name and a file; none: it cannot be here.
fn web(lxcpath: &Lxcpath) -> Option<String> {
    if !can_run_containers() {
        return None;
    }
    let name = lxcpath.name("web");
    lxcpath.ok(&["create", &name]);
    let root = root(lxcpath, &name);
    fs::create_dir(&root).unwrap();
    if !rootfs::busybox(&root) {
        return None;
    }
    fs::write(root.join("etc/hostname"), "web\n").unwrap();
    fs::write(root.join("state"), "first").unwrap();
    let path = format!("lxc.rootfs.path = dir:{}", root.display());
    set(
        lxcpath,
        &name,
        &format!("{path}\nlxc.net.0.type = empty\nlxc.net.0.hwaddr = 00:16:3e:aa:bb:cc\n"),
    );
    Some(name)
}

fn at(lxcpath: &Lxcpath, name: &str, file: &str) -> PathBuf {
    lxcpath.path().join(name).join(file)
}

fn root(lxcpath: &Lxcpath, name: &str) -> PathBuf {
    at(lxcpath, name, "rootfs")
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// Adds lines to a configuration.
fn set(lxcpath: &Lxcpath, name: &str, lines: &str) {
    let file = at(lxcpath, name, "config");
    fs::write(&file, format!("{}{lines}", read(&file))).unwrap();
}

fn value(lxcpath: &Lxcpath, name: &str, key: &str) -> String {
    let said = lxcpath.ok(&["info", "-c", key, name]);
    said.trim().split_once(" = ").unwrap().1.to_owned()
}

fn lxc(lxcpath: &Lxcpath, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    let (name, rest) = args.split_first().unwrap();
    command.args(["lxc", name, "-P"]).arg(lxcpath.path()).args(rest);
    support::finish(command)
}

/// Runs the container's busybox and returns what it prints.
fn inside(lxcpath: &Lxcpath, name: &str, line: &str) -> String {
    lxcpath.ok(&["execute", name, "--", "/bin/sh", "-c", line])
}

#[test]
fn a_clone_has_its_own_name_and_address_and_a_base_cannot_go() {
    let lxcpath = Lxcpath::new();
    let Some(web) = web(&lxcpath) else { return };
    let [full, over, again, alike] = ["full", "over", "again", "alike"].map(|it| lxcpath.name(it));
    let hook = at(&lxcpath, &web, "hook.sh");
    fs::write(&hook, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    set(&lxcpath, &web, &format!("lxc.hook.start-host = {} /a/b\n", hook.display()));
    lxcpath.ok(&["clone", &web, &full]);
    assert_eq!(
        inside(&lxcpath, &full, "cat /etc/hostname /state; hostname"),
        format!("{full}first{full}\n")
    );
    assert_ne!(
        value(&lxcpath, &full, "lxc.net.0.hwaddr"),
        value(&lxcpath, &web, "lxc.net.0.hwaddr")
    );
    let own = at(&lxcpath, &full, "hook.sh");
    assert!(own.exists());
    assert!(read(at(&lxcpath, &full, "config")).contains(&format!("{} /a/b", own.display())));
    lxcpath.ok(&["clone", &web, &alike, "-K", "-M"]);
    assert_eq!(read(root(&lxcpath, &alike).join("etc/hostname")), "web\n");
    assert_eq!(value(&lxcpath, &alike, "lxc.net.0.hwaddr"), "00:16:3e:aa:bb:cc");

    lxcpath.ok(&["clone", &web, &over, "-S"]);
    lxcpath.ok(&["clone", &over, &again, "--snapshot"]);
    inside(&lxcpath, &over, "echo second > /state");
    assert_eq!(inside(&lxcpath, &again, "cat /state"), "first");
    let listed = read(at(&lxcpath, &web, "lxc_snapshots"));
    assert_eq!(listed.lines().skip(1).step_by(2).collect::<Vec<_>>(), [&over, &again]);
    for base in [&web, &over] {
        let said = lxcpath.refused(&["destroy", "--now", base], 1);
        assert!(said.contains("others use its files") && said.contains(&again), "{said}");
        let said = lxcpath.refused(&["rename", base, "other"], 1);
        assert!(said.contains("it keeps its name"), "{said}");
    }
    for name in [&again, &over, &web] {
        lxcpath.ok(&["destroy", "--now", name]);
    }
    let said = lxcpath.refused(&["clone", &web, "x"], 1);
    assert!(said.contains(&web), "{said}");
    assert!(!lxcpath.path().join("x").exists());
}

#[test]
fn a_running_container_is_cloned_only_if_that_is_asked_for() {
    let lxcpath = Lxcpath::new();
    let Some(web) = web(&lxcpath) else { return };
    let copy = lxcpath.name("copy");
    lxcpath.ok(&["start", &web, "--", "/bin/sleep", "1000"]);
    for args in [&["clone", &web, &copy][..], &["rename", &web, &copy], &["snapshot", &web]] {
        let said = lxcpath.refused(args, 1);
        assert!(said.contains("is running; `wharf stop"), "{said}");
    }
    lxcpath.ok(&["clone", "-a", &web, &copy]);
    assert_eq!(inside(&lxcpath, &copy, "cat /state"), "first");
}

#[test]
fn a_renamed_container_is_the_same_under_its_new_name() {
    let lxcpath = Lxcpath::new();
    let Some(web) = web(&lxcpath) else { return };
    let [new, over, moved] = ["new", "over", "moved"].map(|it| lxcpath.name(it));
    let inode = fs::metadata(root(&lxcpath, &web)).unwrap().ino();
    let entry =
        format!("lxc.mount.entry = {} mnt none bind 0 0\n", at(&lxcpath, &web, "share").display());
    fs::create_dir(at(&lxcpath, &web, "share")).unwrap();
    fs::write(at(&lxcpath, &web, "share/file"), "shared").unwrap();
    fs::create_dir(root(&lxcpath, &web).join("mnt")).unwrap();
    set(&lxcpath, &web, &entry);
    lxcpath.ok(&["rename", &web, &new]);
    assert!(!lxcpath.path().join(&web).exists());
    let said = inside(&lxcpath, &new, "cat /etc/hostname /mnt/file; hostname");
    assert_eq!(said, format!("{new}shared{new}\n"));
    assert_eq!(value(&lxcpath, &new, "lxc.net.0.hwaddr"), "00:16:3e:aa:bb:cc");
    let now = fs::metadata(root(&lxcpath, &new)).unwrap().ino();
    assert_eq!(inode, now, "it was copied");
    // A clone is listed by its base under its new name.
    lxcpath.ok(&["clone", &new, &over, "-S"]);
    lxcpath.ok(&["rename", &over, &moved]);
    assert!(read(at(&lxcpath, &new, "lxc_snapshots")).ends_with(&format!("\n{moved}\n")));
    assert_eq!(inside(&lxcpath, &moved, "cat /etc/hostname"), moved);
    for (from, to, code) in [(&moved, &new, 1), (&web, &over, 1), (&moved, &moved, 1)] {
        let before = tree(lxcpath.path());
        lxcpath.refused(&["rename", from, to], code);
        assert_eq!(tree(lxcpath.path()), before);
    }
}

/// What the file of a renaming says of the container.
fn announced(lxcpath: &Lxcpath, name: &str) -> String {
    let meta = fs::metadata(lxcpath.path().join(name)).unwrap();
    let made = meta.created().ok().and_then(|it| it.duration_since(UNIX_EPOCH).ok());
    format!("{name} {} {}", meta.ino(), made.unwrap_or_default().as_nanos())
}

/// What is found of a renaming that was killed before and after the directory got its new name.
#[test]
fn a_renaming_that_was_killed_is_completed_or_was_never_begun() {
    let lxcpath = Lxcpath::new();
    let Some(web) = web(&lxcpath) else { return };
    let new = lxcpath.name("new");
    let file = lxcpath.path().join(format!(".{new}.renamed"));
    fs::write(&file, announced(&lxcpath, &web)).unwrap();
    let other = lxcpath.name("other");
    lxcpath.ok(&["create", &other]);
    assert!(!file.exists());
    fs::write(&file, "").unwrap();
    lxcpath.ok(&["destroy", "--now", &other]);
    assert!(!file.exists());
    assert_eq!(inside(&lxcpath, &web, "hostname"), format!("{web}\n"));
    fs::write(&file, announced(&lxcpath, &web)).unwrap();
    fs::rename(lxcpath.path().join(&web), lxcpath.path().join(&new)).unwrap();
    assert_eq!(inside(&lxcpath, &new, "hostname; cat /etc/hostname"), format!("{new}\n{new}"));
    assert!(!file.exists());
}

#[test]
fn a_killed_renaming_changes_no_other_container_that_got_the_name() {
    let lxcpath = Lxcpath::new();
    let Some(web) = web(&lxcpath) else { return };
    let [db, other] = ["db", "other"].map(|it| lxcpath.name(it));
    let file = lxcpath.path().join(format!(".{db}.renamed"));
    lxcpath.ok(&["start", &web, "--", "/bin/sleep", "1000"]);
    fs::write(&file, announced(&lxcpath, &web)).unwrap();
    lxcpath.ok(&["create", &db]);
    assert!(!file.exists());
    // As if LXC had made it.
    fs::write(&file, announced(&lxcpath, &web)).unwrap();
    let entry = format!("lxc.mount.entry = {} mnt none bind\n", root(&lxcpath, &web).display());
    set(&lxcpath, &db, &entry);
    let before = read(at(&lxcpath, &db, "config"));
    lxcpath.ok(&["create", &other]);
    assert!(!file.exists());
    assert_eq!(read(at(&lxcpath, &db, "config")), before);
    assert!(lxcpath.ok(&["info", &web]).contains("Since"), "its record is gone");
}

/// The base's list is locked by another program.
#[test]
fn a_renaming_that_fails_late_changes_nothing_and_waits_for_nobody() {
    let lxcpath = Lxcpath::new();
    let Some(web) = web(&lxcpath) else { return };
    let [over, new] = ["over", "new"].map(|it| lxcpath.name(it));
    lxcpath.ok(&["clone", &web, &over, "-S"]);
    set(&lxcpath, &over, "lxc.uts.name = mail.example.org\n");
    let before = tree(lxcpath.path());
    let lock = fs::File::open(lxcpath.path().join(&web)).unwrap();
    lock.lock().unwrap();
    for args in [&["rename", &over, &new][..], &["clone", &over, &new, "-S"]] {
        let said = lxcpath.refused(args, 1);
        assert!(said.contains("another program has locked it"), "{args:?}: {said}");
        assert_eq!(tree(lxcpath.path()), before, "{args:?}");
        assert!(read(at(&lxcpath, &over, "config")).contains("mail.example.org"));
    }
    drop(lock);
    lxcpath.ok(&["rename", &over, &new]);
}

#[test]
fn a_snapshot_is_kept_listed_restored_and_deleted() {
    let lxcpath = Lxcpath::new();
    let Some(web) = web(&lxcpath) else { return };
    assert_eq!(lxcpath.ok(&["snapshot", &web, "list"]), "");
    assert_eq!(lxcpath.ok(&["snapshot", &web, "-c", "before the upgrade"]), "snap0\n");
    fs::write(root(&lxcpath, &web).join("state"), "second").unwrap();
    set(&lxcpath, &web, "lxc.environment = LATER=1\n");
    assert_eq!(lxcpath.ok(&["snapshot", &web]), "snap1\n");
    let kept = lxcpath.path().join(&web).join("snaps");
    assert_eq!(read(kept.join("snap0/comment")), "before the upgrade\n");
    let time = read(kept.join("snap0/ts"));
    assert!(time.len() == 19 && time.is_ascii() && time.contains(' '), "{time}");
    let listed = lxcpath.ok(&["snapshot", &web, "list"]);
    assert!(
        listed.starts_with("NAME   TAKEN ") && listed.contains("  before the upgrade\n"),
        "{listed}"
    );
    let listed: serde_json::Value =
        serde_json::from_str(&lxcpath.ok(&["snapshot", &web, "list", "--json"])).unwrap();
    assert_eq!(listed[0]["name"], "snap0");
    assert!(listed[0]["bytes"].as_u64().unwrap() > 100_000, "{listed}");

    let before = tree(lxcpath.path());
    let said = lxcpath.refused(&["snapshot", &web, "restore", "snap9"], 1);
    assert!(said.contains("no snapshot snap9; it has snap0, snap1"), "{said}");
    let said = lxcpath.refused(&["destroy", "--now", &web], 1);
    assert!(said.contains("it has snapshots in"), "{said}");
    assert_eq!(tree(lxcpath.path()), before);
    restore_and_delete(&lxcpath, &web);
    assert!(!kept.exists());
}

/// Gives the container back what it was, and makes another one of the second snapshot.
fn restore_and_delete(lxcpath: &Lxcpath, web: &str) {
    let new = lxcpath.name("new");
    // What no snapshot keeps stays.
    fs::create_dir(at(lxcpath, web, "share")).unwrap();
    fs::write(at(lxcpath, web, "share/file"), "shared").unwrap();
    fs::write(at(lxcpath, web, ".secret"), "hidden").unwrap();
    fs::write(at(lxcpath, web, "web.log"), "lines").unwrap();
    lxcpath.ok(&["snapshot", web, "restore", "snap0"]);
    assert_eq!(read(at(lxcpath, web, "share/file")), "shared");
    assert_eq!(read(at(lxcpath, web, ".secret")), "hidden");
    assert_eq!(read(at(lxcpath, web, "web.log")), "lines");
    assert_eq!(inside(lxcpath, web, "cat /state /etc/hostname"), "firstweb\n");
    assert!(!read(at(lxcpath, web, "config")).contains("LATER"));
    assert_eq!(value(lxcpath, web, "lxc.net.0.hwaddr"), "00:16:3e:aa:bb:cc");
    lxcpath.ok(&["snapshot", web, "restore", "snap1", &new]);
    assert_eq!(inside(lxcpath, &new, "cat /state /etc/hostname"), format!("second{new}"));
    assert_ne!(value(lxcpath, &new, "lxc.net.0.hwaddr"), "00:16:3e:aa:bb:cc");
    lxcpath.refused(&["snapshot", web, "restore", "snap1", &new], 1);

    lxcpath.ok(&["snapshot", web, "delete", "snap0"]);
    assert_eq!(lxcpath.ok(&["snapshot", web]), "snap0\n");
    assert_eq!(
        lxcpath.ok(&["snapshot", web, "delete", "all"]),
        format!("{web}: removed 2 snapshots\n")
    );
    lxcpath.refused(&["snapshot", web, "delete", "all"], 1);
}

#[test]
fn a_snapshot_of_an_overlay_keeps_what_it_changed_and_its_base() {
    let lxcpath = Lxcpath::new();
    let Some(web) = web(&lxcpath) else { return };
    let over = lxcpath.name("over");
    lxcpath.ok(&["clone", &web, &over, "-S"]);
    inside(&lxcpath, &over, "echo second > /state; rm /etc/hostname");
    lxcpath.ok(&["snapshot", &over]);
    let kept = at(&lxcpath, &over, "snaps/snap0");
    assert!(read(kept.join("config")).contains(&format!("{}/overlay/delta", kept.display())));
    inside(&lxcpath, &over, "echo third > /state; echo back > /etc/hostname");
    let listed = read(at(&lxcpath, &web, "lxc_snapshots"));
    assert!(listed.contains("/snaps\nsnap0\n"), "{listed}");
    let size = |of: &Path| tree(of).len();
    assert!(size(&kept) < size(&root(&lxcpath, &web)), "all of it was copied");
    lxcpath.ok(&["snapshot", &over, "restore", "snap0"]);
    let said = inside(&lxcpath, &over, "cat /state; ls /etc");
    assert!(said.starts_with("second") && !said.contains("hostname"), "{said}");
    assert_eq!(read(at(&lxcpath, &web, "lxc_snapshots")), listed);
    lxcpath.ok(&["snapshot", &over, "delete", "snap0"]);
    lxcpath.ok(&["destroy", "--now", &over]);
    assert!(!at(&lxcpath, &web, "lxc_snapshots").exists());
}

/// A kill between the moves of a restore leaves the snapshots in the draft of the container.
#[test]
fn snapshots_come_back_after_a_restore_that_was_killed() {
    let lxcpath = Lxcpath::new();
    let Some(web) = web(&lxcpath) else { return };
    lxcpath.ok(&["snapshot", &web]);
    let snaps = at(&lxcpath, &web, "snaps");
    let draft = lxcpath.path().join(format!(".{web}.new/draft"));
    fs::create_dir_all(draft.join("rootfs")).unwrap();
    fs::rename(&snaps, draft.join("snaps")).unwrap();
    lxcpath.ok(&["create", &lxcpath.name("other")]);
    assert!(snaps.join("snap0/config").exists() && !draft.exists());
    // One that was not finished goes.
    fs::create_dir_all(snaps.join(".snap1.new/draft/rootfs")).unwrap();
    lxcpath.ok(&["create", &lxcpath.name("third")]);
    assert_eq!(fs::read_dir(&snaps).unwrap().count(), 1);
}

/// A restore that was killed just after the exchange has left the old container in the draft.
fn kill_restore(lxcpath: &Lxcpath, name: &str) {
    let draft = lxcpath.path().join(format!(".{name}.new"));
    let old = lxcpath.path().join(name);
    fs::create_dir(&draft).unwrap();
    fs::rename(&old, draft.join("draft")).unwrap();
    fs::create_dir_all(old.join("rootfs")).unwrap();
    fs::copy(draft.join("draft/config"), old.join("config")).unwrap();
    fs::write(old.join(".wharf-replaces"), "").unwrap();
}

/// The same before there was a mark: the snapshots alone had been moved.
fn kill_moves(lxcpath: &Lxcpath, name: &str) {
    let draft = lxcpath.path().join(format!(".{name}.new/draft"));
    fs::create_dir_all(draft.join("rootfs")).unwrap();
    fs::rename(at(lxcpath, name, "snaps"), draft.join("snaps")).unwrap();
}

#[test]
fn every_command_gives_back_first_what_a_killed_restore_has_left() {
    let lxcpath = Lxcpath::new();
    let Some(web) = web(&lxcpath) else { return };
    let copy = lxcpath.name("copy");
    fs::create_dir(at(&lxcpath, &web, "share")).unwrap();
    fs::write(at(&lxcpath, &web, "share/file"), "shared").unwrap();
    lxcpath.ok(&["snapshot", &web]);
    let check = |args: &[&str], code, said: &str| {
        kill_restore(&lxcpath, &web);
        let output = lxcpath.wharf(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
        assert!(told(&output).contains(said), "{args:?}: {}", told(&output));
        assert_eq!(read(at(&lxcpath, &web, "share/file")), "shared", "{args:?}");
        assert!(at(&lxcpath, &web, "snaps/snap0/config").exists(), "{args:?}");
        assert!(!lxcpath.path().join(format!(".{web}.new")).exists(), "{args:?}");
    };
    check(&["snapshot", &web, "list"], 0, "snap0");
    check(&["snapshot", &web], 0, "snap1\n");
    check(&["snapshot", &web, "delete", "snap1"], 0, "");
    check(&["snapshot", &web, "restore", "snap0"], 0, "");
    check(&["rename", &web, &copy], 1, "it has snapshots in");
    check(&["destroy", "--now", &web], 1, "it has snapshots in");
    check(&["clone", &web, &copy], 0, "");
    kill_moves(&lxcpath, &web);
    let said = lxcpath.refused(&["rename", &web, "other"], 1);
    assert!(said.contains("it has snapshots in"), "{said}");
    kill_moves(&lxcpath, &web);
    assert_eq!(lxcpath.ok(&["snapshot", &web]), "snap1\n");
    // What is in the way of one is not lost for it.
    kill_restore(&lxcpath, &web);
    fs::create_dir_all(at(&lxcpath, &web, "snaps/snap0")).unwrap();
    for args in [&["snapshot", &web][..], &["rename", &web, "x"], &["destroy", "-f", &web]] {
        let said = lxcpath.refused(args, 1);
        assert!(said.contains("cannot be moved back to"), "{args:?}: {said}");
    }
    fs::remove_dir(at(&lxcpath, &web, "snaps/snap0")).unwrap();
    assert_eq!(lxcpath.ok(&["snapshot", &web]), "snap2\n");
}

#[test]
fn lxc_snapshot_prints_and_returns_what_lxc_does() {
    let lxcpath = Lxcpath::new();
    let Some(web) = web(&lxcpath) else { return };
    let new = lxcpath.name("new");
    let said = |args: &[&str], code: i32, out: &str| {
        let output = lxc(&lxcpath, &[&["snapshot", "-n", &web], args].concat());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
        assert_eq!(support::text(&output.stdout), out, "{args:?}");
    };
    let comment = lxcpath.path().join("comment");
    fs::write(&comment, "no line end").unwrap();
    let comment = comment.to_str().unwrap();
    said(&["-L"], 0, "No snapshots\n");
    said(&["-d", "ALL"], 1, "");
    said(&["-c", "/no/such/file"], 1, "");
    said(&[], 0, "");
    said(&["-C", "-c", comment], 0, "");
    let snaps = at(&lxcpath, &web, "snaps");
    let line = |it: &str| {
        let time = read(snaps.join(it).join("ts"));
        format!("{it} ({}) {time}\n", snaps.display())
    };
    said(&["-L"], 0, &(line("snap0") + &line("snap1")));
    said(&["-L", "-C"], 0, &(line("snap0") + &line("snap1") + "no line end"));
    // A pipe is not waited for, and a link leads nowhere.
    let ts = read(snaps.join("snap0/ts"));
    fs::remove_file(snaps.join("snap0/ts")).unwrap();
    mkfifo(&snaps.join("snap0/ts"), Mode::S_IRUSR).unwrap();
    symlink("/etc/hostname", snaps.join("snap0/comment")).unwrap();
    let none = format!("snap0 ({}) (null)\n", snaps.display());
    said(&["-L", "-C"], 0, &(none + &line("snap1") + "no line end"));
    fs::remove_file(snaps.join("snap0/ts")).unwrap();
    fs::write(snaps.join("snap0/ts"), ts).unwrap();
    said(&["-r", "snap9"], 1, "");
    said(&["-r", "snap0", "a", "b"], 1, "");
    said(&["-r", "snap0", "-N", &new], 0, "");
    said(&["-r", "snap0", "-N", &new], 1, "");
    said(&["-r", "snap0"], 0, "");
    // As LXC does.
    assert_eq!(value(&lxcpath, &web, "lxc.uts.name"), web);
    assert_ne!(value(&lxcpath, &web, "lxc.net.0.hwaddr"), "00:16:3e:aa:bb:cc");
    said(&["-d", "snap9"], 1, "");
    said(&["-d", "snap0"], 0, "");
    said(&["-d", "A"], 0, "");
    said(&["-d", "ALL"], 1, "");
    assert!(!snaps.exists());
}

#[test]
fn lxc_copy_copies_renames_and_runs_what_lives_briefly() {
    let lxcpath = Lxcpath::new();
    let Some(web) = web(&lxcpath) else { return };
    let [copy, over, new] = ["copy", "over", "new"].map(|it| lxcpath.name(it));
    let ran = |args: &[&str]| lxc(&lxcpath, &[&["copy", "-n", &web], args].concat());
    let code = |args: &[&str]| ran(args).status.code();
    assert_eq!(code(&[]), Some(1));
    assert_eq!(code(&["-N", &copy]), Some(0));
    assert_eq!(code(&["-N", &copy]), Some(1));
    assert_eq!(code(&["-N", &over, "-B", "bogus"]), Some(1));
    assert_eq!(code(&["-N", &over, "-B", "overlay"]), Some(1));
    assert_eq!(code(&["-N", &over, "-s"]), Some(0));
    assert_eq!(inside(&lxcpath, &over, "cat /state"), "first");
    let output = lxc(&lxcpath, &["copy", &copy, "-N", &new, "-R"]);
    assert!(output.status.success(), "{}", told(&output));
    assert!(!lxcpath.path().join(&copy).exists());
    assert_eq!(code(&["-N", &copy, "-R"]), Some(1), "it has a clone");

    let share = lxcpath.path().join("share");
    fs::create_dir(&share).unwrap();
    let mount = format!("bind={}:/mnt", share.display());
    let output = ran(&[
        "-e",
        "-m",
        &mount,
        "--",
        "sh",
        "-c",
        "cat /state /etc/hostname > /mnt/said; exit 7",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let created = support::text(&output.stdout);
    let brief = created.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(created, format!("Created {brief} as clone of {web}\n"));
    assert_eq!(read(share.join("said")), format!("first{brief}"));
    support::wait_until("its end", || !lxcpath.path().join(&brief).exists());
}
