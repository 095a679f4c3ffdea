//! Where the console is shown without a client: the operator's own terminal for `start -F` and
//! `execute`, or what `lxc.console.path` names. It never blocks the container.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::outside::{Last, Outside};
use super::terminal::ConsoleTerminal;
use crate::engine::sys;

/// Bytes written at a time, so that a stopped terminal holds up little.
const PIECE: usize = 1024;

/// A terminal or file that shows the console; a terminal is restored when this is dropped.
#[derive(Debug)]
pub(super) struct Viewer {
    /// In raw mode, with its old mode, if standard input is a terminal.
    input: Option<(File, Termios)>,
    output: Option<File>,
    /// How much of the console has been shown.
    place: u64,
}

/// Returns which of the descriptors 0, 1 and 2 the payload inherits: those that are not terminals.
/// A terminal is never passed to a container (CVE-2016-10124).
pub(super) fn inherited() -> [bool; 3] {
    [!io::stdin().is_terminal(), !io::stdout().is_terminal(), !io::stderr().is_terminal()]
}

/// Opens what `lxc.console.path` names: a device of the host, or a file, which is created if it
/// does not exist. Never below the container's root, which the container could have prepared.
pub(super) fn open(path: &Path, rootfs: Option<&Path>) -> io::Result<File> {
    let place = Outside::find(path, Last::FileOrDevice)?;
    if place.lies_below(rootfs)? {
        return Err(io::Error::other("it lies inside the container's root"));
    }
    place.open(OFlag::O_RDWR)
}

impl Viewer {
    /// Shows the console on `file`, which [`open`] opened, and types the input from there.
    pub(super) fn on(file: File) -> io::Result<Self> {
        let input = if file.is_terminal() { Some(raw(file.try_clone()?)?) } else { None };
        Ok(Self { input, output: Some(file), place: 0 })
    }

    /// Takes this process's own terminal over.
    pub(super) fn on_own_terminal() -> io::Result<Self> {
        let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
        let stdin = io::stdin();
        let input = if stdin.is_terminal() { Some(raw(copy(stdin.as_fd())?)?) } else { None };
        let output = if io::stdout().is_terminal() {
            Some(copy(io::stdout().as_fd())?)
        } else if io::stderr().is_terminal() {
            Some(copy(io::stderr().as_fd())?)
        } else {
            None
        };
        Ok(Self { input, output, place: 0 })
    }

    /// Returns the terminal to read input from.
    pub(super) fn input(&self) -> Option<&File> {
        self.input.as_ref().map(|(file, _)| file)
    }

    /// Returns the terminal to write to, if there is something to write.
    pub(super) fn output(&self, console: Option<&ConsoleTerminal>) -> Option<&File> {
        let behind = console.is_some_and(|it| it.ring.end() > self.place);
        self.output.as_ref().filter(|_| behind)
    }

    /// Types what the operator typed.
    pub(super) fn hear(&mut self, console: &mut ConsoleTerminal) {
        let Some((file, _)) = &mut self.input else { return };
        let mut typed = [0; PIECE];
        match file.read(&mut typed) {
            Ok(count) if count > 0 => console.type_in(typed.get(..count).unwrap_or_default()),
            Err(error) if is_passing(&error) => (),
            // The terminal is gone; the hang-up signal follows.
            Ok(_) | Err(_) => self.restore(),
        }
    }

    /// Shows one piece of new output; returns whether it could.
    pub(super) fn show(&mut self, console: &ConsoleTerminal) -> bool {
        let Some(output) = &mut self.output else { return false };
        let piece = console.ring.read(&mut self.place);
        let piece = piece.get(..piece.len().min(PIECE)).unwrap_or_default();
        match output.write(piece) {
            Ok(count) => self.place += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            // With a full disk only output is lost.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.place += piece.len() as u64;
            }
            Err(_gone) => self.output = None,
        }
        true
    }

    /// Shows the rest of the output, as far as it is accepted.
    pub(super) fn finish(&mut self, console: &ConsoleTerminal) {
        while console.ring.end() > self.place && self.show(console) {}
    }

    /// Gives the console the size of the operator's terminal.
    pub(super) fn fit(&self, console: &ConsoleTerminal) {
        let file = self.input().or(self.output.as_ref());
        if let Some(Ok((rows, columns))) = file.map(|it| sys::window_size(it.as_fd())) {
            console.resize(rows, columns);
        }
    }

    fn restore(&mut self) {
        if let Some((file, before)) = self.input.take() {
            // A terminal that is gone does not need restoring.
            _ = tcsetattr(&file, SetArg::TCSANOW, &before);
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Returns whether another try may succeed.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// Makes `terminal` raw; returns it with its old mode.
fn raw(terminal: File) -> io::Result<(File, Termios)> {
    let before = tcgetattr(&terminal)?;
    let mut raw = before.clone();
    cfmakeraw(&mut raw);
    tcsetattr(&terminal, SetArg::TCSANOW, &raw)?;
    Ok((terminal, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console() -> (ConsoleTerminal, File) {
        let pty = nix::pty::openpty(None, None).unwrap();
        (ConsoleTerminal::new(pty.master, None, 0).unwrap(), pty.slave.into())
    }

    #[test]
    fn a_file_gets_the_output_after_what_it_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console");
        std::fs::write(&path, "before ").unwrap();
        let (mut console, mut inside) = console();
        inside.write_all(b"and after").unwrap();
        console.drain();
        let mut viewer = Viewer::on(open(&path, None).unwrap()).unwrap();
        assert!(viewer.input().is_none());
        viewer.finish(&console);
        assert_eq!(std::fs::read(&path).unwrap(), b"before and after");
    }

    #[test]
    fn a_terminal_is_raw_while_it_shows_and_restored_after() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let viewer = Viewer::on(pty.slave.try_clone().unwrap().into()).unwrap();
        assert_ne!(tcgetattr(&pty.slave).unwrap(), before);
        assert!(viewer.input().is_some());
        drop(viewer);
        assert_eq!(tcgetattr(&pty.slave).unwrap(), before);
    }

    #[test]
    fn nothing_inside_the_container_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        assert!(open(&dir.path().join("console"), Some(dir.path())).is_err());
        assert!(!dir.path().join("console").exists());
    }
}
