//! The line above the footer: marks, the latest result, and what is not possible here.

use super::canvas::Canvas;
use super::words;
use crate::command::Action;
use crate::command::action::{Do, InDetail};
use crate::format;
use crate::ui::effect::Act;
use crate::ui::focus::Focus;
use crate::ui::model::{Model, Notice, Tone, Way, undo};
use crate::ui::{diagnosis, layout};
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, Piece, pieces_width, width};
use crate::widgets::toast::Toast;

/// What Esc does to the marks or the filter, at its widest.
const UNMARK: &str = "  Esc clear filter ";
/// Minimum cells for the names of the marked.
const LEAST_NAMES: usize = 16;

/// Paints the line.
pub(super) fn render(model: &Model, mut canvas: Canvas<'_>) {
    let look = canvas.look;
    // Wider screens have it in the list's frame.
    let narrow = model.size.0 < layout::NARROW && model.detail.is_none();
    if let Some(reason) = model.list.filter_error.as_ref().filter(|_| narrow) {
        let glyph = (look.glyphs.bad, look.bad);
        Toast { look, glyph, text: reason, style: look.fg, hints: &[], kept: 0 }
            .render(canvas.area, canvas.buf);
        return;
    }
    if let Some(notice) = model.notice_shown() {
        self::notice(model, notice, canvas);
        return;
    }
    if model.halting().is_some() {
        countdown(model, canvas);
        return;
    }
    if model.detail.is_none() && !model.list.marks.is_empty() {
        marks(model, look, &mut canvas.pen());
        return;
    }
    let sample = model.sample.as_deref();
    let trouble = sample.and_then(|it| {
        let known = it.trouble.clone().or_else(|| current(model)).or_else(|| words::unmanaged(it));
        known.or_else(|| it.host.lacks.first().map(|it| it.why.clone()))
    });
    if let Some(trouble) = &trouble {
        let glyph = (look.glyphs.warn, look.warn);
        let trouble = &crate::engine::shown::shown(trouble);
        Toast { look, glyph, text: trouble, style: look.dim, hints: &[], kept: 0 }
            .render(canvas.area, canvas.buf);
    }
}

/// What was just done or refused, and the keys that go with it.
fn notice(model: &Model, notice: &Notice, canvas: Canvas<'_>) {
    let look = canvas.look;
    let (glyph, style) = match notice.tone {
        Tone::Good => (look.glyphs.ok, look.ok),
        Tone::Plain => (look.glyphs.dot, look.dim),
        Tone::Bad => (look.glyphs.bad, look.bad),
    };
    let text = crate::engine::shown::shown(&notice.text);
    let slim = model.size.0 < layout::NARROW;
    let text = if slim { text } else { format!("{}  {text}", format::clock(notice.at)).into() };
    let count = format!(" journal {}", model.journal.len());
    let mut hints: Vec<Piece<'_>> = Vec::new();
    let back = model.way_back().map(|(way, steps)| {
        let back = way == Way::Back;
        let action = if back { Do::Undo } else { Do::Redo };
        // The text beside it names the container, if there is no room to do so twice.
        let words = match (slim, back) {
            (true, true) => "undo".to_owned(),
            (true, false) => "redo".to_owned(),
            (false, _) => undo::words(steps),
        };
        (Action::Act(action).key(), format!(" {words}  "))
    });
    if let Some((key, words)) = &back {
        hints.extend([(*key, look.key), (words.as_str(), look.dim)]);
    }
    let changed = model.journal.last().is_some_and(|it| matches!(it.act, Act::Set { .. }));
    if changed && model.changed.is_some() {
        hints.extend([("C-s", look.key), (" keep in config  ", look.dim)]);
    }
    hints.extend([("J", look.key), (count.as_str(), look.dim)]);
    let glyph = (glyph, style);
    let kept = usize::from(back.is_some());
    Toast { look, glyph, text: &text, style: look.fg, hints: &hints, kept }
        .render(canvas.area, canvas.buf);
}

