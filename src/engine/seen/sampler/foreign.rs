//! What happens to the containers of LXC's own monitors, which write no journal: found by comparing
//! one look with the next.

use std::collections::BTreeMap;
use std::path::Path;

use crate::engine::running::event::{Event, What};
use crate::engine::running::record::SetLimit;
use crate::engine::terms::name::Name;
use crate::engine::terms::state::State;

/// Those containers, as of the last look.
#[derive(Debug, Default)]
pub(super) struct ForeignContainers {
    /// None before the first look, which only shows how things were.
    known: Option<BTreeMap<Name, State>>,
    /// Seen once: a supervisor of ours listens a moment before its record exists.
    fresh: BTreeMap<Name, State>,
    /// Which limits they had lost.
    lost: BTreeMap<Name, Vec<String>>,
}

impl ForeignContainers {
    /// Notes that the journal has reported a state, so that it is not reported again: of what wharf
    /// itself did to one of them.
    pub(super) fn hear(&mut self, name: &Name, state: State) {
        if let Some(known) = self.known.as_mut().and_then(|it| it.get_mut(name)) {
            *known = state;
        }
    }

    /// Makes events of the changes since the last look. A state that is only assumed is no change.
    pub(super) fn compare(
        &mut self,
        lxcpath: &Path,
        now: BTreeMap<Name, (State, bool)>,
    ) -> Vec<Event> {
        let Some(known) = self.known.take() else {
            self.known = Some(now.into_iter().map(|(name, (state, _))| (name, state)).collect());
            return Vec::new();
        };
        let state = |(name, (state, assumed))| {
            let state = if assumed { known.get(&name).copied() } else { Some(state) };
            Some((name, state?))
        };
        let mut now: BTreeMap<Name, State> = now.into_iter().filter_map(state).collect();
        let fresh = std::mem::take(&mut self.fresh);
        let is_new = |name: &Name| !known.contains_key(name) && !fresh.contains_key(name);
        self.fresh = now.extract_if(.., |name, _| is_new(name)).collect();
        let mut events = Vec::new();
        let mut add = |name: &Name, from: State, to: State| {
            if from != to {
                events.push(Event::now(lxcpath, name, What::State { from, to }));
            }
        };
        for (name, state) in &now {
            add(name, known.get(name).copied().unwrap_or(State::Stopped), *state);
        }
        for (name, state) in known.iter().filter(|(it, _)| !now.contains_key(it)) {
            add(name, *state, State::Stopped);
        }
        self.lost.retain(|name, _| now.contains_key(name));
        self.known = Some(now);
        events
    }

    /// Lists those that have been seen twice.
    pub(super) fn names(&self) -> Vec<Name> {
        self.known.iter().flatten().map(|(name, _)| name.clone()).collect()
    }

    /// Makes events of the limits of one that are `lost` now and were not at the last look; `value`
    /// reads what a file holds now.
    pub(super) fn compare_limits(
        &mut self,
        lxcpath: &Path,
        name: &Name,
        lost: Vec<SetLimit>,
        value: &dyn Fn(&str) -> String,
    ) -> Vec<Event> {
        let files = lost.iter().map(|it| it.file.clone()).collect();
        let before = self.lost.insert(name.clone(), files).unwrap_or_default();
        let news = lost.into_iter().filter(|it| !before.contains(&it.file));
        let event = |it: SetLimit| {
            let now = value(&it.file);
            let was = it.kept.unwrap_or(it.set);
            Event::now(lxcpath, name, What::LimitLost { file: it.file, was, now })
        };
        news.map(event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(states: &[(&str, State)]) -> BTreeMap<Name, (State, bool)> {
        states.iter().map(|(name, state)| (name.parse().unwrap(), (*state, false))).collect()
    }

    fn told(events: &[Event]) -> Vec<(&str, State, State)> {
        let states = |it: &'_ Event| {
            let What::State { from, to } = it.what else { panic!("{it:?}") };
            (from, to)
        };
        events.iter().map(|it| (it.name.as_str(), states(it).0, states(it).1)).collect()
    }

    #[test]
    fn what_differs_from_the_last_look_is_an_event() {
        use State::{Frozen, Running, Stopped};
        let mut foreign = ForeignContainers::default();
        let mut compare =
            |states: &[(&str, State)]| foreign.compare(Path::new("/lxc"), look(states));
        assert!(compare(&[("a", Running)]).is_empty(), "the first look has nothing before it");
        assert!(compare(&[("a", Running), ("b", Running)]).is_empty(), "b may be one of ours");
        let events = compare(&[("a", Frozen), ("b", Running)]);
        assert_eq!(told(&events), [("a", Running, Frozen), ("b", Stopped, Running)]);
        let events = compare(&[("b", Running)]);
        assert_eq!(told(&events), [("a", Frozen, Stopped)]);
        foreign.hear(&"b".parse().unwrap(), Frozen);
        assert!(foreign.compare(Path::new("/lxc"), look(&[("b", Frozen)])).is_empty());
    }

    #[test]
    fn a_state_that_is_only_assumed_is_no_event() {
        use State::{Running, Starting, Stopped};
        let mut foreign = ForeignContainers::default();
        let mut compare = |state: Option<(State, bool)>| {
            let now = state.map(|it| ("a".parse().unwrap(), it));
            foreign.compare(Path::new("/lxc"), now.into_iter().collect())
        };
        assert!(compare(None).is_empty());
        // Its supervisor listens, and does not answer.
        assert!(compare(Some((Running, true))).is_empty());
        assert!(compare(Some((Running, true))).is_empty());
        assert!(compare(Some((Starting, false))).is_empty(), "seen once");
        assert_eq!(told(&compare(Some((Starting, false)))), [("a", Stopped, Starting)]);
        assert!(compare(Some((Running, true))).is_empty());
        assert_eq!(told(&compare(Some((Running, false)))), [("a", Starting, Running)]);
    }
}
