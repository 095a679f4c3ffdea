//! How programs make system calls on each kind of machine, and by which numbers.

use std::str::FromStr as _;

/// One way to make system calls: each has numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abi {
    X86,
    X32,
    X86_64,
    Arm,
    Arm64,
}

/// A kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Machine {
    X86,
    X86_64,
    Arm,
    Arm64,
}

impl Machine {
    /// Recognises the machine that uname(2) names; none: wharf has no numbers for it.
    pub(in crate::engine) fn of(uname: &str) -> Option<Self> {
        match uname {
            "x86_64" => Some(Self::X86_64),
            "i386" | "i486" | "i586" | "i686" => Some(Self::X86),
            "aarch64" => Some(Self::Arm64),
            _ if uname.starts_with("armv") => Some(Self::Arm),
            _ => None,
        }
    }

    /// Returns the ways in which its programs can make system calls, its own first.
    pub(super) const fn abis(self) -> &'static [Abi] {
        match self {
            Self::X86 => &[Abi::X86],
            Self::X86_64 => &[Abi::X86_64, Abi::X86, Abi::X32],
            Self::Arm => &[Abi::Arm],
            Self::Arm64 => &[Abi::Arm64, Abi::Arm],
        }
    }

    /// Returns whether the section `[name]` of a profile is for this machine; none: there is no
    /// such section.
    pub(super) fn has_section(self, name: &str) -> Option<bool> {
        let name = name.to_ascii_lowercase();
        if name == "all" {
            return Some(true);
        }
        let known = SECTIONS.iter().find(|(it, _)| *it == name);
        known.map(|(_, abi)| self.abis().contains(abi)).or_else(|| {
            // Machines that LXC knows, and that wharf has no numbers for.
            OTHER_SECTIONS.contains(&name.as_str()).then_some(false)
        })
    }
}

const SECTIONS: [(&str, Abi); 6] = [
    ("x86", Abi::X86),
    ("i386", Abi::X86),
    ("x32", Abi::X32),
    ("x86_64", Abi::X86_64),
    ("arm", Abi::Arm),
    ("arm64", Abi::Arm64),
];
const OTHER_SECTIONS: [&str; 14] = [
    "ppc",
    "ppc64",
    "ppc64le",
    "mips",
    "mips64",
    "mips64n32",
    "mipsel",
    "mipsel64",
    "mipsel64n32",
    "s390",
    "s390x",
    "loongarch64",
    "riscv64",
    "riscv32",
];

/// The bit that distinguishes a call of x32 from one of x86-64.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// The calls that have other numbers on x32, which begin here.
const X32_FIRST: u32 = 512;
const X32_OWN: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];
/// The calls that x86-64 has and x32 lacks.
const X32_WITHOUT: [&str; 12] = [
    "uselib",
    "_sysctl",
    "create_module",
    "get_kernel_syms",
    "query_module",
    "nfsservctl",
    "set_thread_area",
    "get_thread_area",
    "epoll_ctl_old",
    "epoll_wait_old",
    "vserver",
    "uretprobe",
];

/// The calls that 32-bit programs on x86 can also make through socketcall(2) or ipc(2), whose first
/// argument selects one.
const SOCKETCALL: [(&str, u32); 17] = [
    ("socket", 1),
    ("bind", 2),
    ("connect", 3),
    ("listen", 4),
    ("getsockname", 6),
    ("getpeername", 7),
    ("socketpair", 8),
    ("sendto", 11),
    ("recvfrom", 12),
    ("shutdown", 13),
    ("setsockopt", 14),
    ("getsockopt", 15),
    ("sendmsg", 16),
    ("recvmsg", 17),
    ("accept4", 18),
    ("recvmmsg", 19),
    ("sendmmsg", 20),
];
const IPC: [(&str, u32); 10] = [
    ("semget", 2),
    ("semctl", 3),
    ("msgsnd", 11),
    ("msgrcv", 12),
    ("msgget", 13),
    ("msgctl", 14),
    ("shmat", 21),
    ("shmdt", 22),
    ("shmget", 23),
    ("shmctl", 24),
];

impl Abi {
    pub(super) const ALL: [Self; 5] = [Self::X86, Self::X32, Self::X86_64, Self::Arm, Self::Arm64];

    /// Returns the number of the call `name`.
    pub(super) fn number(self, name: &str) -> Option<u32> {
        let number = match self {
            Self::X86 => syscalls::x86::Sysno::from_str(name).ok()?.id(),
            Self::X86_64 => syscalls::x86_64::Sysno::from_str(name).ok()?.id(),
            Self::Arm => syscalls::arm::Sysno::from_str(name).ok()?.id(),
            // The kernel's headers and the table of `syscalls` call it differently.
            Self::Arm64 if name == "newfstatat" => syscalls::aarch64::Sysno::fstatat.id(),
            Self::Arm64 => syscalls::aarch64::Sysno::from_str(name).ok()?.id(),
            Self::X32 => return x32_number(name),
        };
        Some(number.cast_unsigned())
    }

    /// Returns the call through which `name` can be made as well, and its number there.
    pub(super) fn also_through(self, name: &str) -> Option<(&'static str, u32)> {
        let within = |calls: &[(&str, u32)]| {
            calls.iter().find(|(it, _)| *it == name).map(|(_, number)| *number)
        };
        if self != Self::X86 {
            return None;
        }
        within(&SOCKETCALL)
            .map(|it| ("socketcall", it))
            .or_else(|| within(&IPC).map(|it| ("ipc", it)))
    }

    /// Returns the number by which a filter recognises it (`AUDIT_ARCH_*`); x32 shares that of
    /// x86-64.
    pub(super) const fn token(self) -> u32 {
        const LITTLE_ENDIAN: u32 = 0x4000_0000;
        const WIDE: u32 = 0x8000_0000;
        match self {
            Self::X86 => libc::EM_386 as u32 | LITTLE_ENDIAN,
            Self::X86_64 | Self::X32 => libc::EM_X86_64 as u32 | WIDE | LITTLE_ENDIAN,
            Self::Arm => libc::EM_ARM as u32 | LITTLE_ENDIAN,
            Self::Arm64 => libc::EM_AARCH64 as u32 | WIDE | LITTLE_ENDIAN,
        }
    }

    /// Returns whether all 64 bits of an argument count.
    pub(super) const fn is_wide(self) -> bool {
        matches!(self, Self::X86_64 | Self::Arm64)
    }
}

fn x32_number(name: &str) -> Option<u32> {
    if X32_WITHOUT.contains(&name) {
        return None;
    }
    let own = (X32_FIRST..).zip(X32_OWN).find(|(_, it)| *it == name).map(|(number, _)| number);
    own.or_else(|| Abi::X86_64.number(name)).map(|it| it | X32_BIT)
}
