//! How a verb's failure becomes one line on stderr and an exit code.

use std::io;

use crate::engine::shown::shown;
use crate::engine::{Error, ErrorKind, Verb};

/// The code of a program that SIGPIPE ended: the reader of our output has gone.
const BROKEN_PIPE: u8 = 128 + 13;
const FAILED: u8 = 1;
/// What failed when the output did not get to where it was to be written.
pub(super) const UNWRITTEN: &str = "cannot write the output";
/// LXC's code for stopping a container that is not running.
const NOT_RUNNING: u8 = 2;

/// What each exit code means. Scripts rely on it, so a code never changes its meaning.
pub(super) const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "done; of `wait`: each container was in one of the states"),
    ("1", "failed, refused or not in time, or the arguments are wrong; nothing more was done"),
    ("2", "stop, restart: the container was not running"),
    ("N", "execute, attach, start -F: the exit code of the command"),
    ("126", "execute, attach, start -F: the command cannot be executed"),
    ("127", "execute, attach, start -F: the command does not exist"),
    ("128+N", "execute, attach, start -F: signal N ended the command"),
    ("141", "the reader of the output has gone, as after `| head`"),
];

/// Arguments that clap accepted and the verb refuses.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// The outcome of a failed verb: a safe message (empty: print nothing) and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ErrorReport {
    pub(super) message: String,
    pub(super) code: u8,
    /// The arguments were at fault; help is worth a hint.
    pub(super) usage: bool,
}

impl From<anyhow::Error> for ErrorReport {
    fn from(error: anyhow::Error) -> Self {
        if is_broken_pipe(&error) {
            return Self { message: String::new(), code: BROKEN_PIPE, usage: false };
        }
        let Some(refused) = error.downcast_ref::<Error>() else {
            let message = shown(&format!("{error:#}")).into_owned();
            return Self { message, code: FAILED, usage: error.is::<Usage>() };
        };
        Self {
            message: shown(&format!("{refused:#}")).into_owned(),
            code: code_of(refused),
            usage: false,
        }
    }
}

fn code_of(refused: &Error) -> u8 {
    match refused.kind {
        ErrorKind::NotRunning | ErrorKind::NotFound
            if matches!(refused.verb, Verb::Stop | Verb::Restart) =>
        {
            NOT_RUNNING
        }
        // As in a shell. In the background, a failed start is like any other failure.
        ErrorKind::NoCommand if refused.verb != Verb::Start => 127,
        ErrorKind::BadCommand if refused.verb != Verb::Start => 126,
        ErrorKind::NotFound
        | ErrorKind::Exists
        | ErrorKind::NotRunning
        | ErrorKind::Running
        | ErrorKind::Busy
        | ErrorKind::Denied
        | ErrorKind::Invalid
        | ErrorKind::TimedOut
        | ErrorKind::NoCommand
        | ErrorKind::BadCommand
        | ErrorKind::Failed => FAILED,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|it| {
        let io = it.downcast_ref::<io::Error>().map(io::Error::kind);
        let json =
            it.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(error: impl Into<anyhow::Error>) -> ErrorReport {
        ErrorReport::from(error.into())
    }

    #[test]
    fn an_engine_error_is_one_safe_line() {
        let error =
            Error::new(Verb::Start, "web", ErrorKind::Invalid, "line 3: bad\nkey \u{1b}[2J");
        let failure = failure(error);
        assert_eq!(failure.message, "cannot start `web`: line 3: bad\\x0akey \\x1b[2J");
        assert_eq!(failure.code, 1);
    }

    #[test]
    fn stopping_what_does_not_run_has_its_own_code() {
        assert_eq!(
            failure(Error::new(Verb::Stop, "web", ErrorKind::NotRunning, "stopped")).code,
            2
        );
        assert_eq!(
            failure(Error::new(Verb::Freeze, "web", ErrorKind::NotRunning, "stopped")).code,
            1
        );
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(failure(error), ErrorReport { message: String::new(), code: 141, usage: false });
    }
}
