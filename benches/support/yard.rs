//! Where a bench has its containers: an lxcpath of its own, with names that no other has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

use super::words::Size;
use super::{Failure, leftovers, program};

/// The first word of the command line of the process that measures.
pub(crate) const WORK: &str = "in-yard";

/// How many containers one command starts or stops.
const AT_ONCE: usize = 50;

/// How long the kernel may take to let go of what was killed.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// With these four controllers a container is what people run, not the cheapest possible one.
const LIMITS_V1: &str = "\
lxc.cgroup.memory.limit_in_bytes = 268435456
lxc.cgroup.pids.max = 2000
lxc.cgroup.cpu.shares = 512
";
const LIMITS_V2: &str = "\
lxc.cgroup2.memory.max = 268435456
lxc.cgroup2.pids.max = 2000
lxc.cgroup2.cpu.weight = 50
";

/// A directory with a root for containers and an lxcpath.
#[derive(Debug)]
pub(crate) struct Yard {
    home: PathBuf,
    /// How the names of containers and groups begin.
    pub(crate) tag: String,
}

impl Yard {
    pub(crate) fn lay_out() -> Result<Self, Failure> {
        let home = tempfile::Builder::new().prefix("wharf-bench-").tempdir()?.keep();
        let yard = Self::at(&home);
        for dir in ["proc", "sys", "dev", "sbin", "tmp"] {
            fs::create_dir_all(yard.root().join(dir))?;
        }
        for dir in ["lxc", "mount"] {
            fs::create_dir(home.join(dir))?;
        }
        program::write(&yard.root().join("exit"), &program::EXIT)?;
        Ok(yard)
    }

    /// Returns the one that was laid out at `home`.
    pub(crate) fn at(home: &Path) -> Self {
        let letters = home.to_string_lossy().rsplit('-').next().unwrap_or_default().to_lowercase();
        Self { home: home.to_owned(), tag: format!("bench{letters}") }
    }

    /// Runs the bench in another process until it ends or a signal says that it is to end.
    pub(crate) fn guard(&self, words: &[String]) -> Result<ExitStatus, Failure> {
        let mut heard = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD] {
            heard.add(signal);
        }
        heard.thread_block()?;
        let mut bench = Command::new(std::env::current_exe()?);
        let mut bench = bench.arg(WORK).arg(&self.home).args(words).spawn()?;
        loop {
            if heard.wait()? != Signal::SIGCHLD {
                bench.kill()?;
            }
            if let Some(status) = bench.try_wait()? {
                return Ok(status);
            }
        }
    }

    /// Ends and takes away everything.
    pub(crate) fn clear(&self) {
        if let Err(error) = self.down() {
            println!("left behind: {error}");
        }
        leftovers::remove(&self.tag, &self.home);
        let end = Instant::now() + PATIENCE;
        while !leftovers::of(&self.tag, &self.home).is_empty() && Instant::now() < end {
            std::thread::park_timeout(LOOK_AGAIN);
        }
        for left in leftovers::of(&self.tag, &self.home) {
            println!("left behind: {left}");
        }
        if let Err(error) = fs::remove_dir_all(&self.home) {
            println!("left behind: {}: {error}", self.home.display());
        }
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.home.join("rootfs")
    }

    pub(crate) fn lxcpath(&self) -> PathBuf {
        self.home.join("lxc")
    }

    /// Prepares wharf, its input empty. `WHARF` names another binary than that of this tree.
    pub(crate) fn wharf(&self, args: &[&str]) -> Command {
        let binary = std::env::var_os("WHARF");
        let mut command =
            Command::new(binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_wharf").into()));
        command.arg("-P").arg(self.lxcpath()).args(args).stdin(Stdio::null());
        command
    }

    /// Returns the name of a container.
    pub(crate) fn name(&self, number: usize) -> String {
        format!("{}-{number}", self.tag)
    }

    /// Writes the configuration of a container below `lxcpath`.
    pub(crate) fn define(
        &self,
        lxcpath: &Path,
        name: &str,
        processes: usize,
    ) -> Result<(), Failure> {
        let init = self.idle(processes)?;
        let dir = lxcpath.join(name);
        fs::create_dir_all(&dir)?;
        let limits = if only_v2() { LIMITS_V2 } else { LIMITS_V1 };
        let config = format!(
            "lxc.rootfs.path = dir:{}\nlxc.rootfs.mount = {}\nlxc.uts.name = bench\n\
             lxc.net.0.type = none\nlxc.mount.auto = proc:rw\nlxc.tty.max = 0\nlxc.pty.max = 0\n\
             lxc.apparmor.profile = unconfined\nlxc.init.cmd = {init}\n{limits}",
            self.root().display(),
            self.home.join("mount").display(),
        );
        Ok(fs::write(dir.join("config"), config)?)
    }

    /// Returns the program of `processes` that wait, as the container sees it.
    pub(crate) fn idle(&self, processes: usize) -> Result<String, Failure> {
        let path = format!("/idle-{processes}");
        let outside = self.root().join(path.trim_start_matches('/'));
        if !outside.exists() {
            program::write(&outside, &program::idle(processes))?;
        }
        Ok(path)
    }

    /// Starts containers, in addition to those that run.
    pub(crate) fn up(&self, size: Size) -> Result<(), Failure> {
        let first = self.names().len();
        let names: Vec<String> = (first..first + size.containers).map(|it| self.name(it)).collect();
        for name in &names {
            self.define(&self.lxcpath(), name, size.processes)?;
        }
        for names in names.chunks(AT_ONCE) {
            let output = self.wharf(&["start"]).args(names).output()?;
            if !output.status.success() {
                return Err(super::text(&output.stderr).trim().into());
            }
        }
        Ok(())
    }

    /// Ends all containers and forgets them, with what wharf has noted about them.
    pub(crate) fn down(&self) -> Result<(), Failure> {
        for names in self.names().chunks(AT_ONCE) {
            _ = self.wharf(&["stop", "-k", "-q"]).args(names).status()?;
            for name in names {
                // The root is everyone's, and stays.
                fs::write(self.lxcpath().join(name).join("config"), "")?;
            }
            _ = self.wharf(&["destroy", "--now", "-q"]).args(names).status()?;
        }
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.lxcpath()).into_iter().flatten().flatten();
        let names = entries.filter_map(|it| it.file_name().into_string().ok());
        names.filter(|it| it.starts_with(&self.tag)).collect()
    }
}

fn only_v2() -> bool {
    let mounts = leftovers::cgroup_mounts();
    mounts.iter().all(|it| it.join("cgroup.controllers").exists())
}
