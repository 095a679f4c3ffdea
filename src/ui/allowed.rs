//! Why an action is not possible on a container in its state, in words with advice. The verb's row
//! of the table decides; this only words it. Actions that this process may not do at all are not
//! offered.

use crate::command::action::{Anywhere, Do, InDetail};
use crate::command::{self, Action, Refusal, Verb};
use crate::engine::sample::{Ability, Container};
use crate::engine::state::State;
use crate::ui::Rights;
use crate::ui::effect::Act;
use crate::ui::model::{Job, Model, Way};

impl Model {
    /// Returns why `action` is not possible now; none: it is.
    pub fn refusal(&self, action: Action) -> Option<String> {
        if let Some(barred) = barred(self, action) {
            return Some(barred);
        }
        if needs_container(action) && self.current().is_none() {
            let filtered = !self.list.filter_text.is_empty();
            let words = match &self.sample {
                None => "the containers have not been read yet",
                Some(_) if filtered => "nothing matches the filter",
                Some(_) if self.refusal(Action::Shell(Anywhere::New)).is_some() => {
                    "there are no containers"
                }
                Some(_) => "n creates a container",
            };
            return Some(words.to_owned());
        }
        for (needs, there_is_none, words) in [
            (Action::Act(Do::Undo), self.undo.is_empty(), "nothing to undo"),
            (Action::Act(Do::Redo), self.redo.is_empty(), "nothing to redo"),
            (Action::Act(Do::Keep), self.changed.is_none(), "no limit has been changed yet"),
        ] {
            if action == needs && there_is_none {
                return Some(words.to_owned());
            }
        }
        if action == Action::Shell(Anywhere::Cancel) && self.creation().is_none() {
            return Some("nothing is being created".to_owned());
        }
        let all = is_for_all_marked(action);
        let targets = if all { self.targets() } else { self.current().into_iter().collect() };
        let mut reasons = targets.iter().map(|it| reason(it, action));
        // An action on several containers is refused only if it is possible on none of them.
        if reasons.clone().any(|it| it.is_none()) { None } else { reasons.next().flatten() }
    }
}

/// Returns whether the key of `action` applies to `container` now, and to nothing else.
pub fn is_for(model: &Model, container: &Container, action: Action) -> bool {
    let only = |all: &[&Container]| matches!(all, [it] if it.name == container.name);
    if is_for_all_marked(action) {
        only(&model.targets())
    } else {
        model.current_name() == Some(&container.name)
    }
}

/// Returns whether `action` applies to all marked containers; else it is about the one under the
/// cursor, whatever is marked.
pub const fn is_for_all_marked(action: Action) -> bool {
    matches!(
        action,
        Action::Act(Do::Start | Do::Stop | Do::Freeze | Do::Restart | Do::Destroy | Do::Again)
            | Action::Detail(InDetail::Limits)
    )
}

/// Returns whether `action` applies to a container, and means nothing without one.
const fn needs_container(action: Action) -> bool {
    match action {
        Action::Act(
            Do::Start
            | Do::Stop
            | Do::Freeze
            | Do::Restart
            | Do::Destroy
            | Do::Clone
            | Do::Rename
            | Do::Snapshot
            | Do::Again,
        )
        | Action::Detail(
            InDetail::Open
            | InDetail::Limits
            | InDetail::Log
            | InDetail::Console
            | InDetail::Exec
            | InDetail::Signal,
        ) => true,
        Action::Act(Do::Undo | Do::Redo | Do::Keep)
        | Action::Detail(
            InDetail::Tab(_)
            | InDetail::NextPane
            | InDetail::PreviousPane
            | InDetail::Zoom
            | InDetail::NextContainer
            | InDetail::PreviousContainer
            | InDetail::SortProcesses(_)
            | InDetail::Fold
            | InDetail::Unfold
            | InDetail::Edit
            | InDetail::AllFiles
            | InDetail::Whole
            | InDetail::Follow
            | InDetail::Search
            | InDetail::NextFound
            | InDetail::PreviousFound,
        )
        | Action::Move(_)
        | Action::List(_)
        | Action::Shell(_) => false,
    }
}

