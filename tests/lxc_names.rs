//! LXC's command names: options, output and exit codes as LXC's, without LXC.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::{Lxcpath, can_run_containers, finish, text, told};

/// Links in a directory of their own.
struct Links {
    dir: tempfile::TempDir,
    lxcpath: Lxcpath,
}

impl Links {
    fn new() -> Self {
        let links = Self { dir: tempfile::tempdir().unwrap(), lxcpath: Lxcpath::new() };
        links.lxcpath.ok(&["link", links.dir.path().to_str().unwrap()]);
        links
    }

    fn run(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new(self.dir.path().join(program));
        command.arg("-P").arg(self.lxcpath.path()).args(args).stdin(Stdio::null());
        finish(command)
    }

    /// Runs a command, and expects this exit code and this standard output.
    fn says(&self, program: &str, args: &[&str], code: i32, said: &str) {
        let output = self.run(program, args);
        assert_eq!(output.status.code(), Some(code), "{program} {args:?}: {}", told(&output));
        assert_eq!(text(&output.stdout), said, "{program} {args:?}: {}", told(&output));
    }
}

#[test]
fn links_are_made_once_and_taken_away() {
    let links = Links::new();
    let dir = links.dir.path();
    assert!(fs::read_link(dir.join("lxc-start")).is_ok());
    let dir_text = dir.to_str().unwrap();
    assert_eq!(links.lxcpath.ok(&["link", dir_text]), format!("0 links made in {dir_text}\n"));
    fs::remove_file(dir.join("lxc-ls")).unwrap();
    fs::write(dir.join("lxc-ls"), "mine").unwrap();
    let said = links.lxcpath.refused(&["link", dir_text], 1);
    assert!(said.contains("lxc-ls would be overwritten"), "{said}");
    links.lxcpath.ok(&["link", "--remove", dir_text]);
    let left: Vec<_> = fs::read_dir(dir).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["lxc-ls"]);
    assert_eq!(fs::read(dir.join("lxc-ls")).unwrap(), b"mine");
}

#[test]
fn what_is_not_there_is_said() {
    let lxcpath = Lxcpath::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
    command.args(["lxc", "copy", "-n", "x"]).current_dir(lxcpath.path());
    let output = finish(command);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.starts_with("Unsupported command 'copy'\nKnown commands:\n- attach\n"), "{said}");
}

#[test]
fn a_container_that_is_not_there_has_lxcs_codes() {
    let links = Links::new();
    links.says("lxc-ls", &[], 0, "");
    links.says("lxc-info", &["-n", "nosuch"], 1, "");
    links.says("lxc-stop", &["-n", "nosuch"], 2, "");
    links.says("lxc-start", &["nosuch"], 1, "");
    links.says("lxc-freeze", &["nosuch"], 1, "");
    links.says("lxc-unfreeze", &["nosuch"], 0, "");
    links.says("lxc-destroy", &["nosuch"], 1, "");
    links.says("lxc-wait", &["nosuch", "-s", "STOPPED", "-t", "0"], 0, "");
    links.says("lxc-wait", &["nosuch", "-s", "RUNNING", "-t", "0"], 1, "");
    links.says("lxc-wait", &["nosuch", "-s", "BOGUS"], 1, "");
    links.says("lxc-stop", &["--version"], 0, "5.0.2\n");
    let missing = links.run("lxc-stop", &[]);
    assert_eq!(text(&missing.stderr), "lxc-stop: No container name specified\n");
    let bad = text(&links.run("lxc-stop", &["--bogus"]).stderr);
    assert!(bad.contains(": unrecognized option '--bogus'\nUsage: lxc-stop "), "{bad}");
}

#[test]
fn a_life_is_told_as_lxc_tells_it() {
    if !can_run_containers() {
        return;
    }
    let links = Links::new();
    let name = links.lxcpath.name("life");
    links.lxcpath.ok(&["create", &name]);
    let n = name.as_str();
    let wide = name.len();
    links.says(
        "lxc-ls",
        &["-f", "-F", "name,state"],
        0,
        &format!("{:<wide$} STATE   \n{n} STOPPED \n", "NAME"),
    );
    links.says("lxc-start", &["-n", n, "--", "/bin/sleep", "1000"], 0, "");
    links.says("lxc-start", &["-n", n], 0, "");
    links.says("lxc-info", &["-n", n, "-sH"], 0, "RUNNING\n");
    links.says("lxc-info", &["-s", n], 0, "State:          RUNNING\n");
    links.says("lxc-info", &[n, "-c", "lxc.nosuch"], 0, "");
    links.says("lxc-ls", &["-1", "--active"], 0, &format!("{n}\n"));
    links.says("lxc-attach", &["-n", n, "--", "sh", "-c", "echo in; exit 7"], 7, "in\n");
    links.says("lxc-attach", &["-n", n, "--", "nosuchcmd"], 127, "");
    links.says("lxc-freeze", &[n], 0, "");
    links.says("lxc-wait", &[n, "-s", "FROZEN", "-t", "1"], 0, "");
    links.says("lxc-unfreeze", &[n], 0, "");
    links.says("lxc-destroy", &[n], 1, "");
    links.says("lxc-stop", &[n, "-k", "-t", "3"], 1, "");
    links.says("lxc-stop", &[n, "-k"], 0, "");
    links.says("lxc-stop", &[n], 2, "");
    links.says("lxc-execute", &[n, "--", "sh", "-c", "exit 3"], 3, "");
    links.says("lxc-execute", &[n, "--", "/nosuch"], 255, "");
    links.says("lxc-destroy", &[n], 0, "");
    assert!(!Path::new(links.lxcpath.path()).join(n).exists());
}
