//! `lxc.log.*`: what happens to the container, for a file and for the host's syslog. A log that
//! cannot be written must not end a container that runs.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;

use nix::fcntl::OFlag;

use super::error::RunError;
use super::outside::{Last, Outside};
use crate::engine::running::event::What;
use crate::engine::terms::name::Name;
use crate::engine::terms::shown::shown;
use crate::engine::terms::spec::{LogLevel, LogSpec, Spec};

/// Where the host's syslog listens; see syslog(3).
const SYSLOG: &str = "/dev/log";

/// Where it is written.
#[derive(Debug, Default)]
pub(super) struct Log {
    spec: LogSpec,
    file: Option<File>,
}

impl Log {
    /// Opens the file.
    pub(super) fn open(spec: &Spec) -> Result<Self, RunError> {
        let root = spec.rootfs.as_ref().and_then(|it| it.value.storage.changed());
        let file = spec.log.file.as_ref().map(|path| {
            let place = Outside::find(path, Last::FileOrDevice)?;
            if place.lies_below(root)? {
                return Err(io::Error::other("it lies inside the container's root"));
            }
            place.open(OFlag::O_WRONLY)
        });
        let file = file.transpose().map_err(|source| {
            let path = spec.log.file.clone().unwrap_or_default();
            RunError::Log { path, source }
        })?;
        Ok(Self { spec: spec.log.clone(), file })
    }

    /// Writes down what happened, if it is important enough.
    pub(super) fn tell(&self, name: &Name, what: &What) {
        let (level, said) = words(what);
        if level < self.spec.level {
            return;
        }
        if let Some(mut file) = self.file.as_ref() {
            let now = jiff::Timestamp::now().strftime("%Y%m%d%H%M%S.%3f");
            _ = file
                .write_all(format!("wharf {name} {now} {:<8} {said}\n", level.word()).as_bytes());
        }
        if let Some(facility) = self.spec.facility {
            let line = format!("<{}>wharf: {name}: {said}", facility << 3 | level.severity());
            _ = UnixDatagram::unbound().and_then(|it| {
                it.set_nonblocking(true)?;
                it.send_to(line.as_bytes(), SYSLOG)
            });
        }
    }
}

/// How important it is, and what happened, in words.
fn words(what: &What) -> (LogLevel, String) {
    match what {
        What::State { to, .. } => (LogLevel::Info, format!("its state is {to}")),
        What::Exited { exit } => (LogLevel::Info, format!("init has ended: {exit}")),
        What::Braked { restarts, .. } => {
            (LogLevel::Warn, format!("the next start is delayed after {restarts} in a row"))
        }
        What::Warned { said } => (LogLevel::Warn, shown(said).into_owned()),
        What::Failed { reason } => (LogLevel::Error, shown(reason).into_owned()),
        What::LimitLost { file, was, now } => {
            (LogLevel::Warn, format!("{file} is no longer {was} but {now}"))
        }
        What::OomKill { count, .. } => (
            LogLevel::Error,
            format!("the kernel has killed a process for lack of memory, {count} so far"),
        ),
        What::SupervisorKilled => (LogLevel::Error, "its supervisor was killed".to_owned()),
        What::Created => (LogLevel::Info, "created".to_owned()),
        What::Destroyed => (LogLevel::Info, "destroyed".to_owned()),
        What::Trashed => (LogLevel::Info, "moved to the trash".to_owned()),
        What::Restored => (LogLevel::Info, "restored from the trash".to_owned()),
        What::Cgroup { file, new, .. } => (LogLevel::Info, format!("{file} was set to {new}")),
        What::Signal { pid, signal } => {
            (LogLevel::Info, format!("signal {signal} was sent to process {pid}"))
        }
    }
}
