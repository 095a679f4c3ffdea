//! The identity of a process, which survives the reuse of its pid, and what `/proc/PID/stat` says
//! about it.

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

use crate::engine::host::Host;
use crate::engine::host::short::read_at_once;
use crate::engine::sys;

/// Identifies one process for ever: a pid alone will be reused some day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    pub pid: i32,
    /// Clock ticks from boot to its start.
    pub start_time: u64,
}

impl Identity {
    /// Identifies the process that has `pid` now.
    pub fn of(host: &Host, pid: i32) -> Option<Self> {
        Stat::read(host, pid).map(|it| it.identity)
    }

    /// Opens a pidfd of the process, if it still exists.
    pub fn hold(self, host: &Host) -> Option<OwnedFd> {
        let pidfd = sys::pidfd_open(self.pid).ok()?;
        // Checked after the pidfd was opened, so that the pid cannot have been reused.
        self.lives(host).then_some(pidfd)
    }

    /// Returns whether the process still exists and is not a zombie.
    pub fn lives(self, host: &Host) -> bool {
        Stat::read(host, self.pid).is_some_and(|it| it.identity == self && it.state != ZOMBIE)
    }
}

/// Waits until the process behind `pidfd` has ended, and returns whether it has within `patience`.
pub(in crate::engine) fn has_ended(pidfd: BorrowedFd<'_>, patience: Duration) -> nix::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pidfd, PollFlags::POLLIN)], left) {
            Err(Errno::EINTR) => (),
            done => return Ok(done? > 0),
        }
    }
}

/// The letter of proc_pid_stat(5) for a process that is dead and not reaped yet.
pub(in crate::engine) const ZOMBIE: char = 'Z';

/// The letter of one that a signal has stopped.
pub(in crate::engine) const STOPPED: char = 'T';

/// The content of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub identity: Identity,
    pub parent: i32,
    /// The name, which the process chooses freely.
    pub name: Vec<u8>,
    pub state: char,
    /// `PF_*` of the kernel.
    pub flags: u32,
    pub threads: u32,
    /// Time in user and kernel mode, in clock ticks.
    pub cpu_ticks: u64,
    pub rss_pages: u64,
}

/// The longest `/proc/PID/stat` that is read.
const STAT_BYTES: u64 = 4096;

impl Stat {
    /// Reads it for the process that has `pid` now.
    pub(in crate::engine) fn read(host: &Host, pid: i32) -> Option<Self> {
        let file = File::open(host.of_process(pid, "stat")).ok()?;
        Self::parse(&read_at_once(file, STAT_BYTES).ok()?)
    }

    /// Parses the content of `/proc/PID/stat`. The name in it may hold any bytes, brackets and
    /// newlines included, so it ends at the last closing bracket.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|&it| it == b'(')?;
        let close = text.iter().rposition(|&it| it == b')')?;
        let pid = std::str::from_utf8(text.get(..open)?).ok()?.trim().parse().ok()?;
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        // Numbered as in proc_pid_stat(5) less the three that went before.
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            identity: Identity { pid, start_time: number(19)? },
            parent: fields.get(1)?.parse().ok()?,
            name: text.get(open + 1..close)?.to_vec(),
            state: fields.first()?.chars().next()?,
            flags: u32::try_from(number(6)?).ok()?,
            threads: u32::try_from(number(17)?).ok()?,
            cpu_ticks: number(11)?.saturating_add(number(12)?),
            rss_pages: number(21)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_with_its_pid_does_not() {
        let me = Identity::of(&Host::this(), std::process::id() as i32).unwrap();
        assert!(me.lives(&Host::this()));
        assert!(!Identity { start_time: me.start_time + 1, ..me }.lives(&Host::this()));
    }

    #[test]
    fn any_name_is_parsed() {
        let rest = "S 1 42 42 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 3 0 198545 5410816 984 1 2";
        for name in ["sh", "a) R 9 (b", "", "(((", "x\ny", ") S 2 3"] {
            let stat = Stat::parse(format!("42 ({name}) {rest}").as_bytes()).unwrap();
            assert_eq!(stat.identity, Identity { pid: 42, start_time: 198_545 });
            assert_eq!(stat.name, name.as_bytes());
            assert_eq!((stat.parent, stat.state, stat.threads), (1, 'S', 3));
            assert_eq!((stat.cpu_ticks, stat.rss_pages), (42, 984));
        }
        assert!(Stat::parse(b"42 (\xff\xfe) S 1 2").is_none());
        assert!(Stat::parse(b"").is_none());
        assert!(Stat::parse(b")(").is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_upset_the_parser(text: Vec<u8>) {
            _ = Stat::parse(&text);
        }
    }
}
