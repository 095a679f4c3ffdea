//! Finds the sockets of one directory's containers, however their supervisors spelled it: LXC's
//! take the path as they were given it, with its links and dots.
//!
//! A path is resolved only for a listener that is root's or our own: a stranger's could lie in a
//! file system that never answers.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{UnixCredentials, getsockopt, sockopt};

use super::Client;
use super::address::{abstract_names, dial, name_of, read_table, spellings};
use super::error::SocketError;
use crate::engine::host::Host;
use crate::engine::lxcpath::{self, Lxcpath};
use crate::engine::name::Name;

/// How long a listener may take to be reached; only a full queue takes any time at all.
const REACHING: Duration = Duration::from_millis(200);

/// Lists the containers of `lxcpath` whose supervisors listen, in the order of their names.
/// Of hashed names those are found whose supervisor answers.
pub fn running(lxcpath: &Lxcpath) -> Result<Vec<Name>, SocketError> {
    let table = read_table(lxcpath.host()).map_err(SocketError::List)?;
    let mut directory = Directory::of(lxcpath);
    let mut names = BTreeSet::new();
    for socket in abstract_names(&table) {
        let found = match parse(socket) {
            Some(Socket::Plain { dir, name }) => {
                // What is no name is no container of ours, and costs no look at its directory.
                text(name).filter(|_| directory.is(dir, socket))
            }
            Some(Socket::Hashed) => directory.ask(socket),
            None => None,
        };
        names.extend(found);
    }
    Ok(names.into_iter().collect())
}

/// Finds the socket of `name` where its likely names are not it.
pub(super) fn elsewhere(lxcpath: &Lxcpath, name: &Name) -> Result<Option<Vec<u8>>, SocketError> {
    let table = read_table(lxcpath.host()).map_err(SocketError::List)?;
    let mut directory = Directory::of(lxcpath);
    let own = name_of(lxcpath.dir(), name.as_str());
    let found = abstract_names(&table).filter(|it| *it != own).find(|socket| match parse(socket) {
        Some(Socket::Plain { dir, name: theirs }) => {
            theirs == name.as_str().as_bytes() && directory.is(dir, socket)
        }
        Some(Socket::Hashed) => directory.ask(socket).as_ref() == Some(name),
        None => false,
    });
    Ok(found.map(<[u8]>::to_vec))
}

/// The name of a supervisor's socket, taken apart.
#[derive(Debug, PartialEq, Eq)]
enum Socket<'a> {
    Plain { dir: &'a [u8], name: &'a [u8] },
    Hashed,
}

fn parse(socket: &[u8]) -> Option<Socket<'_>> {
    let container = socket.strip_suffix(b"/command")?;
    let slash = container.iter().rposition(|it| *it == b'/')?;
    let (dir, name) = (container.get(..slash)?, container.get(slash + 1..)?);
    let hashed = dir == b"lxc" && name.len() == 16 && name.iter().all(u8::is_ascii_hexdigit);
    Some(if hashed { Socket::Hashed } else { Socket::Plain { dir, name } })
}

fn text(name: &[u8]) -> Option<Name> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// One directory, and which spellings have turned out to be it.
struct Directory<'a> {
    lxcpath: &'a Lxcpath,
    known: HashMap<Vec<u8>, bool>,
}

impl<'a> Directory<'a> {
    fn of(lxcpath: &'a Lxcpath) -> Self {
        let all = spellings(lxcpath).into_iter();
        // What a relative path means depends on who says it.
        let known = all.filter(|it| it.is_absolute());
        let known = known.map(|it| (it.into_os_string().into_encoded_bytes(), true));
        Self { lxcpath, known: known.collect() }
    }

    /// Tells whether `dir`, as the listener on `socket` spells it, is this directory.
    fn is(&mut self, dir: &[u8], socket: &[u8]) -> bool {
        if let Some(known) = self.known.get(dir) {
            return *known;
        }
        let path = Path::new(OsStr::from_bytes(dir));
        let Some(peer) = believed(socket) else { return false };
        if !path.is_absolute() {
            let mut places = places_of(self.lxcpath.host(), peer.pid()).into_iter();
            return places.any(|it| self.is_at(&it.join(path)));
        }
        let same = self.is_at(path);
        self.known.insert(dir.to_vec(), same);
        same
    }

