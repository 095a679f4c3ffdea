//! Where the rows of the layers over the screen are: of help and palette, signals, journal and
//! events. Paints nothing.

use ratatui::layout::{Position, Rect};

use super::layout;
use super::model::filter::fuzzy;
use super::model::overlay::{Find, FindKind, Overlay, SIGNALS};
use super::model::{Model, Noted};
use super::theme::{ColourDepth, Theme};
use crate::command::action::{SHORTCUTS, Shortcut};
use crate::command::topics;
use crate::engine::event::What;
use crate::engine::shown::shown;
use crate::engine::snapshot::Snapshot;
use crate::widgets::list::{List, ListItem};
use crate::widgets::look::Look;
use crate::widgets::table::scroll;
use crate::widgets::text::wrap;

/// Rows for text that does not fit into the row of its entry.
const ROOM_FOR_WORDS: usize = 3;
/// Lines around what was found: the search, a free one, and the frame.
const AROUND_FOUND: usize = 4;
/// Room for so many entries, however few are found.
const LEAST_FOUND: usize = 8;
/// Lines of the frame.
const FRAME: usize = 2;

/// A layer with the same number of lines for each of its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// With its frame.
    pub area: Rect,
    pub rows: Rect,
    /// Lines of an entry.
    pub lines: u16,
    pub count: usize,
    /// The entry under the cursor.
    pub at: usize,
    /// The first entry that is shown.
    pub first: usize,
    /// What does not fit into the row under the cursor, and where it stands whole.
    pub words: String,
    pub foot: Rect,
}

impl Layer {
    /// Lays out `count` entries of so many `lines`, that `at` under the cursor, and `words` below
    /// them, with room for that.
    fn new(model: &Model, count: usize, lines: u16, at: usize, words: Option<String>) -> Self {
        let room = words.as_ref().map_or(0, |_| ROOM_FOR_WORDS + 1);
        let area = layout::layer(model.size, count * usize::from(lines) + room + FRAME);
        let inner = layout::inside(area);
        let words = words.unwrap_or_default();
        let broken = wrap(&words, usize::from(inner.width).saturating_sub(2)).len() as u16;
        let height = broken.min(inner.height.saturating_sub(lines));
        let rows = Rect { height: inner.height - height, ..inner };
        let foot = Rect { y: rows.bottom(), height, ..inner };
        let first = scroll(model.layer_first, at, count, usize::from(rows.height / lines));
        Self { area, rows, lines, count, at, first, words, foot }
    }

    /// Returns the entry at a position. The foot is a part of the entry under the cursor: it may
    /// have taken the row that was clicked to go there, and where a second click opens it.
    fn entry_at(&self, at: Position) -> Option<usize> {
        if self.foot.contains(at) {
            return Some(self.at);
        }
        let row = usize::from(at.y.checked_sub(self.rows.y)? / self.lines);
        let shown = usize::from(self.rows.height / self.lines);
        let there = self.rows.contains(at) && row < shown && self.first + row < self.count;
        there.then_some(self.first + row)
    }
}

/// Returns the layer of the signals, that at `at` under the cursor.
pub fn signals(model: &Model, at: usize) -> Layer {
    Layer::new(model, SIGNALS.len(), 1, at, None)
}

/// Returns the layer of the trash or of snapshots, with `count` entries.
pub fn kept(model: &Model, count: usize, at: usize) -> Layer {
    Layer::new(model, count.max(1), 1, at, None)
}

/// Returns the rows for the snapshots that were found: one for a new one, and one for each.
pub fn snapshot_rows(found: Option<&Result<Vec<Snapshot>, String>>) -> usize {
    found.and_then(|it| it.as_ref().ok()).map_or(1, |it| it.len() + 1)
}

/// Returns the layer of the journal: what was done, and below it the command for the same.
pub fn journal(model: &Model, at: usize) -> Layer {
    let words = match model.journal.get(at).map(|it| &it.noted) {
        Some(Noted::Refused(why) | Noted::Done { outcome: Some(Err(why)), .. }) => {
            shown(why).into_owned()
        }
        Some(Noted::Done { outcome: Some(Ok(_)) | None, .. }) | None => String::new(),
    };
    Layer::new(model, model.journal.len(), 2, at, Some(words))
}

/// Returns the layer of the events of all containers.
pub fn events(model: &Model, at: usize) -> Layer {
    let words = match model.events.get(at).map(|it| &it.what) {
        Some(What::Failed { reason }) => shown(reason).into_owned(),
        _ => String::new(),
    };
    Layer::new(model, model.events.len(), 1, at, Some(words))
}

