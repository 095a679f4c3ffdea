//! Answers requests: inspects the run, acts on it, and returns what to send. Reads no socket.

mod groups;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::pty::openpty;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use super::life::Life;
use super::reply::{FollowUp, Reply};
use super::terminal::{ConsoleTerminal, set_close_on_exec, set_nonblocking};
use super::ttys::{Holder, Ttys};
use crate::engine::cgroup::{Cgroup, Hierarchies, Layout, LoadedDevices};
use crate::engine::config::Config;
use crate::engine::entry::launch::Launched;
use crate::engine::entry::notifier::Notifier;
use crate::engine::running::command_socket::wire::{
    self, LogRequest, MAX_STATE, Request, Response, SocketCommand, Wish,
};
use crate::engine::sys::{self, filter::FilterInstruction};
use crate::engine::terms::state::State;

/// How long a v2 freeze asked for by LXC's tools may hold the supervisor.
const FREEZING: Duration = Duration::from_millis(500);

/// Everything a supervisor knows once its container runs.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) life: Life,
    pub(super) config: Config,
    pub(super) init: LaunchedInit,
    pub(super) hierarchies: Hierarchies,
    /// The group with its limits.
    pub(super) cgroup: Cgroup,
    /// The group with its processes: the same, or one in it.
    pub(super) inner: Cgroup,
    pub(super) console: Option<ConsoleTerminal>,
    pub(super) ttys: Ttys,
    /// `lxc.signal.stop`.
    pub(super) stop_signal: i32,
    /// The filter of system calls that init has.
    pub(super) filter: Option<Vec<FilterInstruction>>,
    /// The rules for its devices, if they are no files.
    pub(super) devices: Option<LoadedDevices>,
    /// Asks who decides about the calls that the container's filter leaves to others.
    pub(super) notifier: Option<Notifier>,
    /// How many connections stay open.
    pub(super) kept: usize,
}

/// The container's first process, and what was created for it.
#[derive(Debug)]
pub(super) struct LaunchedInit {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) clone_flags: u64,
    pub(super) devpts: Option<OwnedFd>,
}

impl From<Launched> for LaunchedInit {
    fn from(it: Launched) -> Self {
        Self { pid: it.pid, pidfd: it.pidfd, clone_flags: it.clone_flags, devpts: it.devpts }
    }
}

/// How many open connections there may be for a `command` to be served: more than any sane use
/// needs, with a reserve for those that end the container, or wait for its end.
const fn most_kept(command: SocketCommand) -> usize {
    const MOST: usize = 64;
    const RESERVE: usize = 16;
    if matches!(command, SocketCommand::GetTtyFd | SocketCommand::ConsoleView) {
        return MOST;
    }
    let waits = matches!(
        command,
        SocketCommand::Stop | SocketCommand::AddStateClient | SocketCommand::Wish
    );
    if waits { MOST + RESERVE } else { usize::MAX }
}

/// Writes a program into a file in memory: it may be too long for an answer.
fn in_file(program: &[FilterInstruction]) -> io::Result<OwnedFd> {
    let file = File::from(memfd_create(c"filter", MFdFlags::MFD_CLOEXEC)?);
    let bytes: Vec<u8> = program.iter().flat_map(|it| it.to_bytes()).collect();
    file.write_all_at(&bytes, 0)?;
    Ok(file.into())
}

