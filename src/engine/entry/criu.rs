//! CRIU, which writes the processes of a container into files and makes them again from those: the
//! program, what it is told, and its files. It is run from outside; nothing of it is in wharf.

pub(in crate::engine) mod arguments;
pub(in crate::engine) mod files;
pub(in crate::engine) mod fit;
pub(in crate::engine) mod network;
mod restore;

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub(in crate::engine) use restore::{Remaking, restore};

use serde::{Deserialize, Serialize};

use crate::engine::entry::script::{self, Bounds, Said};
use crate::engine::terms::feature;
use crate::engine::terms::progress::Progress;
use crate::engine::terms::shown::shown;

/// Where it may be besides the caller's PATH.
const PLACES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
/// Programs that it runs itself, to hold the network meanwhile and for its devices and a tmpfs, and one
/// to open that network again.
const NEEDED: [&str; 4] = ["iptables-restore", "ip", "tar", "nsenter"];
/// The oldest that LXC uses; all that any host of today has are newer.
const OLDEST: u32 = 2;
/// How long its own check may take; it makes a few processes and sockets.
const CHECK: Duration = Duration::from_secs(30);
/// How long it may take to end when it is asked to.
pub(in crate::engine) const GRACE: Duration = Duration::from_secs(2);

/// Why CRIU cannot be used, or has failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum CriuError {
    #[error("{}", feature::CRIU.refusal())]
    Missing,
    #[error("CRIU, {0}, is too old; version {OLDEST}.0 is needed at least")]
    Old(String),
    #[error("CRIU needs the program {0} on this host, which is not installed")]
    Lacks(&'static str),
    #[error(
        "CRIU does not work on this kernel: {0}; `criu check` says more, and another version of CRIU \
         or of the kernel may help"
    )]
    Unfit(String),
    #[error("CRIU failed: {reason}{all}")]
    Failed { reason: String, all: String },
    #[error("CRIU did not end within {0} s and was killed")]
    Late(u64),
    #[error("cancelled")]
    Cancelled,
    #[error("make the container's root for CRIU: {0}")]
    Root(String),
    #[error("CRIU succeeded, and made no process")]
    NoProcess,
    #[error("run CRIU")]
    Run(#[source] std::io::Error),
}

/// CRIU as it is installed here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Criu {
    pub(in crate::engine) program: PathBuf,
    /// The PATH with which it finds what it runs.
    pub(in crate::engine) path: OsString,
}

/// A call of CRIU.
#[derive(Clone, Copy)]
pub(in crate::engine) struct CriuRun<'a> {
    pub(in crate::engine) arguments: &'a [OsString],
    /// The file in which it says why it fails.
    pub(in crate::engine) log: &'a Path,
    pub(in crate::engine) patience: Duration,
    pub(in crate::engine) progress: &'a Progress,
}

impl Criu {
    /// Finds it, and what it runs.
    pub(in crate::engine) fn find() -> Result<Self, CriuError> {
        let own = std::env::var_os("PATH").unwrap_or_default();
        let places: Vec<PathBuf> =
            std::env::split_paths(&own).chain(PLACES.map(PathBuf::from)).collect();
        let path = std::env::join_paths(&places).unwrap_or(own);
        let find = |name: &str| places.iter().map(|it| it.join(name)).find(|it| is_program(it));
        let criu = Self { program: find("criu").ok_or(CriuError::Missing)?, path };
        match NEEDED.into_iter().find(|it| find(it).is_none()) {
            Some(lacking) => Err(CriuError::Lacks(lacking)),
            None => Ok(criu),
        }
    }

    /// Finds one that works on this kernel, as it says itself.
    pub(in crate::engine) fn find_working(progress: &Progress) -> Result<Self, CriuError> {
        let criu = Self::find()?;
        let version = criu.asked("--version", progress)?.unwrap_or_default();
        let version = version.iter().find_map(|it| it.strip_prefix("Version: ")).unwrap_or("?");
        let major = version.split('.').next().and_then(|it| it.parse::<u32>().ok());
        if major.is_some_and(|it| it < OLDEST) {
            return Err(CriuError::Old(version.trim().to_owned()));
        }
        criu.asked("check", progress)?.map_err(|said| {
            let last = last_error(&said.lines.join("\n"));
            CriuError::Unfit(last.unwrap_or(said.how))
        })?;
        Ok(criu)
    }

    /// Asks it about itself.
    fn asked(
        &self,
        word: &str,
        progress: &Progress,
    ) -> Result<Result<Vec<String>, Said>, CriuError> {
        let cancelled = &|| progress.is_cancelled();
        let bounds = Bounds { patience: CHECK, grace: Duration::ZERO, cancelled };
        let said = script::said_within(self.command().arg(word), bounds);
        if progress.is_cancelled() {
            return Err(CriuError::Cancelled);
        }
        said.map_err(CriuError::Run)
    }

    /// Prepares a call.
    pub(in crate::engine) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env("PATH", &self.path).stdin(std::process::Stdio::null());
        command
    }

    /// Runs a call in which no process is made that outlives it, within bounded time. `begun` gets its
    /// pid.
    pub(in crate::engine) fn run(
        &self,
        run: CriuRun<'_>,
        begun: &mut dyn FnMut(i32),
    ) -> Result<(), CriuError> {
        let CriuRun { arguments, log, patience, progress } = run;
        let mut command = self.command();
        command.args(arguments);
        let bounds = Bounds { patience, grace: GRACE, cancelled: &|| progress.is_cancelled() };
        let said = script::said_by(&mut command, bounds, begun).map_err(CriuError::Run)?;
        let Err(said) = said else { return Ok(()) };
        if progress.is_cancelled() {
            return Err(CriuError::Cancelled);
        }
        if said.is_late {
            return Err(CriuError::Late(patience.as_secs()));
        }
        Err(failed(log, &said.lines.join("\n"), said.how))
    }
}

/// Says why it failed: the last error of its log, else of what it printed, else how it ended.
fn failed(log: &Path, printed: &str, how: String) -> CriuError {
    let logged = files::end_of(log).and_then(|it| last_error(&it));
    let printed = || last_error(printed).or_else(|| printed.lines().last().map(str::to_owned));
    let reason = logged.or_else(printed).unwrap_or(how);
    let all = log.exists().then(|| format!(" (all of it in {})", log.display()));
    CriuError::Failed { reason: shown(&reason).into_owned(), all: all.unwrap_or_default() }
}

/// Returns the text of the last error in a log that says something: of `(00.1) Error
/// (criu/net.c:1): TEXT` the TEXT.
fn last_error(log: &str) -> Option<String> {
    const EMPTY: [&str; 3] = ["Dumping FAILED", "Restoring FAILED", "exited, status="];
    let text = |line: &str| {
        let (_, told) = line.split_once("Error (")?;
        let (_, text) = told.split_once("): ")?;
        let says = !EMPTY.iter().any(|it| text.starts_with(it));
        says.then(|| text.trim().to_owned()).filter(|it| !it.is_empty())
    };
    log.lines().rev().find_map(text).map(|it| shown(&it).into_owned())
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_that_says_something_is_shown() {
        let log = "(00.1) Warn  (criu/x.c:1): odd\n(00.2)     26: Error (criu/tty.c:7): tty: Unable to \
                   find a master\n(00.3) Error (criu/util.c:642): exited, status=1\n(00.4) Error \
                   (criu/cr-dump.c:2053): Dumping FAILED.\n";
        assert_eq!(last_error(log).as_deref(), Some("tty: Unable to find a master"));
        assert_eq!(last_error("nothing\n"), None);
    }
}
