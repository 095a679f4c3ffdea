//! Root directories for containers, small enough to make one for each test.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a statically linked busybox usually is.
const BUSYBOX: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];

/// Programs of busybox that the tests use.
const APPLETS: [&str; 22] = [
    "sh", "sleep", "cat", "echo", "true", "false", "ls", "ps", "kill", "id", "env", "hostname",
    "mount", "umount", "mkdir", "rm", "touch", "stty", "test", "head", "dd", "seq",
];

/// Makes a root directory with busybox at `root`; false, with a message, if there is no busybox.
pub(crate) fn busybox(root: &Path) -> bool {
    let Some(program) = BUSYBOX.into_iter().find(|it| is_static(it)) else {
        println!("skipped: no statically linked busybox on this machine");
        return false;
    };
    for dir in ["bin", "sbin", "dev", "proc", "sys", "tmp", "etc", "root", "run", "var"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    copy_program(program, &root.join("bin/busybox"));
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    true
}

/// Returns settings that show the host's libraries, and this test's binary at
/// [`super::probe::INSIDE`], in a root that [`busybox`] made; all of it read-only.
pub(crate) fn host_programs(root: &Path) -> Vec<String> {
    let mut entries = Vec::new();
    for dir in ["lib", "lib64", "usr/lib", "usr/lib64"] {
        let host = Path::new("/").join(dir);
        if let Ok(to) = fs::read_link(&host) {
            symlink(to, root.join(dir)).unwrap();
        } else if host.is_dir() {
            entries.push(format!("/{dir} {dir} none bind,ro,create=dir 0 0"));
        }
    }
    let probe = std::env::current_exe().unwrap();
    let inside = super::probe::INSIDE.trim_start_matches('/');
    entries.push(format!("{} {inside} none bind,ro,create=file 0 0", probe.display()));
    entries.into_iter().map(|it| format!("lxc.mount.entry={it}")).collect()
}

/// Copies a program by a process of its own: what a test opens for writing is inherited by the
/// children that other tests fork meanwhile, and cannot be executed while they have it.
pub(crate) fn copy_program(from: &str, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

/// Writes a script that can be executed at once, by the means of [`copy_program`].
pub(crate) fn write_script(text: &str, to: &Path) {
    let draft = to.with_extension("draft");
    fs::write(&draft, text).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    copy_program(draft.to_str().unwrap(), to);
    fs::remove_file(draft).unwrap();
}

/// A program that runs although no library can be found in an empty root.
fn is_static(program: &str) -> bool {
    // The dynamic linker names the libraries of a dynamic program, and fails on a static one.
    let listed = Command::new("ldd").arg(program).output();
    Path::new(program).exists() && listed.map_or(true, |it| !it.status.success())
}

/// What [`image`] makes ext4 with.
pub(crate) const EXT4: [&str; 8] = ["mke2fs", "-q", "-t", "ext4", "-d", "{dir}", "{image}", "32M"];

/// Makes an image of `dir` with `program`, which gets the image and the directory where `{image}`
/// and `{dir}` are; none, with a message, where it is not installed.
pub(crate) fn image(dir: &Path, place: &Path, command: &[&str]) -> Option<PathBuf> {
    if fs::File::open("/dev/loop-control").is_err() {
        println!("skipped: this kernel has no loop devices");
        return None;
    }
    if !super::has_program(command[0]) {
        return None;
    }
    let image = place.join(format!("{}.img", command[0]));
    let words = command.iter().map(|it| match *it {
        "{image}" => image.to_str().unwrap(),
        "{dir}" => dir.to_str().unwrap(),
        word => word,
    });
    let words: Vec<&str> = words.collect();
    let made = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(made.status.success(), "{words:?}: {made:?}");
    Some(image)
}
