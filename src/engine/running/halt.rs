//! How a container's init is asked to end: by which signal, and whether it reacts to that one.
//! Waits for nothing, and kills nothing.

use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use crate::engine::cgroup::Cgroup;
use crate::engine::sys;
use crate::engine::terms::patience::Patience;

/// How long the other processes get after SIGTERM, if init cannot be asked.
pub(in crate::engine) const MOMENT: Duration = Duration::from_secs(2);
/// How often to check whether they are gone, or init has installed a handler.
pub(in crate::engine) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How long a signal must be blocked until it counts as waited for. A shell's fork takes that long
/// on a machine that is slow and busy.
const TRANSIENT: Duration = Duration::from_millis(100);
/// How long a process may have all signals blocked because it forks, if many do so at once: when a
/// host shuts down, everything in its containers is asked to end.
const FORK: Duration = Duration::from_millis(500);

/// Programs that ignore SIGTERM when they have a terminal and nothing else to do.
const SHELLS: [&str; 9] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "busybox"];

/// How an init can be asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Asking {
    /// It handles the halt signal.
    Halt(i32),
    /// It has no handler for the halt signal, but one for SIGTERM.
    Terminate,
    /// No signal reaches it except SIGKILL: it is pid 1 of its namespace, and the kernel drops
    /// signals that such a process has no handler for. This is the signal that halts others.
    Deaf(i32),
}

impl Asking {
    /// Finds how the init `pid` can be asked; `configured` is `lxc.signal.halt`.
    pub(in crate::engine) fn of(configured: Option<i32>, pid: i32) -> Self {
        let signal = halt_signal(configured, pid);
        if hears(pid, signal) {
            Self::Halt(signal)
        } else if hears(pid, libc::SIGTERM) && !is_bare_shell(&command_line(pid)) {
            Self::Terminate
        } else {
            Self::Deaf(signal)
        }
    }

    /// Returns whether init cannot be asked.
    pub(in crate::engine) const fn is_deaf(self) -> bool {
        matches!(self, Self::Deaf(_))
    }

