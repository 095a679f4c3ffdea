//! The console of the container as the supervisor holds it: drained at full speed into a ring, with
//! or without viewers.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};

use super::logfile::LogFile;
use super::ring::Ring;
use crate::engine::running::command_socket::wire::LogRequest;
use crate::engine::sys;

/// How much is always kept for later viewers.
const REPLAY: usize = 64 * 1024;
/// A pty returns at most a page at a time.
const PIECE: usize = 4096;
/// Pieces per turn of the poll loop, so that commands are answered during a flood.
const PIECES: usize = 64;
/// Typed bytes that are kept for a container that does not read.
const MAX_TYPED: usize = 64 * 1024;

/// The console.
#[derive(Debug)]
pub(super) struct ConsoleTerminal {
    ptmx: File,
    /// Kept open, so that the console does not hang up when the container closes it.
    _peer: Option<OwnedFd>,
    pub(super) ring: Ring,
    log: Option<LogFile>,
    /// `lxc.console.buffer.size`; 0 is off.
    buffer_bytes: u64,
    /// Where LXC's consuming reader goes on.
    log_place: u64,
    typed: Vec<u8>,
}

impl ConsoleTerminal {
    /// Takes the supervisor's side of the console.
    pub(super) fn new(ptmx: OwnedFd, log: Option<LogFile>, buffer_bytes: u64) -> nix::Result<Self> {
        set_nonblocking(ptmx.as_fd())?;
        let peer = sys::open_pty_peer(ptmx.as_fd()).ok();
        let capacity = usize::try_from(buffer_bytes).unwrap_or(REPLAY).max(REPLAY);
        Ok(Self {
            ptmx: ptmx.into(),
            _peer: peer,
            ring: Ring::new(capacity),
            log,
            buffer_bytes,
            log_place: 0,
            typed: Vec::new(),
        })
    }

    /// Continues with the console of the next run, without a break for viewers.
    pub(super) fn renew(self, next: Self) -> Self {
        Self { ring: self.ring, log_place: self.log_place, ..next }
    }

    /// Reads the container's output. Returns whether there may be more.
    pub(super) fn drain(&mut self) -> bool {
        let mut piece = [0; PIECE];
        for _ in 0..PIECES {
            match self.ptmx.read(&mut piece) {
                Ok(0) => return false,
                Ok(count) => self.keep(piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                // Nothing there, or EIO: every process has closed it.
                Err(_nothing) => return false,
            }
        }
        true
    }

    fn keep(&mut self, new: &[u8]) {
        self.ring.push(new);
        if let Some(log) = &mut self.log {
            log.append(new);
        }
    }

    /// Types `bytes`; input that does not fit is lost, as on a real line.
    pub(super) fn type_in(&mut self, bytes: &[u8]) {
        let room = MAX_TYPED.saturating_sub(self.typed.len());
        self.typed.extend(bytes.iter().take(room));
        self.flush();
    }

    /// Continues typing.
    pub(super) fn flush(&mut self) {
        while !self.typed.is_empty() {
            match self.ptmx.write(&self.typed) {
                Ok(count) => drop(self.typed.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_gone) => self.typed.clear(),
            }
        }
    }

    /// Returns whether typed bytes wait.
    pub(super) const fn has_typed(&self) -> bool {
        !self.typed.is_empty()
    }

    /// Sets the size, about which the kernel informs the container.
    pub(super) fn resize(&self, rows: u16, columns: u16) {
        let same = sys::window_size(self.ptmx.as_fd()) == Ok((rows, columns));
        if !same && rows > 0 && columns > 0 {
            // A pty accepts any size; one that is gone needs none.
            _ = sys::set_window_size(self.ptmx.as_fd(), rows, columns);
        }
    }

    /// Answers LXC's consuming read.
    pub(super) fn log(&mut self, request: LogRequest) -> Result<Vec<u8>, Errno> {
        if self.buffer_bytes == 0 {
            return Err(Errno::EFAULT);
        }
        let oldest = self.ring.end().saturating_sub(self.buffer_bytes);
        let place = self.log_place.max(oldest);
        if request.read && place == self.ring.end() {
            return Err(Errno::ENODATA);
        }
        let most = match request.read_max {
            0 => usize::MAX,
            most => usize::try_from(most).unwrap_or(usize::MAX),
        };
        let output = if request.read { self.ring.copy(place, most) } else { Vec::new() };
        self.log_place = if request.clear { self.ring.end() } else { place + output.len() as u64 };
        Ok(output)
    }
}

impl AsFd for ConsoleTerminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ptmx.as_fd()
    }
}

/// Makes reads and writes on `fd` return at once.
pub(super) fn set_nonblocking(fd: BorrowedFd<'_>) -> nix::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK)).map(drop)
}

/// Keeps `fd` out of every program that this process executes.
pub(super) fn set_close_on_exec(fd: BorrowedFd<'_>) -> nix::Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(buffer_bytes: u64) -> (ConsoleTerminal, File) {
        let pty = nix::pty::openpty(None, None).unwrap();
        let terminal = ConsoleTerminal::new(pty.master, None, buffer_bytes).unwrap();
        (terminal, pty.slave.into())
    }

    #[test]
    fn output_is_kept_and_consumed_as_lxc_does() {
        let (mut terminal, mut inside) = terminal(4096);
        inside.write_all(b"hello").unwrap();
        assert!(!terminal.drain());
        assert_eq!(terminal.ring.copy(0, 99), b"hello");
        let read = LogRequest { read: true, read_max: 2, ..LogRequest::default() };
        assert_eq!(terminal.log(read), Ok(b"he".to_vec()));
        assert_eq!(terminal.log(LogRequest { read_max: 0, ..read }), Ok(b"llo".to_vec()));
        assert_eq!(terminal.log(read), Err(Errno::ENODATA));
    }

    #[test]
    fn without_a_buffer_there_is_no_log_but_a_replay() {
        let (mut terminal, mut inside) = terminal(0);
        inside.write_all(b"x").unwrap();
        terminal.drain();
        assert_eq!(
            terminal.log(LogRequest { read: true, ..Default::default() }),
            Err(Errno::EFAULT)
        );
        assert_eq!(terminal.ring.copy(0, 99), b"x");
    }

    #[test]
    fn a_container_that_reads_nothing_does_not_block_typing() {
        let (mut terminal, _inside) = terminal(0);
        for _ in 0..100 {
            terminal.type_in(&[b'x'; 4096]);
        }
        assert!(terminal.typed.len() <= MAX_TYPED);
    }
}
