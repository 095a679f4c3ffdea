//! The confinement of the next program, requested through the host's own /proc, and its filter.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::write;

use crate::engine::entry::plan::Confinement;
use crate::engine::entry::report::{self, Asker};
use crate::engine::sys::filter::{FilterInstruction, install_filter};
use crate::engine::sys::notify::install_notifying;
use crate::engine::terms::label::SecurityModule;

/// A label that this process, which executes nothing, applies to itself.
#[derive(Debug)]
pub(super) struct LabelFile {
    current: OwnedFd,
    at_once: CString,
}

impl LabelFile {
    /// Changes the label of this process, which must be the one that opened the file.
    pub(super) fn take_on(self) -> nix::Result<()> {
        write(&self.current, self.at_once.as_bytes()).map(drop)
    }
}

/// Has the kernel change the label at the next exec of this process or of one that it forks.
pub(super) fn on_exec(confinement: &Confinement) -> nix::Result<Option<LabelFile>> {
    if let Some(context) = &confinement.keyring {
        write(&attribute(c"/proc/self/attr/keycreate")?, context.as_bytes())?;
    }
    let Some(change) = &confinement.change else { return Ok(None) };
    let (exec, current) = match change.label.module {
        SecurityModule::AppArmor => (
            either(c"/proc/self/attr/apparmor/exec", c"/proc/self/attr/exec")?,
            either(c"/proc/self/attr/apparmor/current", c"/proc/self/attr/current")?,
        ),
        SecurityModule::SeLinux => {
            (attribute(c"/proc/self/attr/exec")?, attribute(c"/proc/self/attr/current")?)
        }
    };
    write(&exec, change.on_exec.as_bytes())?;
    Ok(Some(LabelFile { current, at_once: change.at_once.clone() }))
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

/// Opens a file of this process; before Linux 5.8 there was one for all security modules.
fn either(own: &CStr, shared: &CStr) -> nix::Result<OwnedFd> {
    match attribute(own) {
        Err(Errno::ENOENT) => attribute(shared),
        opened => opened,
    }
}

fn attribute(path: &CStr) -> nix::Result<OwnedFd> {
    open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())
}
