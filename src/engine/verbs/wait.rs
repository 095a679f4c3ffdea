//! The verbs `wait` and `monitor`: what containers do, as it happens.
//!
//! wharf's supervisors write the journal. LXC's monitors do not, so their containers are checked a
//! few times a second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::engine::running::event::{self, Event, Follower, What};
use crate::engine::seen::sampler::Sampler;
use crate::engine::{Engine, Error, ErrorKind, Name, State, Verb};

/// How long to wait for the journal before checking LXC's containers.
const BEAT: Duration = Duration::from_millis(250);

impl Engine {
    /// Waits until the container is in one of `states`; false when `timeout` ran out first. None
    /// waits for ever, zero only checks.
    pub fn wait(
        &self,
        name: &Name,
        states: &[State],
        timeout: Option<Duration>,
    ) -> Result<bool, Error> {
        self.wait_for_all(std::slice::from_ref(name), states, timeout)
    }

    /// The same for several, each of which has to be in one of the states once.
    pub fn wait_for_all(
        &self,
        names: &[Name],
        states: &[State],
        timeout: Option<Duration>,
    ) -> Result<bool, Error> {
        let deadline = timeout.and_then(|it| Instant::now().checked_add(it));
        let Some(mut name) = names.first() else { return Ok(true) };
        // Followed before the first check, so that no event is missed in between.
        let mut follower =
            event::follow(self.lxcpath.host()).map_err(|it| failed(Verb::Wait, name, it))?;
        let mut left: Vec<&Name> = names.iter().collect();
        loop {
            let now = self.states_of(&left)?;
            left.retain(|it| !now.get(it).is_some_and(|it| states.contains(it)));
            match left.first() {
                Some(first) => name = first,
                None => return Ok(true),
            }
            let time = deadline.map(|it| it.saturating_duration_since(Instant::now()));
            if time == Some(Duration::ZERO) {
                return Ok(false);
            }
            let beat = time.map_or(BEAT, |it| it.min(BEAT));
            // A short state is over at the next check; the journal still has it.
            let news = drain(&mut follower, beat).map_err(|it| failed(Verb::Wait, name, it))?;
            let entered = |name: &Name| {
                let about = news.iter().filter(|it| self.is_about(it, name));
                about.filter_map(Event::enters).any(|it| states.contains(&it))
            };
            left.retain(|it| !entered(it));
        }
    }

    /// Returns the state of each; a container that does not exist is STOPPED.
    fn states_of<'a>(&self, names: &[&'a Name]) -> Result<BTreeMap<&'a Name, State>, Error> {
        if let [name] = names {
            return Ok([(*name, self.state(name)?)].into());
        }
        let all: BTreeMap<Name, State> = self.list()?.into_iter().collect();
        let state = |name: &Name| all.get(name).copied().unwrap_or(State::Stopped);
        Ok(names.iter().map(|it| (*it, state(it))).collect())
    }

    /// Follows events of containers whose whole name matches `pattern`, in order, without gaps.
    /// Calls `each` until it returns false. `each` gets `None` about four times a second, so that
    /// it can check whether to continue.
    pub fn monitor(
        &self,
        pattern: &regex::Regex,
        each: &mut dyn FnMut(Option<&Event>) -> bool,
    ) -> Result<(), Error> {
        let follower = event::follow(self.lxcpath.host());
        let follower =
            follower.map_err(|it| failed(Verb::Monitor, self.lxcpath().display(), it))?;
        self.follow(follower, pattern, each)
    }

    /// The same for all containers, after the newest `past` events.
    pub fn monitor_all(
        &self,
        past: usize,
        each: &mut dyn FnMut(Option<&Event>) -> bool,
    ) -> Result<(), Error> {
        let fail = |it: std::io::Error| failed(Verb::Monitor, self.lxcpath().display(), it);
        let (mut events, follower) = event::follow_with_past(self.lxcpath.host()).map_err(fail)?;
        events.retain(|it| it.lxcpath == self.lxcpath().dir());
        let older = events.len().saturating_sub(past);
        if !events.iter().skip(older).all(|it| each(Some(it))) {
            return Ok(());
        }
        let every = regex::Regex::new(".*").map_err(|it| {
            Error::new(Verb::Monitor, self.lxcpath().display(), ErrorKind::Invalid, it)
        })?;
        self.follow(follower, &every, each)
    }

    fn follow(
        &self,
        mut follower: Follower,
        pattern: &regex::Regex,
        each: &mut dyn FnMut(Option<&Event>) -> bool,
    ) -> Result<(), Error> {
        let object = self.lxcpath().display().to_string();
        let pattern = whole(pattern)
            .map_err(|it| Error::new(Verb::Monitor, &object, ErrorKind::Invalid, it))?;
        let mut foreign = Foreign::new(self);
        let mut look = Instant::now() + BEAT;
        loop {
            let left = look.saturating_duration_since(Instant::now());
            let mut events =
                drain(&mut follower, left).map_err(|it| failed(Verb::Monitor, &object, it))?;
            events.retain(|it| it.lxcpath == self.lxcpath().dir());
            foreign.hear(&events);
            let beat = Instant::now() >= look;
            if beat {
                events.append(&mut foreign.look(self));
                look = Instant::now() + BEAT;
            }
            let mut chosen = events.iter().filter(|it| pattern.is_match(it.name.as_str()));
            if !chosen.all(|it| each(Some(it))) || (beat && !each(None)) {
                return Ok(());
            }
        }
    }

    fn is_about(&self, event: &Event, name: &Name) -> bool {
        event.name == *name && event.lxcpath == self.lxcpath().dir()
    }
}