impl Desk {
    /// Carries out `request` of the connection `holder`, which came with `fds`, and returns what to
    /// send.
    pub(super) fn answer(
        &mut self,
        holder: Holder,
        request: Request,
        payload: &[u8],
        fds: Vec<OwnedFd>,
    ) -> Reply {
        let Some(command) = SocketCommand::from_number(request.command) else {
            return Reply::error(Errno::ENOSYS);
        };
        if self.kept >= most_kept(command) {
            return Reply::error(Errno::EUSERS);
        }
        match command {
            SocketCommand::GetTtyFd => self.tty(holder, request.data as i32),
            SocketCommand::TerminalWinch => Reply::silence(FollowUp::Close),
            SocketCommand::ConsoleView => self.view(),
            SocketCommand::ConsoleLog => self.console_log(payload),
            SocketCommand::Stop => self.stop(),
            SocketCommand::Wish => match Wish::decode(request.data) {
                Some(wish) => Reply { follow_up: FollowUp::Wish(wish), ..Reply::value(0) },
                None => Reply::error(Errno::EINVAL),
            },
            SocketCommand::Freeze => self.freeze(true),
            SocketCommand::Unfreeze => self.freeze(false),
            SocketCommand::ServeStateClients => {
                if let Some(state) = State::from_number(request.data) {
                    self.hear_of_freezer(state);
                }
                Reply::value(0)
            }
            SocketCommand::AddStateClient => self.add_state_client(payload),
            // LXC uses THAWED only as an event.
            SocketCommand::GetState if self.life.state() == State::Thawed => {
                Reply::value(State::Running as u64)
            }
            SocketCommand::GetState => Reply::value(self.life.state() as u64),
            SocketCommand::GetInitPid if self.life.record.init.is_none() => {
                Reply::error(Errno::ESRCH)
            }
            SocketCommand::GetInitPid => Reply::value(self.init.pid as u64),
            SocketCommand::GetCloneFlags => Reply::value(self.init.clone_flags),
            SocketCommand::GetName => Reply::text(self.life.record.name.as_str()),
            SocketCommand::GetLxcpath => Reply::text(&self.life.record.lxcpath.to_string_lossy()),
            SocketCommand::GetConfigItem => self.config_item(payload),
            SocketCommand::GetInitPidfd => Reply::fd(self.init.pidfd.try_clone()),
            SocketCommand::GetFilterFd => match &self.filter {
                Some(filter) => Reply::fd(in_file(filter)),
                None => Reply::value(0),
            },
            SocketCommand::GetDevptsFd => match &self.init.devpts {
                Some(devpts) => Reply::fd(devpts.try_clone()),
                None => Reply::error(Errno::EBADF),
            },
            SocketCommand::SeccompNotifyAddListener => self.add_listener(fds),
            SocketCommand::GetSeccompNotifyFd => self.listener(),
            SocketCommand::AddBpfDeviceCgroup => self.change_devices(payload),
            // Its groups are never those that systemd makes for a scope.
            SocketCommand::GetSystemdScope => Reply::error(Errno::EINVAL),
            SocketCommand::GetCgroup => self.cgroup_path(&self.inner, payload),
            SocketCommand::GetLimitCgroup => self.cgroup_path(&self.cgroup, payload),
            SocketCommand::GetCgroup2Fd => self.unified_fd(&self.inner),
            SocketCommand::GetLimitCgroup2Fd => self.unified_fd(&self.cgroup),
            SocketCommand::GetCgroupFd => self.cgroup_fd(&self.inner, payload),
            SocketCommand::GetLimitCgroupFd => self.cgroup_fd(&self.cgroup, payload),
            SocketCommand::GetCgroupCtx => self.cgroup_ctx(payload),
        }
    }

    /// Drops the pid and the group of a finished run, which may soon belong to another process and
    /// another container, and must not be reported as this one's.
    pub(super) fn forget_ended(&mut self, reaped: bool, swept: bool) {
        let record = &mut self.life.record;
        record.init = record.init.filter(|_| !reaped);
        if swept {
            record.cgroup = None;
            record.cgroup_inodes = Vec::new();
            self.cgroup.forget();
            self.inner.forget();
        }
    }

    fn hear_of_freezer(&mut self, state: State) {
        self.life.follow_freezer(state);
        // A client that thaws sends both, and might be killed in between.
        if state == State::Thawed {
            self.life.follow_freezer(State::Running);
        }
    }

    /// Finds out the result of a freeze that nobody reported, because its client was killed.
    pub(super) fn settle_freeze(&mut self) {
        if self.cgroup.frozen() == Some(true) {
            self.life.follow_freezer(State::Frozen);
        } else if self.cgroup.thawed() == Some(true) {
            self.life.follow_freezer(State::Thawed);
            self.life.follow_freezer(State::Running);
        } else {
            self.life.wait_again();
        }
    }

    fn config_item(&self, payload: &[u8]) -> Reply {
        let value = wire::decode_text(payload)
            .and_then(|key| self.host_end(key).or_else(|| self.config.get(key)));
        let value = value.filter(|it| !it.is_empty() && it.len() < wire::MAX_PAYLOAD);
        // -1, as with LXC.
        value.map_or_else(|| Reply::error(Errno::EPERM), |it| Reply::text(&it))
    }

    /// Returns the name of the host's end that `lxc.net.N.veth.pair` names, which may be made up.
    fn host_end(&self, key: &str) -> Option<String> {
        let index = key.strip_prefix("lxc.net.")?.strip_suffix(".veth.pair")?.parse().ok()?;
        let end = self.life.record.host_steps.iter().find_map(|it| it.host_end(index));
        end.map(str::to_owned)
    }

    /// Receives the calls of the filter of what was attached, as well.
    fn add_listener(&mut self, fds: Vec<OwnedFd>) -> Reply {
        let listener = fds.into_iter().next().ok_or(Errno::EINVAL);
        let notifier = self.notifier.as_mut().ok_or(Errno::EINVAL);
        Reply::done(listener.and_then(|it| notifier.and_then(|to| to.add(it))))
    }

    /// Gives away where the calls of the container's filter are received.
    fn listener(&mut self) -> Reply {
        let own = self.notifier.as_mut().map_or(Err(Errno::EBADF), Notifier::give_away);
        own.map_or_else(Reply::error, |it| Reply::fd(Ok(it)))
    }

    /// Changes a rule for devices where they are no files.
    fn change_devices(&mut self, payload: &[u8]) -> Reply {
        let Some((file, value)) = wire::decode_device(payload) else {
            return Reply::error(Errno::EINVAL);
        };
        // LXC answers -1 to whatever fails.
        let devices = self.devices.as_mut().ok_or(Errno::EPERM);
        let pure = self.hierarchies.layout() == Some(Layout::V2);
        let devices = devices.and_then(|it| if pure { Ok(it) } else { Err(Errno::EPERM) });
        let changed = devices.and_then(|it| it.change(file, &value).map_err(|_why| Errno::EPERM));
        Reply::done(changed)
    }

