//! A container that counts, and a made-up CRIU for it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Lxcpath, can_run_containers, rootfs, wait_until};

/// Counts in a file of the root, and on the console.
const COUNTER: &str = "i=0; while :; do i=$((i+1)); echo $i >/count.new; mv /count.new /count; \
                       echo said $i; sleep 0.1; done";

/// A container that counts.
pub(super) struct Counter {
    pub(super) lxcpath: Lxcpath,
    pub(super) name: String,
    pub(super) root: PathBuf,
    /// What it says on the console.
    pub(super) log: Option<Dir>,
}

impl Counter {
    pub(super) fn start(settings: &[&str]) -> Option<Self> {
        if !can_run_containers() {
            return None;
        }
        let lxcpath = Lxcpath::new();
        let (name, root) = (lxcpath.name("counter"), lxcpath.path().join("root"));
        if !rootfs::busybox(&root) {
            return None;
        }
        std::os::unix::fs::symlink("busybox", root.join("bin/mv")).unwrap();
        let path = format!("lxc.rootfs.path=dir:{}", root.display());
        fs::write(root.join("count.sh"), COUNTER).unwrap();
        let mut args = vec!["create", &name, "-s", &path, "-s", "lxc.init.cmd=/bin/sh /count.sh"];
        args.extend(settings.iter().flat_map(|it| ["-s", *it]));
        lxcpath.ok(&args);
        lxcpath.ok(&["start", &name]);
        Some(Self { lxcpath, name, root, log: None })
    }

    pub(super) fn count(&self) -> u32 {
        let read = || fs::read_to_string(self.root.join("count")).ok()?.trim().parse().ok();
        let mut found = None;
        wait_until("a count", || {
            found = read();
            found.is_some()
        });
        found.unwrap()
    }

    /// Waits until it has counted on from `from`.
    #[track_caller]
    pub(super) fn counts_on(&self, from: u32) {
        wait_until("the next count", || self.count() > from + 2);
    }

    pub(super) fn dir(&self, word: &str) -> String {
        // Below the lxcpath nothing but containers is expected.
        self.root.join(format!("../../{}-{word}", self.name)).to_str().unwrap().to_owned()
    }

    pub(super) fn info(&self, option: &str) -> String {
        self.lxcpath.ok(&["info", option, "-H", &self.name]).trim().to_owned()
    }

    pub(super) fn inside(&self, command: &str) -> String {
        self.lxcpath.ok(&["attach", &self.name, "--", "/bin/sh", "-c", command])
    }

    /// Prepares wharf with a made-up CRIU that does `script`, and the programs that it needs.
    pub(super) fn with_criu(&self, script: &str, args: &[&str]) -> Command {
        let dir = self.lxcpath.path().join(".bin");
        fs::create_dir_all(&dir).unwrap();
        let words = "[ \"$1\" != --version ] || { echo Version: 4.2; exit; }";
        let check = "[ \"$1\" != check ] || exit 0";
        rootfs::write_script(
            &format!("#!/bin/sh\n{words}\n{check}\n{script}\n"),
            &dir.join("criu"),
        );
        for program in ["iptables-restore", "ip", "tar", "nsenter"] {
            rootfs::write_script("#!/bin/sh\n", &dir.join(program));
        }
        let mut command = self.lxcpath.command(args);
        command.env("PATH", format!("{}:/usr/bin:/bin", dir.display()));
        command
    }
}

/// A directory or file that is removed at the end.
pub(super) struct Dir(pub(super) String);

impl Drop for Dir {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0).or_else(|_| fs::remove_file(&self.0));
    }
}

pub(super) fn criu_works() -> bool {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let run = |program: &str, argument: &str| {
        let mut command = Command::new(program);
        command.arg(argument).env("PATH", &path).stdin(Stdio::null());
        command.output().is_ok_and(|it| it.status.success())
    };
    let works = run("criu", "check") && run("iptables-restore", "--version");
    if !works {
        println!("skipped: no criu that works on this kernel, or no iptables-restore");
    }
    works
}
