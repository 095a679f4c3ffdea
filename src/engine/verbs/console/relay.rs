//! The loop between this terminal and a container's. Always restores the terminal.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use super::ConsoleError;
use crate::engine::entry::relay::{BlockedSignals, RawMode};
use crate::engine::running::command_socket::{ConsoleView, Tty};
use crate::engine::sys;

/// Bytes relayed at a time.
const PIECE: usize = 4096;
/// What leaves the console, after the escape key.
const QUIT: u8 = b'q';
/// The signals that would leave the terminal raw, or report its size.
const HEARD: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGWINCH];

/// A terminal of the container.
#[derive(Debug)]
pub(super) enum Remote {
    View(ConsoleView),
    Tty(Tty),
}

/// Whether the relay continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Go,
    End,
}

impl Remote {
    /// Returns the number of the tty; 0 is the console.
    pub(super) const fn number(&self) -> u32 {
        match self {
            Self::View(_) => 0,
            Self::Tty(tty) => tty.number,
        }
    }

    fn replay(&self) -> &[u8] {
        match self {
            Self::View(view) => &view.replay,
            Self::Tty(_) => &[],
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::View(view) => view.as_fd(),
            Self::Tty(tty) => tty.fd.as_fd(),
        }
    }

    /// Returns the connection that closes when the container ends, if that is not the terminal's
    /// own.
    fn keep(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::View(_) => None,
            Self::Tty(tty) => Some(tty.keep.as_fd()),
        }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::View(view) => view.read(buffer),
            Self::Tty(tty) => Ok(nix::unistd::read(&tty.fd, buffer)?),
        }
    }

    fn input(&self, mut bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::View(view) => view.input(bytes),
            Self::Tty(tty) => {
                while !bytes.is_empty() {
                    let count = nix::unistd::write(&tty.fd, bytes)?;
                    bytes = bytes.get(count..).unwrap_or_default();
                }
                Ok(())
            }
        }
    }

    fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        match self {
            Self::View(view) => view.resize(rows, columns),
            Self::Tty(tty) => Ok(sys::set_window_size(tty.fd.as_fd(), rows, columns)?),
        }
    }
}

/// Relays until the escape key and `q`, the end of standard input, or the end of the container.
pub(super) fn relay(remote: &Remote, escape: Option<u8>) -> Result<(), ConsoleError> {
    let blocked = BlockedSignals::block(HEARD).map_err(ConsoleError::Relay)?;
    let signals = blocked.open().map_err(ConsoleError::Relay)?;
    let _raw = RawMode::stdin().map_err(ConsoleError::Terminal)?;
    fit(remote);
    let mut keys = Keys { escape, pending: false };
    // A terminal that does not accept the replay ends the loop on its next byte.
    _ = show(remote.replay());
    loop {
        let stdin = io::stdin();
        let mut fds = vec![
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
            PollFd::new(remote.fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(remote.keep().map(|it| PollFd::new(it, PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => (),
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(ConsoleError::Relay(errno)),
        }
        let ready: Vec<bool> = fds.iter().map(|it| it.any().unwrap_or(false)).collect();
        drop(fds);
        let is = |at: usize| ready.get(at).copied().unwrap_or(false);
        if is(2) && heed(&signals, remote) == Next::End {
            return Ok(());
        }
        if is(1) && output(remote) == Next::End {
            return Ok(());
        }
        if is(0) && typed(remote, &mut keys) == Next::End {
            return Ok(());
        }
        // Any event on the connection that holds a tty means the end.
        if is(3) && !is(1) {
            return Ok(());
        }
    }
}

fn output(remote: &Remote) -> Next {
    let mut buffer = [0; PIECE];
    match remote.read(&mut buffer) {
        Ok(count) if count > 0 => show(buffer.get(..count).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Next::Go,
        // EIO: no process in the container has the terminal open any more.
        Ok(_) | Err(_) => Next::End,
    }
}

fn show(bytes: &[u8]) -> Next {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Next::Go,
        Err(_gone) => Next::End,
    }
}

fn typed(remote: &Remote, keys: &mut Keys) -> Next {
    let mut buffer = [0; PIECE];
    let count = match nix::unistd::read(io::stdin().as_fd(), &mut buffer) {
        Ok(0) => return Next::End,
        Ok(count) => count,
        Err(Errno::EINTR | Errno::EAGAIN) => return Next::Go,
        Err(_gone) => return Next::End,
    };
    let (bytes, next) = keys.take(buffer.get(..count).unwrap_or_default());
    if !bytes.is_empty() && remote.input(&bytes).is_err() {
        return Next::End;
    }
    next
}

/// The input, less the escape key and what follows it.
#[derive(Debug)]
struct Keys {
    escape: Option<u8>,
    /// The escape key was the last one.
    pending: bool,
}

impl Keys {
    /// Returns the input for the container. The escape key and `q` ends; the escape key and any
    /// other key, itself included, sends only that other key.
    fn take(&mut self, typed: &[u8]) -> (Vec<u8>, Next) {
        let mut through = Vec::new();
        for &byte in typed {
            let after_escape = std::mem::take(&mut self.pending);
            if after_escape && byte == QUIT {
                return (through, Next::End);
            }
            if !after_escape && Some(byte) == self.escape {
                self.pending = true;
            } else {
                through.push(byte);
            }
        }
        (through, Next::Go)
    }
}

fn fit(remote: &Remote) {
    if let Ok((rows, columns)) = sys::window_size(io::stdin().as_fd()) {
        // A console that is gone needs no size.
        _ = remote.resize(rows, columns);
    }
}

/// Does what the signals say.
fn heed(signals: &SignalFd, remote: &Remote) -> Next {
    let mut next = Next::Go;
    while let Ok(Some(signal)) = signals.read_signal() {
        if signal.ssi_signo == Signal::SIGWINCH as u32 {
            fit(remote);
        } else {
            next = Next::End;
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_key_is_read_as_lxc_console_does() {
        let mut keys = Keys { escape: Some(1), pending: false };
        assert_eq!(keys.take(b"ab\x01"), (b"ab".to_vec(), Next::Go));
        assert_eq!(keys.take(b"\x01c"), (b"\x01c".to_vec(), Next::Go));
        assert_eq!(keys.take(b"\x01x"), (b"x".to_vec(), Next::Go));
        assert_eq!(keys.take(b"d\x01qe"), (b"d".to_vec(), Next::End));
        let mut none = Keys { escape: None, pending: false };
        assert_eq!(none.take(b"\x01q"), (b"\x01q".to_vec(), Next::Go));
    }
}
