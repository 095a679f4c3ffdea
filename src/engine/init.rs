//! Pid 1 of an application container: reaps, forwards signals, keeps the command's exit code.
//! It holds no descriptor and allocates nothing.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

use super::exit::Exit;
use super::sys;

/// Exit code when init itself could not go on.
pub(super) const FAILED: i32 = 125;

/// The signals that a pid 1 is usually sent.
const HEARD: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGPWR,
];

/// Forgets what whoever started wharf ignores, and blocks every signal, so that none is lost before [`run`] waits for them. While it waits the
/// kernel shows none as blocked, so whoever wants to know what this init hears sees handlers.
pub(super) fn hold_signals() -> nix::Result<()> {
    sys::reset_signals();
    SigSet::all().thread_block()?;
    HEARD.into_iter().try_for_each(sys::catch)
}

/// Lives until the last process of the container has ended, then ends as `command` did.
pub(super) fn run(command: i32) -> ! {
    sys::close_from(0);
    let mut code = FAILED;
    loop {
        match sys::wait_signal() {
            libc::SIGCHLD => {
                code = reap_all(command).unwrap_or(code);
                if sys::has_no_children() {
                    sys::exit_now(code);
                }
            }
            // What asks a system to go down asks everything in the container to end.
            libc::SIGPWR | libc::SIGTERM => forward(-1, libc::SIGTERM),
            signal => forward(command, signal),
        }
    }
}

/// Takes every ended child; returns the exit code of `command` if it is among them.
fn reap_all(command: i32) -> Option<i32> {
    let mut code = None;
    loop {
        match sys::wait_any() {
            Ok(Some((pid, status))) if pid == command => {
                code = Some(i32::from(Exit::from_wait_status(status).shell_code()));
            }
            Ok(Some(_)) | Err(Errno::EINTR) => (),
            Ok(None) | Err(_) => return code,
        }
    }
}

fn forward(to: i32, signal: i32) {
    // The receiver may have ended meanwhile.
    _ = sys::kill(to, signal);
}
