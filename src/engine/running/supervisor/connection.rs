//! One client's connection: a partial request, an answer being sent, or a connection kept open.
//! Never blocks; clients that stall are dropped.

use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::desk::Desk;
use super::reply::{FollowUp, Reply};
use super::terminal::ConsoleTerminal;
use super::ttys::Holder;
use crate::engine::running::command_socket::wire::{
    self, HEAD, MAX_PAYLOAD, Request, SocketCommand, ViewerFrame, Wish,
};
use crate::engine::sys;
use crate::engine::terms::state::State;

/// How long a client may take to send its request and to read the answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes read from a client at a time.
const PIECE: usize = 4096;
/// The most unread frames of a viewer.
const MAX_FRAMES: usize = 2 * (wire::MAX_INPUT + 3);

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: Holder,
    pub(super) stream: UnixStream,
    stage: ConnectionStage,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum ConnectionStage {
    /// With the descriptor that came with the request.
    Asking {
        bytes: Vec<u8>,
        fds: Vec<OwnedFd>,
    },
    Answering {
        bytes: Vec<u8>,
        fds: Vec<OwnedFd>,
        follow_up: FollowUp,
    },
    Holding(FollowUp),
}

/// Whether a connection stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Keep,
    Drop,
}

impl Connection {
    /// Begins to serve a client.
    pub(super) fn new(id: Holder, stream: UnixStream) -> Self {
        let deadline = Some(Instant::now() + PATIENCE);
        let stage = ConnectionStage::Asking { bytes: Vec::new(), fds: Vec::new() };
        Self { id, stream, stage, deadline }
    }

    /// Returns whether it stays open: a console, a tty, a waiting client.
    pub(super) const fn is_kept(&self) -> bool {
        matches!(self.stage, ConnectionStage::Holding(_))
    }

    /// Returns when the connection times out.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns what to wait for on the socket.
    pub(super) fn interest(&self, console: Option<&ConsoleTerminal>) -> PollFlags {
        let behind = |place: u64| console.is_some_and(|it| it.ring.end() > place);
        match &self.stage {
            ConnectionStage::Answering { .. } => PollFlags::POLLOUT,
            ConnectionStage::Holding(FollowUp::View { place, .. }) if behind(*place) => {
                PollFlags::POLLIN | PollFlags::POLLOUT
            }
            ConnectionStage::Asking { .. } | ConnectionStage::Holding(_) => PollFlags::POLLIN,
        }
    }

