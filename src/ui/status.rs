//! The message above the footer: what it says, the keys beside it, and where it is. Paints nothing.

use std::time::Duration;

use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use super::focus::Focus;
use super::hints::{Click, Hint, parsed};
use super::layout;
use super::model::detail::Tab;
use super::model::{Model, Noted, Notice, Tone, Way, undo};
use super::theme::{ColourDepth, Theme};
use super::{allowed, diagnosis, texts};
use crate::command::Action;
use crate::command::action::{Anywhere, Do};
use crate::engine::progress::Reached;
use crate::engine::shown::shown;
use crate::format;
use crate::ui::effect::Act;
use crate::widgets::look::Look;
use crate::widgets::pen::{Piece, cut, width};
use crate::widgets::toast::Toast;

/// A creation that takes longer says how far it is.
const LONG: Duration = Duration::from_millis(500);

/// What is said above the footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusLine {
    pub sign: Sign,
    pub text: String,
    pub hints: Vec<Hint>,
    /// This many of the hints always stay; the text is cut to make room.
    pub kept: usize,
    /// It takes as many rows as it needs.
    pub whole: bool,
}

/// Cells around a message and the words for its undoing: the sign, the key and blanks.
const AROUND_UNDO: usize = 8;

/// Stands for a reason that a box on the screen gives.
const ABOVE: &str = "the reason is above";

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Notice(Tone),
    /// Something is wrong here, as long as it is shown.
    Trouble,
    /// A guest was asked to halt.
    Halting,
    /// A container is being created.
    Creating,
}

impl Model {
    /// Returns the message above the footer, if there is one. One that does not fit is shown whole,
    /// names the key that opens it, or makes room for the next.
    pub fn status(&self) -> Option<StatusLine> {
        if let Some(reason) = &self.list.filter_error {
            let whole = self.focus() == Focus::Filter;
            return Some(self.openable(line(Tone::Bad, reason.clone(), whole)));
        }
        if let Some(notice) = self.notice_shown() {
            let status = self.openable(report(self, notice));
            if status.whole || self.opens_messages() || !self.cuts(&status) {
                return Some(status);
            }
        }
        if self.halting().is_some() {
            return countdown(self);
        }
        if let Some(creation) = creation(self) {
            return Some(creation);
        }
        if self.shows_marks() {
            return None;
        }
        let text = shown(&trouble(self)?).into_owned();
        Some(self.openable(StatusLine { sign: Sign::Trouble, ..line(Tone::Plain, text, false) }))
    }

    /// Returns the whole text of the message, which a box on the screen may say in its place.
    pub fn message(&self) -> Option<String> {
        let status = self.status()?;
        let notice = self.notice_shown().filter(|_| self.list.filter_error.is_none());
        Some(notice.map_or(status.text, |it| said(self, it, &it.text)))
    }

    /// Returns whether the marked containers are named above the footer, if nothing else is.
    pub fn shows_marks(&self) -> bool {
        self.detail.is_none() && self.overlay.is_none() && !self.list.marks.is_empty()
    }

    /// Returns the rows of the message above the footer; none: it is not on the screen.
    pub fn status_area(&self) -> Option<Rect> {
        let full = self.pane.as_ref().is_some_and(|it| it.full) && self.overlay.is_none();
        let status = self.status().filter(|_| !full)?;
        let one = layout::regions(self.size).notice;
        let look = colourless(self);
        let rows = status.toast(&look, |it| it.parts(one.width.into(), self.most(&status)).rows);
        let rows = (rows as u16).min(one.bottom());
        Some(Rect { y: one.bottom() - rows, height: rows.min(one.height * rows), ..one })
    }

    /// Returns the effect of a click on a key beside the message.
    pub fn status_click(&self, at: Position) -> Option<Click> {
        let area = self.status_area().filter(|it| it.contains(at) && at.y + 1 == it.bottom())?;
        let status = self.status()?;
        let look = colourless(self);
        let (mut x, pieces) = status.toast(&look, |it| {
            let parts = it.parts(area.width.into(), area.height.into());
            (parts.hints_at, parts.hints)
        });
        for hint in status.hints.get(..pieces / 2).unwrap_or_default() {
            let end = x + hint.width();
            if (x..end).contains(&usize::from(at.x)) {
                return Some(hint.click.clone());
            }
            x = end;
        }
        None
    }

    /// Adds the key that opens the message, if it is cut and that key works now.
    fn openable(&self, mut status: StatusLine) -> StatusLine {
        if status.whole || !self.opens_messages() || !self.cuts(&status) {
            return status;
        }
        // On a narrow screen the text needs the room.
        let words = if self.size.0 < layout::NARROW { " " } else { " full text  " };
        status.hints.insert(0, hint(Action::Shell(Anywhere::WholeMessage), words.to_owned()));
        status.kept += 1;
        status
    }

    /// Returns whether keys are not typed into something.
    fn opens_messages(&self) -> bool {
        matches!(self.focus(), Focus::List | Focus::Detail | Focus::Popup)
    }

