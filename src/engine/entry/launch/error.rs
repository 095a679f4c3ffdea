//! Why a process could not become part of a container, in words.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use super::{BeforeExec, blocked};
use crate::engine::cgroup::CgroupError;
use crate::engine::entry::plan::{
    KernelStep, MountSource, MountStep, RootMaker, RootMount, RootSource, RootStep, Step, UserStep,
};
use crate::engine::entry::report::{StepFailure, StepPart};
use crate::engine::entry::script::ScriptOutput;
use crate::engine::entry::superblock;
use crate::engine::terms::error::{ErrorKind, words};
use crate::engine::terms::feature;
use crate::engine::terms::shown::shown_bytes;
use crate::engine::terms::signal;
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::ConfigPlace;

/// Why a container could not be started or entered.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum LaunchError {
    #[error("open the cgroups")]
    Cgroup(#[source] CgroupError),
    #[error("create a socket pair")]
    Socket(#[source] Errno),
    #[error("create a process")]
    Clone(#[source] Errno),
    #[error("enter the {} namespace that it shares", space.word())]
    Share { space: Space, source: Errno },
    #[error(
        "create a process: user.max_user_namespaces, or another limit of namespaces in \
         /proc/sys/user, is reached; `sysctl -w user.max_user_namespaces=15000` raises it"
    )]
    TooManyNamespaces,
    #[error("create a process: {}", feature::USERS.refusal())]
    NoUserNamespaces,
    #[error("read the report of the new process")]
    Report(#[source] Errno),
    #[error("{step}{part}: {reason}{place}")]
    Step {
        step: String,
        part: &'static str,
        reason: Cow<'static, str>,
        place: String,
        errno: Errno,
    },
    /// The program itself could not be executed.
    #[error("{program}: {reason}")]
    Exec { program: String, reason: &'static str, errno: Errno },
    #[error("{program} exists, but {} does not", interpreter(name))]
    NoInterpreter { program: String, name: String },
    #[error("{step}: {}{place}", no_file_system(kind))]
    NoFileSystem { step: String, kind: String, place: String },
    #[error("init died before its command ran")]
    Died,
    #[error(
        "another process has stopped init before its command ran, by a signal or by ptrace; a \
         container whose pid namespace it shares can do that"
    )]
    Stopped,
    /// The supervisor was asked to end meanwhile.
    #[error("cancelled")]
    CalledOff,
    #[error("{}", killed(*signal))]
    Killed { signal: i32 },
    #[error(
        "the kernel killed init before its command ran, because its cgroup was out of memory: {limit} \
         is too low"
    )]
    OutOfMemory { limit: String },
    #[error("its process limit was reached before its command ran: {limit} is too low")]
    TooFew { limit: String },
    /// Its groups are at their process limit.
    #[error(
        "it has as many processes as its limit allows; `wharf cgroup NAME pids.max` shows the \
         limit and raises it"
    )]
    Full,
    #[error("{step}: {why}")]
    NoPty { step: String, why: NoPty },
    #[error("stop a process while it is moved")]
    Hold(#[source] Errno),
    #[error("keep what a hook prints")]
    Output(#[source] io::Error),
    /// A hook did not succeed.
    #[error("{hook}: {how}{place}")]
    Hook { hook: String, how: String, place: String },
    #[error("{0}")]
    BeforeExec(#[source] BeforeExec),
    #[error("map its users: {}{place}", words(source))]
    Map { source: io::Error, place: String },
}

impl LaunchError {
    pub(super) fn map(source: io::Error, place: Option<&ConfigPlace>) -> Self {
        Self::Map { source, place: place.map(|it| format!(" ({it})")).unwrap_or_default() }
    }

    /// Adds how the process ended, if nothing else is known.
    pub(super) fn with_end(self, end: WaitStatus) -> Self {
        // We also send SIGKILL.
        if let (Self::Died, WaitStatus::Signaled(_, signal, _)) = (&self, end)
            && signal != Signal::SIGKILL
        {
            return Self::Killed { signal: signal as i32 };
        }
        self
    }

    /// Explains why no process could be created with these flags.
    pub(super) fn with_flags(self, flags: u64) -> Self {
        let users = flags & libc::CLONE_NEWUSER as u64 != 0;
        let Self::Clone(errno) = self else { return self };
        if matches!(errno, Errno::ENOSPC | Errno::EUSERS) {
            Self::TooManyNamespaces
        } else if users && errno == Errno::EINVAL {
            Self::NoUserNamespaces
        } else {
            self
        }
    }

    /// Adds the output of the hook that failed.
    pub(super) fn with_output(self, said: Option<&ScriptOutput>) -> Self {
        match (self, said) {
            (Self::Hook { hook, place, .. }, Some(said)) => {
                Self::Hook { hook, how: said.reason(), place }
            }
            (error, _) => error,
        }
    }

    /// Returns whether the cgroups are at their process limit.
    pub(super) const fn is_full(&self) -> bool {
        matches!(self, Self::Full | Self::Clone(Errno::EAGAIN))
    }

    /// Returns whether the kernel refused to create another process.
    pub(in crate::engine) const fn lacks_processes(&self) -> bool {
        matches!(self, Self::Full | Self::Clone(Errno::EAGAIN))
            || matches!(self, Self::Step { errno: Errno::EAGAIN, .. })
    }

    /// Returns the kind of refusal.
    pub(in crate::engine) fn kind(&self) -> ErrorKind {
        match self {
            Self::Cgroup(error) => error.kind(),
            Self::Exec { errno: Errno::ENOENT, .. } => ErrorKind::NoCommand,
            Self::Exec { .. } | Self::NoInterpreter { .. } => ErrorKind::BadCommand,
            Self::Clone(Errno::EPERM)
            | Self::Share { source: Errno::EPERM, .. }
            | Self::Step { errno: Errno::EPERM | Errno::EACCES, .. } => ErrorKind::Denied,
            Self::Step { errno: Errno::ENOENT, .. } => ErrorKind::NotFound,
            Self::Socket(_)
            | Self::Clone(_)
            | Self::Share { .. }
            | Self::TooManyNamespaces
            | Self::NoUserNamespaces
            | Self::Report(_)
            | Self::Step { .. }
            | Self::Died
            | Self::Stopped
            | Self::CalledOff
            | Self::Killed { .. }
            | Self::NoFileSystem { .. }
            | Self::OutOfMemory { .. }
            | Self::TooFew { .. }
            | Self::Full
            | Self::NoPty { .. }
            | Self::Hold(_)
            | Self::Output(_)
            | Self::Hook { .. }
            | Self::Map { .. }
            | Self::BeforeExec(_) => ErrorKind::Failed,
        }
    }
}

/// Why no pty is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum NoPty {
    /// All of the machine's ptys that containers may use are taken.
    Machine { used: u32, max: u32, reserve: u32 },
    /// All of the container's own are taken.
    Container,
}

impl NoPty {
    fn look() -> Self {
        let read = |name: &str| -> Option<u32> {
            let text = std::fs::read_to_string(format!("/proc/sys/kernel/pty/{name}")).ok()?;
            text.trim().parse().ok()
        };
        match (read("nr"), read("max"), read("reserve")) {
            (Some(used), Some(max), Some(reserve)) => Self::of(used, max, reserve),
            _ => Self::Container,
        }
    }

    const fn of(used: u32, max: u32, reserve: u32) -> Self {
        // Some may have been released since.
        const MARGIN: u32 = 8;
        if used.saturating_add(MARGIN) >= max.saturating_sub(reserve) {
            Self::Machine { used, max, reserve }
        } else {
            Self::Container
        }
    }
}

impl fmt::Display for NoPty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The kernel's default, in case the setting is almost 0.
        const USUAL: u32 = 4096;
        match self {
            Self::Machine { used, max, reserve } => write!(
                f,
                "no pty is left for containers on this machine: {used} are in use, and the host \
                 reserves {reserve} of kernel.pty.max = {max}; raise it, as with `sysctl \
                 kernel.pty.max={}`",
                max.saturating_mul(2).max(USUAL)
            ),
            Self::Container => write!(
                f,
                "no pty is left in the container: as many as its lxc.pty.max allows are in use"
            ),
        }
    }
}

