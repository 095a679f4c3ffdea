//! Wharf's own pid 1 of a container: reaps zombies, forwards signals, keeps the command's exit
//! code, and shuts the container down on request. It has no open descriptor and allocates nothing.

use std::ffi::CStr;
use std::fs;

use nix::errno::Errno;
use nix::sys::prctl::set_name;
use nix::sys::signal::SigSet;
use nix::unistd::alarm;

use crate::engine::entry::plan::ShutdownSignals;
use crate::engine::entry::relay::PASSED_ON;
use crate::engine::host::Host;
use crate::engine::sys::{self, OwnActions};
use crate::engine::terms::exit::Exit;

/// What the container and the host see as its command line.
pub(in crate::engine) const TITLE: &CStr = c"wharf-init";

/// Exit code when init itself could not go on.
pub(in crate::engine) const FAILED: i32 = 125;

/// How many seconds processes have between SIGTERM and SIGKILL: enough to save their data, and less
/// than callers wait.
const GRACE: u32 = 5;

/// The signals by which a command is asked to end, besides those that reach every process.
const ENDING: [i32; 5] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];

/// The name that the process takes before it exits, which its supervisor reads: reboot(2) would
/// need a capability that reaches the host, and an exit code would be mistaken for the command's.
const HALTED: &CStr = c"wharf: halted";
const REBOOTED: &CStr = c"wharf: rebooted";

/// Why the container ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShutdownReason {
    /// The command has ended.
    Command,
    Halt,
    Reboot,
}

/// Resets ignored signals, and blocks every signal, so that none is lost before [`run`] waits for
/// them. While it waits the kernel shows none as blocked, so the handlers show which signals this
/// init reacts to. Returns which have handlers now: a child has them until it executes a program, and
/// would lose such a signal to them.
pub(in crate::engine) fn hold_signals(
    asked: Option<ShutdownSignals>,
    before: OwnActions,
) -> nix::Result<OwnActions> {
    before.reset();
    SigSet::all().thread_block()?;
    let asked = asked.map_or([None; 2], |it| [Some(it.halt), Some(it.reboot)]);
    let mut heard = PASSED_ON.into_iter().map(|it| it as i32).chain(asked.into_iter().flatten());
    heard.try_fold(OwnActions::NONE, |caught, it| match sys::catch(it) {
        // SIGKILL, which the configuration may name, needs no handler.
        Err(Errno::EINVAL) => Ok(caught),
        Ok(()) => Ok(caught.with(it)),
        Err(errno) => Err(errno),
    })
}

/// Runs until the last process of the container has ended, then exits as `command` did. What the
/// command leaves behind it goes on, as with LXC's init, unless the command ended after a signal that
/// was passed on to it: then somebody waits for the end. If it can be `asked` to halt, the other
/// processes are ended soon after the command in any case, and all of them when it is asked.
pub(in crate::engine) fn run(command: i32, asked: Option<ShutdownSignals>) -> ! {
    sys::close_from(0);
    let (mut code, mut end) = (FAILED, None);
    let mut signalled = false;
    loop {
        let signal = sys::wait_signal();
        let wanted = match (signal, asked) {
            (libc::SIGCHLD, _) => {
                let ended = reap_all(command);
                code = ended.unwrap_or(code);
                if sys::has_no_children() {
                    finish(end, code);
                }
                let ends_all = asked.is_some() || signalled;
                ended.filter(|_code| ends_all).map(|_code| ShutdownReason::Command)
            }
            (libc::SIGALRM, _) if end.is_some() => finish(end, code),
            (_, Some(asked)) if signal == asked.halt => Some(ShutdownReason::Halt),
            (_, Some(asked)) if signal == asked.reboot => Some(ShutdownReason::Reboot),
            (libc::SIGPWR | libc::SIGTERM, Some(_)) => Some(ShutdownReason::Halt),
            // A signal that asks a system to halt ends everything in the container.
            (libc::SIGPWR | libc::SIGTERM, None) => {
                signalled = true;
                send(-1, libc::SIGTERM);
                None
            }
            (signal, _) => {
                signalled |= ENDING.contains(&signal);
                send(command, signal);
                None
            }
        };
        if end.is_none() && wanted.is_some() {
            end = wanted;
            bring_down(command);
        }
    }
}

/// Asks every process to end before the alarm.
fn bring_down(command: i32) {
    alarm::set(GRACE);
    send(-1, libc::SIGTERM);
    // An interactive shell ignores SIGTERM.
    send(command, libc::SIGHUP);
    // A stopped process receives nothing until it continues.
    send(-1, libc::SIGCONT);
}

/// Exits, which kills every remaining process.
fn finish(end: Option<ShutdownReason>, code: i32) -> ! {
    let (word, code) = match end {
        None | Some(ShutdownReason::Command) => sys::exit_now(code),
        Some(ShutdownReason::Halt) => (HALTED, 0),
        Some(ShutdownReason::Reboot) => (REBOOTED, 0),
    };
    // Cannot fail for a name.
    _ = set_name(word);
    sys::exit_now(code)
}

/// Returns why our init `pid`, which is not reaped yet, has exited.
pub(in crate::engine) fn last_word(host: &Host, pid: i32) -> Option<Exit> {
    let name = fs::read(host.of_process(pid, "comm")).ok()?;
    match name.trim_ascii_end() {
        it if it == HALTED.to_bytes() => Some(Exit::Halted),
        it if it == REBOOTED.to_bytes() => Some(Exit::Rebooted),
        _ => None,
    }
}

/// Takes every ended child; returns the exit code of `command` if it is among them.
fn reap_all(command: i32) -> Option<i32> {
    let mut code = None;
    loop {
        match sys::wait_any() {
            Ok(Some((_, status))) if libc::WIFSTOPPED(status) => go_on(command, status),
            Ok(Some((pid, status))) if pid == command => {
                code = Some(i32::from(Exit::from_wait_status(status).shell_code()));
            }
            Ok(Some(_)) | Err(Errno::EINTR) => (),
            Ok(None) | Err(_) => return code,
        }
    }
}

/// Lets the command continue that a key of its terminal has stopped: no shell is here to do that. It
/// would not have stopped in a session of its own, whose groups the kernel takes for orphaned.
fn go_on(command: i32, status: i32) {
    if [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&libc::WSTOPSIG(status)) {
        // It may have ended meanwhile.
        _ = sys::kill(-command, libc::SIGCONT);
    }
}

fn send(to: i32, signal: i32) {
    // The receiver may have ended meanwhile.
    _ = sys::kill(to, signal);
}
