//! What a security module confines a process by.

use std::io;

use crate::engine::host::{Host, apparmor, selinux};
use crate::engine::terms::label::{Label, SecurityModule};

/// Returns the profile or the context of the process `pid`; none: nothing confines it.
pub(in crate::engine) fn confining(host: &Host, pid: i32) -> io::Result<Option<Label>> {
    let Some(module) = module() else { return Ok(None) };
    let name = match module {
        SecurityModule::AppArmor => apparmor::confining(host, pid)?,
        SecurityModule::SeLinux => Some(selinux::context(host, pid)?),
    };
    Ok(name.map(|name| Label { module, name }))
}

/// Returns whose rules this kernel carries out; none: it has neither.
pub(in crate::engine) fn module() -> Option<SecurityModule> {
    if apparmor::is_enabled() {
        Some(SecurityModule::AppArmor)
    } else if selinux::is_enabled() {
        Some(SecurityModule::SeLinux)
    } else {
        None
    }
}
