//! The layers over the screen: help, palette, questions, signals, journal, and the keys that may
//! follow a prefix.

use std::borrow::Cow;

use ratatui::layout::Rect;
use ratatui::style::Style;

use super::canvas::Canvas;
use super::events::{self, Named};
use crate::command::action::Shortcut;
use crate::engine::event::What;
use crate::engine::process::Process;
use crate::engine::shown::shown;
use crate::format;
use crate::ui::model::overlay::{Find, FindKind, Overlay, SIGNALS};
use crate::ui::model::{JournalEntry, Model, Noted};
use crate::ui::update::found;
use crate::ui::{keymap, layout, prompts};
use crate::widgets::frame::Frame;
use crate::widgets::list;
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, clear};
use crate::widgets::popup::{Choice, Popup};
use crate::widgets::prompt::middle;
use crate::widgets::table::scroll;
use crate::widgets::text::wrap;

/// Rows for text that does not fit into the row of its entry.
const ROOM_FOR_WORDS: usize = 3;
/// Widest name in the journal.
const NAMES: usize = 32;

/// Paints the layer, if there is one.
pub(super) fn render(model: &Model, canvas: &mut Canvas<'_>) {
    let (look, area) = (canvas.look, canvas.area);
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
            | Overlay::Exec { .. }),
        ) => _ = prompts::with(overlay, area, look, |it| it.render(area, canvas.buf)),
        Some(Overlay::Signal { process, at, .. }) => signals(process, *at, canvas),
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
    let area = Rect { height: canvas.area.height.saturating_sub(1), ..canvas.area };
    let popup = Popup { look: canvas.look, title: &model.typed, choices: &choices };
    popup.render(area, canvas.buf);
}

fn finder(model: &Model, find: &Find, canvas: &mut Canvas<'_>) {
    let found = found(find);
    let lines: Vec<(String, Option<String>, &Shortcut)> = found
        .into_iter()
        .map(|it| (it.keys.first().copied().unwrap_or_default().to_owned(), refusal(model, it), it))
        .collect();
    let entries: Vec<list::ListItem<'_>> = lines
        .iter()
        .map(|(key, refusal, it)| list::ListItem {
            key,
            name: it.name,
            help: refusal.as_deref().unwrap_or(it.help),
            enabled: refusal.is_none(),
            matched: &[],
        })
        .collect();
    let (title, sign, hint) = match find.kind {
        FindKind::Help => ("Keys", "/", "type to search"),
        FindKind::Palette => ("Everything", ":", "a few letters of what you want"),
    };
    let height = tallest(canvas).min(entries.len().max(8) + 4);
    let Canvas { look, area, buf } = layer(title, &entries.len().to_string(), height, canvas);
    list::List { look, sign, input: &find.line, hint, entries: &entries, cursor: find.at }
        .render(area, buf);
}

/// Only actions that are bound to a place are refused; a key that belongs elsewhere is just
/// explained.
fn refusal(model: &Model, shortcut: &Shortcut) -> Option<String> {
    if !model.scopes().contains(&shortcut.scope) {
        return Some(format!("{} (on the {} screen)", shortcut.help, shortcut.scope.title()));
    }
    model.refusal(shortcut.action)
}

