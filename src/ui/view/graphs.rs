//! The last minutes of one container: its counters in words, each above its graph.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::{diagnosis, words};
use crate::engine::sample::{Container, Limit, Network};
use crate::format;
use crate::ui::model::Model;
use crate::ui::model::history::span;
use crate::widgets::frame::Frame;
use crate::widgets::graph::{Graph, slots};
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, width};

/// The minimum scale of a CPU graph, so that an idle container does not look busy.
const LEAST_CPU_SCALE: f32 = 10.0;

/// So many times the highest use fill the memory graph of a container without a limit, so that it
/// never gets the colours of one close to its limit.
const ROOM_TO_GROW: f32 = 2.5;

/// From this height the figures have a row for the network.
const NETWORK_FROM: u16 = 12;

/// Returns the CPU use at the graph's full height: the quota, else the busiest moment.
pub(super) fn cpu_scale(container: &Container, peak: f32) -> f32 {
    container.counters.cpu_quota_percent.unwrap_or_else(|| peak.max(LEAST_CPU_SCALE)).max(1.0)
}

/// Paints the pane.
pub(super) fn render(model: &Model, container: &Container, canvas: Canvas<'_>) {
    let look = canvas.look;
    // The frame and a blank at each side.
    let span = span(slots(canvas.area.width.saturating_sub(4), look));
    let reach = match span.as_secs() {
        seconds @ ..=60 => format!("  last {seconds} s"),
        seconds => format!("  last {} min", seconds / 60),
    };
    let title = [(container.name.as_str(), look.accent), (&reach, look.dim)];
    let hint = [("peek: ", look.dim), ("p", look.key), (" hides", look.dim)];
    let canvas = canvas.framed(Frame { right: &hint, ..Frame::titled(look, &title) });
    if !container.state.is_active() {
        words::why_nothing_runs(model, container, canvas);
        return;
    }
    let mut canvas = trouble(model, container, canvas.padded());
    let area = canvas.area;
    // The words come first; the graphs share what is left.
    let words = if area.height < NETWORK_FROM { 4 } else { 5 };
    let spare = area.height.saturating_sub(words);
    let cpu_height = spare.div_ceil(2);
    let memory_height = spare - cpu_height;
    let mut y = area.y;
    let mut rows = |height: u16| {
        let row = Rect { y, height, ..area };
        y += height;
        row.intersection(area)
    };
    cpu_words(container, look, &mut canvas.pen_at(rows(1)));
    cpu_graph(model, container, canvas.within(rows(cpu_height)));
    memory_words(container, look, &mut canvas.pen_at(rows(1)));
    memory_graph(model, container, canvas.within(rows(memory_height)));
    io_words(container, look, &mut canvas.pen_at(rows(1)));
    if words == 5 {
        network_words(container.network, look, &mut canvas.pen_at(rows(1)));
    }
    psi_words(container, look, &mut canvas.pen_at(rows(1)));
}

/// Paints what happened to a running container above its figures; returns the remaining area.
fn trouble<'a>(model: &Model, container: &Container, mut canvas: Canvas<'a>) -> Canvas<'a> {
    const MOST_LINES: usize = 3;
    let (look, area) = (canvas.look, canvas.area);
    let Some(diagnosis) = crate::ui::diagnosis::of(model, container) else { return canvas };
    let lines = diagnosis::lines_of(model, &diagnosis, look, usize::from(area.width));
    let mut rows = area.rows();
    for ((line, style), row) in lines.iter().take(MOST_LINES).zip(&mut rows) {
        canvas.pen_at(row).clip(line, *style, look.glyphs.ellipsis);
    }
    if let Some(row) = rows.next() {
        diagnosis::keys(&diagnosis, look, &mut canvas.pen_at(row));
    }
    let left = rows.count() as u16;
    Canvas { area: Rect { y: area.bottom() - left, height: left, ..area }, ..canvas }
}

/// Writes a figure, or the sign for unknown.
fn figure(figure: Option<String>, look: &Look, pen: &mut Pen<'_>) {
    match figure {
        Some(it) => _ = pen.put(&it, look.fg),
        None => _ = pen.put(look.glyphs.unknown, look.dim),
    }
}

/// Writes words that matter least, if all of them fit.
fn if_it_fits(words: Option<String>, look: &Look, pen: &mut Pen<'_>) {
    if let Some(words) = words.filter(|it| width(it) <= pen.left()) {
        pen.put(&words, look.dim);
    }
}

/// A container that is throttled in one of so many periods is slowed down noticeably.
const OFTEN: u64 = 20;

fn cpu_words(container: &Container, look: &Look, pen: &mut Pen<'_>) {
    let counters = &container.counters;
    pen.put("cpu  ", look.dim);
    figure(counters.cpu_percent.map(|it| format!("{it:.1}%")), look, pen);
    if let Some(quota) = counters.cpu_quota_percent {
        pen.put(&format!("  of quota {quota:.0}%"), look.dim);
    }
    if let (Some(throttled), Some(periods)) = (counters.throttled_periods, counters.periods)
        && throttled > 0
    {
        pen.put(&format!("  throttled {throttled}/{periods} periods "), look.dim);
        if throttled.saturating_mul(OFTEN) >= periods {
            pen.put(look.glyphs.warn, look.warn);
        }
    }
    let total = counters.cpu_total.map(|it| format!("  total {}", format::duration(it)));
    if_it_fits(total, look, pen);
}

