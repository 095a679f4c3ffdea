//! LXC's monitor daemon, which passes on what supervisors write into its fifo: each state that a
//! container enters, and how its init ended. Whoever listens has it started as `lxc-monitor` does.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;

use crate::engine::host::identity;
use crate::engine::host::lxcpath::{Lxcpath, fnv64};
use crate::engine::running::command_socket::wire::{self, EVENT, MonitorMessage};
use crate::engine::sys;

/// Where LXC's packages have the daemon.
const PROGRAMS: [&str; 3] = [
    "/usr/libexec/lxc/lxc-monitord",
    "/usr/lib/x86_64-linux-gnu/lxc/lxc-monitord",
    "/usr/lib/lxc/lxc-monitord",
];
/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take to end.
const QUITTING: Duration = Duration::from_secs(1);
/// The bytes of an address that LXC uses.
const ADDRESS: usize = 105;

/// A connection to the daemon of one lxcpath.
#[derive(Debug)]
pub(in crate::engine) struct Monitord {
    stream: UnixStream,
    fifo: PathBuf,
    begun: Vec<u8>,
    /// The newest mark that was set, and the newest that has come back.
    set: i32,
    reached: i32,
    /// The daemon itself, if it was started for this connection, and its address.
    started: Option<(Child, SocketAddr)>,
}

impl Monitord {
    /// Connects to the daemon; none: LXC is not installed, or what listens there may be another
    /// user's program.
    pub(in crate::engine) fn of(lxcpath: &Lxcpath) -> Option<Self> {
        let dir = lxcpath.dir();
        Self::connect(lxcpath).or_else(|| {
            let mut child = start(dir)?;
            let Some(mut connected) = Self::connect(lxcpath) else {
                reap(&mut child);
                return None;
            };
            connected.started = Some((child, address(dir)?));
            Some(connected)
        })
    }

    /// Listens to what is connected.
    #[cfg(test)]
    pub(in crate::engine) const fn over(stream: UnixStream) -> Self {
        Self::new(stream, PathBuf::new())
    }

    fn connect(lxcpath: &Lxcpath) -> Option<Self> {
        let stream = UnixStream::connect_addr(&address(lxcpath.dir())?).ok()?;
        let peer = getsockopt(&stream.as_fd(), sockopt::PeerCredentials).ok()?;
        let trusted = peer.uid() == 0 || peer.uid() == geteuid().as_raw();
        stream.set_nonblocking(true).ok()?;
        trusted.then(|| Self::new(stream, fifo(lxcpath)))
    }

    const fn new(stream: UnixStream, fifo: PathBuf) -> Self {
        Self { stream, fifo, begun: Vec::new(), set: 0, reached: 0, started: None }
    }

    /// Sets a mark behind all that supervisors have written so far, and returns its number; none:
    /// the daemon cannot be reached.
    pub(in crate::engine) fn mark(&mut self) -> Option<i32> {
        self.set = self.set.wrapping_add(1);
        write(&self.fifo, &wire::encode_mark(&marker(), self.set)).then_some(self.set)
    }

    /// Returns the newest mark that has come back.
    pub(in crate::engine) const fn reached(&self) -> i32 {
        self.reached
    }

