//! The error every verb of the facade returns: what failed, on which container, and why.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use nix::errno::Errno;

use crate::engine::terms::verb::Verb;

/// Describes an operating system error in words, without the number that Rust appends.
pub(in crate::engine) fn words(error: &io::Error) -> String {
    error
        .raw_os_error()
        .map_or_else(|| error.to_string(), |code| Errno::from_raw(code).desc().to_owned())
}

/// The kind of refusal, for exit codes and for the screen's advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// No such container, file or process.
    NotFound,
    /// The container already exists.
    Exists,
    /// The verb needs a running container.
    NotRunning,
    /// The verb needs a stopped container.
    Running,
    /// Another command holds the container.
    Busy,
    /// The kernel or the file system refused for lack of privilege.
    Denied,
    /// The operator's input is wrong: configuration, name, value.
    Invalid,
    /// It did not happen in time.
    TimedOut,
    /// The command does not exist in the container.
    NoCommand,
    /// The command exists in the container and cannot be executed.
    BadCommand,
    /// Anything else that the kernel or the machine refused.
    Failed,
}

/// A verb that failed. `{}` prints the action and the object, `{:#}` the causes too.
#[derive(Debug)]
pub struct Error {
    pub verb: Verb,
    /// The container, or another object of the verb. Already safe to show.
    pub object: String,
    pub kind: ErrorKind,
    pub source: Box<dyn StdError + Send + Sync>,
}

impl Error {
    /// Wraps `source` as the reason why `verb` failed on `object`.
    pub fn new(
        verb: Verb,
        object: impl fmt::Display,
        kind: ErrorKind,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { verb, object: object.to_string(), kind, source: source.into() }
    }

    /// Returns the causes in one line, without the action and the object.
    pub fn reason(&self) -> String {
        story(self.source.as_ref())
    }
}

/// Writes `error` and its causes in one line.
pub(in crate::engine) fn story(error: &(dyn StdError + 'static)) -> String {
    let mut text = words_of(error);
    let mut cause = error.source();
    while let Some(it) = cause {
        let reason = words_of(it);
        // Some errors already include their cause.
        if !text.ends_with(&reason) {
            text.push_str(": ");
            text.push_str(&reason);
        }
        cause = it.source();
    }
    text
}

/// Describes one error in words, an operating system's without its name or number.
fn words_of(error: &(dyn StdError + 'static)) -> String {
    if let Some(errno) = error.downcast_ref::<Errno>() {
        return errno.desc().to_owned();
    }
    error.downcast_ref().map_or_else(|| error.to_string(), words)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} `{}`", self.verb, self.object)?;
        if f.alternate() {
            write!(f, ": {}", self.reason())?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Cause {
        #[error("read a: {}", words(source))]
        Included { source: io::Error },
        #[error("read a")]
        Apart { source: io::Error },
    }

    #[test]
    fn a_cause_is_shown_once() {
        let source = || io::Error::from_raw_os_error(libc::ENOENT);
        for cause in [Cause::Included { source: source() }, Cause::Apart { source: source() }] {
            let error = Error::new(Verb::Start, "web", ErrorKind::Failed, cause);
            let expected = "cannot start `web`: read a: No such file or directory";
            assert_eq!(format!("{error:#}"), expected);
        }
    }

    #[test]
    fn system_errors_are_shown_in_words_only() {
        let number = io::Error::from_raw_os_error(libc::EACCES);
        for error in [
            Error::new(Verb::Start, "web", ErrorKind::Failed, number),
            Error::new(Verb::Start, "web", ErrorKind::Failed, Errno::EACCES),
        ] {
            assert_eq!(format!("{error:#}"), "cannot start `web`: Permission denied");
        }
    }
}
