//! The list screen: the table, the container under the cursor, and the latest events.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::{diagnosis, events, graphs, narrow, processes, row, words};
use crate::command;
use crate::engine::sample::{Container, Counters, Network};
use crate::format;
use crate::ui::layout;
use crate::ui::model::Model;
use crate::ui::model::filter::{Closeness, memory_share};
use crate::ui::model::history::span;
use crate::widgets::field::Field;
use crate::widgets::frame::Frame;
use crate::widgets::gauge::gauge;
use crate::widgets::graph::{Graph, slots};
use crate::widgets::look::{HI_FROM, Look};
use crate::widgets::pen::{Pen, Piece};
use crate::widgets::table::{Align, Column, Sorted, Table, arrange};

/// Columns at the end that only roomy tables have: what is read, written, received and sent.
const ROOMY_COLUMNS: usize = 5;
/// From this width on names are not cut, up to this many cells.
const WHOLE_NAMES: (u16, u16) = (160, 40);
/// Cells around a name: its sign, and a warning at the end.
const AROUND_NAME: usize = 4;
/// How far back the small graph reaches, by minutes.
const AGES: [&str; 5] = ["60s ago→", "2min ago→", "3min ago→", "4min ago→", "5min ago→"];

/// Paints the list screen.
pub(super) fn render(model: &Model, canvas: &mut Canvas<'_>) {
    let areas = layout::list(model);
    if model.containers().is_empty() {
        super::text::welcome(model, canvas.within(areas.table));
    } else if model.size.0 < layout::NARROW {
        narrow::render(model, canvas.within(areas.table));
    } else {
        table(model, canvas.within(areas.table));
    }
    if let (Some(peek), Some(container)) = (areas.peek, model.current()) {
        let [left, right] = peek;
        if !container.state.is_active() && !container.hidden {
            diagnosis::peek(model, container, peek, canvas);
        } else {
            processes::peek(model, container, canvas.within(left));
            graphs::render(model, container, canvas.within(right));
        }
    }
    if let Some(area) = areas.events
        && (areas.peek.is_some() || !diagnosis::strip(model, canvas.within(area)))
    {
        events::strip(model, canvas.within(area));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    Name,
    State,
    Since,
    Cpu,
    Graph,
    Memory,
    Bar,
    Share,
    PsiCpu,
    PsiMemory,
    PsiIo,
    Pids,
    Read,
    Written,
    Received,
    Sent,
    Address,
}

const COLUMNS: [(Is, Column<'_>, Option<command::SortKey>); 17] = {
    use command::SortKey as By;
    const fn column(title: &str, width: u16, align: Align, drop: u8) -> Column<'_> {
        Column { title, width, grow: 0, align, drop, sorted: None }
    }
    let name = Column { grow: 3, ..column("  NAME", 16, Align::Left, 0) };
    let graph = Column { grow: 4, ..column("", 10, Align::Left, 5) };
    let bar = Column { grow: 3, ..column("USED", 8, Align::Left, 3) };
    [
        (Is::Name, name, Some(By::Name)),
        (Is::State, column("STATE", 8, Align::Left, 0), Some(By::State)),
        (Is::Since, column("SINCE", 6, Align::Right, 2), Some(By::Since)),
        (Is::Cpu, column("CPU%", 6, Align::Right, 0), Some(By::Cpu)),
        (Is::Graph, graph, None),
        (Is::Memory, column("MEM/MAX", 11, Align::Right, 0), Some(By::Memory)),
        (Is::Bar, bar, None),
        (Is::Share, column("% ", 4, Align::Right, 1), Some(By::Share)),
        (Is::PsiCpu, column("PSIc", 4, Align::Right, 2), Some(By::Psi)),
        (Is::PsiMemory, column("mem", 3, Align::Right, 4), None),
        (Is::PsiIo, column("io", 3, Align::Right, 4), None),
        (Is::Pids, column("PIDS", 5, Align::Right, 1), Some(By::Pids)),
        (Is::Read, column("READ/s", 6, Align::Right, 6), None),
        (Is::Written, column("WRITE/s", 7, Align::Right, 6), None),
        (Is::Received, column("RX/s", 5, Align::Right, 7), None),
        (Is::Sent, column("TX/s", 5, Align::Right, 7), None),
        (Is::Address, Column { grow: 1, ..column("ADDRESS", 15, Align::Left, 8) }, None),
    ]
};

fn table(model: &Model, canvas: Canvas<'_>) {
    let mut canvas = frame(model, canvas);
    let (look, inner) = (canvas.look, canvas.area);
    let names_down = matches!(model.list.sort, command::SortKey::Name | command::SortKey::State);
    let mut columns = COLUMNS.map(|(_, column, by)| {
        let sorted = (by == Some(model.list.sort)).then_some(if names_down == model.list.reverse {
            Sorted::Descending
        } else {
            Sorted::Ascending
        });
        Column { sorted, ..column }
    });
    if let Some(column) = columns.first_mut().filter(|_| inner.width >= WHOLE_NAMES.0) {
        // The filter does not count: nothing should jump while it is typed.
        let longest = model.containers().iter().map(|it| it.name.as_str().len()).max();
        let wanted = (longest.unwrap_or(0) + AROUND_NAME).min(usize::from(WHOLE_NAMES.1));
        column.width = column.width.max(wanted as u16);
    }
    let roomy = layout::shows_network_columns(model);
    let most = if roomy { columns.len() } else { columns.len() - ROOMY_COLUMNS };
    let places = arrange(columns.get(..most).unwrap_or_default(), inner.width.saturating_sub(1));
    for place in &places {
        let is_graph = COLUMNS.get(place.column).is_some_and(|(is, ..)| *is == Is::Graph);
        if let Some(column) = columns.get_mut(place.column).filter(|_| is_graph) {
            column.title = age(slots(place.width, look));
        }
    }
    let rows: Vec<&Container> = model.shown().collect();
    let marked = |row: usize| rows.get(row).is_some_and(|it| model.list.marks.contains(&it.name));
    let cell = |row: usize, column: usize, pen: &mut Pen<'_>| {
        if let (Some(container), Some((is, ..))) = (rows.get(row), COLUMNS.get(column)) {
            paint(model, container, look, *is, pen);
        }
    };
    Table {
        look,
        columns: &columns,
        places: &places,
        rows: rows.len(),
        first: model.list.offset,
        cursor: Some(model.list.row),
        marked: &marked,
        cell: &cell,
    }
    .render(inner, canvas.buf);
    unmanaged(model, rows.len(), &mut canvas);
    if rows.is_empty() {
        // Below the headings and a free line, under the names.
        let height = inner.height.saturating_sub(2);
        let area = Rect { x: inner.x + 4, y: inner.y + 2, width: inner.width - 4, height };
        row::nothing(canvas.within(area));
    }
}

