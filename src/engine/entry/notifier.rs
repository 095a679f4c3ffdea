//! Asks who decides about the system calls that a container's filter leaves to others: the program at
//! `lxc.seccomp.notify.proxy`, in LXC's form. One call at a time, and never waiting: the others wait in
//! the kernel. What nobody answers fails with ENOSYS.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, getsockopt,
    recvmsg, sendmsg, socket, sockopt,
};
use nix::unistd::geteuid;

use crate::engine::sys::notify::{self, NotifySizes};
use crate::engine::terms::spec::NotifySpec;

/// How long an answer may take, as with LXC.
const PATIENCE: Duration = Duration::from_secs(30);
/// What goes before the kernel's structures: nothing, the supervisor's pid, init's, the sizes of the
/// structures, padding, and the length of the cookie.
const HEAD: usize = 32;
/// Where the id and the pid are in the kernel's `struct seccomp_notif`.
const ID: std::ops::Range<usize> = 0..8;
const PID: std::ops::Range<usize> = 8..12;
/// Where the error is in the kernel's `struct seccomp_notif_resp`, behind the id and the value.
const ERROR: std::ops::Range<usize> = 16..20;

/// The calls of one container.
#[derive(Debug)]
pub(in crate::engine) struct Notifier {
    spec: NotifySpec,
    sizes: NotifySizes,
    init: i32,
    /// One for each filter: the container's own, and those of what is attached to it.
    listeners: Vec<OwnedFd>,
    /// Somebody else receives the calls.
    given_away: bool,
    proxy: Option<OwnedFd>,
    /// The call that is being decided.
    asked: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    id: u64,
    /// Which listener it came from.
    at: usize,
    due: Instant,
}

/// Why there can be no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unanswered;

impl From<Errno> for Unanswered {
    fn from(_: Errno) -> Self {
        Self
    }
}

impl Notifier {
    /// Connects to the proxy, if there is one.
    pub(in crate::engine) fn new(spec: &NotifySpec) -> nix::Result<Self> {
        let proxy = spec.proxy.as_deref().map(reach).transpose()?;
        let sizes = notify::notify_sizes()?;
        let (listeners, given_away) = (Vec::new(), false);
        let spec = spec.clone();
        Ok(Self { spec, sizes, init: 0, listeners, given_away, proxy, asked: None })
    }

    /// Takes where the calls of the container of `init` are received.
    pub(in crate::engine) fn begin(&mut self, listener: OwnedFd, init: i32) {
        self.listeners.push(listener);
        self.init = init;
    }

    /// Takes where the calls of another filter are received, as LXC does for what it attaches: only if
    /// there is a proxy to decide.
    pub(in crate::engine) fn add(&mut self, listener: OwnedFd) -> nix::Result<()> {
        /// More than any sane use has; one lasts as long as what was attached with it.
        const MOST: usize = 64;
        if self.spec.proxy.is_none() || !notify::is_listener(listener.as_fd()) {
            return Err(Errno::EINVAL);
        }
        if self.listeners.len() >= MOST {
            return Err(Errno::EUSERS);
        }
        self.listeners.push(listener);
        Ok(())
    }

    /// Gives away where the container's calls are received: the one who has it decides from now on, as
    /// with LXC. Refused if there is a proxy, which gets it with each call: of two who receive, one may
    /// wait for ever for a call that the other has taken.
    pub(in crate::engine) fn give_away(&mut self) -> nix::Result<OwnedFd> {
        if self.spec.proxy.is_some() {
            return Err(Errno::EBADF);
        }
        let own = self.listeners.first().ok_or(Errno::EBADF)?.as_fd().try_clone_to_owned();
        let own = own.map_err(|_none_left| Errno::EMFILE)?;
        self.given_away = true;
        Ok(own)
    }

