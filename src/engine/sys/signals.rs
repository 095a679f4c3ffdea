//! The actions of signals, as a program that the kernel starts finds them. Decides nothing.
#![allow(unsafe_code, reason = "raw system calls have no safe form")]

use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Most of these files fit: two pages.
const USUAL: usize = 8192;

/// The signals to which a process has given an action of its own, a bit for each from signal 1 on. A
/// child has them from its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct OwnActions(u64);

impl OwnActions {
    pub(in crate::engine) const NONE: Self = Self(0);
    /// Any signal may have one.
    pub(in crate::engine) const ALL: Self = Self(u64::MAX);

    /// Adds `signal`, from 1 to 64.
    pub(in crate::engine) const fn with(self, signal: i32) -> Self {
        Self(self.0 | 1 << (signal - 1))
    }

    /// Reads which those of this process are. To ask for each signal would take 64 calls.
    pub(in crate::engine) fn read() -> Self {
        // Longer than the file, as the kernel makes it anew for each read(2).
        let mut status = Vec::with_capacity(USUAL);
        // Without asking for its size first, as this file has none.
        let file = File::open("/proc/self/status").map(|it| it.take(u64::MAX));
        let read = file.and_then(|mut it| it.read_to_end(&mut status));
        let own = Self::of(&String::from_utf8_lossy(&status)).filter(|_| read.is_ok());
        own.unwrap_or(Self::ALL)
    }

    fn of(status: &str) -> Option<Self> {
        let field = |key: &str| {
            let value = status.lines().find_map(|it| it.strip_prefix(key))?;
            u64::from_str_radix(value.trim(), 16).ok()
        };
        Some(Self(field("SigIgn:")? | field("SigCgt:")?))
    }

    /// Sets these signals to their default actions and unblocks all. Allocates nothing.
    pub(in crate::engine) fn reset(self) {
        /// Of the kernel, on every architecture: SIG_DFL, no flags, an empty mask.
        const DEFAULT: [u64; 4] = [0; 4];
        const MASK_BYTES: usize = 8;
        for signal in (1..=u64::BITS).filter(|it| self.0 & (1 << (it - 1)) != 0) {
            // The C library's own call refuses the two signals it keeps to itself, and leaves them
            // ignored in what it spawns.
            // SAFETY: the action outlives the call, and the kernel reads no more of it than there is;
            // signals that it refuses keep theirs.
            unsafe {
                let none = std::ptr::null::<u8>();
                libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), none, MASK_BYTES)
            };
        }
        _ = nix::sys::signal::SigSet::empty().thread_set_mask();
    }
}

/// Has what `command` executes begin as the kernel does: this process may block signals.
pub(in crate::engine) fn with_default_signals(command: &mut Command) -> &mut Command {
    let own = OwnActions::read();
    let reset = move || {
        own.reset();
        Ok(())
    };
    // SAFETY: between fork and exec this only makes system calls.
    unsafe { command.pre_exec(reset) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_and_handled_signals_have_actions_of_their_own() {
        let status =
            "SigBlk:\t0000000000000004\nSigIgn:\t0000000000001000\nSigCgt:\t8000000000000440\n";
        assert_eq!(OwnActions::of(status), Some(OwnActions(0x8000_0000_0000_1440)));
        assert_eq!(OwnActions::of("SigIgn:\t0\n"), None);
        // Programs in Rust ignore SIGPIPE.
        let own = OwnActions::read();
        assert_eq!(own.with(libc::SIGPIPE), own);
        assert_ne!(OwnActions::NONE.with(64), OwnActions::NONE);
        assert_ne!(OwnActions::read(), OwnActions::ALL);
    }

    #[test]
    fn a_program_begins_with_no_signal_ignored_or_blocked() {
        use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
        let blocked = SigSet::from(Signal::SIGUSR1);
        blocked.thread_block().unwrap();
        // SAFETY: no code runs when a signal is ignored.
        let before = unsafe { signal(Signal::SIGUSR2, SigHandler::SigIgn) }.unwrap();
        let mut command = Command::new("grep");
        command.args(["-E", "SigIgn|SigBlk", "/proc/self/status"]);
        let said = with_default_signals(&mut command).output().unwrap();
        // SAFETY: it is the action that it had.
        unsafe { signal(Signal::SIGUSR2, before) }.unwrap();
        blocked.thread_unblock().unwrap();
        let none = "0000000000000000";
        let said = String::from_utf8(said.stdout).unwrap();
        assert_eq!(said, format!("SigBlk:\t{none}\nSigIgn:\t{none}\n"));
    }
}