/// Names the containers left to LXC below the rows, as far as there is room; the status line names
/// them too.
fn unmanaged(model: &Model, rows: usize, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let Some(sample) = model.sample.as_deref() else { return };
    // The row of titles, the containers, and one free.
    let below = rows.saturating_sub(model.list.offset) + 2;
    for (it, row) in sample.unmanaged.iter().zip(canvas.rows().skip(below)) {
        let name = format!("\"{}\"", it.name);
        let words = format!("  {}  left to LXC: {}", it.state, it.why);
        let mut pen = canvas.pen_at(row);
        pen.skip(4).put(&name, look.fg).clip(&words, look.dim, look.glyphs.ellipsis);
    }
}

/// Paints the frame with the filter in its upper line; returns what is inside.
fn frame<'a>(model: &Model, canvas: Canvas<'a>) -> Canvas<'a> {
    let (look, area) = (canvas.look, canvas.area);
    let count = model.list.order.len().to_string();
    let filter = model.list.filter_text.text();
    let mut left: Vec<Piece<'_>> =
        vec![("Containers", look.accent), ("  ", look.fg), (&count, look.fg)];
    if !filter.is_empty() || model.list.filtering {
        // The line above the footer says why it is invalid.
        let style = if model.list.filter_error.is_some() { look.bad } else { look.accent };
        left.extend([("  / ", look.key), (filter.as_str(), style)]);
    }
    let fuzzy = model.list.closeness == Closeness::Fuzzy && model.list.filter_error.is_none();
    if fuzzy && !model.list.order.is_empty() {
        left.push(("  matches no name; these are similar", look.warn));
    }
    if model.list.filter_error.is_some() {
        left.push(("  the last valid filter stays", look.warn));
    }
    let marks = format!("{} marked", model.list.marks.len());
    let close = model
        .containers()
        .iter()
        .filter(|it| memory_share(it).is_some_and(|share| share >= HI_FROM))
        .count();
    let close_words = format!("{close} over {:.0}% of limit", HI_FROM * 100.0);
    let mut right: Vec<Piece<'_>> = Vec::new();
    if !model.list.marks.is_empty() {
        right.push((&marks, look.mark));
    }
    if close > 0 {
        right.extend([
            (if right.is_empty() { "" } else { "   " }, look.fg),
            (&close_words, look.warn),
        ]);
    }
    let at = (model.list.row + 1).min(model.list.order.len());
    let foot = format!("{} {at}/{}", look.glyphs.updown, model.list.order.len());
    let foot = [(foot.as_str(), look.dim)];
    let foot = if at == 0 { &[] } else { &foot[..] };
    let frame = Frame { look, left: &left, right: &right, foot, focused: false };
    let canvas = canvas.framed(frame);
    if model.list.filtering {
        let x = area.x + 19 + count.len() as u16;
        let mut pen =
            Pen::new(canvas.buf, x, area.y, area.width.saturating_sub(x - area.x + 2).min(40));
        let field = Field {
            look,
            input: &model.list.filter_text,
            hint: "",
            focused: true,
            style: if model.list.filter_error.is_some() { look.bad } else { look.accent },
        };
        field.draw(&mut pen);
    }
    canvas
}