/// Trouble of the container under the cursor, for which its row has no room; an open one has it in
/// its first line, if there is room for that.
fn current(model: &Model) -> Option<String> {
    let told_above = model.detail.is_some() && layout::detail(model).about.height > 0;
    let container = model.current().filter(|_| !told_above)?;
    let why = words::trouble(model, container).or_else(|| {
        let stopped = !container.state.is_active();
        model.failures.get(&container.name).filter(|_| stopped).cloned()
    });
    // If there is room, a separate box shows the rest.
    let alone = model.size.0 < layout::NARROW || layout::list(model).events.is_none();
    let diagnosis =
        || diagnosis::of(model, container).filter(|it| alone && it.bad).map(|it| it.what);
    let why = why.or_else(diagnosis);
    why.map(|it| format!("{}: {it}", container.name))
}

/// A guest that was asked to halt: its time left, even if no column shows it, and the key that
/// kills it now.
fn countdown(model: &Model, canvas: Canvas<'_>) {
    let look = canvas.look;
    let Some((name, left)) = model.halting() else { return };
    let left = left.as_secs();
    let narrow = model.size.0 < layout::NARROW;
    let in_pane = model.focus() == Focus::Program;
    let hints: &[Piece<'_>] = match model.current_name() {
        // The key applies only to the container under the cursor, and not to one in a pane.
        Some(current) if current != name => &[],
        _ if in_pane && narrow => &[("C-] c S", look.key), (" kills", look.dim)],
        _ if in_pane => &[("C-] c, then S", look.key), (" kills now", look.dim)],
        _ => &[("S", look.key), (" kills now", look.dim)],
    };
    let what = if narrow && in_pane {
        format!(" halts, {left} s left")
    } else if narrow {
        format!(" halts; kill in {left} s")
    } else {
        format!(" was asked to halt; what is left is killed in {left} s")
    };
    // The name gives way: the key must be visible.
    let room =
        usize::from(canvas.area.width).saturating_sub(pieces_width(hints) + width(&what) + 6);
    let name = clipped(name.as_str(), room, look.glyphs.ellipsis);
    let words = format!("{name}{what}");
    let glyph = (look.glyphs.stopping, look.busy);
    Toast { look, glyph, text: &words, style: look.fg, hints, kept: 0 }
        .render(canvas.area, canvas.buf);
}

/// Names are plain letters, so that each is one cell.
fn clipped(name: &str, room: usize, ellipsis: char) -> String {
    match name.get(..room.saturating_sub(1)) {
        Some(start) if name.len() > room => format!("{start}{ellipsis}"),
        Some(_) | None => name.to_owned(),
    }
}

/// Marks are shown before the verb is chosen.
fn marks(model: &Model, look: &Look, pen: &mut Pen<'_>) {
    let many = model.list.marks.len();
    let hidden = model.hidden_marks();
    let words = match hidden {
        0 => format!("{many} marked "),
        hidden => format!("{many} marked, {hidden} hidden "),
    };
    pen.skip(1).put(&words, look.mark);
    let all = if many == 2 { "both" } else { "all" };
    let hints: Vec<(Action, String)> = [
        Action::Act(Do::Freeze),
        Action::Act(Do::Stop),
        Action::Act(Do::Restart),
        Action::Detail(InDetail::Limits),
    ]
    .into_iter()
    .filter_map(|it| Some((it, format!(" {} {all}", it.shortcut()?.name))))
    .collect();
    let wide = |(action, words): &(Action, String)| width(action.key()) + width(words) + 2;
    let names = pen.left().saturating_sub(hints.iter().map(wide).sum::<usize>() + width(UNMARK));
    let mut part = pen.part(names.max(LEAST_NAMES));
    for name in &model.list.marks {
        part.skip(1).name(name.as_str(), look.fg, look.glyphs.ellipsis);
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
    let back = if model.list.filter_text.is_empty() { " unmark" } else { " clear filter" };
    pen.skip(2).put("Esc", look.key).put(back, look.dim);
}
