//! The line above the footer: what is marked, what was just done, what cannot be done here.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::words;
use crate::command::Action;
use crate::engine::Name;
use crate::ui::effect::{Act, STOP_GRACE};
use crate::ui::model::{Job, Model, Tone};
use crate::ui::{format, layout, story};
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, Piece, width};
use crate::widgets::toast::Toast;

/// What takes the marks away, as wide as it is painted.
const UNMARK: &str = "  Esc unmark ";
/// Cells that the names of the marked keep, whatever else there is to say.
const LEAST_NAMES: usize = 16;
/// How long good and bad news stay, in seconds; the journal keeps both.
const NEWS_SECONDS: u64 = 8;
const BAD_NEWS_SECONDS: u64 = 30;
const MARKED_NEWS_SECONDS: u64 = 4;

/// Paints the line.
pub(super) fn render(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let fresh = |it: &&crate::ui::model::Notice| {
        let stay = match it.tone {
            // What is marked is about to be acted on, and must be seen.
            _ if model.detail.is_none() && !model.list.marks.is_empty() => MARKED_NEWS_SECONDS,
            Tone::Bad => BAD_NEWS_SECONDS,
            Tone::Good | Tone::Plain => NEWS_SECONDS,
        };
        model.now.duration_since(it.at).unwrap_or_default().as_secs() < stay
    };
    if let Some(notice) = model.notice.as_ref().filter(fresh) {
        let (glyph, style) = match notice.tone {
            Tone::Good => (look.glyphs.ok, look.ok),
            Tone::Plain => (look.glyphs.dot, look.dim),
            Tone::Bad => (look.glyphs.bad, look.bad),
        };
        let at = format::clock(notice.at);
        let text = format!("{at}  {}", crate::engine::shown::shown(&notice.text));
        let count = format!(" journal {}", model.journal.len());
        let mut hints: Vec<Piece<'_>> = Vec::new();
        if !model.undo.is_empty() {
            hints.extend([("z", look.key), (" undo  ", look.dim)]);
        }
        let changed = model.journal.last().is_some_and(|it| matches!(it.act, Act::Set { .. }));
        if changed && model.changed.is_some() {
            hints.extend([("C-s", look.key), (" keep in config  ", look.dim)]);
        }
        hints.extend([("J", look.key), (count.as_str(), look.dim)]);
        let glyph = (glyph, style);
        Toast { look, glyph, text: &text, style: look.fg, hints: &hints }.render(area, buf);
        return;
    }
    if let Some(words) = countdown(model) {
        let (words, current) = words;
        let glyph = (look.glyphs.stopping, look.busy);
        // The key is for the container under the cursor alone.
        let hints: &[Piece<'_>] =
            if current { &[("S", look.key), (" kills now", look.dim)] } else { &[] };
        Toast { look, glyph, text: &words, style: look.fg, hints }.render(area, buf);
        return;
    }
    if model.detail.is_none() && !model.list.marks.is_empty() {
        marks(model, look, &mut Pen::line(buf, area));
        return;
    }
    let snapshot = model.snapshot.as_deref();
    let trouble = snapshot.and_then(|it| {
        let known = it.trouble.clone().or_else(|| current(model)).or_else(|| words::unmanaged(it));
        known.or_else(|| it.host.limits.first().cloned())
    });
    if let Some(trouble) = &trouble {
        let glyph = (look.glyphs.warn, look.warn);
        let trouble = &crate::engine::shown::shown(trouble);
        Toast { look, glyph, text: trouble, style: look.dim, hints: &[] }.render(area, buf);
    }
}

/// What is wrong with the container under the cursor, whose row has no room for the words; an open
/// one has them in its first line, if there is room for that.
fn current(model: &Model) -> Option<String> {
    let told_above = model.detail.is_some() && layout::detail(model).about.height > 0;
    let container = model.current().filter(|_| !told_above)?;
    let why = words::trouble(container).or_else(|| {
        let stopped = !container.state.is_active();
        model.failures.get(&container.name).filter(|_| stopped).cloned()
    });
    // Where there is room, a box of its own tells the rest.
    let alone = model.size.0 < layout::NARROW || layout::list(model).events.is_none();
    let story = || story::of(model, container).filter(|it| alone && it.bad).map(|it| it.what);
    let why = why.or_else(story);
    why.map(|it| format!("{}: {it}", container.name))
}

/// A guest that was asked to halt: how long it has left, also where no column shows it, and
/// whether it is the one under the cursor, which goes first.
fn countdown(model: &Model) -> Option<(String, bool)> {
    let halts = |(_, job): &(&Name, &Job)| matches!(job.act, Act::Stop | Act::Restart);
    let current = |(name, _): &(&Name, &Job)| model.current_name() == Some(*name);
    let mut halting: Vec<_> = model.jobs.iter().filter(halts).collect();
    halting.sort_by_key(|it| !current(it));
    let first = halting.first()?;
    let (name, job) = first;
    let passed = model.now.duration_since(job.since).unwrap_or_default();
    let left = STOP_GRACE.saturating_sub(passed).as_secs();
    let words = format!("{name} was asked to halt; what is left is killed in {left} s");
    Some((words, current(first)))
}

/// What is marked is seen before the verb is chosen.
fn marks(model: &Model, look: &Look, pen: &mut Pen<'_>) {
    let many = model.list.marks.len();
    pen.skip(1).put(&format!("{many} marked "), look.mark);
    let all = if many == 2 { "both" } else { "all" };
    let hints: Vec<(Action, String)> =
        [Action::Freeze, Action::Stop, Action::Restart, Action::Limits]
            .into_iter()
            .filter_map(|it| Some((it, format!(" {} {all}", it.shortcut()?.name))))
            .collect();
    let wide = |(action, words): &(Action, String)| width(action.key()) + width(words) + 2;
    let names = pen.left().saturating_sub(hints.iter().map(wide).sum::<usize>() + width(UNMARK));
    let mut part = pen.part(names.max(LEAST_NAMES));
    for name in &model.list.marks {
        part.skip(1).clip(name.as_str(), look.fg, look.glyphs.ellipsis);
    }
    for hint in hints {
        if wide(&hint) + width(UNMARK) > pen.left() {
            break;
        }
        let (action, words) = hint;
        let enabled = model.refusal(action).is_none();
        let (key, text) = if enabled { (look.key, look.fg) } else { (look.dim, look.dim) };
        pen.skip(2).put(action.key(), key).put(&words, text);
    }
    pen.skip(2).put("Esc", look.key).put(" unmark", look.dim);
}
