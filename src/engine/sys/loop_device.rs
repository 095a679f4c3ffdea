//! Loop devices: a file as a block device. They go by themselves when nothing uses them any more.
#![allow(unsafe_code, reason = "the kernel's ioctls take raw structures")]

use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LO_FLAGS_READ_ONLY: u32 = 1;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
/// How often another process may take the device that was free a moment ago.
const MOST_TRIES: u32 = 64;

/// `struct loop_info64` of the kernel.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of the kernel.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// Opens the file that gives out devices.
pub(in crate::engine) fn open_control() -> nix::Result<OwnedFd> {
    open(c"/dev/loop-control", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
}

/// Makes a device of `file` and returns it with its number. The kernel frees it when its last user
/// is gone: whoever holds the descriptor, then the mount.
pub(in crate::engine) fn attach(
    control: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    read_only: bool,
) -> nix::Result<(OwnedFd, i32)> {
    let mut tries = 0;
    loop {
        // SAFETY: it takes no argument.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
        let number = Errno::result(number)?;
        let path = format!("/dev/loop{number}");
        let access = if read_only { OFlag::O_RDONLY } else { OFlag::O_RDWR };
        let held = open(path.as_str(), access | OFlag::O_CLOEXEC, Mode::empty())?;
        match configure(held.as_raw_fd(), file.as_raw_fd(), read_only) {
            Ok(()) => return Ok((held, number)),
            Err(Errno::EBUSY) if tries < MOST_TRIES => tries += 1,
            Err(errno) => return Err(errno),
        }
    }
}

fn configure(device: RawFd, file: RawFd, read_only: bool) -> nix::Result<()> {
    let flags = if read_only { LO_FLAGS_READ_ONLY } else { 0 } | LO_FLAGS_AUTOCLEAR;
    let config = LoopConfig {
        fd: file.cast_unsigned(),
        block_size: 0,
        info: LoopInfo {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: LOOP_CONFIGURE reads a loop_config, which lives through the call.
    let result = unsafe { libc::ioctl(device, LOOP_CONFIGURE as _, &raw const config) };
    Errno::result(result).map(drop)
}
