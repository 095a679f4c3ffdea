//! A program on a terminal of its own, inside the screen: a console, or a command in a container.
//! It cannot slow the screen down, however much it writes and however little it reads.

pub mod keys;
pub mod mouse;

use std::fs::File;
use std::io::{self, PipeReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossterm::event::{KeyEvent, MouseEvent, MouseEventKind};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::message::Message;
use crate::engine::{pty, set_window_size};
use crate::widgets::grid::{Emulator, GuestScreen as _, Size};

/// Read at once from the program.
const CHUNK: usize = 16 * 1024;
/// How much is processed before it must be painted, which bounds a flood's cost per frame.
const UNSEEN: usize = 16 * CHUNK;
/// How long an unseen flood is paused: a pane that is not on the screen continues slowly.
const HOLD: Duration = Duration::from_millis(100);
/// How many keys and answers wait for a program that does not read; more are dropped.
const WAITING: usize = 256;

/// The program and its terminal. Dropping it hangs the program up.
#[derive(Debug)]
pub struct Pane {
    shared: Arc<Shared>,
    master: File,
    /// The channel to the thread that writes to the program.
    input: SyncSender<Vec<u8>>,
    /// Closing it ends the reader, and thereby the terminal.
    _alive: io::PipeWriter,
}

/// What the reader's thread and the screen share.
#[derive(Debug)]
struct Shared {
    terminal: Mutex<GuestTerminal>,
    painted: Condvar,
}

#[derive(Debug)]
struct GuestTerminal {
    emulator: Emulator,
    /// Bytes processed since it was last painted.
    unseen: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, GuestTerminal> {
        self.terminal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pane {
    /// Runs this executable with `args` over `lxcpath` on a terminal of `size`, as the `number`th
    /// program in the pane.
    pub fn open(
        lxcpath: &Path,
        args: &[String],
        size: Size,
        number: u64,
        send: impl Fn(Message) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        let Some((verb, rest)) = args.split_first() else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let mut command = Command::new("/proc/self/exe");
        command.arg(verb).arg("-P").arg(lxcpath).args(rest);
        Self::start(command, size, number, send)
    }

    /// Starts `command` on a terminal of `size`; `send` is called from other threads until the
    /// program has ended or it returns false.
    pub fn start(
        mut command: Command,
        size: Size,
        number: u64,
        send: impl Fn(Message) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        command.env("TERM", "xterm-256color").env_remove("COLORTERM").env_remove("NO_COLOR");
        let (master, child) = pty::spawn_on_pty(command, size.rows, size.columns)?;
        let master = File::from(master);
        let (ended, alive) = io::pipe()?;
        let (input, keys) = sync_channel(WAITING);
        let emulator = Emulator::new(size);
        let terminal = Mutex::new(GuestTerminal { emulator, unseen: 0 });
        let shared = Arc::new(Shared { terminal, painted: Condvar::new() });
        let (out, into) = (master.try_clone()?, master.try_clone()?);
        let (shared_too, answers) = (Arc::clone(&shared), input.clone());
        let reader = OutputReader { number, out, ended, child, shared: shared_too, answers };
        thread::Builder::new().name("pane-out".into()).spawn(move || reader.run(&send))?;
        thread::Builder::new().name("pane-in".into()).spawn(move || write_all(into, &keys))?;
        Ok(Self { shared, master, input, _alive: alive })
    }

    /// Sends a key to the program, and ends any scrolling back.
    pub fn press(&self, key: KeyEvent) {
        let mut terminal = self.shared.lock();
        let past = i32::try_from(terminal.emulator.scrolled()).unwrap_or(i32::MAX);
        if past > 0 {
            terminal.emulator.scroll(past.saturating_neg());
        }
        self.send(keys::encode(key, terminal.emulator.modes()));
    }

    /// Sends pasted text to the program.
    pub fn paste(&self, text: &str) {
        self.send(keys::paste(text, self.shared.lock().emulator.modes()));
    }

    /// Changes the size of the program's terminal, and informs the program.
    pub fn resize(&self, rows: u16, columns: u16) {
        self.shared.lock().emulator.resize(Size { columns, rows });
        // It only fails if the terminal is gone, and then the program is gone too.
        _ = set_window_size(self.master.as_fd(), rows, columns);
    }

    /// Sends a mouse event to the program if it asked for them. Otherwise the wheel scrolls the
    /// view back and forth, or sends arrow keys to a full-screen program.
    pub fn mouse(&self, event: MouseEvent) {
        let mut terminal = self.shared.lock();
        let modes = terminal.emulator.modes();
        if let Some(bytes) = mouse::encode(event, modes) {
            self.send(bytes);
        } else if modes.alternate_screen {
            self.send(mouse::arrows(event.kind, modes));
        } else {
            let notch = i32::from(mouse::NOTCH);
            match event.kind {
                MouseEventKind::ScrollUp => terminal.emulator.scroll(notch),
                MouseEventKind::ScrollDown => terminal.emulator.scroll(-notch),
                MouseEventKind::Down(_)
                | MouseEventKind::Up(_)
                | MouseEventKind::Drag(_)
                | MouseEventKind::Moved
                | MouseEventKind::ScrollLeft
                | MouseEventKind::ScrollRight => (),
            }
        }
    }

    /// Returns by how many lines the view is scrolled back.
    pub fn scrolled(&self) -> usize {
        self.shared.lock().emulator.scrolled()
    }

    /// Paints the program's terminal; its cursor is shown when it has the keyboard.
    pub fn render(&self, area: Rect, buf: &mut Buffer, focused: bool) {
        let mut terminal = self.shared.lock();
        terminal.emulator.paint(area, buf);
        terminal.unseen = 0;
        self.shared.painted.notify_one();
        let Some((x, y)) = terminal.emulator.cursor().filter(|_| focused) else { return };
        if x < area.width
            && y < area.height
            && let Some(cell) = buf.cell_mut((area.x + x, area.y + y))
        {
            cell.set_style(Style::new().add_modifier(Modifier::REVERSED));
        }
    }

    fn send(&self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            // A program that reads nothing loses keys; the screen does not wait for it.
            _ = self.input.try_send(bytes);
        }
    }
}

/// Processes the program's output.
struct OutputReader {
    number: u64,
    out: File,
    ended: PipeReader,
    child: Child,
    shared: Arc<Shared>,
    answers: SyncSender<Vec<u8>>,
}

impl OutputReader {
    fn run(mut self, send: &impl Fn(Message) -> bool) {
        let mut chunk = vec![0; CHUNK];
        while let Some(bytes) = self.next(&mut chunk) {
            if !self.take_in(bytes, send) {
                break;
            }
        }
        let Self { number, out, child, answers, shared: _, ended: _ } = self;
        drop((out, answers));
        hang_up(&child);
        let how = end(child);
        // The receiver is gone once the pane is closed.
        _ = send(Message::PaneEnded { number, how });
    }

    /// Waits for output. None: the program has closed its terminal, or the pane was dropped.
    fn next<'c>(&mut self, chunk: &'c mut [u8]) -> Option<&'c [u8]> {
        loop {
            let mut fds = [
                PollFd::new(self.out.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.ended.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Err(nix::errno::Errno::EINTR) => continue,
                Err(_) => return None,
                Ok(_) => (),
            }
            let [_, ended] = fds;
            if ended.revents().is_some_and(|it| !it.is_empty()) {
                return None;
            }
            match self.out.read(chunk) {
                Ok(0) => return None,
                Ok(count) => return chunk.get(..count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(_) => return None,
            }
        }
    }

    fn take_in(&self, bytes: &[u8], send: &impl Fn(Message) -> bool) -> bool {
        let mut terminal = self.shared.lock();
        terminal.emulator.feed(bytes);
        let answers = terminal.emulator.answers();
        let news = terminal.unseen == 0;
        terminal.unseen += bytes.len();
        if !answers.is_empty() {
            _ = self.answers.try_send(answers);
        }
        if news {
            drop(terminal);
            return send(Message::PaneChanged);
        }
        if terminal.unseen > UNSEEN {
            // Either painted or late: the flood continues, and the next frame shows its state.
            drop(self.shared.painted.wait_timeout(terminal, HOLD));
        }
        true
    }
}

/// Informs the program that its terminal is gone. The kernel does so too, but only when the writing
/// thread has closed the pty, which a program that does not read can block.
fn hang_up(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // It was not reaped yet, so the pid is still its own; it may have ended already.
        _ = kill(Pid::from_raw(pid), Signal::SIGHUP);
    }
}

/// Waits for the program, whose terminal is gone, and returns how it ended.
fn end(mut child: Child) -> String {
    match child.wait() {
        Ok(status) => words(status),
        Err(error) => format!("its exit status is unknown: {error}"),
    }
}

fn words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "its exit status is unknown".to_owned(),
    }
}

