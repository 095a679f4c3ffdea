//! What the tests share: an lxcpath of their own that cleans up and checks that nothing is left,
//! the wharf binary with a deadline, small root directories, probes to run inside, a canary of the
//! host's files, and an emulated terminal.

#[allow(unsafe_code, reason = "its subject are raw system calls")]
pub(crate) mod calls;
pub(crate) mod canary;
pub(crate) mod counted;
pub(crate) mod guest;
pub(crate) mod host;
pub(crate) mod imposter;
pub(crate) mod leftovers;
pub(crate) mod lxc;
pub(crate) mod mapped;
pub(crate) mod nobody;
pub(crate) mod oci;
pub(crate) mod probe;
pub(crate) mod rootfs;
pub(crate) mod screen;
pub(crate) mod terminal;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// How long any single thing may take before a test gives up; machines under load are slow.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// The pause between two checks of a condition that is not signalled.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A program that runs beside the test, and ends with it.
pub(crate) struct Beside(pub(crate) Child);

impl Drop for Beside {
    fn drop(&mut self) {
        // It may have ended.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Returns whether real containers can be created here; if not, reports that to the test's reader.
pub(crate) fn can_run_containers() -> bool {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root");
        return false;
    }
    if leftovers::cgroup_mounts().is_empty() {
        println!("skipped: no cgroup file system is mounted");
        return false;
    }
    true
}

/// Returns whether a container's memory can be limited here; if not, reports that to the test's
/// reader.
pub(crate) fn can_limit_memory() -> bool {
    let controls = |mount: &PathBuf| {
        let controllers = fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
        controllers.split_whitespace().any(|it| it == "memory")
            || mount.join("memory.limit_in_bytes").exists()
    };
    let can = leftovers::cgroup_mounts().iter().any(controls);
    if !can {
        println!("skipped: no memory controller");
    }
    can
}

/// Returns whether a program of the host exists; if not, reports that to the test's reader.
pub(crate) fn has_program(name: &str) -> bool {
    let runs = Command::new(name).arg("--version").output().is_ok();
    if !runs {
        println!("skipped: no {name} on this machine");
    }
    runs
}

/// An empty lxcpath with container names of its own. Dropping it ends and removes every container
/// in it and, unless the test is already failing, makes it fail for anything left on the machine.
pub(crate) struct Lxcpath {
    dir: tempfile::TempDir,
    prefix: String,
}

/// Writes a number in as few letters and digits as possible.
fn short(mut number: u32) -> String {
    let mut digits = String::new();
    loop {
        digits.extend(char::from_digit(number % 36, 36));
        number /= 36;
        if number == 0 {
            return digits.chars().rev().collect();
        }
    }
}

impl Lxcpath {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Short, so that narrow screens show them whole.
        let prefix = format!("t{}x{}", short(std::process::id()), short(count));
        let dir = tempfile::Builder::new().prefix("wharf-test-").tempdir().unwrap();
        Self { dir, prefix }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns a container name that no other test has.
    pub(crate) fn name(&self, word: &str) -> String {
        format!("{}-{word}", self.prefix)
    }

    /// Prepares wharf with this lxcpath, its input empty.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.arg("-P").arg(self.path()).args(args).stdin(Stdio::null());
        command
    }

    /// Runs wharf to its end.
    pub(crate) fn wharf(&self, args: &[&str]) -> Output {
        finish(self.command(args))
    }

    /// Runs wharf, expects success and returns what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.wharf(args);
        assert!(output.status.success(), "wharf {args:?}: {}", told(&output));
        text(&output.stdout)
    }

    /// Runs wharf and expects this exit code and a non-empty message on one line.
    pub(crate) fn refused(&self, args: &[&str], code: i32) -> String {
        let output = self.wharf(args);
        assert_eq!(output.status.code(), Some(code), "wharf {args:?}: {}", told(&output));
        let message = text(&output.stderr);
        assert!(message.starts_with("wharf: "), "wharf {args:?}: {}", told(&output));
        message
    }

    pub(crate) fn state(&self, name: &str) -> String {
        self.ok(&["info", "-s", "-H", name]).trim().to_owned()
    }

    /// Creates a container that shares the host's files and sleeps, and starts it.
    pub(crate) fn start_sleeper(&self, word: &str) -> String {
        let name = self.name(word);
        self.ok(&["create", &name]);
        self.ok(&["start", &name, "--", "/bin/sleep", "1000"]);
        name
    }

    /// Ends and removes every container, in any state.
    fn clear(&self) {
        let entries = fs::read_dir(self.path()).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|it| it.file_name().into_string().ok()).collect();
        names.extend(text(&self.wharf(&["ls", "-1"]).stdout).lines().map(str::to_owned));
        names.sort();
        names.dedup();
        for name in names {
            self.wharf(&["stop", "-k", &name]);
            self.wharf(&["destroy", "-f", "--now", &name]);
        }
    }
}

impl Drop for Lxcpath {
    fn drop(&mut self) {
        self.clear();
        let settled = Instant::now() + Duration::from_secs(5);
        let mut left = leftovers::of(&self.prefix, self.path());
        while !left.is_empty() && Instant::now() < settled {
            thread::park_timeout(LOOK_AGAIN);
            left = leftovers::of(&self.prefix, self.path());
        }
        if left.is_empty() {
            return;
        }
        leftovers::remove(&self.prefix, self.path());
        let told = format!("left behind:\n  {}", left.join("\n  "));
        if thread::panicking() {
            eprintln!("{told}");
        } else {
            panic!("{told}");
        }
    }
}

/// Runs a command to its end and returns its output; kills it and panics after [`PATIENCE`].
pub(crate) fn finish(mut command: Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let shown = format!("{command:?}");
    let deadline = Instant::now() + PATIENCE;
    let child = loop {
        match command.spawn() {
            // A failing attempt to write a program prevents its execution meanwhile.
            Err(error)
                if error.kind() == std::io::ErrorKind::ExecutableFileBusy
                    && Instant::now() < deadline =>
            {
                thread::park_timeout(LOOK_AGAIN);
            }
            spawned => break spawned.unwrap(),
        }
    };
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || _ = sender.send(child.wait_with_output()));
    receiver.recv_timeout(PATIENCE).map_or_else(
        |_| {
            _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL);
            panic!("no end within {PATIENCE:?}: {shown}");
        },
        Result::unwrap,
    )
}

/// Checks `condition` until it holds; panics with `what` after [`PATIENCE`].
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::park_timeout(LOOK_AGAIN);
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Shows how a command ended, for a test's failure message.
pub(crate) fn told(output: &Output) -> String {
    format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// Lists every path below `dir`, for a check that nothing was made or changed.
pub(crate) fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|it| it.is_dir()) {
                pending.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}
