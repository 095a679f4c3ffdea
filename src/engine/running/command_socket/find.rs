//! Finds the sockets of one directory's containers, however their supervisors wrote its path: LXC's
//! use the path as given, with its links and dots.
//!
//! A path is resolved only for listeners of root or our own user: a stranger's could be in a file
//! system that never answers.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirEntryExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::socket::UnixCredentials;

use super::address::{
    Address, abstract_sockets, dial, name_of, private_dir, read_table, spellings,
};
use super::chorus::{self, Question, Subject};
use super::error::SocketError;
use super::trust::Judge;
use super::wire::SocketCommand;
use crate::engine::host::Host;
use crate::engine::host::lxcpath::{self, Lxcpath};
use crate::engine::terms::name::Name;

/// How long all supervisors together may take to answer.
pub(super) const ANSWERING: Duration = Duration::from_secs(1);
/// One that did not answer is not asked again for this long.
const PEACE: Duration = Duration::from_secs(30);
/// For so long the same lists have the same meaning, which the links in an lxcpath may change.
const SAME: Duration = Duration::from_secs(5);

/// Where processes listen for a container, with inodes that distinguish the listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerInodes {
    /// Where only this user can listen.
    pub private: Option<u64>,
    /// Where anybody can listen, and under which name.
    pub public: Option<(u64, Vec<u8>)>,
}

/// Finds the listeners for the containers of one lxcpath, and remembers which it has asked.
#[derive(Debug)]
pub struct Finder {
    lxcpath: Lxcpath,
    /// The answers of listeners whose names are hashed, by their inodes.
    hashed: HashMap<u64, (Instant, Option<Name>)>,
    /// What the last look at all of them was about.
    last: Option<Lists>,
}

/// The lists in which listeners are found.
#[derive(Debug)]
struct Lists {
    at: Instant,
    private: Vec<(Name, u64)>,
    /// As the kernel writes it.
    table: Vec<u8>,
}

impl Finder {
    /// Starts without any listeners.
    pub fn new(lxcpath: &Lxcpath) -> Self {
        Self { lxcpath: lxcpath.clone(), hashed: HashMap::new(), last: None }
    }

    /// Lists the containers that have a listener, trusted or not. Those with hashed names are found
    /// if their supervisor answers.
    pub fn listening(&mut self) -> Result<BTreeMap<Name, ListenerInodes>, SocketError> {
        let lists = self.lists()?;
        Ok(self.look(&lists, &|_| true))
    }

    /// The same; None if the lists are as at the last such look, some seconds ago at most.
    pub(in crate::engine) fn news(
        &mut self,
    ) -> Result<Option<BTreeMap<Name, ListenerInodes>>, SocketError> {
        let last = self.last.take();
        let lists = self.lists()?;
        // One that did not answer is asked again some time.
        let all_known = self.hashed.values().all(|(_, name)| name.is_some());
        let same = |it: &Lists| {
            it.at.elapsed() < SAME && it.table == lists.table && it.private == lists.private
        };
        if all_known && last.as_ref().is_some_and(same) {
            self.last = last;
            return Ok(None);
        }
        let found = self.look(&lists, &|_| true);
        self.last = Some(lists);
        Ok(Some(found))
    }

    /// Has the next look for news list all of them.
    pub(in crate::engine) fn forget(&mut self) {
        self.last = None;
    }

    /// The same of the container `only`: of the others only those with hashed names are asked.
    pub(in crate::engine) fn listening_for(
        &mut self,
        only: &Name,
    ) -> Result<BTreeMap<Name, ListenerInodes>, SocketError> {
        let lists = self.lists()?;
        let mut found = self.look(&lists, &|it| may_be_of(only, it));
        found.retain(|it, _| it == only);
        Ok(found)
    }

    fn lists(&self) -> Result<Lists, SocketError> {
        let private = private(&self.lxcpath).collect();
        let table = read_table(self.lxcpath.host()).map_err(SocketError::List)?;
        Ok(Lists { at: Instant::now(), private, table })
    }

