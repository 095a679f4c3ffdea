//! What happened to a container, its last output, and the keys that help.

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::canvas::Canvas;
use crate::engine::sample::Container;
use crate::engine::shown::shown;
use crate::format;
use crate::ui::diagnosis::{self, Diagnosis};
use crate::ui::model::Model;
use crate::ui::{keymap, texts};
use crate::widgets::frame::Frame;
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, Piece};
use crate::widgets::text::wrap;

/// Whether the last output of the container is in the same box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Words {
    Here,
    Elsewhere,
    /// There is none, which is said.
    Nowhere,
}

/// Paints the diagnosis of the container under the cursor, and its last output, if any, beside it.
pub(super) fn peek(
    model: &Model,
    container: &Container,
    [first, second]: [Rect; 2],
    canvas: &mut Canvas<'_>,
) {
    let look = canvas.look;
    let name = (container.name.as_str(), look.accent);
    let title = match diagnosis::of(model, container) {
        Some(_) => [name, ("  what happened", look.dim)],
        None => [name, ("", look.dim)],
    };
    let hint = [("peek: ", look.dim), ("p", look.key), (" hides", look.dim)];
    if last_words(model, 1).is_empty() {
        let frame = Frame { right: &hint, ..Frame::titled(look, &title) };
        let all = canvas.within(first.union(second)).framed(frame);
        inside(model, container, Words::Nowhere, all);
        return;
    }
    // If one is above the other, the second is the upper one.
    let stacked = first.x == second.x;
    let (left, right) = if stacked { (second, first) } else { (first, second) };
    let inner = canvas.within(left).framed(Frame::titled(look, &title));
    inside(model, container, Words::Elsewhere, inner);
    let title = [name, ("  last output", look.dim)];
    let frame = Frame { right: &hint, ..Frame::titled(look, &title) };
    let mut canvas = canvas.within(right).framed(frame);
    let lines = last_words(model, usize::from(canvas.area.height));
    for (line, row) in lines.iter().zip(canvas.rows()) {
        canvas.pen_at(row).skip(1).clip(line, look.fg, look.glyphs.ellipsis);
    }
}

/// Paints trouble in the place of the newest events; false: there is none.
pub(super) fn strip(model: &Model, canvas: Canvas<'_>) -> bool {
    let look = canvas.look;
    let Some(container) = model.current() else { return false };
    let diagnosis = diagnosis::of(model, container);
    let outweighs = |it: &Diagnosis| diagnosis::outweighs_events(it, container);
    let Some(diagnosis) = diagnosis.filter(outweighs) else { return false };
    let title = [(container.name.as_str(), look.accent), ("  what happened", look.dim)];
    // The few rows are for what happened.
    let keys: Vec<Piece<'_>> = diagnosis
        .keys
        .iter()
        .enumerate()
        .flat_map(|(at, (action, label))| {
            let gap = if at == 0 { "" } else { "  " };
            let key = keymap::sign(action.key(), look.glyphs);
            [(gap, look.dim), (key, look.key), (" ", look.dim), (label.as_str(), look.fg)]
        })
        .collect();
    let frame = Frame { foot: &keys, ..Frame::titled(look, &title) };
    let mut canvas = canvas.framed(frame).padded();
    let room = usize::from(canvas.area.height);
    _ = told(model, &diagnosis, &last_words(model, room), room, &mut canvas);
    true
}

/// Returns whether there is something to say about why it does not run.
pub(super) fn is_explained(model: &Model, container: &Container) -> bool {
    diagnosis::of(model, container).is_some()
}

