//! What the new process does to itself on its way into the container. Ends in exec or in a report.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{ControlMessage, MsgFlags, send, sendmsg};
use nix::sys::stat::{Mode, umask};

use super::target::Target;
use super::{Attach, AttachError};
use crate::engine::perform::{enter, exec, take_identity};
use crate::engine::plan::{Program, environment};
use crate::engine::sys;

const READY: u8 = 1;
const FAILED: u8 = 2;
const EXIT_FAILED: i32 = 125;
const SHELL: &str = "/bin/sh";
/// A passwd file larger than this is not read to its end.
const PASSWD_BYTES: u64 = 1 << 20;

/// What the child sends.
#[derive(Debug)]
pub(super) enum Report {
    /// Inside, with the pty to relay, if it has one.
    Ready(Option<OwnedFd>),
    Failed {
        step: u8,
        errno: Errno,
    },
    /// The socket closed: the command runs.
    Runs,
}

/// The steps, for errors.
const STEPS: [&str; 8] = [
    "join the cgroups",
    "enter the namespaces",
    "open a pty",
    "open a session",
    "drop capabilities",
    "take the user's identity",
    "enter /",
    "execute the command",
];

/// All that is prepared before the fork.
#[derive(Debug)]
pub(super) struct Entrance {
    program: Option<Program>,
    uid: u32,
    gid: u32,
    variables: Vec<(String, String)>,
    /// Which of 0, 1 and 2 are terminals of the operator and become the pty.
    terminals: [bool; 3],
}

impl Entrance {
    pub(super) fn new(_target: &Target, attach: &Attach) -> Result<Self, AttachError> {
        let uid = attach.uid.unwrap_or(0);
        let term = std::env::var("TERM").ok();
        let mut variables: Vec<(String, String)> = Vec::new();
        if !attach.clear_environment {
            variables.extend(std::env::vars_os().filter_map(|(key, value)| {
                Some((key.into_string().ok()?, value.into_string().ok()?))
            }));
        }
        for (key, value) in &attach.environment {
            variables.retain(|(other, _)| other != key);
            variables.push((key.clone(), value.clone()));
        }
        variables.retain(|(key, _)| key != "container");
        let variables = environment(&variables, uid, term.as_deref());
        let program = match attach.argv.as_slice() {
            [] => None,
            argv => Some(Program::new(argv, &variables)?),
        };
        let terminals = [
            std::io::stdin().is_terminal(),
            std::io::stdout().is_terminal(),
            std::io::stderr().is_terminal(),
        ];
        Ok(Self { program, uid, gid: attach.gid.unwrap_or(0), variables, terminals })
    }

    /// Runs in the child.
    pub(super) fn run(&self, target: &Target, socket: &OwnedFd, tasks: Vec<OwnedFd>) -> ! {
        let Err((step, errno)) = self.go(target, socket, tasks);
        let [e0, e1, e2, e3] = (errno as i32).to_ne_bytes();
        // The parent sees a closed socket and the exit code if this cannot be sent.
        _ = send(socket.as_raw_fd(), &[FAILED, step, e0, e1, e2, e3], MsgFlags::MSG_NOSIGNAL);
        sys::exit_now(EXIT_FAILED)
    }

    fn go(
        &self,
        target: &Target,
        socket: &OwnedFd,
        tasks: Vec<OwnedFd>,
    ) -> Result<std::convert::Infallible, (u8, Errno)> {
        let at = |step: u8| move |errno: Errno| (step, errno);
        for file in tasks {
            nix::unistd::write(&file, b"0").map_err(at(0))?;
        }
        let others = target.namespaces & !libc::CLONE_NEWPID;
        if others != 0 {
            sys::setns(target.pidfd(), others).map_err(at(1))?;
        }
        let terminal =
            if self.terminals.contains(&true) { Some(Pty::open().map_err(at(2))?) } else { None };
        hand_over(socket.as_fd(), terminal.as_ref()).map_err(at(2))?;
        self.open_session(terminal).map_err(at(3))?;
        confine(target).map_err(at(4))?;
        take_identity(self.uid, self.gid).map_err(at(5))?;
        sys::limit_capabilities(target.bounding).map_err(at(4))?;
        enter(c"/").map_err(at(6))?;
        match &self.program {
            Some(program) => Err((7, exec(program))),
            None => Err((7, self.exec_shell())),
        }
    }

    fn open_session(&self, terminal: Option<Pty>) -> nix::Result<()> {
        sys::reset_signals();
        umask(Mode::from_bits_truncate(0o022));
        nix::unistd::setsid()?;
        let Some(Pty { peer, .. }) = terminal else { return Ok(()) };
        sys::take_terminal(peer.as_fd())?;
        let [stdin, stdout, stderr] = self.terminals;
        if stdin {
            nix::unistd::dup2_stdin(&peer)?;
        }
        if stdout {
            nix::unistd::dup2_stdout(&peer)?;
        }
        if stderr {
            nix::unistd::dup2_stderr(&peer)?;
        }
        Ok(())
    }

