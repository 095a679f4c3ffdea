//! Copies that an ordinary user makes, which show the files of the container they were made from.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use super::{User, map};

/// A copy by `--snapshot`, its snapshots, and what still only root mounts.
pub(super) fn copied(user: &User) {
    const CHANGE: &str = "mkdir -p /a/b; rm -r /a; mkdir /a; rm /made; echo y > /new; hostname";
    const SHOWN: &str = "ls -d /a/b /made /new 2>&1 | grep -v 'No such'; ls -a /a; id -u";
    user.configure("web", &map());
    let changed = |name: &str, script: &str| {
        user.ok(&["execute", name, "--", "/bin/sh", "-c", &format!("{{ {script}; }} 2>&1")])
    };
    changed("web", "mkdir -p /a/b; echo x > /made; echo web > /etc/hostname");
    let root = user.home.path().join("root");
    // Neither path is open to the container's users.
    fs::set_permissions(user.home.path(), Permissions::from_mode(0o700)).unwrap();
    user.ok(&["create", "copy", "--from", "web", "--snapshot"]);
    assert_eq!(changed("copy", CHANGE), "copy\n");
    // What is hidden stays so.
    assert_eq!(changed("copy", SHOWN), "/new\n.\n..\n0\n");
    assert!(root.join("a/b").exists() && root.join("made").exists() && !root.join("new").exists());
    assert_eq!(changed("copy", "cat /etc/hostname").trim(), "copy");
    user.ok(&["snapshot", "copy"]);
    changed("copy", "rm /new");
    user.ok(&["snapshot", "copy", "restore", "snap0"]);
    assert_eq!(changed("copy", SHOWN), "/new\n.\n..\n0\n");
    let said = user.refused(&["destroy", "--now", "web"]);
    assert!(said.contains("copy"), "{said}");
    user.ok(&["snapshot", "copy", "delete", "all"]);
    user.ok(&["destroy", "--now", "copy"]);
    assert!(!user.container("copy").exists());
    // What the magic number of ext4 makes a disk image.
    user.sh("printf '\\123\\357' | dd of=$HOME/image bs=1 seek=1080 2>/dev/null; truncate -s 1M ~/image");
    let image = user.home.path().join("image");
    let line = format!("lxc.rootfs.path = loop:{}", image.display());
    user.configure("web", &format!("{}{line}", map()));
    let said = user.refused(&["start", "web", "--", "/bin/true"]);
    assert!(said.contains("must be a directory or an overlay of such (line "), "{said}");
    user.configure("web", &map());
    fs::set_permissions(user.home.path(), Permissions::from_mode(0o711)).unwrap();
}
