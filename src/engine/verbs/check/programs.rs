//! Trials of programs that others provide, and of what they load. Each is for a process that ends
//! after it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::engine::Lxcpath;
use crate::engine::entry::host_steps::profile;
use crate::engine::entry::script::run_to_its_end;
use crate::engine::host::{apparmor, selinux, usernet};
use crate::engine::terms::idmap::IdKind;
use crate::engine::terms::label::OwnProfile;

/// Where lxcfs shows its files, unless it is told otherwise.
const LXCFS: &str = "/var/lib/lxcfs/proc/uptime";
const TEMPLATES: &str = "/usr/share/lxc/templates/lxc-busybox";

pub(super) fn newuidmap(_: &Lxcpath) -> io::Result<()> {
    is_there(IdKind::User.mapper())
}

pub(super) fn newgidmap(_: &Lxcpath) -> io::Result<()> {
    is_there(IdKind::Group.mapper())
}

/// It does nothing that can be tried without a container.
pub(super) fn lxc_user_nic(_: &Lxcpath) -> io::Result<()> {
    usernet::program().map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Without arguments it prints its usage and fails.
fn is_there(program: &str) -> io::Result<()> {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().map(drop)
}

pub(super) fn skopeo(_: &Lxcpath) -> io::Result<()> {
    run_to_its_end(Command::new("skopeo").arg("--version"))
}

pub(super) fn lxcfs(_: &Lxcpath) -> io::Result<()> {
    fs::read(LXCFS).map(drop)
}

pub(super) fn templates(_: &Lxcpath) -> io::Result<()> {
    fs::metadata(TEMPLATES).map(drop)
}

pub(super) fn apparmor(_: &Lxcpath) -> io::Result<()> {
    enabled(apparmor::is_enabled())
}

pub(super) fn selinux(_: &Lxcpath) -> io::Result<()> {
    enabled(selinux::is_enabled())
}

fn enabled(it: bool) -> io::Result<()> {
    if it { Ok(()) } else { Err(io::Error::other("it is not")) }
}

/// Loads a profile that confines nothing, and unloads it.
pub(super) fn load_profile(_: &Lxcpath) -> io::Result<()> {
    if !apparmor::is_enabled() {
        return Err(io::Error::other("AppArmor is not enabled"));
    }
    // Of one name, so that what a trial leaves that is killed goes with the next.
    let name = "wharf-probe".to_owned();
    let text = format!("profile \"{name}\" {{ }}\n");
    let profile = OwnProfile { name, namespace: None, text };
    profile::load(&profile)?;
    profile::unload(&profile)
}

pub(super) fn run_32_bit(_: &Lxcpath) -> io::Result<()> {
    let program = exit_0(std::env::consts::ARCH).ok_or(io::ErrorKind::Unsupported)?;
    let mut file = File::from(memfd_create(c"program", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(&program)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    run_to_its_end(&mut Command::new(Path::new(&path)))
}

/// Returns a program of the older machine that this kind of machine can be, in elf(5)'s format; all
/// it does is to end.
fn exit_0(machine: &str) -> Option<Vec<u8>> {
    const AT: u32 = 0x0040_0000;
    const HEAD: u16 = 52;
    const SEGMENT: u16 = 32;
    /// Loaded, readable and executable.
    const KIND: [u32; 2] = [1, 5];
    const EXIT_ON_X86: [u8; 9] = [0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80];
    const EXIT_ON_ARM: [u8; 12] = [0, 0, 0xa0, 0xe3, 1, 0x70, 0xa0, 0xe3, 0, 0, 0, 0xef];
    let (number, flags, code): (u16, u32, &[u8]) = match machine {
        "x86_64" => (3, 0, &EXIT_ON_X86),
        "aarch64" => (40, 0x0500_0000, &EXIT_ON_ARM),
        _ => return None,
    };
    let begin = u32::from(HEAD + SEGMENT);
    let mut program = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let short = |it: u16, to: &mut Vec<u8>| to.extend(it.to_le_bytes());
    for it in [2, number] {
        short(it, &mut program);
    }
    for it in [1, AT + begin, u32::from(HEAD), 0, flags] {
        program.extend(it.to_le_bytes());
    }
    for it in [HEAD, SEGMENT, 1, 0, 0, 0] {
        short(it, &mut program);
    }
    let length = begin + code.len() as u32;
    for it in [KIND[0], 0, AT, AT, length, length, KIND[1], 0x1000] {
        program.extend(it.to_le_bytes());
    }
    program.extend(code);
    Some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_has_the_length_that_its_heads_say() {
        let program = exit_0("x86_64").unwrap();
        assert_eq!(program.len(), 52 + 32 + 9);
        assert_eq!(exit_0("aarch64").unwrap().len(), 52 + 32 + 12);
        assert_eq!(exit_0("riscv64"), None);
    }
}
