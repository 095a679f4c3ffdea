//! Creates the processes that become or enter a container, and follows each until its program runs.
//! No other module creates one; what the process does is in the plan.

mod away;
mod blocked;
mod enter;
mod error;
mod hold;
mod map;

pub(in crate::engine) use map::map_users;
mod outside;
mod successor;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::engine::cgroup::{Cgroup, CgroupFds};
use crate::engine::entry::notifier::Notifier;
use crate::engine::entry::perform::{Door, SharedSpace, Site, perform};
use crate::engine::entry::plan::Step;
use crate::engine::entry::report::{self, ChildReport, receive};
use crate::engine::entry::script::{self, ScriptOutput};
use crate::engine::host::Host;
use crate::engine::host::identity::Stat;
use crate::engine::sys::{self, OwnActions, Side};
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::Namespaces;
use away::Away;
pub(in crate::engine) use enter::{Entered, Visit, enter};
pub(in crate::engine) use error::LaunchError;

const EXIT_SETUP_FAILED: i32 = 125;
/// How often a process that does not report is looked at.
const LOOK_MS: u16 = 1000;
/// How many times in a row it is seen stopped before it is given up: a tracer such as strace stops it
/// for a moment only.
const STOPPED_LOOKS: u32 = 3;

/// What to launch.
pub(in crate::engine) struct LaunchRequest<'a> {
    pub host: &'a Host,
    pub steps: &'a [Step],
    pub namespaces: &'a Namespaces,
    /// Those of others.
    pub shared: &'a [SharedSpace],
    pub cgroup: Option<&'a Cgroup>,
    /// Which of the descriptors 0, 1 and 2 the payload inherits. Never a terminal.
    pub inherit: [bool; 3],
    /// Runs in the supervisor, with the pid of init, when the container is set up and its program
    /// does not run yet.
    pub before_exec: &'a mut dyn FnMut(i32) -> Result<(), BeforeExec>,
    /// Decides about system calls; it begins when the filter is loaded.
    pub notifier: Option<&'a mut Notifier>,
}

/// Why the supervisor stopped a launch at the last moment.
pub(in crate::engine) type BeforeExec = Box<dyn std::error::Error + Send + Sync>;

/// A container in which the program runs.
#[derive(Debug)]
pub(in crate::engine) struct Launched {
    /// Init, in this process's pid namespace.
    pub pid: i32,
    pub pidfd: OwnedFd,
    /// The supervisor's side of the console, if there is one. Blocking.
    pub console: Option<OwnedFd>,
    /// The supervisor's side of tty 1 and up. Blocking.
    pub ttys: Vec<OwnedFd>,
    /// The root of the container's devpts.
    pub devpts: Option<OwnedFd>,
    /// The `CLONE_NEW*` flags of its namespaces.
    pub clone_flags: u64,
}

/// Makes the process and returns when its program runs.
///
/// The caller must be single-threaded: see "Between clone and exec" in ARCHITECTURE.md.
pub(in crate::engine) fn launch(request: LaunchRequest<'_>) -> Result<Launched, LaunchError> {
    let clone_flags = request.namespaces.flags();
    let succeeded = successor::is_planned(request.steps);
    // A successor is born with its namespaces, and joins the groups, of which the first is none.
    let flags = if succeeded { 0 } else { request.namespaces.at_birth() };
    let open = |it: &Cgroup| if succeeded { it.entry_by_joining() } else { it.entry() };
    let entry = request.cgroup.map(open).transpose().map_err(LaunchError::Cgroup)?;
    let said = hook_output(request.steps).map_err(LaunchError::Output)?;
    let (steps, inherit, output) = (request.steps, request.inherit, said.as_ref());
    let (shared, reached) = (request.shared, is_reached(request.namespaces));
    let said_to = output.map(ScriptOutput::file);
    let birth = Birth { steps, flags, shared, inherit, door: None, said: said_to, reached };
    let newborn = bear(&birth, entry.unwrap_or_default());
    let Newborn { pid, pidfd, socket } = newborn.map_err(|it| it.with_flags(flags))?;
    let mut launched =
        Launched { pid, pidfd, console: None, ttys: Vec::new(), devpts: None, clone_flags };
    let successor = succeeded.then(|| successor::take(steps, socket.as_fd(), &mut launched));
    let born = successor.unwrap_or(Ok(()));
    match born.and_then(|()| follow(request, socket.as_fd(), &mut launched)) {
        Ok(()) => Ok(launched),
        Err(error) => {
            let end = end(launched.pid, launched.pidfd.as_fd());
            Err(error.with_end(end).with_output(said.as_ref()))
        }
    }
}

/// Makes room for the output of hooks, if there are any.
fn hook_output(steps: &[Step]) -> io::Result<Option<ScriptOutput>> {
    let runs = steps.iter().any(|it| matches!(it, Step::Hook(_)));
    runs.then(ScriptOutput::new).transpose()
}

