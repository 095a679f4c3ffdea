//! Where supervisors listen: the abstract socket's name, and the list of all of them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use super::error::SocketError;
use crate::engine::name::Name;

/// The longest name LXC writes out; a longer one is hashed.
const LONGEST: usize = 105;

/// Returns the name of the abstract socket, without its leading NUL byte.
pub fn name_of(lxcpath: &Path, name: &str) -> Vec<u8> {
    let mut container = lxcpath.as_os_str().as_bytes().to_vec();
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

/// Takes the container's socket. `AddrInUse` means that a supervisor lives: this is the lock.
pub fn listen(lxcpath: &Path, name: &Name) -> io::Result<UnixListener> {
    let address = SocketAddr::from_abstract_name(name_of(lxcpath, name.as_str()))?;
    UnixListener::bind_addr(&address)
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

/// Lists the containers of `lxcpath` whose supervisors listen, in the order of their names.
/// Of hashed names those are found whose supervisor answers.
pub fn running(lxcpath: &Path) -> Result<Vec<Name>, SocketError> {
    let table = read_table().map_err(SocketError::List)?;
    let mut names: BTreeSet<Name> = plain_names(&table, lxcpath).collect();
    names.extend(hashed_names(&table).filter_map(|socket| ask_name(&socket, lxcpath)));
    Ok(names.into_iter().collect())
}

/// Reads the host's list of sockets, which comes a page at a time, into a buffer that need not
/// grow page by page.
fn read_table() -> io::Result<Vec<u8>> {
    const USUAL: usize = 64 * 1024;
    let mut table = Vec::with_capacity(USUAL);
    File::open("/proc/net/unix")?.read_to_end(&mut table)?;
    Ok(table)
}

/// Yields the containers of `lxcpath` among the lines of `/proc/net/unix`.
fn plain_names<'a>(table: &'a [u8], lxcpath: &'a Path) -> impl Iterator<Item = Name> + 'a {
    abstract_names(table).filter_map(move |socket| {
        let rest = socket.strip_prefix(lxcpath.as_os_str().as_bytes())?.strip_prefix(b"/")?;
        let name = rest.strip_suffix(b"/command")?;
        std::str::from_utf8(name).ok()?.parse().ok()
    })
}

fn hashed_names(table: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    abstract_names(table)
        .filter(|socket| {
            let hash = socket.strip_prefix(b"lxc/").and_then(|it| it.strip_suffix(b"/command"));
            hash.is_some_and(|it| it.len() == 16 && it.iter().all(u8::is_ascii_hexdigit))
        })
        .map(<[u8]>::to_vec)
}

/// Yields the names of listening abstract sockets; the accepted ones repeat their listener's.
fn abstract_names(table: &[u8]) -> impl Iterator<Item = &[u8]> {
    // __SO_ACCEPTCON, set on listening sockets alone.
    const LISTENING: &[u8] = b"00010000";
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.splitn(8, |byte| *byte == b' ').skip(3);
        (fields.next()? == LISTENING).then_some(())?;
        let at = line.windows(2).position(|pair| pair == b" @")?;
        line.get(at + 2..)
    })
}

fn ask_name(socket: &[u8], lxcpath: &Path) -> Option<Name> {
    let client = super::Client::at(socket.to_vec());
    let theirs = client.lxcpath().ok()?;
    (theirs == lxcpath.as_os_str().as_bytes()).then_some(())?;
    String::from_utf8(client.name().ok()?).ok()?.parse().ok()
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
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv64(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv64(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn only_listening_sockets_of_the_lxcpath_are_containers() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 20 @/var/lib/lxc/web/command\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 21 @/var/lib/lxc/gone/command\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 22 @/srv/lxc/other/command\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 23 @/var/lib/lxc/../x/command\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 24 /run/@/x\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 25 @lxc/0123456789abcdef/command\n";
        let names: Vec<_> = plain_names(table, Path::new("/var/lib/lxc")).collect();
        assert_eq!(names, ["web".parse().unwrap()]);
        let hashed: Vec<_> = hashed_names(table).collect();
        assert_eq!(hashed, [b"lxc/0123456789abcdef/command".to_vec()]);
    }
}
