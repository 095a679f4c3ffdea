//! Containers without an engine: cgroups, idle processes, and a thread that answers for their
//! supervisors. Dropping the stage removes everything.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use wharf::engine::cgroup::Hierarchies;
use wharf::engine::{Host, Name};

type Failure = Box<dyn std::error::Error>;

/// Many containers that idle.
#[derive(Debug)]
pub(crate) struct Stage {
    home: tempfile::TempDir,
    names: Vec<Name>,
    processes: Vec<Child>,
    groups: Vec<PathBuf>,
    over: Arc<AtomicBool>,
    answering: Option<JoinHandle<()>>,
}

impl Stage {
    /// Sets up `containers` of `processes` each; none without permission.
    pub(crate) fn set(containers: usize, processes: usize) -> Result<Option<Self>, Failure> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: making cgroups needs root");
            return Ok(None);
        }
        let mut stage = Self {
            home: tempfile::tempdir()?,
            names: Vec::new(),
            processes: Vec::new(),
            groups: Vec::new(),
            over: Arc::default(),
            answering: None,
        };
        let bases: Vec<PathBuf> =
            Hierarchies::discover(&Host::this())?.iter().map(|it| it.base.clone()).collect();
        let mut answers = Vec::new();
        for number in 0..containers {
            let name = format!("bench-{}-{number}", std::process::id());
            stage.add_groups(&bases, &name)?;
            let mut init = 0;
            for _ in 0..processes {
                init = stage.add_process(bases.len())?;
            }
            answers.push(stage.add_supervisor(name, init)?);
        }
        let over = Arc::clone(&stage.over);
        stage.answering = Some(std::thread::spawn(move || answer(&answers, &over)));
        Ok(Some(stage))
    }

    pub(crate) fn lxcpath(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    fn add_groups(&mut self, bases: &[PathBuf], name: &str) -> Result<(), Failure> {
        for base in bases {
            let dir = base.join(format!("lxc.payload.{name}"));
            std::fs::create_dir(&dir)?;
            for file in ["cpuset.cpus", "cpuset.mems"] {
                inherit(base, &dir, file);
            }
            self.groups.push(dir);
        }
        Ok(())
    }

    /// Starts a process in the last `count` groups.
    fn add_process(&mut self, count: usize) -> Result<u32, Failure> {
        let mut command = Command::new("sleep");
        command.arg("infinity").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        let pid = child.id();
        self.processes.push(child);
        for dir in self.groups.iter().rev().take(count) {
            std::fs::write(dir.join("cgroup.procs"), pid.to_string())?;
        }
        Ok(pid)
    }

    fn add_supervisor(&mut self, name: String, init: u32) -> Result<Answers, Failure> {
        let dir = self.home.path().join(&name);
        std::fs::create_dir(&dir)?;
        std::fs::write(dir.join("config"), "")?;
        let socket = format!("{}/command", dir.display());
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(socket)?)?;
        let cgroup = format!("/lxc.payload.{name}\0");
        self.names.push(name.parse()?);
        Ok(Answers { listener, init, cgroup })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for child in &mut self.processes {
            _ = child.kill();
        }
        for child in &mut self.processes {
            _ = child.wait();
        }
        for dir in &self.groups {
            if let Err(error) = std::fs::remove_dir(dir) {
                println!("left behind: {}: {error}", dir.display());
            }
        }
        if let Some(answering) = self.answering.take() {
            _ = answering.join();
        }
    }
}

/// Copies a value without which v1's cpuset accepts no process; elsewhere there is no such file.
fn inherit(base: &Path, dir: &Path, file: &str) {
    if let Ok(value) = std::fs::read(base.join(file)) {
        _ = std::fs::write(dir.join(file), value);
    }
}

/// The answers of one supervisor.
#[derive(Debug)]
struct Answers {
    listener: UnixListener,
    init: u32,
    cgroup: String,
}

fn answer(all: &[Answers], over: &AtomicBool) {
    const LOOK_UP: u8 = 100;
    while !over.load(Ordering::Relaxed) {
        let mut fds: Vec<PollFd<'_>> =
            all.iter().map(|it| PollFd::new(it.listener.as_fd(), PollFlags::POLLIN)).collect();
        _ = poll(&mut fds, PollTimeout::from(LOOK_UP));
        let ready: Vec<bool> = fds.iter().map(|it| it.any() == Some(true)).collect();
        for (answers, _) in all.iter().zip(ready).filter(|(_, ready)| *ready) {
            if let Ok((stream, _)) = answers.listener.accept() {
                _ = answers.serve(stream);
            }
        }
    }
}

impl Answers {
    /// Answers one request of LXC's protocol: state, init's pid, or the cgroup.
    fn serve(&self, mut stream: UnixStream) -> std::io::Result<()> {
        let mut head = [0; 16];
        stream.read_exact(&mut head)?;
        let [command, ..] = head;
        let (number, text) = match command {
            3 => (2, ""),
            4 => (u64::from(self.init), ""),
            6 => (0, self.cgroup.as_str()),
            _ => return Ok(()),
        };
        let length = i32::try_from(text.len()).unwrap_or(0);
        let mut reply = 0_i32.to_ne_bytes().to_vec();
        reply.extend(length.to_ne_bytes());
        reply.extend(number.to_ne_bytes());
        reply.extend(text.as_bytes());
        stream.write_all(&reply)
    }
}