fn signals(process: &Process, at: usize, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let title = format!("Signal to {} {}", process.pid, shown(&process.command));
    let mut layer = layer(&title, "", SIGNALS.len() + 2, canvas);
    let first = scroll(0, at, SIGNALS.len(), usize::from(layer.area.height));
    let signals = SIGNALS.iter().enumerate().skip(first);
    for ((index, (number, name, help)), row) in signals.zip(layer.rows()) {
        let mut pen = layer.pen_at(row);
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
    let wanted = model.journal.len() * 2 + 3 + ROOM_FOR_WORDS;
    let height = tallest(canvas).min(wanted);
    let mut layer = layer("Journal", "what was done, and how to do it by hand", height, canvas);
    if model.journal.is_empty() {
        layer.pen().skip(2).put("nothing has been done yet", look.dim);
    }
    let whole = match model.journal.get(at).map(|it| &it.noted) {
        Some(Noted::Refused(why) | Noted::Done { outcome: Some(Err(why)), .. }) => shown(why),
        Some(Noted::Done { outcome: Some(Ok(_)) | None, .. }) | None => "".into(),
    };
    let mut layer = in_full(&whole, layer);
    let first = scroll(0, at, model.journal.len(), usize::from(layer.area.height / 2));
    let mut rows = layer.rows();
    for (index, entry) in model.journal.iter().enumerate().skip(first) {
        let (Some(one), Some(other)) = (rows.next(), rows.next()) else { return };
        let below = journal_entry(model, entry, index == at, look, &mut layer.pen_at(one));
        layer.pen_at(other).skip(13).clip(&below, look.dim, look.glyphs.ellipsis);
    }
}

/// Paints `words`, if any, whole at the foot of a layer; returns what is left of it above.
fn in_full<'a>(words: &str, mut layer: Canvas<'a>) -> Canvas<'a> {
    let (look, area) = (layer.look, layer.area);
    let lines = wrap(words, usize::from(area.width).saturating_sub(2));
    let height = (lines.len() as u16).min(area.height.saturating_sub(2));
    let above = Rect { height: area.height - height, ..area };
    let foot = Rect { y: above.bottom(), height, ..area };
    for (line, row) in lines.iter().zip(foot.rows()) {
        layer.pen_at(row).skip(1).put(line, look.bad);
    }
    Canvas { area: above, ..layer }
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
    pen.clip(&words, look.fg, look.glyphs.ellipsis);
    format!("$ {}", act.command_line(&model.program, name))
}

fn all_events(model: &Model, at: usize, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let wanted = model.events.len() + 3 + ROOM_FOR_WORDS;
    let count = format!("{} kept", model.events.len());
    let layer = layer("Events", &count, tallest(canvas).min(wanted), canvas);
    let whole = match model.events.get(at).map(|it| &it.what) {
        Some(What::Failed { reason }) => shown(reason).into_owned(),
        _ => String::new(),
    };
    let mut layer = in_full(&whole, layer);
    let first = scroll(0, at, model.events.len(), usize::from(layer.area.height));
    for ((index, event), row) in model.events.iter().enumerate().skip(first).zip(layer.rows()) {
        let mut pen = layer.pen_at(row);
        if index == at {
            pen.wash(look.select).put(look.glyphs.cursor, look.accent).to(0);
        }
        events::line(model, event, Named::Here, look, &mut pen);
    }
}

/// Paints one line of a list in full, broken into `lines`, of which so many `rows` are shown.
fn whole(title: &str, lines: &[&str], first: usize, rows: usize, canvas: &mut Canvas<'_>) {
    let shown = lines.len().min(rows);
    let right = format!("{}/{}", (first + shown).min(lines.len()), lines.len());
    let style = canvas.look.fg;
    let mut layer = layer(title, &right, shown + 2, canvas);
    for (line, row) in lines.iter().skip(first).zip(layer.rows()) {
        layer.pen_at(row).skip(1).put(line, style);
    }
}

/// Returns how tall a layer can be.
fn tallest(canvas: &Canvas<'_>) -> usize {
    usize::from(layout::layer_height(size(canvas)))
}

/// A framed layer in the middle of the screen; returns its inside.
fn layer<'a>(title: &str, right: &str, height: usize, canvas: &'a mut Canvas<'_>) -> Canvas<'a> {
    let (look, area) = (canvas.look, canvas.area);
    let width = layout::layer_width(size(canvas));
    let above_footer = Rect { height: area.height.saturating_sub(1), ..area };
    let height = height.min(tallest(canvas));
    let mut place = middle(above_footer, usize::from(width), height);
    place.x = (area.width - width) / 2;
    place.width = width;
    clear(canvas.buf, place, look.fg);
    let left = [(title, look.accent)];
    let frame = Frame { right: &[(right, look.dim)], focused: true, ..Frame::titled(look, &left) };
    canvas.within(place).framed(frame)
}

const fn size(canvas: &Canvas<'_>) -> (u16, u16) {
    (canvas.area.width, canvas.area.height)
}
