//! What happened to a container that an operator has to know, in words, and the keys that help.
//! Formats, never paints.

use std::time::{Duration, SystemTime};

use super::allowed;
use super::model::Model;
use super::texts::{event_words, victim};
use crate::command::Action;
use crate::command::action::{Do, InDetail};
use crate::engine::event::{Event, What};
use crate::engine::exit::Exit;
use crate::engine::sample::Container;
use crate::engine::state::State;
use crate::format;

/// How long an OOM kill that init survived is shown in its row.
const RECENT: Duration = Duration::from_mins(1);
/// The tab of the configuration.
const CONFIG: Action = Action::Detail(InDetail::Tab(7));

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// It is trouble, not a requested end.
    pub bad: bool,
    pub at: Option<SystemTime>,
    pub what: String,
    /// More details, a line each.
    pub more: Vec<String>,
    /// The keys that help, with what each does.
    pub keys: Vec<(Action, String)>,
}

impl Diagnosis {
    /// Returns the same without its details.
    #[must_use]
    pub fn without_more(&self) -> Self {
        Self { more: Vec::new(), ..self.clone() }
    }
}

/// Returns what happened to `container`; none: nothing that its row does not show.
pub fn of(model: &Model, container: &Container) -> Option<Diagnosis> {
    // No key helps with a container that this user may not look at; the panes say so.
    if container.hidden || model.jobs.contains_key(&container.name) {
        return None;
    }
    let diagnosis = if container.state.is_active() {
        lost(model, container).or_else(|| killed(model, container))
    } else {
        failed(model, container)
    };
    let diagnosis = diagnosis.or_else(|| trouble(container)).or_else(|| ended(container));
    let diagnosis = diagnosis.or_else(|| abandoned(model, container));
    diagnosis.map(|it| Diagnosis {
        // Impossible actions are not offered, and neither are those that marks give to others.
        keys: it
            .keys
            .into_iter()
            .filter(|(action, _)| allowed::is_for(model, container, *action))
            .filter(|(action, _)| allowed::refused(model, container, *action).is_none())
            .collect(),
        ..it
    })
}

/// Returns whether it takes the place of the newest events where there is not room for both: trouble
/// does, and so does the end of an init that was killed, as this may not have been intended.
pub const fn outweighs_events(diagnosis: &Diagnosis, container: &Container) -> bool {
    let killed = matches!(container.last_exit, Some(Exit::Signal(libc::SIGKILL)));
    diagnosis.bad || killed && !container.state.is_active()
}

/// Returns the newest OOM kill in a container that is still running, if it is recent.
pub fn recent_kill<'a>(model: &'a Model, container: &Container) -> Option<&'a Event> {
    if !container.state.is_active() {
        return None;
    }
    let event = model.events.iter().rev().find(|it| {
        it.name == container.name
            && matches!(it.what, What::OomKill { .. } | What::Created | What::Restored)
    })?;
    let age = event.at().and_then(|it| model.now.duration_since(it).ok()).unwrap_or_default();
    let of_this_run = container.since.zip(event.at()).is_none_or(|(since, at)| since <= at);
    let killed = matches!(event.what, What::OomKill { .. });
    (killed && of_this_run && age <= RECENT).then_some(event)
}

/// Returns the file of the limit that should be raised, if that is the remedy.
pub fn limit<'a>(model: &'a Model, container: &'a Container) -> Option<&'a str> {
    let event = recent_kill(model, container);
    let last = match event.map(|it| &it.what) {
        Some(What::OomKill { last, .. }) => last.as_ref(),
        _ if container.died_of_memory => container.oom_last.as_ref(),
        _ => None,
    };
    last?.limit_file.as_deref()
}

fn lost(model: &Model, container: &Container) -> Option<Diagnosis> {
    let files = &container.lost_limits;
    let (first, others) = files.split_first()?;
    let of_it = |it: &&Event| {
        it.name == container.name
            && matches!(&it.what, What::LimitLost { file, .. } if files.contains(file))
    };
    let losses: Vec<&Event> = model.events.iter().filter(of_it).collect();
    let what = match others {
        [] => format!("lost its limit: {first}"),
        [..] => format!("lost its limits: {}", files.join(", ")),
    };
    let mut more: Vec<String> = losses.iter().rev().take(files.len()).map(|it| now(it)).collect();
    more.reverse();
    let keys = vec![
        (
            Action::Act(Do::Again),
            if others.is_empty() { "restore it" } else { "restore them" }.to_owned(),
        ),
        (Action::Detail(InDetail::Limits), "limits".to_owned()),
    ];
    Some(Diagnosis { bad: true, at: losses.last().and_then(|it| it.at()), what, more, keys })
}

