//! Receives what comes over a socket beside its bytes: descriptors, and the sender's credentials.
#![allow(unsafe_code, reason = "a descriptor that the kernel installed has no safe form")]

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg};

/// What came in one piece.
#[derive(Debug)]
pub(in crate::engine) struct Received {
    /// Bytes in the buffer.
    pub(in crate::engine) count: usize,
    pub(in crate::engine) fds: Vec<OwnedFd>,
    /// The sender according to the kernel, on sockets that request this (`SO_PASSCRED`).
    pub(in crate::engine) sender: Option<UnixCredentials>,
}

/// Receives up to `buffer` bytes and at most `MAX_FDS` descriptors; more of them are closed.
pub(in crate::engine) fn receive_signed(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> nix::Result<Received> {
    /// As many cgroup descriptors as LXC sends in one message.
    const MAX_FDS: usize = 20;
    let mut control = nix::cmsg_space!([RawFd; MAX_FDS], libc::ucred);
    let mut slices = [std::io::IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let (mut fds, mut sender) = (Vec::new(), None);
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = part {
            // SAFETY: the kernel just installed these descriptors for us alone.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        } else if let ControlMessageOwned::ScmCredentials(credentials) = part {
            sender = Some(credentials);
        }
    }
    Ok(Received { count: message.bytes, fds, sender })
}
