//! The last row: the keys that work here and now. Hints that do not fit are dropped from the right.

use std::borrow::Cow;

use super::canvas::Canvas;
use super::words;
use crate::command::Action;
use crate::command::action::{Anywhere, Do, InDetail, InList};
use crate::engine::state::State;
use crate::ui::focus::Focus;
use crate::ui::keymap;
use crate::ui::model::detail::Tab;
use crate::ui::model::overlay::Overlay;
use crate::ui::model::{Model, PaneScreen};
use crate::widgets::look::{Glyphs, Look};
use crate::widgets::pen::{Pen, width};

/// Cells between two hints.
const GAP: usize = 2;

const LIST: &[Action] = &[
    Action::Detail(InDetail::Open),
    Action::Act(Do::Start),
    Action::Act(Do::Stop),
    Action::Act(Do::Freeze),
    Action::Detail(InDetail::Console),
    Action::Detail(InDetail::Limits),
    Action::Shell(Anywhere::New),
    Action::Act(Do::Restart),
    Action::Act(Do::Destroy),
    Action::List(InList::Mark),
    Action::List(InList::Filter),
    Action::Shell(Anywhere::Palette),
];
const EMPTY: &[Action] = &[
    Action::Shell(Anywhere::New),
    Action::Shell(Anywhere::Palette),
    Action::Shell(Anywhere::GoEvents),
    Action::Shell(Anywhere::Quit),
];
const CONTAINER: &[Action] = &[
    Action::Act(Do::Start),
    Action::Act(Do::Stop),
    Action::Act(Do::Freeze),
    Action::Detail(InDetail::Exec),
    Action::Detail(InDetail::Console),
    Action::Detail(InDetail::Limits),
    Action::Detail(InDetail::NextPane),
    Action::Detail(InDetail::NextContainer),
    Action::Shell(Anywhere::Copy),
];

/// Paints the footer.
pub(super) fn render(model: &Model, mut canvas: Canvas<'_>) {
    let look = canvas.look;
    let mut pen = canvas.pen();
    pen.skip(1);
    if let Some(words) = owner(model, look) {
        hints(&words, look, &mut pen);
        return;
    }
    // The hints for quitting and for help are never dropped.
    let tail = [Action::Shell(Anywhere::Back), Action::Shell(Anywhere::Help)];
    let list = &model.list;
    // The line of the marks says what Esc does.
    let goes_back = model.detail.is_some() || list.marks.is_empty() && !list.filter_text.is_empty();
    let tail = if goes_back { &tail[..] } else { &tail[1..] };
    let reserved: usize = tail.iter().map(|it| hint_width(model, *it, look)).sum();
    let all = actions(model);
    let wide: usize = all.iter().map(|it| hint_width(model, *it, look)).sum();
    // If space is short, it is for the keys that do something.
    let short = wide + reserved > pen.left() + GAP;
    for action in all.into_iter().filter(|it| !short || model.refusal(*it).is_none()) {
        // The last gap need not fit, since nothing follows it.
        if hint_width(model, action, look) + reserved > pen.left() + GAP {
            break;
        }
        hint(model, action, look, &mut pen);
    }
    for action in tail {
        hint(model, *action, look, &mut pen);
    }
}

/// Paints hints such as `Esc back  C-u clear`, two cells of space apart: the part before a bar, or
/// else the first word, is the keys; one that begins with `=` is only words.
pub(super) fn hints(words: &str, look: &Look, pen: &mut Pen<'_>) {
    for hint in words.split("  ") {
        if let Some(words) = hint.strip_prefix('=') {
            pen.clip(words, look.dim, look.glyphs.ellipsis);
        } else {
            let first_word = || hint.split_at(hint.find(' ').unwrap_or(hint.len()));
            let (key, rest) = hint.split_once('|').unwrap_or_else(first_word);
            pen.clip(key, look.key, look.glyphs.ellipsis);
            pen.clip(rest, look.dim, look.glyphs.ellipsis);
        }
        pen.skip(GAP);
    }
}

/// Shows which keys of the pane are wharf's, and where all others go.
pub(super) fn program(model: &Model, pane: &PaneScreen, look: &Look) -> String {
    let enter = look.glyphs.enter;
    let size = if pane.full { "smaller" } else { "full screen" };
    if let Some(how) = &pane.ended {
        if pane.escaped {
            return "=C-] then  c close  q close".to_owned();
        }
        return format!("{enter} close  ={} has ended: {how}", pane.what);
    }
    if pane.escaped {
        return format!("=C-] then  c leave  z {size}  q close  C-]| send C-]");
    }
    if words::is_frozen(model, &pane.name) {
        let words = "=frozen, keys wait  C-] c f| thaws it  C-] c| leave  C-] q| close";
        return words.to_owned();
    }
    format!("C-] c| leave  C-] z| {size}  C-] q| close  =other keys go to the container")
}

