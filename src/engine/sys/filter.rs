//! Filters of system calls, as seccomp(2) takes them: classic BPF over `struct seccomp_data`.
//! Decides nothing.
#![allow(unsafe_code, reason = "seccomp(2) has no safe form")]

use nix::errno::Errno;

/// One instruction of classic BPF, laid out as the kernel reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FilterInstruction {
    pub(in crate::engine) code: u16,
    /// How many instructions a test skips if it holds.
    pub(in crate::engine) yes: u8,
    /// How many it skips otherwise.
    pub(in crate::engine) no: u8,
    pub(in crate::engine) value: u32,
}

impl FilterInstruction {
    pub(in crate::engine) const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
    pub(in crate::engine) const IF_EQUAL: u16 =
        (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    pub(in crate::engine) const IF_GREATER: u16 =
        (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
    pub(in crate::engine) const IF_AT_LEAST: u16 =
        (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    pub(in crate::engine) const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    pub(in crate::engine) const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
    pub(in crate::engine) const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

    /// An instruction that tests nothing.
    pub(in crate::engine) const fn plain(code: u16, value: u32) -> Self {
        Self { code, yes: 0, no: 0, value }
    }

    const BYTES: usize = size_of::<Self>();

    /// Returns the instruction as it is in memory.
    pub(in crate::engine) const fn to_bytes(self) -> [u8; Self::BYTES] {
        let [c0, c1] = self.code.to_ne_bytes();
        let [v0, v1, v2, v3] = self.value.to_ne_bytes();
        [c0, c1, self.yes, self.no, v0, v1, v2, v3]
    }

    /// Reads an instruction as it is in memory.
    pub(in crate::engine) const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        let [c0, c1, yes, no, v0, v1, v2, v3] = bytes;
        let (code, value) = (u16::from_ne_bytes([c0, c1]), u32::from_ne_bytes([v0, v1, v2, v3]));
        Self { code, yes, no, value }
    }
}

/// Has the kernel decide by `program` about every further system call of this process and of those
/// that it creates. Needs CAP_SYS_ADMIN, or no_new_privs.
pub(in crate::engine) fn install_filter(program: &[FilterInstruction]) -> nix::Result<()> {
    with_program(program, 0).map(drop)
}

/// Makes the call, with `flags` of its own.
pub(super) fn with_program(
    program: &[FilterInstruction],
    flags: libc::c_ulong,
) -> nix::Result<libc::c_long> {
    let length = u16::try_from(program.len()).map_err(|_long| Errno::EINVAL)?;
    // The kernel copies the program and does not change it.
    let filter = program.as_ptr().cast::<libc::sock_filter>().cast_mut();
    let program = libc::sock_fprog { len: length, filter };
    // SAFETY: `filter` leads to `length` instructions of the kernel's layout, which our caller
    // borrows through the call.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    Errno::result(result)
}
