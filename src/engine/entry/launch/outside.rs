//! What the supervisor does for a new process that is in a user namespace, when it asks for it. It
//! carries out steps of the plan only, for this process only.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::EXIT_SETUP_FAILED;
use crate::engine::entry::perform::{Broken, make_root};
use crate::engine::entry::plan::{
    KernelStep, MountSource, MountStep, RootMaker, RootMount, RootStep, Step, UserStep,
};
use crate::engine::entry::report::{self, StepPart};
use crate::engine::sys::{self, Recursive};
use crate::engine::terms::idmap::{IdKind, IdMap};
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{At, MountUsers};

/// Carries out the step for the process `pid`, a child of this one that is not reaped yet. `mount`
/// is what it has made, if the step is about that. Returns what is made for it.
pub(super) fn perform(
    step: Option<&Step>,
    pid: i32,
    mount: Option<BorrowedFd<'_>>,
) -> Result<Option<OwnedFd>, (StepPart, Errno)> {
    if let Some(Step::Root { root: RootStep::Mounted(root), devices, users, .. }) = step
        && root.maker == RootMaker::Supervisor
    {
        return mount_root(pid, root, *devices, users.as_ref()).map(Some);
    }
    change(step, pid, mount).map(|()| None).map_err(|errno| (StepPart::Whole, errno))
}

/// Mounts the root in the process's mount namespace, by a process that enters it: hooks may have
/// mounted what it is made of.
fn mount_root(
    pid: i32,
    root: &RootMount,
    devices: bool,
    users: Option<&MountUsers>,
) -> Result<OwnedFd, (StepPart, Errno)> {
    let whole = |errno| (StepPart::Whole, errno);
    let space = File::open(of(pid, "ns/mnt")).map_err(|it| whole(errno(it)))?;
    let users = users.map(|it| open_users(pid, it)).transpose().map_err(whole)?;
    let (ours, theirs) = report::pair().map_err(whole)?;
    let Some(helper) = sys::fork().map_err(whole)? else {
        sys::die_of_panics(EXIT_SETUP_FAILED);
        _ = set_pdeathsig(Signal::SIGKILL);
        umask(Mode::empty());
        let made = sys::setns(space.as_fd(), Space::Mnt.flag()).map_err(whole).and_then(|()| {
            let shift = |new: BorrowedFd<'_>| match &users {
                Some(users) => sys::map_mount(new, Recursive::Yes, users.as_fd()),
                None => Ok(()),
            };
            make_root(root, devices, &shift).map_err(|Broken(part, errno)| (part, errno))
        });
        // Without an answer it has failed.
        _ = report::answer(theirs.as_fd(), made.map(Some));
        sys::exit_now(0)
    };
    drop(theirs);
    let made = report::answered(ours.as_fd());
    let ended = waitpid(Pid::from_raw(helper), None);
    ended.map_err(whole)?;
    made?.ok_or((StepPart::Whole, Errno::EPROTO))
}

fn change(step: Option<&Step>, pid: i32, mount: Option<BorrowedFd<'_>>) -> nix::Result<()> {
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
        KernelStep::Personality(_)
        | KernelStep::Clocks(_)
        | KernelStep::OpenSysctls
        | KernelStep::Sysctl(_)
        | KernelStep::ParentDeath(_)
        | KernelStep::OwnCores(_)
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
    sys::map_mount(mount, recursive, open_users(pid, users)?.as_fd())
}

fn open_users(pid: i32, users: &MountUsers) -> nix::Result<File> {
    let path = match users {
        MountUsers::Container => of(pid, "ns/user"),
        MountUsers::Namespace(path) => path.clone(),
    };
    File::open(path).map_err(errno)
}

fn of(pid: i32, file: &str) -> PathBuf {
    format!("/proc/{pid}/{file}").into()
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
