//! What tty_ioctl(4) does to terminals and ptys.
#![allow(unsafe_code, reason = "ioctl(2) has no safe form")]

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::fd_result;

/// Makes `tty` the controlling terminal of this session leader.
pub(in crate::engine) fn take_terminal(tty: BorrowedFd<'_>) -> nix::Result<()> {
    // SAFETY: TIOCSCTTY takes an integer.
    let result = unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSCTTY, 0) };
    Errno::result(result).map(drop)
}

/// Unlocks the pty behind `ptmx` and returns its number.
pub(in crate::engine) fn unlock_pty(ptmx: BorrowedFd<'_>) -> nix::Result<u32> {
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads an int.
    let result = unsafe { libc::ioctl(ptmx.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) };
    Errno::result(result)?;
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN writes an unsigned int.
    let result = unsafe { libc::ioctl(ptmx.as_raw_fd(), libc::TIOCGPTN, &raw mut number) };
    Errno::result(result).map(|_| number)
}

/// Opens the slave side of `ptmx`, whatever is mounted where.
pub(in crate::engine) fn open_pty_peer(ptmx: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags.
    fd_result(libc::c_long::from(unsafe {
        libc::ioctl(ptmx.as_raw_fd(), libc::TIOCGPTPEER, flags)
    }))
}

/// Returns the size of a terminal as rows and columns.
pub(in crate::engine) fn window_size(tty: BorrowedFd<'_>) -> nix::Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes a winsize.
    let result = unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    Errno::result(result).map(|_| (size.ws_row, size.ws_col))
}

/// Sets the size of a terminal.
pub fn set_window_size(tty: BorrowedFd<'_>, rows: u16, columns: u16) -> nix::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads a winsize.
    let result = unsafe { libc::ioctl(tty.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    Errno::result(result).map(drop)
}
