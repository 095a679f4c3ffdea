//! A container is the same one, however its lxcpath is written: real containers, by every spelling.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{Lxcpath, can_run_containers, finish, rootfs, text, told};

/// Runs wharf in `place` with `spelling` as the lxcpath.
fn wharf(place: &Path, spelling: impl AsRef<OsStr>, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.current_dir(place).arg("-P").arg(spelling).args(args).stdin(Stdio::null());
    finish(command)
}

/// Returns the directory above the lxcpath, the lxcpath's own name, and spellings of it, which are
/// valid in that directory.
fn spellings(lxcpath: &Lxcpath) -> (PathBuf, Vec<String>) {
    let path = lxcpath.path().to_str().unwrap();
    let parent = lxcpath.path().parent().unwrap();
    let last = lxcpath.path().file_name().unwrap().to_str().unwrap();
    let above = parent.display();
    let link = link_beside(lxcpath);
    let all = [
        format!("{path}/"),
        format!("{path}//"),
        format!("{path}/."),
        format!("{above}//{last}"),
        format!("{above}/./{last}"),
        format!("{path}/../{last}"),
        link.to_str().unwrap().to_owned(),
        format!("{}/", link.display()),
        last.to_owned(),
        format!("./{last}/"),
    ];
    (parent.to_path_buf(), all.into())
}

fn link_beside(lxcpath: &Lxcpath) -> PathBuf {
    let mut link = lxcpath.path().as_os_str().to_owned();
    link.push("-link");
    PathBuf::from(link)
}

/// A link to the lxcpath, gone at the end of the test.
struct Link(PathBuf);

impl Link {
    fn to(lxcpath: &Lxcpath) -> Self {
        let link = link_beside(lxcpath);
        symlink(lxcpath.path(), &link).unwrap();
        Self(link)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        _ = fs::remove_file(&self.0);
    }
}

/// Defines a container whose root is where a destroy would remove it.
fn with_own_root(lxcpath: &Lxcpath, word: &str) -> Option<String> {
    let name = lxcpath.name(word);
    let root = lxcpath.path().join(&name).join("rootfs");
    fs::create_dir_all(&root).unwrap();
    if !rootfs::busybox(&root) {
        return None;
    }
    fs::write(root.join("precious"), "data").unwrap();
    let config = format!("lxc.rootfs.path = dir:{}\n", root.display());
    fs::write(lxcpath.path().join(&name).join("config"), config).unwrap();
    Some(name)
}

/// Counts the sockets of the container by every name.
fn sockets(name: &str) -> Vec<String> {
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let ours = table.lines().filter(|it| it.split(' ').nth(3) == Some("00010000"));
    let names = ours.filter_map(|it| Some(it.split_once(" @")?.1.to_owned()));
    names.filter(|it| it.ends_with(&format!("/{name}/command"))).collect()
}

#[test]
fn every_spelling_sees_the_same_container() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let _link = Link::to(&lxcpath);
    let Some(name) = with_own_root(&lxcpath, "one") else { return };
    let precious = lxcpath.path().join(&name).join("rootfs/precious");
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let pid = lxcpath.ok(&["info", "-pH", &name]);
    let (place, spellings) = spellings(&lxcpath);
    for it in &spellings {
        let said = wharf(&place, it, &["info", "-pH", &name]);
        assert_eq!(text(&said.stdout), pid, "info -P {it}: {}", told(&said));
        let said = wharf(&place, it, &["ls", "--running", "-1"]);
        assert_eq!(text(&said.stdout).trim(), name, "ls -P {it}: {}", told(&said));
        let again = wharf(&place, it, &["start", &name, "--", "/bin/sleep", "1001"]);
        assert_eq!(again.status.code(), Some(1), "start -P {it}: {}", told(&again));
        let gone = wharf(&place, it, &["destroy", &name]);
        assert_eq!(gone.status.code(), Some(1), "destroy -P {it}: {}", told(&gone));
        assert!(precious.exists(), "destroy -P {it} took the files of a running container");
    }
    assert_eq!(lxcpath.ok(&["info", "-pH", &name]), pid);
}

