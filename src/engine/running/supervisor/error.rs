//! Why a run failed, named after the action that failed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;

use crate::engine::cgroup::CgroupError;
use crate::engine::entry::criu::CriuError;
use crate::engine::entry::host_steps::HostStepError;
use crate::engine::entry::launch::LaunchError;
use crate::engine::entry::plan::PlanError;
use crate::engine::running::command_socket::SeatError;
use crate::engine::running::reclaim::ReclaimError;
use crate::engine::running::shares::ShareError;
use crate::engine::store::StoreError;
use crate::engine::terms::error::{Error, ErrorKind};

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    #[error("set up the supervisor")]
    Settle(#[source] Errno),
    #[error("{0}")]
    Seat(#[source] SeatError),
    #[error("it was destroyed: {} is gone", .0.display())]
    Gone(PathBuf),
    #[error("listen on the command socket")]
    Listen(#[source] io::Error),
    #[error("restart it: {}", .0.reason())]
    Config(Box<Error>),
    #[error("{0}")]
    Reclaim(#[source] ReclaimError),
    #[error("write the record of the run (check for space in the runtime directory)")]
    Record(#[source] io::Error),
    #[error("{0}")]
    Plan(#[source] PlanError),
    #[error("{0}")]
    Cgroup(#[source] CgroupError),
    #[error(
        "{0}: no cgroup is delegated to you, so nothing would enforce it: log in where systemd runs a \
         user manager with cgroup v2 (`loginctl enable-linger` keeps it without a login), or remove \
         the line"
    )]
    NotDelegated(String),
    #[error(
        "no cgroup is delegated to you, and without one and a pid namespace of its own nothing would \
         end its processes"
    )]
    NoEnd,
    #[error("{0}")]
    Share(#[source] ShareError),
    #[error(
        "connect to lxc.seccomp.notify.proxy unix:{proxy}, which must listen before the container starts"
    )]
    Proxy { proxy: String, source: Errno },
    #[error("{0}")]
    Launch(#[source] LaunchError),
    #[error("{0}")]
    Criu(#[source] CriuError),
    #[error(
        "the checkpoint has a console, and the configuration has none (lxc.console.path = none)"
    )]
    NoConsole,
    #[error("CRIU put its processes into other cgroups than the container's")]
    Elsewhere,
    #[error("{0}")]
    Host(#[source] HostStepError),
    #[error("enter the container's network")]
    Wires(#[source] io::Error),
    #[error(
        "lxc.rootfs.path: {holder} runs on {path} as well, and what the two do to it is undefined; stop \
         that one, or give this one an upper directory of its own{place}"
    )]
    SharedUpper { path: PathBuf, holder: String, place: String },
    #[error("{0}")]
    Claim(#[source] StoreError),
    #[error("open lxc.console.logfile {path}")]
    LogFile { path: PathBuf, source: io::Error },
    #[error("open lxc.log.file {path}")]
    Log { path: PathBuf, source: io::Error },
    #[error("open lxc.console.path {path}")]
    ConsolePath { path: PathBuf, source: io::Error },
    #[error("take over the terminal")]
    Terminal(#[source] io::Error),
    #[error("watch the container")]
    Watch(#[source] Errno),
    #[error(
        "its command, or what its command started, ran longer than {} s and was ended",
        .0.as_secs_f64()
    )]
    Late(Duration),
    #[error("cancelled")]
    CalledOff,
}

impl RunError {
    /// Returns the kind of refusal.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Seat(SeatError::Taken | SeatError::Locked) => ErrorKind::Running,
            Self::Gone(_) => ErrorKind::NotFound,
            Self::Config(error) => error.kind,
            Self::Plan(_) | Self::NoConsole => ErrorKind::Invalid,
            Self::NotDelegated(_) | Self::NoEnd => ErrorKind::Denied,
            Self::Cgroup(error) => error.kind(),
            Self::Late(_) => ErrorKind::TimedOut,
            Self::Share(error) => error.kind(),
            Self::Launch(error) => error.kind(),
            Self::Settle(_)
            | Self::Seat(_)
            | Self::Listen(_)
            | Self::Reclaim(_)
            | Self::Record(_)
            | Self::Criu(_)
            | Self::Elsewhere
            | Self::Host(_)
            | Self::Proxy { .. }
            | Self::Wires(_)
            | Self::SharedUpper { .. }
            | Self::Claim(_)
            | Self::LogFile { .. }
            | Self::Log { .. }
            | Self::ConsolePath { .. }
            | Self::Terminal(_)
            | Self::Watch(_)
            | Self::CalledOff => ErrorKind::Failed,
        }
    }
}
