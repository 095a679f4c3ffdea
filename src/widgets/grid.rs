//! A guest's terminal inside the screen: bytes of a program in, cells out. Only characters and
//! colours from the guest reach the real terminal; its terminal's answers go back only to the
//! guest.

mod emulator;
mod sanitizer;

pub use emulator::Emulator;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Columns and rows of a guest's terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: u16,
    pub rows: u16,
}

/// The guest's settings for keys and the mouse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// Arrow keys are sent as `ESC O A`.
    pub application_cursor: bool,
    /// Pasted text is sent between marks.
    pub bracketed_paste: bool,
    /// A full-screen program runs: there is nothing to scroll back to.
    pub alternate_screen: bool,
    /// Which mouse events it wants; none: no events.
    pub mouse: Option<MouseMode>,
}

/// Which mouse events the guest wants beside presses and the wheel, and in which form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MouseMode {
    /// Moves with a button held down.
    pub drags: bool,
    /// In the form that has no largest column.
    pub sgr: bool,
}

/// A terminal that a guest believes to be real.
pub trait GuestScreen {
    /// Processes the guest's output. Any bytes are safe.
    fn feed(&mut self, bytes: &[u8]);
    /// Changes the terminal's size, within its bounds.
    fn resize(&mut self, size: Size);
    /// Takes the terminal's answers to the guest's queries, which are only for the guest's pty.
    fn answers(&mut self) -> Vec<u8>;
    fn modes(&self) -> Modes;
    /// Scrolls the view back (positive) or forward, by lines.
    fn scroll(&mut self, lines: i32);
    /// Returns by how many lines the view is scrolled back.
    fn scrolled(&self) -> usize;
    /// Paints the view into `area`.
    fn paint(&self, area: Rect, buf: &mut Buffer);
    /// Returns column and row of the cursor, when the guest shows it and it is in the view.
    fn cursor(&self) -> Option<(u16, u16)>;
}