/// Paints why a container has nothing else to show: its diagnosis, or that it is not running.
pub(super) fn inside(model: &Model, container: &Container, words: Words, canvas: Canvas<'_>) {
    let Some(diagnosis) = diagnosis::of(model, container) else {
        super::words::why_nothing_runs(model, container, canvas);
        return;
    };
    let mut canvas = canvas.padded();
    let look = canvas.look;
    let keys_below = usize::from(!diagnosis.keys.is_empty());
    let room = usize::from(canvas.area.height).saturating_sub(keys_below);
    // What never ran had nothing to print.
    let ran = container.trouble.is_none() && !model.failures.contains_key(&container.name);
    let said = match words {
        Words::Nowhere if !ran => Vec::new(),
        Words::Here => last_words(model, room),
        Words::Elsewhere => Vec::new(),
        Words::Nowhere => why_silent(model).into_iter().collect(),
    };
    if let Some(row) = told(model, &diagnosis, &said, room, &mut canvas) {
        keys(&diagnosis, look, &mut canvas.pen_at(row));
    }
}

/// Paints the diagnosis, and below it what the container `said`, in at most `room` rows; returns the
/// row below.
fn told(
    model: &Model,
    diagnosis: &Diagnosis,
    said: &[String],
    room: usize,
    canvas: &mut Canvas<'_>,
) -> Option<Rect> {
    let (look, area) = (canvas.look, canvas.area);
    let mut lines = lines_of(model, diagnosis, look, usize::from(area.width));
    // One line of its output is worth more than the end of a long diagnosis.
    let fit = room.saturating_sub(said.len().min(1)).max(1);
    let sentence = lines_of(model, &diagnosis.without_more(), look, usize::from(area.width)).len();
    if let Some((last, _)) = lines.get_mut(fit - 1).filter(|_| sentence > fit) {
        *last = format!("{last} {}", look.glyphs.ellipsis);
    }
    lines.truncate(fit);
    let left = room.saturating_sub(lines.len());
    let said = said.get(said.len().saturating_sub(left)..).unwrap_or_default();
    lines.extend(said.iter().map(|it| (it.clone(), look.dim)));
    let mut rows = area.rows();
    for ((line, style), row) in lines.iter().take(room).zip(&mut rows) {
        canvas.pen_at(row).clip(line, *style, look.glyphs.ellipsis);
    }
    rows.next()
}

/// Paints the keys that help with a diagnosis.
pub(super) fn keys(diagnosis: &Diagnosis, look: &Look, pen: &mut Pen<'_>) {
    for (action, label) in &diagnosis.keys {
        pen.put(keymap::sign(action.key(), look.glyphs), look.key).skip(1);
        pen.clip(label, look.fg, look.glyphs.ellipsis).skip(2);
    }
}

/// Returns the diagnosis in lines of at most `width` cells.
pub(super) fn lines_of(
    model: &Model,
    diagnosis: &Diagnosis,
    look: &Look,
    width: usize,
) -> Vec<(String, Style)> {
    let ago = |at| Some(format!("{} ago", format::aged(at, model.now)?));
    let at = diagnosis.at.map(|at| ago(at).unwrap_or_else(|| format::clock(at)));
    let at = at.map(|it| it + "  ").unwrap_or_default();
    let head = format!("{at}{}", shown(&diagnosis.what));
    let style = if diagnosis.bad { look.bad } else { look.fg };
    let mut lines: Vec<(String, Style)> =
        wrap(&head, width).into_iter().map(|it| (it.to_owned(), style)).collect();
    for more in &diagnosis.more {
        lines.extend(wrap(&shown(more), width).into_iter().map(|it| (it.to_owned(), look.fg)));
    }
    lines
}

/// Says why there is no output of the current container; nothing while its log is being read.
fn why_silent(model: &Model) -> Option<String> {
    match &model.log {
        Some((name, log)) if model.current_name() == Some(name) => Some(match log {
            Ok(_) => "It printed nothing on its console.".to_owned(),
            Err(why) => shown(why).into_owned(),
        }),
        Some(_) | None => None,
    }
}

/// Returns the last lines of the current container's console that are not empty, at most `count`.
fn last_words(model: &Model, count: usize) -> Vec<String> {
    let lines = texts::log_lines(model).into_iter().rev().map(texts::plain);
    let lines = lines.map(|it| shown(&it).into_owned()).filter(|it| !it.trim().is_empty());
    let mut lines: Vec<String> = lines.take(count).collect();
    lines.reverse();
    lines
}
