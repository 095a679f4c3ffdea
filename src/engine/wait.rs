//! The verbs `wait` and `monitor`: what containers do, as it happens.

use std::time::Duration;

use super::event::Event;
use super::{Engine, Error, Name, State};

impl Engine {
    /// Waits until the container is in one of `states`; false when `timeout` ran out first.
    /// None waits for ever, zero only looks.
    pub fn wait(
        &self,
        name: &Name,
        _states: &[State],
        _timeout: Option<Duration>,
    ) -> Result<bool, Error> {
        Err(super::unfinished("wait for", name))
    }

    /// Follows events of containers whose whole name matches `pattern`, in order, without gaps.
    /// Calls `each` until it returns false. `each` gets `None` about four times a second when
    /// nothing happens, so that it can look whether it should go on.
    pub fn monitor(
        &self,
        _pattern: &regex::Regex,
        _each: &mut dyn FnMut(Option<&Event>) -> bool,
    ) -> Result<(), Error> {
        Err(super::unfinished("monitor", self.lxcpath.display()))
    }

    /// Returns the newest `count` events of this lxcpath, oldest first.
    pub fn recent_events(&self, _count: usize) -> Vec<Event> {
        Vec::new()
    }
}
