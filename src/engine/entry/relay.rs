//! Connects this process's terminal to a pty until a process ends: passes on raw bytes both ways,
//! the size and signals, and always restores the terminal.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::engine::entry::plan::WindowSize;
use crate::engine::sys;

const PIECE: usize = 16 * 1024;
/// What a process gets when its time is over, the last one first.
const HURRY: [i32; 2] = [libc::SIGKILL, libc::SIGTERM];
/// How long it may take to end by each of these.
const GRACE: Duration = Duration::from_secs(2);

/// A terminal in raw mode, whose old mode is restored on drop.
#[derive(Debug)]
pub(in crate::engine) struct RawMode {
    tty: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// Makes standard input raw; `None` if it is not a terminal.
    pub(in crate::engine) fn stdin() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let tty = stdin.as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&tty)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&tty, SetArg::TCSANOW, &raw)?;
        Ok(Some(Self { tty, before }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone does not need restoring.
        _ = tcsetattr(&self.tty, SetArg::TCSANOW, &self.before);
    }
}

/// The signals that are meant not for this process but for the command that it represents: those
/// that a pid 1 usually gets.
pub(in crate::engine) const PASSED_ON: [Signal; 8] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGPWR,
];

/// Signals that this process receives instead of dying of them; the mask is restored when this is
/// dropped.
#[derive(Debug)]
pub(in crate::engine) struct BlockedSignals {
    heard: SigSet,
    before: SigSet,
}

impl BlockedSignals {
    /// Blocks `signals` from now on.
    pub(in crate::engine) fn block(signals: impl IntoIterator<Item = Signal>) -> nix::Result<Self> {
        let heard: SigSet = signals.into_iter().collect();
        let before = heard.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { heard, before })
    }

    /// Opens a descriptor that reports them.
    pub(in crate::engine) fn open(&self) -> nix::Result<SignalFd> {
        SignalFd::with_flags(&self.heard, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // A valid mask is never refused.
        _ = self.before.thread_set_mask();
    }
}

/// The signals that a relay receives instead of dying of them.
#[derive(Debug)]
pub(in crate::engine) struct RelaySignals(SignalFd);

impl RelaySignals {
    /// Blocks them from now on, for good.
    pub(in crate::engine) fn block() -> nix::Result<Self> {
        let mut heard = SigSet::empty();
        for signal in PASSED_ON {
            heard.add(signal);
        }
        heard.add(Signal::SIGWINCH);
        heard.thread_block()?;
        SignalFd::with_flags(&heard, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map(Self)
    }
}

/// What a relay does besides.
#[derive(Debug, Default)]
pub(in crate::engine) struct RelayOrder {
    /// How long the process may run.
    pub limit: Option<Duration>,
    /// What gets all output of the pty, too.
    pub log: Option<File>,
}

/// Why a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum RelayEnd {
    /// The command has ended.
    Command,
    /// This terminal is gone, and the command's is closed with it.
    HungUp,
    /// The time of the command was over, and it has ended, or was killed and cannot end yet.
    Late,
}

/// Relays between this terminal and `pty` until the process behind `pidfd` has ended and all its
/// output has been shown, and passes signals on to it. Without a pty it only passes on signals. A
/// process that takes longer than its limit is asked to end, and soon killed, with its group. It must
/// be a child of this process.
pub(in crate::engine) fn until_end(
    pty: Option<OwnedFd>,
    pidfd: BorrowedFd<'_>,
    signals: RelaySignals,
    order: RelayOrder,
) -> io::Result<RelayEnd> {
    let raw = if pty.is_some() { RawMode::stdin()? } else { None };
    let typing = raw.is_some();
    let RelayOrder { limit, log } = order;
    let due = limit.and_then(|it| Instant::now().checked_add(it));
    let pty = pty.map(File::from);
    let mut session = TerminalRelay { pty, pidfd, signals, typing, due, hurry: HURRY.into(), log };
    session.fit();
    session.run()
}

/// Returns the size of this process's terminal, if it is known.
pub(in crate::engine) fn window_size() -> Option<WindowSize> {
    let sizes = [
        sys::window_size(io::stdin().as_fd()),
        sys::window_size(io::stdout().as_fd()),
        sys::window_size(io::stderr().as_fd()),
    ];
    let mut known = sizes.into_iter().flatten().filter(|(rows, columns)| *rows > 0 && *columns > 0);
    known.next().map(|(rows, columns)| WindowSize { rows, columns })
}

struct TerminalRelay<'a> {
    pty: Option<File>,
    pidfd: BorrowedFd<'a>,
    signals: RelaySignals,
    /// Standard input is a terminal and still open.
    typing: bool,
    /// When it gets the next signal, because its time is over.
    due: Option<Instant>,
    /// The signals that are left for that, the next one last.
    hurry: Vec<i32>,
    log: Option<File>,
}

