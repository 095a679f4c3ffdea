//! `--timeout`: how long a command may take before it is given up, or before it ends.

use std::time::Duration;

use clap::{Arg, ArgMatches};

use super::args;
use super::failure::Usage;
use super::invocation::number;
use crate::engine::progress::Progress;
use crate::engine::{Error, ErrorKind};
use crate::format;

const TIMEOUT: &str = "timeout";

/// `-t SECONDS`.
pub(super) fn option(help: &'static str) -> Arg {
    args::value(TIMEOUT, Some('t'), "SECONDS", help)
}

/// `--timeout SECONDS` of a command whose `-t` is something else.
pub(super) fn long_option(help: &'static str) -> Arg {
    args::value(TIMEOUT, None, "SECONDS", help)
}

/// Reads the time after which what prints again and again ends.
pub(super) fn read(matches: &ArgMatches) -> anyhow::Result<Option<Duration>> {
    let seconds = number::<f64>(matches, TIMEOUT)?;
    let time = seconds.map(Duration::try_from_secs_f64).transpose();
    Ok(time.map_err(|_negative| Usage("--timeout takes seconds, such as 60 or 0.5".into()))?)
}

/// Reads the time that something may take, which must be some.
pub(super) fn patience(matches: &ArgMatches) -> anyhow::Result<Option<Duration>> {
    let time = read(matches)?;
    if time.is_some_and(|it| it.is_zero()) {
        return Err(Usage("--timeout 0 leaves no time for it".into()).into());
    }
    Ok(time)
}

/// Says of work that failed because its time was over that this is the reason.
pub(super) fn explain(
    error: anyhow::Error,
    progress: &Progress,
    limit: Option<Duration>,
) -> anyhow::Error {
    let Some(limit) = limit.filter(|_| progress.is_late()) else { return error };
    match error.downcast::<Error>() {
        Ok(Error { verb, object, kind: ErrorKind::Failed | ErrorKind::TimedOut, .. }) => {
            let limit = format::took(limit);
            let why = format!("it was not done after {limit}, and was given up");
            Error::new(verb, object, ErrorKind::TimedOut, why).into()
        }
        Ok(other) => other.into(),
        Err(error) => error,
    }
}
