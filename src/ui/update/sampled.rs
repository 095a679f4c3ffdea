//! Processes samples and events of the journal.

use std::sync::Arc;
use std::time::Duration;

use super::list;
use crate::engine::event::{Event, What};
use crate::engine::sample::{Container, Sample};
use crate::engine::state::State;
use crate::ui::diagnosis;
use crate::ui::effect::{Act, Effect};
use crate::ui::model::detail::Tab;
use crate::ui::model::overlay::Overlay;
use crate::ui::model::{KEPT, Model, Tone, UndoStep};

/// Makes `sample` the current one.
pub(super) fn take(model: &mut Model, sample: Arc<Sample>) -> Vec<Effect> {
    if model.held {
        return Vec::new();
    }
    (model.now, model.quiet) = (sample.taken, Duration::ZERO);
    let known = |name: &_| sample.containers.binary_search_by(|it| it.name.cmp(name)).is_ok();
    model.histories.retain(|name, _| known(name));
    if model.sample.is_some() {
        // Past events arrive before the first sample shows which containers they belong to.
        model.failures.retain(|name, _| known(name));
    }
    for container in sample.containers.iter().filter(|it| it.state.is_active()) {
        let history = model.histories.entry(container.name.clone()).or_default();
        history.add(sample.taken, &container.counters);
    }
    model.sample = Some(sample);
    list::arrange(model);
    if let Some(gone) =
        model.detail.as_ref().map(|it| it.name.clone()).filter(|it| model.container(it).is_none())
    {
        model.detail = None;
        model.say(Tone::Plain, format!("{gone} is gone"));
    }
    read_log(model)
}

/// Processes an event; the next sample is then taken at once.
pub(super) fn happened(model: &mut Model, event: Event) -> Vec<Effect> {
    match &event.what {
        What::Failed { reason } => {
            model.failures.insert(event.name.clone(), reason.clone());
        }
        What::State { to: State::Starting, .. }
        | What::Created
        | What::Restored
        | What::Destroyed
        | What::Trashed => {
            model.failures.remove(&event.name);
        }
        What::State { .. }
        | What::Exited { .. }
        | What::Braked { .. }
        | What::Warned { .. }
        | What::SupervisorKilled
        | What::Cgroup { .. }
        | What::LimitLost { .. }
        | What::OomKill { .. }
        | What::Signal { .. } => (),
    }
    // Its earlier output is not complete any more.
    model.log = model.log.take().filter(|(name, _)| *name != event.name);
    end_ways_back(model, &event);
    model.events.push_back(event);
    while model.events.len() > KEPT {
        forget_oldest(model);
    }
    vec![Effect::SampleNow]
}

/// Drops the oldest event; the cursors stay on theirs.
fn forget_oldest(model: &mut Model) {
    let Some(gone) = model.events.pop_front() else { return };
    let below = match &mut model.overlay {
        Some(Overlay::Whole { back: Some(below), .. }) => Some(&mut **below),
        other => other.as_mut(),
    };
    if let Some(Overlay::Events { at }) = below {
        *at = at.saturating_sub(1);
        model.layer_first = model.layer_first.saturating_sub(1);
    }
    let detail = model.detail.as_mut().filter(|it| it.focus == Tab::Events && it.name == gone.name);
    if let Some(detail) = detail {
        detail.scroll = detail.scroll.saturating_sub(1);
        detail.first_event = detail.first_event.saturating_sub(1);
        if let Some(search) = &mut detail.search {
            search.at = search.at.and_then(|it| it.checked_sub(1));
        }
    }
}

/// Drops undo steps for a run that is over, since the next run has its own limits and state.
/// Changes of a configuration outlive the run, but not the container.
fn end_ways_back(model: &mut Model, event: &Event) {
    let destroyed = matches!(event.what, What::Destroyed | What::Trashed);
    if !destroyed && event.enters() != Some(State::Stopped) {
        return;
    }
    let over = |it: &UndoStep| {
        // What is in the trash is there whatever becomes of the name.
        let stays =
            matches!(it.act, Act::BringBack(_)) || !destroyed && matches!(it.act, Act::Keep { .. });
        it.name == event.name && !stays
    };
    model.undo.retain(|it| !over(it));
    model.redo.retain(|it| !over(it));
    if destroyed && model.changed.as_ref().is_some_and(|(name, ..)| *name == event.name) {
        model.changed = None;
    }
}

/// Requests the log when it is on the screen, or the last output of a container in trouble.
pub(super) fn read_log(model: &Model) -> Vec<Effect> {
    let shown = match &model.detail {
        Some(detail) => matches!(detail.tab, Tab::Overview | Tab::Log).then_some(&detail.name),
        None => model.current().filter(|it| needs_words(model, it)).map(|it| &it.name),
    };
    shown.map(|it| Effect::ReadLog(it.clone())).into_iter().collect()
}

/// For so long after the end of a run its output may have been read before all of it was there.
const SETTLES: Duration = Duration::from_secs(5);

/// Returns whether the list shows the container's last output, and does not have it yet.
fn needs_words(model: &Model, container: &Container) -> bool {
    let known = model.log.as_ref().is_some_and(|(name, _)| *name == container.name);
    let over = !container.state.is_active();
    let age = container.since.and_then(|it| model.now.duration_since(it).ok());
    let settled = over && age.is_none_or(|it| it > SETTLES);
    (!known || !settled) && diagnosis::of(model, container).is_some_and(|it| it.bad || over)
}
