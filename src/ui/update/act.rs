//! Acts on containers: which question comes first, how they begin, and how their end is reported.

use crate::command::Action;
use crate::command::action::Do;
use crate::engine::Name;
use crate::engine::Verb;
use crate::engine::limits::{Change, KeptLimit};
use crate::format;
use crate::ui::effect::{Act, Effect, Outcome};
use crate::ui::message::{ActFailure, Done};
use crate::ui::model::overlay::{Ask, Overlay, Proposal};
use crate::ui::model::{Batch, Job, Model, Noted, Tone, UndoStep, Way, undo};
use crate::ui::{allowed, value};
use crate::widgets::field::Input;

/// From this many marked containers on, stopping asks first.
const MANY: usize = 4;

/// Begins `action` on the marked containers or the current one, after its question, if any.
pub(super) fn begin(model: &mut Model, action: Do) -> Vec<Effect> {
    match action {
        Do::Undo => ask_to_take_back(model, Way::Back),
        Do::Redo => ask_to_take_back(model, Way::Again),
        Do::Keep => keep_limit(model),
        // They ask first, and come back as acts.
        Do::Clone | Do::Rename | Do::Snapshot => Vec::new(),
        Do::Start | Do::Stop | Do::Freeze | Do::Restart | Do::Destroy | Do::Again => {
            begin_on_targets(model, action)
        }
    }
}

fn begin_on_targets(model: &mut Model, action: Do) -> Vec<Effect> {
    let targets = model.targets();
    let meant = targets.len();
    let acts: Vec<(Name, Act)> = targets
        .into_iter()
        .filter(|it| allowed::refused(model, it, Action::Act(action)).is_none())
        .filter_map(|it| Some((it.name.clone(), allowed::act_for(model, it, action)?)))
        .collect();
    let many = acts.len();
    let (hidden, spared) = (hidden(model, &acts), meant - many);
    match action {
        Do::Destroy => {
            let word = match acts.as_slice() {
                [] => return Vec::new(),
                [(name, _)] => name.to_string(),
                [..] => format!("destroy {many}"),
            };
            let proposal = Proposal { acts, labels: Vec::new(), hidden, spared, first: 0 };
            model.overlay = Some(Overlay::TypeName { word, typed: Input::default(), proposal });
            Vec::new()
        }
        // Hidden containers are not acted on without a question.
        _ if hidden > 0 || many >= MANY && matches!(action, Do::Stop | Do::Restart) => {
            let verb = acts.first().map_or("", |(_, act)| act.word());
            let question = format!("{verb} {many} containers?");
            let proposal = Proposal { acts, labels: Vec::new(), hidden, spared, first: 0 };
            model.overlay = Some(Overlay::Confirm { question, proposal, yes: false, back: None });
            Vec::new()
        }
        _ => run_all(model, acts),
    }
}

/// Counts those that the filter hides.
fn hidden(model: &Model, acts: &[(Name, Act)]) -> usize {
    let shown: Vec<&Name> = model.shown().map(|it| &it.name).collect();
    let marked = |name: &Name| model.list.marks.contains(name);
    acts.iter().filter(|(name, _)| marked(name) && !shown.contains(&name)).count()
}

/// Begins each of `acts`.
pub(super) fn run_all(model: &mut Model, acts: Vec<(Name, Act)>) -> Vec<Effect> {
    let begun = begin_all(model, acts, Way::Anew);
    if begun.len() > 1 {
        model.list.marks.clear();
    }
    begun
}

/// Begins each of `acts`, as one batch.
pub(super) fn begin_all(model: &mut Model, acts: Vec<(Name, Act)>, way: Way) -> Vec<Effect> {
    // The last notice must not hide what happens now; the journal keeps it.
    model.notice = None;
    let number = model.batch.number + 1;
    model.batch = Batch { number, ..Batch::default() };
    let begun: Vec<Effect> =
        acts.into_iter().filter_map(|(name, act)| run(model, name, act, way)).collect();
    model.batch.begun = begun.len();
    begun
}

/// Begins `act`, unless other work on the same container is in progress.
fn run(model: &mut Model, name: Name, act: Act, way: Way) -> Option<Effect> {
    if model.rights == crate::ui::Rights::ReadOnly {
        // The screen refuses such actions earlier; this is the last check.
        return None;
    }
    if act.holds() {
        hold(model, &name, &act, way)?;
    }
    // Shows the result of the act.
    model.held = false;
    model.note(Noted::Done { name: name.clone(), act: act.clone(), outcome: None });
    Some(Effect::Act { name, act })
}

