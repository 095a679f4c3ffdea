//! What a security module confines a process by.

use std::io;

use crate::engine::host::{Host, apparmor, selinux};
use crate::engine::terms::label::{Label, SecurityModule};

/// Returns the profile or the context of the process `pid`; none: nothing confines it.
pub(in crate::engine) fn confining(host: &Host, pid: i32) -> io::Result<Option<Label>> {
    let (module, name) = if apparmor::is_enabled() {
        (SecurityModule::AppArmor, apparmor::confining(host, pid)?)
    } else if selinux::is_enabled() {
        (SecurityModule::SeLinux, Some(selinux::context(host, pid)?))
    } else {
        return Ok(None);
    };
    Ok(name.map(|name| Label { module, name }))
}
