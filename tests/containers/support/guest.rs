//! A container with its own root, in which scripts report what they find, by every way to run one.

use std::fs;
use std::process::{Command, Stdio};

use super::{Lxcpath, can_run_containers, finish, rootfs, told, wait_until};

/// A container with its own root, in which payloads report what they find.
pub(crate) struct Guest {
    pub(crate) lxcpath: Lxcpath,
    pub(crate) name: String,
    root: tempfile::TempDir,
}

impl Guest {
    /// None: this machine cannot run the test, which is reported.
    pub(crate) fn new() -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        if !can_run_containers() || !rootfs::busybox(root.path()) {
            return None;
        }
        let lxcpath = Lxcpath::new();
        let name = lxcpath.name("guest");
        lxcpath.ok(&["create", &name, "--dir", root.path().to_str().unwrap()]);
        Some(Self { lxcpath, name, root })
    }

    /// Runs `script` in the container in every possible way, each after `before`, and returns the
    /// way and the script's output.
    pub(crate) fn every_way(&self, before: &str, script: &str) -> Vec<(&'static str, String)> {
        let script = format!("exec > /told 2>&1\n{script}\necho end; exec sleep \"$1\"");
        let run = |verb: &[&str], time: &str| {
            let mut args = verb.to_vec();
            args.extend([&self.name, "--", "/bin/sh", "-c", &script, "sh", time]);
            let output = finish(after(before, &self.lxcpath.command(&args)));
            assert!(output.status.success(), "{verb:?}: {}", told(&output));
            wait_until("the end of the script", || self.told().ends_with("end\n"));
            let told = self.told();
            fs::remove_file(self.root.path().join("told")).unwrap();
            told
        };
        let mut found = vec![("execute", run(&["execute"], "0"))];
        found.push(("start -F", run(&["start", "-F"], "0")));
        found.push(("start", run(&["start"], "1000")));
        found.push(("attach", run(&["attach"], "0")));
        self.lxcpath.ok(&["stop", "-k", &self.name]);
        found
    }

    fn told(&self) -> String {
        fs::read_to_string(self.root.path().join("told")).unwrap_or_default()
    }
}

/// Has `script` run by a shell that then becomes `command`.
pub(crate) fn after(script: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{script}\nexec \"$0\" \"$@\"")).arg(command.get_program());
    shell.args(command.get_args()).stdin(Stdio::null());
    shell
}