    fn is_at(&self, path: &Path) -> bool {
        // What is not there is not this one.
        lxcpath::is_same(path, self.lxcpath.dir()).unwrap_or(false)
    }

    /// Asks the listener on `socket`, whose name tells nothing, for its container, and returns the
    /// name if it is one of this directory.
    fn ask(&mut self, socket: &[u8]) -> Option<Name> {
        believed(socket)?;
        let client = Client::at(socket.to_vec());
        let theirs = client.lxcpath().ok()?;
        let theirs = lxcpath::without_last_slashes(Path::new(OsStr::from_bytes(&theirs)));
        if !self.is(theirs.as_os_str().as_bytes(), socket) {
            return None;
        }
        text(&client.name().ok()?)
    }
}

/// Returns who listens, if it is root or this user.
fn believed(socket: &[u8]) -> Option<UnixCredentials> {
    let stream: UnixStream = dial(socket, REACHING).ok()??;
    let peer = getsockopt(&stream, sockopt::PeerCredentials).ok()?;
    (peer.uid() == 0 || peer.uid() == nix::unistd::geteuid().as_raw()).then_some(peer)
}

/// Returns where the process may have been when it was given a relative path: LXC's monitors leave
/// for `/` in the background, and have the directory in the environment they were started with.
fn places_of(host: &Host, pid: i32) -> Vec<PathBuf> {
    let here = std::fs::read_link(host.of_process(pid, "cwd")).ok();
    let environment = std::fs::read(host.of_process(pid, "environ")).unwrap_or_default();
    let told = environment.split(|it| *it == 0).find_map(|it| it.strip_prefix(b"PWD="));
    let told = told.map(|it| PathBuf::from(OsStr::from_bytes(it)));
    here.into_iter().chain(told).filter(|it| it.is_absolute()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_taken_apart() {
        let plain = |dir, name| Some(Socket::Plain { dir, name });
        assert_eq!(parse(b"/var/lib/lxc/web/command"), plain(b"/var/lib/lxc".as_slice(), b"web"));
        assert_eq!(parse(b"lx/two words/command"), plain(b"lx".as_slice(), b"two words"));
        assert_eq!(parse(b"lxc/0123456789abcdef/command"), Some(Socket::Hashed));
        assert_eq!(parse(b"lxc/0123456789abcdeg/command"), plain(b"lxc", b"0123456789abcdeg"));
        assert_eq!(parse(b"/run/systemd/private"), None);
        assert_eq!(parse(b"/command"), None);
    }

    #[test]
    fn only_listening_sockets_count() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 20 @/var/lib/lxc/web/command\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 21 @/var/lib/lxc/gone/command\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 24 /run/@/x\n";
        let names: Vec<_> = abstract_names(table).collect();
        assert_eq!(names, [b"/var/lib/lxc/web/command"]);
    }

    #[test]
    fn sockets_are_found_by_the_directory_and_not_by_its_spelling() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("lx");
        std::fs::create_dir(&dir).unwrap();
        std::os::unix::fs::symlink("lx", temp.path().join("link")).unwrap();
        let lxcpath = Lxcpath::open(&Host::this(), &dir);
        let bind = |spelling: &str, name: &str| {
            use std::os::linux::net::SocketAddrExt as _;
            let path = format!("{}/{spelling}", temp.path().display());
            let address =
                std::os::unix::net::SocketAddr::from_abstract_name(name_of(Path::new(&path), name));
            std::os::unix::net::UnixListener::bind_addr(&address.unwrap()).unwrap()
        };
        let _held = [
            bind("lx", "a"),
            bind("link", "b"),
            bind("./lx/.", "c"),
            bind("link/../lx", "d"),
            bind("none", "e"),
            bind("link", "a b"),
        ];
        let names: Vec<String> =
            running(&lxcpath).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        let found = |name: &str| elsewhere(&lxcpath, &name.parse().unwrap()).unwrap();
        assert!(found("a").is_none() && found("e").is_none());
        assert!(found("b").unwrap().ends_with(b"/link/b/command"));
    }
}