    /// Takes the listeners from the lists, of public names only those that are `wanted`.
    fn look(
        &mut self,
        lists: &Lists,
        wanted: &dyn Fn(&[u8]) -> bool,
    ) -> BTreeMap<Name, ListenerInodes> {
        let mut places: BTreeMap<Name, ListenerInodes> = BTreeMap::new();
        for (name, inode) in &lists.private {
            places.entry(name.clone()).or_default().private = Some(*inode);
        }
        let lxcpath = self.lxcpath.clone();
        let mut directory = Directory::of(&lxcpath);
        self.ask(&lists.table, &mut directory);
        for (inode, socket) in abstract_sockets(&lists.table).filter(|it| wanted(it.1)) {
            let found = match parse(socket) {
                Some(Socket::Plain { dir, name }) => {
                    // An invalid name is not a container of ours, so its directory need not be
                    // checked.
                    text(name).filter(|_| directory.is(dir, socket))
                }
                Some(Socket::Hashed) => self.hashed.get(&inode).and_then(|it| it.1.clone()),
                None => None,
            };
            let Some(name) = found else { continue };
            let own = name_of(lxcpath.dir(), name.as_str()) == socket;
            let place = places.entry(name).or_default();
            if own || place.public.is_none() {
                place.public = Some((inode, socket.to_vec()));
            }
        }
        places
    }

    /// Asks all listeners with hashed names that are not known yet, side by side.
    fn ask(&mut self, table: &[u8], directory: &mut Directory<'_>) {
        let hashed = |socket| matches!(parse(socket), Some(Socket::Hashed));
        let there: Vec<_> = abstract_sockets(table).filter(|(_, it)| hashed(it)).collect();
        self.hashed.retain(|inode, (asked, name)| {
            (name.is_some() || asked.elapsed() < PEACE) && there.iter().any(|it| it.0 == *inode)
        });
        let unknown: Vec<_> =
            there.into_iter().filter(|(inode, _)| !self.hashed.contains_key(inode)).collect();
        let question = |what, command| Question { what, command, payload: Vec::new() };
        let questions = [
            question("the lxcpath", SocketCommand::GetLxcpath),
            question("the name", SocketCommand::GetName),
        ];
        let subject = |socket: &[u8]| Subject {
            address: Address::Public(socket.to_vec()),
            judge: Judge::nameless(&self.lxcpath, "a container"),
            questions: questions.to_vec(),
        };
        let subjects: Vec<Subject> = unknown.iter().map(|(_, it)| subject(it)).collect();
        let heard = chorus::ask_all(&subjects, Instant::now() + ANSWERING);
        for ((inode, socket), heard) in unknown.into_iter().zip(heard) {
            let answer_to = |index: usize| {
                let answer = heard.answers.get(index)?.as_ref()?.as_ref().ok()?;
                answer.1.split(|it| *it == 0).next()
            };
            let of_here = answer_to(0).is_some_and(|it| {
                let theirs = lxcpath::without_last_slashes(Path::new(OsStr::from_bytes(it)));
                directory.is(theirs.as_os_str().as_bytes(), socket)
            });
            let name = answer_to(1).filter(|_| of_here).and_then(text);
            self.hashed.insert(inode, (Instant::now(), name));
        }
    }
}

/// Finds the socket of `name` if it does not have one of the likely names.
pub(super) fn elsewhere(lxcpath: &Lxcpath, name: &Name) -> Result<Option<Vec<u8>>, SocketError> {
    let own = name_of(lxcpath.dir(), name.as_str());
    let wanted = |it: &[u8]| it != own && may_be_of(name, it);
    let mut finder = Finder::new(lxcpath);
    let lists = finder.lists()?;
    let place = finder.look(&lists, &wanted).remove(name);
    Ok(place.and_then(|it| it.public).map(|it| it.1))
}

/// Returns whether a supervisor of `name`, in some directory, may have the socket of this name.
fn may_be_of(name: &Name, socket: &[u8]) -> bool {
    match parse(socket) {
        Some(Socket::Plain { name: theirs, .. }) => theirs == name.as_str().as_bytes(),
        Some(Socket::Hashed) => true,
        None => false,
    }
}

/// Lists the socket files of wharf's supervisors. Those of killed ones are among them.
fn private(lxcpath: &Lxcpath) -> impl Iterator<Item = (Name, u64)> {
    let entries = std::fs::read_dir(private_dir(lxcpath)).into_iter().flatten().flatten();
    entries.filter_map(|it| Some((it.file_name().to_str()?.parse().ok()?, it.ino())))
}

/// The name of a supervisor's socket, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Socket<'a> {
    Plain { dir: &'a [u8], name: &'a [u8] },
    Hashed,
}

