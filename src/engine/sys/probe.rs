//! Tries things in a process of its own: system calls, to learn which of them a filter denies, or
//! kills for (the filter itself cannot be read, as ptrace(2) hides it from filtered processes); and
//! what changes the process that tries it.
//!
//! Sources: seccomp(2), syscall(2).
#![allow(unsafe_code, reason = "raw system calls have no safe form")]

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{die_of_panics, exit_now, fork, kill};

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

/// Has `work` done by a child and returns its answer. What takes longer than `longest` is killed,
/// which is the error ETIMEDOUT; EIO: it died without an answer.
///
/// `work` may use nothing that another thread of this process may hold.
pub(in crate::engine) fn in_child(
    longest: Duration,
    work: impl FnOnce() -> Vec<u8>,
) -> nix::Result<Vec<u8>> {
    let (ours, theirs) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let Some(child) = fork()? else {
        die_of_panics(1);
        _ = set_pdeathsig(Signal::SIGKILL);
        let answer = work();
        let mut rest = answer.as_slice();
        while let Ok(written) = nix::unistd::write(&theirs, rest) {
            rest = rest.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
        }
        exit_now(0)
    };
    drop(theirs);
    let answer = read_until(ours, Instant::now() + longest);
    // It has answered, or has had its time; not reaped yet, it still has its number.
    _ = kill(child, libc::SIGKILL);
    while waitpid(Pid::from_raw(child), None) == Err(Errno::EINTR) {}
    let answer = answer?;
    if answer.is_empty() { Err(Errno::EIO) } else { Ok(answer) }
}

/// Reads all that is written.
fn read_until(pipe: OwnedFd, deadline: Instant) -> nix::Result<Vec<u8>> {
    let mut answer = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) => return Err(Errno::ETIMEDOUT),
            Err(Errno::EINTR) => continue,
            ready => ready?,
        };
        let mut some = [0; 4096];
        match nix::unistd::read(&pipe, &mut some)? {
            0 => return Ok(answer),
            count => answer.extend(some.get(..count).unwrap_or_default()),
        }
    }
}

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
    fn a_child_answers_or_is_ended_in_time() {
        let long = Duration::from_mins(1);
        assert_eq!(in_child(long, || vec![7; 100_000]), Ok(vec![7; 100_000]));
        assert_eq!(in_child(long, Vec::new), Err(Errno::EIO));
        let hangs = || loop {
            nix::unistd::pause();
        };
        assert_eq!(in_child(Duration::from_millis(10), hangs), Err(Errno::ETIMEDOUT));
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
