//! Where supervisors listen: the abstract socket's name, and the host's list of all of them.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::error::SocketError;
use crate::engine::host::Host;
use crate::engine::host::lxcpath::{Lxcpath, fnv64, without_last_slashes};
use crate::engine::store;
use crate::engine::terms::name::Name;

/// The longest name that LXC uses as it is; a longer one is hashed.
const LONGEST: usize = 105;
/// How long sending may take if connecting may not wait.
const LEAST: Duration = Duration::from_secs(2);

/// Returns the name of the abstract socket, without its leading NUL byte, for one spelling of the
/// lxcpath. LXC's tools leave out the slashes at its end and nothing else.
pub fn name_of(lxcpath: &Path, name: &str) -> Vec<u8> {
    name_of_bytes(lxcpath, name.as_bytes())
}

/// The same for a name that wharf may not accept.
pub(super) fn name_of_bytes(lxcpath: &Path, name: &[u8]) -> Vec<u8> {
    let mut container = without_last_slashes(lxcpath).as_os_str().as_bytes().to_vec();
    container.push(b'/');
    container.extend_from_slice(name);
    if container.len() + b"/command".len() > LONGEST {
        return format!("lxc/{:016x}/command", fnv64(&container)).into_bytes();
    }
    container.extend_from_slice(b"/command");
    container
}

/// Where a supervisor listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// An abstract name, which any process can bind first.
    Public(Vec<u8>),
    /// A socket file in a directory that only this user can enter.
    Private(PathBuf),
}

impl Address {
    /// Returns where wharf's supervisors listen, whichever process holds the container's public
    /// name.
    pub(super) fn private(lxcpath: &Lxcpath, name: &Name) -> Self {
        Self::Private(private_dir(lxcpath).join(name.as_str()))
    }
}

/// Returns the directory of the private sockets of one lxcpath's containers.
pub(in crate::engine) fn private_dir(lxcpath: &Lxcpath) -> PathBuf {
    lxcpath.host().runtime_dir().join("socket").join(lxcpath.key())
}

pub(super) fn bind_public(name: &[u8]) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

/// Makes a socket file. One left by a killed supervisor is replaced.
pub(super) fn bind_private(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => (),
    }
    let (_dir, short) = shortened(path)?;
    let close = || std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600));
    let made = UnixListener::bind(short).and_then(|it| close().map(|()| it));
    if made.is_err() {
        // It may be bound and not listen.
        _ = std::fs::remove_file(path);
    }
    made
}

/// Returns a path to the same file that is short enough for a socket's address; it holds as long
/// as the descriptor.
fn shortened(path: &Path) -> io::Result<(Option<File>, PathBuf)> {
    /// The 108 bytes of an address, less the NUL at its end.
    const LONGEST: usize = 107;
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    if path.as_os_str().len() <= LONGEST {
        return Ok((None, path.to_path_buf()));
    }
    let dir = File::open(dir)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
    Ok((Some(dir), short))
}

/// Returns the paths that people and LXC's tools may use for the directory: its own, the one that
/// was given, and the default one if that is the same directory.
pub(super) fn spellings(lxcpath: &Lxcpath) -> Vec<PathBuf> {
    let default = Lxcpath::open(lxcpath.host(), &store::default_lxcpath());
    let mut all = vec![lxcpath.dir().to_path_buf(), lxcpath.given().to_path_buf()];
    if default == *lxcpath {
        all.push(default.given().to_path_buf());
    }
    // Compared as bytes: `Path` treats `/x/.` and `/x` as equal, but socket names differ.
    let mut seen: Vec<PathBuf> = Vec::new();
    for it in all {
        if seen.iter().all(|other| other.as_os_str() != it.as_os_str()) {
            seen.push(it);
        }
    }
    seen
}

