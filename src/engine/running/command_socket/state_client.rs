//! Connections that are kept open: one on which a change of state will be reported, and one that
//! sets how the end of init is handled. Never sends anything on its own.

use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::client::Client;
use super::error::SocketError;
use super::exchange::readable;
use super::wire::{self, SocketCommand, Wish};
use crate::engine::terms::state::State;

/// The immediate answer to a state client.
#[derive(Debug)]
pub enum StateWatch {
    /// The container is in one of the wanted states.
    Already,
    /// It is not yet; this connection will report it.
    Waiting(StateClient),
}

/// A connection on which one change of state will be reported.
#[derive(Debug)]
pub struct StateClient(UnixStream);

/// How the end of init is handled, until this is dropped.
#[derive(Debug)]
pub struct Wished {
    _kept: UnixStream,
}

impl Client {
    /// Asks to be informed when the container enters one of `states`.
    pub fn add_state_client(&self, states: &[State]) -> Result<StateWatch, SocketError> {
        self.watch(&wire::encode_wanted(states))
    }

    /// Asks to be informed when the container enters one of `states` from now on: the present one
    /// does not count.
    pub fn add_state_client_anew(&self, states: &[State]) -> Result<StateWatch, SocketError> {
        self.watch(&wire::encode_wanted_anew(states))
    }

    fn watch(&self, wanted: &[u8]) -> Result<StateWatch, SocketError> {
        const WHAT: &str = "its state changes";
        let answer = self.ask(WHAT, SocketCommand::AddStateClient, 0, wanted)?;
        if answer.head.data >= wire::MAX_STATE {
            return Ok(StateWatch::Waiting(StateClient(answer.stream)));
        }
        let state = State::from_number(answer.head.data);
        state.map(|_| StateWatch::Already).ok_or(SocketError::Nonsense { what: WHAT })
    }

    /// Sets how the end of init is handled for as long as the answer is kept. LXC's supervisors do
    /// not support this.
    pub fn wish(&self, wish: Wish) -> Result<Wished, SocketError> {
        let answer =
            self.ask("the handling of init's end", SocketCommand::Wish, wish.encode(), &[])?;
        Ok(Wished { _kept: answer.stream })
    }
}

impl StateClient {
    /// Waits for the change; `None` when `timeout` ran out. Without one it waits for ever.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<Option<State>, SocketError> {
        // A time beyond the clock's end means for ever.
        let deadline = timeout.and_then(|it| Instant::now().checked_add(it));
        let mut message = [0; wire::EVENT];
        loop {
            let now = Instant::now();
            let step = deadline.unwrap_or_else(|| now + Duration::from_hours(1));
            match readable(&self.0, step) {
                Ok(()) => break,
                Err(SocketError::Silent) if deadline.is_none() => (),
                Err(SocketError::Silent) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        // The end of the connection means that the supervisor has ended.
        match (&self.0).read_exact(&mut message) {
            Ok(()) => wire::decode_state_event(&message)
                .map(Some)
                .ok_or(SocketError::Nonsense { what: "its state changes" }),
            Err(_closed) => Ok(Some(State::Stopped)),
        }
    }
}

impl AsFd for StateClient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
