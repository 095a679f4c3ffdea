//! A console as wharf's own supervisors show it: the latest output, then what follows. Several
//! viewers can connect at once, and none of them blocks the container.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::client::Client;
use super::error::SocketError;
use super::wire::{self, SocketCommand};

/// A view of a console. `read` and `input` may be called from different threads.
#[derive(Debug)]
pub struct ConsoleView {
    /// The console's output up to the moment of connecting, the oldest forgotten.
    pub replay: Vec<u8>,
    stream: UnixStream,
}

impl Client {
    /// Opens the console. LXC's supervisors refuse this: see [`SocketError::is_unknown_command`].
    pub fn console_view(&self) -> Result<ConsoleView, SocketError> {
        let answer = self.ask("a view of the console", SocketCommand::ConsoleView, 0, &[])?;
        Ok(ConsoleView { replay: answer.payload, stream: answer.stream })
    }
}

impl ConsoleView {
    /// Reads output after the replay, waiting for it. 0 bytes: the container has stopped.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match (&self.stream).read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            other => other,
        }
    }

    /// Waits until there is more to read, or nothing will come; false: not until `end`.
    pub fn has_more(&self, end: Option<Instant>) -> io::Result<bool> {
        loop {
            let left = end.map(|it| {
                let left = it.saturating_duration_since(Instant::now());
                PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
            });
            let mut fds = [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, left.unwrap_or(PollTimeout::NONE)) {
                Ok(0) | Err(Errno::EINTR) => (),
                Ok(_) => return Ok(true),
                Err(errno) => return Err(errno.into()),
            }
            if end.is_some_and(|it| it <= Instant::now()) {
                return Ok(false);
            }
        }
    }

    /// Types `bytes`.
    pub fn input(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.stream).write_all(&wire::encode_input(bytes))
    }

    /// Informs the console of the size of the terminal it is shown on. The last viewer to set it
    /// wins.
    pub fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        (&self.stream).write_all(&wire::encode_resize(rows, columns))
    }
}

impl AsFd for ConsoleView {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