/// Returns why `action` is not possible on any container here; none: it is.
pub fn barred(model: &Model, action: Action) -> Option<String> {
    let configures = || {
        let of = if is_for_all_marked(action) {
            model.targets()
        } else {
            model.current().into_iter().collect()
        };
        of.iter().any(|it| configures(action, it.state))
    };
    let verb = if action == Action::Act(Do::Keep) || configures() {
        Verb::KeepLimit
    } else if let Action::Act(way @ (Do::Undo | Do::Redo)) = action {
        let way = if way == Do::Undo { Way::Back } else { Way::Again };
        model.steps(way).last().map_or(Verb::SetCgroup, |it| it.act.verb())
    } else {
        action.verb()?
    };
    barred_verb(model, verb)
}

/// Returns why this process may not do `verb` here at all; none: it may.
pub fn barred_verb(model: &Model, verb: Verb) -> Option<String> {
    if model.rights == Rights::ReadOnly {
        return changes(verb).then(|| "this screen is read-only (--read-only)".to_owned());
    }
    let lacks = &model.sample.as_ref()?.host.lacks;
    let lack = lacks.iter().find(|it| needs(verb).contains(&it.of));
    lack.map(|it| it.why.clone())
}

/// Returns why `action` is not possible on `container` here and in its state; none: it is.
pub fn refused(model: &Model, container: &Container, action: Action) -> Option<String> {
    barred(model, action).or_else(|| reason(container, action))
}

/// Returns whether the verb changes anything; input typed into a container may, too.
const fn changes(verb: Verb) -> bool {
    needs_and_changes(verb).1
}

const fn needs(verb: Verb) -> &'static [Ability] {
    needs_and_changes(verb).0
}

const fn needs_and_changes(verb: Verb) -> (&'static [Ability], bool) {
    use Ability as A;
    match verb {
        Verb::List
        | Verb::Processes
        | Verb::Info
        | Verb::Monitor
        | Verb::Wait
        | Verb::CheckConfig
        | Verb::ReadConfig
        | Verb::Autostart
        | Verb::Configure
        | Verb::LinkNames
        | Verb::Complete
        | Verb::WriteManual
        | Verb::Top
        | Verb::Look
        | Verb::ReadConsole
        | Verb::ReadCgroup => (&[], false),
        Verb::Create
        | Verb::Clone
        | Verb::Rename
        | Verb::Snapshot
        | Verb::Destroy
        | Verb::RestoreTrashed
        | Verb::EmptyTrash
        | Verb::KeepLimit => (&[A::Store], true),
        Verb::Start | Verb::Execute | Verb::Checkpoint | Verb::Restore => {
            (&[A::Enter, A::Groups], true)
        }
        Verb::Restart => (&[A::Enter, A::Groups, A::Others], true),
        Verb::Attach | Verb::AddDevice | Verb::RemoveDevice => (&[A::Enter], true),
        Verb::Stop | Verb::Signal | Verb::Console => (&[A::Others], true),
        Verb::Freeze | Verb::Unfreeze | Verb::EditCgroup | Verb::SetCgroup => {
            (&[A::Groups, A::Limits], true)
        }
    }
}

