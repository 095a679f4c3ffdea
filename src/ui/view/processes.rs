//! The forest of processes, in the peek and in its pane.

use super::canvas::Canvas;
use super::diagnosis::{self, Words, is_explained};
use super::words;
use crate::command::Action;
use crate::command::action::InDetail;
use crate::engine::process::{Process, ProcessOrder};
use crate::engine::sample::Container;
use crate::engine::shown::shown;
use crate::format;
use crate::ui::allowed;
use crate::ui::model::Model;
use crate::ui::model::detail::{Forest, Tab};
use crate::widgets::frame::Frame;
use crate::widgets::look::{Glyphs, Look};
use crate::widgets::pen::Pen;
use crate::widgets::table::scroll;

/// From this share of one processor on a process gets a colour, in percent.
const BUSY: f32 = 50.0;

/// Cells before the tree.
const TREE_FROM: usize = 28;
/// Minimum cells for the command of the process under the cursor, however deep it is.
const COMMAND: usize = 24;

/// Paints the processes of the container under the list's cursor.
pub(super) fn peek(model: &Model, container: &Container, canvas: Canvas<'_>) {
    let look = canvas.look;
    let all = container.detail.as_ref().map_or(&[][..], |it| &it.processes);
    let title = [(container.name.as_str(), look.accent), ("  processes", look.dim)];
    let rows = usize::from(canvas.area.height.saturating_sub(3));
    let first = model.list.peek_first.min(all.len().saturating_sub(rows));
    let last = (first + rows).min(all.len());
    let scrolls = if rows < all.len() { "{ } scroll  " } else { "" };
    let foot = format!("{scrolls}{last} of {}  {} opens", all.len(), look.glyphs.enter);
    let frame = Frame {
        right: &[("forest", look.dim)],
        foot: if all.is_empty() { &[] } else { &[(foot.as_str(), look.dim)] },
        ..Frame::titled(look, &title)
    };
    let shown: Vec<&Process> = all.iter().collect();
    let shown = shown.get(first..).unwrap_or_default();
    let rows = Rows { shown, first: 0, cursor: None, forest: None };
    rows_or_words(model, container, &rows, canvas.framed(frame));
}

/// Paints the pane of the open container.
pub(super) fn pane(model: &Model, canvas: Canvas<'_>) {
    let look = canvas.look;
    let Some(screen) = &model.detail else { return };
    let Some(container) = model.container(&screen.name) else { return };
    let all = container.detail.as_ref().map_or(&[][..], |it| &it.processes);
    let shown = screen.forest.shown(all);
    let focused = screen.focus == Tab::Processes;
    let place = screen.forest.place(&shown);
    let foot = format!("{}/{}", (place + 1).min(shown.len()), all.len());
    let dead = !container.state.is_active() && is_explained(model, container);
    let left = [(if dead { "What happened" } else { "Processes" }, look.accent)];
    let order = match model.order {
        ProcessOrder::Pid => " by pid",
        ProcessOrder::Cpu => " by cpu",
        ProcessOrder::Memory => " by memory",
    };
    let signals = allowed::barred(model, Action::Detail(InDetail::Signal)).is_none();
    let hints = [
        ("K", look.key),
        (" signal  ", look.dim),
        (look.glyphs.leftright, look.key),
        (" fold  ", look.dim),
        ("o", look.key),
        (order, look.dim),
    ];
    // Where nothing runs, nothing is sent or folded.
    let hints = match (shown.is_empty(), signals) {
        (true, _) => &hints[..0],
        (false, true) => &hints[..],
        (false, false) => &hints[2..],
    };
    let frame = Frame {
        right: hints,
        foot: if shown.is_empty() { &[] } else { &[(foot.as_str(), look.dim)] },
        focused,
        ..Frame::titled(look, &left)
    };
    let (forest, cursor) = (Some(&screen.forest), focused.then_some(place));
    // As many rows as fit below the titles in the frame.
    let height = usize::from(canvas.area.height.saturating_sub(3));
    let first = scroll(screen.forest.first, place, shown.len(), height);
    let rows = Rows { shown: &shown, first, cursor, forest };
    rows_or_words(model, container, &rows, canvas.framed(frame));
}

