//! Runs the real binary on a pty and sees its screen as cells, as an operator does.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::termios::{Termios, tcgetattr};

use super::terminal::{self, OnTerminal, WHERE_IS_THE_CURSOR};
use super::{Lxcpath, PATIENCE, wait_until};

pub(crate) const ENTER: &str = "\r";
pub(crate) const ESCAPE: &str = "\x1b";
pub(crate) const TAB: &str = "\t";
pub(crate) const DOWN: &str = "\x1b[B";
pub(crate) const LEFT: &str = "\x1b[D";

/// A program on a terminal of its own.
pub(crate) struct Screen {
    child: Child,
    terminal: File,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    /// The terminal's modes before the program touched them.
    pub(crate) modes_before: Termios,
    /// Everything the program wrote.
    pub(crate) raw: Vec<u8>,
}

impl Screen {
    /// Runs `command` on a terminal of `cols` x `rows`.
    pub(crate) fn spawn(command: Command, cols: u16, rows: u16) -> Self {
        let OnTerminal { child, terminal, modes_before } =
            terminal::spawn(command, cols, rows).unwrap();
        let mut reader = terminal.try_clone().unwrap();
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            // EIO means that the slave has no holder any more.
            while let Ok(count @ 1..) = reader.read(&mut buffer)
                && sender.send(buffer[..count].to_vec()).is_ok()
            {}
        });
        let parser = vt100::Parser::new(lines(rows), lines(cols), 0);
        Self { child, terminal, output, parser, modes_before, raw: Vec::new() }
    }

    /// Shows `wharf monitor` of a running container. It is following once it reports an event.
    pub(crate) fn monitor(lxcpath: &Lxcpath, name: &str) -> Self {
        let mut monitor = Self::spawn(lxcpath.command(&["monitor", name]), 120, 30);
        wait_until("an event", || {
            lxcpath.ok(&["freeze", name]);
            lxcpath.ok(&["unfreeze", name]);
            monitor.settle(Duration::from_millis(100));
            monitor.contents().contains("FROZEN")
        });
        monitor
    }

    /// Types `keys`.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.terminal.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text` is on the screen.
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait_until(&format!("{text:?} on the screen"), |it| it.contains(text));
    }

    /// Waits until the list has the container. Its name alone may be that of an event, which is shown
    /// before the containers have been read.
    pub(crate) fn wait_for_row(&mut self, name: &str) {
        let rows = ["●", "○", "◆", "◐", "×"].map(|it| format!("{it} {name}"));
        self.wait_until(&format!("a row of {name}"), |it| rows.iter().any(|row| it.contains(row)));
    }

    /// Types `keys` again every second until `text` is on the screen: what is typed before the
    /// program inside opens its terminal is thrown away.
    pub(crate) fn keys_until(&mut self, keys: &str, text: &str) {
        const AGAIN: Duration = Duration::from_secs(1);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline && !self.contents().contains(text) {
            self.keys(keys);
            let pressed = Instant::now();
            while pressed.elapsed() < AGAIN && !self.contents().contains(text) {
                match self.output.recv_timeout(AGAIN.saturating_sub(pressed.elapsed())) {
                    Ok(bytes) => self.take(&bytes),
                    Err(RecvTimeoutError::Timeout) => break,
                    // Nobody reads what is typed.
                    Err(RecvTimeoutError::Disconnected) => return self.wait_for(text),
                }
            }
        }
        self.wait_for(text);
    }

    /// Moves the cursor down to the row whose first word has `text` in it. Each key waits for what
    /// the one before did: on a slow machine the cursor would go past the row otherwise.
    pub(crate) fn cursor_to(&mut self, text: &str) {
        // The path in the header has the same mark; values beside a name change on their own.
        let row = |it: &str| {
            let (_, row) = it.lines().skip(1).find_map(|it| it.split_once('▸'))?;
            row.split_whitespace().next().map(str::to_owned)
        };
        self.wait_until("a cursor", |it| row(it).is_some());
        while let Some(left) = row(&self.contents()).filter(|it| !it.contains(text)) {
            self.keys(DOWN);
            self.wait_until("the next row", |it| row(it).is_some_and(|it| it != left));
        }
    }

    /// Waits until `text` is gone from the screen.
    pub(crate) fn wait_gone(&mut self, text: &str) {
        self.wait_until(&format!("{text:?} gone"), |it| !it.contains(text));
    }

    /// Waits until `condition` holds of the screen's text; panics with the screen if it never does.
    pub(crate) fn wait_until(&mut self, what: &str, condition: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if condition(&self.contents()) {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Timeout) => panic!("never {what}:\n{}", self.framed()),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended without {what}:\n{}", self.framed())
                }
            }
        }
    }

    /// Processes output until nothing comes for `quiet`.
    pub(crate) fn settle(&mut self, quiet: Duration) {
        while let Ok(bytes) = self.output.recv_timeout(quiet) {
            self.take(&bytes);
        }
    }

    /// Processes output for so long.
    pub(crate) fn settle_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if let Ok(bytes) = self.output.recv_timeout(left) {
                self.take(&bytes);
            }
        }
    }

    /// Returns the text on the screen, one line a row.
    pub(crate) fn contents(&self) -> String {
        let (_, cols) = self.parser.screen().size();
        let rows = self.parser.screen().rows(0, cols.get());
        rows.map(|it| it.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn terminal(&self) -> &vt100::Screen {
        self.parser.screen()
    }

    /// Changes the size of the terminal; the kernel informs the program.
    pub(crate) fn resize(&mut self, cols: u16, rows: u16) {
        terminal::resize(&self.terminal, cols, rows).unwrap();
        self.parser.screen_mut().set_size(lines(rows), lines(cols));
    }

    /// Wipes the terminal behind the program's back.
    pub(crate) fn spoil(&mut self) {
        self.parser.process(b"\x1b[2J");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Waits for the program's end, and processes its remaining output.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.settle(Duration::from_millis(50));
                return status;
            }
            assert!(Instant::now() < deadline, "still runs:\n{}", self.framed());
            if let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(20)) {
                self.take(&bytes);
            } else {
                thread::park_timeout(Duration::from_millis(5));
            }
        }
    }

    /// Checks that the terminal is as the program found it.
    pub(crate) fn assert_restored(&self) {
        let now = tcgetattr(&self.terminal).unwrap();
        assert_eq!(now, self.modes_before, "terminal modes differ");
        let screen = self.parser.screen();
        assert!(!screen.alternate_screen(), "still on the alternate screen");
        assert!(!screen.hide_cursor(), "the cursor is hidden");
        assert!(!screen.bracketed_paste(), "bracketed paste is on");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    }

    /// Returns the screen in a frame, for failure messages.
    pub(crate) fn framed(&self) -> String {
        let lines: Vec<String> = self.contents().lines().map(|it| format!("│{it}")).collect();
        lines.join("\n")
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.parser.process(bytes);
        if bytes.windows(WHERE_IS_THE_CURSOR.len()).any(|it| it == WHERE_IS_THE_CURSOR) {
            let (row, col) = self.parser.screen().cursor_position();
            self.keys(&format!("\x1b[{};{}R", row + 1, col + 1));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

const fn lines(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}
