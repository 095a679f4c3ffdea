//! Where supervisors listen: the abstract socket's name, and the host's list of all of them.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::error::SocketError;
use super::find;
use crate::engine::host::Host;
use crate::engine::lxcpath::{Lxcpath, without_last_slashes};
use crate::engine::name::Name;
use crate::engine::store;

/// The longest name LXC writes out; a longer one is hashed.
const LONGEST: usize = 105;

/// Returns the name of the abstract socket, without its leading NUL byte, for one spelling of the
/// lxcpath. LXC's tools leave out the slashes at its end and nothing else.
pub fn name_of(lxcpath: &Path, name: &str) -> Vec<u8> {
    let mut container = without_last_slashes(lxcpath).as_os_str().as_bytes().to_vec();
    container.push(b'/');
    container.extend_from_slice(name.as_bytes());
    if container.len() + b"/command".len() > LONGEST {
        return format!("lxc/{:016x}/command", fnv64(&container)).into_bytes();
    }
    container.extend_from_slice(b"/command");
    container
}

/// Computes the 64 bit FNV-1a hash.
pub fn fnv64(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

/// Takes the container's sockets, under the directory's own name and under those by which LXC's
/// tools look for it. `AddrInUse` means that a supervisor lives: the last one is the lock.
pub fn listen(lxcpath: &Lxcpath, name: &Name) -> io::Result<Vec<UnixListener>> {
    let lock = bind(&name_of(lxcpath.dir(), name.as_str()))?;
    // One of LXC's, or of ours over another mount of the same directory. Looked for with the lock
    // in hand, so that two of ours cannot miss each other.
    if find::elsewhere(lxcpath, name).is_ok_and(|it| it.is_some()) {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    // A relative spelling may be taken by a namesake elsewhere, and identifies nobody.
    let others = spellings(lxcpath).into_iter().skip(1);
    let others = others.filter_map(|it| bind(&name_of(&it, name.as_str())).ok());
    let mut listeners: Vec<UnixListener> = others.collect();
    // The end of a process closes its descriptors from the lowest on; whoever gets the lock then
    // must not find one of the others still open.
    listeners.push(lock.try_clone()?);
    Ok(listeners)
}

fn bind(name: &[u8]) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)
}

/// Returns the paths by which people and LXC's tools may call the directory: its own, the one that
/// was given, and the default one if that is the same directory.
pub(super) fn spellings(lxcpath: &Lxcpath) -> Vec<PathBuf> {
    let default = Lxcpath::open(lxcpath.host(), &store::default_lxcpath());
    let mut all = vec![lxcpath.dir().to_path_buf(), lxcpath.given().to_path_buf()];
    if default == *lxcpath {
        all.push(default.given().to_path_buf());
    }
    // Compared as bytes: `Path` takes `/x/.` and `/x` for one, and a socket's name does not.
    let mut seen: Vec<PathBuf> = Vec::new();
    for it in all {
        if seen.iter().all(|other| other.as_os_str() != it.as_os_str()) {
            seen.push(it);
        }
    }
    seen
}

/// Connects to the abstract socket `name`; `None` when nobody listens.
pub(super) fn dial(name: &[u8], timeout: Duration) -> Result<Option<UnixStream>, SocketError> {
    let fd = stream_socket(timeout).map_err(SocketError::Connect)?;
    let address = UnixAddr::new_abstract(name).map_err(SocketError::Connect)?;
    match connect(std::os::fd::AsRawFd::as_raw_fd(&fd), &address) {
        Ok(()) => Ok(Some(UnixStream::from(fd))),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(None),
        // The queue of a supervisor that accepts nothing is full.
        Err(Errno::EAGAIN | Errno::EINPROGRESS) => Err(SocketError::Silent),
        Err(errno) => Err(SocketError::Connect(errno)),
    }
}

fn stream_socket(timeout: Duration) -> nix::Result<OwnedFd> {
    let fd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let timeout = TimeVal::milliseconds(timeout.as_millis() as i64);
    setsockopt(&fd, sockopt::SendTimeout, &timeout)?;
    Ok(fd)
}

/// Reads the host's list of sockets, which comes a page at a time, into a buffer that need not
/// grow page by page.
pub(super) fn read_table(host: &Host) -> io::Result<Vec<u8>> {
    const USUAL: usize = 64 * 1024;
    let mut table = Vec::with_capacity(USUAL);
    File::open(host.proc().join("net/unix"))?.read_to_end(&mut table)?;
    Ok(table)
}

/// Yields the names of listening abstract sockets; the accepted ones repeat their listener's.
pub(super) fn abstract_names(table: &[u8]) -> impl Iterator<Item = &[u8]> {
    // __SO_ACCEPTCON, set on listening sockets alone.
    const LISTENING: &[u8] = b"00010000";
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.splitn(8, |byte| *byte == b' ').skip(3);
        (fields.next()? == LISTENING).then_some(())?;
        let at = line.windows(2).position(|pair| pair == b" @")?;
        line.get(at + 2..)
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
