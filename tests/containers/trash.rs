//! Destroyed containers in the trash: kept, given back, removed by age and size. As root.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::support::screen::Screen;
use crate::support::{self, Lxcpath, can_run_containers, rootfs, text, told, tree};

/// A container whose root has a busybox and a file; none: it cannot be here.
fn made(lxcpath: &Lxcpath, word: &str) -> Option<String> {
    if !can_run_containers() {
        return None;
    }
    let name = lxcpath.name(word);
    lxcpath.ok(&["create", &name]);
    let root = lxcpath.path().join(&name).join("rootfs");
    fs::create_dir(&root).unwrap();
    if !rootfs::busybox(&root) {
        return None;
    }
    fs::write(root.join("state"), "first").unwrap();
    set(lxcpath, &name, &format!("lxc.rootfs.path = dir:{}\n", root.display()));
    Some(name)
}

/// Adds lines to a configuration.
fn set(lxcpath: &Lxcpath, name: &str, lines: &str) {
    let file = lxcpath.path().join(name).join("config");
    fs::write(&file, format!("{}{lines}", fs::read_to_string(&file).unwrap())).unwrap();
}

/// Runs the container's busybox and returns what it prints.
fn inside(lxcpath: &Lxcpath, name: &str, line: &str) -> String {
    lxcpath.ok(&["execute", name, "--", "/bin/sh", "-c", line])
}

fn trash(lxcpath: &Lxcpath) -> PathBuf {
    lxcpath.path().join(".wharf-trash")
}