    /// Returns the pty that a relaying connection also waits on, and for what.
    pub(super) fn relay(
        &self,
        console: Option<&ConsoleTerminal>,
    ) -> Option<(&std::fs::File, PollFlags)> {
        let ConnectionStage::Holding(FollowUp::Relay { pty, place }) = &self.stage else {
            return None;
        };
        let behind = console.is_some_and(|it| it.ring.end() > *place);
        let flags = if behind { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        Some((pty, flags))
    }

    /// Continues with whatever the socket is ready for.
    pub(super) fn advance(&mut self, desk: &mut Desk) -> Fate {
        match &mut self.stage {
            ConnectionStage::Asking { .. } => self.hear(desk),
            ConnectionStage::Answering { .. } => self.speak(),
            ConnectionStage::Holding(FollowUp::View { .. }) => self.show(desk),
            // A client that holds something sends nothing: bytes are ignored, closing frees it.
            ConnectionStage::Holding(_) => read_some(&mut self.stream, &mut Vec::new()),
        }
    }

    /// Informs a state client that the state `to` was entered; it is dropped after that.
    pub(super) fn report(&mut self, name: &str, from: State, to: State) -> Fate {
        let ConnectionStage::Holding(FollowUp::AwaitState(wanted)) = &self.stage else {
            return Fate::Keep;
        };
        if !wanted.include(from, to) {
            return Fate::Keep;
        }
        // One small message into an empty buffer; a client that is gone does not get it.
        _ = self.stream.write_all(&wire::encode_event(name, wire::MonitorMessage::State(to)));
        Fate::Drop
    }

    /// Returns how the client wants the end of init to be handled.
    pub(super) const fn wish(&self) -> Option<Wish> {
        match self.stage {
            ConnectionStage::Holding(FollowUp::Wish(wish))
            | ConnectionStage::Answering { follow_up: FollowUp::Wish(wish), .. } => Some(wish),
            ConnectionStage::Asking { .. }
            | ConnectionStage::Answering { .. }
            | ConnectionStage::Holding(_) => None,
        }
    }

    /// Returns whether the client has something that belongs to this run: a tty, or the wait for
    /// its end.
    pub(super) const fn ends_with_the_run(&self) -> bool {
        matches!(self.stage, ConnectionStage::Holding(FollowUp::Hold | FollowUp::Wish(_)))
    }

    fn hear(&mut self, desk: &mut Desk) -> Fate {
        let ConnectionStage::Asking { bytes, fds } = &mut self.stage else { return Fate::Keep };
        if receive_some(&self.stream, bytes, fds) == Fate::Drop {
            return Fate::Drop;
        }
        let Some((head, payload)) = bytes.split_first_chunk::<HEAD>() else { return Fate::Keep };
        let request = Request::decode(head);
        let len = usize::try_from(request.payload_len).unwrap_or(0);
        if len > MAX_PAYLOAD {
            return Fate::Drop;
        }
        let Some(payload) = payload.get(..len) else { return Fate::Keep };
        // LXC sends it behind the head, with a byte of its own.
        let comes = request.command == SocketCommand::SeccompNotifyAddListener as i32;
        if comes && fds.is_empty() && bytes.len() == HEAD {
            return Fate::Keep;
        }
        let (payload, fds) = (payload.to_vec(), std::mem::take(fds));
        let reply = desk.answer(self.id, request, &payload, fds);
        self.begin(reply)
    }

    /// Sends `reply`, now or as the client reads.
    pub(super) fn begin(&mut self, reply: Reply) -> Fate {
        let Some(head) = reply.head else { return self.hold(reply.follow_up) };
        let mut bytes = head.encode().to_vec();
        bytes.extend(reply.payload);
        self.stage =
            ConnectionStage::Answering { bytes, fds: reply.fds, follow_up: reply.follow_up };
        self.deadline = Some(Instant::now() + PATIENCE);
        self.speak()
    }

    fn speak(&mut self) -> Fate {
        let ConnectionStage::Answering { bytes, fds, follow_up } = &mut self.stage else {
            return Fate::Keep;
        };
        while !bytes.is_empty() {
            let raw: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
            let control = [ControlMessage::ScmRights(&raw)];
            let control = if raw.is_empty() { &[][..] } else { &control[..] };
            // Descriptors travel with the head, so that a client that reads it first gets them.
            let first = if raw.is_empty() { bytes.len() } else { HEAD };
            let piece = [IoSlice::new(bytes.get(..first).unwrap_or_default())];
            let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
            match sendmsg::<()>(self.stream.as_raw_fd(), &piece, control, flags, None) {
                Ok(count) => {
                    fds.clear();
                    bytes.drain(..count);
                }
                Err(Errno::EAGAIN) => return Fate::Keep,
                Err(Errno::EINTR) => (),
                Err(_gone) => return Fate::Drop,
            }
        }
        let follow_up = std::mem::replace(follow_up, FollowUp::Close);
        self.hold(follow_up)
    }

    fn hold(&mut self, follow_up: FollowUp) -> Fate {
        if matches!(follow_up, FollowUp::Close) {
            return Fate::Drop;
        }
        self.deadline = None;
        self.stage = ConnectionStage::Holding(follow_up);
        Fate::Keep
    }

    /// Sends new output to a viewer, and processes its input.
    fn show(&mut self, desk: &mut Desk) -> Fate {
        let ConnectionStage::Holding(FollowUp::View { place, frames }) = &mut self.stage else {
            return Fate::Keep;
        };
        let Some(console) = &mut desk.console else { return Fate::Drop };
        if read_some(&mut self.stream, frames) == Fate::Drop || frames.len() > MAX_FRAMES {
            return Fate::Drop;
        }
        loop {
            match wire::take_frame(frames) {
                Ok(Some(ViewerFrame::Input(bytes))) => console.type_in(&bytes),
                Ok(Some(ViewerFrame::Resize { rows, columns })) => console.resize(rows, columns),
                Ok(None) => break,
                Err(wire::BadFrame) => return Fate::Drop,
            }
        }
        pour(console, place, &mut self.stream)
    }

    /// Relays between the console and the pty whose other end the client has.
    pub(super) fn relay_on(&mut self, desk: &mut Desk) -> Fate {
        let ConnectionStage::Holding(FollowUp::Relay { pty, place }) = &mut self.stage else {
            return Fate::Keep;
        };
        let Some(console) = &mut desk.console else { return Fate::Drop };
        let mut typed = Vec::new();
        if read_some(pty, &mut typed) == Fate::Drop {
            return Fate::Drop;
        }
        // LXC's clients change the size by setting it on their end.
        if let (false, Ok((rows, columns))) = (typed.is_empty(), sys::window_size(pty.as_fd())) {
            console.resize(rows, columns);
        }
        console.type_in(&typed);
        pour(console, place, pty)
    }
}

/// The same from a client that may send a descriptor; more than one of them are closed.
fn receive_some(stream: &UnixStream, bytes: &mut Vec<u8>, fds: &mut Vec<OwnedFd>) -> Fate {
    let mut piece = [0; PIECE];
    match sys::receive_signed(stream.as_fd(), &mut piece) {
        Ok(received) if received.count > 0 => {
            bytes.extend_from_slice(piece.get(..received.count).unwrap_or_default());
            fds.extend(received.fds);
            fds.truncate(1);
            Fate::Keep
        }
        Err(Errno::EAGAIN | Errno::EINTR) => Fate::Keep,
        Ok(_) | Err(_) => Fate::Drop,
    }
}

/// Reads available bytes, up to one piece; end of file and any error drop the connection.
fn read_some(from: &mut impl io::Read, into: &mut Vec<u8>) -> Fate {
    let mut piece = [0; PIECE];
    match from.read(&mut piece) {
        Ok(0) => Fate::Drop,
        Ok(count) => {
            into.extend_from_slice(piece.get(..count).unwrap_or_default());
            Fate::Keep
        }
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            Fate::Keep
        }
        Err(_gone) => Fate::Drop,
    }
}

/// Writes unseen output to a reader, as much as it accepts.
fn pour(console: &ConsoleTerminal, place: &mut u64, to: &mut impl io::Write) -> Fate {
    loop {
        let piece = console.ring.read(place);
        if piece.is_empty() {
            return Fate::Keep;
        }
        match to.write(piece) {
            Ok(count) => *place += count as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Fate::Keep,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(_gone) => return Fate::Drop,
        }
    }
}
