//! A program on a pty of its own, which is its controlling terminal.

#![allow(unsafe_code, reason = "a new session on the pty must be made between fork and exec")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{Termios, tcgetattr};

/// The query for the position of the cursor.
pub(crate) const WHERE_IS_THE_CURSOR: &[u8] = b"\x1b[6n";

/// The program, and the terminal's other end.
pub(crate) struct OnTerminal {
    pub(crate) child: Child,
    pub(crate) terminal: File,
    /// The terminal's modes before the program touched them.
    pub(crate) modes_before: Termios,
}

/// Runs `command` on a terminal of `cols` x `rows`.
pub(crate) fn spawn(mut command: Command, cols: u16, rows: u16) -> io::Result<OnTerminal> {
    let pty = openpty(Some(&winsize(cols, rows)), None)?;
    for fd in [&pty.master, &pty.slave] {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    let modes_before = tcgetattr(&pty.slave)?;
    let stdio = |fd: &OwnedFd| fd.try_clone().map(Stdio::from);
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env_remove("NO_COLOR");
    command.stdin(stdio(&pty.slave)?).stdout(stdio(&pty.slave)?).stderr(stdio(&pty.slave)?);
    // SAFETY: setsid and ioctl are async-signal-safe, and the closure touches no memory.
    unsafe { command.pre_exec(take_terminal) };
    let child = command.spawn()?;
    // The command holds the slave open; only the child may.
    drop((command, pty.slave));
    Ok(OnTerminal { child, terminal: File::from(pty.master), modes_before })
}

/// Changes the size of the terminal; the kernel informs the program.
pub(crate) fn resize(terminal: &File, cols: u16, rows: u16) -> io::Result<()> {
    let size = winsize(cols, rows);
    // SAFETY: the descriptor is open and `size` outlives the call.
    match unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &size) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the caller the leader of a session on the terminal that is its stdin.
fn take_terminal() -> io::Result<()> {
    nix::unistd::setsid()?;
    // SAFETY: stdin is open, and TIOCSCTTY takes a number.
    match unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

const fn winsize(cols: u16, rows: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 }
}
