//! Signals to all processes of a group.
#![allow(unsafe_code, reason = "raw system calls have no safe form")]

use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;

use super::{kill, pidfd_send_signal};

/// Since Linux 6.9: to the group that has the process's pid.
const PIDFD_SIGNAL_PROCESS_GROUP: libc::c_uint = 1 << 2;

/// Sends `signal` to the process group that the process behind `pidfd` leads, or only to that process
/// if it leads none. It must be a child of this process that is not reaped yet, or its pid, and with it
/// the group, could be another's on a kernel before 6.9.
pub(in crate::engine) fn signal_group(pidfd: BorrowedFd<'_>, signal: i32) -> nix::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    let (fd, flags) = (pidfd.as_raw_fd(), PIDFD_SIGNAL_PROCESS_GROUP);
    // SAFETY: a null siginfo is documented as the one kill(2) would send.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, info, flags) };
    let sent = match Errno::result(result) {
        Err(Errno::EINVAL) => pid_of(pidfd).map_or(Err(Errno::ESRCH), |pid| kill(-pid, signal)),
        sent => sent.map(drop),
    };
    match sent {
        Err(Errno::ESRCH) => pidfd_send_signal(pidfd, signal),
        sent => sent,
    }
}

/// Returns the pid of the process behind `pidfd`, if it is not reaped.
pub(in crate::engine) fn pid_of(pidfd: BorrowedFd<'_>) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let pid = text.lines().find_map(|it| it.strip_prefix("Pid:")?.trim().parse().ok());
    // 1 is never asked for here, and -1 would be everyone.
    pid.filter(|it| *it > 1)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::engine::sys::pidfd_open;

    #[test]
    fn a_signal_reaches_the_group_of_a_leader_and_else_the_process_alone() {
        use std::io::Read as _;
        for leads in [true, false] {
            let mut command = Command::new("sh");
            command.args(["-c", "sleep 1000 & echo $!; wait"]).stdout(Stdio::piped());
            if leads {
                command.process_group(0);
            }
            let mut shell = command.spawn().unwrap();
            let mut line = String::new();
            let mut output = shell.stdout.take().unwrap();
            while !line.ends_with('\n') {
                let mut byte = [0];
                output.read_exact(&mut byte).unwrap();
                line.push(char::from(byte[0]));
            }
            let pidfd = pidfd_open(shell.id().cast_signed()).unwrap();
            assert_eq!(pid_of(pidfd.as_fd()), Some(shell.id().cast_signed()));
            signal_group(pidfd.as_fd(), libc::SIGTERM).unwrap();
            assert_eq!(shell.wait().unwrap().signal(), Some(libc::SIGTERM));
            assert_eq!(pid_of(pidfd.as_fd()), None);
            if !leads {
                kill(line.trim().parse().unwrap(), libc::SIGKILL).unwrap();
            }
            // Its pipe closes only when both have ended.
            output.read_to_string(&mut line).unwrap();
        }
    }
}
