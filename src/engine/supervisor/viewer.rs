//! The operator's own terminal as a viewer of the console, for `start -F` and `execute`.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::terminal::Terminal;
use crate::engine::sys;

/// Bytes written to the operator's terminal at a time, so that a stopped one holds up little.
const PIECE: usize = 1024;

/// This process's terminal while a container runs on it; restored when this is dropped.
#[derive(Debug)]
pub(super) struct Foreground {
    /// Raw, with what it was before, if standard input is a terminal.
    input: Option<(File, Termios)>,
    output: Option<File>,
    /// What of the console has been shown.
    place: u64,
}

/// Tells which of the descriptors 0, 1 and 2 the payload gets as they are: those that are no
/// terminal. A terminal is never handed to a container (CVE-2016-10124).
pub(super) fn inherited() -> [bool; 3] {
    [!io::stdin().is_terminal(), !io::stdout().is_terminal(), !io::stderr().is_terminal()]
}

impl Foreground {
    /// Takes the terminal over.
    pub(super) fn begin() -> io::Result<Self> {
        let copy = |fd: BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
        let input = if io::stdin().is_terminal() {
            let file = copy(io::stdin().as_fd())?;
            let before = tcgetattr(&file)?;
            let mut raw = before.clone();
            cfmakeraw(&mut raw);
            tcsetattr(&file, SetArg::TCSANOW, &raw)?;
            Some((file, before))
        } else {
            None
        };
        let output = if io::stdout().is_terminal() {
            Some(copy(io::stdout().as_fd())?)
        } else if io::stderr().is_terminal() {
            Some(copy(io::stderr().as_fd())?)
        } else {
            None
        };
        Ok(Self { input, output, place: 0 })
    }

    /// Returns the terminal to read what is typed from.
    pub(super) fn input(&self) -> Option<&File> {
        self.input.as_ref().map(|(file, _)| file)
    }

    /// Returns the terminal to write to, if there is something to write.
    pub(super) fn output(&self, console: Option<&Terminal>) -> Option<&File> {
        let behind = console.is_some_and(|it| it.ring.end() > self.place);
        self.output.as_ref().filter(|_| behind)
    }

    /// Types what the operator typed.
    pub(super) fn hear(&mut self, console: &mut Terminal) {
        let Some((file, _)) = &mut self.input else { return };
        let mut typed = [0; PIECE];
        match file.read(&mut typed) {
            Ok(count) if count > 0 => console.type_in(typed.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            // The terminal is gone; the hang-up signal says the rest.
            Ok(_) | Err(_) => self.restore(),
        }
    }

    /// Shows one piece of what is new.
    pub(super) fn show(&mut self, console: &Terminal) {
        let Some(output) = &mut self.output else { return };
        let piece = console.ring.read(&mut self.place);
        let piece = piece.get(..piece.len().min(PIECE)).unwrap_or_default();
        match output.write(piece) {
            Ok(count) => self.place += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(_gone) => self.output = None,
        }
    }

    /// Shows all that is left.
    pub(super) fn finish(&mut self, console: &Terminal) {
        while self.output.is_some() && console.ring.end() > self.place {
            self.show(console);
        }
    }

    /// Gives the console the size of the operator's terminal.
    pub(super) fn fit(&self, console: &Terminal) {
        let file = self.input().or(self.output.as_ref());
        if let Some(Ok((rows, columns))) = file.map(|it| sys::window_size(it.as_fd())) {
            console.resize(rows, columns);
        }
    }

    fn restore(&mut self) {
        if let Some((file, before)) = self.input.take() {
            // A terminal that is gone needs no restoring.
            _ = tcsetattr(&file, SetArg::TCSANOW, &before);
        }
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        self.restore();
    }
}
