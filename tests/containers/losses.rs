//! What must not be lost, or come to harm, when containers are destroyed and restored. As root.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::support::{self, Lxcpath, can_run_containers, finish, text, told};

fn made(lxcpath: &Lxcpath, word: &str) -> String {
    let name = lxcpath.name(word);
    lxcpath.ok(&["create", &name]);
    let root = lxcpath.path().join(&name).join("rootfs");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("state"), word).unwrap();
    set_root(lxcpath, &name, &format!("dir:{}", root.display()));
    name
}

fn set_root(lxcpath: &Lxcpath, name: &str, root: &str) {
    let file = lxcpath.path().join(name).join("config");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}lxc.rootfs.path = {root}\n")).unwrap();
}

fn trash(lxcpath: &Lxcpath) -> PathBuf {
    lxcpath.path().join(".wharf-trash")
}

fn by_path(path: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(args).arg("-P").arg(path);
    finish(command)
}

#[test]
fn root_follows_nothing_that_the_owner_of_the_lxcpath_has_planted() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let web = made(&lxcpath, "web");
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path();
    fs::create_dir_all(victim.join(&web)).unwrap();
    fs::write(victim.join("size"), "untouched").unwrap();
    let before = support::tree(victim);
    let id = format!("{web}@20200101-120000");
    chown(lxcpath.path(), Some(65534), None).unwrap();
    // The trash is a stranger's, whatever is in it.
    fs::create_dir_all(trash(&lxcpath).join(&id).join(&web)).unwrap();
    symlink(victim.join("size"), trash(&lxcpath).join(&id).join("size")).unwrap();
    chown(trash(&lxcpath), Some(65534), None).unwrap();
    let said = lxcpath.refused(&["trash"], 1);
    assert!(said.contains("belongs to the user 65534, not to this user"), "{said}");
    let said = lxcpath.refused(&["destroy", &web], 1);
    assert!(said.contains("belongs to the user 65534"), "{said}");
    assert!(said.contains(&format!("destroy --now {web}` removes it for good")), "{said}");
    lxcpath.refused(&["trash", "restore", &id, "--as", &lxcpath.name("new")], 1);
    lxcpath.refused(&["trash", "empty", "-y"], 1);
    lxcpath.ok(&["create", &lxcpath.name("other")]);
    assert!(trash(&lxcpath).join(&id).join(&web).exists());
    fs::remove_dir_all(trash(&lxcpath)).unwrap();
    // A room is a link, in one of root's.
    fs::create_dir(trash(&lxcpath)).unwrap();
    symlink(victim, trash(&lxcpath).join(&id)).unwrap();
    assert_eq!(lxcpath.ok(&["trash"]), "");
    lxcpath.refused(&["trash", "restore", &id, "--as", &lxcpath.name("new")], 1);
    lxcpath.ok(&["create", &lxcpath.name("third")]);
    assert_eq!(support::tree(victim), before);
    assert_eq!(fs::read_to_string(victim.join("size")).unwrap(), "untouched");
    fs::remove_file(trash(&lxcpath).join(&id)).unwrap();
    // Sizes that no sum can hold.
    for day in ["01", "02"] {
        let room = trash(&lxcpath).join(format!("{web}@202001{day}-120000"));
        fs::create_dir_all(room.join(&web)).unwrap();
        fs::write(room.join("size"), u64::MAX.to_string()).unwrap();
    }
    lxcpath.ok(&["trash"]);
}

#[test]
fn a_copy_in_the_trash_keeps_its_base_however_it_was_named() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let base = made(&lxcpath, "base");
    let over = lxcpath.name("over");
    let links = tempfile::tempdir().unwrap();
    let link = links.path().join("link");
    symlink(lxcpath.path(), &link).unwrap();
    lxcpath.ok(&["clone", &base, &over, "-S"]);
    let destroyed = by_path(&link, &["destroy", &over]);
    assert!(destroyed.status.success(), "{}", told(&destroyed));
    let said = lxcpath.refused(&["destroy", "--now", &base], 1);
    assert!(said.contains("in the trash shows its files"), "{said}");
    // A new one of that name stays listed when the old one comes back under another.
    lxcpath.ok(&["clone", &base, &over, "-S"]);
    let other = lxcpath.name("other");
    lxcpath.ok(&["trash", "restore", &over, "--as", &other]);
    let listed = fs::read_to_string(lxcpath.path().join(&base).join("lxc_snapshots")).unwrap();
    let mut names: Vec<&str> = listed.lines().skip(1).step_by(2).collect();
    names.sort_unstable();
    let mut both = [over.as_str(), other.as_str()];
    both.sort_unstable();
    assert_eq!(names, both, "{listed}");
    // Copies go first, in whichever order they are named.
    let all = lxcpath.ok(&["destroy", &base, &over, &other]);
    assert_eq!(all.matches(": moved to the trash").count(), 3, "{all}");
}