/// Returns why `action` is not possible on `container` in its state; none: it is.
pub fn reason(container: &Container, action: Action) -> Option<String> {
    let (name, state) = (&container.name, container.state);
    let command = action.verb().and_then(command::of)?;
    if configures(action, state) {
        let unknown = || format!("{name} has no configuration to change, and is not running");
        return (!container.defined).then(unknown);
    }
    if !container.defined && state == State::Stopped {
        let undefined = command.undefined.map(|why| format!("{name} {why}"));
        if undefined.is_some() {
            return undefined;
        }
    }
    let Err(Refusal { why, first }) = command.allowed(state) else {
        let nothing_lost = action == Action::Act(Do::Again) && container.lost_limits.is_empty();
        return nothing_lost.then(|| format!("{name} has all the limits that were set"));
    };
    if let Some(at) = container.restarts_at {
        let waits = || {
            let at = crate::format::clock(at);
            format!("{name} waits until {at} to restart: S stops it, r restarts it now")
        };
        return (action != Action::Act(Do::Restart)).then(waits);
    }
    let advice = match first {
        Some(Verb::Start) => ": start it first (s)",
        Some(Verb::Stop) => ": stop it first (S)",
        Some(Verb::Unfreeze) => ": thaw it first (f)",
        _ => "",
    };
    Some(format!("{name} {why}{advice}"))
}

/// Returns what `action` does to `container`, one of those that it applies to; none: nothing.
pub fn act_for(model: &Model, container: &Container, action: Do) -> Option<Act> {
    let halts = |it: &Job| matches!(it.act, Act::Stop | Act::Restart);
    match action {
        Do::Start => Some(Act::Start),
        Do::Stop if model.jobs.get(&container.name).is_some_and(halts) => Some(Act::Kill),
        Do::Stop => Some(Act::Stop),
        Do::Restart => Some(Act::Restart),
        // Several are frozen together, or thawed if all of them are frozen.
        Do::Freeze if container.state == State::Frozen => all_frozen(model).then_some(Act::Thaw),
        Do::Freeze => Some(Act::Freeze),
        Do::Destroy => Some(Act::Destroy),
        Do::Again => Some(Act::Again),
        // What they do is asked first.
        Do::Clone | Do::Rename | Do::Snapshot | Do::Undo | Do::Redo | Do::Keep => None,
    }
}

fn all_frozen(model: &Model) -> bool {
    model.targets().iter().all(|it| matches!(it.state, State::Frozen | State::Stopped))
}

/// Returns whether `action` changes the configuration: a stopped container has no cgroup.
fn configures(action: Action, state: State) -> bool {
    matches!(action, Action::Detail(InDetail::Limits | InDetail::Edit)) && state == State::Stopped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::update::tests::container;

    #[test]
    fn the_screen_refuses_what_the_table_refuses_in_its_words() {
        let actions = command::action::SHORTCUTS.iter().map(|it| it.action);
        for action in actions.filter(|it| it.verb().is_some()) {
            for state in State::ALL.into_iter().filter(|it| !configures(action, *it)) {
                let lost_limits = vec!["memory.max".to_owned()];
                let container = Container { lost_limits, ..container("web", state) };
                let told = reason(&container, action);
                let told = told.map(|it| it.split(": ").next().unwrap_or_default().to_owned());
                let command = action.verb().and_then(command::of).unwrap();
                let why = command.allowed(state).err().map(|it| format!("web {}", it.why));
                assert_eq!(told, why, "{action:?} × {state}");
            }
        }
    }

    #[test]
    fn what_waits_to_restart_can_be_stopped_and_restarted_at_once() {
        let at = Some(std::time::UNIX_EPOCH);
        let waits = Container { restarts_at: at, ..container("web", State::Stopping) };
        for action in [Do::Stop, Do::Restart].map(Action::Act) {
            assert_eq!(reason(&waits, action), None);
        }
        let why = reason(&waits, Action::Act(Do::Freeze)).unwrap();
        assert!(why.contains("to restart: S stops it, r restarts it now"), "{why}");
    }

    #[test]
    fn limits_of_what_does_not_run_are_its_configurations() {
        for action in [InDetail::Limits, InDetail::Edit].map(Action::Detail) {
            assert_eq!(reason(&container("web", State::Stopped), action), None);
            let undefined = Container { defined: false, ..container("web", State::Stopped) };
            assert!(reason(&undefined, action).unwrap().contains("no configuration to change"));
        }
        assert!(reason(&container("web", State::Stopped), Action::Act(Do::Again)).is_some());
    }
}
