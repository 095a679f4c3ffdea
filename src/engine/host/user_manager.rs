//! Asks the user's systemd for a cgroup that is delegated to this process: a scope of its own. The
//! manager's private socket needs no bus. `zbus` writes the one call that is made here, but its
//! connections are not used: they start threads that never end (its executor's, and that of
//! `async-io`), and this process clones and moves to other namespaces afterwards.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use zbus::message::Message;
use zbus::zvariant::serialized::{Context, Data};
use zbus::zvariant::{Endian, Value};

use super::random;
use crate::engine::terms::patience::Patience;

/// How long the manager may take.
const LONGEST: Duration = Duration::from_secs(20);
/// No answer is longer.
const MOST: usize = 1024 * 1024;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const DIGITS: usize = 8;

/// Moves this process, which must be single-threaded, to a scope of its own. None is to be had where
/// no such manager runs.
pub(in crate::engine) fn enter_scope(description: &str) -> io::Result<()> {
    let mut manager = UnixStream::connect(socket())?;
    manager.set_read_timeout(Some(LONGEST))?;
    authenticate(&mut manager)?;
    let pid = std::process::id();
    let unit = format!("wharf-{pid}-{}.scope", random::digits(DIGITS));
    manager.write_all(start_scope(&unit, description, pid)?.data())?;
    answer(&mut manager)?;
    // The answer only says that it will be done.
    let mut patience = Patience::until(Instant::now() + LONGEST);
    while !fs::read_to_string("/proc/self/cgroup")?.lines().any(|it| it.ends_with(&unit)) {
        if !patience.again() {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

/// Returns whether such a manager runs.
pub(in crate::engine) fn is_there() -> bool {
    socket().exists()
}

fn socket() -> PathBuf {
    let dir = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let dir = dir.filter(|it| it.join("systemd/private").exists());
    dir.unwrap_or_else(|| format!("/run/user/{}", geteuid()).into()).join("systemd/private")
}

fn authenticate(manager: &mut UnixStream) -> io::Result<()> {
    // Hexadecimal, as each digit of a text is.
    let uid: String = geteuid().to_string().chars().flat_map(|digit| ['3', digit]).collect();
    manager.write_all(format!("\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n").as_bytes())?;
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") && line.len() < MOST {
        let mut byte = [0];
        manager.read_exact(&mut byte)?;
        line.extend(byte);
    }
    if line.starts_with(b"OK ") { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Waits for the answer to the only call.
fn answer(manager: &mut UnixStream) -> io::Result<()> {
    loop {
        let mut head = [0_u8; 16];
        manager.read_exact(&mut head)?;
        let [_, kind, _, _, b0, b1, b2, b3, _, _, _, _, f0, f1, f2, f3] = head;
        let body = u32::from_le_bytes([b0, b1, b2, b3]) as usize;
        let fields = (u32::from_le_bytes([f0, f1, f2, f3]) as usize).next_multiple_of(8);
        let rest = body.checked_add(fields).filter(|it| *it <= MOST);
        let mut bytes = vec![0; rest.ok_or(io::ErrorKind::InvalidData)?];
        manager.read_exact(&mut bytes)?;
        match kind {
            METHOD_RETURN => return Ok(()),
            ERROR => {
                let body = bytes.get(fields..).unwrap_or_default();
                let body = Data::new(body, Context::new_dbus(Endian::Little, 0));
                let (text, _) = body.deserialize::<String>().map_err(io::Error::other)?;
                return Err(io::Error::other(text));
            }
            // A signal.
            _ => (),
        }
    }
}

/// Returns the call of `StartTransientUnit`; see org.freedesktop.systemd1(5).
fn start_scope(unit: &str, description: &str, pid: u32) -> io::Result<Message> {
    let properties = [
        ("Description", Value::from(description)),
        ("Delegate", true.into()),
        ("CollectMode", "inactive-or-failed".into()),
        ("PIDs", vec![pid].into()),
    ];
    let no_others: [(&str, Vec<(&str, Value<'_>)>); 0] = [];
    let call = Message::method_call("/org/freedesktop/systemd1", "StartTransientUnit")
        .and_then(|it| it.destination("org.freedesktop.systemd1"))
        .and_then(|it| it.interface("org.freedesktop.systemd1.Manager"))
        .and_then(|it| {
            it.endian(Endian::Little).build(&(unit, "fail", &properties[..], &no_others[..]))
        });
    call.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Properties<'a> = Vec<(String, Value<'a>)>;
    type Body<'a> = (String, String, Properties<'a>, Vec<(String, Properties<'a>)>);

    #[test]
    fn the_call_has_the_signature_that_systemd_expects() {
        let call = start_scope("a.scope", "b", 7).unwrap();
        assert_eq!(call.body().signature().to_string_no_parens(), "ssa(sv)a(sa(sv))");
        assert_eq!(call.data().first(), Some(&b'l'));
        let body = call.body();
        let (unit, mode, properties, others): Body<'_> = body.deserialize().unwrap();
        assert_eq!((unit.as_str(), mode.as_str(), others.len()), ("a.scope", "fail", 0));
        assert!(properties.contains(&("PIDs".to_owned(), vec![7_u32].into())));
    }

    #[test]
    fn an_error_is_reported_in_the_words_of_the_manager() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let call = start_scope("a.scope", "b", 7).unwrap();
        let signal = Message::signal("/a", "a.b", "C").unwrap().build(&()).unwrap();
        let error = Message::error(&call.header(), "a.b.Bad").unwrap();
        let error = error.endian(Endian::Little).build(&"Not so.").unwrap();
        theirs.write_all(signal.data()).unwrap();
        theirs.write_all(error.data()).unwrap();
        assert_eq!(answer(&mut ours).unwrap_err().to_string(), "Not so.");
        let done = Message::method_return(&call.header()).unwrap().build(&()).unwrap();
        theirs.write_all(done.data()).unwrap();
        answer(&mut ours).unwrap();
    }
}