    /// Sends the signal to init, or SIGTERM to the other processes if init would not receive it.
    pub(in crate::engine) fn say(
        self,
        pid: i32,
        init: BorrowedFd<'_>,
        cgroup: Option<&Cgroup>,
    ) -> Result<(), Errno> {
        let signal = match self {
            Self::Halt(signal) => signal,
            Self::Terminate | Self::Deaf(_) => {
                _ = cgroup.map(|it| it.signal_others(libc::SIGTERM, pid));
                // Also to an init without a handler: it may have just installed one.
                libc::SIGTERM
            }
        };
        match sys::pidfd_send_signal(init, signal) {
            // It ended just now.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// Returns the signal to send to the init `pid` again, if that is a systemd. It loses signals while
/// it re-executes itself, which it does when a host that shuts down sends SIGTERM to everything.
pub(in crate::engine) fn asking_again(configured: Option<i32>, pid: i32) -> Option<Asking> {
    let systemd = libc::SIGRTMIN() + 3;
    let ours = configured.is_none_or(|it| it == systemd);
    let waits = || wants(&status(Path::new("/proc"), pid), systemd) == Some(true);
    (ours && waits()).then_some(Asking::Halt(systemd))
}

/// Returns the signal that asks the init `pid` to end: the configured one, or systemd's if init
/// blocks or handles that one, or SIGPWR.
pub(in crate::engine) fn halt_signal(configured: Option<i32>, pid: i32) -> i32 {
    let systemd = libc::SIGRTMIN() + 3;
    configured.unwrap_or_else(|| {
        let wants = || wants(&status(Path::new("/proc"), pid), systemd);
        if in_the_end(wants) { systemd } else { libc::SIGPWR }
    })
}

/// Returns whether `signal` does anything to the process `pid`. A process that cannot be read
/// counts as reacting.
pub(in crate::engine) fn hears(pid: i32, signal: i32) -> bool {
    lastingly(|| heeding_below(Path::new("/proc"), pid, signal))
}

/// Returns whether `signal` has a chance to restart the container of the init `pid`. An interactive
/// shell handles SIGINT as well, but only to discard its line.
pub(in crate::engine) fn reboots(pid: i32, signal: i32) -> bool {
    hears(pid, signal) && !(signal == libc::SIGINT && is_bare_shell(&command_line(pid)))
}

/// What happens to a signal that a process gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mind {
    /// It is dropped, if the process is pid 1.
    Without,
    /// It is blocked: the process receives it in another way, or blocks it only for a moment.
    Blocks,
    Handles,
}

/// Returns whether the signal is handled, or blocked at every one of a few checks: a shell blocks
/// all signals for a moment around each fork without waiting for any.
fn lastingly(mut look: impl FnMut() -> Mind) -> bool {
    let mut patience = Patience::until(Instant::now() + TRANSIENT);
    loop {
        match look() {
            Mind::Without => return false,
            Mind::Handles => return true,
            Mind::Blocks if !patience.again() => return true,
            Mind::Blocks => (),
        }
    }
}

fn heeding_below(proc: &Path, pid: i32, signal: i32) -> Mind {
    let whole = status(proc, pid);
    if whole.is_empty() || !is_init(&whole) { Mind::Handles } else { mind_below(proc, pid, signal) }
}

/// Finds what any thread of `pid` does with `signal`, since each thread has its own mask.
fn mind_below(proc: &Path, pid: i32, signal: i32) -> Mind {
    let tasks = fs::read_dir(proc.join(format!("{pid}/task"))).into_iter().flatten().flatten();
    let minds = tasks.map(|it| {
        let task = it.path();
        let status = fs::read_to_string(task.join("status")).unwrap_or_default();
        let mind = mind(&status, signal);
        if mind == Mind::Without && awaits(&task, signal) { Mind::Blocks } else { mind }
    });
    minds.max().unwrap_or(Mind::Without)
}

/// Returns whether the thread sleeps in sigtimedwait(2) until it gets `signal`: meanwhile the kernel
/// does not list the signal as blocked, but delivers it. The init of busybox waits so.
fn awaits(task: &Path, signal: i32) -> bool {
    // The kernel delivers these to nobody, whatever the set says.
    if matches!(signal, libc::SIGKILL | libc::SIGSTOP) {
        return false;
    }
    let Ok(call) = fs::read_to_string(task.join("syscall")) else { return false };
    let mut words = call.split_whitespace();
    if words.next() != Some(&libc::SYS_rt_sigtimedwait.to_string()) {
        return false;
    }
    let set = words.next().and_then(|it| u64::from_str_radix(it.trim_start_matches("0x"), 16).ok());
    let read = |at: u64| {
        let mut bytes = [0; size_of::<u64>()];
        let memory = fs::File::open(task.join("mem"))?;
        memory.read_exact_at(&mut bytes, at).map(|()| u64::from_ne_bytes(bytes))
    };
    // The signals may be unreadable, yet it waits for some.
    set.is_none_or(|at| read(at).map_or(true, |it| has(it, signal)))
}

/// Returns whether the process `pid` is a shell, which may replace itself with a program.
pub(in crate::engine) fn is_shell(pid: i32) -> bool {
    command_line(pid).first().is_some_and(|it| names_shell(it))
}

/// Returns whether a command is a shell without a script.
pub(in crate::engine) fn is_bare_shell<T: AsRef<str>>(argv: &[T]) -> bool {
    let [program] = argv else { return false };
    names_shell(program.as_ref())
}

fn names_shell(program: &str) -> bool {
    let program = program.trim_start_matches('-');
    SHELLS.contains(&program.rsplit('/').next().unwrap_or(program))
}

fn command_line(pid: i32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    text.split_terminator('\0').map(str::to_owned).collect()
}

fn status(proc: &Path, pid: i32) -> String {
    fs::read_to_string(proc.join(format!("{pid}/status"))).unwrap_or_default()
}

/// Returns whether a process with this `/proc/PID/status` is pid 1 of a namespace below ours.
fn is_init(status: &str) -> bool {
    let pids = status.lines().find_map(|it| it.strip_prefix("NSpid:")).unwrap_or_default();
    let pids: Vec<&str> = pids.split_whitespace().collect();
    pids.len() > 1 && pids.last() == Some(&"1")
}

/// Returns what a process with this `/proc/PID/status` does with `signal`.
fn mind(status: &str, signal: i32) -> Mind {
    let is_in = |field| has(mask(status, field), signal);
    if is_in("SigCgt:") {
        Mind::Handles
    } else if is_in("SigBlk:") && !is_in("SigIgn:") {
        Mind::Blocks
    } else {
        Mind::Without
    }
}

/// Returns whether a process with this `/proc/PID/status` waits for just this `signal`. None: all
/// are blocked, as before a fork, in systemd too, or permanently by small inits that pass on every
/// signal.
fn wants(status: &str, signal: i32) -> Option<bool> {
    /// Signals that cannot be blocked: SIGKILL, SIGSTOP, and the two that the C library reserves.
    const NEVER: u64 = 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1) | 1 << 31 | 1 << 32;
    let blocked = mask(status, "SigBlk:");
    match has(mask(status, "SigCgt:"), signal) {
        true => Some(true),
        false if blocked | NEVER == u64::MAX => None,
        false => Some(has(blocked, signal)),
    }
}

/// Checks until there is an answer, for as long as a fork may take; then the answer is no.
fn in_the_end(mut look: impl FnMut() -> Option<bool>) -> bool {
    let mut patience = Patience::until(Instant::now() + FORK);
    loop {
        match look() {
            Some(answer) => return answer,
            None if !patience.again() => return false,
            None => (),
        }
    }
}

/// Reads a set of signals; see proc_pid_status(5).
fn mask(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|it| it.strip_prefix(field));
    line.and_then(|it| u64::from_str_radix(it.trim(), 16).ok()).unwrap_or_default()
}

