//! What the supervisor does for a new process that is in a user namespace, when it asks for it. It
//! carries out steps of the plan only, for this process only.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::resource::Resource;

use crate::engine::entry::perform::limit_files;
use crate::engine::entry::plan::{KernelStep, MountSource, MountStep, Step, UserStep};
use crate::engine::sys::{self, Recursive};
use crate::engine::terms::idmap::{IdKind, IdMap};
use crate::engine::terms::spec::{At, MountUsers};

/// Carries out the step for the process `pid`, a child of this one that is not reaped yet. `mount`
/// is what it has made, if the step is about that.
pub(super) fn perform(
    step: Option<&Step>,
    pid: i32,
    mount: Option<BorrowedFd<'_>>,
) -> nix::Result<()> {
    match (step, mount) {
        (Some(Step::Users(UserStep::Map(At { value, .. }))), None) => write_map(pid, value),
        (Some(Step::Users(UserStep::Outside(it))), None) => set(pid, it),
        (Some(Step::Root { users: Some(users), .. }), Some(mount)) => {
            map_mount(pid, mount, Recursive::Yes, users)
        }
        (Some(Step::Mount(MountStep { users: Some(users), source, .. })), Some(mount)) => {
            let recursive = match source {
                MountSource::Bind { recursive, .. } => *recursive,
                MountSource::New { .. } | MountSource::Remount => Recursive::No,
            };
            map_mount(pid, mount, recursive, users)
        }
        _ => Err(Errno::EPROTO),
    }
}

fn write_map(pid: i32, map: &IdMap) -> nix::Result<()> {
    // The kernel takes a map in one write.
    let write = |file: &str, kind| write(pid, file, &map.text(kind));
    write("uid_map", IdKind::User)?;
    write("gid_map", IdKind::Group)
}

fn set(pid: i32, step: &KernelStep) -> nix::Result<()> {
    match step {
        KernelStep::ProcFile(it) => write(pid, &it.setting.value.name, &it.setting.value.value),
        KernelStep::Limit(At { value: it, .. }) => {
            sys::limit_of(pid, it.resource as i32, it.soft, it.hard)
        }
        KernelStep::FileLimit => {
            let files = Resource::RLIMIT_NOFILE as i32;
            let hard = || sys::hard_limit_of(pid, files);
            limit_files(&|soft, hard| sys::limit_of(pid, files, soft, hard), &hard)
        }
        KernelStep::Personality(_)
        | KernelStep::Clocks(_)
        | KernelStep::OpenSysctls
        | KernelStep::Sysctl(_)
        | KernelStep::ParentDeath(_)
        | KernelStep::OwnCores
        | KernelStep::CoresOf(_) => Err(Errno::EPROTO),
    }
}

/// Writes a file of the process in the host's `/proc`, in one system call.
fn write(pid: i32, name: &str, value: &str) -> nix::Result<()> {
    let mut file = File::options().write(true).open(of(pid, name)).map_err(errno)?;
    file.write_all(value.as_bytes()).map_err(errno)
}

fn map_mount(
    pid: i32,
    mount: BorrowedFd<'_>,
    recursive: Recursive,
    users: &MountUsers,
) -> nix::Result<()> {
    let path = match users {
        MountUsers::Container => of(pid, "ns/user"),
        MountUsers::Namespace(path) => path.clone(),
    };
    let users = File::open(path).map_err(errno)?;
    sys::map_mount(mount, recursive, users.as_fd())
}

fn of(pid: i32, file: &str) -> PathBuf {
    format!("/proc/{pid}/{file}").into()
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