/// Makes `act` the work in progress on a container; none: there is other work.
fn hold(model: &mut Model, name: &Name, act: &Act, way: Way) -> Option<()> {
    if let Some(job) = model.jobs.get(name) {
        let harder = matches!((&job.act, act), (Act::Stop | Act::Restart, Act::Kill));
        if !harder {
            let verb = job.act.word();
            model.refuse(format!("{name}: {verb} is still in progress; wait until it is done"));
            return None;
        }
    }
    model.failures.remove(name);
    let (since, batch) = (model.now, model.batch.number);
    let job = Job { act: act.clone(), since, way, batch, reached: None, cancelled: false };
    model.jobs.insert(name.clone(), job);
    Some(())
}

/// Notes how an act ended.
pub(super) fn done(model: &mut Model, done: Done) -> Vec<Effect> {
    let Done { name, act, notes, outcome, took } = done;
    let job = model.jobs.get(&name).filter(|it| it.act == act).cloned();
    if job.is_some() {
        model.jobs.remove(&name);
    }
    let words = match &outcome {
        Ok(Outcome::Changed(change)) => {
            let shown = |it| value::shown(&change.file, it);
            Ok(format!("{}  {} → {}", change.file, shown(&change.old), shown(&change.new)))
        }
        Ok(Outcome::SetAnew(changes)) => Ok(set_anew(changes)),
        Ok(Outcome::Kept(kept)) => Ok(kept_words(kept)),
        Ok(Outcome::Snapped(snap)) => Ok(format!("kept as {snap} in {}", format::took(took))),
        Ok(Outcome::Done | Outcome::Trashed(_)) => {
            let to = new_name(&act).map(|it| format!(" to {it}")).unwrap_or_default();
            Ok(format!("{}{to} in {}", past(&act), format::took(took)))
        }
        Err(failure) => Err(failure.whole.clone()),
    };
    let noted = |words: String| notes.iter().fold(words, |words, note| words + "; " + note);
    let words = words.map(noted).map_err(noted);
    let unfinished = Noted::Done { name: name.clone(), act: act.clone(), outcome: None };
    if let Some(entry) = model.journal.iter_mut().rev().find(|it| it.noted == unfinished) {
        let outcome = Some(words.clone());
        entry.noted = Noted::Done { name: name.clone(), act: act.clone(), outcome };
    }
    match &words {
        Ok(words) => model.say(Tone::Good, format!("{}  {words}", subject(&name, &act))),
        Err(words) => model.say(Tone::Bad, words.clone()),
    }
    let why = outcome.as_ref().map_err(|it| it.reason.clone());
    conclude(model, &name, &act, why.and_then(|_| words.clone()));
    match &outcome {
        Ok(outcome) => note_way_back(model, &name, &act, outcome, job.as_ref()),
        Err(failure) => failed(model, &name, &act, failure),
    }
    if job.as_ref().is_some_and(|it| it.batch == model.batch.number) {
        sum_up(model, &act, words.err());
    }
    offer_way_back(model, job.as_ref());
    if outcome.is_ok() {
        follow(model, name, act);
    }
    vec![Effect::SampleNow]
}

/// Puts the cursor on what an act has made.
fn follow(model: &mut Model, name: Name, act: Act) {
    match act {
        Act::Create { .. } => {
            model.list.cursor = Some(name);
            model.draft = crate::ui::model::create::CreateForm::default();
        }
        Act::Clone { to } => model.list.cursor = Some(to),
        Act::Rename { to } => {
            if model.detail.as_ref().is_some_and(|it| it.name == name) {
                model.detail = None;
            }
            model.list.cursor = Some(to);
        }
        Act::BringBack(_) => model.list.cursor = Some(name),
        Act::Start
        | Act::Stop
        | Act::Kill
        | Act::Restart
        | Act::Freeze
        | Act::Thaw
        | Act::Destroy
        | Act::Snapshot
        | Act::Replace { .. }
        | Act::RemoveTrashed(_)
        | Act::DeleteSnapshot { .. }
        | Act::Set { .. }
        | Act::Again
        | Act::Keep { .. }
        | Act::Signal { .. } => (),
    }
}

