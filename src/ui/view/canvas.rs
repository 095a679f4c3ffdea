//! What views paint on.

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Rows};

use crate::widgets::frame::Frame;
use crate::widgets::look::Look;
use crate::widgets::pen::Pen;

/// A part of the screen, with the look to paint in.
#[derive(Debug)]
pub(super) struct Canvas<'a> {
    pub(super) look: &'a Look,
    pub(super) area: Rect,
    pub(super) buf: &'a mut Buffer,
}

impl Canvas<'_> {
    /// Returns a canvas for `area` of the same screen.
    pub(super) const fn within(&mut self, area: Rect) -> Canvas<'_> {
        Canvas { look: self.look, area, buf: self.buf }
    }

    /// Paints a box around the area and returns what is inside.
    pub(super) fn framed(self, frame: Frame<'_>) -> Self {
        let area = frame.render(self.area, self.buf);
        Self { area, ..self }
    }

    /// Leaves a cell free on the left and on the right.
    pub(super) const fn padded(self) -> Self {
        let Rect { x, width, .. } = self.area;
        let area = Rect { x: x + 1, width: width.saturating_sub(2), ..self.area };
        Self { area, ..self }
    }

    /// Returns the rows of the area.
    pub(super) const fn rows(&self) -> Rows {
        self.area.rows()
    }

    /// Returns a pen for the first row.
    pub(super) fn pen(&mut self) -> Pen<'_> {
        self.pen_at(self.area)
    }

    /// Returns a pen for the first row of `area`.
    pub(super) fn pen_at(&mut self, area: Rect) -> Pen<'_> {
        Pen::line(self.buf, area)
    }
}