    /// Executes the shell that the container's own passwd file names for the user, or `/bin/sh`.
    fn exec_shell(&self) -> Errno {
        let configured = login_shell(self.uid);
        for shell in configured.iter().map(String::as_str).chain([SHELL]) {
            if let Ok(program) = Program::new(&[shell.to_owned()], &self.variables) {
                // Comes back only if this one cannot be executed.
                _ = exec(&program);
            }
        }
        Errno::ENOENT
    }

    /// Turns a report into an error.
    pub(super) fn failure(&self, step: u8, errno: Errno) -> AttachError {
        let last = STEPS.len() - 1;
        match (usize::from(step), &self.program) {
            (step, program) if step == last => {
                let name = program.as_ref().and_then(|it| it.argv.first());
                let program = name.map_or_else(
                    || SHELL.to_owned(),
                    |it| crate::engine::shown::shown_bytes(it.to_bytes()),
                );
                AttachError::Exec { program, errno }
            }
            (step, _) => {
                AttachError::Step { step: STEPS.get(step).copied().unwrap_or("enter"), errno }
            }
        }
    }
}

/// Gives up what init gave up, and the caller's session keyring.
fn confine(target: &Target) -> nix::Result<()> {
    match sys::new_session_keyring() {
        // A kernel without keyrings has none to share.
        Err(Errno::ENOSYS | Errno::EPERM) | Ok(()) => (),
        Err(errno) => return Err(errno),
    }
    if target.no_new_privs {
        nix::sys::prctl::set_no_new_privs()?;
    }
    for capability in (0..64).filter(|it| target.bounding & (1 << it) == 0) {
        match sys::drop_bounding(capability) {
            // A capability that this kernel does not have.
            Err(Errno::EINVAL) | Ok(()) => (),
            Err(errno) => return Err(errno),
        }
    }
    match sys::clear_ambient() {
        // Kernels before 4.3 have no ambient set.
        Err(Errno::EINVAL) => Ok(()),
        result => result,
    }
}

/// A pty in the container's devpts.
#[derive(Debug)]
struct Pty {
    ptmx: OwnedFd,
    peer: OwnedFd,
}

impl Pty {
    /// The container may have put anything at this place: what is opened must be a pty.
    fn open() -> nix::Result<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let ptmx = open("/dev/pts/ptmx", flags | OFlag::O_NONBLOCK, Mode::empty())?;
        let facts = nix::sys::statfs::fstatfs(&ptmx)?;
        if facts.filesystem_type() != nix::sys::statfs::DEVPTS_SUPER_MAGIC {
            return Err(Errno::ENOTTY);
        }
        sys::unlock_pty(ptmx.as_fd())?;
        let peer = sys::open_pty_peer(ptmx.as_fd())?;
        Ok(Self { ptmx, peer })
    }
}

fn hand_over(socket: BorrowedFd<'_>, terminal: Option<&Pty>) -> nix::Result<()> {
    let fds: Vec<_> = terminal.iter().map(|it| it.ptmx.as_raw_fd()).collect();
    let control = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &[][..] } else { &control[..] };
    let payload = [std::io::IoSlice::new(&[READY])];
    sendmsg::<()>(socket.as_raw_fd(), &payload, control, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

impl Report {
    pub(super) fn receive(socket: BorrowedFd<'_>) -> nix::Result<Self> {
        let mut bytes = [0; 6];
        let (count, mut fds) = loop {
            match sys::receive(socket, &mut bytes) {
                Err(Errno::EINTR) => (),
                Err(Errno::ECONNRESET) => return Ok(Self::Runs),
                result => break result?,
            }
        };
        match (count, bytes) {
            (0, _) => Ok(Self::Runs),
            (1, [READY, ..]) => Ok(Self::Ready(fds.pop())),
            (6, [FAILED, step, e0, e1, e2, e3]) => {
                let errno = Errno::from_raw(i32::from_ne_bytes([e0, e1, e2, e3]));
                Ok(Self::Failed { step, errno })
            }
            _ => Err(Errno::EPROTO),
        }
    }
}

/// Reads the shell of `uid` from `/etc/passwd`, which may be anything but is read only as a file.
fn login_shell(uid: u32) -> Option<String> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open("/etc/passwd").ok()?;
    let facts = file.metadata().ok()?;
    if facts.file_type().is_fifo() || facts.mode() & libc::S_IFMT != libc::S_IFREG {
        return None;
    }
    let mut text = Vec::new();
    file.take(PASSWD_BYTES).read_to_end(&mut text).ok()?;
    shell_in(&String::from_utf8_lossy(&text), uid)
}

fn shell_in(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.get(2) == Some(&uid.as_str()))
        .and_then(|fields| fields.get(6).map(|it| (*it).to_owned()))
        .filter(|it| it.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_comes_from_the_users_own_line() {
        let passwd = "root:x:0:0:root:/root:/bin/ash\nops:x:1000:1000::/home/ops:/bin/zsh\nx:y\n";
        assert_eq!(shell_in(passwd, 0).as_deref(), Some("/bin/ash"));
        assert_eq!(shell_in(passwd, 1000).as_deref(), Some("/bin/zsh"));
        assert_eq!(shell_in(passwd, 7), None);
        assert_eq!(shell_in("root:x:0:0:::sh", 0), None);
    }
}
