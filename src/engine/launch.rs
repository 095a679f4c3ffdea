//! Creates the container's first process and follows it until its program runs. The only module
//! that makes one for a container; what the process does is in the plan.
//!
//! The two sides share a socket pair. The child sends READY with the terminals, waits for GO, and
//! then either executes its program, which closes the socket, or sends the step that failed.

use std::io::IoSliceMut;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, send, socketpair,
};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::error::Kind;
use super::perform::{Failure, Part, Site, perform};
use super::plan::{MAX_TTYS, Step};
use super::spec::Network;
use super::sys::{self, Side};

pub(super) const READY: u8 = 1;
pub(super) const GO: u8 = 2;
const FAILED: u8 = 3;
/// FAILED, the part, two bytes of nothing, the step's index and the errno.
const REPORT: usize = 12;
const EXIT_SETUP_FAILED: i32 = 125;

/// What to launch.
pub struct Order<'a> {
    pub steps: &'a [Step],
    pub network: Network,
    pub cgroup: Option<&'a Cgroup>,
    /// Which of the descriptors 0, 1 and 2 the payload gets as they are. Never a terminal.
    pub inherit: [bool; 3],
    /// Runs in the supervisor when the container stands and its program does not run yet.
    pub before_exec: &'a mut dyn FnMut() -> Result<(), BeforeExec>,
}

/// Why the supervisor stopped a launch in its last moment.
pub type BeforeExec = Box<dyn std::error::Error + Send + Sync>;

