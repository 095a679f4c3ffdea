//! LXC's own shell tests, with wharf's links first in PATH: each passes wherever it passes with LXC on
//! the same machine. They come with Debian's package `lxc-tests`; without it they are skipped. They use
//! LXC's own directory, so they run one after another, and only where it holds no container. Where the
//! host has no bridge for LXC, both run with a `default.conf` that wants none. Users that `sudo -i`
//! makes have a PATH of their own, which begins with /usr/local/bin: there the links are for them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::support::can_run_containers;
use crate::support::lxc::Pivots;

/// Where all of them keep their containers.
const LXCPATH: &str = "/var/lib/lxc";
/// Seconds that one may take; they wait for minutes for what does not come.
const PATIENCE: &str = "300";
/// Shows the file `$0` as LXC's configuration of new containers, if the host lacks what that one
/// needs, and the directory `$LINKS`, if there is one, where users look for programs first. Runs the
/// arguments.
const PREPARED: &str = "test -e /sys/class/net/lxcbr0 || \
    mount --bind \"$0\" /etc/lxc/default.conf || exit 1; \
    test -z \"$LINKS\" || mount --bind \"$LINKS\" /usr/local/bin || exit 1; exec \"$@\"";
/// They have one directory in common.
static ONE: Mutex<()> = Mutex::new(());

/// How a test ended, and the end of what it said.
struct Ended {
    passed: bool,
    said: String,
}

/// Runs LXC's test, by LXC's commands or by those in `links`.
fn run(program: &Path, links: Option<&Path>) -> Ended {
    let output = tempfile::NamedTempFile::new().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let path = links.map_or_else(|| path.clone(), |it| format!("{}:{path}", it.display()));
    // One place in the file for both, so that neither writes over the other.
    let to = || Stdio::from(output.as_file().try_clone().unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let plain = tempfile::NamedTempFile::new().unwrap();
    fs::write(plain.path(), "lxc.net.0.type = empty\n").unwrap();
    let mut command = Command::new("timeout");
    command.args(["-k", "5", PATIENCE, "unshare", "-m", "sh", "-c", PREPARED]);
    command.arg(plain.path()).arg(program);
    command.env("LINKS", links.unwrap_or_else(|| Path::new("")));
    command.env("PATH", path).current_dir(scratch.path()).stdin(File::open("/dev/null").unwrap());
    let status = command.stdout(to()).stderr(to()).status().unwrap();
    let said = fs::read_to_string(output.path()).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    let last = lines.len().saturating_sub(25);
    let said = lines.get(last..).unwrap_or_default().join("\n");
    Ended { passed: status.success(), said }
}

/// Ends and removes what a test has left, by LXC's own commands.
fn clear() {
    for entry in fs::read_dir(LXCPATH).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !entry.path().join("config").exists() {
            continue;
        }
        for args in [&["lxc-stop", "-k", "-n"][..], &["lxc-destroy", "-f", "-n"]] {
            let (program, rest) = args.split_first().unwrap();
            let mut command = Command::new(program);
            command.args(rest).arg(&name).stdin(Stdio::null());
            _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

fn is_free() -> bool {
    let mut entries = fs::read_dir(LXCPATH).into_iter().flatten().flatten();
    !entries.any(|it| it.path().join("config").exists())
}

/// Runs the test of this name with LXC, and if it passes there, with wharf.
fn passes_where_lxc_passes(name: &str) {
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _pivots = Pivots::note();
    let program = Path::new("/usr/bin").join(format!("lxc-test-{name}"));
    if !can_run_containers() {
        return;
    }
    if !program.exists() {
        println!("skipped: {} (package lxc-tests) is not installed", program.display());
        return;
    }
    if !is_free() {
        println!("skipped: {LXCPATH} holds containers, and LXC's tests would use it");
        return;
    }
    let theirs = run(&program, None);
    clear();
    if !theirs.passed {
        let why = theirs.said.lines().last().unwrap_or_default();
        println!("skipped: LXC itself does not pass {name} on this machine: {why}");
        return;
    }
    let links = tempfile::tempdir().unwrap();
    // Tests of LXC become other users.
    fs::set_permissions(links.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut link = Command::new(env!("CARGO_BIN_EXE_wharf"));
    link.arg("link").arg(links.path()).stdout(Stdio::null());
    assert!(link.status().unwrap().success());
    let ours = run(&program, Some(links.path()));
    clear();
    assert!(ours.passed, "LXC passes {name}, wharf does not:\n{}", ours.said);
}

#[test]
fn exit_code() {
    passes_where_lxc_passes("exit-code");
}

#[test]
fn autostart() {
    passes_where_lxc_passes("autostart");
}

#[test]
fn createconfig() {
    passes_where_lxc_passes("createconfig");
}

#[test]
fn cloneconfig() {
    passes_where_lxc_passes("cloneconfig");
}

#[test]
fn snapdeps() {
    passes_where_lxc_passes("snapdeps");
}

#[test]
fn lxc_attach() {
    passes_where_lxc_passes("lxc-attach");
}

#[test]
fn procsys() {
    passes_where_lxc_passes("procsys");
}

#[test]
fn rootfs() {
    passes_where_lxc_passes("rootfs");
}

#[test]
fn symlink() {
    passes_where_lxc_passes("symlink");
}

#[test]
fn no_new_privs() {
    passes_where_lxc_passes("no-new-privs");
}

#[test]
fn automount() {
    passes_where_lxc_passes("automount");
}

#[test]
fn usernsexec() {
    passes_where_lxc_passes("usernsexec");
}

#[test]
fn unpriv() {
    passes_where_lxc_passes("unpriv");
}

#[test]
fn usernic() {
    passes_where_lxc_passes("usernic");
}

#[test]
fn apparmor_generated() {
    passes_where_lxc_passes("apparmor-generated");
}

#[test]
fn apparmor_mount() {
    passes_where_lxc_passes("apparmor-mount");
}

#[test]
fn checkpoint_restore() {
    passes_where_lxc_passes("checkpoint-restore");
}
