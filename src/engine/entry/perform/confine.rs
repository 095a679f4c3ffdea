//! The confinement of the next program, requested through the host's own /proc, and its filter.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::write;

use crate::engine::entry::plan::{Confinement, LabelChange, LabelMoment};
use crate::engine::entry::report::{self, Asker};
use crate::engine::sys::filter::{FilterInstruction, install_filter};
use crate::engine::sys::notify::install_notifying;
use crate::engine::terms::label::SecurityModule;

const FLAGS: OFlag = OFlag::O_WRONLY.union(OFlag::O_CLOEXEC);

/// A label that the container has, and this process not yet.
#[derive(Debug)]
pub(super) struct PendingLabel {
    /// The host's /proc. What it says of a process can be written by that alone.
    proc: OwnedFd,
    change: LabelChange,
}

impl PendingLabel {
    /// Has the kernel change the label at the next exec of this process or of one that it forks.
    pub(super) fn on_exec(&self) -> nix::Result<()> {
        let exec = self.either(c"self/attr/apparmor/exec", c"self/attr/exec")?;
        write(&exec, self.change.on_exec.as_bytes()).map(drop)
    }

    /// Changes the label of this process.
    pub(super) fn take_on(&self) -> nix::Result<()> {
        self.say(&self.change.at_once)
    }

    fn say(&self, word: &CStr) -> nix::Result<()> {
        let current = self.either(c"self/attr/apparmor/current", c"self/attr/current")?;
        write(&current, word.to_bytes()).map(drop)
    }

    /// Opens a file of this process; before Linux 5.8 there was one for all security modules.
    fn either(&self, own: &CStr, shared: &CStr) -> nix::Result<OwnedFd> {
        let open = |path| openat(&self.proc, path, FLAGS, Mode::empty());
        match self.change.label.module {
            SecurityModule::AppArmor => match open(own) {
                Err(Errno::ENOENT) => open(shared),
                opened => opened,
            },
            SecurityModule::SeLinux => open(shared),
        }
    }
}

/// Asks the kernel for the label, or whether it would give it later.
pub(super) fn confine(confinement: &Confinement) -> nix::Result<Option<PendingLabel>> {
    if let Some(context) = &confinement.keyring {
        let file = open(c"/proc/self/attr/keycreate", FLAGS, Mode::empty())?;
        write(&file, context.as_bytes())?;
    }
    let Some(change) = confinement.change.clone() else { return Ok(None) };
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let label = PendingLabel { proc: open(c"/proc", flags, Mode::empty())?, change };
    match &label.change.moment {
        LabelMoment::AtExec => label.on_exec()?,
        LabelMoment::BeforeExec { test } => label.say(test)?,
    }
    Ok(Some(label))
}

/// Loads the filter; the creator gets where the calls are received that it leaves to others.
pub(super) fn filter(
    program: &[FilterInstruction],
    notifies: bool,
    asker: Asker<'_>,
) -> nix::Result<()> {
    if !notifies {
        return install_filter(program);
    }
    let listener = install_notifying(program)?;
    report::listens(asker.creator, listener.as_fd())
}
