//! A program of this executable on a terminal of its own, shown in a pane.

use std::io;
use std::path::Path;

use crossterm::event::KeyEvent;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::message::Message;

/// The program and its terminal.
#[derive(Debug)]
pub struct Pane;

impl Pane {
    /// Runs `args` on a terminal of `size` (rows and columns).
    pub fn open(
        _lxcpath: &Path,
        _args: &[String],
        _size: (u16, u16),
        _send: impl Fn(Message) -> bool + Send + 'static,
    ) -> io::Result<Self> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    /// Types `key`.
    pub const fn press(&mut self, _key: KeyEvent) {}

    /// Pastes `text`.
    pub const fn paste(&mut self, _text: &str) {}

    /// Changes the size of the terminal.
    pub const fn resize(&mut self, _rows: u16, _columns: u16) {}

    /// Paints the terminal into `area`.
    pub const fn render(&self, _area: Rect, _buf: &mut Buffer, _focused: bool) {}
}
