//! The login shell of a user inside, as the container's own `/etc/passwd` names it.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::PermissionsExt as _;

use nix::fcntl::OFlag;

use crate::engine::sys;

const SHELL: &str = "/bin/sh";
/// A passwd file larger than this is not read to its end.
const PASSWD_BYTES: u64 = 1 << 20;

/// Returns the shell of `uid` in the container with this root, if it is a program there, else
/// `/bin/sh`.
pub(super) fn of(root: BorrowedFd<'_>, uid: u32) -> String {
    let configured = passwd(root).and_then(|it| shell_in(&it, uid));
    let executable = |it: &String| {
        let found = sys::open_inside(root, it.as_str(), OFlag::O_PATH);
        let facts = found.ok().and_then(|it| File::from(it).metadata().ok());
        facts.is_some_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    configured.filter(executable).unwrap_or_else(|| SHELL.to_owned())
}

fn passwd(root: BorrowedFd<'_>) -> Option<String> {
    let text = sys::read_inside(root, "etc/passwd", PASSWD_BYTES).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn shell_in(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&uid.as_str()))
        .and_then(|fields| fields.get(6).map(|it| (*it).to_owned()))
        .filter(|it| it.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_shell_comes_from_the_users_own_line() {
        let passwd = "root:x:0:0:root:/root:/bin/ash\nops:x:1000:1000::/home/ops:/bin/zsh\nx:y\n";
        assert_eq!(shell_in(passwd, 0).as_deref(), Some("/bin/ash"));
        assert_eq!(shell_in(passwd, 1000).as_deref(), Some("/bin/zsh"));
        assert_eq!(shell_in(passwd, 7), None);
        assert_eq!(shell_in("root:x:0:0:root:/root:nologin", 0), None);
        assert_eq!(shell_in("", 0), None);
    }

    #[test]
    fn a_shell_that_is_not_a_program_of_the_container_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["etc", "bin"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        let lines = "a:x:1:1::/:/bin/ash\nb:x:2:2::/:/bin/out\nc:x:3:3::/:/bin/no\n";
        fs::write(dir.path().join("etc/passwd"), lines).unwrap();
        fs::write(dir.path().join("bin/ash"), "").unwrap();
        fs::set_permissions(dir.path().join("bin/ash"), Permissions::from_mode(0o755)).unwrap();
        symlink("/usr/bin/env", dir.path().join("bin/out")).unwrap();
        let root = File::open(dir.path()).unwrap();
        let shells = [1, 2, 3, 4].map(|uid| of(root.as_fd(), uid));
        assert_eq!(shells, ["/bin/ash", SHELL, SHELL, SHELL]);
    }
}
