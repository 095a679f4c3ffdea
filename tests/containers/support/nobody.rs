//! The user nobody, who has no container and no rights.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;

use super::{has_program, rootfs};

/// The number of the user and of the group.
pub(crate) const NOBODY: u32 = 65534;

/// A copy of wharf that nobody can run, and nobody's runtime directory.
pub(crate) struct Nobody {
    dir: tempfile::TempDir,
}

impl Nobody {
    /// None, after saying so: the machine has no `setpriv`.
    pub(crate) fn new() -> Option<Self> {
        if !has_program("setpriv") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        rootfs::copy_program(env!("CARGO_BIN_EXE_wharf"), &dir.path().join("wharf"));
        let runtime = dir.path().join("runtime");
        fs::create_dir(&runtime).unwrap();
        fs::set_permissions(&runtime, Permissions::from_mode(0o700)).unwrap();
        chown(&runtime, Some(NOBODY), Some(NOBODY)).unwrap();
        Some(Self { dir })
    }

    /// Prepares `wharf ARGS` as nobody.
    pub(crate) fn command<T: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = T>) -> Command {
        let number = NOBODY.to_string();
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &number, "--regid", &number, "--clear-groups"]);
        command.arg(self.dir.path().join("wharf")).args(args);
        command.env("XDG_RUNTIME_DIR", self.dir.path().join("runtime")).env_remove("HOME");
        command
    }
}
