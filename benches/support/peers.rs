//! Other engines, as far as this machine has them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::price::{self, Price};
use super::yard::Yard;
use super::{Failure, leftovers};

/// Returns where a program is.
pub(crate) fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|it| it.join(program)).find(|it| it.is_file())
}

/// Prepares one of LXC's commands for the containers below `lxcpath`.
pub(crate) fn lxc(program: &str, lxcpath: &Path, name: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("-P").arg(lxcpath).args(["-n", name]);
    command
}

/// Prepares `crun` or `runc`, whose state is in the yard.
pub(crate) fn oci(program: &str, yard: &Yard, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.arg("--root").arg(yard.home().join(program)).args(args);
    command
}

/// Writes what `crun` and `runc` run: the same root, namespaces and limits as wharf's containers
/// have. Returns its directory.
pub(crate) fn bundle(yard: &Yard, word: &str, init: &str) -> Result<String, Failure> {
    let spaces = ["pid", "ipc", "uts", "mount"].map(|it| serde_json::json!({ "type": it }));
    let config = serde_json::json!({
        "ociVersion": "1.0.0",
        "process": {
            "terminal": false, "user": { "uid": 0, "gid": 0 }, "args": [init],
            "env": ["PATH=/bin:/sbin"], "cwd": "/",
        },
        "root": { "path": yard.root(), "readonly": false },
        "hostname": "bench",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "mode=755", "size=512k"] },
        ],
        "linux": {
            "namespaces": spaces,
            "resources": {
                "memory": { "limit": 256 << 20 }, "pids": { "limit": 2000 },
                "cpu": { "shares": 512 },
            },
        },
    });
    let dir = yard.home().join(format!("bundle-{word}"));
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("config.json"), config.to_string())?;
    Ok(dir.to_string_lossy().into_owned())
}

type Order = (Command, Sender<Result<Price, String>>);

/// A thread that sees no v2 hierarchy beside those of v1, without which crun refuses to run.
#[derive(Debug)]
pub(crate) struct Aside {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Aside {
    pub(crate) fn open() -> Result<Self, Failure> {
        let (orders, received) = channel::<Order>();
        let (told, opened) = channel();
        let thread = std::thread::spawn(move || {
            _ = told.send(hide_unified().map_err(|it| it.to_string()));
            for (mut command, answer) in received {
                _ = answer.send(price::pay(&mut command).map_err(|it| it.to_string()));
            }
        });
        opened.recv()??;
        Ok(Self { orders: Some(orders), thread: Some(thread) })
    }

    /// Runs a command there to its end.
    pub(crate) fn pay(&self, command: Command) -> Result<Price, Failure> {
        let (answer, price) = channel();
        self.orders.as_ref().ok_or("closed")?.send((command, answer))?;
        Ok(price.recv()??)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.orders = None;
        _ = self.thread.take().map(JoinHandle::join);
    }
}

fn hide_unified() -> Result<(), Failure> {
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    let mounts = leftovers::cgroup_mounts();
    let unified = mounts.iter().filter(|it| it.join("cgroup.controllers").exists());
    for place in unified.filter(|_| mounts.len() > 1) {
        umount2(place, MntFlags::MNT_DETACH)?;
    }
    Ok(())
}