/// How a process is created.
struct Birth<'a> {
    steps: &'a [Step],
    /// Of clone(2).
    flags: u64,
    /// Namespaces of others that it is to be in.
    shared: &'a [SharedSpace],
    inherit: [bool; 3],
    /// The handles for entering its container, if that is already running.
    door: Option<Door<'a>>,
    /// Where the output of hooks goes.
    said: Option<BorrowedFd<'a>>,
    /// This process must reach the new one through `/proc`.
    reached: bool,
}

/// Returns whether a supervisor must reach a container's process through `/proc`, where root needs no
/// leave: `newuidmap` checks whose it is, and its namespaces are opened there. Not where root of the
/// users that it shares can see it, and so could take it over.
fn is_reached(namespaces: &Namespaces) -> bool {
    let shares = namespaces.shares(Space::User) && !namespaces.shares(Space::Pid);
    (namespaces.has_own(Space::User) || shares) && !nix::unistd::geteuid().is_root()
}

/// A process on its way into a container.
struct Newborn {
    pid: i32,
    pidfd: OwnedFd,
    /// The socket on which it reports.
    socket: OwnedFd,
}

fn bear(birth: &Birth<'_>, entry: CgroupFds) -> Result<Newborn, LaunchError> {
    let (ours, theirs) = report::pair().map_err(LaunchError::Socket)?;
    let CgroupFds { tasks, unified } = entry;
    let away = Away::into(birth.shared)?;
    let actions = OwnActions::read();
    let side = sys::clone3(birth.flags, unified.as_ref().map(OwnedFd::as_fd));
    if matches!(side, Ok(Side::Child)) {
        drop((ours, away));
        be_born(birth, theirs.as_fd(), tasks, actions)
    }
    away.back();
    let Side::Parent { pid, pidfd } = side.map_err(LaunchError::Clone)? else { sys::exit_now(0) };
    Ok(Newborn { pid, pidfd, socket: ours })
}

fn be_born(
    birth: &Birth<'_>,
    maker: BorrowedFd<'_>,
    tasks: Vec<OwnedFd>,
    actions: OwnActions,
) -> ! {
    let reached = birth.reached;
    sys::die_of_panics(EXIT_SETUP_FAILED);
    // Until its own program runs, nothing in the container may inspect this process (CVE-2016-9962,
    // CVE-2019-5736). This does not keep out who has CAP_SYS_PTRACE over the host's users, as the
    // root of a container may whose pid namespace is shared: a start warns of that. Before
    // its users are mapped nothing there can. Cannot fail for these arguments.
    _ = nix::sys::prctl::set_dumpable(reached);
    let mut site = Site::new(maker, tasks, birth.inherit, birth.door);
    (site.said, site.shared, site.reached) = (birth.said, birth.shared, reached);
    site.actions = actions;
    let failure = perform(birth.steps, &mut site);
    report::failed(maker, failure);
    sys::exit_now(EXIT_SETUP_FAILED)
}

fn follow(
    mut request: LaunchRequest<'_>,
    socket: BorrowedFd<'_>,
    launched: &mut Launched,
) -> Result<(), LaunchError> {
    match hear(&mut request, launched.pid, socket)? {
        ChildReport::Ready(fds) => sort_terminals(request.steps, fds, launched),
        ChildReport::Failed(failure) => return Err(error::of_step(request.steps, failure)),
        ChildReport::End => return Err(LaunchError::Died),
        ChildReport::Born(_) | ChildReport::Listens(_) | ChildReport::Asks(..) => {
            return Err(LaunchError::Report(Errno::EPROTO));
        }
    }
    (request.before_exec)(launched.pid).map_err(LaunchError::BeforeExec)?;
    report::go(socket).map_err(LaunchError::Report)?;
    match hear(&mut request, launched.pid, socket)? {
        // A closed socket means an executed program, or a process that was killed before that. Our
        // own init never executes one; its exit code is its command's.
        ChildReport::End
            if !has_own_init(request.steps) && never_executed(request.host, launched.pid) =>
        {
            Err(LaunchError::Died)
        }
        ChildReport::End => Ok(()),
        ChildReport::Failed(failure) => Err(error::of_step(request.steps, failure)),
        ChildReport::Ready(_)
        | ChildReport::Born(_)
        | ChildReport::Listens(_)
        | ChildReport::Asks(..) => Err(LaunchError::Report(Errno::EPROTO)),
    }
}

/// Waits for a report, and does what the process asks for meanwhile.
fn hear(
    request: &mut LaunchRequest<'_>,
    pid: i32,
    socket: BorrowedFd<'_>,
) -> Result<ChildReport, LaunchError> {
    loop {
        wait_for_report(pid, socket, request.notifier.as_deref_mut())?;
        match (receive(socket).map_err(LaunchError::Report)?, request.notifier.as_deref_mut()) {
            (ChildReport::Listens(listener), Some(notifier)) => notifier.begin(listener, pid),
            (ChildReport::Asks(step, fd), _) => {
                let step = request.steps.get(step);
                let done = if map::by_ordinary_user(step, pid)? {
                    Ok(None)
                } else {
                    outside::perform(step, pid, fd.as_ref().map(OwnedFd::as_fd))
                };
                report::answer(socket, done).map_err(LaunchError::Report)?;
            }
            (report, _) => return Ok(report),
        }
    }
}

