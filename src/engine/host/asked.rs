//! What a program of the host answers, within a time. Never waits longer, and not twice.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::identity;
use crate::engine::sys;

/// Its source may be a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// What is longer is cut.
const MOST: u64 = 1024 * 1024;

/// One did not answer in time, so that none is asked any more: a list of a hundred users must not
/// wait a hundred times.
static IN_VAIN: AtomicBool = AtomicBool::new(false);

/// Runs a program and returns what it prints; none: it fails, or takes too long.
pub(super) fn answer(program: &str, args: &[&str]) -> Option<String> {
    if IN_VAIN.load(Ordering::Relaxed) {
        return None;
    }
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).spawn().ok()?;
    let stdout = child.stdout.take()?;
    let (sender, said) = mpsc::channel();
    // Read while it runs: a pipe holds only so much.
    let read = thread::Builder::new().spawn(move || {
        let mut text = Vec::new();
        _ = stdout.take(MOST).read_to_end(&mut text);
        _ = sender.send(text);
    });
    let pidfd = sys::pidfd_open(child.id().cast_signed()).ok();
    if read.is_err()
        || !pidfd.is_some_and(|it| identity::has_ended(it.as_fd(), PATIENCE) == Ok(true))
    {
        IN_VAIN.store(true, Ordering::Relaxed);
        _ = child.kill();
        _ = child.wait();
        return None;
    }
    let text = said.recv_timeout(PATIENCE).ok()?;
    child.wait().ok()?.success().then(|| String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_be_longer_than_a_pipe() {
        let long = answer("head", &["-c", "300000", "/dev/zero"]).unwrap();
        assert_eq!(long.len(), 300_000);
        assert_eq!(answer("false", &[]), None);
        assert_eq!(answer("no-such-program", &[]), None);
    }
}