#[test]
fn a_root_that_only_the_trash_still_uses_is_kept() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let base = made(&lxcpath, "base");
    let hand = lxcpath.name("hand");
    lxcpath.ok(&["create", &hand]);
    let lower = lxcpath.path().join(&base).join("rootfs");
    let upper = lxcpath.path().join(&hand).join("delta");
    fs::create_dir(&upper).unwrap();
    set_root(&lxcpath, &hand, &format!("overlay:{}:{}", lower.display(), upper.display()));
    lxcpath.ok(&["destroy", &hand]);
    let said = lxcpath.refused(&["destroy", "--now", &base], 1);
    assert!(said.contains(&format!("{hand}@")) && said.contains("shows its files"), "{said}");
    lxcpath.ok(&["destroy", &base]);
    let said = lxcpath.ok(&["trash", "restore", &hand]);
    assert!(said.contains(&format!("its root needs {}", lower.display())), "{said}");
}

#[test]
fn nothing_is_killed_for_a_trash_that_cannot_take_it() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let name = lxcpath.start_sleeper("runs");
    fs::write(trash(&lxcpath), "").unwrap();
    for args in [&["destroy", "-f", &name][..], &["destroy", "-f", "--dry-run", &name]] {
        let said = lxcpath.wharf(args);
        assert_eq!(said.status.code(), Some(1), "{}", told(&said));
        let said = text(&said.stderr);
        assert!(said.contains("is not a directory; move it away"), "{said}");
        assert!(said.contains(&format!("destroy --now {name}`")), "{said}");
        assert_eq!(lxcpath.state(&name), "RUNNING");
    }
    fs::remove_file(trash(&lxcpath)).unwrap();
    lxcpath.ok(&["destroy", "-f", "--dry-run", &name]);
    assert!(!trash(&lxcpath).exists());
    lxcpath.ok(&["destroy", "-f", &name]);
}

#[test]
fn the_trash_is_not_emptied_unasked() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    lxcpath.ok(&["destroy", &made(&lxcpath, "web")]);
    let said = lxcpath.refused(&["trash", "empty"], 1);
    assert!(said.contains("needs -y"), "{said}");
    assert_eq!(lxcpath.ok(&["trash"]).lines().count(), 2);
    lxcpath.ok(&["trash", "empty", "-y"]);
    assert!(!trash(&lxcpath).exists());
}

#[test]
fn a_container_is_in_one_place_whenever_the_command_is_killed() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let base = made(&lxcpath, "base");
    let [over, new] = ["over", "new"].map(|it| lxcpath.name(it));
    lxcpath.ok(&["clone", &base, &over, "-S"]);
    let mut at = over.clone();
    let mut killed = 0;
    let (_keep, never) = std::sync::mpsc::channel::<()>();
    for round in 0..40_u64 {
        let other = if at == over { &new } else { &over };
        let in_trash = trash(&lxcpath).exists();
        let args: Vec<&str> = match (in_trash, round % 3) {
            (false, _) => vec!["destroy", &at],
            (true, 0) => vec!["trash", "restore", &at, "--as", other],
            (true, _) => vec!["trash", "restore", &at],
        };
        let mut command = lxcpath.command(&args);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        // Wherever it is by then.
        _ = never.recv_timeout(Duration::from_micros(500 * (round * 7 % 40)));
        _ = child.kill();
        killed += usize::from(!child.wait().unwrap().success());
        // The next command settles what was left.
        lxcpath.ok(&["create", &lxcpath.name("next")]);
        lxcpath.ok(&["destroy", "--now", &lxcpath.name("next")]);
        let live = [&over, &new].map(|it| lxcpath.path().join(it).join("config").exists());
        let listed = lxcpath.ok(&["trash"]);
        let trashed = listed.lines().count().saturating_sub(1);
        let count = live.iter().filter(|it| **it).count() + trashed;
        assert_eq!(count, 1, "{args:?}: {live:?} {listed}");
        at = match (live, listed.lines().nth(1)) {
            ([true, _], _) => over.clone(),
            ([false, true], _) => new.clone(),
            ([false, false], row) => row.unwrap().split('@').next().unwrap().to_owned(),
        };
        let said = lxcpath.refused(&["destroy", "--now", &base], 1);
        assert!(said.contains("use its files") || said.contains("shows its files"), "{said}");
    }
    assert!(killed > 0, "none was killed in time");
}