/// A container whose program runs.
#[derive(Debug)]
pub struct Launched {
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

/// Why a container did not come to life.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("open the cgroups")]
    Cgroup(#[source] super::cgroup::CgroupError),
    #[error("make a socket pair")]
    Socket(#[source] Errno),
    #[error("create a process in new namespaces")]
    Clone(#[source] Errno),
    #[error("read the start report")]
    Report(#[source] Errno),
    #[error("{step}{part}: {reason}{place}")]
    Step { step: String, part: &'static str, reason: &'static str, place: String, errno: Errno },
    /// The program itself could not be executed.
    #[error("{program}: {reason}")]
    Exec { program: String, reason: &'static str, errno: Errno },
    #[error("init died before its program ran")]
    Died,
    #[error("finish the container")]
    BeforeExec(#[source] BeforeExec),
}

impl LaunchError {
    /// Returns what sort of refusal it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Cgroup(error) => error.kind(),
            Self::Exec { errno: Errno::ENOENT, .. } => Kind::NoCommand,
            Self::Exec { .. } => Kind::BadCommand,
            Self::Clone(Errno::EPERM) | Self::Step { errno: Errno::EPERM | Errno::EACCES, .. } => {
                Kind::Denied
            }
            Self::Step { errno: Errno::ENOENT, .. } => Kind::NotFound,
            Self::Socket(_)
            | Self::Clone(_)
            | Self::Report(_)
            | Self::Step { .. }
            | Self::Died
            | Self::BeforeExec(_) => Kind::Failed,
        }
    }
}

/// Makes the process and returns when its program runs.
///
/// The caller must be single-threaded: see "Between clone and exec" in ARCHITECTURE.md.
pub fn launch(order: Order<'_>) -> Result<Launched, LaunchError> {
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(LaunchError::Socket)?;
    let entry = order.cgroup.map(Cgroup::entry).transpose().map_err(LaunchError::Cgroup)?;
    let (tasks, unified) = entry.map_or((Vec::new(), None), |it| (it.tasks, it.unified));
    let flags = namespaces(order.network);
    let side = sys::clone3(flags, unified.as_ref().map(OwnedFd::as_fd));
    match side.map_err(LaunchError::Clone)? {
        Side::Child => {
            drop(ours);
            be_born(&order, theirs.as_fd(), tasks)
        }
        Side::Parent { pid, pidfd } => {
            drop(theirs);
            let clone_flags = flags | libc::CLONE_NEWCGROUP as u64;
            let mut launched =
                Launched { pid, pidfd, console: None, ttys: Vec::new(), devpts: None, clone_flags };
            match follow(order, ours.as_fd(), &mut launched) {
                Ok(()) => Ok(launched),
                Err(error) => {
                    end(&launched);
                    Err(error)
                }
            }
        }
    }
}

/// The new namespaces; the cgroup namespace is made later, inside the container's own groups.
const fn namespaces(network: Network) -> u64 {
    let always = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    match network {
        Network::Host => always as u64,
        Network::Empty => (always | libc::CLONE_NEWNET) as u64,
    }
}

fn be_born(order: &Order<'_>, supervisor: BorrowedFd<'_>, tasks: Vec<OwnedFd>) -> ! {
    // Until its own program runs, nothing in the container may look into this process
    // (CVE-2016-9962, CVE-2019-5736). Cannot fail for these arguments.
    _ = nix::sys::prctl::set_dumpable(false);
    let mut site = Site::new(supervisor, tasks, order.inherit);
    let failure = perform(order.steps, &mut site);
    // The parent sees a broken socket if this cannot be sent.
    _ = send(supervisor.as_raw_fd(), &report(failure), MsgFlags::MSG_NOSIGNAL);
    sys::exit_now(EXIT_SETUP_FAILED)
}

fn follow(
    order: Order<'_>,
    socket: BorrowedFd<'_>,
    launched: &mut Launched,
) -> Result<(), LaunchError> {
    match receive(socket)? {
        Word::Ready(fds) => sort_terminals(order.steps, fds, launched),
        Word::Failed(failure) => return Err(step_error(order.steps, failure)),
        Word::End => return Err(LaunchError::Died),
    }
    (order.before_exec)().map_err(LaunchError::BeforeExec)?;
    send(socket.as_raw_fd(), &[GO], MsgFlags::MSG_NOSIGNAL).map_err(LaunchError::Report)?;
    match receive(socket)? {
        // A closed socket is an executed program, or a process that was killed on its way there.
        // Our own init never executes one; what became of its command is its exit code.
        Word::End if !has_own_init(order.steps) && never_executed(launched.pid) => {
            Err(LaunchError::Died)
        }
        Word::End => Ok(()),
        Word::Failed(failure) => Err(step_error(order.steps, failure)),
        Word::Ready(_) => Err(LaunchError::Report(Errno::EPROTO)),
    }
}

fn has_own_init(steps: &[Step]) -> bool {
    steps.iter().any(|it| matches!(it, Step::BecomeInit { .. }))
}

/// Tells whether the child `pid`, which is not reaped yet, has never executed a program. The
/// kernel clears the flag before it closes what is close-on-exec, and a zombie keeps it. What
/// cannot be read counts as executed.
fn never_executed(pid: i32) -> bool {
    procfs::process::Process::new(pid)
        .and_then(|it| it.stat())
        .and_then(|it| it.flags())
        .is_ok_and(|it| it.contains(procfs::process::StatFlags::PF_FORKNOEXEC))
}

/// The child sends its devpts, then the console if the plan has one, then the ttys.
fn sort_terminals(steps: &[Step], fds: Vec<OwnedFd>, launched: &mut Launched) {
    let mut fds = fds.into_iter();
    launched.devpts = fds.next();
    if steps.iter().any(|it| matches!(it, Step::Console)) {
        launched.console = fds.next();
    }
    launched.ttys = fds.collect();
}

enum Word {
    Ready(Vec<OwnedFd>),
    Failed(Failure),
    End,
}

fn receive(socket: BorrowedFd<'_>) -> Result<Word, LaunchError> {
    let mut bytes = [0_u8; REPORT];
    let mut space = nix::cmsg_space!([RawFd; MAX_TTYS as usize + 2]);
    let (got, fds) = loop {
        let mut payload = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(socket.as_raw_fd(), &mut payload, Some(&mut space), flags) {
            Ok(message) => {
                let fds = message.cmsgs().map_err(LaunchError::Report)?.flat_map(rights).collect();
                break (message.bytes, fds);
            }
            Err(Errno::EINTR) => (),
            // A child that dies with our word unread resets the connection.
            Err(Errno::ECONNRESET) => break (0, Vec::new()),
            Err(errno) => return Err(LaunchError::Report(errno)),
        }
    };
    match (got, bytes) {
        (0, _) => Ok(Word::End),
        (1, [READY, ..]) => Ok(Word::Ready(fds)),
        (REPORT, [FAILED, ..]) => Ok(Word::Failed(read_report(bytes))),
        _ => Err(LaunchError::Report(Errno::EPROTO)),
    }
}

fn rights(message: ControlMessageOwned) -> Vec<OwnedFd> {
    let ControlMessageOwned::ScmRights(fds) = message else { return Vec::new() };
    fds.into_iter().map(sys::own_fd).collect()
}

const fn report(failure: Failure) -> [u8; REPORT] {
    let part = match failure.part {
        Part::Whole => 0,
        Part::Source => 1,
        Part::Target => 2,
    };
    let [s0, s1, s2, s3] = (failure.step as u32).to_ne_bytes();
    let [e0, e1, e2, e3] = (failure.errno as i32).to_ne_bytes();
    [FAILED, part, 0, 0, s0, s1, s2, s3, e0, e1, e2, e3]
}

const fn read_report(bytes: [u8; REPORT]) -> Failure {
    let [_, part, _, _, s0, s1, s2, s3, e0, e1, e2, e3] = bytes;
    let part = match part {
        1 => Part::Source,
        2 => Part::Target,
        _ => Part::Whole,
    };
    Failure {
        step: u32::from_ne_bytes([s0, s1, s2, s3]) as usize,
        part,
        errno: Errno::from_raw(i32::from_ne_bytes([e0, e1, e2, e3])),
    }
}

fn step_error(steps: &[Step], failure: Failure) -> LaunchError {
    let Failure { step, part, errno } = failure;
    let step = steps.get(step);
    if let Some(Step::Exec(program)) = step {
        let name = program.argv.first().map(|it| super::shown::shown_bytes(it.to_bytes()));
        return LaunchError::Exec {
            program: name.unwrap_or_default(),
            reason: errno.desc(),
            errno,
        };
    }
    let place = step.and_then(Step::place).map_or_else(String::new, |it| format!(" ({it})"));
    let part = match part {
        Part::Whole => "",
        Part::Source => ": source",
        Part::Target => ": target",
    };
    let step = step.map_or_else(|| "unknown step".to_owned(), Step::to_string);
    LaunchError::Step { step, part, reason: errno.desc(), place, errno }
}

/// Kills and reaps a process that is not to live.
fn end(launched: &Launched) {
    // It may be dead already; reaping below is what counts.
    _ = sys::pidfd_send_signal(launched.pidfd.as_fd(), libc::SIGKILL);
    while waitpid(Pid::from_raw(launched.pid), None::<WaitPidFlag>) == Err(Errno::EINTR) {}
}

impl std::fmt::Debug for Order<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Order").field("steps", &self.steps).finish_non_exhaustive()
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
        let told = (never_executed(killed), never_executed(ended.id() as i32));
        waitpid(Pid::from_raw(killed), None).unwrap();
        ended.wait().unwrap();
        assert_eq!(told, (true, false));
    }

    #[test]
    fn a_report_survives_the_wire() {
        let failure = Failure { step: 7, part: Part::Target, errno: Errno::ENOENT };
        assert_eq!(read_report(report(failure)), failure);
    }
}
