//! Containers whose users are not the host's, and what their processes are.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::Path;

use super::{Lxcpath, can_run_containers, rootfs, tree};

/// Who is root in them.
pub(crate) const ROOT: u32 = 100_000;
pub(crate) const MAP: &str = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n";

/// Makes a container of busybox's with these lines and the map; none if it could not start.
pub(crate) fn create(lxcpath: &Lxcpath, word: &str, root: &Path, lines: &str) -> Option<String> {
    if !can_run_containers() || !rootfs::busybox(root) {
        return None;
    }
    if !Path::new("/proc/self/ns/user").exists() {
        println!("skipped: this kernel has no user namespaces");
        return None;
    }
    let name = lxcpath.name(word);
    lxcpath.ok(&["create", &name, "--dir", root.to_str().unwrap()]);
    let file = lxcpath.path().join(&name).join("config");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{before}{MAP}{lines}\n")).unwrap();
    Some(name)
}

/// Gives the tree to the container's root.
pub(crate) fn shift(path: &Path) {
    for path in tree(path).iter().map(std::path::PathBuf::as_path).chain([path]) {
        lchown(path, Some(ROOT), Some(ROOT)).unwrap();
    }
}

/// Starts the container, which sleeps, and returns the pid of its init.
pub(crate) fn sleep(lxcpath: &Lxcpath, name: &str) -> String {
    lxcpath.ok(&["start", name, "--", "/bin/sleep", "1000"]);
    lxcpath.ok(&["info", "-p", "-H", name]).trim().to_owned()
}

/// Runs the script in the container, and returns its output.
pub(crate) fn inside(lxcpath: &Lxcpath, name: &str, script: &str) -> String {
    lxcpath.ok(&["attach", name, "--", "/bin/sh", "-c", script])
}

/// Returns the value after `key` in the status of the process.
pub(crate) fn field(pid: &str, key: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix(key)).unwrap();
    line.trim().to_owned()
}
