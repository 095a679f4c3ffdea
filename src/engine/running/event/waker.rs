//! What wakes those who wait for a directory's files to change.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::time::TimeSpec;
use nix::sys::timer::TimerSetTimeFlags;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags};

/// How often files are looked at that the kernel does not watch.
const UNWATCHED: Duration = Duration::from_millis(50);

/// Polls readable when there may be something new.
#[derive(Debug)]
pub(super) enum Waker {
    Kernel(Inotify),
    /// All programs of a user, containers included that have no users of their own, share 128
    /// instances of inotify(7).
    Clock(TimerFd),
}

impl Waker {
    /// Wakes for what is written in `dir`, or is moved there and away.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        match Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK) {
            Ok(inotify) => {
                inotify.add_watch(dir, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_MOVE)?;
                Ok(Self::Kernel(inotify))
            }
            Err(Errno::EMFILE) => Self::by_the_clock(),
            Err(errno) => Err(errno.into()),
        }
    }

    fn by_the_clock() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let often = Expiration::Interval(TimeSpec::from(UNWATCHED));
        timer.set(often, TimerSetTimeFlags::empty())?;
        Ok(Self::Clock(timer))
    }

    /// Has it wait for what comes from now on.
    pub(super) fn rest(&self) {
        match self {
            Self::Kernel(inotify) => while inotify.read_events().is_ok_and(|it| !it.is_empty()) {},
            // It has not expired yet, or has now.
            Self::Clock(timer) => _ = timer.wait(),
        }
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Kernel(inotify) => inotify.as_fd(),
            Self::Clock(timer) => timer.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    #[test]
    fn without_the_kernel_the_clock_wakes_again_and_again() {
        let waker = Waker::by_the_clock().unwrap();
        waker.rest();
        for _ in 0..3 {
            let mut fds = [PollFd::new(waker.as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, PollTimeout::from(10_000_u16)), Ok(1));
            waker.rest();
        }
    }
}
