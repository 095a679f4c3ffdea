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
    /// It says that what is seen is old.
    old: bool,
}

impl Group {
    const fn new(drop: u8, pieces: Vec<(String, Style)>) -> Self {
        Self { drop, pieces, old: false }
    }
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
    let groups = groups(model, look);
    let room = |left: &[(String, Style)]| {
        let taken: usize = left.iter().map(|(text, _)| width(text)).sum();
        usize::from(area.width).saturating_sub(taken + 3)
    };
    // That what is seen is old goes before the place, which is plain from what is below.
    let old = groups.iter().filter(|it| it.old).flat_map(|it| &it.pieces);
    if old.map(|(text, _)| width(text)).sum::<usize>() > room(&left) {
        left.truncate(1);
    }
    let groups = fitting(groups, room(&left));
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
    let old = old(model, look);
    if let Some(snapshot) = &model.snapshot {
        groups = vec![
            host(&snapshot.host, look),
            Group::new(u8::from(old.is_some()), counts(model, look)),
            load(&snapshot.host, look),
            pressures(&snapshot.host, look),
        ];
    }
    if model.stale().is_some() {
        let pieces = groups.iter_mut().flat_map(|it| &mut it.pieces);
        pieces.for_each(|(_, style)| *style = look.faded());
    }
    let clock = || Group::new(1, vec![(format::clock(model.now), look.fg)]);
    groups.push(old.unwrap_or_else(clock));
    groups
}

/// Says that what is seen is not of this moment, and why.
fn old(model: &Model, look: &Look) -> Option<Group> {
    let banner = Modifier::BOLD | Modifier::REVERSED;
    let piece = match words::stale(model) {
        Some(words) => (words, look.bad.add_modifier(banner)),
        None if model.held => {
            ("held: P resumes".to_owned(), look.warn.add_modifier(Modifier::BOLD))
        }
        None => return None,
    };
    Some(Group { drop: 0, pieces: vec![piece], old: true })
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
    Group::new(3, pieces)
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
    Group::new(4, pieces)
}

fn pressures(host: &Host, look: &Look) -> Group {
    let mut pieces = vec![("psi".to_owned(), look.dim)];
    for psi in [host.psi.cpu, host.psi.memory, host.psi.io] {
        let (text, style) = words::pressure(psi, look);
        pieces.push((format!(" {text}"), style));
    }
    Group::new(5, pieces)
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
