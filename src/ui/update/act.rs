//! Acts on containers: what is asked first, what begins, what is said when it ends.

use crate::command::Action;
use crate::engine::Name;
use crate::engine::snapshot::Container;
use crate::engine::state::State;
use crate::ui::effect::{Act, Effect, Outcome};
use crate::ui::message::{Done, Failure};
use crate::ui::model::overlay::Overlay;
use crate::ui::model::{Entry, Job, KEPT, Model, Tone, Way};
use crate::ui::{allowed, value};
use crate::widgets::field::Input;

/// From so many marked containers on, stopping asks first.
const MANY: usize = 4;

/// Begins `action` on the marked containers or the current one, after the question it calls for.
pub(super) fn begin(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Undo => return take_back(model, Way::Back),
        Action::Redo => return take_back(model, Way::Again),
        Action::Keep => return keep(model),
        _ => (),
    }
    let acts: Vec<(Name, Act)> = model
        .targets()
        .into_iter()
        .filter(|it| allowed::reason(it, action).is_none())
        .filter_map(|it| Some((it.name.clone(), act_for(model, it, action)?)))
        .collect();
    let many = acts.len();
    match action {
        Action::Destroy => {
            let word = match acts.as_slice() {
                [] => return Vec::new(),
                [(name, _)] => name.to_string(),
                [..] => format!("destroy {many}"),
            };
            model.overlay = Some(Overlay::TypeName { word, typed: Input::default(), acts });
            Vec::new()
        }
        Action::Stop | Action::Restart if many >= MANY => {
            let verb = if action == Action::Stop { "Stop" } else { "Restart" };
            let question = format!("{verb} {many} containers?");
            model.overlay = Some(Overlay::Confirm { question, acts, yes: false });
            Vec::new()
        }
        _ => run_all(model, acts),
    }
}

/// Begins each of `acts`.
pub(super) fn run_all(model: &mut Model, acts: Vec<(Name, Act)>) -> Vec<Effect> {
    let begun: Vec<Effect> =
        acts.into_iter().filter_map(|(name, act)| run(model, name, act, Way::Anew)).collect();
    if begun.len() > 1 {
        model.list.marks.clear();
    }
    begun
}

/// Begins `act`, unless other work on the same container is under way.
pub(super) fn run(model: &mut Model, name: Name, act: Act, way: Way) -> Option<Effect> {
    if let Some(job) = model.jobs.get(&name) {
        let harder = matches!((&job.act, &act), (Act::Stop | Act::Restart, Act::Kill));
        if !harder {
            let verb = job.act.verb();
            model.say(Tone::Bad, format!("{name}: {verb} is still under way; wait for its end"));
            return None;
        }
    }
    let at = model.now;
    model.failures.remove(&name);
    model.jobs.insert(name.clone(), Job { act: act.clone(), since: at, way });
    model.journal.push(Entry { at, name: name.clone(), act: act.clone(), outcome: None });
    let excess = model.journal.len().saturating_sub(KEPT);
    model.journal.drain(..excess);
    Some(Effect::Act { name, act })
}

/// Notes how an act ended.
pub(super) fn done(model: &mut Model, done: Done) -> Vec<Effect> {
    let Done { name, act, outcome, took } = done;
    let job = model.jobs.get(&name).filter(|it| it.act == act).cloned();
    if job.is_some() {
        model.jobs.remove(&name);
    }
    let words = match &outcome {
        Ok(Outcome::Changed(change)) => {
            let shown = |it| value::shown(&change.file, it);
            Ok(format!("{}  {} → {}", change.file, shown(&change.old), shown(&change.new)))
        }
        Ok(Outcome::Kept(kept)) => Ok(match &act {
            Act::Keep { value: Some(value), .. } => {
                format!("{} = {value} kept in the configuration", kept.key)
            }
            _ => format!("{} taken out of the configuration", kept.key),
        }),
        Ok(Outcome::Done) => Ok(format!("{} in {} ms", past(&act), took.as_millis())),
        Err(failure) => Err(failure.whole.clone()),
    };
    let unfinished = |it: &&mut Entry| it.name == name && it.act == act && it.outcome.is_none();
    if let Some(entry) = model.journal.iter_mut().rev().find(unfinished) {
        entry.outcome = Some(words.clone());
    }
    if let Ok(words) = words {
        model.say(Tone::Good, format!("{name}  {words}"));
    }
    match &outcome {
        Ok(outcome) => {
            let way = job.map_or(Way::Anew, |it| it.way);
            note_way_back(model, &name, (&act, outcome), way);
        }
        Err(failure) => failed(model, &name, &act, failure),
    }
    if outcome.is_ok() && matches!(act, Act::Create { .. }) {
        model.list.cursor = Some(name);
        model.draft = crate::ui::model::create::CreateForm::default();
    }
    vec![Effect::SampleNow]
}