/// The hints of a part that has the keyboard instead of the key map.
fn owner(model: &Model, look: &Look) -> Option<String> {
    let Glyphs { enter, updown, leftright, .. } = look.glyphs;
    if let Some(overlay) = &model.overlay {
        return Some(match overlay {
            Overlay::Find(_) => format!("{enter} runs it  {updown} choose  Esc back"),
            Overlay::Confirm { .. } | Overlay::Ask { .. } => {
                format!("{leftright} choose  {enter} answer  y yes  Esc no")
            }
            Overlay::TypeName { .. } => format!("{enter} destroy, once typed  Esc keep"),
            Overlay::Exec { .. } => format!("{enter} run  Esc back"),
            Overlay::Signal { .. } => format!("{enter} send  {updown} choose  Esc back"),
            Overlay::Journal { .. } | Overlay::Events { .. } => {
                format!("{updown} move  {enter} whole  y copy  Esc back")
            }
            Overlay::Whole { .. } => format!("{updown} scroll  y copy  Esc back"),
        });
    }
    if model.creating {
        return Some(format!(
            "{enter} create and start  Tab field  C-s create only  C-y copy command  Esc back"
        ));
    }
    if let Some(pane) = model.pane.as_ref().filter(|_| model.focus() == Focus::Program) {
        return Some(program(model, pane, look));
    }
    let Some(detail) = &model.detail else {
        return model.list.filtering.then(|| {
            format!(
                "=text  ~regex  !not  state:frozen  mem:>80%  cpu:>50  pids:>9  {enter} keep  \
                 Esc clear"
            )
        });
    };
    if detail.cgroup.edit.is_some() {
        return Some(format!("{enter} write  {updown} step  Esc keep the old value  C-u clear"));
    }
    let searching = detail.search.as_ref().is_some_and(|it| it.typing);
    searching.then(|| format!("=text or a regular expression  {enter} keep  Esc clear"))
}

fn actions(model: &Model) -> Vec<Action> {
    // Hinted at only where it is needed.
    let again = model.refusal(Action::Act(Do::Again)).is_none().then_some(Action::Act(Do::Again));
    let Some(screen) = &model.detail else {
        let list = if model.containers().is_empty() { EMPTY } else { LIST };
        return again.into_iter().chain(list.iter().copied()).collect();
    };
    let mut actions: Vec<Action> = again.into_iter().collect();
    actions.extend(match screen.focus {
        Tab::Processes => vec![Action::Detail(InDetail::Signal)],
        Tab::Cgroup => vec![Action::Detail(InDetail::Edit), Action::Detail(InDetail::AllFiles)],
        Tab::Log | Tab::Events | Tab::Config | Tab::Network | Tab::Mounts => {
            if screen.search.is_some() {
                vec![
                    Action::Detail(InDetail::NextFound),
                    Action::Detail(InDetail::PreviousFound),
                    Action::Detail(InDetail::Search),
                ]
            } else {
                vec![Action::Detail(InDetail::Search), Action::Detail(InDetail::Follow)]
            }
        }
        Tab::Overview | Tab::Console => Vec::new(),
    });
    actions.extend(CONTAINER);
    actions
}

fn hint_width(model: &Model, action: Action, look: &Look) -> usize {
    width(keymap::sign(action.key(), look.glyphs)) + 1 + width(&name(model, action)) + GAP
}

fn hint(model: &Model, action: Action, look: &Look, pen: &mut Pen<'_>) {
    let enabled = model.refusal(action).is_none();
    let (key, text) = if enabled { (look.key, look.fg) } else { (look.dim, look.dim) };
    pen.put(keymap::sign(action.key(), look.glyphs), key).put(" ", text);
    pen.put(&name(model, action), text).skip(GAP);
}

#[expect(clippy::wildcard_enum_match_arm, reason = "few actions have two names")]
fn name(model: &Model, action: Action) -> Cow<'static, str> {
    let frozen = || model.targets().iter().all(|it| it.state == State::Frozen);
    match action {
        Action::Act(Do::Freeze) if !model.targets().is_empty() && frozen() => "thaw".into(),
        Action::Act(Do::Stop) => match model.halting() {
            Some((name, left)) if model.current_name() == Some(name) => {
                format!("kill ({} s)", left.as_secs()).into()
            }
            Some(_) | None => "stop".into(),
        },
        Action::Shell(Anywhere::Back) if model.detail.is_none() => "clear filter".into(),
        other => other.shortcut().map_or("", |it| it.name).into(),
    }
}
