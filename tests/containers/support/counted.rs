//! Counts the system calls of a program and of all that it starts, by tracing them.

#![allow(unsafe_code, reason = "which call it is, is in a union")]

use std::fs;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::PATIENCE;

/// What the allocator and the threads' locks do, which depends on the build and on chance.
const NOT_COUNTED: [libc::c_long; 7] = [
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_sched_yield,
];

/// Returns how many system calls `command` makes with all that it starts, until all have ended.
pub(crate) fn calls(command: &Command) -> usize {
    let mut gate = Command::new("/bin/sh");
    // Waits until it is traced, and becomes the program.
    gate.args(["-c", "read -r _; exec \"$@\" </dev/null", "gate"]);
    gate.arg(command.get_program()).args(command.get_args());
    // cargo sets it, and the loader looks into each of its directories.
    gate.env_remove("LD_LIBRARY_PATH").stdin(Stdio::piped()).stdout(Stdio::null());
    let (sender, counted) = mpsc::channel();
    thread::spawn(move || sender.send(trace(gate)));
    counted.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no end: {command:?}"))
}

/// Returns how many system calls a running program of several threads makes in so long a time.
pub(crate) fn calls_of(process: i32, time: Duration) -> usize {
    let (sender, counted) = mpsc::channel();
    thread::spawn(move || sender.send(watch(process, time)));
    counted.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{process} does nothing"))
}

/// Counts from where the gate becomes the program.
fn trace(mut gate: Command) -> usize {
    let mut child = gate.spawn().unwrap();
    let options = follow() | Options::PTRACE_O_TRACEEXEC;
    ptrace::seize(Pid::from_raw(child.id().cast_signed()), options).unwrap();
    drop(child.stdin.take());
    let mut count = 0;
    // Until there is none left, the child included.
    while let Some(calls) = step() {
        count += calls;
    }
    _ = child.wait();
    count
}

/// The end of this thread ends the tracing.
fn watch(process: i32, time: Duration) -> usize {
    for task in fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        let name = task.unwrap().file_name();
        let thread = Pid::from_raw(name.to_str().unwrap().parse().unwrap());
        match ptrace::seize(thread, follow()).and_then(|()| ptrace::interrupt(thread)) {
            // It has ended meanwhile.
            Err(Errno::ESRCH) => (),
            seized => seized.unwrap(),
        }
    }
    let end = Instant::now() + time;
    let mut count = 0;
    while Instant::now() < end
        && let Some(calls) = step()
    {
        count += calls;
    }
    count
}

/// What a traced process starts is traced as well.
fn follow() -> Options {
    Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
}

/// Waits until one of this thread's tracees stops, lets it go on, and returns how many calls that
/// counts for. None: there is none left.
fn step() -> Option<usize> {
    // Other threads have children of other tests.
    let own = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    let stopped = waitpid(None, Some(own)).ok()?;
    let signal = if let WaitStatus::Stopped(_, signal) = stopped { Some(signal) } else { None };
    let calls = match stopped {
        WaitStatus::PtraceSyscall(pid) => usize::from(is_counted(pid)),
        WaitStatus::PtraceEvent(..) | WaitStatus::Stopped(..) => 0,
        WaitStatus::Exited(..)
        | WaitStatus::Signaled(..)
        | WaitStatus::Continued(_)
        | WaitStatus::StillAlive => return Some(0),
    };
    // It may have been killed meanwhile.
    _ = stopped.pid().map(|pid| ptrace::syscall(pid, signal));
    Some(calls)
}

/// Returns whether `pid` is about to make a call that counts.
fn is_counted(pid: Pid) -> bool {
    let Ok(info) = ptrace::syscall_info(pid) else { return false };
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return false;
    }
    // SAFETY: the kernel has filled in this part of the union, as `op` says.
    let number = unsafe { info.u.entry.nr };
    !NOT_COUNTED.contains(&(number as libc::c_long))
}
