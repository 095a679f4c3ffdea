//! Keys with what each does now, as the last rows and messages show them. Paints nothing.

use std::borrow::Cow;

use crossterm::event::KeyEvent;

use super::model::{Model, PaneScreen};
use super::{allowed, keymap, texts};
use crate::command::Action;
use crate::command::action::{Anywhere, Do, InDetail};
use crate::engine::sample::Container;
use crate::engine::state::State;
use crate::format;
use crate::ui::effect::Act;
use crate::widgets::look::Glyphs;
use crate::widgets::pen::width;

/// Cells before the first hint.
pub const INDENT: usize = 1;
/// Cells between two hints.
pub const GAP: usize = 2;
/// Words that are cut to fewer cells than this say nothing.
const LEAST_WORDS: usize = 16;

/// A key and what it does, or only words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Empty: only words.
    pub key: String,
    pub words: String,
    /// It can be done now.
    pub alive: bool,
    pub click: Click,
}

/// The effect of a click on a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Click {
    Runs(Action),
    /// The same as these keys; none: nothing.
    Presses(Vec<KeyEvent>),
}

impl Hint {
    /// Returns how many cells it takes, without the gap after it.
    pub fn width(&self) -> usize {
        width(&self.key) + width(&self.words)
    }

    /// Returns whether it is from the key map, as most hints are.
    pub const fn is_usual(&self) -> bool {
        matches!(self.click, Click::Runs(_))
    }
}

/// Returns those of `hints` that fit into `room` cells. None is cut, and the way back, which Esc
/// names, is never left out; a last one of words may be cut, since it says what no key does.
pub fn fitting(hints: Vec<Hint>, room: usize) -> Vec<Hint> {
    if taken(&hints) <= room + GAP {
        return hints;
    }
    let stays = |it: &Hint| it.key == "Esc";
    let mut left = (room + GAP).saturating_sub(taken(hints.iter().filter(|it| stays(it))));
    let last = hints.len().saturating_sub(1);
    let fits = |(at, hint): &(usize, Hint)| {
        let wide = if stays(hint) { 0 } else { hint.width() + GAP };
        let cut = *at == last && hint.key.is_empty() && left >= LEAST_WORDS;
        let fits = wide <= left;
        if fits {
            left -= wide;
        }
        fits || cut
    };
    hints.into_iter().enumerate().filter(fits).map(|(_, it)| it).collect()
}

/// Returns how many cells `hints` take, each with the gap after it.
pub fn taken<'a, I: IntoIterator<Item = &'a Hint>>(hints: I) -> usize {
    hints.into_iter().map(|it| it.width() + GAP).sum()
}

/// Returns the hint for `action`: its key, and what that does now.
pub fn of(model: &Model, action: Action, glyphs: &Glyphs) -> Hint {
    let name = name(model, action);
    let words = match marked(model, action) {
        Some(0) | None => format!(" {name}"),
        Some(many) => format!(" {name} {many}"),
    };
    Hint {
        key: keymap::sign(action.key(), glyphs).to_owned(),
        words,
        alive: model.refusal(action).is_none() && !is_over(model, action),
        click: Click::Runs(action),
    }
}

/// Counts the marked containers that the key of `action` changes; none: it does not act on marks.
pub fn marked(model: &Model, action: Action) -> Option<usize> {
    if model.detail.is_some() || model.list.marks.is_empty() || !allowed::is_for_all_marked(action)
    {
        return None;
    }
    let changes = |it: &&&Container| match action {
        Action::Act(act) => allowed::act_for(model, it, act).is_some(),
        Action::Move(_) | Action::List(_) | Action::Detail(_) | Action::Shell(_) => true,
    };
    let possible = |it: &&&Container| allowed::reason(it, action).is_none();
    Some(model.targets().iter().filter(possible).filter(changes).count())
}

/// Returns whether a search has no match in the direction of `action`.
fn is_over(model: &Model, action: Action) -> bool {
    let Action::Detail(way @ (InDetail::NextFound | InDetail::PreviousFound)) = action else {
        return false;
    };
    let at = model.detail.as_ref().and_then(|it| it.search.as_ref()?.at);
    let found = texts::found(model);
    let end = if way == InDetail::NextFound { found.last() } else { found.first() };
    end.is_none() || end.copied() == at
}

/// Reads hints such as `Esc back  C-u clear`, two cells of space apart: the part before a bar, or
/// else the first word, is the keys; one that begins with `=` is only words.
pub fn parsed(words: &str, glyphs: &Glyphs) -> Vec<Hint> {
    let one = |hint: &str| {
        if let Some(words) = hint.strip_prefix('=') {
            let (key, words) = (String::new(), words.to_owned());
            return Hint { key, words, alive: true, click: Click::Presses(Vec::new()) };
        }
        let first_word = || hint.split_at(hint.find(' ').unwrap_or(hint.len()));
        let (key, rest) = hint.split_once('|').unwrap_or_else(first_word);
        let named = |it: &str| keymap::key(if it == glyphs.enter { "Enter" } else { it });
        let keys: Option<Vec<KeyEvent>> = key.split(' ').map(named).collect();
        let click = Click::Presses(keys.unwrap_or_default());
        Hint { key: key.to_owned(), words: rest.to_owned(), alive: true, click }
    };
    words.split("  ").map(one).collect()
}

/// Shows which keys of the pane are wharf's, and where all others go.
pub fn program(model: &Model, pane: &PaneScreen, glyphs: &Glyphs) -> String {
    let enter = glyphs.enter;
    let size = if pane.full { "smaller" } else { "full screen" };
    if let Some(how) = &pane.ended {
        if pane.escaped {
            return "=C-] then  c close  q close".to_owned();
        }
        return format!("{enter} close  =ended: {how}");
    }
    if pane.escaped {
        return format!("=C-] then  c leave  z {size}  q close  C-]| send C-]");
    }
    if model.container(&pane.name).is_some_and(|it| it.state == State::Frozen) {
        let words = "=frozen, keys wait  C-] c f| thaw it  C-] c| leave  C-] q| close";
        return words.to_owned();
    }
    format!("C-] c| leave  C-] z| {size}  C-] q| close  =other keys go to the container")
}

#[expect(clippy::wildcard_enum_match_arm, reason = "few actions have two names")]
/// Returns what the key of `action` does now, in one or two words.
pub fn name(model: &Model, action: Action) -> Cow<'static, str> {
    let does = |it: &Container, action| allowed::act_for(model, it, action);
    let thaws = || model.targets().iter().any(|it| does(it, Do::Freeze) == Some(Act::Thaw));
    match action {
        Action::Act(Do::Freeze) if thaws() => "thaw".into(),
        Action::Detail(InDetail::AllFiles)
            if model.detail.as_ref().is_some_and(|it| it.cgroup.all) =>
        {
            "fewer files".into()
        }
        Action::Act(Do::Stop) => match model.halting() {
            Some((name, left)) if matches!(model.targets()[..], [it] if it.name == *name) => {
                format!("kill ({})", format::duration_in_text(left)).into()
            }
            Some(_) | None => "stop".into(),
        },
        Action::Shell(Anywhere::Back) if model.detail.is_none() => "clear filter".into(),
        other => other.shortcut().map_or("", |it| it.name).into(),
    }
}
