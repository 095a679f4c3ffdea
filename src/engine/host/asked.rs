//! What a program of the host answers, within a time. Never waits longer.

use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::identity;
use crate::engine::sys;

/// Its source may be a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs a program and returns what it prints; none: it fails, or takes too long.
pub(super) fn answer(program: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).spawn().ok()?;
    let pidfd = sys::pidfd_open(child.id().cast_signed()).ok();
    if !pidfd.is_some_and(|it| identity::has_ended(it.as_fd(), PATIENCE) == Ok(true)) {
        _ = child.kill();
        _ = child.wait();
        return None;
    }
    let output = child.wait_with_output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