/// Writes the keys to the program, one after the other, until the channel closes.
fn write_all(mut into: File, keys: &Receiver<Vec<u8>>) {
    while let Ok(bytes) = keys.recv() {
        if into.write_all(&bytes).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use crossterm::event::{KeyCode, KeyModifiers};

    use super::*;

    /// Longest wait for anything in these tests.
    const PATIENCE: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> (Pane, Receiver<Message>) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let (sender, news) = mpsc::channel();
        let size = Size { columns: 30, rows: 3 };
        let pane = Pane::start(command, size, 1, move |it| sender.send(it).is_ok()).unwrap();
        (pane, news)
    }

    fn shown(pane: &Pane) -> String {
        let mut buf = Buffer::empty(Rect::new(0, 0, 30, 3));
        pane.render(buf.area, &mut buf, false);
        buf.content.iter().map(ratatui::buffer::Cell::symbol).collect()
    }

    #[track_caller]
    fn wait(pane: &Pane, news: &Receiver<Message>, text: &str) {
        let start = Instant::now();
        while !shown(pane).contains(text) {
            assert!(start.elapsed() < PATIENCE, "{text:?} not in {:?}", shown(pane));
            _ = news.recv_timeout(PATIENCE);
        }
    }

    #[test]
    fn keys_reach_the_program_and_its_words_the_screen() {
        let (pane, news) = shell("read it; echo got $it; exit 3");
        for it in "abc".chars() {
            pane.press(KeyEvent::new(KeyCode::Char(it), KeyModifiers::NONE));
        }
        pane.press(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE));
        wait(&pane, &news, "got abc");
        let last = news.iter().last();
        assert!(matches!(last, Some(Message::PaneEnded { number: 1, how }) if how == "exit 3"));
    }

    #[test]
    fn a_resize_reaches_the_program() {
        let (pane, news) = shell("trap 'stty size' WINCH; echo up; while :; do read x; done");
        wait(&pane, &news, "up");
        pane.resize(5, 44);
        wait(&pane, &news, "5 44");
    }

    #[test]
    fn a_flood_neither_grows_nor_stalls_the_screen() {
        let (pane, news) = shell("yes \"$(head -c 2000 /dev/zero | tr '\\0' x)\"");
        wait(&pane, &news, "xxx");
        for _ in 0..20 {
            let start = Instant::now();
            pane.press(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE));
            _ = shown(&pane);
            assert!(start.elapsed() < Duration::from_secs(1));
        }
        pane.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
        drop(pane);
        assert!(news.iter().any(|it| matches!(it, Message::PaneEnded { .. })));
    }
}
