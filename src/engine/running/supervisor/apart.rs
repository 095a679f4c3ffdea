//! Parts the supervisor from the command that started it, and with `lxc.monitor.unshare` from the host's
//! mounts: its hooks on the host share a namespace of its own. Never touches the host's.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, umask};

use super::Run;
use crate::engine::entry::seal;
use crate::engine::host::short::text_at_once;
use crate::engine::sys;
use crate::engine::terms::spec::Spec;

/// The first descriptor after standard input, output and error.
const FIRST_OWN: u32 = 3;

/// Prepares this process to outlive the command that started it.
pub(super) fn settle(run: &Run) -> nix::Result<()> {
    const SCORE: &str = "/proc/self/oom_score_adj";
    umask(Mode::from_bits_truncate(0o077));
    seal::name_process()?;
    part(&run.spec)?;
    sys::close_on_exec_from(FIRST_OWN)?;
    if run.foreground {
        return Ok(());
    }
    let score = text_at_once(SCORE).unwrap_or_default();
    if score.trim().parse().is_ok_and(|it: i32| it > 0) {
        // Refused without the capability; the next command cleans up after a killed supervisor.
        _ = std::fs::write(SCORE, "0");
    }
    nix::unistd::chdir("/")
}

/// Parts from the host's mounts, if the configuration wants it. Mounts of the host still appear.
fn part(spec: &Spec) -> nix::Result<()> {
    if !spec.hooks.mount_apart {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none)
}
