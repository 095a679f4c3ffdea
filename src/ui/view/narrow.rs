//! The list on a screen too narrow for a table: one or two lines for a container, no frame.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::{row, words};
use crate::engine::sample::Container;
use crate::format;
use crate::ui::layout;
use crate::ui::model::Model;
use crate::ui::model::filter::memory_share;
use crate::widgets::gauge::gauge;
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, cut};

/// Cells of the bar in the second line.
const BAR: usize = 8;
/// Cells of the figures in a row of one line: CPU and memory.
const FIGURES: usize = 11;
/// The same in the first line of two: since when.
const SINCE: usize = 6;
/// Cells of the state, with a blank on both sides.
const STATE: usize = 10;

/// Paints the containers into `area`.
pub(super) fn render(model: &Model, mut canvas: Canvas<'_>) {
    let (look, area) = (canvas.look, canvas.area);
    if model.list.order.is_empty() {
        let area = Rect { x: area.x + 2, width: area.width.saturating_sub(3), ..area };
        row::nothing(canvas.within(area));
    }
    let lines = layout::lines_per_row(model.size);
    let shown = model.shown().enumerate().skip(model.list.offset).take(layout::list_rows(model));
    for ((row, container), at) in shown.zip(0..) {
        let line = Rect { y: area.y + at * lines, height: 1, ..area };
        let current = row == model.list.row;
        head(model, container, look, current, &mut canvas.pen_at(line));
        if lines == 2 {
            let mut pen = canvas.pen_at(Rect { y: line.y + 1, ..line });
            if current {
                pen.wash(look.select);
            }
            pen.skip(4);
            figures(model, container, look, &mut pen);
        }
    }
}

fn head(model: &Model, container: &Container, look: &Look, current: bool, pen: &mut Pen<'_>) {
    let state = model.state_shown(container);
    let (glyph, style) = words::sign(model, container, look);
    if current {
        pen.wash(look.select);
    }
    let marked = model.list.marks.contains(&container.name);
    pen.put(if marked { look.glyphs.mark } else { " " }, look.mark);
    pen.put(if current { look.glyphs.cursor } else { " " }, look.accent);
    pen.put(glyph, style).skip(1);
    let one_line = layout::lines_per_row(model.size) == 1;
    let right = if one_line { FIGURES } else { SINCE };
    let room = pen.left().saturating_sub(right + STATE + 1);
    row::name(model, container, look, &mut pen.part(room));
    pen.skip(1).part(STATE - 2).put(state.word(), style);
    pen.skip(1);
    let mut part = pen.part(right);
    if !one_line {
        part.right(&words::since(model, container, look), look.fg);
    } else if container.state.is_active() {
        let known = |it: Option<String>| it.unwrap_or_else(|| look.glyphs.unknown.to_owned());
        let cpu = known(container.counters.cpu_percent.map(|it| format!("{it:.1}")));
        let memory = known(container.counters.memory_bytes.map(format::bytes));
        part.right(&format!("{cpu} {memory:>5}"), look.fg);
    } else if let Some((end, style)) = words::short_remark(model, container, look) {
        // Nothing is measured: how it ended takes the place of the figures.
        let end = cut(&end, FIGURES, look.glyphs.ellipsis);
        part.right(&end, style);
    } else {
        part.right(look.glyphs.dot, look.dim);
    }
}

fn figures(model: &Model, container: &Container, look: &Look, pen: &mut Pen<'_>) {
    if let Some((text, style)) = words::remark(model, container, look) {
        pen.clip(&text, style, look.glyphs.ellipsis);
        return;
    }
    if !container.state.is_active() {
        return;
    }
    let cpu = container
        .counters
        .cpu_percent
        .map_or_else(|| look.glyphs.unknown.to_owned(), |it| format!("{it:.1}%"));
    pen.put("cpu ", look.dim).put(&cpu, look.fg).put("  mem ", look.dim);
    pen.put(&words::memory(container, look), look.fg).skip(1);
    if let Some(share) = memory_share(container) {
        gauge(pen, BAR, share, look);
        let (text, style) = words::share(share, look);
        pen.skip(1).put(&text, style);
    }
}
