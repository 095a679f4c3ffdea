//! Starts a program on a pty of its own, as its session leader. The only place where a program with
//! threads runs code of its own between fork and exec.
#![allow(unsafe_code, reason = "what runs between fork and exec has no safe form")]

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use nix::pty::{OpenptyResult, Winsize, openpty};

/// Starts `command` on a new pty of `rows` and `columns`, and returns our end of the pty, closed on
/// exec. When that end is closed the kernel hangs the program up.
pub fn spawn_on_pty(mut command: Command, rows: u16, columns: u16) -> io::Result<(OwnedFd, Child)> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let OpenptyResult { master, slave } = openpty(Some(&size), None)?;
    for fd in [&master, &slave] {
        close_on_exec(fd)?;
    }
    command.stdin(Stdio::from(slave.try_clone()?));
    command.stdout(Stdio::from(slave.try_clone()?));
    command.stderr(Stdio::from(slave));
    let own = super::OwnActions::read();
    // SAFETY: the closure runs in the child of a program with threads: it only makes system calls,
    // and neither allocates nor takes a lock. Descriptor 0 is the pty by then.
    unsafe {
        command.pre_exec(move || {
            // Signals that wharf was started to ignore, such as SIGHUP, must not stay ignored.
            own.reset();
            nix::unistd::setsid()?;
            super::take_terminal(io::stdin().as_fd())?;
            Ok(())
        });
    }
    let child = command.spawn()?;
    Ok((master, child))
}

fn close_on_exec(fd: &OwnedFd) -> io::Result<()> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_program_has_a_terminal_of_its_own() {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "stty size; test \"$(ps -o sid= -p $$ | tr -d ' ')\" = $$ && echo leads"]);
        let (master, mut child) = spawn_on_pty(command, 7, 33).unwrap();
        let mut said = Vec::new();
        // A pty whose other end is closed reports an error at end of file.
        _ = File::from(master).read_to_end(&mut said);
        child.wait().unwrap();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("7 33"), "{said}");
        assert!(said.contains("leads"), "{said}");
    }
}
