//! Figures and states as short text with a style. Decides the wording, not the place.

use ratatui::style::Style;

use super::canvas::Canvas;
use crate::engine::Name;
use crate::engine::event::What;
use crate::engine::exit::Exit;
use crate::engine::sample::{Container, HIDDEN, Limit};
use crate::engine::shown::shown;
use crate::engine::state::State;
use crate::format;
use crate::ui::effect::{Act, STOP_GRACE};
use crate::ui::model::Model;
use crate::ui::{diagnosis, texts};
use crate::widgets::look::{HI_FROM, Look, MID_FROM};
use crate::widgets::text::paragraph;

/// The sign for the state of a container that was not sampled lately.
const OUTDATED: &str = "?";
/// From this pressure on there is a warning, in percent.
pub(super) const PRESSED: f32 = 10.0;

/// Returns sign and style of a state.
pub(super) const fn state(state: State, failed: bool, look: &Look) -> (&'static str, Style) {
    let glyphs = look.glyphs;
    match state {
        State::Running | State::Thawed => (glyphs.running, look.ok),
        State::Starting => (glyphs.starting, look.busy),
        State::Stopping | State::Aborting => (glyphs.stopping, look.busy),
        State::Freezing | State::Frozen => (glyphs.frozen, look.frozen),
        State::Stopped if failed => (glyphs.failed, look.bad),
        State::Stopped => (glyphs.stopped, look.idle),
    }
}

/// Returns sign and style of a container's state on the screen.
pub(super) fn sign(model: &Model, container: &Container, look: &Look) -> (&'static str, Style) {
    let (glyph, style) = state(model.state_shown(container), failed(model, container), look);
    // Visible without colour, too: the state may have changed.
    (if model.stale().is_some() { OUTDATED } else { glyph }, style)
}

/// Describes for how long there was no sample, if that is too long.
pub(super) fn stale(model: &Model) -> Option<String> {
    let quiet = model.stale()?;
    let time = format::duration_in_text(quiet);
    let what = if model.sample.is_some() { "no new data" } else { "no data" };
    Some(format!("{what} for {time}"))
}

/// Returns whether the last run or start of `container` failed.
pub(super) fn failed(model: &Model, container: &Container) -> bool {
    model.failures.contains_key(&container.name)
        || container.died_of_memory
        || container.trouble.is_some() && !container.state.is_active()
        || container.last_exit.is_some_and(|it| matches!(it, Exit::Code(1..)))
}

/// Returns whether no process of the container called `name` can run.
pub(super) fn is_frozen(model: &Model, name: &Name) -> bool {
    model.container(name).is_some_and(|it| it.state == State::Frozen)
}

/// Returns how long something has lasted, or a sign for unknown.
pub(super) fn since(model: &Model, container: &Container, look: &Look) -> String {
    // A state that work in progress leads to began with it.
    if let Some(job) = model.jobs.get(&container.name)
        && model.state_shown(container) != container.state
    {
        return format::duration(model.now.duration_since(job.since).unwrap_or_default());
    }
    let since = |then| format::since(then, model.seen());
    container.since.map_or_else(|| look.glyphs.dot.to_owned(), since)
}

/// Returns the remark that replaces the graph: work in progress, a failure, the last exit.
pub(super) fn remark(model: &Model, container: &Container, look: &Look) -> Option<(String, Style)> {
    if let Some(job) = model.jobs.get(&container.name) {
        let passed = model.now.duration_since(job.since).unwrap_or_default();
        let left = STOP_GRACE.saturating_sub(passed);
        return match job.act {
            Act::Stop | Act::Restart if container.state.is_active() => {
                Some((format!("kill in {}", format::duration_in_text(left)), look.busy))
            }
            Act::Kill => Some(("killing what is left".to_owned(), look.busy)),
            Act::Start
            | Act::Stop
            | Act::Restart
            | Act::Destroy
            | Act::BringBack(_)
            | Act::DeleteSnapshot { .. }
            | Act::Clone { .. }
            | Act::Rename { .. }
            | Act::Snapshot
            | Act::Replace { .. }
            | Act::Create { .. } => Some((format!("{} …", job.act.word()), look.busy)),
            Act::Freeze
            | Act::Thaw
            | Act::RemoveTrashed(_)
            | Act::Set { .. }
            | Act::Again
            | Act::Keep { .. }
            | Act::Signal { .. } => None,
        };
    }
    if let Some(trouble) = texts::trouble(model, container) {
        return Some((trouble, if container.faulty { look.bad } else { look.warn }));
    }
    if container.state.is_active() {
        let killed = diagnosis::recent_kill(model, container)?;
        return Some((texts::event_words(killed), look.bad));
    }
    if let Some(reason) = model.failures.get(&container.name) {
        return Some((reason.clone(), look.bad));
    }
    let end = container.last_end()?;
    Some((end, if failed(model, container) { look.bad } else { look.dim }))
}

