//! Asks the kernel about namespaces and the hierarchy of those of users; see ioctl_ns(2).
#![allow(unsafe_code, reason = "raw system calls have no safe form")]

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::errno::Errno;

const NS_GET_PARENT: libc::Ioctl = 0xb702;
const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
const NS_GET_OWNER_UID: libc::Ioctl = 0xb704;

/// Opens the parent of `namespace`. Refused for our own, and for those above.
pub(in crate::engine) fn namespace_parent(namespace: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    // SAFETY: the call takes no argument.
    let fd = Errno::result(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_PARENT) })?;
    // SAFETY: the kernel just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Returns the `CLONE_NEW*` flag of the namespace's kind.
pub(in crate::engine) fn namespace_kind(namespace: BorrowedFd<'_>) -> nix::Result<i32> {
    // SAFETY: the call takes no argument.
    Errno::result(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE) })
}

/// Returns the user, in our own namespace, who created the user namespace.
pub(in crate::engine) fn namespace_owner(namespace: BorrowedFd<'_>) -> nix::Result<u32> {
    let mut uid: libc::uid_t = 0;
    // SAFETY: the call writes a uid_t.
    let result = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_OWNER_UID, &raw mut uid) };
    Errno::result(result).map(|_| uid)
}
