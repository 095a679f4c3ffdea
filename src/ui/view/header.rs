//! The first row: the place, the host, how many containers in which state, the clock.

use ratatui::style::{Modifier, Style};

use super::canvas::Canvas;
use super::words;
use crate::engine::Name;
use crate::engine::cgroup::Layout;
use crate::engine::sample::HostSample;
use crate::engine::state::State;
use crate::format;
use crate::ui::Rights;
use crate::ui::model::Model;
use crate::widgets::look::{Glyphs, Look};
use crate::widgets::pen::{shortened, width};

/// Names are not shortened below this, however narrow the screen is.
const LEAST_NAME: usize = 12;

/// Coloured words that are kept or dropped together; the highest number is dropped first.
struct Segment {
    drop: u8,
    pieces: Vec<(String, Style)>,
    /// Replaces the pieces if space is short.
    short: Option<Vec<(String, Style)>>,
    /// It says that the data is stale.
    old: bool,
}

impl Segment {
    const fn new(drop: u8, pieces: Vec<(String, Style)>) -> Self {
        Self { drop, pieces, short: None, old: false }
    }
}

/// Paints the header.
pub(super) fn render(model: &Model, mut canvas: Canvas<'_>) {
    let (look, area) = (canvas.look, canvas.area);
    let bold = Modifier::BOLD;
    let mut left = vec![("wharf".to_owned(), look.accent.add_modifier(bold))];
    let places = places(model, look.glyphs);
    for place in &places {
        left.push((format!(" {} ", look.glyphs.path), look.dim));
        left.push((place.clone(), look.fg.add_modifier(bold)));
    }
    let segments = segments(model, look);
    let room = |left: &[(String, Style)]| {
        let taken: usize = left.iter().map(|(text, _)| width(text)).sum();
        usize::from(area.width).saturating_sub(taken + 3)
    };
    // Stale data matters more than the place, which is clear from the rest of the screen.
    let old = segments.iter().filter(|it| it.old).flat_map(|it| &it.pieces);
    if old.map(|(text, _)| width(text)).sum::<usize>() > room(&left) {
        left.truncate(1);
    }
    let segments = fitting(segments, room(&left));
    let mut pen = canvas.pen();
    pen.wash(look.bar).skip(1);
    for (text, style) in &left {
        pen.put(text, look.bar.patch(*style));
    }
    let wide = segments_width(&segments);
    pen.skip(pen.left().saturating_sub(wide + 1));
    for (index, segment) in segments.iter().enumerate() {
        if index > 0 {
            pen.skip(1).put(look.glyphs.separator, look.bar.patch(look.line)).skip(1);
        }
        for (text, style) in &segment.pieces {
            pen.put(text, look.bar.patch(*style));
        }
    }
}

fn places(model: &Model, glyphs: &Glyphs) -> Vec<String> {
    if model.creating {
        return vec!["New container".to_owned()];
    }
    let narrow = model.size.0 < crate::ui::layout::NARROW;
    // Wider screens have it in the list's frame.
    let filter = model.list.filter_text.text();
    let list = if narrow && (model.list.filtering || !filter.is_empty()) {
        let caret = if model.list.filtering { glyphs.caret } else { "" };
        format!("/ {filter}{caret}")
    } else {
        "Containers".to_owned()
    };
    // The rest of the row is the host's.
    let room = usize::from(model.size.0 / 3).max(LEAST_NAME);
    let name = |it: &Name| shortened(it.as_str(), room, glyphs.ellipsis).into_owned();
    match &model.detail {
        None => vec![list],
        Some(detail) if model.size.0 < crate::ui::layout::MIDDLE => vec![name(&detail.name)],
        Some(detail) => vec![list, name(&detail.name)],
    }
}

fn segments(model: &Model, look: &Look) -> Vec<Segment> {
    let mut segments = Vec::with_capacity(6);
    let old = old(model, look);
    let read_only = model.rights == Rights::ReadOnly;
    if let Some(sample) = &model.sample {
        segments = vec![
            host(&sample.host, look),
            counts(model, look, u8::from(old.is_some() || read_only)),
            load(&sample.host, look),
            pressures(&sample.host, look),
        ];
    }
    if read_only {
        segments.push(Segment::new(0, vec![("read-only".to_owned(), look.warn)]));
    }
    if model.stale().is_some() {
        let pieces = segments
            .iter_mut()
            .flat_map(|it| it.pieces.iter_mut().chain(it.short.iter_mut().flatten()));
        pieces.for_each(|(_, style)| *style = look.faded());
    }
    let clock = || Segment::new(1, vec![(format::clock(model.now), look.fg)]);
    segments.push(old.unwrap_or_else(clock));
    segments
}

/// Shows that the data is not current, and why.
fn old(model: &Model, look: &Look) -> Option<Segment> {
    let banner = Modifier::BOLD | Modifier::REVERSED;
    let piece = match words::stale(model) {
        Some(words) => (format!(" {words} "), look.bad.add_modifier(banner)),
        None if model.held => {
            ("held: P resumes".to_owned(), look.warn.add_modifier(Modifier::BOLD))
        }
        None => return None,
    };
    Some(Segment { old: true, ..Segment::new(0, vec![piece]) })
}