/// Processes to paint.
struct Rows<'a> {
    shown: &'a [&'a Process],
    /// The first one on the screen, and the one under the cursor.
    first: usize,
    cursor: Option<usize>,
    /// Knows which of them hide their children.
    forest: Option<&'a Forest>,
}

/// Paints the visible processes, or why there are none.
fn rows_or_words(model: &Model, container: &Container, rows: &Rows<'_>, mut canvas: Canvas<'_>) {
    let look = canvas.look;
    let Rows { shown, first, cursor, forest } = *rows;
    if shown.is_empty() {
        if container.hidden {
            words::why_hidden(canvas);
        } else if container.state.is_active() {
            canvas.pen().skip(1).put("looking …", look.dim);
        } else {
            diagnosis::inside(model, container, Words::Here, canvas);
        }
        return;
    }
    let at = cursor.unwrap_or(0);
    let room = usize::from(canvas.area.width).saturating_sub(TREE_FROM);
    let hidden = shown.get(at).map_or(0, |it| hidden_levels(it, room));
    let head = "   PID   NS   CPU%   RSS S  ";
    let tree = if hidden > 0 { format!("{} TREE", look.glyphs.less) } else { "TREE".to_owned() };
    canvas.pen().put(head, look.dim).put(&tree, look.dim);
    let body = canvas.rows().skip(1);
    for ((row, process), line) in shown.iter().enumerate().skip(first).zip(body) {
        let mut pen = canvas.pen_at(line);
        if cursor == Some(row) {
            pen.wash(look.select).put(look.glyphs.cursor, look.accent).to(0);
        }
        let folded = forest.is_some_and(|it| it.folded.contains(&process.identity()));
        one(process, folded, hidden, look, &mut pen);
    }
}

/// Returns how many levels of the tree must be scrolled out for `process` to be visible.
fn hidden_levels(process: &Process, room: usize) -> usize {
    let indent = process.later_siblings.len().saturating_sub(1) * format::LEVEL;
    (indent + COMMAND.min(room / 2)).saturating_sub(room).div_ceil(format::LEVEL)
}

fn one(process: &Process, folded: bool, hidden: usize, look: &Look, pen: &mut Pen<'_>) {
    let unknown = look.glyphs.unknown;
    pen.part(6).right(&process.pid.to_string(), look.fg);
    let inner = process.inner_pid.map_or_else(|| unknown.to_owned(), |it| it.to_string());
    pen.part(5).right(&inner, look.dim);
    let cpu = process.cpu_percent;
    let style = if cpu.is_some_and(|it| it >= BUSY) { look.warn } else { look.fg };
    let cpu = cpu.map_or_else(|| unknown.to_owned(), |it| format!("{it:.1}"));
    pen.part(7).right(&cpu, style);
    let rss = process.rss_bytes.map_or_else(|| unknown.to_owned(), format::bytes);
    pen.part(6).right(&rss, look.fg);
    let style = match process.state {
        'R' => look.ok,
        'D' => look.warn,
        'Z' | 'X' => look.bad,
        'T' | 't' => look.frozen,
        _ => look.dim,
    };
    pen.skip(1).put(process.state.encode_utf8(&mut [0; 4]), style).skip(2);
    // A root's own entry says whether other roots follow; lines begin below it.
    let below = process.later_siblings.get(1..).unwrap_or_default();
    let Glyphs { pipe, branch, last, .. } = *look.glyphs;
    let visible = below.get(hidden..).unwrap_or_default();
    pen.put(&format::branches(visible, [pipe, branch, last]), look.line);
    if folded {
        pen.put("+ ", look.accent);
    }
    // Text to the left of the visible levels is partly visible.
    let cut = hidden.saturating_sub(below.len()) * format::LEVEL;
    if cut > 0 {
        pen.put(look.glyphs.less, look.dim);
    }
    let command: String = shown(&process.command).chars().skip(cut).collect();
    pen.clip(&command, look.fg, look.glyphs.ellipsis);
}
