//! A supervisor's answer to a request, and what happens to the connection. Plain data.

use std::fs::File;
use std::os::fd::OwnedFd;

use nix::errno::Errno;

use crate::engine::running::command_socket::wire::{self, Response, WantedStates, Wish};

/// What to send, and what happens to the connection.
#[derive(Debug)]
pub(super) struct Reply {
    /// `None` sends nothing: LXC's way to say that there is no such thing.
    pub(super) head: Option<Response>,
    pub(super) payload: Vec<u8>,
    pub(super) fds: Vec<OwnedFd>,
    pub(super) follow_up: FollowUp,
}

/// What happens to an answered connection.
#[derive(Debug)]
pub(super) enum FollowUp {
    Close,
    /// Keeps a tty, or waits for the end: nothing more is sent.
    Hold,
    /// Sets how the end of init is handled while the connection lasts.
    Wish(Wish),
    /// Reports the first of these states.
    AwaitState(WantedStates),
    /// Shows the console from this position on, and accepts frames of input.
    View {
        place: u64,
        frames: Vec<u8>,
    },
    /// Relays between the console and this pty, whose other end was given away.
    Relay {
        pty: File,
        place: u64,
    },
}

impl Reply {
    pub(super) const fn silence(follow_up: FollowUp) -> Self {
        Self { head: None, payload: Vec::new(), fds: Vec::new(), follow_up }
    }

    pub(super) fn value(data: u64) -> Self {
        let head = Some(Response { result: 0, payload_len: 0, data });
        Self { head, ..Self::silence(FollowUp::Close) }
    }

    /// Refuses with `errno`.
    pub(super) fn error(errno: Errno) -> Self {
        let head = Some(Response { result: -(errno as i32), ..Response::default() });
        Self { head, ..Self::silence(FollowUp::Close) }
    }

    pub(super) fn bytes(payload: Vec<u8>) -> Self {
        let head = Some(Response { payload_len: payload.len() as i32, ..Response::default() });
        Self { head, payload, ..Self::silence(FollowUp::Close) }
    }

    /// Answers with a string and its NUL.
    pub(super) fn text(text: &str) -> Self {
        Self::bytes(wire::encode_text(text))
    }

    pub(super) fn fd(fd: std::io::Result<OwnedFd>) -> Self {
        match fd {
            Ok(fd) => Self { fds: vec![fd], ..Self::value(0) },
            Err(error) => Self::error(error.raw_os_error().map_or(Errno::EBADF, Errno::from_raw)),
        }
    }

    pub(super) fn done(result: Result<(), Errno>) -> Self {
        result.map_or_else(Self::error, |()| Self::value(0))
    }
}
