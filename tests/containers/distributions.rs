//! What Debian's packages `lxc` and `lxc-templates` ship for the containers of each distribution: one
//! that includes it, as `lxc-create` writes it, starts. Skipped without the first; the second is
//! downloaded, if it is not installed. As root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use crate::support::lxc::{self, CONFIGURATIONS};
use crate::support::{self, Lxcpath, can_run_containers, rootfs, told};

/// Who is root in the containers with a map of ids.
const ROOT: u32 = 100_000;

/// What runs inside without a map, and with one: both end with 7. Not each mounts /proc.
const INIT: &str = "exit 7";
const MAPPED_INIT: &str = "read -r _ root _ < /proc/self/uid_map; [ \"$root\" = 100000 ] && exit 7";

/// The configurations of distributions and of all of them: those for privileged containers, or
/// what makes these unprivileged. None: the test is skipped.
fn shipped(unprivileged: bool) -> Option<Vec<PathBuf>> {
    if !can_run_containers() {
        return None;
    }
    if let Err(why) = lxc::show_distributions() {
        println!("skipped in part: no package lxc-templates: {why}");
    }
    let Ok(entries) = fs::read_dir(CONFIGURATIONS) else {
        println!("skipped: LXC's package is not installed");
        return None;
    };
    let wanted = |it: &PathBuf| {
        let name = it.file_stem().unwrap().to_str().unwrap();
        it.extension().is_some_and(|it| it == "conf") && name.ends_with("userns") == unprivileged
    };
    let mut files: Vec<_> = entries.map(|it| it.unwrap().path()).filter(wanted).collect();
    files.sort();
    Some(files)
}

fn include(file: &Path) -> String {
    format!("lxc.include = {}\n", file.display())
}

/// The lines that a template writes for an unprivileged container: those of the distribution, or of
/// all, before what undoes a part of them.
fn unprivileged_lines(file: &Path) -> String {
    let name = file.file_name().unwrap().to_str().unwrap();
    let word = name.strip_suffix("userns.conf").unwrap();
    let of_all = file.with_file_name(format!("{word}common.conf"));
    let maps = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n";
    include(&of_all) + &include(file) + maps
}

/// Starts a container of each of `files` with the root directory `root`, until its `init` ends.
fn all_start(files: &[PathBuf], lines: fn(&Path) -> String, root: &Path, init: &str) {
    let lxcpath = Lxcpath::new();
    let mut failed = Vec::new();
    for file in files {
        let name = lxcpath.name(&file.file_stem().unwrap().to_string_lossy());
        let config = format!(
            "{}lxc.rootfs.path = dir:{}\nlxc.uts.name = {name}\nlxc.net.0.type = empty\n",
            lines(file),
            root.display()
        );
        let home = lxcpath.path().join(&name);
        fs::create_dir(&home).unwrap();
        fs::write(home.join("config"), config).unwrap();
        let output = lxcpath.wharf(&["start", "-F", &name, "--", "/bin/sh", "-c", init]);
        if output.status.code() != Some(7) {
            failed.push(format!("{}: {}", file.display(), told(&output)));
        }
        // What follows finds few directories to look through.
        fs::remove_dir_all(home).unwrap();
    }
    assert!(failed.is_empty(), "{} of {}: {}", failed.len(), files.len(), failed.join("\n"));
    // Newer versions of the package have those of all distributions alone.
    assert!(!files.is_empty(), "nothing in {CONFIGURATIONS}");
    println!("{} started", files.len());
}

#[test]
fn a_container_of_each_distribution_starts() {
    let Some(files) = shipped(false) else { return };
    let root = tempfile::tempdir().unwrap();
    if rootfs::busybox(root.path()) {
        all_start(&files, include, root.path(), INIT);
    }
}

#[test]
fn an_unprivileged_container_of_each_distribution_starts() {
    let Some(files) = shipped(true) else { return };
    let root = tempfile::tempdir().unwrap();
    if !rootfs::busybox(root.path()) {
        return;
    }
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    for path in support::tree(root.path()).iter().map(PathBuf::as_path).chain([root.path()]) {
        lchown(path, Some(ROOT), Some(ROOT)).unwrap();
    }
    all_start(&files, unprivileged_lines, root.path(), MAPPED_INIT);
}