    /// Returns whether the message does not fit into one row.
    fn cuts(&self, status: &StatusLine) -> bool {
        status.toast(&colourless(self), |it| it.parts(self.size.0.into(), 1).cut)
    }

    /// The rows that a message may take: the body, too, if it is shown whole.
    fn most(&self, status: &StatusLine) -> usize {
        let regions = layout::regions(self.size);
        usize::from(regions.notice.height + if status.whole { regions.body.height } else { 0 })
    }
}

impl StatusLine {
    /// Makes the widget for `then`.
    pub fn toast<T>(&self, look: &Look, then: impl FnOnce(Toast<'_>) -> T) -> T {
        let glyphs = look.glyphs;
        let glyph = match self.sign {
            Sign::Notice(Tone::Good) => (glyphs.ok, look.ok),
            Sign::Notice(Tone::Plain) => (glyphs.dot, look.dim),
            Sign::Notice(Tone::Bad) => (glyphs.bad, look.bad),
            Sign::Trouble => (glyphs.warn, look.warn),
            Sign::Halting => (glyphs.stopping, look.busy),
            Sign::Creating => (glyphs.starting, look.busy),
        };
        let style: Style = if self.sign == Sign::Trouble { look.dim } else { look.fg };
        let pieces = |it: &'_ Hint| (it.key.clone(), it.words.clone());
        let words: Vec<(String, String)> = self.hints.iter().map(pieces).collect();
        let hints: Vec<Piece<'_>> = words
            .iter()
            .flat_map(|(key, words)| [(key.as_str(), look.key), (words.as_str(), look.dim)])
            .collect();
        then(Toast { look, glyph, text: &self.text, style, hints: &hints, kept: self.kept })
    }
}

/// Colours do not change where something is.
fn colourless(model: &Model) -> Look {
    Theme::Mono.look(ColourDepth::None, model.glyphs)
}

const fn line(tone: Tone, text: String, whole: bool) -> StatusLine {
    StatusLine { sign: Sign::Notice(tone), text, hints: Vec::new(), kept: 0, whole }
}

fn hint(action: Action, words: String) -> Hint {
    let key = action.key().to_owned();
    Hint { key, words, alive: true, click: Click::Runs(action) }
}

/// What was just done or refused, and the keys that go with it.
fn report(model: &Model, notice: &Notice) -> StatusLine {
    let mut status = match explained(model, &notice.text) {
        Some(act) => line(notice.tone, said(model, notice, &format!("{act}{ABOVE}")), false),
        None => line(notice.tone, said(model, notice, &notice.text), notice.whole),
    };
    if !model.opens_messages() {
        // These keys are typed into something.
        return status;
    }
    if explained(model, &notice.text).is_some() {
        // The box may be too small for all of it.
        let words = " full text  ".to_owned();
        status.hints.push(hint(Action::Shell(Anywhere::WholeMessage), words));
    }
    if let Some((way, steps)) = model.way_back() {
        let (action, short) = match way {
            Way::Back => (Do::Undo, "undo"),
            Way::Anew | Way::Again => (Do::Redo, "redo"),
        };
        let whole = undo::words(steps);
        let fits = width(&status.text) + width(&whole) + AROUND_UNDO <= usize::from(model.size.0);
        // The text beside it names the container, if there is no room to do so twice.
        let words = if model.size.0 < layout::NARROW || !fits { short.to_owned() } else { whole };
        status.hints.push(hint(Action::Act(action), format!(" {words}  ")));
        status.kept = 1;
    }
    let set = |it: &Noted| matches!(it, Noted::Done { act: Act::Set { .. }, .. });
    if model.journal.last().is_some_and(|it| set(&it.noted)) && model.changed.is_some() {
        status.hints.push(hint(Action::Act(Do::Keep), " keep in config  ".to_owned()));
    }
    let count = model.journal.len();
    if count > 0 {
        status.hints.push(hint(Action::Shell(Anywhere::Journal), format!(" journal {count}")));
    }
    status
}

/// Returns the time of `notice` and its `text`, if there is room for both.
fn said(model: &Model, notice: &Notice, text: &str) -> String {
    let text = shown(text);
    let slim = model.size.0 < layout::NARROW;
    if slim { text.into_owned() } else { format!("{}  {text}", format::clock(notice.at)) }
}

/// Returns what `text` says before the reason why the container under the cursor could not be
/// started, if a box on the screen gives that reason.
fn explained<'a>(model: &Model, text: &'a str) -> Option<&'a str> {
    // The box of one that runs is for its processes, and a form covers all of them.
    let is_free = !model.creating && model.overlay.is_none();
    let container = model.current().filter(|it| is_free && !it.state.is_active())?;
    if !has_box(model) {
        return None;
    }
    let (act, _) = text.split_once(model.failures.get(&container.name)?.as_str())?;
    Some(act)
}