    fn tty(&mut self, holder: Holder, number: i32) -> Reply {
        let wanted = match number {
            0 => return self.relay(),
            -1 => None,
            number => Some(u32::try_from(number).unwrap_or(u32::MAX)),
        };
        let Some((number, fd)) = self.ttys.take(wanted, holder) else {
            return Reply::error(Errno::EBADF);
        };
        let fd = fd.try_clone_to_owned();
        let reply = Reply::fd(fd);
        if reply.fds.is_empty() {
            self.ttys.free(holder);
            return reply;
        }
        let head = Some(Response { data: u64::from(number), ..Response::default() });
        Reply { head, follow_up: FollowUp::Hold, ..reply }
    }

    /// Gives one end of a new pty away and relays on the other, since the console itself has many
    /// readers.
    fn relay(&self) -> Reply {
        let Some(console) = &self.console else { return Reply::error(Errno::EBADF) };
        let pty = || -> nix::Result<_> {
            let pty = openpty(None, None)?;
            let mut raw = tcgetattr(&pty.slave)?;
            cfmakeraw(&mut raw);
            tcsetattr(&pty.slave, SetArg::TCSANOW, &raw)?;
            set_nonblocking(pty.slave.as_fd())?;
            set_close_on_exec(pty.master.as_fd())?;
            set_close_on_exec(pty.slave.as_fd())?;
            Ok(pty)
        };
        match pty() {
            Ok(pty) => {
                let follow_up =
                    FollowUp::Relay { pty: pty.slave.into(), place: console.ring.end() };
                Reply { follow_up, ..Reply::fd(Ok(pty.master)) }
            }
            Err(errno) => Reply::error(errno),
        }
    }

    fn view(&self) -> Reply {
        let Some(console) = &self.console else { return Reply::error(Errno::ENODEV) };
        let replay = console.ring.copy(0, usize::MAX);
        let follow_up = FollowUp::View { place: console.ring.end(), frames: Vec::new() };
        Reply { follow_up, ..Reply::bytes(replay) }
    }

    fn console_log(&mut self, payload: &[u8]) -> Reply {
        let Some(request) = LogRequest::decode(payload) else {
            return Reply::error(Errno::EINVAL);
        };
        let log = self.console.as_mut().map_or(Err(Errno::EFAULT), |it| it.log(request));
        log.map_or_else(Reply::error, Reply::bytes)
    }

    fn stop(&mut self) -> Reply {
        match sys::pidfd_send_signal(self.init.pidfd.as_fd(), self.stop_signal) {
            // It has ended, and must not start again.
            Err(Errno::ESRCH) => return Reply::silence(FollowUp::Wish(Wish::Stop)),
            Err(errno) => return Reply::error(errno),
            Ok(()) => (),
        }
        // A frozen process does not die; if it stays frozen, the waiting client kills it.
        self.thaw_all();
        // The connection is closed when the container has stopped.
        Reply::silence(FollowUp::Hold)
    }

    /// Thaws a frozen container, so that it receives a signal or dies of one.
    pub(super) fn thaw(&mut self) {
        if self.cgroup.thawed() == Some(false) && self.cgroup.thaw(FREEZING).is_ok() {
            self.life.follow_freezer(State::Thawed);
            self.life.follow_freezer(State::Running);
        }
    }

    /// The same for groups that were frozen inside, which belong to the guest while it is alive.
    pub(super) fn thaw_all(&self) {
        _ = self.cgroup.thaw(FREEZING);
        self.cgroup.thaw_below();
    }

    fn freeze(&mut self, frozen: bool) -> Reply {
        if self.hierarchies.layout() != Some(Layout::V2) {
            return Reply::error(Errno::ENOENT);
        }
        let (first, then, back) = if frozen {
            (State::Freezing, State::Frozen, State::Running)
        } else {
            (State::Thawed, State::Running, State::Frozen)
        };
        self.life.follow_freezer(first);
        let cgroup = &self.cgroup;
        let done = if frozen { cgroup.freeze(FREEZING) } else { cgroup.thaw(FREEZING) };
        self.life.follow_freezer(if done.is_ok() { then } else { back });
        Reply::done(done.map_err(|_why| Errno::EIO))
    }

    fn add_state_client(&self, payload: &[u8]) -> Reply {
        let Some(wanted) = wire::decode_wanted(payload) else {
            return Reply::error(Errno::EINVAL);
        };
        let state = self.life.state();
        let (number, follow_up) = if wanted.at_once.contains(&state) {
            (state as u64, FollowUp::Close)
        } else {
            (MAX_STATE, FollowUp::AwaitState(wanted))
        };
        let head = Response { result: number as i32, payload_len: 0, data: number };
        Reply { head: Some(head), ..Reply::silence(follow_up) }
    }
}
