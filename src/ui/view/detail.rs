//! The screen of an open container: a line about it, its tabs and the panes of the tab.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use super::{cgroup, footer, processes, text, words};
use crate::command::Action;
use crate::command::action::{Do, InDetail};
use crate::engine::Name;
use crate::engine::sample::Container;
use crate::format;
use crate::ui::model::detail::{DetailScreen, Tab};
use crate::ui::model::{Model, PaneScreen};
use crate::ui::pane::Pane;
use crate::ui::{hints, layout};
use crate::widgets::frame::Frame;
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, pieces_width, width};
use crate::widgets::text::wrap;

/// Cells for a label and a useful part of its value.
const LABELLED: usize = 20;
/// Cells of the label of the root file system.
const LABEL: usize = 9;

/// Paints the open container.
pub(super) fn render(model: &Model, pane: Option<&Pane>, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let Some(screen) = &model.detail else { return };
    let areas = layout::detail(model);
    if let Some(container) = model.container(&screen.name) {
        about(model, container, look, &mut canvas.pen_at(areas.about));
    }
    tabs(model, screen, look, &mut canvas.pen_at(areas.tabs));
    for (tab, area) in areas.panes {
        let canvas = canvas.within(area);
        match tab {
            Tab::Processes => processes::pane(model, canvas),
            Tab::Cgroup => cgroup::pane(model, canvas),
            Tab::Console => console(model, pane, canvas),
            Tab::Log | Tab::Events | Tab::Config | Tab::Network | Tab::Mounts => {
                text::pane(model, tab, canvas);
            }
            Tab::Overview => (),
        }
    }
}

/// Paints the program in the pane over the whole screen, with one line that says how to leave.
pub(super) fn full_pane(model: &Model, terminal: Option<&Pane>, mut canvas: Canvas<'_>) {
    let (Some(pane), Some(area)) = (&model.pane, layout::pane(model)) else { return };
    if let Some(terminal) = terminal {
        terminal.render(area, canvas.buf, true);
    }
    let look = canvas.look;
    let foot = Rect { y: area.bottom(), height: 1, ..area };
    let mut pen = canvas.pen_at(foot);
    pen.wash(look.bar).skip(1);
    if let Some((name, left)) = model.halting().filter(|(name, _)| **name == pane.name) {
        let words = format!("{name} halts; kill in {}  ", format::duration_in_text(left));
        pen.put(&words, look.bar.patch(look.busy));
        pen.put("C-] c S", look.bar.patch(look.key)).put(" kills now  ", look.bar.patch(look.dim));
    }
    if !pane.escaped {
        pen.put(&format!("{}  {}  ", pane.name, pane.what), look.bar.patch(look.accent));
    }
    let on_bar =
        Look { key: look.bar.patch(look.key), dim: look.bar.patch(look.dim), ..look.clone() };
    let words = hints::program(model, pane, look.glyphs);
    let hints = hints::fitting(hints::parsed(&words, look.glyphs), pen.left());
    footer::paint(&hints, &on_bar, &mut pen);
}

fn about(model: &Model, container: &Container, look: &Look, pen: &mut Pen<'_>) {
    let state = model.state_shown(container);
    let (glyph, style) = words::sign(model, container, look);
    pen.skip(1).put(glyph, style).skip(1).put(state.word(), style).skip(1);
    pen.put(&words::since(model, container, look), look.fg);
    if let Some((remark, style)) = words::remark(model, container, look) {
        pen.skip(2).clip(&crate::engine::shown::shown(&remark), style, look.glyphs.ellipsis);
    }
    if let Some(init) = container.init_pid {
        pen.put("  init ", look.dim).put(&init.to_string(), look.fg);
    }
    let Some(detail) = &container.detail else { return };
    let own = detail.network.iter().filter(|it| it.name != "lo");
    if let Some(address) = own.flat_map(|it| &it.addresses).next() {
        pen.skip(2).put(address, look.fg);
    }
    if !detail.namespaces.is_empty() {
        pen.put("  ns ", look.dim).put(&detail.namespaces.join(" "), look.fg);
    }
    // A label without its value is useless.
    if pen.left() < LABELLED {
        return;
    }
    if let Some(cgroup) = &detail.cgroup {
        pen.put("  cgroup ", look.dim).clip(&cgroup.to_string(), look.fg, look.glyphs.ellipsis);
    }
    let path = detail.rootfs.as_ref().and_then(|it| it.path());
    if let Some(path) = path {
        let path = path.to_string_lossy();
        let path = crate::engine::shown::shown(&path);
        // Of a path that is cut, too little would be left; the configuration has the whole of it.
        if pen.left() >= LABEL + width(&path) {
            pen.put("  rootfs ", look.dim).put(&path, look.fg);
        }
    }
}

