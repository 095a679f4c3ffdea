//! System calls that nix lacks, each behind a safe function. Decides nothing.
//!
//! Sources: clone(2), open_tree(2), move_mount(2), fsopen(2), fsconfig(2), fsmount(2),
//! mount_setattr(2), close_range(2), keyctl(2), capset(2), tty_ioctl(4).
#![allow(unsafe_code, reason = "raw system calls have no safe form")]

pub(in crate::engine) mod bpf;
pub(in crate::engine) mod copy_range;
mod dnotify;
pub(in crate::engine) mod filter;
mod group;
pub(in crate::engine) mod loop_device;
mod mapped;
mod message;
mod namespace;
mod netlink;
pub(in crate::engine) mod notify;
mod origin;
pub(in crate::engine) mod probe;
pub mod pty;
mod signals;
pub(in crate::engine) mod task;
mod tty;
mod within;
pub(in crate::engine) mod xattr;

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;

pub(in crate::engine) use dnotify::watch_writes;
pub(in crate::engine) use group::{pid_of, signal_group};
pub(in crate::engine) use mapped::{limit_of, map_mount};
pub(in crate::engine) use message::receive_signed;
pub(in crate::engine) use namespace::{namespace_kind, namespace_owner, namespace_parent};
pub(in crate::engine) use netlink::netlink;
pub(in crate::engine) use origin::forget_origin;
pub(in crate::engine) use signals::{OwnActions, with_default_signals};
pub use tty::set_window_size;
pub(in crate::engine) use tty::{open_pty_peer, take_terminal, unlock_pty, window_size};
pub(in crate::engine) use within::{open_inside, open_within, read_inside};

/// Mount attributes of mount_setattr(2).
pub(in crate::engine) mod attr {
    pub(in crate::engine) const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
    pub(in crate::engine) const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
    pub(in crate::engine) const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
    pub(in crate::engine) const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
    pub(in crate::engine) const NODIRATIME: u64 = libc::MOUNT_ATTR_NODIRATIME;
    /// The field that holds the three ways to keep access times.
    pub(in crate::engine) const ATIME: u64 = libc::MOUNT_ATTR__ATIME;
    pub(in crate::engine) const NOATIME: u64 = libc::MOUNT_ATTR_NOATIME;
    pub(in crate::engine) const STRICTATIME: u64 = libc::MOUNT_ATTR_STRICTATIME;
}

/// `CLONE_INTO_CGROUP` of clone(2); the libc crate's constant overflows its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of [`clone3`] a process is on.
#[derive(Debug)]
pub enum Side {
    Parent { pid: i32, pidfd: OwnedFd },
    Child,
}

/// Creates a process with `flags` (`CLONE_NEW*`), born in the v2 cgroup `cgroup` if given.
///
/// The child continues here with a copy of everything, as after fork(2): the caller must be
/// single-threaded, and the child must end in exec or `_exit`.
pub fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> nix::Result<Side> {
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain integers, for which all zeroes is the documented default.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM and with no stack given this is fork(2); `args` and `pidfd` live
    // on this stack, which both sides own.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) };
    match Errno::result(pid)? {
        0 => Ok(Side::Child),
        pid => {
            // SAFETY: the kernel stored a fresh descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Side::Parent { pid: pid as i32, pidfd })
        }
    }
}

/// Creates a process as [`clone3`] does, but as a child of this one's parent, which is notified of
/// its end. `namespaces`: `CLONE_NEW*`, without that of time, for which clone(2) has no room.
pub(in crate::engine) fn clone_sibling(namespaces: i32) -> nix::Result<Side> {
    let mut pidfd: RawFd = -1;
    let flags = (libc::CLONE_PARENT | libc::CLONE_PIDFD | namespaces) as libc::c_ulong;
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: without CLONE_VM and with no stack given this is fork(2); the third argument is where
    // the kernel stores the pidfd, on this stack.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, &raw mut pidfd, none, none) };
    Ok(match Errno::result(pid)? {
        0 => Side::Child,
        // SAFETY: the kernel stored a fresh descriptor that nobody else owns.
        pid => Side::Parent { pid: pid as i32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } },
    })
}

/// Creates a plain child process. The same duties as for [`clone3`].
pub(in crate::engine) fn fork() -> nix::Result<Option<i32>> {
    // SAFETY: callers are single-threaded, see above.
    let pid = unsafe { libc::fork() };
    Errno::result(pid).map(|pid| (pid != 0).then_some(pid))
}

/// Ends the process without running destructors or exit handlers.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(code) }
}

/// From here on a panic ends this process with `code`, at once and silently: between clone and exec
/// there is no frame to unwind to, and no terminal of ours to write to.
pub(in crate::engine) fn die_of_panics(code: i32) {
    std::panic::set_hook(Box::new(move |_| exit_now(code)));
}

