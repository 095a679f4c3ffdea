//! Netlink sockets that are passed between processes.

use std::os::fd::{FromRawFd as _, IntoRawFd as _, OwnedFd};

use netlink_sys::Socket;

/// Takes a netlink socket that another process has opened.
pub(in crate::engine) fn netlink(fd: OwnedFd) -> Socket {
    // SAFETY: the descriptor is owned, and is given up to the socket here.
    unsafe { Socket::from_raw_fd(fd.into_raw_fd()) }
}
