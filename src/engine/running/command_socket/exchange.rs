//! One request and its response on a connection, whatever process answers.

use std::io::{self, IoSlice, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, UnixCredentials, sendmsg};

use super::error::SocketError;
use super::wire::{self, Request, Response, SocketCommand};
use crate::engine::sys;

/// How long a supervisor may take: it does nothing slow, so after two seconds it hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The most console output a supervisor may send in answer; LXC's buffers are smaller.
const MAX_OUTPUT: usize = 64 * 1024 * 1024;

/// One response, with its payload and descriptors.
pub(super) struct Answer {
    pub(super) head: Response,
    pub(super) payload: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
    pub(super) stream: UnixStream,
    pub(super) sender: Option<UnixCredentials>,
}

/// Asks, and waits for the answer.
pub(super) fn ask(
    mut stream: UnixStream,
    what: &'static str,
    command: SocketCommand,
    data: u64,
    payload: &[u8],
) -> Result<Answer, SocketError> {
    let deadline = match send(&stream, command, data, payload) {
        // A client without permission gets the refusal before its question, and can still read it.
        Err(SocketError::Closed) => Instant::now(),
        sent => sent?,
    };
    let (head, fds, sender) = read_head(&stream, deadline)?;
    if head.result < 0 {
        return Ok(Answer { head, payload: Vec::new(), fds, stream, sender });
    }
    let prints = matches!(command, SocketCommand::ConsoleLog | SocketCommand::ConsoleView);
    let most = if prints { MAX_OUTPUT } else { wire::MAX_PAYLOAD };
    let len = usize::try_from(head.payload_len).ok().filter(|len| *len <= most);
    let mut payload = vec![0; len.ok_or(SocketError::Nonsense { what })?];
    read_all(&mut stream, &mut payload, deadline)?;
    Ok(Answer { head, payload, fds, stream, sender })
}

/// Sends one request; returns by when its answer should have arrived.
pub(super) fn send(
    mut stream: &UnixStream,
    command: SocketCommand,
    data: u64,
    payload: &[u8],
) -> Result<Instant, SocketError> {
    let deadline = Instant::now() + PATIENCE;
    let too_long = |_| SocketError::Nonsense { what: "a request" };
    let payload_len = i32::try_from(payload.len()).map_err(too_long)?;
    let head = Request { command: command as i32, payload_len, data };
    let credentials = UnixCredentials::new();
    let sent = sendmsg::<()>(
        stream.as_raw_fd(),
        &[IoSlice::new(&head.encode())],
        &[ControlMessage::ScmCredentials(&credentials)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    );
    sent.map_err(|errno| speak(errno.into()))?;
    stream.write_all(payload).map_err(speak)?;
    Ok(deadline)
}

fn read_head(
    stream: &UnixStream,
    deadline: Instant,
) -> Result<(Response, Vec<OwnedFd>, Option<UnixCredentials>), SocketError> {
    readable(stream, deadline)?;
    let mut head = [0; wire::HEAD];
    match sys::receive_signed(stream.as_fd(), &mut head) {
        // LXC sends the head in one piece, and descriptors only with it.
        Ok(it) if it.count == wire::HEAD => Ok((Response::decode(&head), it.fds, it.sender)),
        Ok(_) | Err(Errno::ECONNRESET) => Err(SocketError::Closed),
        Err(errno) => Err(speak(errno.into())),
    }
}

fn read_all(
    stream: &mut UnixStream,
    mut rest: &mut [u8],
    deadline: Instant,
) -> Result<(), SocketError> {
    while !rest.is_empty() {
        readable(stream, deadline)?;
        let count = stream.read(rest).map_err(speak)?;
        if count == 0 {
            return Err(SocketError::Closed);
        }
        rest = rest.get_mut(count..).unwrap_or_default();
    }
    Ok(())
}

pub(super) const fn refuse(what: &'static str, head: Response) -> Result<Response, SocketError> {
    if head.result < 0 {
        let source = Errno::from_raw(head.result.saturating_neg());
        if matches!(source, Errno::EUSERS) {
            return Err(SocketError::Crowded);
        }
        if matches!(source, Errno::EPERM | Errno::EACCES) {
            return Err(SocketError::Denied { what });
        }
        return Err(SocketError::Refused { what, source });
    }
    Ok(head)
}

/// Waits until there is something to read; [`SocketError::Silent`] at the deadline.
pub(super) fn readable(stream: &UnixStream, deadline: Instant) -> Result<(), SocketError> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up, or the last millisecond would be spent in a busy loop.
        let left = PollTimeout::try_from(left + Duration::from_millis(1));
        let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, left.unwrap_or(PollTimeout::MAX)) {
            Ok(0) if Instant::now() >= deadline => return Err(SocketError::Silent),
            Ok(0) | Err(Errno::EINTR) => (),
            Ok(_) => return Ok(()),
            Err(errno) => return Err(speak(errno.into())),
        }
    }
}

pub(super) fn speak(error: io::Error) -> SocketError {
    let kind = error.kind();
    if kind == io::ErrorKind::WouldBlock {
        SocketError::Silent
    } else if matches!(kind, io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) {
        SocketError::Closed
    } else {
        SocketError::Speak(error)
    }
}