/// Returns memory that was freed to the kernel, for a process that will need little from now on.
pub(in crate::engine) fn give_back_free_memory() {
    // SAFETY: malloc_trim(3) has no preconditions.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

fn fd_result(result: libc::c_long) -> nix::Result<OwnedFd> {
    let fd = Errno::result(result)? as RawFd;
    // SAFETY: the kernel just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Opens a detached copy of the mount at `path` below `dir`; with `recursive`, all below it too.
pub(in crate::engine) fn open_tree(
    dir: RawFd,
    path: &CStr,
    recursive: Recursive,
) -> nix::Result<OwnedFd> {
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    if path.is_empty() {
        flags |= libc::AT_EMPTY_PATH as libc::c_uint;
    }
    if recursive == Recursive::Yes {
        flags |= libc::AT_RECURSIVE as libc::c_uint;
    }
    // SAFETY: `path` is NUL-terminated and outlives the call.
    fd_result(unsafe { libc::syscall(libc::SYS_open_tree, dir, path.as_ptr(), flags) })
}

/// Whether an operation reaches the mounts below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Recursive {
    Yes,
    No,
}

/// Attaches the mount `from` on top of the file or directory `to`.
pub(in crate::engine) fn move_mount(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> nix::Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are empty NUL-terminated constants.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            from.as_raw_fd(),
            c"".as_ptr(),
            to.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    };
    Errno::result(result).map(drop)
}

/// Makes a context for a new instance of the file system `fstype`.
pub(in crate::engine) fn fsopen(fstype: &CStr) -> nix::Result<OwnedFd> {
    // SAFETY: `fstype` is NUL-terminated and outlives the call.
    fd_result(unsafe { libc::syscall(libc::SYS_fsopen, fstype.as_ptr(), libc::FSOPEN_CLOEXEC) })
}

/// Sets `key` to `value` in a file system context; without a value `key` is a flag.
pub(in crate::engine) fn fsconfig(
    context: BorrowedFd<'_>,
    key: &CStr,
    value: Option<&CStr>,
) -> nix::Result<()> {
    let command = if value.is_some() { libc::FSCONFIG_SET_STRING } else { libc::FSCONFIG_SET_FLAG };
    let value = value.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: the strings are NUL-terminated and outlive the call.
    let result = unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key.as_ptr(), value, 0)
    };
    Errno::result(result).map(drop)
}

/// Makes the superblock of a configured context and mounts it, detached, with `attributes`.
pub(in crate::engine) fn fsmount(context: BorrowedFd<'_>, attributes: u64) -> nix::Result<OwnedFd> {
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: FSCONFIG_CMD_CREATE takes neither key nor value.
    let result = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            libc::FSCONFIG_CMD_CREATE,
            null,
            null,
            0,
        )
    };
    Errno::result(result)?;
    // SAFETY: integers only.
    fd_result(unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            libc::FSMOUNT_CLOEXEC,
            attributes as libc::c_uint,
        )
    })
}

/// Changes attributes (`set`, after `clear`) and propagation (0: unchanged) of a mount.
pub(in crate::engine) fn mount_setattr(
    mount: BorrowedFd<'_>,
    recursive: Recursive,
    set: u64,
    clear: u64,
    propagation: u64,
) -> nix::Result<()> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 };
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive == Recursive::Yes {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is an empty constant, `attributes` lives through the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of_val(&attributes),
        )
    };
    Errno::result(result).map(drop)
}

/// Marks every descriptor from `first` on as close-on-exec.
pub(in crate::engine) fn close_on_exec_from(first: u32) -> nix::Result<()> {
    // SAFETY: integers only.
    let result =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(result).map(drop)
}

/// Gives the process an anonymous session keyring of its own.
pub(in crate::engine) fn new_session_keyring() -> nix::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name is documented as an anonymous keyring.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, anonymous) };
    Errno::result(result).map(drop)
}

/// Removes `capability` from the bounding set.
pub(in crate::engine) fn drop_bounding(capability: u8) -> nix::Result<()> {
    // SAFETY: integers only.
    let result =
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) };
    Errno::result(result).map(drop)
}

/// Empties the ambient set.
pub(in crate::engine) fn clear_ambient() -> nix::Result<()> {
    // SAFETY: integers only.
    let result = unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0, 0, 0)
    };
    Errno::result(result).map(drop)
}

/// Reduces the permitted and effective sets to `mask`, and empties the inheritable one.
pub(in crate::engine) fn limit_capabilities(mask: u64) -> nix::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut sets = [Sets::default(); 2];
    // SAFETY: the structures have the layout of capget(2), version 3, and live on this stack.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) };
    Errno::result(result)?;
    for (set, shift) in sets.iter_mut().zip([0, 32]) {
        let keep = (mask >> shift) as u32;
        set.permitted &= keep;
        set.effective = set.permitted;
        set.inheritable = 0;
    }
    // SAFETY: as above.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) };
    Errno::result(result).map(drop)
}

