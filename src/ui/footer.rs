//! The hints of the last row, their places, and the effect of a click on each. Paints nothing.

use super::focus::Focus;
use super::hints::{Click, GAP, Hint, INDENT, fitting, of, parsed, program, taken};
use super::marks::MarkLine;
use super::model::Model;
use super::model::detail::Tab;
use super::model::overlay::{NameFor, Overlay};
use crate::command::Action;
use crate::command::action::{Anywhere, Do, InDetail, InList};
use crate::engine::state::State;
use crate::widgets::look::Glyphs;

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

/// Returns the effect of a click `at` this many cells from the left of the last row.
pub fn clicked(model: &Model, at: usize) -> Option<Click> {
    let mut x = INDENT;
    for hint in hints(model, model.glyphs) {
        let end = x + hint.width();
        if (x..end).contains(&at) {
            return Some(hint.click).filter(|_| hint.alive);
        }
        x = end + GAP;
    }
    None
}

/// Returns the hints of the last row, from left to right, [`GAP`] cells apart.
pub fn hints(model: &Model, glyphs: &Glyphs) -> Vec<Hint> {
    let room = usize::from(model.size.0).saturating_sub(INDENT);
    if let Some(words) = owner(model, glyphs) {
        return fitting(parsed(&words, glyphs), room);
    }
    // The hints for quitting and for help are never dropped.
    let tail = [Action::Shell(Anywhere::Back), Action::Shell(Anywhere::Help)];
    let list = &model.list;
    // The line of the marks has these already.
    let above: Vec<Action> = model.mark_line().iter().flat_map(MarkLine::actions).collect();
    // The line of the marks says what Esc does.
    let goes_back = model.detail.is_some() || list.marks.is_empty() && !list.filter_text.is_empty();
    let tail = if goes_back { &tail[..] } else { &tail[1..] };
    let all = actions(model).into_iter().filter(|it| !above.contains(it));
    let all: Vec<Hint> = all.map(|it| of(model, it, glyphs)).collect();
    let tail: Vec<Hint> = tail.iter().map(|it| of(model, *it, glyphs)).collect();
    let reserved = taken(&tail);
    // If space is short, it is for the keys that do something.
    let short = taken(&all) + reserved > room + GAP;
    let mut shown: Vec<Hint> = Vec::with_capacity(all.len() + tail.len());
    for hint in all.into_iter().filter(|it| !short || it.alive) {
        // The last gap need not fit, since nothing follows it.
        if taken(&shown) + hint.width() + GAP + reserved > room + GAP {
            break;
        }
        shown.push(hint);
    }
    shown.extend(tail);
    shown
}

/// The hints of a part that has the keyboard instead of the key map.
fn owner(model: &Model, glyphs: &Glyphs) -> Option<String> {
    let Glyphs { enter, updown, leftright, .. } = glyphs;
    if let Some(overlay) = &model.overlay {
        return Some(match overlay {
            Overlay::Find(_) => format!("{enter} run  {updown} choose  Esc back"),
            Overlay::Confirm { .. } | Overlay::Ask { .. } => {
                format!("{leftright} choose  {enter} answer  y yes  Esc no")
            }
            Overlay::TypeName { .. } => format!("{enter} destroy, once typed  Esc keep"),
            Overlay::Exec { .. } => format!("{enter} run  Esc back"),
            Overlay::NewName { naming: NameFor::Clone, .. } => format!("{enter} clone  Esc back"),
            Overlay::NewName { naming: NameFor::Rename, .. } => format!("{enter} rename  Esc back"),
            Overlay::Trash { found: Some(Ok(found)), .. } if found.is_empty() => {
                "Esc back".to_owned()
            }
            Overlay::Trash { .. } => {
                format!("{enter} bring back  D remove  E empty  {updown} choose  Esc back")
            }
            Overlay::Snapshots { at: 0, .. } => {
                format!("{enter} take one  {updown} choose  Esc back")
            }
            Overlay::Snapshots { .. } => {
                format!("{enter} restore  D delete  {updown} choose  Esc back")
            }
            Overlay::Signal { .. } => format!("{enter} send  {updown} choose  Esc back"),
            Overlay::Journal { .. } | Overlay::Events { .. } => {
                format!("{updown} move  {enter} full text  y copy  Esc back")
            }
            Overlay::Whole { .. } => format!("{updown} scroll  y copy  Esc back"),
        });
    }
    if !model.typed.is_empty() {
        return Some("Esc back".to_owned());
    }
    if model.creating {
        return Some(format!(
            "{enter} create and start  Tab field  C-s create only  C-y copy command  Esc back"
        ));
    }
    if let Some(pane) = model.pane.as_ref().filter(|_| model.focus() == Focus::Program) {
        return Some(program(model, pane, glyphs));
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
        return Some(format!("{enter} write  {updown} step  Esc keep old value  C-u clear"));
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
        Tab::Processes if !has_processes(model) => Vec::new(),
        Tab::Processes => vec![Action::Detail(InDetail::Signal)],
        Tab::Cgroup if !has_limits(model) => Vec::new(),
        // A configuration does not have more files to show.
        Tab::Cgroup if !runs(model) => vec![Action::Detail(InDetail::Edit)],
        Tab::Cgroup => vec![Action::Detail(InDetail::Edit), Action::Detail(InDetail::AllFiles)],
        Tab::Log | Tab::Events | Tab::Config | Tab::Network | Tab::Mounts => {
            if screen.search.is_some() {
                vec![
                    Action::Detail(InDetail::NextFound),
                    Action::Detail(InDetail::PreviousFound),
                    Action::Detail(InDetail::Search),
                ]
            } else if screen.focus == Tab::Events {
                vec![Action::Detail(InDetail::Whole), Action::Detail(InDetail::Search)]
            } else if screen.focus == Tab::Log {
                vec![Action::Detail(InDetail::Search), Action::Detail(InDetail::Follow)]
            } else {
                vec![Action::Detail(InDetail::Search)]
            }
        }
        Tab::Overview | Tab::Console => Vec::new(),
    });
    // The limits are open already.
    let opens =
        |it: &&Action| screen.focus != Tab::Cgroup || **it != Action::Detail(InDetail::Limits);
    actions.extend(CONTAINER.iter().filter(opens));
    actions
}

fn has_limits(model: &Model) -> bool {
    model.current().and_then(|it| it.detail.as_ref()).is_some_and(|it| !it.files.is_empty())
}

fn runs(model: &Model) -> bool {
    model.current().is_some_and(|it| it.state != State::Stopped)
}

fn has_processes(model: &Model) -> bool {
    model.current().and_then(|it| it.detail.as_ref()).is_some_and(|it| !it.processes.is_empty())
}