/// Why a program cannot be executed by a process that has its profile already.
const UNFIT: &str = "Permission denied, by the modes of its path or by the AppArmor profile, \
                     which must let it be executed";

/// Names the step that failed.
pub(super) fn of_step(steps: &[Step], failure: StepFailure) -> LaunchError {
    let StepFailure { step, part, errno, interpreter } = failure;
    let step = steps.get(step);
    if let Some(Step::Exec(program)) = step {
        let name = program.argv.first().map(|it| shown_bytes(it.to_bytes()));
        let program = name.unwrap_or_default();
        if part == StepPart::Source {
            return LaunchError::NoInterpreter { program, name: shown_bytes(interpreter.name()) };
        }
        let confined = steps.iter().any(|it| matches!(it, Step::TakeLabel { .. }));
        let reason = if errno == Errno::EACCES && confined { UNFIT } else { errno.desc() };
        return LaunchError::Exec { program, reason, errno };
    }
    if errno == Errno::ENOSPC && step.is_some_and(makes_a_namespace) {
        return LaunchError::TooManyNamespaces;
    }
    if matches!(step, Some(Step::Appear { .. })) && errno == Errno::EAGAIN {
        return LaunchError::Full;
    }
    let needs_pty =
        matches!(step, Some(Step::Console { .. } | Step::Ttys { .. } | Step::Pty { .. }));
    if let (true, Errno::ENOSPC, Some(step)) = (needs_pty, errno, step) {
        return LaunchError::NoPty { step: step.to_string(), why: NoPty::look() };
    }
    let filtered = failure.step > filter_at(steps);
    let place = step.and_then(Step::place).map_or_else(String::new, |it| format!(" ({it})"));
    let place =
        if filtered { format!("; its seccomp profile may deny that{place}") } else { place };
    let closed = step.filter(|_| matches!(errno, Errno::EACCES | Errno::ECANCELED));
    let closed = closed.and_then(|it| blocked::hint(steps, it)).unwrap_or_default();
    let place = format!("{closed}{place}");
    if let (Some(Step::Hook(hook)), Errno::ECANCELED) = (step, errno) {
        return LaunchError::Hook { hook: hook.text.clone(), how: String::new(), place };
    }
    if let (Some(Step::Mount(mount)), StepPart::Source, Errno::ENODEV) = (step, part, errno)
        && let MountSource::New { fstype, .. } = &mount.source
    {
        let (step, kind) = (mount.to_string(), shown_bytes(fstype.to_bytes()));
        return LaunchError::NoFileSystem { step, kind, place };
    }
    if let Some(Step::Root { root: RootStep::Mounted(mount), .. }) = step {
        let step = step.map_or_else(String::new, Step::to_string);
        return of_root(step, mount, failure, place);
    }
    let part = match part {
        StepPart::Whole => "",
        StepPart::Source => ": source",
        StepPart::Target => ": target",
    };
    let reason = reason(step, errno);
    let step = step.map_or_else(|| "unknown step".to_owned(), Step::to_string);
    LaunchError::Step { step, part, reason, place, errno }
}

