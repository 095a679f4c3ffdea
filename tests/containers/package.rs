//! The Debian package: what is in it, that it is built the same each time, and on a host with systemd
//! that it installs, works and goes without a trace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::host::{host, host_with_systemd};
use crate::support::{finish, has_program, leftovers, rootfs, text, told, tree};

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");
/// Where tests/vm/suite puts the package, which an emulated machine would build for minutes.
const BROUGHT: &str = "/suite/wharf.deb";
/// Any time will do, but always the same.
const EPOCH: &str = "1700000000";

/// Builds the package of this wharf into `dir`, and returns its file; none: this machine cannot,
/// which is reported.
fn built(dir: &Path) -> Option<PathBuf> {
    if !has_program("dpkg-deb") {
        return None;
    }
    let program = dir.join("wharf");
    if !program.exists() {
        rootfs::copy_program(env!("CARGO_BIN_EXE_wharf"), &program);
        // What a debugger needs is most of it; without strip it only takes longer.
        _ = Command::new("strip").arg(&program).output();
    }
    let mut build = Command::new(Path::new(PROJECT).join("assets/packaging/build"));
    build.arg("--fast").arg("--binary").arg(&program).arg(dir).env("SOURCE_DATE_EPOCH", EPOCH);
    let output = finish(build);
    assert!(output.status.success(), "{}", told(&output));
    let mut made = tree(dir).into_iter().filter(|it| it.extension().is_some_and(|it| it == "deb"));
    Some(made.next().unwrap())
}

#[test]
fn the_package_holds_what_belongs_to_it_and_nothing_of_others() {
    if Path::new(BROUGHT).exists() {
        println!("skipped: it was built on another machine, which has looked at it");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(deb) = built(dir.path()) else { return };
    let sums = fs::read_to_string(dir.path().join("SHA256SUMS")).unwrap();
    let listed = host("dpkg-deb", &["--contents", deb.to_str().unwrap()]);
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (mode, owner, path) = (words[0], words[1], words[5]);
        assert_eq!(owner, "root/root", "{line}");
        assert!(mode.starts_with('l') || &mode[5..6] == "-" && &mode[8..9] == "-", "{line}");
        assert!(path == "./" || path.starts_with("./usr/"), "{line}");
        // Debian's lxc has its names everywhere else.
        assert!(!path.contains("/lxc-") || path.starts_with("./usr/lib/wharf/lxc/"), "{line}");
    }
    let has = |path: &str| listed.lines().any(|it| it.contains(&format!(" ./usr/{path}")));
    for it in [
        "bin/wharf\n",
        "share/man/man1/wharf.1.gz",
        "share/man/man1/wharf-start.1.gz",
        "share/man/man5/wharf.conf.5.gz",
        "share/bash-completion/completions/wharf",
        "share/zsh/vendor-completions/_wharf",
        "share/fish/vendor_completions.d/wharf.fish",
        "lib/systemd/system/wharf.service",
        "lib/systemd/system/wharf@.service",
        "lib/wharf/lxc/lxc-start -> ../../../bin/wharf",
        "share/doc/wharf/copyright",
        "share/doc/wharf/json.md",
        "share/doc/wharf/examples/default.conf",
        "share/doc/wharf/examples/templates/veth.conf",
    ] {
        assert!(has(it.trim_end()), "{it} is missing: {listed}");
    }
    assert_eq!(sums.lines().count(), 2, "{sums}");
    let mut check = Command::new("sha256sum");
    check.args(["--check", "SHA256SUMS"]).current_dir(dir.path());
    let output = finish(check);
    assert!(output.status.success(), "{}", told(&output));
    // The same again.
    built(dir.path());
    assert_eq!(fs::read_to_string(dir.path().join("SHA256SUMS")).unwrap(), sums);
}