fn memory_words(container: &Container, look: &Look, pen: &mut Pen<'_>) {
    let counters = &container.counters;
    pen.put("mem  ", look.dim);
    figure(counters.memory_bytes.map(format::bytes), look, pen);
    match counters.memory_max_bytes {
        Some(Limit::At(most)) => _ = pen.put(&format!("  of {}", format::bytes(most)), look.dim),
        Some(Limit::Max) => _ = pen.put("  no limit", look.dim),
        None => (),
    }
    if let Some(peak) = counters.memory_peak_bytes {
        pen.put(&format!("  peak {}", format::bytes(peak)), look.dim);
    }
    if let Some(kills) = counters.oom_kills {
        pen.put(&format!("  oom {kills}"), if kills > 0 { look.bad } else { look.dim });
    }
    if let Some(hits) = counters.memory_hits {
        // Counted since the start, as the word says.
        let words = match hits {
            0 => "  limit never hit".to_owned(),
            1 => "  limit hit once".to_owned(),
            hits => format!("  limit hit {hits} times"),
        };
        pen.put(&words, if hits > 0 { look.warn } else { look.dim });
    }
    let cache = counters.memory_cache_bytes.map(|it| format!("  cache {}", format::bytes(it)));
    if_it_fits(cache, look, pen);
}

/// Writes two rates of bytes, each after its word.
fn rates(words: [&str; 2], rates: [Option<f64>; 2], look: &Look, pen: &mut Pen<'_>) {
    for (word, rate) in words.into_iter().zip(rates) {
        pen.put(word, look.dim);
        figure(rate.map(|it| format!("{}/s", format::rate(it))), look, pen);
    }
}

fn io_words(container: &Container, look: &Look, pen: &mut Pen<'_>) {
    let counters = &container.counters;
    let both = [counters.io_read_per_second, counters.io_write_per_second];
    rates(["io   r ", "  w "], both, look, pen);
    if let Some(pids) = counters.pids {
        pen.put("   pids ", look.dim).put(&pids.to_string(), look.fg);
        if let Some(Limit::At(most)) = counters.pids_max {
            pen.put(&format!(" of {most}"), look.dim);
        }
    }
}

fn network_words(network: Network, look: &Look, pen: &mut Pen<'_>) {
    match network {
        Network::Unknown => _ = pen.put("net  ", look.dim).put(look.glyphs.unknown, look.dim),
        Network::OfHost => _ = pen.put("net  the host's", look.dim),
        Network::Own { address, received_per_second: received, sent_per_second: sent } => {
            rates(["net  rx ", "  tx "], [received, sent], look, pen);
            match address {
                Some(it) => _ = pen.put("   at ", look.dim).put(&it.to_string(), look.fg),
                None => _ = pen.put("   no address", look.dim),
            }
        }
    }
}

fn psi_words(container: &Container, look: &Look, pen: &mut Pen<'_>) {
    let psi = container.counters.psi;
    pen.put("psi  ", look.dim);
    if psi.cpu.or(psi.memory).or(psi.io).is_none() {
        let unknown = look.glyphs.unknown;
        pen.put(if container.hidden { unknown } else { "not measured for this cgroup" }, look.dim);
        return;
    }
    for (word, value) in [("cpu ", psi.cpu), ("  mem ", psi.memory), ("  io ", psi.io)] {
        let (text, style) = words::pressure(value, look);
        pen.put(word, look.dim).put(&text, style);
    }
    pen.put("   % of 10 s in which some waited", look.dim);
}

fn cpu_graph(model: &Model, container: &Container, canvas: Canvas<'_>) {
    let Some(history) = model.histories.get(&container.name) else { return };
    let (now, slots) = (model.seen(), slots(canvas.area.width, canvas.look));
    let span = span(slots);
    let most = cpu_scale(container, history.cpu_peak(now, span));
    graph(history.cpu(now, slots, span), most, canvas);
}

fn memory_graph(model: &Model, container: &Container, canvas: Canvas<'_>) {
    let Some(history) = model.histories.get(&container.name) else { return };
    let slots = slots(canvas.area.width, canvas.look);
    let values = history.memory(model.seen(), slots, span(slots));
    let highest = values.iter().flatten().copied().fold(1.0, f32::max);
    let host = model.sample.as_ref().and_then(|it| it.host.memory_bytes);
    let most = memory_scale(container.counters.memory_max_bytes, host, highest);
    graph(values, most, canvas);
}

/// Paints `values`, of which `most` fills the area.
fn graph(values: Vec<Option<f32>>, most: f32, canvas: Canvas<'_>) {
    let shares: Vec<Option<f32>> = values.into_iter().map(|it| it.map(|it| it / most)).collect();
    Graph { look: canvas.look, values: &shares }.render(canvas.area, canvas.buf);
}

/// Returns the memory that fills the graph: the limit, or all that the host has if that is less;
/// without a limit, enough that growth can be seen.
fn memory_scale(limit: Option<Limit>, host: Option<u64>, highest: f32) -> f32 {
    match limit {
        Some(Limit::At(most)) => most.min(host.unwrap_or(u64::MAX)).max(1) as f32,
        Some(Limit::Max) | None => highest * ROOM_TO_GROW,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_height_of_the_memory_graph() {
        let scale = |limit, host| memory_scale(limit, host, 100.0);
        let close = |one: f32, other: f32| (one - other).abs() < 0.1;
        assert!(close(scale(Some(Limit::At(512)), Some(4096)), 512.0));
        assert!(close(scale(Some(Limit::At(u64::MAX)), Some(4096)), 4096.0), "more than there is");
        assert!(close(scale(Some(Limit::At(512)), None), 512.0));
        assert!(close(scale(Some(Limit::At(0)), None), 1.0));
        for none in [Some(Limit::Max), None] {
            assert!(close(scale(none, Some(4096)), 100.0 * ROOM_TO_GROW));
        }
    }
}