fn paint(model: &Model, container: &Container, look: &Look, is: Is, pen: &mut Pen<'_>) {
    let counters = &container.counters;
    let active = container.state.is_active();
    let state = model.state_shown(container);
    let (glyph, style) = words::sign(model, container, look);
    match is {
        Is::Name => {
            pen.put(glyph, style).skip(1);
            row::name(model, container, look, pen);
        }
        Is::State => _ = pen.put(state.word(), style),
        Is::Since => _ = pen.right(&words::since(model, container, look), look.fg),
        Is::Graph => graph(model, container, look, pen),
        _ if !active => idle(model, container, look, is, pen),
        Is::Cpu => match counters.cpu_percent {
            Some(percent) => _ = pen.right(&format!("{percent:.1}"), look.fg),
            None => _ = pen.right(look.glyphs.unknown, look.dim),
        },
        Is::Memory => _ = pen.right(&words::memory(container, look), look.fg),
        Is::Bar => match memory_share(container) {
            Some(share) => gauge(pen, pen.left(), share, look),
            None => _ = pen.put(look.glyphs.dot, look.dim),
        },
        Is::Share => match memory_share(container) {
            Some(share) => {
                let (text, style) = words::share(share, look);
                pen.right(&text, style);
            }
            None => _ = pen.right(&format!("{} ", look.glyphs.dot), look.dim),
        },
        Is::PsiCpu | Is::PsiMemory | Is::PsiIo => {
            let (text, style) = words::pressure(psi(counters, is), look);
            pen.right(&text, style);
        }
        Is::Read => rate(counters.io_read_per_second, look, pen),
        Is::Written => rate(counters.io_write_per_second, look, pen),
        Is::Received | Is::Sent | Is::Address => network(container.network, look, is, pen),
        Is::Pids => match counters.pids {
            Some(pids) => _ = pen.right(&pids.to_string(), look.fg),
            None => _ = pen.right(look.glyphs.unknown, look.dim),
        },
    }
}