/// Returns the remark, shortened to fit in place of the graph, or a figure.
pub(super) fn short_remark(
    model: &Model,
    container: &Container,
    look: &Look,
) -> Option<(String, Style)> {
    let (words, style) = remark(model, container, look)?;
    if container.faulty && container.trouble.as_ref() == Some(&words) {
        return Some(("bad config".to_owned(), style));
    }
    if texts::trouble(model, container).as_ref() == Some(&words) {
        // Which limit it is matters more than the key, which is in the footer.
        let short = match container.lost_limits.as_slice() {
            [] => words,
            [one] => format!("lost {one}"),
            many => format!("lost {} limits", many.len()),
        };
        return Some((short, style));
    }
    if let Some(killed) = diagnosis::recent_kill(model, container)
        && texts::trouble(model, container).is_none()
    {
        let who = if let What::OomKill { last: Some(last), .. } = &killed.what {
            format!("oom: {}", shown(&last.process))
        } else {
            "oom kill".to_owned()
        };
        return Some((who, style));
    }
    if container.last_end().as_ref() != Some(&words) {
        return Some((words, style));
    }
    let short = match container.last_exit {
        _ if container.died_of_memory => "oom-killed",
        Some(Exit::Unheard(_)) => "by stop",
        Some(Exit::Unmoved(_)) => "by restart",
        Some(Exit::Saved) => "saved",
        Some(Exit::Code(_) | Exit::Signal(_) | Exit::Halted | Exit::Rebooted) | None => &words,
    };
    Some((short.to_owned(), style))
}

/// Paints the whole reason why there are no processes, as far as there is room.
pub(super) fn why_nothing_runs(model: &Model, container: &Container, canvas: Canvas<'_>) {
    let words = remark(model, container, canvas.look)
        .map_or_else(|| texts::nothing_runs(model, container), |(it, _)| it);
    let Canvas { look, area, buf } = canvas.padded();
    paragraph(&shown(&words), look.dim, area, buf);
}

/// Paints why this user sees nothing of a container.
pub(super) fn why_hidden(canvas: Canvas<'_>) {
    let Canvas { look, area, buf } = canvas.padded();
    paragraph(HIDDEN, look.dim, area, buf);
}

/// Returns whether the row of a running container needs a mark, since its state looks normal; true
/// inside: something died in it.
pub(super) fn warns(model: &Model, container: &Container) -> Option<bool> {
    let killed = diagnosis::recent_kill(model, container).is_some();
    let warns = killed || container.trouble.is_some() && container.state.is_active();
    warns.then_some(killed)
}

/// Returns memory in use and its limit, as `488M/512M`.
pub(super) fn memory(container: &Container, look: &Look) -> String {
    let used = container.counters.memory_bytes.map(format::bytes);
    let most = match container.counters.memory_max_bytes {
        Some(Limit::At(most)) => format::bytes(most),
        Some(Limit::Max) => "max".to_owned(),
        None => look.glyphs.unknown.to_owned(),
    };
    format!("{}/{most}", used.as_deref().unwrap_or(look.glyphs.unknown))
}

/// Returns a share of a limit as `59`, with a sign when it is close to the limit.
pub(super) fn share(share: f32, look: &Look) -> (String, Style) {
    let percent = (share * 100.0).round();
    if share >= HI_FROM {
        (format!("{percent}!"), look.bad)
    } else if share >= MID_FROM {
        (format!("{percent} "), look.warn)
    } else {
        (format!("{percent} "), look.fg)
    }
}

/// Returns a pressure as `31`.
pub(super) fn pressure(psi: Option<f32>, look: &Look) -> (String, Style) {
    match psi {
        None => (look.glyphs.unknown.to_owned(), look.dim),
        Some(it) if it >= PRESSED => (format!("{it:.0}"), look.warn),
        Some(it) => (format!("{it:.0}"), look.fg),
    }
}
