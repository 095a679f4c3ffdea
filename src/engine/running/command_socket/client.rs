//! The client side: one method for each request. Waits for no answer longer than two seconds.

mod filter;
pub(super) mod groups;

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use nix::errno::Errno;

use super::address::{Address, dial, name_of};
use super::error::SocketError;
use super::exchange::{self, Answer, PATIENCE, refuse};
use super::find;
use super::holder;
use super::trust::{Judge, Speaker};
use super::wire::{self, LogRequest, SocketCommand};
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::sys;
use crate::engine::terms::name::Name;
use crate::engine::terms::state::State;

/// One container's supervisor, which may exit at any time. No other process is trusted.
#[derive(Debug)]
pub struct Client {
    address: Address,
    judge: Judge,
    /// The process that answers there, once it is known.
    speaker: OnceLock<Speaker>,
    /// The connection that proved that the supervisor is alive; the first request uses it.
    fresh: Mutex<Option<UnixStream>>,
}

/// The container's first process, held so that its pid cannot be reused.
#[derive(Debug)]
pub struct Init {
    pub pid: i32,
    pub pidfd: OwnedFd,
}

/// A terminal of the container, ours until this is dropped.
#[derive(Debug)]
pub struct Tty {
    /// The side of the pty that a terminal emulator holds.
    pub fd: OwnedFd,
    /// 0 is the console.
    pub number: u32,
    /// The connection that holds it: when it closes the container has stopped.
    pub keep: UnixStream,
}

/// Buffered console output, as LXC keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleLog {
    Output(Vec<u8>),
    /// `lxc.console.buffer.size` is not set.
    Off,
}

impl Client {
    /// Connects to the supervisor of `name`; `None` when there is none. One of wharf's is reached
    /// where no other user can listen, others by LXC's name for them.
    pub fn connect(lxcpath: &Lxcpath, name: &Name) -> Result<Option<Self>, SocketError> {
        let judge = Judge::about(lxcpath, name);
        if let Some(client) = Self::reach(Address::private(lxcpath, name), &judge)? {
            return Ok(Some(client));
        }
        let own = name_of(lxcpath.dir(), name.as_str());
        let found = Self::reach(Address::Public(own), &judge);
        if matches!(found, Ok(Some(_))) {
            return found;
        }
        match find::elsewhere(lxcpath, name)? {
            Some(socket) => Self::reach(Address::Public(socket), &judge),
            None => found,
        }
    }

