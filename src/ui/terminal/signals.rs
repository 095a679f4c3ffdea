//! Signals to the screen, as values. A handler only records its signal.

use std::io;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::iterator::Signals as Pending;

/// What a signal means to the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, SIGHUP or SIGINT: restore the terminal and quit.
    Quit,
    /// SIGTSTP: restore the terminal and stop.
    Suspend,
    /// SIGCONT: this process was continued; paint everything.
    Continue,
    /// SIGWINCH: the terminal has another size.
    Resize,
}

/// The received signals, one after the other. Blocks its thread while there is none.
#[derive(Debug)]
pub struct SignalQueue(Pending);

impl SignalQueue {
    /// Catches the signals from now on.
    pub fn catch() -> io::Result<Self> {
        Pending::new([SIGTERM, SIGHUP, SIGINT, SIGTSTP, SIGCONT, SIGWINCH]).map(Self)
    }

    /// Calls `send` for each signal until it returns false or the handle is closed.
    pub fn forward(mut self, mut send: impl FnMut(Signal) -> bool) {
        for number in self.0.forever() {
            let signal = match number {
                SIGTSTP => Signal::Suspend,
                SIGCONT => Signal::Continue,
                SIGWINCH => Signal::Resize,
                _ => Signal::Quit,
            };
            if !send(signal) {
                return;
            }
        }
    }
}

/// Stops this process until it is continued. SIGSTOP, since SIGTSTP is caught.
pub(super) fn stop_myself() -> io::Result<()> {
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn signals_become_values_and_do_not_kill() {
        let signals = SignalQueue::catch().unwrap();
        let handle = signals.0.handle();
        let (sender, receiver) = mpsc::channel();
        let thread = std::thread::spawn(move || signals.forward(|it| sender.send(it).is_ok()));
        for (number, expected) in [
            (nix::sys::signal::Signal::SIGHUP, Signal::Quit),
            (nix::sys::signal::Signal::SIGWINCH, Signal::Resize),
            (nix::sys::signal::Signal::SIGCONT, Signal::Continue),
        ] {
            nix::sys::signal::raise(number).unwrap();
            assert_eq!(receiver.recv_timeout(std::time::Duration::from_secs(5)), Ok(expected));
        }
        handle.close();
        thread.join().unwrap();
    }
}