fn now(event: &Event) -> String {
    let What::LimitLost { file, was, now } = &event.what else { return String::new() };
    let shown = |it| super::value::shown(file, it);
    format!("{file}: {} was set, the kernel has {} now", shown(was), shown(now))
}

fn killed(model: &Model, container: &Container) -> Option<Diagnosis> {
    let event = recent_kill(model, container)?;
    let keys = vec![raise(limit(model, container)), log()];
    Some(Diagnosis { bad: true, at: event.at(), what: event_words(event), more: Vec::new(), keys })
}

fn failed(model: &Model, container: &Container) -> Option<Diagnosis> {
    let start = || (Action::Act(Do::Start), "start".to_owned());
    if let Some(reason) = model.failures.get(&container.name) {
        let what = format!("start failed: {reason}");
        let of_it =
            |it: &&Event| it.name == container.name && matches!(it.what, What::Failed { .. });
        let at = model.events.iter().rev().find(of_it).and_then(Event::at);
        let keys = vec![start(), (CONFIG, "configuration".to_owned()), log()];
        return Some(Diagnosis { bad: true, at, what, more: Vec::new(), keys });
    }
    if !container.died_of_memory {
        return None;
    }
    let whom = container.oom_last.as_ref().map(|it| victim(it, &container.name));
    let what = whom.map_or_else(
        || "out of memory: the kernel killed it".to_owned(),
        |it| format!("out of memory: killed {it}"),
    );
    let named = container.oom_last.as_ref().and_then(|it| it.limit_bytes);
    let limit = container.last_memory_max_bytes.filter(|it| named != Some(*it)).map(format::bytes);
    let limit = limit.map(|it| format!("its memory was limited to {it}"));
    let end = container.last_exit.map(|it| format!("init ended: {it}"));
    let keys = vec![raise(self::limit(model, container)), start(), log()];
    let more = limit.into_iter().chain(end).collect();
    Some(Diagnosis { bad: true, at: container.since, what, more, keys })
}

fn trouble(container: &Container) -> Option<Diagnosis> {
    let what = container.trouble.clone()?;
    let keys = if container.faulty {
        vec![(CONFIG, "configuration".to_owned())]
    } else {
        vec![
            (Action::Act(Do::Start), "start".to_owned()),
            (Action::Act(Do::Stop), "stop".to_owned()),
            log(),
        ]
    };
    Some(Diagnosis { bad: true, at: None, what, more: Vec::new(), keys })
}

fn ended(container: &Container) -> Option<Diagnosis> {
    let exit = container.last_exit.filter(|_| !container.state.is_active())?;
    let (bad, what) = match exit {
        Exit::Code(0) => (false, "init ended by itself: exit 0".to_owned()),
        Exit::Code(_) => (true, format!("init ended by itself: {exit}")),
        // Whether it was intended is unknown.
        Exit::Signal(libc::SIGKILL) => (false, "init was killed: signal 9".to_owned()),
        Exit::Signal(_) => (true, format!("init crashed: {exit}")),
        Exit::Halted | Exit::Rebooted | Exit::Unheard(_) | Exit::Unmoved(_) | Exit::Saved => {
            (false, exit.to_string())
        }
    };
    let keys = vec![(Action::Act(Do::Start), "start".to_owned()), log()];
    Some(Diagnosis { bad, at: container.since, what, more: Vec::new(), keys })
}

/// A run that ended with its supervisor, which nobody could report then.
fn abandoned(model: &Model, container: &Container) -> Option<Diagnosis> {
    if container.state.is_active() || container.last_exit.is_some() {
        return None;
    }
    let ends = |it: &Event| it.enters() == Some(State::Stopped);
    let newest = model.events.iter().rev().find(|it| it.name == container.name && !ends(it));
    let killed = newest.filter(|it| it.what == What::SupervisorKilled)?;
    let keys = vec![(Action::Act(Do::Start), "start".to_owned()), log()];
    let what = event_words(killed);
    Some(Diagnosis { bad: true, at: killed.at(), what, more: Vec::new(), keys })
}

fn raise(file: Option<&str>) -> (Action, String) {
    (
        Action::Detail(InDetail::Limits),
        file.map_or_else(|| "limits".to_owned(), |it| format!("raise {it}")),
    )
}

fn log() -> (Action, String) {
    (Action::Detail(InDetail::Log), "log".to_owned())
}
