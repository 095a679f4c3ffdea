//! The calls that a filter leaves to another process, as seccomp_unotify(2) has them. Decides nothing.
#![allow(unsafe_code, reason = "raw system calls have no safe form")]

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use nix::errno::Errno;

use super::filter::{FilterInstruction, with_program};

/// How large the kernel's structures are: `struct seccomp_notif_sizes`, in its order.
pub(in crate::engine) type NotifySizes = [u16; 3];

/// Larger than any kernel's `struct seccomp_notif` and `struct seccomp_notif_resp`.
const MOST: usize = 4096;

/// As [`super::filter::install_filter`]; returns where the calls are received that the program
/// leaves to others.
pub(in crate::engine) fn install_notifying(program: &[FilterInstruction]) -> nix::Result<OwnedFd> {
    with_program(program, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER).map(|fd| {
        // SAFETY: the kernel just returned this descriptor to us alone.
        unsafe { OwnedFd::from_raw_fd(fd as i32) }
    })
}

/// Returns the sizes.
pub(in crate::engine) fn notify_sizes() -> nix::Result<NotifySizes> {
    let mut sizes: NotifySizes = [0; 3];
    // SAFETY: the kernel writes three numbers of two bytes.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, sizes.as_mut_ptr())
    };
    Errno::result(result)?;
    let fits = sizes.iter().all(|it| usize::from(*it) <= MOST);
    if fits { Ok(sizes) } else { Err(Errno::EOVERFLOW) }
}

/// Receives the next call, as the kernel's `struct seccomp_notif`.
pub(in crate::engine) fn receive_call(
    listener: BorrowedFd<'_>,
    sizes: NotifySizes,
) -> nix::Result<Vec<u8>> {
    // The kernel refuses memory that is not zero, and writes as much as it says.
    let mut call = vec![0_u8; usize::from(sizes[0]).max(size_of::<libc::seccomp_notif>())];
    ask(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &mut call)?;
    call.truncate(usize::from(sizes[0]));
    Ok(call)
}

/// Answers a call, by the kernel's `struct seccomp_notif_resp`.
pub(in crate::engine) fn answer_call(
    listener: BorrowedFd<'_>,
    sizes: NotifySizes,
    answer: &[u8],
) -> nix::Result<()> {
    let mut whole = answer.to_vec();
    whole.resize(usize::from(sizes[1]).max(size_of::<libc::seccomp_notif_resp>()), 0);
    ask(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &mut whole)
}

/// Returns whether calls are received there: anything else does not know the question.
pub(in crate::engine) fn is_listener(fd: BorrowedFd<'_>) -> bool {
    ask(fd, libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut 0_u64.to_ne_bytes()) == Err(Errno::ENOENT)
}

/// Returns whether the call `id` still waits for its answer.
pub(in crate::engine) fn is_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    ask(listener, libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &mut id.to_ne_bytes()).is_ok()
}

fn ask(listener: BorrowedFd<'_>, request: libc::Ioctl, bytes: &mut [u8]) -> nix::Result<()> {
    // SAFETY: `bytes` is as long as what the kernel reads and writes by this request.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), request, bytes.as_mut_ptr()) };
    Errno::result(result).map(drop)
}
