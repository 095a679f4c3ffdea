//! The last row: the keys that work here and now. Hints that do not fit go from the right.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use crate::command::Action;
use crate::engine::state::State;
use crate::ui::keymap;
use crate::ui::model::Model;
use crate::ui::model::detail::Tab;
use crate::widgets::look::Look;
use crate::widgets::pen::{Pen, width};

const LIST: &[Action] = &[
    Action::Open,
    Action::Start,
    Action::Stop,
    Action::Freeze,
    Action::Restart,
    Action::Console,
    Action::Limits,
    Action::New,
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
    if let Some(words) = owner(model) {
        pen.clip(words, look.dim, look.glyphs.ellipsis);
        return;
    }
    // The way out and the way to all else are never dropped.
    let tail = [Action::Back, Action::Help];
    let tail = if model.detail.is_some() { &tail[..] } else { &tail[1..] };
    let reserved: usize = tail.iter().map(|it| hint_width(model, *it)).sum();
    for action in actions(model) {
        if hint_width(model, action) + reserved > pen.left() {
            break;
        }
        hint(model, action, look, &mut pen);
    }
    for action in tail {
        hint(model, *action, look, &mut pen);
    }
}

/// Whoever owns the keyboard instead of the key map says so itself.
fn owner(model: &Model) -> Option<&'static str> {
    if model.overlay.is_some() {
        return Some("↵ does it  ↑↓ choose  Esc back");
    }
    if model.creating {
        return Some(
            "↵ create and start  Tab field  ←→ choose  C-s create only  Esc back (draft kept)",
        );
    }
    if model.pane.as_ref().is_some_and(|it| it.typing) && model.detail.is_some() {
        return Some(
            "keys go to the container   C-] c leaves the pane  C-] z full screen  C-] q closes",
        );
    }
    if model.list.filtering && model.detail.is_none() {
        return Some(
            "text  ~regex  !not  state:frozen  mem:>80%  cpu:>50  pids:>9   ↵ keep  Esc clear",
        );
    }
    let editing = model.detail.as_ref().is_some_and(|it| it.cgroup.edit.is_some());
    editing.then_some("↵ write  Esc keep the old value  C-u clear")
}

fn actions(model: &Model) -> Vec<Action> {
    let Some(screen) = &model.detail else {
        return if model.containers().is_empty() { EMPTY.to_vec() } else { LIST.to_vec() };
    };
    let mut actions: Vec<Action> = match screen.focus {
        Tab::Processes => vec![Action::Signal, Action::Fold],
        Tab::Cgroup => vec![Action::Edit, Action::AllFiles, Action::Undo],
        Tab::Log | Tab::Events | Tab::Config | Tab::Network | Tab::Mounts => vec![Action::Follow],
        Tab::Overview | Tab::Console => Vec::new(),
    };
    actions.extend(CONTAINER);
    actions
}

fn hint_width(model: &Model, action: Action) -> usize {
    width(keymap::sign(action.key())) + 1 + width(name(model, action)) + 2
}

fn hint(model: &Model, action: Action, look: &Look, pen: &mut Pen<'_>) {
    let enabled = model.refusal(action).is_none();
    let (key, text) = if enabled {
        (look.key, look.fg)
    } else {
        (look.dim.add_modifier(Modifier::DIM), look.dim.add_modifier(Modifier::DIM))
    };
    pen.put(keymap::sign(action.key()), key).put(" ", text);
    pen.put(name(model, action), text).skip(2);
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only freezing has two names")]
fn name(model: &Model, action: Action) -> &'static str {
    let frozen = || model.targets().iter().all(|it| it.state == State::Frozen);
    match action {
        Action::Freeze if !model.targets().is_empty() && frozen() => "thaw",
        other => other.command().map_or("", |it| it.name),
    }
}