/// Connects to `address`; `None` when nobody listens. A listener that does not accept is given
/// `timeout`. The connection reports who sent its data.
pub(super) fn dial(
    address: &Address,
    timeout: Duration,
) -> Result<Option<UnixStream>, SocketError> {
    let fd = stream_socket(timeout).map_err(SocketError::Connect)?;
    let connected = match address {
        Address::Public(name) => {
            UnixAddr::new_abstract(name).and_then(|it| connect(fd.as_raw_fd(), &it))
        }
        Address::Private(path) => match shortened(path) {
            Ok((_dir, path)) => UnixAddr::new(&path).and_then(|it| connect(fd.as_raw_fd(), &it)),
            Err(error) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
        },
    };
    match connected {
        Ok(()) => (),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => return Ok(None),
        // The queue of a supervisor that accepts nothing is full.
        Err(Errno::EAGAIN | Errno::EINPROGRESS) => return Err(SocketError::Silent),
        Err(errno) => return Err(SocketError::Connect(errno)),
    }
    // Only now, since otherwise the kernel would bind the connecting side to a name of its own.
    setsockopt(&fd, sockopt::PassCred, &true).map_err(SocketError::Connect)?;
    fcntl(&fd, FcntlArg::F_SETFL(OFlag::empty())).map_err(SocketError::Connect)?;
    Ok(Some(UnixStream::from(fd)))
}

/// Makes a socket that waits `timeout` while it connects or sends; zero does not wait.
fn stream_socket(timeout: Duration) -> nix::Result<OwnedFd> {
    let at_once = if timeout.is_zero() { SockFlag::SOCK_NONBLOCK } else { SockFlag::empty() };
    let flags = SockFlag::SOCK_CLOEXEC | at_once;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let timeout = timeout.max(LEAST);
    let timeout = TimeVal::milliseconds(timeout.as_millis() as i64);
    setsockopt(&fd, sockopt::SendTimeout, &timeout)?;
    Ok(fd)
}

/// Reads the host's list of sockets, which comes a page at a time, into a buffer that need not
/// grow page by page.
pub(super) fn read_table(host: &Host) -> io::Result<Vec<u8>> {
    const USUAL: usize = 64 * 1024;
    let mut table = Vec::with_capacity(USUAL);
    // Without asking for its size first, as this file has none.
    File::open(host.proc().join("net/unix"))?.take(u64::MAX).read_to_end(&mut table)?;
    Ok(table)
}

/// Yields the inodes and the names of listening abstract sockets; the accepted ones repeat their
/// listener's name.
pub(super) fn abstract_sockets(table: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    // __SO_ACCEPTCON, set on listening sockets alone.
    const LISTENING: &[u8] = b"00010000";
    named(table).filter(|(flags, ..)| *flags == LISTENING).map(|(_, inode, name)| (inode, name))
}

/// Yields flags, inode and name of every abstract socket, listening or not.
pub(super) fn named(table: &[u8]) -> impl Iterator<Item = (&[u8], u64, &[u8])> {
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        let at = line.windows(2).position(|pair| pair == b" @")?;
        let (facts, name) = (line.get(..at)?, line.get(at + 2..)?);
        // Num RefCount Protocol Flags Type St Inode, see proc_net(5); the inode is padded.
        let mut facts = facts.split(|byte| *byte == b' ').filter(|it| !it.is_empty());
        let (flags, inode) = (facts.nth(3)?, facts.nth(2)?);
        Some((flags, std::str::from_utf8(inode).ok()?.parse().ok()?, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_written_out_and_long_ones_hashed() {
        assert_eq!(name_of(Path::new("/var/lib/lxc"), "web"), b"/var/lib/lxc/web/command");
        let path = format!("/{}", "p".repeat(92));
        assert_eq!(name_of(Path::new(&path), "abc").len(), LONGEST);
        assert!(name_of(Path::new(&path), "abcd").starts_with(b"lxc/"));
        assert_eq!(name_of(Path::new("/x//"), "web"), b"/x/web/command");
        assert_eq!(name_of(Path::new("/"), "web"), b"/web/command");
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv64(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv64(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
