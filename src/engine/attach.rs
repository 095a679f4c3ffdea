//! The verb `attach`: runs a command inside a running container, on a pty of its own.
//!
//! The child enters with what the container's init has: its cgroups, namespaces, capability bounds
//! and no_new_privs. Until the command runs, the container cannot look into it (CVE-2016-9962).

mod enter;
mod target;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::relay;
use super::sys::{self, Side};
use super::{Engine, Error, Exit, Kind, Name, plan, seal};
use enter::{Entrance, Report};
use target::{Target, TargetError};

/// What to run inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attach {
    /// Empty: the login shell of the user inside, else `/bin/sh`.
    pub argv: Vec<String>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// `-v NAME=VALUE`.
    pub environment: Vec<(String, String)>,
    /// `--clear-env`.
    pub clear_environment: bool,
}

/// Why nothing could be run inside.
#[derive(Debug, thiserror::Error)]
enum AttachError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("{step}: {}", errno.desc())]
    Step { step: &'static str, errno: Errno },
    #[error("{program}: {}", errno.desc())]
    Exec { program: String, errno: Errno },
    #[error(transparent)]
    Plan(#[from] plan::PlanError),
    #[error("relay the terminal")]
    Relay(#[from] io::Error),
}

impl AttachError {
    const fn kind(&self) -> Kind {
        match self {
            Self::Target(error) => error.kind(),
            Self::Exec { errno: Errno::ENOENT, .. } => Kind::NoCommand,
            Self::Exec { .. } => Kind::BadCommand,
            Self::Step { errno: Errno::EPERM | Errno::EACCES, .. } => Kind::Denied,
            Self::Step { .. } | Self::Relay(_) => Kind::Failed,
            Self::Plan(_) => Kind::Invalid,
        }
    }
}

impl Engine {
    /// Runs the command and relays this process's terminal (or pipes) to it until it ends.
    /// Single-threaded callers: it forks.
    pub fn attach(&self, name: &Name, attach: &Attach) -> Result<Exit, Error> {
        seal::reexec();
        self.attach_sealed(name, attach)
            .map_err(|error| Error::new("attach to", name, error.kind(), error))
    }

    fn attach_sealed(&self, name: &Name, attach: &Attach) -> Result<Exit, AttachError> {
        let target = Target::find(&self.lxcpath, name)?;
        let entrance = Entrance::new(&target, attach)?;
        let at = |step| move |errno| AttachError::Step { step, errno };
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .map_err(at("make a socket pair"))?;
        let entry = target.entry()?;
        // From here on nothing of this process may be seen from inside.
        nix::sys::prctl::set_dumpable(false).map_err(at("hide from the container"))?;
        // Changes where children are born, not this process.
        sys::setns(target.pidfd(), libc::CLONE_NEWPID).map_err(at("enter the pid namespace"))?;
        let unified = entry.unified.as_ref().map(OwnedFd::as_fd);
        match sys::clone3(0, unified).map_err(at("create a process"))? {
            Side::Child => {
                drop(ours);
                entrance.run(&target, &theirs, entry.tasks)
            }
            Side::Parent { pid, pidfd } => {
                drop(theirs);
                let terminal = match Report::receive(ours.as_fd()) {
                    Ok(Report::Ready(terminal)) => terminal,
                    Ok(Report::Failed { step, errno }) => {
                        return Err(entrance.failure(step, errno));
                    }
                    Ok(Report::Runs) => None,
                    Err(errno) => return Err(at("enter the container")(errno)),
                };
                if let Ok(Report::Failed { step, errno }) = Report::receive(ours.as_fd()) {
                    return Err(entrance.failure(step, errno));
                }
                relay::until_end(terminal, pidfd.as_fd())?;
                wait(pid).map_err(at("wait for the command"))
            }
        }
    }
}

fn wait(pid: i32) -> nix::Result<Exit> {
    use nix::sys::wait::WaitStatus;
    loop {
        match waitpid(Pid::from_raw(pid), None) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(Exit::Code(code as u8)),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(Exit::Signal(signal as i32)),
            Ok(_) | Err(Errno::EINTR) => (),
            Err(errno) => return Err(errno),
        }
    }
}
