//! Tries system calls in a process of its own, to learn which of them a filter denies, or kills
//! for. The filter itself cannot be read (ptrace(2) hides it from filtered processes).
//!
//! Sources: seccomp(2), syscall(2).
#![allow(unsafe_code, reason = "raw system calls have no safe form")]

use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{exit_now, fork};

/// The number of a system call and what to pass to it. The arguments must be such that the kernel
/// itself changes nothing for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Trial {
    pub(in crate::engine) number: libc::c_long,
    pub(in crate::engine) arguments: [libc::c_long; 5],
}

/// The result of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum TrialOutcome {
    /// The number of an error; 0: it succeeded.
    Errno(i32),
    /// The process was killed for it.
    Killed,
}

const ANSWER: usize = size_of::<i32>();

/// Makes each of `trials` in a child. An error: no child could be created.
pub(in crate::engine) fn answers(trials: &[Trial]) -> nix::Result<Vec<TrialOutcome>> {
    let mut answers = Vec::new();
    while let Some(rest) = trials.get(answers.len()..).filter(|it| !it.is_empty()) {
        let before = answers.len();
        let killed = until_killed(rest, &mut answers)?;
        if killed {
            answers.push(TrialOutcome::Killed);
        } else if answers.len() == before {
            return Err(Errno::EIO);
        }
    }
    Ok(answers)
}

/// Makes trials until one kills the child; returns whether a signal did.
fn until_killed(trials: &[Trial], answers: &mut Vec<TrialOutcome>) -> nix::Result<bool> {
    let (ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let Some(child) = fork()? else { make(trials, theirs) };
    drop(theirs);
    let mut bytes = Vec::new();
    let read = File::from(ours).read_to_end(&mut bytes);
    let status = loop {
        match waitpid(Pid::from_raw(child), None) {
            Err(Errno::EINTR) => (),
            status => break status,
        }
    };
    read.map_err(|_error| Errno::EIO)?;
    let (whole, _) = bytes.as_chunks::<ANSWER>();
    answers.extend(whole.iter().map(|it| TrialOutcome::Errno(i32::from_ne_bytes(*it))));
    Ok(was_killed(status))
}

/// Returns whether a signal ended the child. A filter may deny the wait itself: what the child has
/// reported counts nevertheless, and names that call.
const fn was_killed(status: nix::Result<WaitStatus>) -> bool {
    matches!(status, Ok(WaitStatus::Signaled(..)))
}

/// Only makes system calls, as the process that was copied may have had threads.
fn make(trials: &[Trial], report: OwnedFd) -> ! {
    // A core dump of it would be useless.
    _ = nix::sys::prctl::set_dumpable(false);
    for trial in trials {
        let [first, second, third, fourth, fifth] = trial.arguments;
        // SAFETY: the arguments hold no pointer but null, and no descriptor of ours.
        let result = unsafe { libc::syscall(trial.number, first, second, third, fourth, fifth) };
        let errno = if result == -1 { Errno::last_raw() } else { 0 };
        if nix::unistd::write(&report, &errno.to_ne_bytes()) != Ok(ANSWER) {
            break;
        }
    }
    exit_now(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_cannot_be_waited_for_was_not_killed() {
        use nix::sys::signal::Signal;
        let child = Pid::from_raw(2);
        assert!(was_killed(Ok(WaitStatus::Signaled(child, Signal::SIGSYS, false))));
        for status in [Ok(WaitStatus::Exited(child, 0)), Err(Errno::EPERM), Err(Errno::ENOSYS)] {
            assert!(!was_killed(status));
        }
    }

    #[test]
    fn each_trial_is_answered_even_after_one_is_killed() {
        let succeeds = Trial { number: libc::SYS_getpid, arguments: [0; 5] };
        let fails = Trial { number: libc::SYS_close, arguments: [-1, 0, 0, 0, 0] };
        // Only a child may exit like this.
        let dies = Trial { number: libc::SYS_exit, arguments: [0; 5] };
        let answers_of = |trials: &[Trial]| answers(trials);
        assert_eq!(answers_of(&[]), Ok(vec![]));
        let told = [TrialOutcome::Errno(0), TrialOutcome::Errno(libc::EBADF)];
        assert_eq!(answers_of(&[succeeds, fails]), Ok(told.to_vec()));
        assert_eq!(answers_of(&[succeeds, dies]), Err(Errno::EIO));
    }
}