    /// Returns what was said since the last call, in its order; an error: the daemon is gone.
    pub(in crate::engine) fn news(&mut self) -> io::Result<Vec<(String, MonitorMessage)>> {
        let mut piece = [0; EVENT * 16];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Ok(count) => self.begun.extend(piece.iter().take(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        let (whole, rest) = self.begun.as_chunks::<EVENT>();
        let news = whole.iter().filter_map(wire::decode_event).collect();
        let marker = marker();
        if let Some(mark) = whole.iter().rev().find_map(|it| wire::decode_mark(it, &marker)) {
            self.reached = mark;
        }
        self.begun = rest.to_vec();
        Ok(news)
    }
}

impl AsFd for Monitord {
    /// Returns a descriptor that polls readable when something was said, or the daemon is gone.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Drop for Monitord {
    /// Ends a daemon that nobody else listens to; otherwise it ends by itself, once nobody does.
    fn drop(&mut self) {
        let Some((child, address)) = &mut self.started else { return };
        if !is_alone(address) || self.stream.write_all(b"quit").is_err() {
            return;
        }
        if let Ok(pidfd) = sys::pidfd_open(child.id().cast_signed())
            && identity::has_ended(pidfd.as_fd(), QUITTING).is_ok_and(|it| it)
        {
            // It is dead, and only to be reaped.
            _ = child.wait();
        }
    }
}

/// Returns where the daemon of `lxcpath` reads what supervisors write.
pub(in crate::engine) fn fifo(lxcpath: &Lxcpath) -> PathBuf {
    let below = lxcpath.dir().as_os_str().as_bytes();
    let below = OsStr::from_bytes(below.strip_prefix(b"/").unwrap_or(below));
    lxcpath.host().lxc_runtime().join(below).join("monitor-fifo")
}

/// Writes a `message` into the `fifo` of a daemon; false: none reads it.
pub(in crate::engine) fn write(fifo: &Path, message: &[u8]) -> bool {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // Without a daemon there is no fifo, or no reader.
    let Ok(mut file) = File::options().write(true).custom_flags(flags).open(fifo) else {
        return false;
    };
    file.metadata().is_ok_and(|it| it.file_type().is_fifo()) && file.write_all(message).is_ok()
}

/// Returns the name under which this process writes its marks. No container can have it.
fn marker() -> String {
    format!("/{}", std::process::id())
}

/// Returns whether the socket at `address` has one connection.
fn is_alone(address: &SocketAddr) -> bool {
    let Some(name) = address.as_abstract_name() else { return false };
    let table = std::fs::read("/proc/net/unix").unwrap_or_default();
    let end = [b" @", name].concat();
    // Its own line, and one for each connection.
    table.split(|it| *it == b'\n').filter(|it| it.ends_with(&end)).count() == 2
}

/// Returns the address at which the daemon of `dir` listens: a hash of its name, and as much of the
/// path as there is room for.
fn address(dir: &Path) -> Option<SocketAddr> {
    let dir = dir.as_os_str().as_bytes();
    let hash = fnv64(&[b"lxc/", dir, b"/monitor-sock"].concat());
    let mut name = format!("lxc/{hash:016x}/").into_bytes();
    name.extend(dir);
    name.truncate(ADDRESS);
    SocketAddr::from_abstract_name(name).ok()
}

/// Starts the daemon, which ends by itself when nobody has listened for a while, and waits until it
/// listens.
fn start(dir: &Path) -> Option<Child> {
    let program = PROGRAMS.iter().find(|it| Path::new(it).exists())?;
    let mut command = Command::new(program);
    // It reports on a descriptor that it is told, and is not meant for signals of this terminal.
    command.arg(dir).arg("1").process_group(0);
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = quiet.spawn().ok()?;
    let mut output = child.stdout.take()?;
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], left) {
            Err(nix::errno::Errno::EINTR) => (),
            Ok(1..) => break,
            Ok(_) | Err(_) => {
                reap(&mut child);
                return None;
            }
        }
    }
    // End of file: another one was faster.
    output.read(&mut [0]).ok().map(|_| child)
}

/// Ends a daemon that cannot be reached.
fn reap(child: &mut Child) {
    // It may have ended by itself.
    _ = child.kill();
    _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_lxc() {
        // As /proc/net/unix shows it for lxc-monitord of /var/lib/lxc.
        let address = address(Path::new("/var/lib/lxc")).unwrap();
        let name = address.as_abstract_name().unwrap();
        assert_eq!(name, b"lxc/ad055575fe28ddd5//var/lib/lxc");
    }

    #[test]
    fn a_mark_comes_back_to_its_writer_alone() {
        let (mut daemon, stream) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut monitord = Monitord::over(stream);
        daemon.write_all(&wire::encode_mark("/1", 7)).unwrap();
        assert!(monitord.news().unwrap().is_empty());
        assert_eq!(monitord.reached(), 0);
        daemon.write_all(&wire::encode_mark(&marker(), 1)).unwrap();
        assert!(monitord.news().unwrap().is_empty());
        assert_eq!(monitord.reached(), 1);
    }

    #[test]
    fn what_came_in_pieces_is_read_whole() {
        let (mut daemon, stream) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut monitord = Monitord::over(stream);
        let bytes = wire::encode_event("web", MonitorMessage::Exit(256));
        let (first, rest) = bytes.split_at(100);
        io::Write::write_all(&mut daemon, first).unwrap();
        assert!(monitord.news().unwrap().is_empty());
        io::Write::write_all(&mut daemon, rest).unwrap();
        assert_eq!(monitord.news().unwrap(), [("web".to_owned(), MonitorMessage::Exit(256))]);
        drop(daemon);
        assert!(monitord.news().is_err());
    }
}