/// Brings the loopback interface of this network namespace up.
pub(in crate::engine) fn loopback_up() -> nix::Result<()> {
    // SAFETY: integers only.
    let socket = fd_result(libc::c_long::from(unsafe {
        libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0)
    }))?;
    // SAFETY: ifreq is plain data, for which all zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    Errno::result(result).map(drop)
}

/// Has the kernel keep ended children until they are reaped, even if SIGCHLD was ignored by the
/// process that started this one.
pub fn keep_ended_children() {
    // SAFETY: the default action is not a function of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Gives `signal` a handler that does nothing, for a process that blocks it and waits for it.
pub(in crate::engine) fn catch(signal: i32) -> nix::Result<()> {
    const extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: sigaction is plain data, for which all zeroes is an empty mask and no flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler touches nothing, and the old action is not wanted.
    let result = unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
    Errno::result(result).map(drop)
}

/// Opens a pidfd for `pid`.
pub(in crate::engine) fn pidfd_open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: integers only; pidfds are close-on-exec by nature.
    fd_result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Sends `signal` to the process behind `pidfd`.
pub(in crate::engine) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> nix::Result<()> {
    let info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is documented as the one kill(2) would send.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, info, 0) };
    Errno::result(result).map(drop)
}

/// Moves this process into the namespaces `flags` of the process behind `pidfd`.
pub(in crate::engine) fn setns(pidfd: BorrowedFd<'_>, flags: i32) -> nix::Result<()> {
    // SAFETY: integers only.
    let result = unsafe { libc::setns(pidfd.as_raw_fd(), flags) };
    Errno::result(result).map(drop)
}

/// Closes every descriptor from `first` on.
pub(in crate::engine) fn close_from(first: u32) {
    // SAFETY: integers only. The caller owns none of the descriptors any more.
    unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
}

/// Waits for any signal that is blocked and takes it.
pub(in crate::engine) fn wait_signal() -> i32 {
    let all = nix::sys::signal::SigSet::all();
    // SAFETY: the set is initialised; a null siginfo is allowed.
    unsafe { libc::sigwaitinfo(all.as_ref(), std::ptr::null_mut()) }
}

/// Reports one child that has ended, which is reaped, or stopped, without waiting: its pid and wait
/// status.
pub(in crate::engine) fn wait_any() -> nix::Result<Option<(i32, i32)>> {
    let mut status = 0;
    // SAFETY: waitpid writes the status.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED) };
    Errno::result(pid).map(|pid| (pid > 0).then_some((pid, status)))
}

/// Waits until the child behind `pidfd` has ended and reaps it: its wait status.
pub(in crate::engine) fn wait_for(pidfd: BorrowedFd<'_>) -> nix::Result<i32> {
    // SAFETY: siginfo_t is plain data, for which all zeroes is valid.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let fd = pidfd.as_raw_fd() as libc::id_t;
    loop {
        // SAFETY: waitid(2) writes a siginfo.
        let result = unsafe { libc::waitid(libc::P_PIDFD, fd, &raw mut info, libc::WEXITED) };
        match Errno::result(result) {
            Err(Errno::EINTR) => (),
            Err(errno) => return Err(errno),
            Ok(_) => {
                // SAFETY: what waitid(2) fills in of a child that ended has a status.
                let status = unsafe { info.si_status() };
                let exited = info.si_code == libc::CLD_EXITED;
                return Ok(if exited { status << 8 } else { status });
            }
        }
    }
}

/// Returns whether this process has no child left, ended or not.
pub(in crate::engine) fn has_no_children() -> bool {
    let no_info = std::ptr::null_mut();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: a null siginfo is allowed on Linux.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, no_info, flags) };
    Errno::result(result) == Err(Errno::ECHILD)
}

/// Sends `signal` to the process `pid`, or to every one this process may signal for -1.
pub(in crate::engine) fn kill(pid: i32, signal: i32) -> nix::Result<()> {
    // SAFETY: integers only.
    Errno::result(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Takes ownership of a descriptor that a system call just returned.
pub(in crate::engine) fn own_fd(fd: RawFd) -> OwnedFd {
    // SAFETY: the callers pass descriptors fresh from the kernel, which nobody else owns.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Closes every descriptor but the standard ones and `kept`.
pub(in crate::engine) fn close_all_but<const N: usize>(kept: [BorrowedFd<'_>; N]) {
    let mut kept = kept.map(|it| it.as_raw_fd() as u32);
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept {
        if fd > first {
            // SAFETY: integers only. The callers use none of these descriptors any more, nor do
            // they drop an owner of one.
            unsafe { libc::syscall(libc::SYS_close_range, first, fd - 1, 0) };
        }
        first = first.max(fd + 1);
    }
    close_from(first);
}