fn reason(step: Option<&Step>, errno: Errno) -> Cow<'static, str> {
    let lacking = match (step, errno) {
        (Some(Step::Confine(_) | Step::TakeLabel { .. }), Errno::ENOENT) => {
            return "no such profile is loaded; apparmor_parser loads one from its file".into();
        }
        (Some(Step::EnterShared { space: Space::User, .. }), Errno::EINVAL) => {
            return "wharf is in it itself; remove the line to have the host's users".into();
        }
        (Some(Step::Identity { .. } | Step::Users(UserStep::Become { .. })), Errno::EINVAL) => {
            return "its user namespace does not map that id".into();
        }
        (
            Some(Step::Root { users: Some(_), .. } | Step::Mount(MountStep { users: Some(_), .. })),
            Errno::EINVAL,
        ) => feature::MAPPED_FILES,
        (Some(Step::Kernel(KernelStep::Clocks(_))), Errno::EINVAL) => feature::CLOCKS,
        (Some(Step::Kernel(KernelStep::OwnCores(_))), Errno::EOPNOTSUPP) => feature::CORES,
        (Some(Step::Filter { .. }), Errno::ENOSYS) => feature::FILTERS,
        (Some(Step::Filter { notifies: true, .. }), Errno::EINVAL | Errno::EBUSY) => {
            feature::NOTIFYING_FILTERS
        }
        _ => return errno.desc().into(),
    };
    lacking.refusal().into()
}

