//! Runs a hook in a process of its own, with what is set up so far.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStringExt as _;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Whence, dup2_stderr, dup2_stdin, dup2_stdout, ftruncate, lseek, setsid};

use super::confine::PendingLabel;
use super::exec;
use crate::engine::entry::plan::{HookStep, Program};
use crate::engine::entry::script;
use crate::engine::sys::{self, OwnActions};
use crate::engine::terms::hook::Moment;

/// The shell's exit code for a command that cannot be executed.
const NOT_EXECUTED: i32 = 127;

/// Runs it until it ends, confined by `label` if that is known by then; `said` gets its output, and
/// then how it ended.
pub(super) fn run(
    hook: &HookStep,
    said: Option<BorrowedFd<'_>>,
    label: Option<&PendingLabel>,
    actions: OwnActions,
) -> nix::Result<()> {
    if let Some(said) = said {
        // What earlier ones have printed on the host is not for one in the container.
        ftruncate(said, 0)?;
        lseek(said, 0, Whence::SeekSet)?;
    }
    let Some(child) = sys::fork()? else {
        actions.reset();
        become_hook(hook, said, label)
    };
    let pidfd = sys::pidfd_open(child)?;
    let broken =
        |error: std::io::Error| error.raw_os_error().map_or(Errno::ECHILD, Errno::from_raw);
    let status = script::end_of(child, pidfd.as_fd()).map_err(broken)?;
    if status.is_some_and(|it| it.success()) {
        return Ok(());
    }
    if let Some(said) = said {
        // Without room for it, the reason is missing from the error.
        _ = nix::unistd::write(said, script::last_words(status).as_bytes());
    }
    Err(Errno::ECANCELED)
}

fn become_hook(hook: &HookStep, said: Option<BorrowedFd<'_>>, label: Option<&PendingLabel>) -> ! {
    // A hook may be the container's own program: it gets neither the terminal of whoever starts the
    // container nor what that has open.
    let confined = label.is_none_or(|it| it.on_exec().is_ok());
    if !confined || setsid().is_err() || redirect(said).is_err() {
        sys::exit_now(NOT_EXECUTED)
    }
    let own = hook.moment == Moment::Start;
    let mut environment: BTreeMap<OsString, OsString> =
        if own { BTreeMap::new() } else { std::env::vars_os().collect() };
    for it in &hook.program.environment {
        if let Some((key, value)) = it.to_string_lossy().split_once('=') {
            environment.insert(key.into(), value.into());
        }
    }
    let line = |(mut key, value): (OsString, OsString)| {
        key.push("=");
        key.push(value);
        CString::new(key.into_vec()).ok()
    };
    let environment = environment.into_iter().filter_map(line).collect();
    if let Some(filter) = &hook.filter
        && sys::filter::install_filter(filter).is_err()
    {
        sys::exit_now(NOT_EXECUTED)
    }
    let _failed = exec::exec(&Program { environment, ..hook.program.clone() });
    sys::exit_now(NOT_EXECUTED)
}

/// Whoever starts the container has descriptors that a hook must not get, such as a terminal.
fn redirect(said: Option<BorrowedFd<'_>>) -> nix::Result<()> {
    let null = open(c"/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    let out = said.unwrap_or_else(|| null.as_fd());
    dup2_stdin(null.as_fd())?;
    dup2_stdout(out)?;
    dup2_stderr(out)
}
