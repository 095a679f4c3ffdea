//! Debian's LXC, 5.0.2 or 6.0.4. If it is not installed, its packages are unpacked below cargo's
//! directory for tests and mounted over /usr and /etc in the test's own mount namespace, so the
//! machine stays unchanged. Not available: the tests are skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::{Lxcpath, can_run_containers, finish, leftovers, rootfs, text, told};

const PACKAGES: [&str; 4] = ["lxc", "liblxc1", "liblxc-common", "lxc-templates"];

/// Mounts the unpacked packages, `$0`, over the machine, and runs the rest of the arguments.
const OVERLAY: &str = "mount -t overlay wharf-test -o lowerdir=$0/usr:/usr /usr && \
    mount -t overlay wharf-test -o lowerdir=$0/etc:/etc /etc && exec \"$@\"";

/// Allots root the ids in the file `$0`, and runs the rest of the arguments. LXC maps users by
/// `newuidmap` if that is installed, also for root.
const ALLOTTED: &str = "for it in /etc/subuid /etc/subgid; do \
    test ! -e $it || mount --bind $0 $it || exit; done; exec \"$@\"";

/// Where LXC's packages have what containers include.
pub(crate) const CONFIGURATIONS: &str = "/usr/share/lxc/config";

/// LXC's leader never removes its own group, nor LXC's tests the others.
const LEFT: [&str; 6] = [
    "lxc.pivot",
    "lxctest/lxc.pivot",
    "lxctest",
    "lxc.monitor.symtest1",
    "lxc.monitor.symtest1-1",
    "lxc.monitor.symtest1-2",
];
/// How long a leader may take to leave it.
const LEAVING: Duration = Duration::from_secs(5);

/// An lxcpath, and Debian's LXC that sees it.
pub(crate) struct Lxc {
    /// None: it is installed.
    unpacked: Option<PathBuf>,
    pub(crate) lxcpath: Lxcpath,
    /// Dropped after the containers have ended.
    _pivots: Pivots,
}

impl Lxc {
    /// Returns `None`, with a message, if LXC is not available.
    pub(crate) fn new() -> Option<Self> {
        static UNPACKED: OnceLock<Result<Option<PathBuf>, String>> = OnceLock::new();
        if !can_run_containers() {
            return None;
        }
        match UNPACKED.get_or_init(|| if is_installed() { Ok(None) } else { unpack().map(Some) }) {
            Ok(unpacked) => Some(Self {
                unpacked: unpacked.clone(),
                lxcpath: Lxcpath::new(),
                _pivots: Pivots::note(),
            }),
            Err(why) => {
                println!("skipped: no LXC to compare with: {why}");
                None
            }
        }
    }

    /// Makes a container with a root and two terminals, by its configuration alone, and returns its
    /// name; none, with a message, if there is nothing to make the root of.
    pub(crate) fn plain(&self, word: &str) -> Option<String> {
        let name = self.lxcpath.name(word);
        let dir = self.lxcpath.path().join(&name);
        if !rootfs::busybox(&dir.join("rootfs")) {
            return None;
        }
        let config = format!(
            "lxc.uts.name = {name}\nlxc.rootfs.path = dir:{}\nlxc.net.0.type = empty\n\
             lxc.apparmor.profile = unconfined\nlxc.mount.auto = proc:mixed sys:ro\n\
             lxc.tty.max = 2\nlxc.pty.max = 16\n",
            dir.join("rootfs").display()
        );
        fs::write(dir.join("config"), config).unwrap();
        Some(name)
    }

    /// Prepares a program in the environment where LXC is installed.
    pub(crate) fn inside(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.program(program);
        command.arg("-P").arg(self.lxcpath.path()).args(args);
        command
    }

    /// The same, without arguments.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = self.unpacked.as_deref().map_or_else(
            || Command::new(name),
            |unpacked| {
                let mut command = overlaid(unpacked);
                command.arg(name);
                command
            },
        );
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Output {
        finish(self.inside(program, args))
    }

    /// Runs one of LXC's commands, expects success and returns what it printed.
    pub(crate) fn ok(&self, program: &str, args: &[&str]) -> String {
        let output = self.run(program, args);
        assert!(output.status.success(), "{program} {args:?}: {}", told(&output));
        text(&output.stdout)
    }

    /// Has LXC start a container, which may map users.
    pub(crate) fn start(&self, name: &str) {
        let ids = tempfile::NamedTempFile::new().unwrap();
        fs::write(ids.path(), "root:100000:65536\n").unwrap();
        let mut command = self.unpacked.as_deref().map_or_else(apart, overlaid);
        command.args(["sh", "-c", ALLOTTED]).arg(ids.path());
        command.args(["lxc-start", "-n", name, "-P"]).arg(self.lxcpath.path());
        let output = finish(command);
        assert!(output.status.success(), "lxc-start {name}: {}", told(&output));
    }

    /// Asks LXC and wharf for the state, which must be the same.
    pub(crate) fn both_say(&self, name: &str, state: &str) {
        assert_eq!(self.lxcpath.state(name), state, "says wharf");
        let said = self.ok("lxc-info", &["-n", name, "-s", "-H"]);
        assert_eq!(said.trim(), state, "says lxc-info");
    }
}

