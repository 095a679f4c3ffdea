//! This process's terminal joined to a pty until a process ends: raw bytes both ways, the size
//! followed, the terminal always restored.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::sys;

const PIECE: usize = 16 * 1024;

/// A terminal in raw mode, which gets its old mode back when this is dropped.
#[derive(Debug)]
pub struct Raw {
    tty: OwnedFd,
    before: Termios,
}

impl Raw {
    /// Makes standard input raw; `None` if it is no terminal.
    pub fn stdin() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let tty = stdin.as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&tty)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&tty, SetArg::TCSANOW, &raw)?;
        Ok(Some(Self { tty, before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        _ = tcsetattr(&self.tty, SetArg::TCSANOW, &self.before);
    }
}

/// Relays between this terminal and `ptmx` until the process behind `pidfd` has ended and all it
/// wrote has been shown. Without a pty it only waits.
pub fn until_end(ptmx: Option<OwnedFd>, pidfd: BorrowedFd<'_>) -> io::Result<()> {
    let Some(ptmx) = ptmx else {
        return Ok(wait_readable(pidfd)?);
    };
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGWINCH, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let heard = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let raw = Raw::stdin()?;
    let mut session = Session { ptmx: File::from(ptmx), signals: heard, typing: raw.is_some() };
    session.fit();
    session.run(pidfd)
}

struct Session {
    ptmx: File,
    signals: SignalFd,
    /// Standard input is a terminal that still delivers.
    typing: bool,
}

impl Session {
    fn run(&mut self, pidfd: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            let [ended, typed, shown, signalled] = self.wait(pidfd)?;
            if signalled {
                self.heed()?;
            }
            if typed {
                self.hear()?;
            }
            if shown || ended {
                self.show()?;
            }
            if ended {
                return Ok(());
            }
        }
    }

    fn wait(&self, pidfd: BorrowedFd<'_>) -> nix::Result<[bool; 4]> {
        let stdin = io::stdin();
        let input = if self.typing { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut fds = [
            PollFd::new(pidfd, PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), input),
            PollFd::new(self.ptmx.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => return Ok([false; 4]),
            result => result?,
        };
        // A pty whose other side is closed hangs up for good: wait for the process then.
        Ok(fds.map(|it| it.revents().is_some_and(|flags| flags.contains(PollFlags::POLLIN))))
    }

    fn heed(&mut self) -> io::Result<()> {
        let signal = self.signals.read_signal()?.map(|it| it.ssi_signo as i32);
        if signal.is_some_and(|it| it != libc::SIGWINCH) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "ended by a signal"));
        }
        self.fit();
        Ok(())
    }

    fn hear(&mut self) -> io::Result<()> {
        let mut piece = [0; 1024];
        match nix::unistd::read(io::stdin(), &mut piece) {
            Ok(0) | Err(Errno::EIO) => self.typing = false,
            Ok(count) => self.type_in(piece.get(..count).unwrap_or_default())?,
            Err(Errno::EINTR | Errno::EAGAIN) => (),
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    /// Writes all of it, showing what comes meanwhile, so that neither side waits for the other.
    fn type_in(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.ptmx.write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.show()?;
                    wait_for(self.ptmx.as_fd(), PollFlags::POLLOUT | PollFlags::POLLIN)?;
                }
                Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Shows all that is there.
    fn show(&mut self) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        loop {
            match self.ptmx.read(&mut piece) {
                // EIO: the last process has closed the pty.
                Ok(0) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
                Ok(count) => {
                    let mut out = io::stdout().lock();
                    out.write_all(piece.get(..count).unwrap_or_default())?;
                    out.flush()?;
                }
            }
        }
    }

    fn fit(&self) {
        let sizes = [sys::window_size(io::stdin().as_fd()), sys::window_size(io::stdout().as_fd())];
        if let Some((rows, columns)) = sizes.into_iter().flatten().next() {
            // A pty that is closed has no size to follow.
            _ = sys::set_window_size(self.ptmx.as_fd(), rows, columns);
        }
    }
}

fn wait_readable(fd: BorrowedFd<'_>) -> nix::Result<()> {
    wait_for(fd, PollFlags::POLLIN)
}

fn wait_for(fd: BorrowedFd<'_>, flags: PollFlags) -> nix::Result<()> {
    let mut fds = [PollFd::new(fd, flags)];
    while let Err(errno) = poll(&mut fds, PollTimeout::NONE) {
        if errno != Errno::EINTR {
            return Err(errno);
        }
    }
    Ok(())
}