/// Returns whether a box on the screen is for what happened to the container under the cursor.
fn has_box(model: &Model) -> bool {
    model.size.0 >= layout::NARROW
        && if model.detail.is_some() {
            layout::detail(model).panes.iter().any(|(tab, _)| *tab == Tab::Processes)
        } else {
            layout::list(model).events.is_some()
        }
}

/// Trouble here: of this host, of the container under the cursor, or of those left to LXC.
fn trouble(model: &Model) -> Option<String> {
    let sample = model.sample.as_deref()?;
    // Without containers, the list has the room to say it.
    let welcomes = model.containers().is_empty() && model.detail.is_none() && !model.creating;
    if welcomes && model.size.0 >= layout::NARROW && layout::list(model).events.is_some() {
        return None;
    }
    let known = sample.trouble.clone().or_else(|| current(model));
    // The list names them, if there is room below the containers.
    let elsewhere =
        model.detail.is_some() || layout::unmanaged_rows(model) < sample.unmanaged.len();
    let known = known.or_else(|| texts::unmanaged(sample).filter(|_| elsewhere));
    let lacks =
        || sample.host.lacks.iter().map(|it| it.why.as_str()).collect::<Vec<_>>().join("; ");
    known.or_else(|| Some(lacks()).filter(|it| !it.is_empty()))
}

/// Trouble of the container under the cursor, for which its row has no room; an open one has it in
/// its first line, if there is room for that.
fn current(model: &Model) -> Option<String> {
    let told_above = model.detail.is_some() && layout::detail(model).about.height > 0;
    let container = model.current().filter(|_| !told_above)?;
    let diagnosis = diagnosis::of(model, container);
    // If there is room, a separate box says it.
    if model.detail.is_none() && has_box(model) && diagnosis.is_some() {
        return None;
    }
    let why = texts::trouble(model, container).or_else(|| {
        let stopped = !container.state.is_active();
        model.failures.get(&container.name).filter(|_| stopped).cloned()
    });
    let why = why.or_else(|| diagnosis.filter(|it| it.bad).map(|it| it.what));
    why.map(|it| format!("{}: {it}", container.name))
}

/// How far a creation is that takes long, and the key that cancels it.
fn creation(model: &Model) -> Option<StatusLine> {
    let (name, job) = model.creation()?;
    let taken = model.now.duration_since(job.since).unwrap_or_default();
    let reached = job.reached.filter(|_| taken >= LONG)?;
    let Reached { stage, done_bytes, whole_bytes } = reached;
    let mut far = format::progress(stage, done_bytes, whole_bytes);
    if job.cancelled {
        "cancelling".clone_into(&mut far);
    } else if model.size.0 < layout::NARROW {
        // The share says enough.
        far.truncate(far.find(" (").unwrap_or(far.len()));
    }
    let in_pane = model.focus() == Focus::Program;
    let hints = if job.cancelled || in_pane || model.creating {
        Vec::new()
    } else {
        vec![hint(Action::Shell(Anywhere::Cancel), " cancels".to_owned())]
    };
    // The name gives way: the key must be visible.
    let what = format!(": {far}");
    let taken = hints.iter().map(Hint::width).sum::<usize>() + width(&what) + 6;
    let room = usize::from(model.size.0).saturating_sub(taken);
    let text = cut(name.as_str(), room, model.glyphs.ellipsis).into_owned() + &what;
    let kept = hints.len();
    Some(StatusLine { sign: Sign::Creating, hints, kept, ..line(Tone::Plain, text, false) })
}

/// A guest that was asked to halt: its time left, even if no column shows it, and the key that
/// kills it now.
fn countdown(model: &Model) -> Option<StatusLine> {
    let (name, left) = model.halting()?;
    let left = format::duration_in_text(left);
    let narrow = model.size.0 < layout::NARROW;
    let in_pane = model.focus() == Focus::Program;
    let stop = Action::Act(Do::Stop);
    let is_for_it = model.container(name).is_some_and(|it| allowed::is_for(model, it, stop));
    let keys = if !is_for_it {
        // The key is for another container, or for marked ones.
        ""
    } else if in_pane && narrow {
        "C-] c S| kills"
    } else if in_pane {
        "C-] c S| kills now"
    } else {
        "S kills now"
    };
    let mut hints = if keys.is_empty() { Vec::new() } else { parsed(keys, model.glyphs) };
    if let Some(hint) = hints.first_mut().filter(|_| in_pane && !narrow) {
        "C-] c, then S".clone_into(&mut hint.key);
    }
    let what = if narrow && in_pane {
        format!(" halts, {left} left")
    } else if narrow {
        format!(" halts; kill in {left}")
    } else {
        format!(" was asked to halt; what is left is killed in {left}")
    };
    // The name gives way: the key must be visible.
    let taken = hints.iter().map(Hint::width).sum::<usize>() + width(&what) + 6;
    let room = usize::from(model.size.0).saturating_sub(taken);
    let text = cut(name.as_str(), room, model.glyphs.ellipsis).into_owned() + &what;
    Some(StatusLine { sign: Sign::Halting, hints, ..line(Tone::Plain, text, false) })
}
