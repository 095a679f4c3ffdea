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

/// Returns whether a time is given, right or wrong.
pub(super) fn is_given(matches: &ArgMatches) -> bool {
    matches.contains_id(TIMEOUT)
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

/// How the reason of work ends that was cancelled and has left nothing, so that it says nothing more.
const CANCELLED: [&str; 2] = ["cancelled", "cancelled; nothing is left"];

/// Says of work that failed after its time was over that this is why, and what else it reports.
pub(super) fn explain(
    error: anyhow::Error,
    progress: &Progress,
    limit: Option<Duration>,
) -> anyhow::Error {
    let Some(limit) = limit.filter(|_| progress.is_late()) else { return error };
    match error.downcast::<Error>() {
        Ok(error) if matches!(error.kind, ErrorKind::Failed | ErrorKind::TimedOut) => {
            let (limit, reason) = (format::took(limit), error.reason());
            let more = Some(reason).filter(|it| !CANCELLED.contains(&it.as_str()));
            let more = more.map(|it| format!(": {it}")).unwrap_or_default();
            let why = format!("gave up after {limit}{more}");
            Error::new(error.verb, error.object, ErrorKind::TimedOut, why).into()
        }
        Ok(other) => other.into(),
        Err(error) => error,
    }
}