fn has(mask: u64, signal: i32) -> bool {
    let bit = u32::try_from(signal - 1).ok();
    bit.and_then(|it| mask.checked_shr(it)).is_some_and(|it| it & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEMD: &str = "NSpid:\t77\t1\nSigBlk:\t7be3c0fe28014a03\nSigCgt:\t00000000000004ec\n";
    const SLEEP: &str = "NSpid:\t77\t1\nSigBlk:\t0000000000000000\nSigCgt:\t0000000000000000\n";

    #[test]
    fn systemd_is_known_by_the_signal_it_blocks() {
        assert_eq!(mind(SYSTEMD, libc::SIGRTMIN() + 3), Mind::Blocks);
        assert_eq!(mind(SLEEP, libc::SIGRTMIN() + 3), Mind::Without);
        assert_eq!(mind(SYSTEMD, 3), Mind::Handles);
        for (status, signal) in [("", 1), (SYSTEMD, 0), (SYSTEMD, 999)] {
            assert_eq!(mind(status, signal), Mind::Without);
        }
    }

    #[test]
    fn a_shell_that_forks_is_not_taken_for_systemd() {
        let systemd = libc::SIGRTMIN() + 3;
        assert_eq!(wants(SYSTEMD, systemd), Some(true));
        assert_eq!(wants("SigBlk:\t0\nSigCgt:\t0000001000000000\n", systemd), Some(true));
        assert_eq!(wants("SigBlk:\tfffffffe7ffbfeff\nSigCgt:\t0\n", systemd), None);
        assert_eq!(wants(SLEEP, systemd), Some(false));
    }

    #[test]
    fn a_systemd_that_forks_is_looked_at_again() {
        let looks = |answers: [Option<bool>; 3]| {
            let mut answers = answers.into_iter();
            in_the_end(|| answers.next().unwrap())
        };
        assert!(looks([None, None, Some(true)]));
        assert!(!looks([None, Some(false), Some(true)]));
        assert!(!in_the_end(|| None));
    }

    #[test]
    fn what_is_ignored_is_not_waited_for() {
        // SIGPWR is number 30.
        let ignores = "SigBlk:\tfffffffe7ffbfeff\nSigIgn:\t0000000020000000\nSigCgt:\t0\n";
        assert_eq!(mind(ignores, libc::SIGPWR), Mind::Without);
        assert_eq!(mind(ignores, libc::SIGTERM), Mind::Blocks);
    }

    #[test]
    fn what_is_blocked_for_a_moment_is_not_waited_for() {
        let mut looks = 0;
        let blocked_at_first = || {
            looks += 1;
            if looks < 3 { Mind::Blocks } else { Mind::Without }
        };
        assert!(!lastingly(blocked_at_first));
        assert!(lastingly(|| Mind::Blocks));
    }

    #[test]
    fn a_handler_is_believed_at_once() {
        let mut looks = 0;
        assert!(lastingly(|| {
            looks += 1;
            Mind::Handles
        }));
        assert_eq!(looks, 1);
    }

    #[test]
    fn a_configured_signal_wins() {
        assert_eq!(halt_signal(Some(10), 1), 10);
    }

    #[test]
    fn an_init_receives_what_any_of_its_threads_handles() {
        let proc = tempfile::tempdir().unwrap();
        let task = |tid: i32, status: &str| {
            let dir = proc.path().join(format!("77/task/{tid}"));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("status"), status).unwrap();
        };
        task(77, SLEEP);
        fs::write(proc.path().join("77/status"), SLEEP).unwrap();
        let hears = |pid, signal| heeding_below(proc.path(), pid, signal) != Mind::Without;
        assert!(!hears(77, libc::SIGPWR));
        // SIGPWR is number 30.
        task(78, "SigBlk:\t0000000020000000\nSigCgt:\t0000000000000000\n");
        assert!(hears(77, libc::SIGPWR));
        assert!(!hears(77, libc::SIGUSR1));
        // A process that is not an init dies of signals that it does not handle; an unreadable one
        // might.
        fs::write(proc.path().join("77/status"), SLEEP.replace("\t77\t1", "\t77\t9")).unwrap();
        assert!(hears(77, libc::SIGUSR1));
        assert!(hears(99, libc::SIGUSR1));
    }

    #[test]
    fn a_shell_without_a_script_is_a_bare_one() {
        for (argv, bare) in [
            (&["/bin/sh"][..], true),
            (&["-bash"], true),
            (&["/bin/sh", "-c", "exec job"], false),
            (&["/sbin/init"], false),
            (&[], false),
        ] {
            assert_eq!(is_bare_shell(argv), bare, "{argv:?}");
        }
    }
}
