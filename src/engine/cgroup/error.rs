//! What can go wrong with a cgroup, in the operator's words.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::words;
use crate::engine::terms::error::ErrorKind;
use crate::engine::terms::feature;
use crate::engine::terms::spec::ConfigPlace;

/// A cgroup operation that failed. Each text contains the action, the object and the kernel's
/// reason.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error(
        "no cgroup file system is mounted; mount one, as with: mount -t cgroup2 none /sys/fs/cgroup"
    )]
    NotMounted,
    #[error("lxc.cgroup.use of lxc.conf names the controller {0}, which no cgroup here has")]
    NoController(String),
    #[error("cannot read {}: {}", path.display(), words::reason(errno))]
    Read { path: PathBuf, errno: io::Error },
    #[error("cannot create the cgroup {}: {}", dir.display(), words::reason(errno))]
    Create { dir: PathBuf, errno: io::Error },
    #[error("no cgroup can be created below {base}: {}", words::reason(errno))]
    Unwritable { base: String, errno: io::Error },
    #[error("cgroup names from {0} to {0}-999 are all taken by live groups")]
    Taken(String),
    #[error("the cgroup {} exists, and wharf did not make it for this container", .0.display())]
    Foreign(PathBuf),
    #[error(
        "the cgroup {} has processes of its own, so no container's groups are made below it",
        .0.display()
    )]
    Crowded(PathBuf),
    #[error(
        "{0:?} is not a valid path for a cgroup: it must not be empty, absolute or contain `..`"
    )]
    Path(String),
    #[error("cannot open {}: {}", path.display(), words::reason(errno))]
    Open { path: PathBuf, errno: io::Error },
    #[error("cannot join the cgroup {}: {}", dir.display(), words::reason(errno))]
    Join { dir: PathBuf, errno: io::Error },
    #[error("{0:?} is not the name of a cgroup file: it must be one name without a slash")]
    FileName(String),
    #[error("the container has no cgroup file {file}{advice}")]
    NoFile { file: String, advice: String },
    #[error("{value:?} is not a valid value for {file}: {why}")]
    Value { file: String, value: String, why: String },
    #[error("the kernel refused {typed:?}{} for {file}: {reason}", words::meant(typed, value))]
    Write { file: String, typed: String, value: String, reason: String, errno: io::Error },
    #[error("cannot apply {key}{}", at(place.as_ref()))]
    Setting { key: String, place: Option<ConfigPlace>, source: Box<Self> },
    #[error("{rule:?} is not a device rule: expected `a`, or one such as `c 1:3 rwm` or `b 8:* r`")]
    DeviceRule { rule: String },
    #[error("cannot attach the device rules to {}: {}", dir.display(), words::reason(errno))]
    Attach { dir: PathBuf, errno: io::Error },
    #[error("{}", feature::FREEZER.refusal())]
    NoFreezer,
    #[error(
        "neither the v1 devices hierarchy nor a unified one is writable, so nothing would keep the \
         container from the host's devices; it starts without these lines"
    )]
    NoDevices,
    #[error("cannot {act} {}: {}", path.display(), words::reason(errno))]
    Freeze { act: &'static str, path: PathBuf, errno: io::Error },
    #[error("{} did not {act} within {:.0} s; {advice}", path.display(), waited.as_secs_f64())]
    TimedOut { act: &'static str, path: PathBuf, waited: Duration, advice: &'static str },
    #[error(
        "{who} did not die within {:.0} s; a process in state D cannot be killed until the device or \
         file server that it waits for answers",
        waited.as_secs_f64()
    )]
    Undying { who: String, waited: Duration },
    #[error(
        "cannot give {} to the container's root: {}",
        path.display(), words::reason(errno)
    )]
    Give { path: PathBuf, errno: io::Error },
    #[error("cannot remove the cgroup {}: {}", dir.display(), words::reason(errno))]
    Remove { dir: PathBuf, errno: io::Error },
}

impl CgroupError {
    /// Returns the kernel's own reason.
    pub(in crate::engine) fn errno(&self) -> Option<&io::Error> {
        match self {
            Self::Setting { source, .. } => source.errno(),
            Self::Read { errno, .. }
            | Self::Create { errno, .. }
            | Self::Unwritable { errno, .. }
            | Self::Open { errno, .. }
            | Self::Join { errno, .. }
            | Self::Write { errno, .. }
            | Self::Attach { errno, .. }
            | Self::Give { errno, .. }
            | Self::Freeze { errno, .. }
            | Self::Remove { errno, .. } => Some(errno),
            Self::NotMounted
            | Self::NoController(_)
            | Self::Taken(_)
            | Self::Foreign(_)
            | Self::Crowded(_)
            | Self::Path(_)
            | Self::FileName(_)
            | Self::NoFile { .. }
            | Self::Value { .. }
            | Self::DeviceRule { .. }
            | Self::NoFreezer
            | Self::NoDevices
            | Self::TimedOut { .. }
            | Self::Undying { .. } => None,
        }
    }

    /// Returns what sort of refusal it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Setting { source, .. } => source.kind(),
            Self::NoFile { .. } => ErrorKind::NotFound,
            Self::FileName(_)
            | Self::Value { .. }
            | Self::DeviceRule { .. }
            | Self::Path(_)
            | Self::Foreign(_)
            | Self::Crowded(_) => ErrorKind::Invalid,
            Self::TimedOut { .. } | Self::Undying { .. } => ErrorKind::TimedOut,
            Self::Unwritable { .. } => ErrorKind::Denied,
            Self::NotMounted
            | Self::NoController(_)
            | Self::Taken(_)
            | Self::NoFreezer
            | Self::NoDevices => ErrorKind::Failed,
            Self::Write { errno, .. } if errno.kind() == io::ErrorKind::InvalidInput => {
                ErrorKind::Invalid
            }
            Self::Read { errno, .. }
            | Self::Create { errno, .. }
            | Self::Open { errno, .. }
            | Self::Join { errno, .. }
            | Self::Write { errno, .. }
            | Self::Attach { errno, .. }
            | Self::Give { errno, .. }
            | Self::Freeze { errno, .. }
            | Self::Remove { errno, .. } => {
                if errno.kind() == io::ErrorKind::PermissionDenied {
                    ErrorKind::Denied
                } else {
                    ErrorKind::Failed
                }
            }
        }
    }
}

fn at(place: Option<&ConfigPlace>) -> String {
    place.map(|it| format!(" at {it}")).unwrap_or_default()
}