/// Every file that is called so or below a directory that is, where packages have them.
fn traces() -> Vec<PathBuf> {
    let places = ["/etc/systemd", "/usr/bin", "/usr/share", "/usr/lib/systemd", "/usr/lib/wharf"];
    let all = places.into_iter().flat_map(|it| tree(Path::new(it)));
    let mut found: Vec<PathBuf> = all.filter(|it| it.to_string_lossy().contains("wharf")).collect();
    found.extend(["/run/wharf", "/usr/lib/wharf"].map(PathBuf::from));
    found.retain(|it| it.symlink_metadata().is_ok());
    found
}

/// Removes the package, also if the test fails.
struct Installed;

impl Drop for Installed {
    fn drop(&mut self) {
        _ = Command::new("dpkg").args(["--purge", "wharf"]).output();
    }
}

#[test]
fn an_installed_package_works_and_goes_without_a_trace() {
    let Some(_turn) = host_with_systemd() else { return };
    let dir = tempfile::tempdir().unwrap();
    let brought = Some(PathBuf::from(BROUGHT)).filter(|it| it.exists());
    let Some(deb) = brought.or_else(|| built(dir.path())) else { return };
    if Path::new("/usr/bin/wharf").exists() {
        println!("skipped: there is a wharf on this machine already");
        return;
    }
    // The guests leave such files out of every package.
    let include = ["man", "doc"].map(|it| format!("--path-include=/usr/share/{it}/*"));
    let installed = Installed;
    host("dpkg", &[&include[0], &include[1], "--install", deb.to_str().unwrap()]);
    assert_eq!(host("dpkg", &["--verify", "wharf"]), "");
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    if rootfs::busybox(&root) {
        live(dir.path(), &root);
    }
    for unit in ["wharf.service", "wharf@web.service", "wharf-shutdown.service"] {
        let shown = host("systemctl", &["show", "--property=LoadState,FragmentPath", unit]);
        assert!(shown.contains("LoadState=loaded"), "{unit}: {shown}");
        assert!(shown.contains("=/usr/lib/systemd/system/") || shown.contains("=/lib/"), "{shown}");
    }
    host("systemctl", &["enable", "wharf.service"]);
    let page = host("zcat", &["/usr/share/man/man1/wharf-start.1.gz"]);
    assert!(page.contains(".SH SYNOPSIS"), "{page}");
    host("dpkg", &["--remove", "wharf"]);
    host("dpkg", &["--purge", "wharf"]);
    drop(installed);
    assert_eq!(traces(), [""; 0].map(PathBuf::from));
    let state =
        Command::new("systemctl").args(["show", "-P", "LoadState", "wharf.service"]).output();
    assert_eq!(text(&state.unwrap().stdout), "not-found\n");
}

/// A container by the installed program, also under LXC's names, and completed to by its file.
fn live(dir: &Path, root: &Path) {
    let (lxcpath, name) = (dir.join("lxc"), format!("p{}", std::process::id()));
    let path = lxcpath.to_str().unwrap();
    let wharf = |args: &[&str]| host("/usr/bin/wharf", &[&["-P", path], args].concat());
    wharf(&["create", &name, "--dir", root.to_str().unwrap()]);
    wharf(&["start", &name, "--", "/bin/sleep", "1000"]);
    let asked = ["-P", path, "-n", &name, "-s", "-H"];
    assert_eq!(host("/usr/lib/wharf/lxc/lxc-info", &asked), "RUNNING\n");
    let script = format!(
        ". /usr/share/bash-completion/completions/wharf
         COMP_WORDS=(wharf -P {path} stop p) COMP_CWORD=4
         _clap_complete_wharf wharf p {path}; echo \"${{COMPREPLY[@]}}\""
    );
    assert_eq!(host("bash", &["-c", &script]), format!("{name}\n"));
    wharf(&["stop", "-k", &name]);
    wharf(&["destroy", "--now", &name]);
    assert_eq!(leftovers::of(&name, &lxcpath), [""; 0]);
}