/// Runs a command in a mount namespace of its own.
fn apart() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).stdin(Stdio::null());
    command
}

fn overlaid(unpacked: &Path) -> Command {
    let mut command = apart();
    command.args(["sh", "-c", OVERLAY]).arg(unpacked);
    command
}

/// Returns whether this machine has a version of LXC that these tests support.
fn is_installed() -> bool {
    let mut version = Command::new("lxc-start");
    version.arg("--version");
    succeed(version).is_ok_and(|it| it.starts_with("5.") || it.starts_with("6."))
}

/// Downloads and unpacks LXC once, and checks that it runs.
fn unpack() -> Result<PathBuf, String> {
    let dir = fetch("debian-lxc", &PACKAGES)?;
    let mut version = overlaid(&dir);
    version.args(["lxc-start", "--version"]);
    let version = succeed(version)?;
    if version.starts_with("5.") { Ok(dir) } else { Err(format!("version {version}")) }
}

/// Downloads and unpacks `packages` once, into a directory of cargo's for tests.
fn fetch(name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if !dir.join("usr").exists() {
        let scratch =
            tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).map_err(|it| it.to_string())?;
        let mut download = Command::new("apt-get");
        download.args(["-qq", "download"]).args(packages).current_dir(scratch.path());
        succeed(download)?;
        let fresh = scratch.path().join("root");
        for entry in fs::read_dir(scratch.path()).unwrap().flatten() {
            let mut extract = Command::new("dpkg");
            succeed({
                extract.arg("-x").arg(entry.path()).arg(&fresh);
                extract
            })?;
        }
        // Another run of the tests may have been faster.
        if let Err(error) = fs::rename(&fresh, &dir)
            && !dir.exists()
        {
            return Err(error.to_string());
        }
    }
    Ok(dir)
}

/// Shows what Debian's package `lxc-templates` has for each distribution at its place, to this thread
/// and what it starts. LXC itself must be installed.
pub(crate) fn show_distributions() -> Result<(), String> {
    if Path::new(CONFIGURATIONS).join("debian.common.conf").exists() {
        return Ok(());
    }
    let dir = fetch("debian-lxc-templates", &["lxc-templates"])?;
    let failed = |errno: nix::Error| errno.desc().to_owned();
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).map_err(failed)?;
    let both = format!("lowerdir={}{CONFIGURATIONS}:{CONFIGURATIONS}", dir.display());
    let overlay = Some("overlay");
    mount(overlay, CONFIGURATIONS, overlay, MsFlags::empty(), Some(both.as_str())).map_err(failed)
}

fn succeed(mut command: Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{command:?}: {}", told(&output)))
}

/// How many tests run LXC's programs now, and which of the groups were not there before the first.
static PIVOTS: Mutex<(usize, Vec<PathBuf>)> = Mutex::new((0, Vec::new()));

/// Has the groups removed that LXC leaves, after the last test that runs LXC at the time:
/// they have them in common.
pub(crate) struct Pivots(());

impl Pivots {
    pub(crate) fn note() -> Self {
        let (users, places) = &mut *PIVOTS.lock().unwrap_or_else(PoisonError::into_inner);
        if *users == 0 {
            let mounts = leftovers::cgroup_mounts().into_iter();
            let all = mounts.flat_map(|mount| LEFT.map(|it| mount.join(it)));
            *places = all.filter(|it| !it.exists()).collect();
        }
        *users += 1;
        Self(())
    }
}

impl Drop for Pivots {
    fn drop(&mut self) {
        let (users, places) = &mut *PIVOTS.lock().unwrap_or_else(PoisonError::into_inner);
        *users -= 1;
        if *users > 0 {
            return;
        }
        let end = Instant::now() + LEAVING;
        // A leader is in them until it has ended.
        while places.iter().any(|it| fs::remove_dir(it).is_err() && it.exists())
            && Instant::now() < end
        {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}
