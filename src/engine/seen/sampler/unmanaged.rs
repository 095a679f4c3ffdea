//! The containers that LXC allows and wharf leaves to it, because of their names.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::command_socket;
use crate::engine::seen::sample::Unmanaged;
use crate::engine::terms::name::Name;
use crate::engine::terms::shown::shown_bytes;

/// Lists them, sorted by name. A missing lxcpath holds none.
pub(in crate::engine) fn read(lxcpath: &Lxcpath) -> io::Result<Vec<Unmanaged>> {
    let entries = match std::fs::read_dir(lxcpath.dir()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let names = entries.flatten().map(|it| it.file_name());
    let defined: Vec<Vec<u8>> = names
        .filter(|it| refusal(it).is_some() && lxcpath.join(it).join("config").is_file())
        .map(OsString::into_encoded_bytes)
        .collect();
    let states = command_socket::unmanaged(lxcpath, &defined).map_err(io::Error::other)?;
    let found = states.into_iter().filter_map(|(name, state)| {
        let why = refusal(OsStr::from_bytes(&name))?;
        let defined = defined.contains(&name);
        Some(Unmanaged { name: shown_bytes(&name), state, defined, why })
    });
    Ok(found.collect())
}

/// Returns why wharf does not use the name; none: it does.
fn refusal(name: &OsStr) -> Option<String> {
    let Some(text) = name.to_str() else { return Some("its name is not valid UTF-8".to_owned()) };
    let refused = text.parse::<Name>().err()?;
    Some(shown_bytes(refused.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener};
    use std::path::Path;

    use super::*;
    use crate::engine::{Host, State};

    #[test]
    fn names_that_only_lxc_allows_are_told_with_the_reason() {
        let temp = tempfile::tempdir().unwrap();
        let lxcpath = Lxcpath::open(&Host::keeping_in(temp.path()), &temp.path().join("lx"));
        assert!(read(&lxcpath).unwrap().is_empty());
        let long = "x".repeat(65);
        let odd = OsStr::from_bytes(b"o\xffd");
        let defined = ["two words", "-x", &long, "web", ".web.new", "\u{1b}[2J"].map(OsStr::new);
        for name in defined.into_iter().chain([odd]) {
            fs::create_dir_all(lxcpath.join(name)).unwrap();
            fs::write(lxcpath.join(name).join("config"), "").unwrap();
        }
        fs::create_dir(lxcpath.join("no config")).unwrap();
        fs::create_dir_all(lxcpath.join(".draft.new/draft")).unwrap();
        fs::write(lxcpath.join(".draft.new/draft/config"), "").unwrap();
        let names: Vec<String> = read(&lxcpath).unwrap().iter().map(|it| it.name.clone()).collect();
        assert_eq!(names, ["\\x1b[2J", "-x", ".web.new", "o\\xffd", "two words", &long]);
        let all = read(&lxcpath).unwrap();
        assert!(
            all.iter().all(|it| it.defined && it.state == State::Stopped && !it.why.is_empty())
        );
    }

    #[test]
    fn one_that_somebody_listens_for_is_asked() {
        let temp = tempfile::tempdir().unwrap();
        // Long enough for the longer name to be hashed.
        let lxcpath =
            Lxcpath::open(&Host::keeping_in(temp.path()), &temp.path().join("l".repeat(60)));
        let long = "y".repeat(70);
        for name in ["a b", &long, "stopped one"] {
            fs::create_dir_all(lxcpath.join(name)).unwrap();
            fs::write(lxcpath.join(name).join("config"), "").unwrap();
        }
        let bind = |dir: &Path, name: &str| {
            let name = command_socket::address::name_of(dir, name);
            UnixListener::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap()
        };
        let listeners = [bind(&lxcpath, "a b"), bind(&lxcpath, &long), bind(&lxcpath, "c d")];
        let threads = listeners.map(|it| std::thread::spawn(move || while serve(&it) {}));
        let states: Vec<_> =
            read(&lxcpath).unwrap().into_iter().map(|it| (it.name, it.state, it.defined)).collect();
        for (dir, name) in [(&lxcpath, "a b"), (&lxcpath, long.as_str()), (&lxcpath, "c d")] {
            end(dir, name);
        }
        for it in threads {
            it.join().unwrap();
        }
        let expected = [
            ("a b".to_owned(), State::Frozen, true),
            ("c d".to_owned(), State::Frozen, false),
            ("stopped one".to_owned(), State::Stopped, true),
            (long, State::Frozen, true),
        ];
        assert_eq!(states, expected);
    }

    /// Answers any request of one client, as LXC would, that the container is frozen. False: it
    /// sent one byte, which ends the loop.
    fn serve(listener: &UnixListener) -> bool {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 16];
        let count = stream.read(&mut request).unwrap();
        let mut answer = [0; 16];
        answer[8] = State::Frozen as u8;
        // A client that only checks the listener has hung up.
        _ = stream.write_all(&answer);
        count != 1
    }

    fn end(dir: &Path, name: &str) {
        use std::io::Write as _;
        let name = command_socket::address::name_of(dir, name);
        let address = SocketAddr::from_abstract_name(name).unwrap();
        let mut stream = std::os::unix::net::UnixStream::connect_addr(&address).unwrap();
        stream.write_all(&[0]).unwrap();
    }
}
