//! Freezes and thaws, and waits until every process is stopped or runs again.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::file::{event, write_once};
use super::{Cgroup, CgroupError};
use crate::engine::terms::patience::Patience;

/// Why a group may stay half frozen, and what the operator can do.
const STUCK: &str = "a process in an uninterruptible wait (state D) delays it; it will freeze \
                     later by itself, unless the container is unfrozen";
const STUCK_THAW: &str = "a group above it may be frozen";

/// The file that freezes, by version.
#[derive(Debug)]
enum Freezer {
    V1(PathBuf),
    V2(PathBuf),
}

impl Cgroup {
    /// Freezes every process and returns once all are frozen.
    pub fn freeze(&self, timeout: Duration) -> Result<(), CgroupError> {
        self.change(true, timeout)
    }

    /// Lets every process run again.
    pub fn thaw(&self, timeout: Duration) -> Result<(), CgroupError> {
        self.change(false, timeout)
    }

    /// Returns whether every process is frozen; none without a freezer.
    pub fn frozen(&self) -> Option<bool> {
        match self.freezer()? {
            Freezer::V1(dir) => {
                let state = std::fs::read_to_string(dir.join("freezer.state")).ok()?;
                Some(state.trim() == "FROZEN")
            }
            Freezer::V2(dir) => {
                event(&std::fs::read_to_string(dir.join("cgroup.events")).ok()?, "frozen")
            }
        }
    }

    /// Returns whether no freeze is requested; none without a freezer.
    pub(in crate::engine) fn thawed(&self) -> Option<bool> {
        let (file, thawed) = match self.freezer()? {
            Freezer::V1(dir) => (dir.join("freezer.state"), "THAWED"),
            Freezer::V2(dir) => (dir.join("cgroup.freeze"), "0"),
        };
        Some(std::fs::read_to_string(file).ok()?.trim() == thawed)
    }

    /// Thaws every v1 group below, since a process inside may have frozen one, and frozen processes
    /// do not die. A v2 freezer lets a killed process die.
    pub(in crate::engine) fn thaw_below(&self) {
        if let Some(freezer) = self.v1("freezer") {
            thaw_below(&freezer.dir);
        }
    }

    fn freezer(&self) -> Option<Freezer> {
        let v1 = self.v1("freezer").map(|it| Freezer::V1(it.dir.clone()));
        v1.or_else(|| self.unified().map(|it| Freezer::V2(it.dir.clone())))
    }

    fn change(&self, frozen: bool, timeout: Duration) -> Result<(), CgroupError> {
        let act = if frozen { "freeze" } else { "thaw" };
        let (dir, done) = match self.freezer().ok_or(CgroupError::NoFreezer)? {
            Freezer::V1(dir) => (dir.clone(), change_v1(&dir, frozen, timeout)),
            Freezer::V2(dir) => (dir.clone(), change_v2(&dir, frozen, timeout)),
        };
        match done {
            Ok(true) => Ok(()),
            Ok(false) => {
                let advice = if frozen { STUCK } else { STUCK_THAW };
                Err(CgroupError::TimedOut { act, path: dir, waited: timeout, advice })
            }
            Err(errno) => Err(CgroupError::Freeze { act, path: dir, errno }),
        }
    }
}

/// The v1 freezer gives no notice when it is done, so its state is polled. A process that was
/// forked or traced meanwhile may need the state written again.
fn change_v1(dir: &Path, frozen: bool, timeout: Duration) -> io::Result<bool> {
    let file = dir.join("freezer.state");
    let wanted = if frozen { "FROZEN" } else { "THAWED" };
    let mut patience = Patience::until(Instant::now() + timeout);
    loop {
        write_once(&file, wanted.as_bytes())?;
        if std::fs::read_to_string(&file)?.trim() == wanted {
            return Ok(true);
        }
        if !patience.again() {
            return Ok(false);
        }
    }
}

/// From the top down: a group whose parent is frozen stays frozen. One that vanishes needs nothing.
fn thaw_below(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|it| it.is_dir()) {
            _ = write_once(&entry.path().join("freezer.state"), b"THAWED");
            thaw_below(&entry.path());
        }
    }
}

/// The v2 group signals each change of `cgroup.events`.
fn change_v2(dir: &Path, frozen: bool, timeout: Duration) -> io::Result<bool> {
    let patience = Patience::until(Instant::now() + timeout);
    let mut events = File::open(dir.join("cgroup.events"))?;
    write_once(&dir.join("cgroup.freeze"), if frozen { b"1" } else { b"0" })?;
    loop {
        let mut text = String::new();
        events.rewind()?;
        events.read_to_string(&mut text)?;
        if event(&text, "frozen") == Some(frozen) {
            return Ok(true);
        }
        let left = patience.left();
        if left.is_zero() {
            return Ok(false);
        }
        let mut fds = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
        // Rounded up, so that the last fraction of a millisecond is waited for too; a signal only
        // causes an early check.
        _ = poll(
            &mut fds,
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX),
        );
    }
}
