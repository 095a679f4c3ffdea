//! The system calls that containers need and that filters often deny, and how each is tried without
//! any effect: the kernel itself refuses these arguments, with a known error.

use nix::errno::Errno;

use crate::engine::sys::probe::{Trial, TrialOutcome};

/// A system call that is tried.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) trial: Trial,
    /// The kernel's own answer to the trial; 0: it succeeds.
    expected: i32,
    /// The capability without which the kernel returns EPERM.
    capability: Option<u8>,
    /// Whether a refusal is ignored.
    tolerated: bool,
    pub(super) watched: Watched,
    /// Which setting besides `SystemCallFilter=` denies it, according to systemd.exec(5).
    pub(super) setting: Option<&'static str>,
}

/// Whether the process that makes a call is watched, so that a kill by a filter can be reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    Yes,
    No,
    /// It is made only if no v1 hierarchy decides about devices, and is not watched.
    NotOnV2,
}

impl Call {
    /// Returns whether this answer is a filter's. The kernel's own may be caused by a missing
    /// capability, of which `effective` is the set.
    pub(super) fn is_filtered(&self, answer: TrialOutcome, effective: u64) -> bool {
        let lacking = self.capability.is_some_and(|it| effective & (1 << it) == 0);
        match answer {
            TrialOutcome::Killed => true,
            TrialOutcome::Errno(libc::EPERM) if lacking => false,
            TrialOutcome::Errno(_) if self.tolerated => false,
            TrialOutcome::Errno(errno) => errno != self.expected,
        }
    }
}

const SETGID: u8 = 6;
const SYS_ADMIN: u8 = 21;

const NAMESPACES: libc::c_long = (libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as libc::c_long;
/// No flag of unshare(2): the kernel refuses it, whichever others stand beside it.
const INVALID: libc::c_long = 1;
const NO_TYPE: libc::c_long = 0xf;

const RESTRICT_NAMESPACES: &str = "RestrictNamespaces=";
const RESTRICT_FAMILIES: &str = "RestrictAddressFamilies=";

/// A call of a process on its way into a container, which only `SystemCallFilter=` denies.
const fn call(
    name: &'static str,
    number: libc::c_long,
    arguments: [libc::c_long; 5],
    expected: Errno,
) -> Call {
    Call {
        name,
        trial: Trial { number, arguments },
        expected: expected as i32,
        capability: None,
        tolerated: false,
        watched: Watched::Yes,
        setting: None,
    }
}

impl Call {
    const fn with(self, capability: u8) -> Self {
        Self { capability: Some(capability), ..self }
    }

    const fn watched(self, watched: Watched) -> Self {
        Self { watched, ..self }
    }

    const fn also(self, setting: &'static str) -> Self {
        Self { setting: Some(setting), ..self }
    }

    const fn tolerated(self) -> Self {
        Self { tolerated: true, ..self }
    }

    const fn succeeds(self) -> Self {
        Self { expected: 0, ..self }
    }
}

use Errno::{EBADF, EFAULT, EINVAL, EOPNOTSUPP};

/// The call that creates every other process.
pub(super) const FORK: &str = "clone";

/// Source: the manual page of each, for its error with such arguments.
pub(super) const CALLS: &[Call] = &[
    call("clone3", libc::SYS_clone3, [0; 5], EINVAL).watched(Watched::No).also(RESTRICT_NAMESPACES),
    call(FORK, libc::SYS_clone, [libc::CLONE_SIGHAND as _, 0, 0, 0, 0], EINVAL)
        .watched(Watched::No),
    call("wait4", libc::SYS_wait4, [-1, 0, -1, 0, 0], EINVAL).watched(Watched::No),
    call("unshare", libc::SYS_unshare, [NAMESPACES | INVALID, 0, 0, 0, 0], EINVAL)
        .also(RESTRICT_NAMESPACES),
    call("setns", libc::SYS_setns, [-1, NAMESPACES, 0, 0, 0], EBADF).also(RESTRICT_NAMESPACES),
    call("mount", libc::SYS_mount, [0; 5], EFAULT),
    call("umount2", libc::SYS_umount2, [0, -1, 0, 0, 0], EINVAL),
    call("pivot_root", libc::SYS_pivot_root, [0; 5], EFAULT).with(SYS_ADMIN),
    call("open_tree", libc::SYS_open_tree, [-1, 0, 0, 0, 0], EFAULT).watched(Watched::No),
    call("move_mount", libc::SYS_move_mount, [-1, 0, -1, 0, -1], EINVAL).with(SYS_ADMIN),
    call("fsopen", libc::SYS_fsopen, [0, -1, 0, 0, 0], EINVAL).with(SYS_ADMIN),
    call("fsconfig", libc::SYS_fsconfig, [-1, 0, 0, 0, 0], EINVAL),
    call("fsmount", libc::SYS_fsmount, [-1, -1, 0, 0, 0], EINVAL).with(SYS_ADMIN),
    call("mount_setattr", libc::SYS_mount_setattr, [-1, 0, -1, 0, 0], EINVAL).watched(Watched::No),
    call("chroot", libc::SYS_chroot, [0; 5], EFAULT),
    call("openat2", libc::SYS_openat2, [-1, 0, 0, 0, 0], EINVAL).also("RestrictSUIDSGID="),
    call("mknodat", libc::SYS_mknodat, [-1, 0, 0, 0, 0], EFAULT),
    call("fchown", libc::SYS_fchown, [-1, -1, -1, 0, 0], EBADF),
    call("sethostname", libc::SYS_sethostname, [0, -1, 0, 0, 0], EINVAL)
        .with(SYS_ADMIN)
        .also("ProtectHostname="),
    call("bpf", libc::SYS_bpf, [-1, 0, 0, 0, 0], EINVAL).watched(Watched::NotOnV2).with(SYS_ADMIN),
    call("keyctl", libc::SYS_keyctl, [-1, 0, 0, 0, 0], EOPNOTSUPP).watched(Watched::No).tolerated(),
    call("capset", libc::SYS_capset, [0; 5], EFAULT).watched(Watched::No),
    call("setgroups", libc::SYS_setgroups, [-1, 0, 0, 0, 0], EINVAL)
        .watched(Watched::No)
        .with(SETGID),
    call("setresgid", libc::SYS_setresgid, [-1, -1, -1, 0, 0], EINVAL)
        .watched(Watched::No)
        .succeeds(),
    call("setresuid", libc::SYS_setresuid, [-1, -1, -1, 0, 0], EINVAL)
        .watched(Watched::No)
        .succeeds(),
    call("prlimit64", libc::SYS_prlimit64, [0, -1, 0, 0, 0], EINVAL).watched(Watched::No),
    call("pidfd_send_signal", libc::SYS_pidfd_send_signal, [-1, 0, 0, 0, 0], EBADF)
        .watched(Watched::No),
    call("socket(AF_UNIX)", libc::SYS_socket, [libc::AF_UNIX as _, NO_TYPE, 0, 0, 0], EINVAL)
        .also(RESTRICT_FAMILIES),
    call("socket(AF_INET)", libc::SYS_socket, [libc::AF_INET as _, NO_TYPE, 0, 0, 0], EINVAL)
        .also(RESTRICT_FAMILIES),
];
