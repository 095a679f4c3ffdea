//! A guest's terminal inside the screen: bytes of a program in, cells out. Nothing the guest sends
//! reaches the real terminal but characters and colours; what its terminal would answer goes back
//! to the guest alone.

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

/// What the guest asked its terminal to do with keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// Arrow keys are sent as `ESC O A`.
    pub application_cursor: bool,
    /// Pasted text is sent between marks.
    pub bracketed_paste: bool,
    /// A full-screen program runs: there is nothing to scroll back to.
    pub alternate_screen: bool,
    /// What it wants to hear of the mouse; none: nothing.
    pub mouse: Option<MouseMode>,
}

/// What the guest wants to hear of the mouse beside presses and the wheel, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MouseMode {
    /// Moves with a button held down.
    pub drags: bool,
    /// In the form that has no largest column.
    pub sgr: bool,
}

/// A terminal that a guest believes to be real.
pub trait GuestScreen {
    /// Takes in what the guest wrote. Any bytes at all are safe.
    fn feed(&mut self, bytes: &[u8]);
    /// Gives the terminal another size, as close to it as it can be.
    fn resize(&mut self, size: Size);
    /// Takes what the terminal answers to the guest's questions. For the guest's pty alone.
    fn answers(&mut self) -> Vec<u8>;
    fn modes(&self) -> Modes;
    /// Moves the view into the past (positive) or back, by lines.
    fn scroll(&mut self, lines: i32);
    /// Returns by how many lines the view is scrolled back.
    fn scrolled(&self) -> usize;
    /// Paints the view into `area`.
    fn paint(&self, area: Rect, buf: &mut Buffer);
    /// Returns column and row of the cursor, when the guest shows it and it is in the view.
    fn cursor(&self) -> Option<(u16, u16)>;
}
