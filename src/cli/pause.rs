//! The time between two tables of a command that prints again and again.

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits until something is to be printed again; false: the reader of the output has gone.
pub(super) fn rest(delay: Duration) -> anyhow::Result<bool> {
    let until = Instant::now() + delay;
    let stdout = io::stdout();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        // Without an event to wait for it returns only when the time is up or the output is closed.
        match poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::empty())], left) {
            Ok(0) if Instant::now() >= until => return Ok(true),
            Ok(0) | Err(Errno::EINTR) => (),
            Ok(_) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
    }
}
