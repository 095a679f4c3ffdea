//! The listening socket and everyone connected to it.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::connection::{Connection, Fate};
use super::desk::Desk;
use super::peer;
use super::reply::Reply;
use super::ttys::Holder;
use crate::engine::running::command_socket::Seat;
use crate::engine::running::command_socket::wire::Wish;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

/// More short-lived clients than any sane use has. Beyond that, a client that has not sent its
/// request is dropped for the next one.
const ASKING: usize = 64;

/// The server's side of the command socket.
#[derive(Debug)]
pub(super) struct Server {
    // Released before the connections are closed: a client that waits for that may start it again.
    pub(super) seat: Seat,
    pub(super) connections: Vec<Connection>,
    next: Holder,
}

impl Server {
    /// Serves the clients of the `seat`.
    pub(super) fn new(seat: Seat) -> io::Result<Self> {
        seat.listeners().iter().try_for_each(|it| it.set_nonblocking(true))?;
        Ok(Self { seat, connections: Vec::new(), next: 0 })
    }

    /// Accepts every waiting client. Those without permission are refused.
    pub(super) fn accept(&mut self, desk: &mut Desk) {
        while let Some(stream) = self.next_client() {
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            self.make_room(desk);
            let allowed = peer::may_ask(&stream);
            let mut connection = Connection::new(self.next, stream);
            self.next += 1;
            if allowed {
                self.connections.push(connection);
            } else {
                // The client trusts a sender it knows, and may not have asked for the credentials
                // yet.
                _ = setsockopt(&connection.stream, sockopt::PassCred, &true);
                // It does not get what it does not read at once.
                _ = connection.begin(Reply::error(Errno::EPERM));
            }
        }
    }

    /// Drops the oldest of too many short-lived clients. If many connect at once, its request has
    /// already arrived and is answered first.
    fn make_room(&mut self, desk: &mut Desk) {
        let mut passing: Vec<Holder> =
            self.connections.iter().filter(|it| !it.is_kept()).map(|it| it.id).collect();
        if passing.len() < ASKING {
            return;
        }
        passing.sort_unstable();
        let Some(oldest) = passing.first() else { return };
        self.advance(*oldest, Relay::No, desk);
        let at = self.connections.iter().position(|it| it.id == *oldest && !it.is_kept());
        if let Some(at) = at {
            self.connections.swap_remove(at);
            desk.ttys.free(*oldest);
        }
    }

    /// Accepts one client. None: none is waiting, or no descriptor is left.
    fn next_client(&self) -> Option<UnixStream> {
        self.seat.listeners().iter().find_map(|listener| {
            loop {
                match listener.accept() {
                    Ok((stream, _)) => return Some(stream),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                    Err(_nobody) => return None,
                }
            }
        })
    }

    /// Continues the connection `id`, or its pty if the event was there.
    pub(super) fn advance(&mut self, id: Holder, relay: Relay, desk: &mut Desk) {
        desk.kept = self.connections.iter().filter(|it| it.is_kept()).count();
        let Some(at) = self.connections.iter().position(|it| it.id == id) else { return };
        let Some(connection) = self.connections.get_mut(at) else { return };
        let fate = match relay {
            Relay::Yes => connection.relay_on(desk),
            Relay::No => connection.advance(desk),
        };
        if fate == Fate::Drop {
            self.connections.swap_remove(at);
            desk.ttys.free(id);
        }
    }

    /// Informs the state clients of what changed.
    pub(super) fn report_state(&mut self, desk: &mut Desk) {
        let name = desk.life.record.name.clone();
        for (from, to) in desk.life.take_untold() {
            self.connections.retain_mut(|it| it.report(name.as_str(), from, to) == Fate::Keep);
        }
    }

    /// Returns how the end of init is handled: a request to stop prevails.
    pub(super) fn wish(&self) -> Option<Wish> {
        let weight = |it: &Wish| match it {
            Wish::Unheard(_) => 2,
            Wish::Stop => 1,
            Wish::Restart(_) => 0,
        };
        self.connections.iter().filter_map(Connection::wish).max_by_key(weight)
    }

    /// Drops all clients that have something of the finished run.
    pub(super) fn begin_again(&mut self) {
        self.connections.retain(|it| !it.ends_with_the_run());
    }

    /// Drops clients that took too long.
    pub(super) fn expire(&mut self, now: Instant, desk: &mut Desk) {
        self.connections.retain(|it| {
            let in_time = it.deadline().is_none_or(|deadline| deadline > now);
            if !in_time {
                desk.ttys.free(it.id);
            }
            in_time
        });
    }

    /// Returns when the next client will have taken too long.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.connections.iter().filter_map(Connection::deadline).min()
    }
}

/// Which of a connection's two descriptors is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relay {
    Yes,
    No,
}