/// A container on the host's network has no figures of its own.
fn network(network: Network, look: &Look, is: Is, pen: &mut Pen<'_>) {
    match network {
        Network::Own { address, .. } if is == Is::Address => match address {
            Some(it) => _ = pen.name(&it.to_string(), look.fg, look.glyphs.ellipsis),
            None => _ = pen.put("none", look.dim),
        },
        Network::Own { received_per_second, .. } if is == Is::Received => {
            rate(received_per_second, look, pen);
        }
        Network::Own { sent_per_second, .. } => rate(sent_per_second, look, pen),
        Network::OfHost if is == Is::Address => _ = pen.put("the host's", look.dim),
        Network::OfHost => _ = pen.right(look.glyphs.dot, look.dim),
        Network::Unknown if is == Is::Address => _ = pen.put(look.glyphs.unknown, look.dim),
        Network::Unknown => _ = pen.right(look.glyphs.unknown, look.dim),
    }
}

fn rate(per_second: Option<f64>, look: &Look, pen: &mut Pen<'_>) {
    match per_second {
        // Most write nothing most of the time: those that do should stand out.
        Some(it) if it < 1.0 => _ = pen.right("0", look.dim),
        Some(it) => _ = pen.right(&format::rate(it), look.fg),
        None => _ = pen.right(look.glyphs.unknown, look.dim),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "called for the columns of pressure")]
const fn psi(counters: &Counters, is: Is) -> Option<f32> {
    match is {
        Is::PsiMemory => counters.psi.memory,
        Is::PsiIo => counters.psi.io,
        _ => counters.psi.cpu,
    }
}

/// A container without processes: dots instead of figures.
#[expect(clippy::wildcard_enum_match_arm, reason = "most columns are alike here")]
fn idle(model: &Model, container: &Container, look: &Look, is: Is, pen: &mut Pen<'_>) {
    match is {
        // Without the graph there is no other place for the remark.
        Is::Memory if model.size.0 < layout::MIDDLE => {
            if let (true, Some(most)) = (container.died_of_memory, container.last_memory_max_bytes)
            {
                pen.right(&format!("oom/{}", format::bytes(most)), look.bad);
            } else if let Some((text, style)) = words::short_remark(model, container, look) {
                pen.clip(&text, style, look.glyphs.ellipsis);
            }
        }
        Is::Memory => {
            // The limit when it ended.
            let most = container.last_memory_max_bytes.map(format::bytes);
            let words = most.map(|it| format!("{}/{it}", look.glyphs.dot));
            pen.right(words.as_deref().unwrap_or(look.glyphs.dot), look.dim);
        }
        Is::Bar => (),
        Is::Address => _ = pen.put(look.glyphs.dot, look.dim),
        Is::Share => _ = pen.right(&format!("{} ", look.glyphs.dot), look.dim),
        _ => _ = pen.right(look.glyphs.dot, look.dim),
    }
}

/// Says how far back a small graph of this many slots reaches.
fn age(slots: usize) -> &'static str {
    let minutes = span(slots).as_secs() / 60;
    let at = usize::try_from(minutes).unwrap_or(1).saturating_sub(1);
    AGES.get(at).copied().unwrap_or_default()
}

/// CPU of the last minute, relative to the quota or the busiest moment; a remark replaces it.
fn graph(model: &Model, container: &Container, look: &Look, pen: &mut Pen<'_>) {
    if let Some((text, style)) = words::short_remark(model, container, look) {
        pen.clip(&text, style, look.glyphs.ellipsis);
        return;
    }
    let Some(history) =
        model.histories.get(&container.name).filter(|_| container.state.is_active())
    else {
        return;
    };
    let slots = slots(pen.left() as u16, look);
    let (now, span) = (model.seen(), span(slots));
    let values = history.cpu(now, slots, span);
    let most = graphs::cpu_scale(container, history.cpu_peak(now, span));
    let shares: Vec<Option<f32>> = values.into_iter().map(|it| it.map(|it| it / most)).collect();
    Graph { look, values: &shares }.draw(pen);
}