    /// Returns what to wait for before [`Self::go_on`]: the next call, or its answer.
    pub(in crate::engine) fn sources(&self) -> Vec<BorrowedFd<'_>> {
        let sources: Vec<&OwnedFd> = match self.asked {
            Some(_) => self.proxy.iter().collect(),
            None if self.given_away => Vec::new(),
            None => self.listeners.iter().collect(),
        };
        sources.into_iter().map(OwnedFd::as_fd).collect()
    }

    /// Returns when the answer is no longer waited for.
    pub(in crate::engine) fn due(&self) -> Option<Instant> {
        self.asked.as_ref().map(|it| it.due)
    }

    /// Does what can be done without waiting.
    pub(in crate::engine) fn go_on(&mut self) {
        let Some(Asked { id, at, due }) = self.asked else { return self.ask() };
        match self.answer(id) {
            Ok(Some(answer)) => self.tell(at, &answer),
            Ok(None) if Instant::now() < due => return,
            Ok(None) | Err(Unanswered) => {
                // A late answer would be taken for the next one.
                self.proxy = None;
                self.tell(at, &self.no_answer(id));
            }
        }
        self.asked = None;
    }

    /// Receives the next call and passes it on.
    fn ask(&mut self) {
        if self.given_away {
            return;
        }
        // The last process with the filter has ended.
        self.listeners.retain(|it| {
            let ready = readiness(it);
            ready.contains(PollFlags::POLLIN) || !ready.contains(PollFlags::POLLHUP)
        });
        let ready = |it: &OwnedFd| readiness(it).contains(PollFlags::POLLIN);
        let Some(at) = self.listeners.iter().position(ready) else { return };
        // Each has its turn.
        let listener = self.listeners.remove(at);
        let received = notify::receive_call(listener.as_fd(), self.sizes);
        // The process may have ended meanwhile. What fails otherwise would be ready for ever.
        if matches!(received, Ok(_) | Err(Errno::ENOENT | Errno::EINTR)) {
            self.listeners.push(listener);
        }
        let (Ok(received), at) = (received, self.listeners.len().saturating_sub(1)) else { return };
        let id = received.get(ID).and_then(|it| it.try_into().ok()).map_or(0, u64::from_ne_bytes);
        match self.pass_on(&received, id, at) {
            Ok(()) => self.asked = Some(Asked { id, at, due: Instant::now() + PATIENCE }),
            Err(Unanswered) => self.tell(at, &self.no_answer(id)),
        }
    }

    fn pass_on(&mut self, call: &[u8], id: u64, at: usize) -> Result<(), Unanswered> {
        let address = self.spec.proxy.clone().ok_or(Unanswered)?;
        let pid = call.get(PID).and_then(|it| it.try_into().ok()).map(u32::from_ne_bytes);
        let (process, memory) = process(pid.ok_or(Unanswered)?).map_err(|_gone| Unanswered)?;
        let listener = self.listeners.get(at).ok_or(Unanswered)?;
        // Otherwise they may be those of another process.
        if !notify::is_waiting(listener.as_fd(), id) {
            return Err(Unanswered);
        }
        let fds = [process.as_raw_fd(), memory.as_raw_fd(), listener.as_raw_fd()];
        let message = self.message(call, id);
        let send = |proxy: &OwnedFd| {
            let rights = [ControlMessage::ScmRights(&fds)];
            let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
            let payload = [IoSlice::new(&message)];
            sendmsg::<()>(proxy.as_raw_fd(), &payload, &rights, flags, None).map(drop)
        };
        if self.proxy.as_ref().is_some_and(|it| send(it).is_ok()) {
            return Ok(());
        }
        // It may have been started again.
        let proxy = reach(&address)?;
        send(&proxy)?;
        self.proxy = Some(proxy);
        Ok(())
    }

    /// Returns the message to the proxy: LXC's `struct seccomp_notify_proxy_msg`, the call, an empty
    /// answer and the cookie.
    fn message(&self, call: &[u8], id: u64) -> Vec<u8> {
        let own = std::process::id();
        let mut message = Vec::from(0_u64.to_ne_bytes());
        message.extend(own.to_ne_bytes());
        message.extend(self.init.to_ne_bytes());
        message.extend(self.sizes.iter().flat_map(|it| it.to_ne_bytes()));
        message.resize(HEAD - size_of::<u64>(), 0);
        message.extend((self.spec.cookie.len() as u64).to_ne_bytes());
        message.extend(call);
        message.extend(self.blank(id));
        message.extend(self.spec.cookie.as_bytes());
        message
    }

    fn blank(&self, id: u64) -> Vec<u8> {
        let mut answer = Vec::from(id.to_ne_bytes());
        answer.resize(usize::from(self.sizes[1]), 0);
        answer
    }

    fn no_answer(&self, id: u64) -> Vec<u8> {
        let mut answer = self.blank(id);
        let error = (-libc::ENOSYS).to_ne_bytes();
        answer.iter_mut().skip(ERROR.start).zip(error).for_each(|(to, from)| *to = from);
        answer
    }

    /// Reads the proxy's answer; none: it has not come yet.
    fn answer(&self, id: u64) -> Result<Option<Vec<u8>>, Unanswered> {
        let proxy = self.proxy.as_ref().ok_or(Unanswered)?;
        let [call, answer] = [self.sizes[0], self.sizes[1]].map(usize::from);
        let whole = HEAD + call + answer;
        let mut bytes = vec![0_u8; whole + self.spec.cookie.len() + 1];
        let mut payload = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let got = match recvmsg::<()>(proxy.as_raw_fd(), &mut payload, None, flags) {
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            got => got?.bytes,
        };
        // LXC's proxies send the cookie back or not.
        let is_whole = got == whole || got == whole + self.spec.cookie.len();
        let reserved = bytes.iter().take(size_of::<u64>()).all(|it| *it == 0);
        let answer = bytes.get(HEAD + call..whole).unwrap_or_default();
        let is_its = answer.starts_with(&id.to_ne_bytes());
        if is_whole && reserved && is_its { Ok(Some(answer.to_vec())) } else { Err(Unanswered) }
    }

    fn tell(&self, at: usize, answer: &[u8]) {
        let Some(listener) = self.listeners.get(at) else { return };
        let told = notify::answer_call(listener.as_fd(), self.sizes, answer);
        // The process may be gone. What the kernel does not take as an answer must not make it wait.
        if told == Err(Errno::EINVAL)
            && let Some(id) = answer.get(ID).and_then(|it| it.try_into().ok())
        {
            let plain = self.no_answer(u64::from_ne_bytes(id));
            _ = notify::answer_call(listener.as_fd(), self.sizes, &plain);
        }
    }
}