/// Makes the list of help or palette, with the place of its layer, for `then`.
pub fn with_found<T>(
    model: &Model,
    find: &Find,
    look: &Look,
    then: impl FnOnce(List<'_>, Rect) -> T,
) -> T {
    let lines: Vec<(&Shortcut, Option<String>)> =
        found(find).into_iter().map(|it| (it, refusal(model, it))).collect();
    let entries: Vec<ListItem<'_>> = lines
        .iter()
        .map(|(it, refusal)| ListItem {
            key: it.keys.first().copied().unwrap_or_default(),
            name: it.name,
            help: refusal.as_deref().unwrap_or(it.help),
            enabled: refusal.is_none(),
            matched: &[],
        })
        .collect();
    let (sign, hint) = match find.kind {
        FindKind::Help => ("/", "type to search"),
        FindKind::Palette => (":", "a few letters of what you want"),
    };
    let area = layout::layer(model.size, entries.len().max(LEAST_FOUND) + AROUND_FOUND);
    let (input, cursor) = (&find.line, find.at);
    let first = model.layer_first;
    then(List { look, sign, input, hint, entries: &entries, first, cursor }, area)
}

/// Only actions that are bound to a place are refused; a key that belongs elsewhere is just
/// explained.
fn refusal(model: &Model, shortcut: &Shortcut) -> Option<String> {
    if !model.scopes().contains(&shortcut.scope) {
        return Some(format!("{} (on the {} screen)", shortcut.help, shortcut.scope.title()));
    }
    model.refusal(shortcut.action)
}

/// Returns the actions that the searched text finds, best first; with no text all of them.
pub fn found(find: &Find) -> Vec<&'static Shortcut> {
    let needle = find.line.text();
    let needle = needle.trim();
    if needle.is_empty() {
        return SHORTCUTS.iter().collect();
    }
    let small = needle.to_lowercase();
    let score = |it: &'static Shortcut| {
        let by_key = it.keys.contains(&needle).then_some(u32::MAX);
        let by_start = || it.name.starts_with(&small).then_some(u32::MAX - 1);
        let by_topic = || topics::is_about(it.name, &small).then_some(u32::MAX - 2);
        let by_name = || fuzzy(needle, it.name).map(|it| it.saturating_mul(2));
        // A few scattered letters match in any sentence, so only whole words count there.
        let by_help = || it.help.to_lowercase().contains(&small).then_some(1);
        let best = by_key.or_else(by_start).or_else(by_topic).or_else(by_name);
        Some((best.or_else(by_help)?, it))
    };
    let mut scored: Vec<(u32, &Shortcut)> = SHORTCUTS.iter().filter_map(score).collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.into_iter().map(|(_, it)| it).collect()
}

/// Returns the entry of the layer on top at a position.
pub fn entry_at(model: &Model, at: Position) -> Option<usize> {
    of(model, |it| it.entry_at(at), |it, area| it.entry_at(area, at)).flatten()
}

/// Returns the first entry of the layer on top that is shown; none: it has no entries.
pub fn first(model: &Model) -> Option<usize> {
    of(model, |it| it.first, |it, area| it.first_shown(area))
}

/// Asks the layer on top, which is one of entries or a list in an area.
fn of<T>(
    model: &Model,
    layer: impl FnOnce(Layer) -> T,
    list: impl FnOnce(List<'_>, Rect) -> T,
) -> Option<T> {
    match model.overlay.as_ref()? {
        Overlay::Find(find) => {
            // Colours do not change where something is.
            let look = Theme::Mono.look(ColourDepth::None, model.glyphs);
            Some(with_found(model, find, &look, |it, area| list(it, layout::inside(area))))
        }
        Overlay::Signal { at, .. } => Some(layer(signals(model, *at))),
        Overlay::Journal { at } => Some(layer(journal(model, *at))),
        Overlay::Events { at } => Some(layer(events(model, *at))),
        Overlay::Trash { at, found } => {
            let count = found.as_ref().and_then(|it| it.as_ref().ok()).map_or(0, Vec::len);
            Some(layer(kept(model, count, *at)))
        }
        Overlay::Snapshots { at, found, .. } => {
            Some(layer(kept(model, snapshot_rows(found.as_ref()), *at)))
        }
        Overlay::Confirm { .. }
        | Overlay::Ask { .. }
        | Overlay::TypeName { .. }
        | Overlay::NewName { .. }
        | Overlay::Exec { .. }
        | Overlay::Whole { .. } => None,
    }
}
