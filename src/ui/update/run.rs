//! Carries out an action, or reports why that is not possible. Each kind of action has one
//! exhaustive match.

use super::{act, cgroup, create, detail, keep, list, overlay, pane, search, whole};
use crate::command::Action;
use crate::command::action::{Anywhere, Do, InDetail};
use crate::ui::effect::{Act, Effect};
use crate::ui::model::overlay::{Ask, NameFor, Overlay};
use crate::ui::model::{Model, Tone};
use crate::widgets::field::Input;

/// Carries out `action`, or reports why that is not possible.
pub(super) fn run(model: &mut Model, action: Action) -> Vec<Effect> {
    if let Some(reason) = model.refusal(action) {
        let name = action.shortcut().map_or("this", |it| it.name);
        model.refuse(format!("{name}: {reason}"));
        return Vec::new();
    }
    match action {
        Action::Act(Do::Clone) => keep::ask_name(model, NameFor::Clone),
        Action::Act(Do::Rename) => keep::ask_name(model, NameFor::Rename),
        Action::Act(Do::Snapshot) => keep::open_snapshots(model),
        Action::Act(act) => act::begin(model, act),
        Action::Move(movement) => {
            if model.detail.is_some() {
                detail::travel(model, movement);
            } else {
                list::travel(model, movement);
            }
            Vec::new()
        }
        Action::List(action) => {
            list::act(model, action);
            Vec::new()
        }
        Action::Detail(action) => in_detail(model, action),
        Action::Shell(action) => anywhere(model, action),
    }
}

fn in_detail(model: &mut Model, action: InDetail) -> Vec<Effect> {
    match action {
        InDetail::Console => return pane::open_console(model),
        InDetail::Exec => overlay::ask_command(model),
        InDetail::Signal => overlay::ask_signal(model),
        InDetail::SortProcesses(order) => model.order = order,
        InDetail::Search => search::open(model),
        InDetail::NextFound => search::next(model),
        InDetail::PreviousFound => search::previous(model),
        InDetail::Edit => return cgroup::begin(model),
        InDetail::AllFiles => cgroup::show_all(model),
        InDetail::Fold => detail::fold(model),
        InDetail::Unfold => detail::unfold(model),
        InDetail::Whole => whole::open_event(model),
        InDetail::Follow => detail::follow(model),
        InDetail::Open => return detail::open_overview(model),
        InDetail::Limits => return detail::open_limits(model),
        InDetail::Log => return detail::open_log(model),
        InDetail::Tab(number) => return detail::open_numbered(model, number),
        InDetail::NextPane => detail::next_pane(model),
        InDetail::PreviousPane => detail::previous_pane(model),
        InDetail::Zoom => detail::zoom(model),
        InDetail::NextContainer => return detail::next_container(model),
        InDetail::PreviousContainer => return detail::previous_container(model),
    }
    Vec::new()
}

fn anywhere(model: &mut Model, action: Anywhere) -> Vec<Effect> {
    match action {
        Anywhere::New => return create::open(model),
        Anywhere::Cancel => return create::cancel(model),
        Anywhere::Copy => return copy(model),
        Anywhere::Hold => model.held = !model.held,
        Anywhere::Mouse => return turn_mouse(model),
        Anywhere::Redraw => return vec![Effect::Redraw],
        Anywhere::Suspend => return vec![Effect::Suspend],
        Anywhere::Palette => overlay::open_palette(model),
        Anywhere::Help => overlay::open_help(model),
        Anywhere::Journal => overlay::open_journal(model),
        Anywhere::WholeMessage => whole::open_message(model),
        Anywhere::GoEvents => overlay::open_events(model),
        Anywhere::GoTrash => return keep::open_trash(model),
        Anywhere::GoContainers => model.detail = None,
        Anywhere::Back => back(model),
        Anywhere::Quit => return quit(model),
    }
    Vec::new()
}

/// Gives the mouse to the terminal, or takes it back, and reports the effect.
fn turn_mouse(model: &mut Model) -> Vec<Effect> {
    model.mouse = !model.mouse;
    let said = if model.mouse {
        "wharf has the mouse; m gives it back"
    } else {
        "the terminal has the mouse, to select text; m takes it back"
    };
    model.say(Tone::Plain, said);
    vec![Effect::CaptureMouse(model.mouse)]
}

/// Quits wharf, after a question if a command in the pane would end, or a creation.
fn quit(model: &mut Model) -> Vec<Effect> {
    let command = pane::running_command(model).map(|it| format!("{it} and ends"));
    let created = || {
        let (name, job) = model.creation()?;
        Some(match job.act {
            Act::Create { .. } => format!("{name} is being created, which is cancelled"),
            _ => format!("{name}: {} is in progress, and is cancelled", job.act.word()),
        })
    };
    let Some(what) = command.or_else(created) else { return vec![Effect::Quit] };
    let question = format!("{what} when wharf quits. Quit?");
    model.overlay = Some(Overlay::Ask { question, ask: Ask::Quit, yes: false });
    Vec::new()
}

/// Goes back one level: search, zoom, the tab, the open container; on the list the filter, then the
/// marks, then the notice. Never quits wharf.
fn back(model: &mut Model) {
    if let Some(detail) = &mut model.detail {
        if detail.search.is_some() {
            detail.search = None;
        } else if detail.zoom {
            detail.zoom = false;
        } else if detail.tab != detail.opened_at {
            detail.go(detail.opened_at);
        } else {
            model.detail = None;
        }
    } else if !model.list.filter_text.is_empty() {
        model.list.filter_text = Input::default();
        list::refilter(model);
    } else if !model.list.marks.is_empty() {
        model.list.marks.clear();
    } else {
        model.notice = None;
    }
}

fn copy(model: &mut Model) -> Vec<Effect> {
    let text = detail::under_cursor(model)
        .or_else(|| model.current_name().map(|it| it.as_str().to_owned()));
    let Some(text) = text else { return Vec::new() };
    let first = text.lines().next().unwrap_or_default();
    model.say(Tone::Good, format!("copied {first}"));
    vec![Effect::Copy(text)]
}