/// Returns whether a call waits, or the last process with the filter is gone.
fn readiness(listener: &OwnedFd) -> PollFlags {
    let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    _ = poll(&mut fds, PollTimeout::ZERO);
    fds.iter().filter_map(PollFd::revents).fold(PollFlags::empty(), |a, b| a | b)
}

/// Connects to the socket at a path, or to that of a name behind `@`.
fn reach(address: &str) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    let address = match address.strip_prefix('@') {
        Some(name) => UnixAddr::new_abstract(name.as_bytes())?,
        None => UnixAddr::new(address)?,
    };
    connect(fd.as_raw_fd(), &address)?;
    // Whoever comes first has an abstract name, and would get the memory of processes inside; a path
    // is guarded by its directory.
    let is_abstract = address.as_abstract().is_some();
    let listener = getsockopt(&fd, sockopt::PeerCredentials)?.uid();
    if is_abstract && !may_decide(listener, geteuid().as_raw()) {
        return Err(Errno::EPERM);
    }
    Ok(fd)
}

/// Returns whether a program of this user may decide for a supervisor of user `own`.
const fn may_decide(user: u32, own: u32) -> bool {
    user == 0 || user == own
}

/// Opens the directory of a process in `/proc`, and its memory.
fn process(pid: u32) -> std::io::Result<(File, File)> {
    let dir = format!("/proc/{pid}");
    let memory = File::options().read(true).write(true).open(format!("{dir}/mem"))?;
    let dir = File::options().read(true).custom_flags(libc::O_DIRECTORY).open(dir)?;
    Ok((dir, memory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_same_user_decide_behind_an_abstract_name() {
        assert!(may_decide(0, 1000) && may_decide(1000, 1000));
        assert!(!may_decide(1000, 0) && !may_decide(1001, 1000));
    }

    #[test]
    fn a_message_has_lxcs_form() {
        let spec = NotifySpec { proxy: None, cookie: "web".to_owned() };
        let sizes = [80, 24, 64];
        let mut notifier = Notifier {
            spec,
            sizes,
            init: 77,
            listeners: Vec::new(),
            given_away: false,
            proxy: None,
            asked: None,
        };
        assert_eq!(notifier.give_away().unwrap_err(), Errno::EBADF, "it has no filter yet");
        let message = notifier.message(&[7; 80], 9);
        assert_eq!(message.len(), HEAD + 80 + 24 + 3);
        assert_eq!(message[12..16], 77_i32.to_ne_bytes());
        assert_eq!(message[16..24], [80, 0, 24, 0, 64, 0, 0, 0]);
        assert_eq!(message[24..32], 3_u64.to_ne_bytes());
        assert_eq!(message[HEAD + 80..HEAD + 88], 9_u64.to_ne_bytes());
        assert!(message.ends_with(b"web"));
        let refused = notifier.no_answer(9);
        assert_eq!(refused[16..20], (-38_i32).to_ne_bytes());
        assert_eq!(refused.len(), 24);
    }
}
