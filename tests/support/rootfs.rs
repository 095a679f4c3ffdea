//! Root directories for containers, small enough to make one for each test.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Where a statically linked busybox usually is.
const BUSYBOX: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];

/// Programs of busybox that the tests use.
const APPLETS: [&str; 22] = [
    "sh", "sleep", "cat", "echo", "true", "false", "ls", "ps", "kill", "id", "env", "hostname",
    "mount", "umount", "mkdir", "rm", "touch", "stty", "test", "head", "dd", "seq",
];

/// Makes a root directory with busybox at `root`; false, with a word, where there is none.
pub(crate) fn busybox(root: &Path) -> bool {
    let Some(program) = BUSYBOX.into_iter().find(|it| is_static(it)) else {
        println!("skipped: no statically linked busybox on this machine");
        return false;
    };
    for dir in ["bin", "sbin", "dev", "proc", "sys", "tmp", "etc", "root", "run", "var"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::copy(program, root.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    true
}

/// A program that runs although no library can be found in an empty root.
fn is_static(program: &str) -> bool {
    // The dynamic linker names the libraries of a dynamic program, and fails on a static one.
    let listed = Command::new("ldd").arg(program).output();
    Path::new(program).exists() && listed.map_or(true, |it| !it.status.success())
}