/// Returns whether the step can meet a limit of /proc/sys/user.
const fn makes_a_namespace(step: &Step) -> bool {
    matches!(
        step,
        Step::OwnCgroupNamespace
            | Step::Users(UserStep::OwnNetwork)
            | Step::Appear { .. }
            | Step::Kernel(KernelStep::Clocks(_))
    )
}

/// Says why a root that is a file system of its own could not be mounted.
fn of_root(
    step: String,
    mount: &RootMount,
    StepFailure { part, errno, .. }: StepFailure,
    place: String,
) -> LaunchError {
    if (part, errno) == (StepPart::Source, Errno::ENODEV) {
        let kind = fs_type(&mount.source).unwrap_or_default();
        return LaunchError::NoFileSystem { step, kind, place };
    }
    let by_other = mount.maker == RootMaker::Supervisor && !nix::unistd::geteuid().is_root();
    if by_other && matches!(errno, Errno::EPERM | Errno::EACCES) {
        return LaunchError::Step { step, part: "", reason: NOT_ROOT.into(), place, errno };
    }
    let overlay = matches!(mount.source, RootSource::Overlay { .. });
    if overlay && errno == Errno::EPERM && !nix::unistd::geteuid().is_root() {
        return LaunchError::Step { step, part: "", reason: OLD_KERNEL.into(), place, errno };
    }
    let known = |reason: &'static str| ("", reason.into());
    let (part, reason): (_, Cow<'_, str>) = match (part, errno, overlay) {
        (StepPart::Source, Errno::EMEDIUMTYPE, _) => known(UNRECOGNISED),
        (StepPart::Source, Errno::EBUSY, _) => known("another container has mounted the image"),
        (StepPart::Whole, Errno::EBUSY, true) => {
            known("another mount uses its upper or its work directory")
        }
        (StepPart::Whole, Errno::EINVAL, true) => known(NO_OVERLAY),
        (StepPart::Target, _, true) => {
            (": make its upper and its work directory", errno.desc().into())
        }
        (StepPart::Target, Errno::ENOENT | Errno::ENXIO | Errno::ENODEV, false) => {
            ("", feature::LOOP.refusal().into())
        }
        (StepPart::Target, _, false) => (": make a loop device", errno.desc().into()),
        (StepPart::Source | StepPart::Whole, ..) => known(errno.desc()),
    };
    LaunchError::Step { step, part, reason, place, errno }
}

/// Returns the type of a file system that the kernel lacks; the process that failed looked as well.
fn fs_type(source: &RootSource) -> Option<String> {
    let path = match source {
        RootSource::Overlay { .. } => return Some("overlay".to_owned()),
        RootSource::Dataset(_) => return Some("zfs".to_owned()),
        RootSource::Image(path) | RootSource::Device(path) => path,
    };
    let file = std::fs::File::open(Path::new(OsStr::from_bytes(path.as_bytes()))).ok()?;
    let kind = superblock::recognise(|buffer, offset| file.read_at(buffer, offset))?;
    Some(kind.name.to_string_lossy().into_owned())
}

