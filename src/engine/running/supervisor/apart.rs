//! `lxc.monitor.unshare`: a mount namespace of the supervisor's own, which its hooks on the host share.
//! Never touches the host's.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::engine::terms::spec::Spec;

/// Parts from the host's mounts, if the configuration wants it. Mounts of the host still appear.
pub(super) fn settle(spec: &Spec) -> nix::Result<()> {
    if !spec.hooks.mount_apart {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none)
}
