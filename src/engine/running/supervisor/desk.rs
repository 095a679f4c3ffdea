//! Answers requests: inspects the run, acts on it, and returns what to send. Reads no socket.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::time::Duration;

use nix::errno::Errno;
use nix::pty::openpty;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};

use super::life::Life;
use super::reply::{FollowUp, Reply};
use super::terminal::{ConsoleTerminal, set_close_on_exec, set_nonblocking};
use super::ttys::{Holder, Ttys};
use crate::engine::cgroup::{Cgroup, Hierarchies, Layout, Version};
use crate::engine::config::Config;
use crate::engine::entry::launch::Launched;
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
    /// Carries out `request` of the connection `holder` and returns what to send.
    pub(super) fn answer(&mut self, holder: Holder, request: Request, payload: &[u8]) -> Reply {
        let Some(command) = SocketCommand::from_number(request.command) else {
            return Reply::error(Errno::ENOSYS);
        };
        if self.kept >= most_kept(command) {
            return Reply::error(Errno::EUSERS);
        }
        match command {
            SocketCommand::GetTtyFd => self.tty(holder, request.data as i32),
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
            (MAX_STATE, FollowUp::AwaitState(wanted.states))
        };
        let head = Response { result: number as i32, payload_len: 0, data: number };
        Reply { head: Some(head), ..Reply::silence(follow_up) }
    }

    fn cgroup_path(&self, cgroup: &Cgroup, payload: &[u8]) -> Reply {
        let controller = match payload {
            [] => None,
            text => match wire::decode_text(text) {
                Some(text) => Some(text),
                None => return Reply::error(Errno::EINVAL),
            },
        };
        let found = self.dir_of(cgroup, controller).and_then(|it| self.path_of(&it));
        found.map_or_else(|| Reply::silence(FollowUp::Close), |it| Reply::text(&it))
    }

    /// Only on a v2-only host: LXC's tools freeze with it, and on a hybrid host everything else
    /// uses the v1 freezer.
    fn unified_fd(&self, cgroup: &Cgroup) -> Reply {
        let pure = self.hierarchies.layout() == Some(Layout::V2);
        match self.dir_of(cgroup, None).filter(|_| pure) {
            Some(dir) => Reply::fd(open_dir(&dir)),
            None => Reply::error(Errno::EINVAL),
        }
    }

    /// LXC's `struct cgroup_fd`: layout, utilities, type, descriptor, and 64 bytes of a name.
    fn cgroup_fd(&self, cgroup: &Cgroup, payload: &[u8]) -> Reply {
        const NAME: std::ops::Range<usize> = 16..80;
        let name = payload.get(NAME).unwrap_or_default();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let Some(name) = std::str::from_utf8(name).ok().filter(|it| !it.is_empty()) else {
            return Reply::error(Errno::EINVAL);
        };
        let name = name.to_owned();
        let Some(dir) = self.dir_of(cgroup, Some(&name)) else {
            return Reply::error(Errno::ENOENT);
        };
        let unified = self.dir_of(cgroup, None).as_ref() == Some(&dir);
        let magic = if unified { libc::CGROUP2_SUPER_MAGIC } else { libc::CGROUP_SUPER_MAGIC };
        let mut answer = self.layout().to_ne_bytes().to_vec();
        answer.extend(0_u32.to_ne_bytes());
        answer.extend((magic as i32).to_ne_bytes());
        answer.extend((-1_i32).to_ne_bytes());
        answer.extend_from_slice(payload.get(NAME).unwrap_or_default());
        let reply = Reply::fd(open_dir(&dir));
        if reply.fds.is_empty() { reply } else { Reply { fds: reply.fds, ..Reply::bytes(answer) } }
    }

    /// LXC's `struct cgroup_ctx`: layout, utilities, and the number of descriptors, which lie in
    /// the message itself; the array for them is filled by the client.
    fn cgroup_ctx(&self, payload: &[u8]) -> Reply {
        const LEN: usize = 96;
        const MOST: usize = 20;
        if payload.len() != LEN {
            return Reply::error(Errno::EINVAL);
        }
        let dirs = self.inner.dirs();
        let fds: io::Result<Vec<_>> = dirs.iter().take(MOST).map(|it| open_dir(it)).collect();
        let Some(fds) = fds.ok().filter(|it| !it.is_empty()) else {
            return Reply::error(Errno::ENOENT);
        };
        let mut answer = self.layout().to_ne_bytes().to_vec();
        answer.extend(0_u32.to_ne_bytes());
        answer.extend((fds.len() as u32).to_ne_bytes());
        answer.resize(LEN, 0);
        Reply { fds, ..Reply::bytes(answer) }
    }

    /// LXC's number for the host's layout.
    fn layout(&self) -> i32 {
        match self.hierarchies.layout() {
            None => -1,
            Some(Layout::V1) => 0,
            Some(Layout::Hybrid) => 1,
            Some(Layout::V2) => 2,
        }
    }

    /// Returns the path of a group below the root of its hierarchy.
    fn path_of(&self, dir: &std::path::Path) -> Option<String> {
        let mut all = self.hierarchies.iter();
        all.find(|it| dir.starts_with(&it.mount)).map(|it| it.path_of(dir))
    }

    /// Returns the directory of `cgroup` in the hierarchy of `controller`, or in the unified one.
    fn dir_of(&self, cgroup: &Cgroup, controller: Option<&str>) -> Option<std::path::PathBuf> {
        let dirs = cgroup.dirs();
        let hierarchy = self.hierarchies.iter().find(|it| match controller {
            Some(controller) => it.controls(controller),
            None => it.version == Version::V2,
        });
        // v2 freezes and filters devices without a controller of that name.
        let implied = matches!(controller, Some("freezer" | "devices" | "unified"));
        let hierarchy = hierarchy.or_else(|| self.hierarchies.unified().filter(|_| implied))?;
        dirs.into_iter().find(|it| it.starts_with(&hierarchy.mount))
    }
}

fn open_dir(dir: &std::path::Path) -> io::Result<OwnedFd> {
    let flags = libc::O_DIRECTORY | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    Ok(File::options().read(true).custom_flags(flags).open(dir)?.into())
}
