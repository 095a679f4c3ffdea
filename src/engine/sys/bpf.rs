//! The two operations of bpf(2) that device rules need, and the few instructions they are made
//! of. Decides nothing.
#![allow(unsafe_code, reason = "bpf(2) has no safe form")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
const BPF_F_REPLACE: u32 = 4;

/// One eBPF instruction, laid out as the kernel reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(in crate::engine) struct Instruction {
    pub(in crate::engine) code: u8,
    /// Destination in the low half, source in the high one.
    pub(in crate::engine) registers: u8,
    pub(in crate::engine) offset: i16,
    pub(in crate::engine) immediate: i32,
}

impl Instruction {
    pub(in crate::engine) const LOAD_WORD: u8 = 0x61;
    pub(in crate::engine) const AND: u8 = 0x54;
    pub(in crate::engine) const SHIFT_RIGHT: u8 = 0x74;
    pub(in crate::engine) const COPY: u8 = 0xbc;
    pub(in crate::engine) const SET: u8 = 0xb7;
    pub(in crate::engine) const JUMP_IF_EQUAL: u8 = 0x16;
    pub(in crate::engine) const JUMP_UNLESS_EQUAL: u8 = 0x56;
    pub(in crate::engine) const EXIT: Self =
        Self { code: 0x95, registers: 0, offset: 0, immediate: 0 };

    const fn with(code: u8, register: u8, immediate: i32) -> Self {
        Self { code, registers: register, offset: 0, immediate }
    }

    /// Loads the 32 bits at `offset` from where register `from` points.
    pub(in crate::engine) const fn load_word(to: u8, from: u8, offset: i16) -> Self {
        Self { code: Self::LOAD_WORD, registers: from << 4 | to, offset, immediate: 0 }
    }

    pub(in crate::engine) const fn and(register: u8, mask: i32) -> Self {
        Self::with(Self::AND, register, mask)
    }

    pub(in crate::engine) const fn shift_right(register: u8, bits: i32) -> Self {
        Self::with(Self::SHIFT_RIGHT, register, bits)
    }

    pub(in crate::engine) const fn copy(to: u8, from: u8) -> Self {
        Self { code: Self::COPY, registers: from << 4 | to, offset: 0, immediate: 0 }
    }

    pub(in crate::engine) const fn set(register: u8, value: i32) -> Self {
        Self::with(Self::SET, register, value)
    }

    /// A jump that [`Self::aim`] still has to give its distance.
    pub(in crate::engine) const fn jump_if_equal(register: u8, value: i32) -> Self {
        Self::with(Self::JUMP_IF_EQUAL, register, value)
    }

    /// A jump that [`Self::aim`] still has to give its distance.
    pub(in crate::engine) const fn jump_unless_equal(register: u8, value: i32) -> Self {
        Self::with(Self::JUMP_UNLESS_EQUAL, register, value)
    }

    /// Sets how many instructions a jump skips; leaves other instructions alone.
    pub(in crate::engine) const fn aim(&mut self, distance: i16) {
        if matches!(self.code, Self::JUMP_IF_EQUAL | Self::JUMP_UNLESS_EQUAL) {
            self.offset = distance;
        }
    }
}

/// The start of `union bpf_attr` for BPF_PROG_LOAD; what is left out counts as zero.
#[repr(C)]
struct ProgramLoad {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

/// The start of `union bpf_attr` for BPF_PROG_ATTACH.
#[repr(C)]
struct ProgramAttach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
}

/// Loads a program that answers requests for devices.
pub(in crate::engine) fn load_device_program(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = ProgramLoad {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
    };
    let fd = bpf(BPF_PROG_LOAD, &attributes)? as RawFd;
    // SAFETY: the kernel just returned this descriptor, close-on-exec, to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches `program` to the v2 group `cgroup`, until that is removed. What groups above it deny
/// stays denied. `replaced` was attached there before, and no longer is (since Linux 5.6).
pub(in crate::engine) fn attach_device_program(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let attributes = ProgramAttach {
        target: cgroup.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        kind: BPF_CGROUP_DEVICE,
        flags: replaced.map_or(BPF_F_ALLOW_MULTI, |_| BPF_F_ALLOW_MULTI | BPF_F_REPLACE),
        replaced: replaced.map_or(0, |it| it.as_raw_fd().cast_unsigned()),
    };
    bpf(BPF_PROG_ATTACH, &attributes).map(drop)
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: `T` is a prefix of the union that `command` reads, of the size given; the pointers
    // in it lead to data that our callers borrow through the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>())
    };
    Ok(nix::errno::Errno::result(result)?)
}
