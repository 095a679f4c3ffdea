//! The last row: the keys that work here and now. Hints that do not fit go from the right.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::command::Action;
use crate::engine::state::State;
use crate::ui::keymap;
use crate::ui::model::Model;
use crate::ui::model::detail::Tab;
use crate::ui::model::overlay::Overlay;
use crate::widgets::look::{Glyphs, Look};
use crate::widgets::pen::{Pen, width};

/// Cells between two hints.
const GAP: usize = 2;

const LIST: &[Action] = &[
    Action::Open,
    Action::Start,
    Action::Stop,
    Action::Freeze,
    Action::Console,
    Action::Limits,
    Action::New,
    Action::Restart,
    Action::Destroy,
    Action::Mark,
    Action::Filter,
    Action::Palette,
];
const EMPTY: &[Action] = &[Action::New, Action::Palette, Action::GoEvents, Action::Quit];
const CONTAINER: &[Action] = &[
    Action::Start,
    Action::Stop,
    Action::Freeze,
    Action::Exec,
    Action::Console,
    Action::Limits,
    Action::NextPane,
    Action::NextContainer,
    Action::Copy,
];

/// Paints the footer.
pub(super) fn render(model: &Model, look: &Look, area: Rect, buf: &mut Buffer) {
    let mut pen = Pen::line(buf, area);
    pen.skip(1);
    if let Some(words) = owner(model, look) {
        hints(&words, look, &mut pen);
        return;
    }
    // The way out and the way to all else are never dropped.
    let tail = [Action::Back, Action::Help];
    let tail = if model.detail.is_some() { &tail[..] } else { &tail[1..] };
    let reserved: usize = tail.iter().map(|it| hint_width(model, *it, look)).sum();
    for action in actions(model) {
        // Nothing follows the last gap, so it need not fit.
        if hint_width(model, action, look) + reserved > pen.left() + GAP {
            break;
        }
        hint(model, action, look, &mut pen);
    }
    for action in tail {
        hint(model, *action, look, &mut pen);
    }
}

/// Paints hints such as `Esc back  C-u clear`, two cells of space apart: the first word of each is
/// a key, two after the key of the pane; one that begins with `=` is words alone.
fn hints(words: &str, look: &Look, pen: &mut Pen<'_>) {
    for hint in words.split("  ") {
        if let Some(words) = hint.strip_prefix('=') {
            pen.clip(words, look.dim, look.glyphs.ellipsis);
        } else {
            let keys = usize::from(hint.starts_with("C-] "));
            let end = hint.match_indices(' ').nth(keys).map_or(hint.len(), |(at, _)| at);
            let (key, rest) = hint.split_at(end);
            pen.clip(key, look.key, look.glyphs.ellipsis);
            pen.clip(rest, look.dim, look.glyphs.ellipsis);
        }
        pen.skip(GAP);
    }
}

/// Whoever owns the keyboard instead of the key map says so itself.
fn owner(model: &Model, look: &Look) -> Option<String> {
    let Glyphs { enter, updown, leftright, .. } = look.glyphs;
    if let Some(overlay) = &model.overlay {
        return Some(match overlay {
            Overlay::Find(_) => format!("{enter} runs it  {updown} choose  Esc back"),
            Overlay::Confirm { .. } => format!("{leftright} choose  {enter} answer  y yes  Esc no"),
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
    if let (Some(pane), Some(_)) = (model.pane.as_ref().filter(|it| it.typing), &model.detail) {
        return Some(match &pane.ended {
            None => "C-] c leave  C-] z full screen  C-] q close  \
                     =other keys go to the container"
                .to_owned(),
            Some(how) => format!("{enter} close  ={} has ended: {how}", pane.what),
        });
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
    // Hinted at where there is need of it alone.
    let again = model.refusal(Action::Again).is_none().then_some(Action::Again);
    let Some(screen) = &model.detail else {
        let list = if model.containers().is_empty() { EMPTY } else { LIST };
        return again.into_iter().chain(list.iter().copied()).collect();
    };
    let mut actions: Vec<Action> = again.into_iter().collect();
    actions.extend(match screen.focus {
        Tab::Processes => vec![Action::Signal],
        Tab::Cgroup => vec![Action::Edit, Action::AllFiles, Action::Undo],
        Tab::Log | Tab::Events | Tab::Config | Tab::Network | Tab::Mounts => {
            if screen.search.is_some() {
                vec![Action::NextFound, Action::PreviousFound, Action::Search]
            } else {
                vec![Action::Search, Action::Follow]
            }
        }
        Tab::Overview | Tab::Console => Vec::new(),
    });
    actions.extend(CONTAINER);
    actions
}

fn hint_width(model: &Model, action: Action, look: &Look) -> usize {
    width(keymap::sign(action.key(), look.glyphs)) + 1 + width(name(model, action)) + GAP
}

fn hint(model: &Model, action: Action, look: &Look, pen: &mut Pen<'_>) {
    let enabled = model.refusal(action).is_none();
    let (key, text) = if enabled {
        (look.key, look.fg)
    } else {
        (look.dim.add_modifier(Modifier::DIM), look.dim.add_modifier(Modifier::DIM))
    };
    pen.put(keymap::sign(action.key(), look.glyphs), key).put(" ", text);
    pen.put(name(model, action), text).skip(GAP);
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only freezing has two names")]
fn name(model: &Model, action: Action) -> &'static str {
    let frozen = || model.targets().iter().all(|it| it.state == State::Frozen);
    match action {
        Action::Freeze if !model.targets().is_empty() && frozen() => "thaw",
        other => other.shortcut().map_or("", |it| it.name),
    }
}