/// Waits for a report from a process that somebody may stop for ever: it is seen by the processes of
/// the container whose pid namespace it shares. What it does itself may take any time, unless this
/// process is asked to end, which the supervisor that starts it blocks. Its calls that others decide
/// about are served meanwhile.
fn wait_for_report(
    pid: i32,
    socket: BorrowedFd<'_>,
    mut notifier: Option<&mut Notifier>,
) -> Result<(), LaunchError> {
    let mut stopped = 0;
    loop {
        let mut fds = vec![PollFd::new(socket, PollFlags::POLLIN)];
        let calls = notifier.iter().flat_map(|it| it.sources());
        fds.extend(calls.map(|it| PollFd::new(it, PollFlags::POLLIN)));
        let ready = poll(&mut fds, LOOK_MS);
        let reported = fds.first().and_then(PollFd::any).unwrap_or_default();
        match ready {
            Ok(0) if script::is_asked_to_end() => return Err(LaunchError::CalledOff),
            Ok(0) if is_stopped(pid) => stopped += 1,
            Ok(0) => stopped = 0,
            Ok(_) if reported => return Ok(()),
            Err(Errno::EINTR) | Ok(_) => (),
            Err(errno) => return Err(LaunchError::Report(errno)),
        }
        if let Some(notifier) = &mut notifier {
            notifier.go_on();
        }
        if stopped == STOPPED_LOOKS {
            return Err(LaunchError::Stopped);
        }
    }
}

/// Returns whether a signal or a tracer keeps the process `pid` from going on.
fn is_stopped(pid: i32) -> bool {
    let stat = procfs::process::Process::new(pid).and_then(|it| it.stat());
    stat.is_ok_and(|it| matches!(it.state, 'T' | 't'))
}

fn has_own_init(steps: &[Step]) -> bool {
    steps.iter().any(|it| matches!(it, Step::BecomeInit { .. }))
}

/// Returns whether the child `pid`, which is not reaped yet, has never executed a program. The
/// kernel clears the flag before it closes what is close-on-exec, and a zombie keeps it. If it
/// cannot be read, it counts as executed.
fn never_executed(host: &Host, pid: i32) -> bool {
    /// `PF_FORKNOEXEC` of the kernel's `sched.h`.
    const NEVER: u32 = 0x40;
    Stat::read(host, pid).is_some_and(|it| it.flags & NEVER != 0)
}

/// The child sends its devpts, then the console if the plan has one, then the ttys.
fn sort_terminals(steps: &[Step], fds: Vec<OwnedFd>, launched: &mut Launched) {
    let mut fds = fds.into_iter();
    launched.devpts = fds.next();
    if steps.iter().any(|it| matches!(it, Step::Console { .. })) {
        launched.console = fds.next();
    }
    launched.ttys = fds.collect();
}

/// Kills and reaps a process that must not live on; returns how it ended.
fn end(pid: i32, pidfd: BorrowedFd<'_>) -> WaitStatus {
    // It may be dead already; what matters is that it is reaped below.
    _ = sys::pidfd_send_signal(pidfd, libc::SIGKILL);
    loop {
        match waitpid(Pid::from_raw(pid), None::<WaitPidFlag>) {
            Err(Errno::EINTR) => (),
            end => return end.unwrap_or(WaitStatus::StillAlive),
        }
    }
}

impl std::fmt::Debug for LaunchRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaunchRequest").field("steps", &self.steps).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_was_killed_before_its_exec_is_told_from_one_that_ended() {
        // Between fork and its end the child only makes system calls, as tests have threads.
        let Some(killed) = sys::fork().unwrap() else {
            _ = sys::kill(std::process::id() as i32, libc::SIGKILL);
            sys::exit_now(0)
        };
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        for pid in [killed, ended.id() as i32] {
            use nix::sys::wait::{Id, waitid};
            let stay = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            waitid(Id::Pid(Pid::from_raw(pid)), stay).unwrap();
        }
        let host = Host::this();
        let told = [killed, ended.id() as i32].map(|it| never_executed(&host, it));
        waitpid(Pid::from_raw(killed), None).unwrap();
        ended.wait().unwrap();
        assert_eq!(told, [true, false]);
    }

    #[test]
    fn a_panic_between_clone_and_exec_ends_the_process_at_once() {
        // As above; the harness's own report of a panic would allocate.
        let Some(child) = sys::fork().unwrap() else {
            sys::die_of_panics(EXIT_SETUP_FAILED);
            panic!("on purpose")
        };
        let status = waitpid(Pid::from_raw(child), None).unwrap();
        let expected = WaitStatus::Exited(Pid::from_raw(child), EXIT_SETUP_FAILED);
        assert_eq!(status, expected);
    }
}