impl TerminalRelay<'_> {
    fn run(&mut self) -> io::Result<RelayEnd> {
        loop {
            let [ended, signalled, typed, shown] = self.wait()?;
            if signalled && self.heed()? == Some(RelayEnd::HungUp) {
                return Ok(RelayEnd::HungUp);
            }
            if typed {
                self.hear()?;
            }
            if shown || ended {
                self.show()?;
            }
            if ended {
                return Ok(self.end());
            }
            if self.due.is_some_and(|it| it <= Instant::now()) && self.hurry_up() {
                return Ok(RelayEnd::Late);
            }
        }
    }

    /// Returns how it has ended, and kills what its command has left when its time was over.
    fn end(&self) -> RelayEnd {
        if self.hurry.len() == HURRY.len() {
            return RelayEnd::Command;
        }
        // Nobody else is left in most groups.
        _ = sys::signal_group(self.pidfd, libc::SIGKILL);
        RelayEnd::Late
    }

    /// Sends the next signal, and returns whether there is none left.
    fn hurry_up(&mut self) -> bool {
        let Some(signal) = self.hurry.pop() else { return true };
        // It may have ended meanwhile. A shell dies of it and does not pass it on.
        _ = sys::signal_group(self.pidfd, signal);
        self.due = Some(Instant::now() + GRACE);
        false
    }

    /// Waits for the end of the command, a signal, input, or output.
    fn wait(&self) -> nix::Result<[bool; 4]> {
        let stdin = io::stdin();
        let mut fds = vec![
            PollFd::new(self.pidfd, PollFlags::POLLIN),
            PollFd::new(self.signals.0.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(pty) = &self.pty {
            let input = if self.typing { PollFlags::POLLIN } else { PollFlags::empty() };
            fds.push(PollFd::new(stdin.as_fd(), input));
            fds.push(PollFd::new(pty.as_fd(), PollFlags::POLLIN));
        }
        let left = self.due.map(|it| {
            let left = it.saturating_duration_since(Instant::now());
            PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, left.unwrap_or(PollTimeout::NONE)) {
            Err(Errno::EINTR) => return Ok([false; 4]),
            result => result?,
        };
        // A pty whose other side is closed reports a hang-up for ever: then only wait for the
        // process.
        let ready = |it: &PollFd<'_>| it.revents().is_some_and(|it| it.contains(PollFlags::POLLIN));
        let mut all = [false; 4];
        for (to, from) in all.iter_mut().zip(&fds) {
            *to = ready(from);
        }
        Ok(all)
    }

    /// Handles the signals, most of which are meant for the command.
    fn heed(&mut self) -> io::Result<Option<RelayEnd>> {
        while let Some(signal) = self.signals.0.read_signal()?.map(|it| it.ssi_signo as i32) {
            if signal == libc::SIGWINCH {
                self.fit();
                continue;
            }
            // The command may have ended meanwhile.
            _ = sys::pidfd_send_signal(self.pidfd, signal);
            if signal == libc::SIGHUP && self.pty.is_some() {
                return Ok(Some(RelayEnd::HungUp));
            }
        }
        Ok(None)
    }

    fn hear(&mut self) -> io::Result<()> {
        let mut piece = [0; 1024];
        match nix::unistd::read(io::stdin(), &mut piece) {
            Ok(0) | Err(Errno::EIO) => self.typing = false,
            Ok(count) => self.type_in(piece.get(..count).unwrap_or_default())?,
            Err(Errno::EINTR | Errno::EAGAIN) => (),
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    /// Writes all of it, showing output meanwhile, so that neither side waits for the other.
    fn type_in(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let Some(pty) = &mut self.pty else { return Ok(()) };
            match pty.write(bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.show()?;
                    self.wait_for_room()?;
                }
                Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn wait_for_room(&self) -> nix::Result<()> {
        let Some(pty) = &self.pty else { return Ok(()) };
        let mut fds = [PollFd::new(pty.as_fd(), PollFlags::POLLOUT | PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Shows all available output.
    fn show(&mut self) -> io::Result<()> {
        let Some(pty) = &mut self.pty else { return Ok(()) };
        let mut piece = vec![0; PIECE];
        loop {
            match pty.read(&mut piece) {
                // EIO: the last process has closed the pty.
                Ok(0) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::EIO) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
                Ok(count) => {
                    let piece = piece.get(..count).unwrap_or_default();
                    // A full disk must not end what is shown.
                    _ = self.log.as_mut().map(|it| it.write_all(piece));
                    show_piece(piece)?;
                }
            }
        }
    }

    fn fit(&self) {
        let (Some(pty), Some(size)) = (&self.pty, window_size()) else { return };
        // A pty that is closed has no size to follow.
        _ = sys::set_window_size(pty.as_fd(), size.rows, size.columns);
    }
}

/// Writes the pty's output to a terminal, never into a file or pipe: those get what the command
/// itself writes there, not what its terminal echoes.
fn show_piece(bytes: &[u8]) -> io::Result<()> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let terminals = [
        stdout.is_terminal().then(|| stdout.as_fd()),
        stderr.is_terminal().then(|| stderr.as_fd()),
        stdin.is_terminal().then(|| stdin.as_fd()),
    ];
    let Some(terminal) = terminals.into_iter().flatten().next() else { return Ok(()) };
    File::from(terminal.try_clone_to_owned()?).write_all(bytes)
}
