//! The verbs `wait` and `monitor`: what containers do, as it happens.
//!
//! wharf's supervisors write the journal. LXC's monitors tell LXC's daemon instead, if it runs; else
//! their containers are checked a few times a second.

mod feed;
mod lxc_news;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use feed::Feed;

use crate::engine::running::event::{self, Event};
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
        let mut left: Vec<&Name> = names.iter().collect();
        self.leave_out(&mut left, states)?;
        let Some(mut name) = left.first().copied() else { return Ok(true) };
        if timeout == Some(Duration::ZERO) {
            return Ok(false);
        }
        let mut feed = Feed::of(&self.lxcpath, &left).map_err(|it| failed(Verb::Wait, name, it))?;
        loop {
            // Also before the first wait: nothing was followed while they were checked first.
            self.leave_out(&mut left, states)?;
            match left.first() {
                Some(first) => name = first,
                None => return Ok(true),
            }
            let time = deadline.map(|it| it.saturating_duration_since(Instant::now()));
            if time == Some(Duration::ZERO) {
                return Ok(false);
            }
            let beat = time.map_or(BEAT, |it| it.min(BEAT));
            // A short state is over at the next check, but was told.
            let news = feed.next(beat).map_err(|it| failed(Verb::Wait, name, it))?;
            let entered = |name: &Name| {
                let about = news.iter().filter(|it| it.name == *name);
                about.filter_map(Event::enters).any(|it| states.contains(&it))
            };
            left.retain(|it| !entered(it));
        }
    }

    /// Leaves out those that are in one of the states now.
    fn leave_out(&self, names: &mut Vec<&Name>, states: &[State]) -> Result<(), Error> {
        let now = self.states_of(names)?;
        names.retain(|it| !now.get(it).is_some_and(|it| states.contains(it)));
        Ok(())
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

    /// Follows events of containers whose whole name matches `pattern`, in order, without gaps in
    /// what wharf's supervisors and LXC's daemon report.
    /// Calls `each` until it returns false. `each` gets `None` about four times a second, so that
    /// it can check whether to continue.
    pub fn monitor(
        &self,
        pattern: &regex::Regex,
        each: &mut dyn FnMut(Option<&Event>) -> bool,
    ) -> Result<(), Error> {
        let object = self.lxcpath().display().to_string();
        let pattern = whole(pattern)
            .map_err(|it| Error::new(Verb::Monitor, &object, ErrorKind::Invalid, it))?;
        let fail = |it| failed(Verb::Monitor, &object, it);
        let mut sampler = Sampler::new(self);
        let mut feed = Feed::of_all(&self.lxcpath, sampler.states().0).map_err(fail)?;
        let mut look = Instant::now();
        loop {
            let left = look.saturating_duration_since(Instant::now());
            let mut events = feed.next(left).map_err(fail)?;
            let beat = Instant::now() >= look;
            if beat {
                let (states, _) = sampler.states();
                events.extend(feed.sift(sampler.foreign_events(), &states));
                look = Instant::now() + BEAT;
            }
            let mut chosen = events.iter().filter(|it| pattern.is_match(it.name.as_str()));
            if !chosen.all(|it| each(Some(it))) || (beat && !each(None)) {
                return Ok(());
            }
        }
    }

    /// Passes on the newest `past` events of all containers and then what wharf's supervisors and
    /// commands report, until `each` returns false. What happens to LXC's containers is known to
    /// whoever samples them: [`Sampler::foreign_events`].
    pub fn follow_journal(
        &self,
        past: usize,
        each: &mut dyn FnMut(&Event) -> bool,
    ) -> Result<(), Error> {
        let fail = |it: std::io::Error| failed(Verb::Monitor, self.lxcpath().display(), it);
        let is_own = |it: &Event| it.lxcpath == self.lxcpath().dir();
        let (mut chosen, mut follower) =
            event::follow_with_past(self.lxcpath.host(), past, &is_own).map_err(fail)?;
        while chosen.iter().all(&mut *each) {
            let next = follower.next(None).map_err(fail)?;
            chosen = next.into_iter().filter(is_own).collect();
        }
        Ok(())
    }
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