/// The ids in the trash, the oldest first.
fn ids(lxcpath: &Lxcpath) -> Vec<String> {
    let listed = lxcpath.ok(&["trash", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let rows = listed.as_array().unwrap();
    rows.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

/// Makes one in the trash look as if it had been destroyed in 2020, on that day of January.
fn aged(lxcpath: &Lxcpath, id: &str, day: u32) -> String {
    let old = format!("{}@202001{day:02}-120000", id.split_once('@').unwrap().0);
    fs::rename(trash(lxcpath).join(id), trash(lxcpath).join(&old)).unwrap();
    old
}

/// Runs wharf with what an operator has set for the trash.
fn with(lxcpath: &Lxcpath, limits: &str, args: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("wharf")).unwrap();
    fs::write(home.path().join("wharf/wharf.conf"), limits).unwrap();
    let mut command = lxcpath.command(args);
    command.env("XDG_CONFIG_HOME", home.path());
    support::finish(command)
}

#[test]
fn what_was_destroyed_comes_back_as_it_was() {
    let lxcpath = Lxcpath::new();
    let Some(web) = made(&lxcpath, "web") else { return };
    assert_eq!(lxcpath.ok(&["snapshot", &web]), "snap0\n");
    fs::write(lxcpath.path().join(&web).join("rootfs/state"), "second").unwrap();
    let before = tree(lxcpath.path());
    let inode = fs::metadata(lxcpath.path().join(&web).join("rootfs")).unwrap().ino();
    let said = lxcpath.ok(&["destroy", &web]);
    assert!(
        said.starts_with(&format!(
            "{web}: moved to the trash; `wharf -P {} trash restore",
            lxcpath.path().display()
        )),
        "{said}"
    );
    assert!(!lxcpath.path().join(&web).exists());
    assert_eq!(lxcpath.ok(&["ls", "-1"]), "");
    lxcpath.refused(&["info", &web], 1);
    assert_eq!(fs::metadata(trash(&lxcpath)).unwrap().mode() & 0o7777, 0o700);
    let listed = lxcpath.ok(&["trash"]);
    let row: Vec<&str> = listed.lines().nth(1).unwrap().split_whitespace().collect();
    assert!(row[0].starts_with(&format!("{web}@20")), "{listed}");
    assert!(row[2].ends_with(['M', 'K']) && row[3].starts_with("6d23h"), "{listed}");

    let said = lxcpath.ok(&["trash", "restore", &web]);
    assert!(said.starts_with(&format!("{web}: restored, as it was at 20")), "{said}");
    assert_eq!(tree(lxcpath.path()), before);
    let now = fs::metadata(lxcpath.path().join(&web).join("rootfs")).unwrap().ino();
    assert_eq!(inode, now, "it was copied");
    assert_eq!(inside(&lxcpath, &web, "cat /state"), "second");
    lxcpath.ok(&["snapshot", &web, "restore", "snap0"]);
    assert_eq!(inside(&lxcpath, &web, "cat /state"), "first");
    let said = lxcpath.refused(&["trash", "restore", &web], 1);
    assert!(said.contains("it is not in the trash, which is empty"), "{said}");
}

#[test]
fn several_of_one_name_are_told_apart_and_none_replaces_another() {
    let lxcpath = Lxcpath::new();
    let Some(web) = made(&lxcpath, "web") else { return };
    let other = lxcpath.name("other");
    lxcpath.ok(&["destroy", &web]);
    made(&lxcpath, "web").unwrap();
    fs::write(lxcpath.path().join(&web).join("rootfs/state"), "second").unwrap();
    lxcpath.ok(&["destroy", &web]);
    let [first, second] = ids(&lxcpath).try_into().unwrap();
    assert_ne!(first, second);
    // The newest one, unless an id says which.
    lxcpath.ok(&["trash", "restore", &web]);
    assert_eq!(inside(&lxcpath, &web, "cat /state"), "second");
    let before = tree(lxcpath.path());
    let said = lxcpath.refused(&["trash", "restore", &web], 1);
    assert!(said.contains("already exists; `--as NEWNAME`"), "{said}");
    let said = lxcpath.refused(&["trash", "restore", &second], 1);
    assert!(said.contains(&format!("it is not in the trash; that has {first}")), "{said}");
    lxcpath.refused(&["trash", "restore", &web, "--as", "a/b"], 1);
    assert_eq!(tree(lxcpath.path()), before);
    lxcpath.ok(&["trash", "restore", &first, "--as", &other]);
    assert_eq!(inside(&lxcpath, &other, "cat /state; hostname"), format!("first{other}\n"));
    assert!(!trash(&lxcpath).exists(), "an empty trash goes");
}

#[test]
fn a_copy_and_the_container_whose_files_it_shows_wait_for_each_other() {
    let lxcpath = Lxcpath::new();
    let Some(base) = made(&lxcpath, "base") else { return };
    let [over, again] = ["over", "again"].map(|it| lxcpath.name(it));
    lxcpath.ok(&["clone", &base, &over, "-S"]);
    lxcpath.ok(&["snapshot", &over]);
    let said = lxcpath.refused(&["destroy", &base], 1);
    assert!(said.contains("others use its files"), "{said}");
    lxcpath.ok(&["destroy", &over]);
    // It is still based on it.
    let said = lxcpath.refused(&["destroy", "--now", &base], 1);
    assert!(said.contains("in the trash shows its files; `wharf -P"), "{said}");
    lxcpath.refused(&["rename", &base, &again], 1);
    lxcpath.ok(&["destroy", &base]);
    let [clone, origin] = ids(&lxcpath).try_into().unwrap();
    assert!(clone.starts_with(&over) && origin.starts_with(&base), "{clone} {origin}");
    let before = tree(lxcpath.path());
    let said = lxcpath.refused(&["trash", "restore", &over], 1);
    assert!(said.contains(&format!(" trash restore {origin}` first")), "{said}");
    let said = lxcpath.refused(&["trash", "restore", &base, "--as", &again], 1);
    assert!(said.contains("restore it under its own name"), "{said}");
    let said = lxcpath.refused(&["trash", "empty", &base], 1);
    assert!(said.contains(&format!("{clone} in the trash shows its files")), "{said}");
    assert_eq!(tree(lxcpath.path()), before);
    lxcpath.ok(&["trash", "restore", &base]);
    lxcpath.ok(&["trash", "restore", &over]);
    assert_eq!(inside(&lxcpath, &over, "cat /state"), "first");
    let said = lxcpath.refused(&["destroy", &base], 1);
    assert!(said.contains("others use its files"), "{said}");
    lxcpath.ok(&["snapshot", &over, "delete", "snap0"]);
    lxcpath.ok(&["destroy", &over]);
    lxcpath.ok(&["trash", "restore", &over, "--as", &again]);
    let listed = fs::read_to_string(lxcpath.path().join(&base).join("lxc_snapshots")).unwrap();
    assert_eq!(listed.lines().collect::<Vec<_>>(), [lxcpath.path().to_str().unwrap(), &again]);
    // All at once, the copy goes first.
    lxcpath.ok(&["destroy", &again]);
    lxcpath.ok(&["destroy", &base]);
    lxcpath.ok(&["trash", "empty", "-y"]);
    assert_eq!(tree(lxcpath.path()), Vec::<PathBuf>::new());
}

#[test]
fn the_trash_removes_what_is_too_old_or_too_much_and_says_so() {
    let lxcpath = Lxcpath::new();
    let Some(one) = made(&lxcpath, "one") else { return };
    let [two, three] = ["two", "three"].map(|it| made(&lxcpath, it).unwrap());
    lxcpath.ok(&["destroy", &one, &two]);
    for (at, id) in ids(&lxcpath).iter().enumerate() {
        aged(&lxcpath, id, at as u32 + 1);
    }
    let kept = with(&lxcpath, "trash.age = none\n", &["trash"]);
    assert!(kept.stderr.is_empty() && text(&kept.stdout).contains("never"), "{}", told(&kept));
    // By size the oldest go; the newest stays however large it is.
    let sized = with(&lxcpath, "trash.age = none\ntrash.size = 1K\n", &["destroy", &three]);
    let said = text(&sized.stderr);
    assert_eq!(said.matches("for good: the trash took more than").count(), 2, "{said}");
    let [left] = ids(&lxcpath).try_into().unwrap();
    assert!(left.starts_with(&three));
    aged(&lxcpath, &left, 3);
    let said = text(&lxcpath.wharf(&["trash"]).stderr);
    assert!(said.contains("it was there for more than 7d"), "{said}");
    assert!(!trash(&lxcpath).exists());

    let four = made(&lxcpath, "four").unwrap();
    let before = tree(lxcpath.path());
    for wrong in ["trash.age = soon\n", "# x\ntrash.sizes = 1G\n"] {
        let refused = with(&lxcpath, wrong, &["destroy", &four]);
        assert_eq!(refused.status.code(), Some(1), "{}", told(&refused));
        let line = if wrong.starts_with('#') { 2 } else { 1 };
        assert!(text(&refused.stderr).contains(&format!("wharf.conf line {line}: ")));
        assert_eq!(tree(lxcpath.path()), before);
    }
    // What is restored is not looked at before.
    lxcpath.ok(&["destroy", &four]);
    let [id] = ids(&lxcpath).try_into().unwrap();
    aged(&lxcpath, &id, 4);
    lxcpath.ok(&["trash", "restore", &four]);
}

#[test]
fn hooks_run_when_it_is_destroyed_and_a_failing_one_keeps_it() {
    let lxcpath = Lxcpath::new();
    let Some(web) = made(&lxcpath, "web") else { return };
    let log = lxcpath.path().join("log");
    let there = lxcpath.path().join(&web).join("config");
    let hook = format!("test -e {} && echo $3 >> {}", there.display(), log.display());
    let script = lxcpath.path().join("hook.sh");
    fs::write(&script, format!("#!/bin/sh\n{hook}\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    set(&lxcpath, &web, &format!("lxc.hook.destroy = {}\n", script.display()));
    let said = lxcpath.ok(&["destroy", &web]);
    assert!(said.contains("lxc.hook.destroy has run, and a restore does not undo that"), "{said}");
    lxcpath.ok(&["trash", "restore", &web]);
    assert_eq!(fs::read_to_string(&log).unwrap(), "destroy\n");
    set(&lxcpath, &web, "lxc.hook.destroy = /bin/false\n");
    let said = lxcpath.refused(&["destroy", &web], 1);
    assert!(said.contains("the container was not destroyed"), "{said}");
    assert!(there.exists() && !trash(&lxcpath).exists());
}

/// Unmounts it at the end of a test, however that ends.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(place: &Path) -> Self {
        mount(Some("tmpfs"), place, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        Self(place.to_path_buf())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn what_a_rename_cannot_move_stays_and_the_error_says_what_to_do() {
    let lxcpath = Lxcpath::new();
    let Some(web) = made(&lxcpath, "web") else { return };
    fs::create_dir(trash(&lxcpath)).unwrap();
    let elsewhere = Mounted::tmpfs(&trash(&lxcpath));
    let said = lxcpath.refused(&["destroy", &web], 1);
    assert!(said.contains("on different file systems, and no copy is made"), "{said}");
    assert!(said.contains(&format!("destroy --now {web}` removes it for good")), "{said}");
    drop(elsewhere);
    let root = lxcpath.path().join(&web).join("rootfs/mnt");
    fs::create_dir(&root).unwrap();
    let mounted = Mounted::tmpfs(&root);
    let said = lxcpath.refused(&["destroy", &web], 1);
    assert!(said.contains(&format!("{} is a mount point; unmount it first", root.display())));
    assert!(!trash(&lxcpath).exists());
    drop(mounted);
    fs::write(trash(&lxcpath), "").unwrap();
    let said = lxcpath.refused(&["destroy", &web], 1);
    assert!(said.contains("is not a directory; move it away"), "{said}");
    fs::remove_file(trash(&lxcpath)).unwrap();
    assert_eq!(inside(&lxcpath, &web, "cat /state"), "first");
    // A root elsewhere is not moved, and the container finds it when it is back.
    let root = tempfile::tempdir().unwrap();
    fs::rename(lxcpath.path().join(&web).join("rootfs"), root.path().join("r")).unwrap();
    set(&lxcpath, &web, &format!("lxc.rootfs.path = {}/r\n", root.path().display()));
    lxcpath.ok(&["destroy", &web]);
    assert!(root.path().join("r/state").exists());
    lxcpath.ok(&["trash", "restore", &web]);
    assert_eq!(inside(&lxcpath, &web, "cat /state"), "first");
}

#[test]
fn what_killed_commands_have_left_is_settled_by_the_next() {
    let lxcpath = Lxcpath::new();
    let Some(web) = made(&lxcpath, "web") else { return };
    let other = lxcpath.name("other");
    lxcpath.ok(&["destroy", &web]);
    let [id] = ids(&lxcpath).try_into().unwrap();
    // A move that had not begun, a removal halfway, and a restore that was done.
    fs::create_dir(trash(&lxcpath).join("none@20260101-000000")).unwrap();
    let gone = trash(&lxcpath).join(".web@20260101-000000.gone/web/rootfs");
    fs::create_dir_all(&gone).unwrap();
    fs::create_dir(trash(&lxcpath).join("back@20260101-000000")).unwrap();
    fs::write(trash(&lxcpath).join("back@20260101-000000/size"), "12").unwrap();
    assert_eq!(ids(&lxcpath), [id.as_str()]);
    lxcpath.ok(&["create", &other]);
    let left = fs::read_dir(trash(&lxcpath)).unwrap().count();
    assert_eq!(left, 1);
    // A restore under another name, killed after the move.
    let meta = fs::metadata(trash(&lxcpath).join(&id).join(&web)).unwrap();
    let made = meta.created().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let new = lxcpath.name("new");
    let announced = lxcpath.path().join(format!(".{new}.renamed"));
    fs::write(&announced, format!("{web} {} {made}", meta.ino())).unwrap();
    fs::rename(trash(&lxcpath).join(&id).join(&web), lxcpath.path().join(&new)).unwrap();
    assert_eq!(inside(&lxcpath, &new, "hostname; cat /state"), format!("{new}\nfirst"));
    lxcpath.ok(&["destroy", "--now", &other]);
    assert!(!announced.exists() && !trash(&lxcpath).exists());
}

/// As an operator does it: destroyed, brought back by undo, destroyed again and found in the trash.
#[test]
fn the_screen_destroys_and_brings_back_and_keeps_states() {
    let lxcpath = Lxcpath::new();
    let Some(web) = made(&lxcpath, "web") else { return };
    let other = lxcpath.name("other");
    let mut screen = Screen::spawn(lxcpath.command(&[]), 120, 36);
    screen.wait_for_row(&web);
    screen.keys("D");
    screen.wait_for("Moved to the trash");
    screen.keys(&format!("{web}\r"));
    screen.wait_for(&format!("{web}  moved to the trash in"));
    assert!(!lxcpath.path().join(&web).exists());
    screen.keys("z");
    screen.wait_for("brought back in");
    assert!(lxcpath.path().join(&web).exists() && !trash(&lxcpath).exists());
    screen.wait_for_row(&web);
    screen.keys("N");
    screen.wait_for("there is none yet");
    screen.keys("\r");
    screen.wait_for("kept as snap0");
    fs::write(lxcpath.path().join(&web).join("rootfs/state"), "second").unwrap();
    screen.keys("N");
    screen.wait_for("snap0  ");
    screen.keys("j\ry");
    screen.wait_for(&format!("{web}  restored in"));
    let state = fs::read_to_string(lxcpath.path().join(&web).join("rootfs/state")).unwrap();
    assert_eq!(state, "first");
    screen.keys(&format!("C\x15{other}\r"));
    screen.wait_for("cloned to");
    assert!(lxcpath.path().join(&other).join("config").exists());
    lxcpath.ok(&["destroy", &web]);
    screen.keys("gt");
    screen.wait_for(&format!("{web}@"));
    screen.keys("\r");
    screen.wait_for(&format!("{web}  brought back in"));
    screen.keys("q");
    assert!(screen.exit().success());
    assert!(lxcpath.path().join(&web).join("snaps/snap0/config").exists());
}

#[test]
fn patterns_are_asked_about_and_lxcs_command_keeps_nothing() {
    let lxcpath = Lxcpath::new();
    let Some(one) = made(&lxcpath, "some1") else { return };
    let [two, three] = ["some2", "some3"].map(|it| made(&lxcpath, it).unwrap());
    let pattern = one.replace("some1", "some*");
    lxcpath.ok(&["start", &three, "--", "/bin/sleep", "1000"]);
    let would = lxcpath.ok(&["destroy", "--dry-run", &pattern]);
    assert_eq!(
        would,
        format!("{one}: would move it to the trash\n{two}: would move it to the trash\n")
    );
    let would = lxcpath.ok(&["destroy", "--dry-run", "-f", "--now", &three]);
    assert_eq!(would, format!("{three}: would kill it and remove it for good\n"));
    let said = lxcpath.refused(&["destroy", "--now", &pattern], 1);
    assert!(said.contains("needs -y"), "{said}");
    let mut asked = Screen::spawn(lxcpath.command(&["destroy", &pattern]), 120, 20);
    asked.wait_for(&format!("Move to the trash: {one}, {two}? [y/N]"));
    asked.keys("n\r");
    assert!(!asked.exit().success());
    let mut asked = Screen::spawn(lxcpath.command(&["destroy", "--filter", "some[12]"]), 120, 20);
    asked.wait_for("[y/N]");
    asked.keys("y\r");
    assert!(asked.exit().success());
    assert_eq!(ids(&lxcpath).len(), 2);
    let listed = lxcpath.ok(&["ps", &pattern]);
    assert!(listed.contains(&three) && !listed.contains(&one), "{listed}");
    assert_eq!(lxcpath.ok(&["ps", "--filter", "some3", "--json"]).matches("\"pid\"").count(), 1);
    lxcpath.refused(&["ps", "none*"], 1);
    lxcpath.ok(&["destroy", "-f", "-y", &pattern]);
    assert_eq!(ids(&lxcpath).len(), 3);
    let said = lxcpath.ok(&["trash", "empty", "--dry-run", &one]);
    assert!(said.starts_with(&format!("would remove {one}@")), "{said}");
    lxcpath.ok(&["trash", "empty", &one]);
    assert_eq!(ids(&lxcpath).len(), 2);
    lxcpath.ok(&["trash", "empty", "-y"]);
    made(&lxcpath, "some1").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(["lxc", "destroy", "-n", &one, "-P"]).arg(lxcpath.path());
    let output = support::finish(command);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(tree(lxcpath.path()), Vec::<PathBuf>::new());
}