const NOT_ROOT: &str = "only root mounts that for a container with users of its own; an ordinary \
    user's root must be a directory or an overlay of such";
const OLD_KERNEL: &str = "this kernel lets only root mount overlays; Linux 5.11 and later let the \
    users of a container";
const UNRECOGNISED: &str = "it holds no file system that wharf recognises: ext2 to ext4, xfs, \
    btrfs, f2fs, squashfs, erofs or iso9660";
const NO_OVERLAY: &str = "the kernel refuses to combine these directories; the upper one must be \
    on a file system with extended attributes that is not an overlay itself, with the work \
    directory on the same";

/// Returns at which step a filter of system calls is loaded.
fn filter_at(steps: &[Step]) -> usize {
    steps.iter().position(|it| matches!(it, Step::Filter { .. })).unwrap_or(usize::MAX)
}

/// Says which type is missing, or how to write a bind mount, if its option was written as its type.
fn no_file_system(kind: &str) -> String {
    if let Some(feature) = feature::of_file_system(kind) {
        return feature.refusal();
    }
    let advice = match kind {
        "bind" => "; a bind mount has type `none` and option `bind`",
        "rbind" => "; a bind mount has type `none` and option `rbind`",
        _ => "",
    };
    format!("this kernel has no file system type `{kind}`{advice}")
}

fn killed(signal: i32) -> String {
    if signal == libc::SIGSYS {
        return "the kernel killed the new process with SIGSYS before its command ran, for a system \
                call that a filter denies: its own seccomp profile, or one that wharf runs under"
            .to_owned();
    }
    format!("the new process was killed by {} before its command ran", signal::name(signal))
}

fn interpreter(name: &str) -> String {
    if name.is_empty() {
        // The kernel reads the loader's name from the program, which may have any format.
        return "the loader that it needs".to_owned();
    }
    format!("its interpreter {name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::entry::report::Interpreter;
    use crate::engine::terms::spec::ClockOffsets;

    #[test]
    fn a_namespace_too_many_is_told_wherever_it_is_made() {
        let interpreter = Interpreter::UNKNOWN;
        let part = StepPart::Whole;
        let steps = [
            Step::OwnCgroupNamespace,
            Step::Users(UserStep::OwnNetwork),
            Step::Kernel(KernelStep::Clocks(ClockOffsets::default())),
        ];
        for step in 0..steps.len() {
            let failure = StepFailure { step, part, errno: Errno::ENOSPC, interpreter };
            let error = of_step(&steps, failure);
            assert!(matches!(error, LaunchError::TooManyNamespaces), "{error}");
        }
    }

    #[test]
    fn whose_ptys_are_used_up_is_told_with_the_knob() {
        let machine = NoPty::of(3072, 4096, 1024);
        assert_eq!(machine, NoPty::Machine { used: 3072, max: 4096, reserve: 1024 });
        let said = machine.to_string();
        assert!(said.contains("3072 are in use") && said.contains("kernel.pty.max=8192"), "{said}");
        assert_eq!(NoPty::of(7, 4096, 1024), NoPty::Container);
        assert!(NoPty::of(0, 0, 0).to_string().contains("kernel.pty.max=4096"));
        let steps = [Step::Console { owner: 0, size: None, shown: true }];
        let interpreter = Interpreter::UNKNOWN;
        let failure =
            StepFailure { step: 0, part: StepPart::Whole, errno: Errno::ENOSPC, interpreter };
        let said = of_step(&steps, failure).to_string();
        assert!(said.starts_with("make /dev/console: no pty is left"), "{said}");
    }
}
