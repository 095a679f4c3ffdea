//! Why a process did not become part of a container, in words.

use nix::errno::Errno;

use super::BeforeExec;
use crate::engine::cgroup::CgroupError;
use crate::engine::error::Kind;
use crate::engine::perform::{Failure, Part};
use crate::engine::plan::Step;
use crate::engine::shown::shown_bytes;

/// Why a container did not come to life, or could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("open the cgroups")]
    Cgroup(#[source] CgroupError),
    #[error("make a socket pair")]
    Socket(#[source] Errno),
    #[error("create a process")]
    Clone(#[source] Errno),
    #[error("read its report")]
    Report(#[source] Errno),
    #[error("{step}{part}: {reason}{place}")]
    Step { step: String, part: &'static str, reason: &'static str, place: String, errno: Errno },
    /// The program itself could not be executed.
    #[error("{program}: {reason}")]
    Exec { program: String, reason: &'static str, errno: Errno },
    #[error("init died before its program ran")]
    Died,
    /// Its groups take no further process.
    #[error(
        "it has as many processes as its limit allows; `wharf cgroup NAME pids.max` shows the \
         limit and raises it"
    )]
    Full,
    #[error("hold a process while it is moved")]
    Hold(#[source] Errno),
    #[error("finish the container")]
    BeforeExec(#[source] BeforeExec),
}

impl LaunchError {
    /// Tells whether the cgroups took no further process.
    pub(super) const fn is_full(&self) -> bool {
        matches!(self, Self::Full | Self::Clone(Errno::EAGAIN))
    }

    /// Returns what sort of refusal it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Cgroup(error) => error.kind(),
            Self::Exec { errno: Errno::ENOENT, .. } => Kind::NoCommand,
            Self::Exec { .. } => Kind::BadCommand,
            Self::Clone(Errno::EPERM) | Self::Step { errno: Errno::EPERM | Errno::EACCES, .. } => {
                Kind::Denied
            }
            Self::Step { errno: Errno::ENOENT, .. } => Kind::NotFound,
            Self::Socket(_)
            | Self::Clone(_)
            | Self::Report(_)
            | Self::Step { .. }
            | Self::Died
            | Self::Full
            | Self::Hold(_)
            | Self::BeforeExec(_) => Kind::Failed,
        }
    }
}

/// Names the step that failed.
pub(super) fn of_step(steps: &[Step], failure: Failure) -> LaunchError {
    let Failure { step, part, errno } = failure;
    let step = steps.get(step);
    if let Some(Step::Exec(program)) = step {
        let name = program.argv.first().map(|it| shown_bytes(it.to_bytes()));
        let program = name.unwrap_or_default();
        return LaunchError::Exec { program, reason: errno.desc(), errno };
    }
    if matches!(step, Some(Step::Appear)) && errno == Errno::EAGAIN {
        return LaunchError::Full;
    }
    let place = step.and_then(Step::place).map_or_else(String::new, |it| format!(" ({it})"));
    let part = match part {
        Part::Whole => "",
        Part::Source => ": source",
        Part::Target => ": target",
    };
    let step = step.map_or_else(|| "unknown step".to_owned(), Step::to_string);
    LaunchError::Step { step, part, reason: errno.desc(), place, errno }
}