    /// Connects to `address` if the process that listens and answers there is trusted.
    pub(super) fn reach(address: Address, judge: &Judge) -> Result<Option<Self>, SocketError> {
        let client = Self {
            address,
            judge: judge.clone(),
            speaker: OnceLock::new(),
            fresh: Mutex::new(None),
        };
        let Some(stream) = client.try_dial()? else { return Ok(None) };
        client.check_halted(&stream)?;
        let client = Self { fresh: Mutex::new(Some(stream)), ..client };
        match client.speaker() {
            Ok(_) => Ok(Some(client)),
            // It has just ended.
            Err(SocketError::Closed) => Ok(None),
            Err(SocketError::Silent) => {
                holder::check(&client.address, judge)?;
                Err(SocketError::Silent)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks for the container's state as the supervisor knows it.
    pub fn state(&self) -> Result<State, SocketError> {
        let answer = self.ask("the state", SocketCommand::GetState, 0, &[])?;
        State::from_number(answer.head.data).ok_or(SocketError::Nonsense { what: "the state" })
    }

    /// Asks for init and opens a pidfd of it. The reported process is accepted as init only if it
    /// belongs to the container.
    pub fn init(&self) -> Result<Init, SocketError> {
        let answer = self.ask("the pid", SocketCommand::GetInitPid, 0, &[])?;
        let pid = i32::try_from(answer.head.data).ok().filter(|pid| *pid > 0);
        let pid = pid.ok_or(SocketError::Nonsense { what: "the pid" })?;
        let pidfd = match sys::pidfd_open(pid) {
            Ok(pidfd) => pidfd,
            Err(Errno::ESRCH) => return Err(SocketError::Closed),
            Err(errno) => return Err(SocketError::Hold { pid, source: errno }),
        };
        let inside = self.judge.has_child(self.speaker()?, pid);
        if sys::pidfd_send_signal(pidfd.as_fd(), 0) == Err(Errno::ESRCH) {
            return Err(SocketError::Closed);
        }
        if inside { Ok(Init { pid, pidfd }) } else { Err(SocketError::Outside { pid }) }
    }

    /// Opens a pidfd of the supervisor itself: its end is the container's.
    pub fn supervisor(&self) -> Result<OwnedFd, SocketError> {
        let identity = self.speaker()?.identity();
        let pidfd = sys::pidfd_open(identity.pid).map_err(|_gone| SocketError::Closed)?;
        if identity.lives(self.judge.host()) { Ok(pidfd) } else { Err(SocketError::Closed) }
    }

    /// Returns whether the supervisor is another user's, who must not gain any rights through the
    /// container.
    pub fn is_another_users(&self) -> Result<bool, SocketError> {
        Ok(self.speaker()?.is_limited())
    }

    /// Asks for the value of a configuration key; `None` when it is unknown or has none.
    pub fn config_item(&self, key: &str) -> Result<Option<String>, SocketError> {
        let payload = wire::encode_text(key);
        match self.ask("the configuration", SocketCommand::GetConfigItem, 0, &payload) {
            Ok(answer) => text("the configuration", &answer.payload).map(Some),
            Err(SocketError::Denied { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes terminal `number`, or the first free one.
    pub fn tty(&self, number: Option<u32>) -> Result<Tty, SocketError> {
        let wanted = number.map_or(-1, |it| i32::try_from(it).unwrap_or(i32::MAX));
        let data = i64::from(wanted) as u64;
        let answer = match self.ask("a terminal", SocketCommand::GetTtyFd, data, &[]) {
            Err(SocketError::Closed | SocketError::Refused { source: Errno::EBADF, .. }) => {
                return Err(SocketError::NoTty(wanted));
            }
            other => other?,
        };
        let fd = answer.fds.into_iter().next().ok_or(SocketError::NoTty(wanted))?;
        let number = u32::try_from(answer.head.data)
            .map_err(|_large| SocketError::Nonsense { what: "a terminal" })?;
        Ok(Tty { fd, number, keep: answer.stream })
    }

    /// Reads, and thereby consumes, the console output in LXC's buffer.
    pub fn console_log(&self) -> Result<ConsoleLog, SocketError> {
        let request = LogRequest { read: true, ..LogRequest::default() };
        match self.ask("the console's output", SocketCommand::ConsoleLog, 0, &request.encode()) {
            Ok(answer) => Ok(ConsoleLog::Output(answer.payload)),
            Err(SocketError::Refused { source: Errno::ENODATA, .. }) => {
                Ok(ConsoleLog::Output(Vec::new()))
            }
            Err(SocketError::Refused { source: Errno::EFAULT, .. }) => Ok(ConsoleLog::Off),
            Err(error) => Err(error),
        }
    }

    /// Has the supervisor add a rule for devices, from [`wire::encode_device`]: on v2 no file has them.
    pub fn change_device(&self, rule: &[u8]) -> Result<(), SocketError> {
        self.ask("a rule for devices", SocketCommand::AddBpfDeviceCgroup, 0, rule).map(drop)
    }

    /// Has the supervisor announce that the container is now in `state`, which it learns only this
    /// way: the freezer is written by the process that freezes.
    pub fn serve_state(&self, state: State) -> Result<(), SocketError> {
        self.ask("a notice of its state", SocketCommand::ServeStateClients, state as u64, &[])
            .map(drop)
    }

    /// Sends one request and reads its response, refusals turned into errors.
    pub(super) fn ask(
        &self,
        what: &'static str,
        command: SocketCommand,
        data: u64,
        payload: &[u8],
    ) -> Result<Answer, SocketError> {
        let speaker = self.speaker()?;
        let answer = self.ask_anyone(what, command, data, payload)?;
        self.judge.confirm(speaker, answer.sender)?;
        let head = refuse(what, answer.head)?;
        Ok(Answer { head, ..answer })
    }

    /// Returns which process answers here, according to a first answer.
    fn speaker(&self) -> Result<Speaker, SocketError> {
        if let Some(speaker) = self.judge.expected().or_else(|| self.speaker.get().copied()) {
            return Ok(speaker);
        }
        let answer = self.ask_anyone("the state", SocketCommand::GetState, 0, &[])?;
        let speaker = self.judge.identify(answer.sender)?;
        Ok(*self.speaker.get_or_init(|| speaker))
    }

    /// The same, for any sender and any answer.
    fn ask_anyone(
        &self,
        what: &'static str,
        command: SocketCommand,
        data: u64,
        payload: &[u8],
    ) -> Result<Answer, SocketError> {
        let fresh = self.fresh.lock().ok().and_then(|mut it| it.take());
        let was_fresh = fresh.is_some();
        let stream = fresh.map_or_else(|| self.dial(), Ok)?;
        self.check_halted(&stream)?;
        match exchange::ask(stream, what, command, data, payload) {
            // A supervisor drops clients that send nothing for a second after connecting, and on a
            // loaded machine we may have been that late.
            Err(SocketError::Closed) if was_fresh => {
                exchange::ask(self.dial()?, what, command, data, payload)
            }
            answer => answer,
        }
    }

    /// Fails if a signal has stopped who should answer, so that nobody waits for what cannot come.
    fn check_halted(&self, stream: &UnixStream) -> Result<(), SocketError> {
        let halted = self.judge.halted(self.speaker.get().copied(), stream);
        halted.map_or(Ok(()), |pid| Err(SocketError::Halted { pid }))
    }

    fn dial(&self) -> Result<UnixStream, SocketError> {
        self.try_dial()?.ok_or(SocketError::Closed)
    }

    fn try_dial(&self) -> Result<Option<UnixStream>, SocketError> {
        let stream = match dial(&self.address, Duration::ZERO) {
            // A process that does not accept connections cannot be identified by one.
            Err(SocketError::Silent) => {
                holder::check(&self.address, &self.judge)?;
                dial(&self.address, PATIENCE)?
            }
            dialled => dialled?,
        };
        if let Some(stream) = &stream {
            self.judge.admit(stream)?;
        }
        Ok(stream)
    }
}

fn text(what: &'static str, payload: &[u8]) -> Result<String, SocketError> {
    let text = wire::decode_text(payload).ok_or(SocketError::Nonsense { what })?;
    Ok(text.to_owned())
}
