//! Asks the user's systemd for a cgroup that is delegated to this process: a scope of its own. The
//! manager's private socket needs no bus; one call of D-Bus is all that is spoken here.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;

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
    manager.write_all(&start_scope(&unit, description, pid))?;
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
                // A text with its length before it and a zero after it.
                let text = bytes.get(fields + 4..bytes.len().saturating_sub(1));
                let text = String::from_utf8_lossy(text.unwrap_or_default()).into_owned();
                return Err(io::Error::other(text));
            }
            // A signal.
            _ => (),
        }
    }
}

/// A message of D-Bus, little-endian, as far as it is written; see its specification.
#[derive(Debug, Default)]
struct Wire(Vec<u8>);

impl Wire {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// An array of structures.
    fn array(&mut self, fill: impl FnOnce(&mut Self)) {
        self.number(0);
        let length = self.0.len() - 4;
        self.align(8);
        let begin = self.0.len();
        fill(self);
        let bytes = (self.0.len() - begin) as u32;
        if let Some(place) = self.0.get_mut(length..length + 4) {
            place.copy_from_slice(&bytes.to_le_bytes());
        }
    }

    /// A name and the signature of its value, which follows.
    fn property(&mut self, name: &str, signature: &str) {
        self.align(8);
        self.text(name);
        self.signature(signature);
    }

    /// A field of the header.
    fn field(&mut self, code: u8, signature: &str, value: &str) {
        self.align(8);
        self.0.push(code);
        self.signature(signature);
        if signature == "g" { self.signature(value) } else { self.text(value) }
    }
}

/// The call of `StartTransientUnit`; see org.freedesktop.systemd1(5).
fn start_scope(unit: &str, description: &str, pid: u32) -> Vec<u8> {
    let mut body = Wire::default();
    body.text(unit);
    body.text("fail");
    body.array(|it| {
        it.property("Description", "s");
        it.text(description);
        it.property("Delegate", "b");
        it.number(1);
        it.property("CollectMode", "s");
        it.text("inactive-or-failed");
        it.property("PIDs", "au");
        it.number(4);
        it.number(pid);
    });
    body.array(|_none| ());
    // Little-endian, a method call, no flags, version 1; the length of the body, the serial number.
    let mut call = Wire(vec![b'l', 1, 0, 1]);
    call.number(body.0.len() as u32);
    call.number(1);
    call.array(|it| {
        it.field(1, "o", "/org/freedesktop/systemd1");
        it.field(2, "s", "org.freedesktop.systemd1.Manager");
        it.field(3, "s", "StartTransientUnit");
        it.field(6, "s", "org.freedesktop.systemd1");
        it.field(8, "g", "ssa(sv)a(sa(sv))");
    });
    call.align(8);
    call.0.extend(body.0);
    call.0
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_aligned_and_counted() {
        let call = start_scope("a.scope", "b", 7);
        let number = |at: usize| u32::from_le_bytes(call[at..at + 4].try_into().unwrap()) as usize;
        let (body, fields) = (number(4), number(12));
        assert_eq!(call.len(), 16 + fields.next_multiple_of(8) + body);
        let begin = call.len() - body;
        assert_eq!(number(begin), "a.scope".len());
        assert_eq!(call.get(begin + 4..begin + 12), Some(&b"a.scope\0"[..]));
        // The properties end with the pid; the list of other units is empty, and aligned all the same.
        let mut end = Wire::default();
        end.property("PIDs", "au");
        for it in [4, 7, 0] {
            end.number(it);
        }
        end.align(8);
        let end = &end.0[..end.0.len() - 4];
        assert!(call.windows(end.len()).any(|it| it == end));
    }
}
