//! Sets up the terminal for the screen and restores it: raw mode, the alternate screen, bracketed
//! paste and the mouse, also after a panic or a signal.

mod signals;

use std::io::{self, Write};
use std::sync::Once;

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};

pub use signals::{Signal, SignalQueue};

/// Large enough for a frame of any screen, so that it is sent in one write.
const FRAME_BYTES: usize = 64 * 1024;

/// Hooks the panic handler once in the life of the process.
static HOOK: Once = Once::new();

/// Requests presses, the wheel, and moves with a button held down, in the form without a largest
/// column. Not every move, which would wake us for nothing.
const MOUSE_ON: &[u8] = b"\x1b[?1000h\x1b[?1002h\x1b[?1006h";

/// The sequence that ends a frame.
const FRAME_END: &[u8] = b"\x1b[?2026l";

/// Collects a frame and writes it at once. The backend flushes in the middle of a frame (when it
/// hides the cursor); only a flush after the end of the frame takes effect.
#[derive(Debug)]
struct Out(Vec<u8>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.0.ends_with(FRAME_END) {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        let result = out.write_all(&self.0).and_then(|()| out.flush());
        self.0.clear();
        result
    }
}

/// The terminal while the screen owns it. Dropping it restores the terminal.
#[derive(Debug)]
pub struct TerminalGuard {
    terminal: Terminal<CrosstermBackend<Out>>,
    mouse: MouseCapture,
}

impl TerminalGuard {
    /// Takes the terminal, and its mouse. If a later step fails, all is restored.
    pub fn take() -> io::Result<Self> {
        HOOK.call_once(restore_on_panic);
        let out = Out(Vec::with_capacity(FRAME_BYTES));
        enable_raw_mode()?;
        let mouse = MouseCapture::On;
        let taken = enter(mouse).and_then(|()| Terminal::new(CrosstermBackend::new(out)));
        match taken {
            Ok(terminal) => Ok(Self { terminal, mouse }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// Draws one frame: nothing is written when nothing changed, else all of it at once, between
    /// the marks of a synchronized update so that no terminal shows half of it.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(view)?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Invalidates the terminal's content: the next frame paints everything.
    pub fn redraw_all(&mut self) -> io::Result<()> {
        // Not `clear`: it queries the cursor position, and the input thread gets the answer.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Returns columns and rows.
    pub fn size() -> io::Result<(u16, u16)> {
        crossterm::terminal::size()
    }

    /// Turns mouse events on or off; the terminal's own selection works without them.
    pub fn capture_mouse(&mut self, capture: MouseCapture) -> io::Result<()> {
        self.mouse = capture;
        match capture {
            MouseCapture::On => ask_for_mouse(),
            MouseCapture::Off => execute!(io::stdout(), DisableMouseCapture),
        }
    }

    /// Copies `text` to the operator's clipboard, through the terminal (OSC 52).
    pub fn copy(text: &str) -> io::Result<()> {
        execute!(io::stdout(), crossterm::clipboard::CopyToClipboard::to_clipboard_from(text))
    }

    /// Restores the terminal, stops this process as `C-z` does, and takes the terminal again when
    /// the operator continues it.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore();
        signals::stop_myself()?;
        self.take_again()
    }

    fn take_again(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        enter(self.mouse)?;
        self.redraw_all()
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether clicks and the wheel reach wharf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MouseCapture {
    On,
    Off,
}

fn enter(mouse: MouseCapture) -> io::Result<()> {
    execute!(io::stdout(), EnterAlternateScreen, Hide, EnableBracketedPaste)?;
    match mouse {
        MouseCapture::On => ask_for_mouse(),
        MouseCapture::Off => Ok(()),
    }
}

fn ask_for_mouse() -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(MOUSE_ON)?;
    out.flush()
}

/// Restores the terminal. May be called at any time and more than once; failures are ignored, since
/// nothing can be done about a terminal that is gone.
pub fn restore() {
    let mut out = io::stdout();
    _ = queue!(
        out,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        Show,
        LeaveAlternateScreen
    );
    _ = out.flush();
    _ = disable_raw_mode();
}

/// A panic's message would be lost on the alternate screen, so the terminal is restored first.
fn restore_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        before(panic);
    }));
}