fn tabs(model: &Model, screen: &DetailScreen, look: &Look, pen: &mut Pen<'_>) {
    let compact = model.size.0 < layout::MIDDLE;
    pen.skip(1);
    for title in layout::tabs(model) {
        let style = if title.tab == screen.tab { look.accent } else { look.dim };
        pen.put(&title.words, style);
        if title.tab == Tab::Console && layout::runs_here(model) {
            pen.put(look.glyphs.running, look.ok).skip(1);
        }
    }
    if screen.tab == Tab::Overview && !compact {
        let zoom = if screen.zoom { " back" } else { " zoom" };
        let hint =
            [("Tab", look.key), (" next pane  ", look.dim), ("+", look.key), (zoom, look.dim)];
        pen.skip(pen.left().saturating_sub(pieces_width(&hint) + 1)).pieces(&hint);
    }
}

fn console(model: &Model, terminal: Option<&Pane>, canvas: Canvas<'_>) {
    let look = canvas.look;
    let Some(screen) = &model.detail else { return };
    let ours = |it: &&PaneScreen| it.name == screen.name;
    let pane = model.pane.as_ref().filter(ours);
    let typing = pane.is_some_and(|it| it.typing);
    let pending = pane.is_some_and(|it| it.escaped);
    let title = pane.map_or_else(
        || "Console".to_owned(),
        |it| format!("{}  {}x{}", it.what, it.size.1, it.size.0),
    );
    let frozen = pane.is_some() && words::is_frozen(model, &screen.name);
    let back = terminal.filter(|_| pane.is_some()).map_or(0, Pane::scrolled);
    let keys = match pane {
        _ if back == 1 => "1 line back, any key returns".to_owned(),
        _ if back > 1 => format!("{back} lines back, any key returns"),
        Some(_) if pending => "C-] then c, z, q or C-]".to_owned(),
        Some(it) if typing && it.ended.is_none() => "C-] c leave  C-] C-] send C-]".to_owned(),
        Some(_) | None => String::new(),
    };
    let mut left = vec![(title.as_str(), look.accent)];
    if frozen {
        left.push(("  frozen", look.frozen));
    }
    let thaws = if typing { "C-] c, then f thaws it" } else { "f thaws it" };
    let thaws = [(thaws, look.frozen)];
    let frame = Frame {
        right: &[(&keys, if pending { look.key } else { look.dim })],
        foot: if frozen { &thaws } else { &[] },
        focused: screen.focus == Tab::Console,
        ..Frame::titled(look, &left)
    };
    let canvas = canvas.framed(frame);
    if let (Some(_), Some(terminal)) = (pane, terminal) {
        terminal.render(canvas.area, canvas.buf, typing);
        return;
    }
    offers(model, &screen.name, canvas);
}

/// Paints the keys that open a terminal here, or why they do not.
fn offers(model: &Model, name: &Name, canvas: Canvas<'_>) {
    let look = canvas.look;
    let container = model.container(name);
    if container.is_some_and(|it| it.hidden) {
        words::why_hidden(canvas);
        return;
    }
    let alive = container.is_some_and(|it| it.state.is_active());
    let room = usize::from(canvas.area.width.saturating_sub(5));
    let mut canvas = canvas;
    let mut rows = canvas.rows();
    let mut line = |pieces: &[(&str, ratatui::style::Style)]| {
        if let Some(row) = rows.next() {
            canvas.pen_at(row).skip(1).pieces(pieces);
        }
    };
    let offers: &[(Action, &str)] = if alive {
        &[
            (Action::Detail(InDetail::Console), "opens the console here; C-] c comes back"),
            (Action::Detail(InDetail::Exec), "runs a command inside, such as /bin/sh"),
        ]
    } else {
        for words in wrap("the console opens when the container runs", room) {
            line(&[(words, look.dim)]);
        }
        &[(Action::Act(Do::Start), "starts it")]
    };
    for (action, words) in offers {
        let refusal = model.refusal(*action);
        let style = if refusal.is_some() { look.faded() } else { look.key };
        let keys = std::iter::once(action.key()).chain(std::iter::repeat(" "));
        for (key, piece) in keys.zip(wrap(refusal.as_deref().unwrap_or(words), room)) {
            line(&[(key, style), ("  ", look.dim), (piece, look.dim)]);
        }
    }
}