#[test]
fn what_one_spelling_starts_another_stops() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let _link = Link::to(&lxcpath);
    let Some(name) = with_own_root(&lxcpath, "two") else { return };
    let (place, spellings) = spellings(&lxcpath);
    for it in &spellings {
        let started = wharf(&place, it, &["start", &name, "--", "/bin/sleep", "1000"]);
        assert!(started.status.success(), "start -P {it}: {}", told(&started));
        assert_eq!(lxcpath.state(&name), "RUNNING", "started with -P {it}");
        // LXC's tools look for the given path, without the slashes at its end.
        let listens = sockets(&name);
        let given = format!("{}/{name}/command", it.trim_end_matches('/'));
        let own = format!("{}/{name}/command", lxcpath.path().display());
        assert!(listens.contains(&given), "-P {it}: {listens:?}");
        assert!(listens.contains(&own), "-P {it}: {listens:?}");
        lxcpath.ok(&["stop", "-k", &name]);
        assert_eq!(lxcpath.state(&name), "STOPPED");
        assert!(sockets(&name).is_empty());
    }
    let gone = wharf(&place, "./", &["destroy", &name]);
    assert_eq!(gone.status.code(), Some(1), "another directory: {}", told(&gone));
}

#[test]
fn a_second_mount_of_the_directory_is_the_same_one() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let Some(name) = with_own_root(&lxcpath, "mnt") else { return };
    lxcpath.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
    let other = tempfile::tempdir().unwrap();
    // In a mount namespace of its own, so that nothing can be left.
    let script = format!(
        "mount --bind {} {} && \"$0\" -P {2} info -sH {name} && \"$0\" -P {2} start {name}; \
             echo $?; \"$0\" -P {2} destroy {name}; echo $?",
        lxcpath.path().display(),
        other.path().display(),
        other.path().display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    command.arg(env!("CARGO_BIN_EXE_wharf")).stdin(Stdio::null());
    let said = finish(command);
    assert_eq!(text(&said.stdout), "RUNNING\n1\n1\n", "{}", told(&said));
    assert!(lxcpath.path().join(&name).join("rootfs/precious").exists());
}

#[test]
fn a_directory_that_is_made_later_and_one_that_is_no_text() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let place = lxcpath.path();
    symlink("later", place.join("link")).unwrap();
    for (before, after) in [
        (OsStr::new("link/lx/"), OsStr::new("later/lx")),
        (OsStr::from_bytes(b"odd\xff/"), OsStr::from_bytes(b"./odd\xff")),
    ] {
        let name = lxcpath.name("new");
        for args in [
            &["create", name.as_str()] as &[&str],
            &["start", name.as_str(), "--", "/bin/sleep", "1000"],
        ] {
            let done = wharf(place, before, args);
            assert!(done.status.success(), "{before:?} {args:?}: {}", told(&done));
        }
        let said = wharf(place, after, &["info", "-sH", &name]);
        assert_eq!(text(&said.stdout), "RUNNING\n", "{after:?}: {}", told(&said));
        for args in [&["stop", "-k", name.as_str()] as &[&str], &["destroy", name.as_str()]] {
            let done = wharf(place, after, args);
            assert!(done.status.success(), "{after:?} {args:?}: {}", told(&done));
        }
    }
}

#[test]
fn what_wharf_leaves_to_lxc_is_listed() {
    let lxcpath = Lxcpath::new();
    let long = "n".repeat(65);
    for name in ["two words", &long, "web"] {
        fs::create_dir(lxcpath.path().join(name)).unwrap();
        fs::write(lxcpath.path().join(name).join("config"), "").unwrap();
    }
    let table = lxcpath.ok(&["ls", "-F", "name,state,trouble"]);
    for name in ["two words", &long] {
        let line = table.lines().find(|it| it.contains(name)).expect(&table);
        assert!(line.contains("STOPPED") && line.contains("left to LXC"), "{table}");
    }
    assert_eq!(lxcpath.ok(&["ls", "-1"]), format!("web\n{long}\ntwo words\n"));
    assert_eq!(lxcpath.ok(&["ls", "-1", "--stopped", "wo"]), "two words\n");
    let json = lxcpath.ok(&["ls", "--json"]);
    assert!(json.contains("\"two words\"") && json.contains("left to LXC"), "{json}");
    // No other verb takes such a name.
    let said = lxcpath.wharf(&["info", "two words"]);
    assert!(!said.status.success() && text(&said.stderr).contains("two words"), "{}", told(&said));
    fs::remove_dir_all(lxcpath.path().join("two words")).unwrap();
    fs::remove_dir_all(lxcpath.path().join(&long)).unwrap();
}