fn kept_words(kept: &KeptLimit) -> String {
    let shown = |it: &Option<String>| match it {
        Some(it) => value::shown(&kept.key, it),
        None => "not set".to_owned(),
    };
    format!("{}  {} → {}, in the configuration", kept.key, shown(&kept.old), shown(&kept.new))
}

fn set_anew(changes: &[Change]) -> String {
    let one = |it: &Change| format!("{} = {}", it.file, value::shown(&it.file, &it.new));
    let all: Vec<String> = changes.iter().map(one).collect();
    // Another process was faster.
    if all.is_empty() {
        "has all its limits".to_owned()
    } else {
        format!("{} again", all.join(", "))
    }
}

/// Reports how many of several acts begun together have succeeded so far; the success of one must
/// not hide the failure of another.
fn sum_up(model: &mut Model, act: &Act, failure: Option<String>) {
    let batch = &mut model.batch;
    batch.done += 1;
    batch.failures += usize::from(failure.is_some());
    batch.failed = batch.failed.take().or(failure);
    let Batch { begun, done, failures, failed, .. } = batch.clone();
    if begun < 2 {
        return;
    }
    let well = done - failures;
    match failed {
        None => model.say(Tone::Good, format!("{well} of {begun} {}", past(act))),
        Some(why) => model.say(Tone::Bad, format!("{well} of {begun} {}; {why}", past(act))),
    }
}

/// Records how to undo a finished act, and a limit that could be saved.
fn note_way_back(model: &mut Model, name: &Name, act: &Act, outcome: &Outcome, job: Option<&Job>) {
    if let (Act::Set { file, value }, Outcome::Changed(_)) = (act, outcome) {
        model.changed = Some((name.clone(), file.clone(), value.clone()));
    }
    let renamed = |to: &Name| (to.clone(), Act::Rename { to: name.clone() });
    let back = match act {
        Act::Rename { to } => Some(renamed(to)),
        _ => undo::inverse(act, outcome).map(|it| (name.clone(), it)),
    };
    let Some((name, back)) = back else { return };
    let batch = job.map_or(0, |it| it.batch);
    let back = UndoStep { batch, name, act: back };
    match job.map_or(Way::Anew, |it| it.way) {
        Way::Back => model.redo.push(back),
        Way::Again => model.undo.push(back),
        Way::Anew => {
            model.undo.push(back);
            model.redo.clear();
        }
    }
}

/// Records the result of a value for one of those that are changed together.
fn conclude(model: &mut Model, name: &Name, act: &Act, outcome: Result<String, String>) {
    let Some(screen) = &mut model.detail else { return };
    let is_edit = matches!(act, Act::Set { .. } | Act::Keep { .. });
    if is_edit && screen.together.contains(name) {
        screen.cgroup.results.retain(|(it, _)| it != name);
        screen.cgroup.results.push((name.clone(), outcome));
    }
}

/// Offers to undo what the notice reports, if possible.
fn offer_way_back(model: &mut Model, job: Option<&Job>) {
    let Some(job) = job else { return };
    let way = if job.way == Way::Back { Way::Again } else { Way::Back };
    let batch = model.steps(way).last().map(|it| it.batch);
    if let Some(notice) = model.notice.as_mut().filter(|_| batch == Some(job.batch)) {
        notice.offers = Some((way, job.batch));
    }
}

fn failed(model: &mut Model, name: &Name, act: &Act, failure: &ActFailure) {
    let reason = failure.reason.clone();
    let written = match act {
        Act::Set { file, value } => Some((file, value.as_str())),
        // One that is saved beside the live value is not edited in a row.
        Act::Keep { file, value } if value::is_key(file) => {
            Some((file, value.as_deref().unwrap_or_default()))
        }
        _ => None,
    };
    if let Some((file, value)) = written
        && let Some(detail) = model.detail.as_mut()
        && detail.name == *name
        && detail.together.is_empty()
    {
        detail.cgroup.refused = Some((file.clone(), reason));
        if detail.cgroup.cursor.as_ref() == Some(file) {
            // To be edited again, with the refusal below it.
            let typed = value::shown(file, value);
            detail.cgroup.edit.get_or_insert_with(|| Input::offer(&typed));
        }
    } else if failure.verb == Verb::Start {
        model.failures.insert(name.clone(), reason);
        if matches!(act, Act::Create { .. }) {
            model.list.cursor = Some(name.clone());
        }
    }
}

