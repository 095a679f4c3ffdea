//! The layers over the screen: help, palette, questions, signals, journal, and the keys that may
//! follow a prefix.

use std::borrow::Cow;

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::canvas::Canvas;
use super::events::{self, Named};
use super::framed::{at_of, framed, position};
use super::kept;
use crate::engine::process::Process;
use crate::engine::shown::shown;
use crate::format;
use crate::ui::layers::{self, Layer};
use crate::ui::model::overlay::{Find, FindKind, Overlay, SIGNALS};
use crate::ui::model::{JournalEntry, Model, Noted};
use crate::ui::{keymap, layout, prompts};
use crate::widgets::look::Look;
use crate::widgets::pen::Pen;
use crate::widgets::popup::{Choice, Popup};
use crate::widgets::text::wrap;

/// Widest name in the journal.
const NAMES: usize = 32;

/// Paints the layer, if there is one.
pub(super) fn render(model: &Model, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    if !model.typed.is_empty() {
        prefix(model, canvas);
    }
    match &model.overlay {
        None => (),
        Some(Overlay::Find(find)) => finder(model, find, canvas),
        Some(
            overlay @ (Overlay::Confirm { .. }
            | Overlay::Ask { .. }
            | Overlay::TypeName { .. }
            | Overlay::NewName { .. }
            | Overlay::Exec { .. }),
        ) => {
            let area = layout::question(model.size);
            _ = prompts::with(overlay, area, look, |it| it.render(area, canvas.buf));
        }
        Some(Overlay::Signal { process, at, .. }) => signals(model, process, *at, canvas),
        Some(Overlay::Trash { at, found }) => {
            kept::trash(model, *at, found.as_ref(), canvas);
        }
        Some(Overlay::Snapshots { name, at, found }) => {
            kept::snapshots(model, name, *at, found.as_ref(), canvas);
        }
        Some(Overlay::Journal { at }) => journal(model, *at, canvas),
        Some(Overlay::Events { at }) => all_events(model, *at, canvas),
        Some(Overlay::Whole { title, text, first, .. }) => {
            let lines = wrap(text, layout::whole_room(model.size));
            whole(title, &lines, *first, layout::whole_rows(model.size), canvas);
        }
    }
}

fn prefix(model: &Model, canvas: &mut Canvas<'_>) {
    let scopes = model.scopes();
    let choices: Vec<Choice<'_>> = keymap::following(&scopes, &model.typed)
        .map(|(key, it)| Choice {
            key,
            label: it.name,
            enabled: model.refusal(it.action).is_none(),
        })
        .collect();
    let popup = Popup { look: canvas.look, title: &model.typed, choices: &choices };
    // On a short screen the box covers the end of the footer, which says only how to get back.
    let above = canvas.area.height.saturating_sub(1);
    let height = if popup.height() > above { canvas.area.height } else { above };
    popup.render(Rect { height, ..canvas.area }, canvas.buf);
}

fn finder(model: &Model, find: &Find, canvas: &mut Canvas<'_>) {
    let title = match find.kind {
        FindKind::Help => "Keys",
        FindKind::Palette => "Everything",
    };
    layers::with_found(model, find, canvas.look, |list, area| {
        let foot = at_of(list.look, list.cursor, list.entries.len());
        let Canvas { area, buf, .. } = framed(title, "", &foot, area, canvas);
        list.render(area, buf);
    });
}

fn signals(model: &Model, process: &Process, at: usize, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let title = format!("Signal to {} {}", process.pid, shown(&process.command));
    let layer = layers::signals(model, at);
    let mut canvas = framed(&title, "", &position(&layer, look), layer.area, canvas);
    let signals = SIGNALS.iter().enumerate().skip(layer.first);
    for ((index, (number, name, help)), row) in signals.zip(layer.rows.rows()) {
        let mut pen = canvas.pen_at(row);
        if index == at {
            pen.wash(look.select).put(look.glyphs.cursor, look.accent).to(0);
        }
        pen.skip(2).part(3).right(&number.to_string(), look.dim);
        pen.skip(1).put(&format!("{name:<7}"), look.key);
        pen.clip(help, look.dim, look.glyphs.ellipsis);
    }
}

