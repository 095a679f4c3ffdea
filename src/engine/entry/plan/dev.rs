//! Steps that make the container's /dev. Pure.

use std::ffi::CString;
use std::fmt;

use super::{PlanError, Step, TerminalInfo, cstring, mounts, number};
use crate::engine::terms::idmap::IdKind;
use crate::engine::terms::spec::Spec;

/// LXC's limit of a container's devpts when none is configured.
const DEFAULT_PTY_MAX: u32 = 1024;
/// LXC's size of /dev when none is configured.
const DEFAULT_BYTES: u32 = 500_000;
/// The group `tty`, which has this number everywhere.
const TTY_GROUP: u32 = 5;

/// One thing in the container's /dev.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum DevStep {
    New {
        bytes: CString,
    },
    /// Uses the /dev in the root.
    Own,
    SharedMemory,
    MessageQueues,
    Pts {
        max: CString,
        /// Of its ptys; none: that of whoever opens one.
        group: Option<CString>,
    },
    /// What opens as `/dev/ptmx` in the root's own /dev belongs to the container's devpts.
    Ptmx,
    /// The console and the ttys are in this directory of `/dev`, with links to them.
    TtyDir {
        name: CString,
    },
    BootId,
}

/// Returns the steps before the configured mounts, which may be in a new /dev.
pub(super) fn before_mounts(spec: &Spec, terminal: &TerminalInfo) -> Result<Vec<Step>, PlanError> {
    if spec.own_dev {
        return Ok(Vec::new());
    }
    let bytes = if spec.dev_bytes == 0 { DEFAULT_BYTES } else { spec.dev_bytes };
    let new = DevStep::New { bytes: number(bytes)? };
    // These would be hidden by what the configuration mounts there.
    let configured = |target| spec.mounts.iter().any(|it| mounts::covers(&it.value, target));
    let shm = (!configured("dev/shm")).then_some(DevStep::SharedMemory);
    let queues = (!configured("dev/mqueue")).then_some(DevStep::MessageQueues);
    let mut steps: Vec<Step> =
        [Some(new), shm, queues].into_iter().flatten().map(Step::Dev).collect();
    terminals(spec, terminal, &mut steps)?;
    Ok(steps)
}

/// Returns the steps after them: one of them may be the root's own /dev.
pub(super) fn after_mounts(spec: &Spec, terminal: &TerminalInfo) -> Result<Vec<Step>, PlanError> {
    if !spec.own_dev {
        return Ok(vec![Step::Dev(DevStep::BootId)]);
    }
    let mut steps = vec![Step::Dev(DevStep::Own)];
    terminals(spec, terminal, &mut steps)?;
    Ok(steps)
}

/// Adds the ptys, the console and the ttys.
fn terminals(spec: &Spec, terminal: &TerminalInfo, steps: &mut Vec<Step>) -> Result<(), PlanError> {
    let max = if spec.pty_max == 0 { DEFAULT_PTY_MAX } else { spec.pty_max };
    // The console and the ttys are ptys of the same devpts and must not count towards its limit.
    let max = max.saturating_add(spec.tty_max).saturating_add(1);
    let map = spec.idmap.as_ref().map(|it| &it.value);
    let mapped = map.is_none_or(|it| it.outside(IdKind::Group, TTY_GROUP).is_some());
    let group = mapped.then(|| number(TTY_GROUP)).transpose()?;
    steps.push(Step::Dev(DevStep::Pts { max: number(max)?, group }));
    if spec.own_dev {
        steps.push(Step::Dev(DevStep::Ptmx));
    }
    if let Some(name) = &spec.tty_dir {
        let name = cstring("lxc.tty.dir", name.as_bytes())?;
        steps.push(Step::Dev(DevStep::TtyDir { name }));
    }
    // The operator's own terminal is never passed to a container, not even without a console.
    if !spec.console.off || terminal.attended {
        let shown = !spec.console.off;
        steps.push(Step::Console { owner: spec.init.uid, size: terminal.size, shown });
    }
    if spec.tty_max > 0 {
        steps.push(Step::Ttys { count: spec.tty_max });
    }
    Ok(())
}

impl fmt::Display for DevStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New { .. } => write!(f, "make /dev"),
            Self::Own => write!(f, "use the root's own /dev"),
            Self::SharedMemory => write!(f, "mount a tmpfs on /dev/shm"),
            Self::MessageQueues => write!(f, "mount an mqueue on /dev/mqueue"),
            Self::Pts { .. } => write!(f, "mount devpts on /dev/pts"),
            Self::Ptmx => write!(f, "make /dev/ptmx"),
            Self::TtyDir { name } => write!(f, "make /dev/{}", name.to_string_lossy()),
            Self::BootId => write!(f, "give it a boot id of its own"),
        }
    }
}
