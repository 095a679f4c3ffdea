//! The container's `/dev/tty1` and up: which client has which. Never reads or writes one.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use crate::engine::sys;

/// The holder of a terminal: a number that is unique to a connection.
pub(super) type Holder = u64;

/// The supervisor's sides of the ttys.
#[derive(Debug, Default)]
pub(super) struct Ttys(Vec<TtySlot>);

#[derive(Debug)]
struct TtySlot {
    fd: OwnedFd,
    /// Keeps the container's side open. A getty closes its terminal before it opens it again, and so
    /// does the shell of a user who logs out: if nobody else had it open, that would hang up on the
    /// holder.
    _peer: Option<OwnedFd>,
    holder: Option<Holder>,
}

impl Ttys {
    /// Takes the ptys of tty 1 and up, in order.
    pub(super) fn new(fds: Vec<OwnedFd>) -> Self {
        let slot = |fd: OwnedFd| {
            let peer = sys::open_pty_peer(fd.as_fd()).ok();
            TtySlot { fd, _peer: peer, holder: None }
        };
        Self(fds.into_iter().map(slot).collect())
    }

    /// Gives tty `number`, or the first free one, to `holder`; `None` if it is taken or missing.
    pub(super) fn take(
        &mut self,
        number: Option<u32>,
        holder: Holder,
    ) -> Option<(u32, BorrowedFd<'_>)> {
        let mut seats = (1_u32..).zip(self.0.iter_mut());
        let (number, seat) = seats.find(|(at, seat)| {
            seat.holder.is_none() && number.is_none_or(|number| number == *at)
        })?;
        seat.holder = Some(holder);
        Some((number, seat.fd.as_fd()))
    }

    /// Frees what `holder` had.
    pub(super) fn free(&mut self, holder: Holder) {
        for seat in self.0.iter_mut().filter(|it| it.holder == Some(holder)) {
            seat.holder = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tty_has_one_holder_until_it_is_freed() {
        let fd = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let mut ttys = Ttys::new(vec![fd(), fd()]);
        let mut number = |wanted, holder| ttys.take(wanted, holder).map(|(number, _)| number);
        assert_eq!(number(None, 7), Some(1));
        assert_eq!(number(Some(1), 8), None);
        assert_eq!(number(None, 8), Some(2));
        assert_eq!(number(None, 9), None);
        assert_eq!(number(Some(3), 9), None);
        ttys.free(7);
        assert_eq!(ttys.take(Some(1), 9).map(|(number, _)| number), Some(1));
    }
}