/// The containers that LXC's own monitors run, as of the last check.
#[derive(Debug)]
struct Foreign {
    sampler: Sampler,
    known: BTreeMap<Name, State>,
    /// Which limits they had lost.
    lost: BTreeMap<Name, Vec<String>>,
    /// Seen once: a supervisor of ours listens a moment before its record exists.
    fresh: BTreeMap<Name, State>,
}

impl Foreign {
    fn new(engine: &Engine) -> Self {
        let mut sampler = Sampler::new(engine);
        let known = sampler.foreign().into_iter().collect();
        Self { sampler, known, lost: BTreeMap::new(), fresh: BTreeMap::new() }
    }

    /// Notes what wharf itself did to them, so that it is reported only once.
    fn hear(&mut self, events: &[Event]) {
        for event in events {
            if let (Some(to), Some(known)) = (event.enters(), self.known.get_mut(&event.name)) {
                *known = to;
            }
        }
    }

    /// Makes events of the changes since the last check.
    fn look(&mut self, engine: &Engine) -> Vec<Event> {
        let mut now: BTreeMap<Name, State> = self.sampler.foreign().into_iter().collect();
        let fresh = std::mem::take(&mut self.fresh);
        let is_new = |name: &Name| !self.known.contains_key(name) && !fresh.contains_key(name);
        self.fresh =
            now.iter().filter(|(it, _)| is_new(it)).map(|(k, v)| (k.clone(), *v)).collect();
        now.retain(|name, _| !self.fresh.contains_key(name));

        let mut events = Vec::new();
        let mut add = |name: &Name, from: State, to: State| {
            if from != to {
                let what = What::State { from, to };
                events.push(Event::now(engine.lxcpath(), name, what));
            }
        };
        for (name, state) in &now {
            add(name, self.known.get(name).copied().unwrap_or(State::Stopped), *state);
        }
        for (name, state) in self.known.iter().filter(|(it, _)| !now.contains_key(it)) {
            add(name, *state, State::Stopped);
        }
        self.known = now;
        events.extend(self.losses(engine));
        events
    }

    /// Makes events of the limits that were lost since the last check.
    fn losses(&mut self, engine: &Engine) -> Vec<Event> {
        let mut events = Vec::new();
        for name in self.known.keys() {
            let lost = self.sampler.lost_limits(name);
            let files = lost.iter().map(|it| it.file.clone()).collect();
            let before = self.lost.insert(name.clone(), files).unwrap_or_default();
            for it in lost.into_iter().filter(|it| !before.contains(&it.file)) {
                let now = engine.cgroup_get(name, &it.file).unwrap_or_default().trim().to_owned();
                let was = it.kept.unwrap_or(it.set);
                let what = What::LimitLost { file: it.file, was, now };
                events.push(Event::now(engine.lxcpath(), name, what));
            }
        }
        let known = &self.known;
        self.lost.retain(|name, _| known.contains_key(name));
        events
    }
}

/// Waits at most `patience` for an event and returns it with those that follow immediately.
fn drain(follower: &mut Follower, patience: Duration) -> std::io::Result<Vec<Event>> {
    let mut events = Vec::new();
    let mut next = follower.next(Some(patience))?;
    while let Some(event) = next {
        events.push(event);
        next = follower.next(Some(Duration::ZERO))?;
    }
    Ok(events)
}

/// Makes `pattern` match whole texts only. Comparing the length of its match would not do: the
/// leftmost match may be the shorter one of two (`web|web-1`).
fn whole(pattern: &regex::Regex) -> Result<regex::Regex, regex::Error> {
    regex::Regex::new(&format!("^(?:{})$", pattern.as_str()))
}

fn failed(verb: Verb, object: impl std::fmt::Display, source: std::io::Error) -> Error {
    Error::new(verb, object, ErrorKind::Failed, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let matches = |pattern: &str, name| {
            whole(&regex::Regex::new(pattern).unwrap()).unwrap().is_match(name)
        };
        assert!(matches("web|web-1", "web-1"));
        assert!(matches("^web$", "web"));
        assert!(!matches("we", "web"));
        assert!(matches(".*", "anything"));
    }
}