fn journal(model: &Model, at: usize, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let layer = layers::journal(model, at);
    let what = "what was done, and how to do it by hand";
    let mut canvas = framed("Journal", what, &position(&layer, look), layer.area, canvas);
    if model.journal.is_empty() {
        canvas.pen().skip(2).put("nothing has been done yet", look.dim);
    }
    foot(&layer, &mut canvas);
    let mut rows = layer.rows.rows();
    for (index, entry) in model.journal.iter().enumerate().skip(layer.first) {
        let (Some(one), Some(other)) = (rows.next(), rows.next()) else { return };
        let below = journal_entry(model, entry, index == at, look, &mut canvas.pen_at(one));
        canvas.pen_at(other).skip(13).clip(&below, look.dim, look.glyphs.ellipsis);
    }
}

/// Paints what does not fit into the row under the cursor.
fn foot(layer: &Layer, canvas: &mut Canvas<'_>) {
    let style = canvas.look.bad;
    let lines = wrap(&layer.words, usize::from(layer.foot.width).saturating_sub(2));
    for (line, row) in lines.iter().zip(layer.foot.rows()) {
        canvas.pen_at(row).skip(1).put(line, style);
    }
}

/// Paints the first line of an entry and returns the second: the command line that does the same, or
/// the rest of a refusal.
fn journal_entry(
    model: &Model,
    entry: &JournalEntry,
    current: bool,
    look: &Look,
    pen: &mut Pen<'_>,
) -> String {
    if current {
        pen.wash(look.select).put(look.glyphs.cursor, look.accent).to(0);
    }
    let (glyph, style, words): (_, Style, Cow<'_, str>) = match &entry.noted {
        Noted::Done { outcome: None, .. } => {
            (look.glyphs.starting, look.busy, "in progress".into())
        }
        Noted::Done { outcome: Some(Ok(words)), .. } => (look.glyphs.ok, look.ok, words.into()),
        Noted::Done { outcome: Some(Err(why)), .. } | Noted::Refused(why) => {
            (look.glyphs.bad, look.bad, shown(why))
        }
    };
    pen.skip(2).put(&format::clock(entry.at), look.dim).skip(1).put(glyph, style).skip(1);
    let Noted::Done { name, act, .. } = &entry.noted else {
        let lines = wrap(&words, pen.left());
        let (first, rest) = lines.split_first().map_or(("", &[][..]), |(it, rest)| (*it, rest));
        pen.put(first, look.fg);
        return rest.join(" ");
    };
    let names = (pen.left() / 3).min(NAMES).min(name.as_str().len());
    pen.part(names).name(name.as_str(), look.fg, look.glyphs.ellipsis);
    pen.skip(1).put(act.word(), look.accent).skip(2);
    // The row has named both already.
    let both = format!("{} {name}: ", act.word());
    let words = words.strip_prefix(&both).unwrap_or(&words);
    pen.clip(words, look.fg, look.glyphs.ellipsis);
    format!("$ {}", act.command_line(&model.program, name.as_str()))
}

fn all_events(model: &Model, at: usize, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let layer = layers::events(model, at);
    let mut canvas = framed("Events", "", &position(&layer, look), layer.area, canvas);
    foot(&layer, &mut canvas);
    let events = model.events.iter().enumerate().skip(layer.first);
    for ((index, event), row) in events.zip(layer.rows.rows()) {
        let mut pen = canvas.pen_at(row);
        if index == at {
            pen.wash(look.select).put(look.glyphs.cursor, look.accent).to(0);
        }
        events::line(model, event, Named::Here, look, &mut pen);
    }
}

/// Paints one line of a list in full, broken into `lines`, of which `rows` are shown.
fn whole(title: &str, lines: &[&str], first: usize, rows: usize, canvas: &mut Canvas<'_>) {
    let shown = lines.len().min(rows);
    let foot = if shown < lines.len() {
        at_of(canvas.look, first + shown - 1, lines.len())
    } else {
        String::new()
    };
    let style = canvas.look.fg;
    let area = layout::layer(size(canvas), shown + 2);
    let mut layer = framed(title, "", &foot, area, canvas);
    for (line, row) in lines.iter().skip(first).zip(layer.rows()) {
        layer.pen_at(row).skip(1).put(line, style);
    }
}

const fn size(canvas: &Canvas<'_>) -> (u16, u16) {
    (canvas.area.width, canvas.area.height)
}