/// Notes what takes a finished act back, and a limit that could be kept.
fn note_way_back(model: &mut Model, name: &Name, (act, outcome): (&Act, &Outcome), way: Way) {
    if let (Act::Set { file, value }, Outcome::Changed(_)) = (act, outcome) {
        model.changed = Some((name.clone(), file.clone(), value.clone()));
    }
    let Some(back) = inverse(act, outcome) else { return };
    let back = (name.clone(), back);
    match way {
        Way::Back => model.redo.push(back),
        Way::Again => model.undo.push(back),
        Way::Anew => {
            model.undo.push(back);
            model.redo.clear();
        }
    }
}

fn failed(model: &mut Model, name: &Name, act: &Act, failure: &Failure) {
    model.say(Tone::Bad, failure.whole.clone());
    let reason = failure.reason.clone();
    if let Act::Set { file, .. } = act
        && let Some(detail) = model.detail.as_mut().filter(|it| it.name == *name)
    {
        detail.cgroup.refused = Some((file.clone(), reason));
    } else if matches!(act, Act::Start | Act::Restart) {
        model.failures.insert(name.clone(), reason);
    }
}

fn act_for(model: &Model, container: &Container, action: Action) -> Option<Act> {
    let stopping = model
        .jobs
        .get(&container.name)
        .is_some_and(|it| matches!(it.act, Act::Stop | Act::Restart));
    match action {
        Action::Start => Some(Act::Start),
        Action::Stop if stopping => Some(Act::Kill),
        Action::Stop => Some(Act::Stop),
        Action::Restart => Some(Act::Restart),
        Action::Freeze if container.state == State::Frozen => Some(Act::Thaw),
        Action::Freeze => Some(Act::Freeze),
        Action::Destroy => Some(Act::Destroy),
        _ => None,
    }
}

/// Takes the last act back, or does the one again that was taken back last.
fn take_back(model: &mut Model, way: Way) -> Vec<Effect> {
    let stack = if way == Way::Back { &mut model.undo } else { &mut model.redo };
    let Some((name, act)) = stack.pop() else { return Vec::new() };
    let effect = run(model, name.clone(), act.clone(), way);
    if effect.is_none() {
        let stack = if way == Way::Back { &mut model.undo } else { &mut model.redo };
        stack.push((name, act));
    }
    effect.into_iter().collect()
}

/// Writes the limit changed last into the configuration of its container.
fn keep(model: &mut Model) -> Vec<Effect> {
    let Some((name, file, value)) = model.changed.clone() else { return Vec::new() };
    run(model, name, Act::Keep { file, value: Some(value) }, Way::Anew).into_iter().collect()
}

/// Returns what takes `act` back, now that it is done.
fn inverse(act: &Act, outcome: &Outcome) -> Option<Act> {
    match (act, outcome) {
        (Act::Freeze, _) => Some(Act::Thaw),
        (Act::Thaw, _) => Some(Act::Freeze),
        (Act::Set { file, .. }, Outcome::Changed(change)) if change.old != change.new => {
            Some(Act::Set { file: file.clone(), value: change.old.trim().to_owned() })
        }
        (Act::Keep { file, .. }, Outcome::Kept(kept)) => {
            Some(Act::Keep { file: file.clone(), value: kept.old.clone() })
        }
        _ => None,
    }
}

const fn past(act: &Act) -> &'static str {
    match act {
        Act::Start => "started",
        Act::Stop => "stopped",
        Act::Kill => "killed",
        Act::Restart => "restarted",
        Act::Freeze => "frozen",
        Act::Thaw => "thawed",
        Act::Destroy => "destroyed",
        Act::Set { .. } => "written",
        Act::Keep { .. } => "kept",
        Act::Signal { .. } => "signalled",
        Act::Create { start: true, .. } => "created and started",
        Act::Create { start: false, .. } => "created",
    }
}