/// Undoes the last act, or redoes the last undone one. If it is not named beside the key on the
/// screen, a question names it first: it may be old, or elsewhere.
fn ask_to_take_back(model: &mut Model, way: Way) -> Vec<Effect> {
    let offered = model.way_back().is_some_and(|(it, _)| it == way);
    let steps = model.steps(way);
    if offered || steps.is_empty() {
        return take_back(model, way);
    }
    let words = undo::words(steps);
    let question = match way {
        Way::Back => format!("Undo an earlier change: {words}?"),
        Way::Anew | Way::Again => format!("Redo what was undone: {words}?"),
    };
    model.overlay = Some(Overlay::Ask { question, ask: Ask::TakeBack(way), yes: false });
    Vec::new()
}

/// Undoes the last act, or redoes the last undone one.
pub(super) fn take_back(model: &mut Model, way: Way) -> Vec<Effect> {
    let halts = |job: &Job| matches!(job.act, Act::Stop | Act::Kill | Act::Restart);
    let current = model.current_name().and_then(|it| model.jobs.get(it));
    if current.is_some_and(halts) {
        model.refuse("a request to halt cannot be undone");
        return Vec::new();
    }
    let many = model.steps(way).len();
    let stack = if way == Way::Back { &mut model.undo } else { &mut model.redo };
    let steps = stack.split_off(stack.len() - many);
    let acts = steps.iter().map(|it| (it.name.clone(), it.act.clone())).collect();
    let begun = begin_all(model, acts, way);
    if begun.is_empty() {
        let stack = if way == Way::Back { &mut model.undo } else { &mut model.redo };
        stack.extend(steps);
    }
    begun
}

/// Writes the limit changed last into the configuration of its container.
fn keep_limit(model: &mut Model) -> Vec<Effect> {
    let Some((name, file, value)) = model.changed.clone() else { return Vec::new() };
    // A cleared limit is saved by removing it.
    let value = Some(value).filter(|it| !it.trim().is_empty());
    begin_all(model, vec![(name, Act::Keep { file, value })], Way::Anew)
}

/// Returns the name that an act gives.
const fn new_name(act: &Act) -> Option<&Name> {
    match act {
        Act::Clone { to } | Act::Rename { to } => Some(to),
        Act::Start
        | Act::Stop
        | Act::Kill
        | Act::Restart
        | Act::Freeze
        | Act::Thaw
        | Act::Destroy
        | Act::BringBack(_)
        | Act::RemoveTrashed(_)
        | Act::DeleteSnapshot { .. }
        | Act::Snapshot
        | Act::Replace { .. }
        | Act::Set { .. }
        | Act::Again
        | Act::Keep { .. }
        | Act::Signal { .. }
        | Act::Create { .. } => None,
    }
}

/// Returns what an act was about: the container, or what was in the trash.
fn subject(name: &Name, act: &Act) -> String {
    match act {
        Act::RemoveTrashed(ids) => match ids.as_slice() {
            [one] => one.to_string(),
            many => format!("{} containers", many.len()),
        },
        Act::Start
        | Act::Stop
        | Act::Kill
        | Act::Restart
        | Act::Freeze
        | Act::Thaw
        | Act::Destroy
        | Act::BringBack(_)
        | Act::DeleteSnapshot { .. }
        | Act::Snapshot
        | Act::Replace { .. }
        | Act::Clone { .. }
        | Act::Rename { .. }
        | Act::Set { .. }
        | Act::Again
        | Act::Keep { .. }
        | Act::Signal { .. }
        | Act::Create { .. } => name.to_string(),
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
        Act::Destroy => "moved to the trash",
        Act::BringBack(_) => "brought back",
        Act::RemoveTrashed(_) => "removed for good",
        Act::DeleteSnapshot { .. } => "snapshot deleted",
        Act::Clone { .. } => "cloned",
        Act::Rename { .. } => "renamed",
        Act::Set { .. } => "written",
        Act::Again | Act::Replace { .. } => "restored",
        Act::Keep { .. } | Act::Snapshot => "kept",
        Act::Signal { .. } => "signalled",
        Act::Create { start: true, .. } => "created and started",
        Act::Create { start: false, .. } => "created",
    }
}
