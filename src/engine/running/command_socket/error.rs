//! Why a supervisor could not be asked.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// A request to a supervisor that failed, named after the act.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("connect to the supervisor")]
    Connect(#[source] Errno),
    #[error("its supervisor does not answer")]
    Silent,
    #[error(
        "its supervisor (process {pid}) was stopped by a signal and cannot answer; `kill -CONT {pid}` lets it continue"
    )]
    Halted { pid: i32 },
    #[error("{}", closed())]
    Closed,
    #[error("talk to the supervisor")]
    Speak(#[source] io::Error),
    #[error(
        "permission denied: only root and the user who runs it may ask for {what}; try again as root"
    )]
    Denied { what: &'static str },
    #[error("the supervisor refused {what}")]
    Refused { what: &'static str, source: Errno },
    #[error(
        "its supervisor serves as many clients as it can: close a console of the container, or end \
             a command that waits for it"
    )]
    Crowded,
    #[error("the supervisor gave an invalid answer when asked for {what}")]
    Nonsense { what: &'static str },
    #[error("terminal {0} is in use or does not exist")]
    NoTty(i32),
    #[error("read /proc/net/unix")]
    List(#[source] io::Error),
    #[error(transparent)]
    Stranger(#[from] Stranger),
    #[error("open a pidfd of init {pid}")]
    Hold { pid: i32, source: Errno },
    #[error("its supervisor reports process {pid} as its init, which is not one of its processes")]
    Outside { pid: i32 },
    #[error("its supervisor reports a cgroup that does not belong to its user: {path}")]
    Group { path: String },
}

impl SocketError {
    /// Returns whether the supervisor does not know the command: an older one, or LXC's.
    pub const fn is_unknown_command(&self) -> bool {
        matches!(self, Self::Refused { source: Errno::ENOSYS, .. })
    }

    /// Returns whether the supervisor answers only root and another user.
    pub const fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }
}

/// A supervisor closes the connection of users without permission.
fn closed() -> &'static str {
    if nix::unistd::geteuid().is_root() {
        "the supervisor closed the connection without an answer"
    } else {
        "permission denied, or it has just ended: the supervisor closed the connection; only root \
         and the user who runs it may do this"
    }
}

/// A process that holds a container's socket without being its supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranger {
    /// The container's name.
    pub of: String,
    /// None: it is in a pid namespace that is not visible from here, or unknown.
    pub pid: Option<i32>,
    pub uid: Option<u32>,
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a stranger holds the socket of {} (", self.of)?;
        match self.pid {
            Some(pid) => write!(f, "pid {pid}")?,
            None => f.write_str("pid not visible from here")?,
        }
        match self.uid {
            Some(uid) => write!(f, ", user {uid})"),
            None => f.write_str(", user unknown)"),
        }
    }
}

impl std::error::Error for Stranger {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_named() {
        let of = "web".to_owned();
        let told = Stranger { of: of.clone(), pid: Some(7), uid: Some(65534) }.to_string();
        assert_eq!(told, "a stranger holds the socket of web (pid 7, user 65534)");
        let told = Stranger { of, pid: None, uid: None }.to_string();
        assert!(told.ends_with("(pid not visible from here, user unknown)"), "{told}");
    }
}