fn host(host: &HostSample, look: &Look) -> Segment {
    let layout = match host.layout {
        Some(Layout::V1) => "v1",
        Some(Layout::V2) => "v2",
        Some(Layout::Hybrid) => "hybrid",
        None => "no cgroups",
    };
    let place = (format!("{} {layout}", host.hostname), look.dim);
    if host.lacks.is_empty() {
        return Segment { short: Some(Vec::new()), ..Segment::new(5, vec![place]) };
    }
    // That not everything can be done here matters more than how busy the host is.
    let limited = ("limited".to_owned(), look.bad);
    let pieces = vec![place, (" ".to_owned(), look.dim), limited.clone()];
    Segment { short: Some(vec![limited]), ..Segment::new(2, pieces) }
}

/// How many containers are in which state; without empty states if space is short.
fn counts(model: &Model, look: &Look, drop: u8) -> Segment {
    let (mut running, mut busy, mut frozen, mut stopped, mut failed) =
        (0_usize, 0_usize, 0_usize, 0_usize, 0_usize);
    for container in model.containers() {
        match model.state_shown(container) {
            State::Running | State::Thawed => running += 1,
            State::Starting | State::Stopping | State::Aborting => busy += 1,
            State::Freezing | State::Frozen => frozen += 1,
            State::Stopped if words::failed(model, container) => failed += 1,
            State::Stopped => stopped += 1,
        }
    }
    let glyphs = look.glyphs;
    let all = [
        (glyphs.running, running, look.ok),
        (glyphs.starting, busy, look.busy),
        (glyphs.frozen, frozen, look.frozen),
        (glyphs.stopped, stopped, look.idle),
        (glyphs.failed, failed, look.bad),
    ];
    let pieces = |least: usize| {
        let some = all.into_iter().filter(|(_, count, _)| *count >= least).enumerate();
        some.map(|(at, (glyph, count, style))| {
            let gap = if at == 0 { "" } else { " " };
            (format!("{gap}{glyph}{count}"), if count == 0 { look.dim } else { style })
        })
        .collect()
    };
    Segment { short: Some(pieces(1)), ..Segment::new(drop, pieces(0)) }
}

fn load(host: &HostSample, look: &Look) -> Segment {
    let unknown = look.glyphs.unknown;
    let used = host.cpu_used.map_or_else(|| unknown.to_owned(), |it| format!("{it:.2}"));
    let cpus = host.cpus.map_or_else(|| unknown.to_owned(), |it| it.to_string());
    let bytes = |it: Option<u64>| it.map_or_else(|| unknown.to_owned(), format::bytes);
    let pieces = vec![
        ("cpu ".to_owned(), look.dim),
        (format!("{used}/{cpus}"), look.fg),
        ("  mem ".to_owned(), look.dim),
        (format!("{}/{}", bytes(host.memory_used_bytes), bytes(host.memory_bytes)), look.fg),
    ];
    let used = host.cpu_used.map_or_else(|| unknown.to_owned(), |it| format!("{it:.1}"));
    let share = host.memory_used_bytes.zip(host.memory_bytes.filter(|it| *it > 0));
    let share = share.map(|(used, all)| format::whole((used as f64 / all as f64 * 100.0) as f32));
    let short = vec![
        ("cpu ".to_owned(), look.dim),
        (format!("{used}/{cpus}"), look.fg),
        (" mem ".to_owned(), look.dim),
        (share.map_or_else(|| unknown.to_owned(), |it| it + "%"), look.fg),
    ];
    Segment { short: Some(short), ..Segment::new(3, pieces) }
}

fn pressures(host: &HostSample, look: &Look) -> Segment {
    let mut pieces = vec![("psi".to_owned(), look.dim)];
    for psi in [host.psi.cpu, host.psi.memory, host.psi.io] {
        let (text, style) = words::pressure(psi, look);
        pieces.push((format!(" {text}"), style));
    }
    Segment::new(4, pieces)
}

/// Shortens segments, and then drops some, until the rest fits into `room` cells.
fn fitting(mut segments: Vec<Segment>, room: usize) -> Vec<Segment> {
    for at in 0..segments.len() {
        let fits = segments_width(&segments) <= room;
        let segment = segments.get_mut(at).filter(|_| !fits);
        if let Some((segment, short)) =
            segment.and_then(|it| it.short.take().map(|short| (it, short)))
        {
            segment.pieces = short;
        }
    }
    segments.retain(|it| !it.pieces.is_empty());
    while segments_width(&segments) > room {
        let Some(worst) = segments.iter().map(|it| it.drop).max() else { break };
        segments.retain(|it| it.drop != worst);
    }
    segments
}

fn segments_width(segments: &[Segment]) -> usize {
    let text: usize = segments.iter().flat_map(|it| &it.pieces).map(|(text, _)| width(text)).sum();
    let shown = segments.iter().filter(|it| !it.pieces.is_empty()).count();
    text + shown.saturating_sub(1) * 3
}
