//! `lxc-ls --nesting`: containers inside containers, as their files and groups show them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::lxc::Lxc;
use crate::support::{Lxcpath, can_run_containers, leftovers, rootfs};

/// Defines a container of these lines in the directory that has the same path inside `root` as the
/// lxcpath outside.
fn define(lxcpath: &Lxcpath, root: &Path, name: &str, lines: &str) -> PathBuf {
    let home = inside(lxcpath, root).join(name);
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("config"), lines).unwrap();
    home
}

fn inside(lxcpath: &Lxcpath, root: &Path) -> PathBuf {
    root.join(lxcpath.path().strip_prefix("/").unwrap())
}

/// Makes a container that is stopped and has two inside it, in one of which is another one.
fn family(lxcpath: &Lxcpath) -> (String, tempfile::TempDir) {
    let root = tempfile::tempdir().unwrap();
    let name = lxcpath.name("outer");
    lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
    let lines = "lxc.rootfs.path = dir:/in\nlxc.group = web,db\nlxc.start.auto = 1\n";
    define(lxcpath, root.path(), "inner", lines);
    define(lxcpath, root.path(), "deep", "lxc.idmap = u 0 1 2\n");
    define(lxcpath, &root.path().join("in"), "deepest", "lxc.uts.name = x\n");
    (name, root)
}

#[test]
fn containers_inside_containers_are_listed_as_lxc_lists_them() {
    let lxcpath = Lxcpath::new();
    let (name, _root) = family(&lxcpath);
    let list = |options: &[&str]| lxcpath.ok(&[&["lxc", "ls"], options].concat());
    let all = format!("{name}\n{name}/deep\n{name}/inner\n{name}/inner/deepest\n");
    assert_eq!(list(&["--nesting", "-1"]), all);
    assert_eq!(list(&["--nesting=junk", "-1"]), all);
    assert_eq!(list(&["--nesting=1", "-1"]), format!("{name}\n{name}/deep\n{name}/inner\n"));
    assert_eq!(list(&["--nesting=0", "-1"]), format!("{name}\n"));
    // What is not taken hides what is inside it.
    assert_eq!(list(&["--nesting", "-1", "--filter", "inner"]), "");
    assert_eq!(list(&["--nesting", "-1", "-g", "web"]), "");
    let columns = list(&["--nesting", "-f", "-F", "NAME,STATE,AUTOSTART,GROUPS,UNPRIVILEGED,RAM"]);
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<_> = columns.lines().skip(2).map(words).collect();
    assert_eq!(rows[0], ["\\deep", "STOPPED", "0", "-", "true", "-"], "{columns}");
    assert_eq!(rows[1], ["\\inner", "STOPPED", "1", "web,db", "false", "-"], "{columns}");
    assert!(columns.contains("\n \\deepest "), "{columns}");
}

#[test]
fn lxc_itself_lists_the_same() {
    let Some(lxc) = Lxc::new() else { return };
    let lxcpath = &lxc.lxcpath;
    let (_name, _root) = family(lxcpath);
    for options in
        [&["--nesting"][..], &["--nesting", "-1"], &["--nesting", "-f"], &["--nesting=2", "-1"]]
    {
        let theirs = lxc.ok("lxc-ls", options);
        assert_eq!(lxcpath.ok(&[&["lxc", "ls"], options].concat()), theirs, "{options:?}");
    }
}

#[test]
fn no_link_in_a_container_leads_the_list_out_of_it() {
    let lxcpath = Lxcpath::new();
    let (name, root) = family(&lxcpath);
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("config"), "lxc.group = outside\n").unwrap();
    let dir = inside(&lxcpath, root.path());
    symlink(&secret, dir.join("absolute")).unwrap();
    symlink(format!("{}{}", "../".repeat(20), secret.display()), dir.join("relative")).unwrap();
    symlink(format!("/proc/self/root{}", secret.display()), dir.join("magic")).unwrap();
    // Nobody writes into it, and it is not waited for.
    let pipe = dir.join("pipe");
    fs::create_dir(&pipe).unwrap();
    mkfifo(&pipe.join("config"), Mode::S_IRWXU).unwrap();
    define(&lxcpath, root.path(), "deep", &format!("lxc.rootfs.path = {}\n", secret.display()));
    define(&lxcpath, &root.path().join("in"), "deepest", "\u{1b}]0;title\u{7} = nonsense\n");
    let listed = lxcpath.ok(&["lxc", "ls", "--nesting", "-1"]);
    assert_eq!(listed, format!("{name}\n{name}/deep\n{name}/inner\n{name}/inner/deepest\n"));
}

#[test]
fn a_container_that_is_inside_itself_is_not_listed_for_ever() {
    let lxcpath = Lxcpath::new();
    let (name, root) = family(&lxcpath);
    for inner in ["deep", "inner"] {
        define(&lxcpath, root.path(), inner, "lxc.rootfs.path = dir:/\n");
    }
    let listed = |depth| lxcpath.ok(&["lxc", "ls", &format!("--nesting={depth}"), "-1"]);
    assert!(listed(3).contains(&format!("{name}/deep/inner/deep\n")));
    assert_eq!(listed(3).lines().count(), 1 + 2 + 4 + 8);
    assert!(listed(1000).lines().count() < 5000);
}

/// The state is that of the group below the container's own.
#[test]
fn a_container_runs_inside_one_that_runs() {
    if !can_run_containers() {
        return;
    }
    let lxcpath = Lxcpath::new();
    let root = tempfile::tempdir().unwrap();
    if !rootfs::busybox(root.path()) {
        return;
    }
    let name = lxcpath.name("outer");
    lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
    define(&lxcpath, root.path(), "inner", "lxc.uts.name = x\n");
    define(&lxcpath, root.path(), "other", "lxc.uts.name = x\n");
    lxcpath.ok(&["start", &name, "--", "/bin/sh", "-c", "sleep 1000 & sleep 1000"]);
    let list = || {
        let columns = lxcpath.ok(&["lxc", "ls", "--nesting", "-f", "-F", "NAME,STATE"]);
        columns.lines().skip(1).map(|it| it.trim().to_owned()).collect::<Vec<_>>()
    };
    let states = |inner: &str| {
        let rows = [(name.as_str(), "RUNNING"), ("\\inner", inner), ("\\other", "STOPPED")];
        rows.map(|(it, state)| format!("{it:width$} {state}", width = name.len()))
    };
    assert_eq!(list(), states("STOPPED"));
    let pid = lxcpath.ok(&["info", "-p", "-H", &name]);
    let children = format!("/proc/{0}/task/{0}/children", pid.trim());
    let child = fs::read_to_string(children).unwrap();
    let child = child.split_whitespace().next().unwrap();
    let groups = leftovers::cgroups(&format!("lxc.payload.{name}"));
    for group in &groups {
        let inner = group.join("lxc.payload.inner");
        fs::create_dir(&inner).unwrap();
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(value) = fs::read(group.join(file)) {
                _ = fs::write(inner.join(file), value);
            }
        }
        fs::write(inner.join("cgroup.procs"), child).unwrap();
    }
    assert_eq!(list(), states("RUNNING"));
    let active = lxcpath.ok(&["lxc", "ls", "--nesting", "-1", "--active"]);
    assert_eq!(active, format!("{name}\n{name}/inner\n"));
    lxcpath.ok(&["stop", "-k", &name]);
    assert_eq!(
        list(),
        [format!("{name} STOPPED"), states("STOPPED")[1].clone(), states("STOPPED")[2].clone()]
    );
}