pub(super) fn parse(socket: &[u8]) -> Option<Socket<'_>> {
    let container = socket.strip_suffix(b"/command")?;
    let slash = container.iter().rposition(|it| *it == b'/')?;
    let (dir, name) = (container.get(..slash)?, container.get(slash + 1..)?);
    let hashed = dir == b"lxc" && name.len() == 16 && name.iter().all(u8::is_ascii_hexdigit);
    Some(if hashed { Socket::Hashed } else { Socket::Plain { dir, name } })
}

pub(super) fn text(name: &[u8]) -> Option<Name> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

/// One directory, and which spellings are known to mean it.
pub(super) struct Directory<'a> {
    lxcpath: &'a Lxcpath,
    /// None: no directory was asked about yet.
    known: Option<HashMap<Vec<u8>, bool>>,
}

impl<'a> Directory<'a> {
    pub(super) const fn of(lxcpath: &'a Lxcpath) -> Self {
        Self { lxcpath, known: None }
    }

    fn known(&mut self) -> &mut HashMap<Vec<u8>, bool> {
        self.known.get_or_insert_with(|| {
            let all = spellings(self.lxcpath).into_iter();
            // What a relative path means depends on the process that uses it.
            let known = all.filter(|it| it.is_absolute());
            known.map(|it| (it.into_os_string().into_encoded_bytes(), true)).collect()
        })
    }

    /// Returns whether `dir`, as the listener on `socket` writes it, is this directory.
    pub(super) fn is(&mut self, dir: &[u8], socket: &[u8]) -> bool {
        if let Some(known) = self.known().get(dir) {
            return *known;
        }
        let path = Path::new(OsStr::from_bytes(dir));
        let Some(peer) = self.believed(socket) else { return false };
        if !path.is_absolute() {
            let mut places = places_of(self.lxcpath.host(), peer.pid()).into_iter();
            return places.any(|it| self.is_at(&it.join(path)));
        }
        let same = self.is_at(path);
        self.known().insert(dir.to_vec(), same);
        same
    }

    fn is_at(&self, path: &Path) -> bool {
        // A path that does not exist is not this directory.
        lxcpath::is_same(path, self.lxcpath.dir()).unwrap_or(false)
    }

    /// Returns the listening process, if it may speak for a container of this directory.
    fn believed(&self, socket: &[u8]) -> Option<UnixCredentials> {
        let address = Address::Public(socket.to_vec());
        let stream = dial(&address, Duration::ZERO).ok()??;
        Judge::nameless(self.lxcpath, "a container").admit(&stream).ok()
    }
}

/// Returns where the process may have been when it was given a relative path: LXC's monitors leave
/// for `/` in the background, and have the directory in the environment they were started with.
fn places_of(host: &Host, pid: i32) -> Vec<PathBuf> {
    let here = std::fs::read_link(host.of_process(pid, "cwd")).ok();
    let environment = std::fs::read(host.of_process(pid, "environ")).unwrap_or_default();
    let started_in = environment.split(|it| *it == 0).find_map(|it| it.strip_prefix(b"PWD="));
    let started_in = started_in.map(|it| PathBuf::from(OsStr::from_bytes(it)));
    here.into_iter().chain(started_in).filter(|it| it.is_absolute()).collect()
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
        let names: Vec<_> = abstract_sockets(table).collect();
        assert_eq!(names, [(20, b"/var/lib/lxc/web/command".as_slice())]);
    }

    #[test]
    fn sockets_are_found_by_the_directory_and_not_by_its_spelling() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("lx");
        std::fs::create_dir(&dir).unwrap();
        std::os::unix::fs::symlink("lx", temp.path().join("link")).unwrap();
        let lxcpath = Lxcpath::open(&Host::keeping_in(temp.path()), &dir);
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
        let mut finder = Finder::new(&lxcpath);
        let places = finder.news().unwrap().unwrap();
        let names: Vec<String> = places.keys().map(ToString::to_string).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        let more = bind("lx", "f");
        assert!(finder.news().unwrap().unwrap().contains_key(&"f".parse().unwrap()));
        drop(more);
        assert!(!finder.news().unwrap().unwrap().contains_key(&"f".parse().unwrap()));
        let found = |name: &str| elsewhere(&lxcpath, &name.parse().unwrap()).unwrap();
        assert!(found("a").is_none() && found("e").is_none());
        assert!(found("b").unwrap().ends_with(b"/link/b/command"));
    }
}
