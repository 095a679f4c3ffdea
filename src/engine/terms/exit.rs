//! How a process ended.

use std::fmt;

use crate::engine::terms::signal;

/// The end of a process, as wait(2) reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    Code(u8),
    Signal(i32),
    /// Init had the kernel halt its container or power it off.
    Halted,
    /// Init had the kernel restart its container.
    Rebooted,
    /// A stop killed init, which has no handler for this halt signal.
    Unheard(i32),
    /// A restart killed init, which does not restart its container on this signal.
    Unmoved(i32),
    /// CRIU ended its processes, which a checkpoint has.
    Saved,
}

impl Exit {
    /// Decodes a wait status; a status that is not an end counts as killed.
    pub const fn from_wait_status(status: i32) -> Self {
        if libc::WIFEXITED(status) {
            Self::Code(libc::WEXITSTATUS(status) as u8)
        } else {
            Self::Signal(libc::WTERMSIG(status))
        }
    }

    /// Interprets the end of a pid namespace's init. Its reboot(2) kills it, and the kernel then
    /// reports SIGHUP for a restart and SIGINT for everything else. Neither signal can be the end
    /// of an init in any other way: one that is sent, from inside or outside, is dropped unless
    /// init has a handler for it, which then decides (`pid_namespaces(7)`).
    #[must_use]
    pub const fn of_init(self) -> Self {
        match self {
            Self::Signal(libc::SIGHUP) => Self::Rebooted,
            Self::Signal(libc::SIGINT) => Self::Halted,
            Self::Code(_)
            | Self::Signal(_)
            | Self::Halted
            | Self::Rebooted
            | Self::Unheard(_)
            | Self::Unmoved(_)
            | Self::Saved => self,
        }
    }

    /// Returns the exit code a shell would report: the code, or 128 plus the signal. A process that
    /// ended as it was asked to has none to report.
    pub const fn shell_code(self) -> u8 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128_u8.saturating_add(signal as u8),
            Self::Halted | Self::Unheard(_) | Self::Unmoved(_) | Self::Saved => 0,
            Self::Rebooted => 128 + libc::SIGHUP as u8,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Halted => f.write_str("halted"),
            Self::Rebooted => f.write_str("rebooted"),
            Self::Saved => f.write_str("saved by a checkpoint"),
            Self::Unheard(signal) => {
                write!(f, "ended by stop, init has no handler for {}", signal::name(*signal))
            }
            Self::Unmoved(signal) => {
                let name = signal::name(*signal);
                write!(f, "ended by restart, init does not restart on {name}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_init_asked_of_the_kernel_is_told_by_its_wait_status() {
        let end = |status| Exit::from_wait_status(status).of_init();
        assert_eq!(end(libc::SIGHUP), Exit::Rebooted);
        assert_eq!(end(libc::SIGINT), Exit::Halted);
        assert_eq!(end(libc::SIGKILL), Exit::Signal(libc::SIGKILL));
        assert_eq!(end(7 << 8), Exit::Code(7));
    }

    #[test]
    fn an_end_is_told_in_words_and_as_a_code() {
        for (exit, words, code) in [
            (Exit::Code(3), "exit 3", 3),
            (Exit::Signal(9), "signal 9", 137),
            (Exit::Halted, "halted", 0),
            (Exit::Saved, "saved by a checkpoint", 0),
            (Exit::Unheard(30), "ended by stop, init has no handler for SIGPWR", 0),
            (Exit::Unmoved(2), "ended by restart, init does not restart on SIGINT", 0),
        ] {
            assert_eq!((exit.to_string().as_str(), exit.shell_code()), (words, code));
        }
    }
}
