//! The layers of what is kept: the trash and the snapshots of a container.

use super::canvas::Canvas;
use super::framed::{framed, position};
use crate::engine::Name;
use crate::engine::shown::shown;
use crate::engine::snapshot::Snapshot;
use crate::engine::trash::InTrash;
use crate::format;
use crate::ui::layers;
use crate::ui::model::Model;

/// Cells that an id needs at least, with those around it.
const ID: usize = 28;
/// Cells of an age or a size.
const FIGURE: usize = 7;
/// Cells of the time of a snapshot, as LXC writes it.
const TIME: usize = 19;

/// Paints the trash, the newest first.
pub(super) fn trash(
    model: &Model,
    at: usize,
    found: Option<&Result<Vec<InTrash>, String>>,
    canvas: &mut Canvas<'_>,
) {
    let look = canvas.look;
    let rows = found.and_then(|it| it.as_ref().ok()).map_or(&[][..], Vec::as_slice);
    let layer = layers::kept(model, rows.len(), at);
    let foot = if rows.is_empty() { String::new() } else { position(&layer, look) };
    // Where it is narrow the ids matter more.
    let heads = ["age", "size", "gone in"];
    let fit = usize::from(layer.rows.width).saturating_sub(ID) / (FIGURE + 1);
    let left_out = heads.len() - fit.clamp(1, heads.len());
    let right = heads.get(left_out..).unwrap_or_default().join(", ");
    let mut canvas = framed("Trash", &right, &foot, layer.area, canvas);
    if let Some(words) = instead(found, rows.is_empty(), "nothing was destroyed lately") {
        canvas.pen().skip(2).clip(&words, look.dim, look.glyphs.ellipsis);
    }
    for ((index, it), row) in rows.iter().enumerate().skip(layer.first).zip(layer.rows.rows()) {
        let mut pen = canvas.pen_at(row);
        if index == at {
            pen.wash(look.select).put(look.glyphs.cursor, look.accent).to(0);
        }
        let goes = it.goes.map_or_else(|| "never".to_owned(), |it| format::since(model.now, it));
        let bytes = it.bytes.map_or_else(|| look.glyphs.unknown.to_owned(), format::bytes);
        let figures = [format::since(it.id.since(), model.now), bytes, goes];
        let figures = figures.get(left_out..).unwrap_or_default();
        pen.skip(2);
        let names = pen.left().saturating_sub(figures.len() * (FIGURE + 1) + 1);
        pen.part(names).name(&it.id.to_string(), look.fg, look.glyphs.ellipsis);
        for it in figures {
            pen.skip(1).part(FIGURE).right(it, look.dim);
        }
    }
}

/// Paints a row for a new snapshot, and one for each that there is.
pub(super) fn snapshots(
    model: &Model,
    name: &Name,
    at: usize,
    found: Option<&Result<Vec<Snapshot>, String>>,
    canvas: &mut Canvas<'_>,
) {
    let look = canvas.look;
    let rows = found.and_then(|it| it.as_ref().ok()).map_or(&[][..], Vec::as_slice);
    let layer = layers::kept(model, layers::snapshot_rows(found), at);
    let title = format!("Snapshots of {name}");
    let mut canvas = framed(&title, "", &position(&layer, look), layer.area, canvas);
    for (index, row) in (layer.first..layer.count).zip(layer.rows.rows()) {
        let mut pen = canvas.pen_at(row);
        if index == at {
            pen.wash(look.select).put(look.glyphs.cursor, look.accent).to(0);
        }
        pen.skip(2);
        let Some(it) = index.checked_sub(1).and_then(|it| rows.get(it)) else {
            pen.put("take a snapshot", look.fg).skip(2);
            let words = instead(found, rows.is_empty(), "there is none yet").unwrap_or_default();
            pen.clip(&words, look.dim, look.glyphs.ellipsis);
            continue;
        };
        pen.put(&format!("{:<8}", it.name.as_str()), look.fg).skip(2);
        let taken = it.taken.as_deref().map(format::lxc_time);
        let taken = shown(taken.as_deref().unwrap_or(look.glyphs.unknown)).into_owned();
        pen.put(&format!("{taken:<TIME$}"), look.dim).skip(2);
        let comment = it.comment.as_deref().unwrap_or_default();
        let comment = comment.lines().next().unwrap_or_default();
        pen.clip(&shown(comment), look.fg, look.glyphs.ellipsis);
    }
}

/// Returns what stands where there are no rows.
fn instead<T>(
    found: Option<&Result<Vec<T>, String>>,
    empty: bool,
    nothing: &str,
) -> Option<String> {
    match found {
        None => Some("reading it".to_owned()),
        Some(Err(why)) => Some(shown(why).into_owned()),
        Some(Ok(_)) => empty.then(|| nothing.to_owned()),
    }
}
