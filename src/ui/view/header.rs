//! The first row: where one is, the host, how many containers in which state, the clock.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::words;
use crate::engine::cgroup::Layout;
use crate::engine::snapshot::Host;
use crate::engine::state::State;
use crate::ui::format;
use crate::ui::model::Model;
use crate::widgets::look::{Glyphs, Look};
use crate::widgets::pen::{Pen, width};

/// Words in one colour each that stay or go together; the highest number goes first.
struct Group {
    drop: u8,
    pieces: Vec<(String, Style)>,
}

/// Paints the header into `area`.
pub(super) fn render(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let bold = Modifier::BOLD;
    let mut left = vec![("wharf".to_owned(), look.accent.add_modifier(bold))];
    let places = places(model, look.glyphs);
    for place in &places {
        left.push((format!(" {} ", look.glyphs.path), look.dim));
        left.push((place.clone(), look.fg.add_modifier(bold)));
    }
    let taken: usize = left.iter().map(|(text, _)| width(text)).sum::<usize>() + 3;
    let groups = fitting(groups(model, look), usize::from(area.width).saturating_sub(taken));
    let mut pen = Pen::line(buf, area);
    pen.wash(look.bar).skip(1);
    for (text, style) in &left {
        pen.put(text, look.bar.patch(*style));
    }
    let wide = groups_width(&groups);
    pen.skip(pen.left().saturating_sub(wide + 1));
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            pen.skip(1).put(look.glyphs.separator, look.bar.patch(look.line)).skip(1);
        }
        for (text, style) in &group.pieces {
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
    match &model.detail {
        None => vec![list],
        Some(detail) if narrow => vec![detail.name.to_string()],
        Some(detail) => vec![list, detail.name.to_string()],
    }
}

fn groups(model: &Model, look: &Look) -> Vec<Group> {
    let mut groups = Vec::with_capacity(6);
    if let Some(snapshot) = &model.snapshot {
        groups.push(host(&snapshot.host, look));
        groups.push(Group { drop: 0, pieces: counts(model, look) });
        groups.push(load(&snapshot.host, look));
        groups.push(pressures(&snapshot.host, look));
    }
    let clock = if model.held {
        ("held: P resumes".to_owned(), look.warn.add_modifier(Modifier::BOLD))
    } else {
        (format::clock(model.now), look.fg)
    };
    groups.push(Group { drop: 1, pieces: vec![clock] });
    groups
}

fn host(host: &Host, look: &Look) -> Group {
    let layout = match host.layout {
        Some(Layout::V1) => "v1",
        Some(Layout::V2) => "v2",
        Some(Layout::Hybrid) => "hybrid",
        None => "no cgroups",
    };
    let access = if host.limits.is_empty() { ("rw", look.ok) } else { ("ro", look.bad) };
    let pieces =
        vec![(format!("{} {layout} ", host.hostname), look.dim), (access.0.to_owned(), access.1)];
    Group { drop: 3, pieces }
}

fn counts(model: &Model, look: &Look) -> Vec<(String, Style)> {
    let (mut running, mut busy, mut frozen, mut stopped, mut failed) = (0, 0, 0, 0, 0);
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
    [
        (glyphs.running, running, look.ok),
        (glyphs.starting, busy, look.busy),
        (glyphs.frozen, frozen, look.frozen),
        (glyphs.stopped, stopped, look.idle),
        (glyphs.failed, failed, look.bad),
    ]
    .into_iter()
    .enumerate()
    .map(|(at, (glyph, count, style))| {
        let gap = if at == 0 { "" } else { " " };
        (format!("{gap}{glyph}{count}"), if count == 0 { look.dim } else { style })
    })
    .collect()
}

fn load(host: &Host, look: &Look) -> Group {
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
    Group { drop: 4, pieces }
}

fn pressures(host: &Host, look: &Look) -> Group {
    let mut pieces = vec![("psi".to_owned(), look.dim)];
    for psi in [host.psi.cpu, host.psi.memory, host.psi.io] {
        let (text, style) = words::pressure(psi, look);
        pieces.push((format!(" {text}"), style));
    }
    Group { drop: 5, pieces }
}

/// Drops groups until the rest fits into `room` cells.
fn fitting(mut groups: Vec<Group>, room: usize) -> Vec<Group> {
    while groups_width(&groups) > room {
        let Some(worst) = groups.iter().map(|it| it.drop).max() else { break };
        groups.retain(|it| it.drop != worst);
    }
    groups
}

fn groups_width(groups: &[Group]) -> usize {
    let text: usize = groups.iter().flat_map(|it| &it.pieces).map(|(text, _)| width(text)).sum();
    text + groups.len().saturating_sub(1) * 3
}
