//! AppArmor's confinement of the next program, requested through the host's own /proc.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::write;

use crate::engine::entry::plan::Confinement;

/// A profile that this process, which executes nothing, applies to itself.
#[derive(Debug)]
pub(super) struct Label {
    current: OwnedFd,
    at_once: CString,
}

impl Label {
    /// Changes the profile of this process, which must be the one that opened the file.
    pub(super) fn take_on(self) -> nix::Result<()> {
        write(&self.current, self.at_once.as_bytes()).map(drop)
    }
}

/// Has the kernel change the profile at the next exec of this process or of one that it forks.
pub(super) fn on_exec(confinement: &Confinement) -> nix::Result<Label> {
    let exec = attribute(c"/proc/self/attr/apparmor/exec", c"/proc/self/attr/exec")?;
    write(&exec, confinement.on_exec.as_bytes())?;
    let current = attribute(c"/proc/self/attr/apparmor/current", c"/proc/self/attr/current")?;
    Ok(Label { current, at_once: confinement.at_once.clone() })
}

/// Opens a file of this process; before Linux 5.8 there was one for all security modules.
fn attribute(own: &std::ffi::CStr, shared: &std::ffi::CStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    match open(own, flags, Mode::empty()) {
        Err(Errno::ENOENT) => open(shared, flags, Mode::empty()),
        opened => opened,
    }
}
