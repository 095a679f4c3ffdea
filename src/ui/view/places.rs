//! The panes of networks and mounts, and beside them, on a wide screen, what the configuration says
//! about them.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use crate::engine::sample::{Detail, Network};
use crate::engine::shown::shown;
use crate::format;
use crate::ui::layout::{NARROW, WIDE};
use crate::ui::model::Model;
use crate::ui::model::detail::Tab;
use crate::ui::texts::{self, NetworkLine};
use crate::widgets::frame::Frame;
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, width};
use crate::widgets::text::wrap;

/// Cells for the name of an interface, and on a narrow screen.
const INTERFACES: usize = 14;
const NARROW_INTERFACES: usize = 8;
/// Cells for an address.
const ADDRESSES: usize = 42;
/// Cells for a size.
const SIZE: usize = 5;
/// The keys of the configuration that are about mounts, and about networks.
const MOUNT_KEYS: [&str; 4] = ["lxc.mount", "lxc.rootfs", "lxc.autodev", "lxc.hook.mount"];
const NETWORK_KEYS: [&str; 3] = ["lxc.net", "lxc.namespace.share.net", "lxc.namespace.keep"];

/// Paints at the right what the configuration says about networks or mounts, if there is room;
/// returns what is left of the canvas.
pub(super) fn configured<'a>(model: &Model, tab: Tab, mut canvas: Canvas<'a>) -> Canvas<'a> {
    let keys = match tab {
        Tab::Network => &NETWORK_KEYS[..],
        Tab::Mounts => &MOUNT_KEYS[..],
        Tab::Overview
        | Tab::Processes
        | Tab::Cgroup
        | Tab::Console
        | Tab::Log
        | Tab::Events
        | Tab::Config => return canvas,
    };
    let detail = model.current().and_then(|it| it.detail.as_ref());
    let Some(config) = detail.and_then(|it| it.config.as_ref()) else { return canvas };
    let (look, area) = (canvas.look, canvas.area);
    if area.width < WIDE {
        return canvas;
    }
    let left = area.width / 5 * 3;
    let right = Rect { x: area.x + left, width: area.width - left, ..area };
    let title = [("In its configuration", look.accent)];
    let mut beside = canvas.within(right).framed(Frame::titled(look, &title));
    let room = usize::from(beside.area.width).saturating_sub(2);
    let lines = config.lines().filter(|it| keys.iter().any(|key| it.trim_start().starts_with(key)));
    let mut rows = beside.rows();
    let mut nothing = true;
    for (line, row) in lines.flat_map(|it| wrap(it, room)).zip(rows.by_ref()) {
        config_line(line, look, &mut beside.pen_at(row));
        nothing = false;
    }
    if nothing {
        beside.pen().skip(1).put("nothing about this", look.dim);
    }
    Canvas { area: Rect { width: left, ..area }, ..canvas }
}

/// Paints a line of a configuration.
pub(super) fn config_line(line: &str, look: &Look, pen: &mut Pen<'_>) {
    pen.skip(1);
    let text = shown(line);
    if text.trim_start().starts_with('#') {
        pen.clip(&text, look.dim, look.glyphs.ellipsis);
    } else if let Some((key, value)) = text.split_once('=') {
        pen.put(key, look.key).put("=", look.dim).clip(value, look.fg, look.glyphs.ellipsis);
    } else {
        pen.clip(&text, look.fg, look.glyphs.ellipsis);
    }
}

/// Describes what the open container receives and sends now, if it has a network of its own.
pub(super) fn traffic(model: &Model) -> Option<String> {
    let Network::Own { received_per_second: Some(rx), sent_per_second: Some(tx), .. } =
        model.current()?.network
    else {
        return None;
    };
    Some(format!("now rx {}/s  tx {}/s", format::rate(rx), format::rate(tx)))
}

/// Paints the mounts from the `first` on: place, type and source in columns, and the options.
pub(super) fn mounts(detail: &Detail, first: usize, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let words =
        |line: &str| -> Vec<String> { shown(line).splitn(4, ' ').map(str::to_owned).collect() };
    let lines: Vec<Vec<String>> = detail.mounts.iter().map(|it| words(it)).collect();
    // The options are cut first: they say least.
    let most = usize::from(canvas.area.width) / 3;
    let cells = |column: usize| {
        let all = lines.iter().filter_map(|it| it.get(column));
        all.map(|it| width(it)).max().unwrap_or(0).min(most)
    };
    let cells = [cells(0), cells(1), cells(2)];
    for (line, row) in lines.iter().skip(first).zip(canvas.rows()) {
        let mut pen = canvas.pen_at(row);
        pen.skip(1);
        for (words, cells) in line.iter().zip(cells) {
            pen.part(cells).name(words, look.fg, look.glyphs.ellipsis);
            pen.skip(2);
        }
        let options = line.get(cells.len()).map_or("", String::as_str);
        pen.clip(options, look.dim, look.glyphs.ellipsis);
    }
}

/// Paints the interfaces from line `first` on: name, addresses below each other, and figures.
pub(super) fn network(model: &Model, first: usize, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let names = if model.size.0 < NARROW { NARROW_INTERFACES } else { INTERFACES };
    let bytes = |it: Option<u64>| it.map_or_else(|| look.glyphs.unknown.to_owned(), format::bytes);
    for (line, row) in texts::network_lines(model).iter().skip(first).zip(canvas.rows()) {
        let mut pen = canvas.pen_at(row);
        pen.skip(1);
        match line {
            NetworkLine::Interface(it, address) => {
                let name = shown(&it.name);
                pen.part(names).clip(&name, look.accent, look.glyphs.ellipsis);
                if let Some(address) = address {
                    pen.part(ADDRESSES).put(address, look.fg);
                }
                for (sign, count) in [("rx ", it.rx_bytes), ("  tx ", it.tx_bytes)] {
                    pen.put(sign, look.dim).part(SIZE).right(&bytes(count), look.fg);
                }
            }
            NetworkLine::Address(_, address) => _ = pen.skip(names).put(address, look.fg),
        }
    }
}
