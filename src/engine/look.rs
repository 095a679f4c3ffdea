//! The verbs that only look: `ls`, `info`, `ps`, and signalling one process that was seen.

use super::process::Process;
use super::snapshot::Container;
use super::{Engine, Error, Name, State};

impl Engine {
    /// Lists every container that is defined or runs under the lxcpath, with its state, sorted by
    /// name. Cheap: no counters.
    pub fn list(&self) -> Result<Vec<(Name, State)>, Error> {
        Err(super::unfinished("list", self.lxcpath.display()))
    }

    /// Tells the state of `name`; a container that does not exist is STOPPED.
    pub fn state(&self, name: &Name) -> Result<State, Error> {
        Err(super::unfinished("look at", name))
    }

    /// Tells all of one container, its counters and details included.
    pub fn info(&self, name: &Name) -> Result<Container, Error> {
        Err(super::unfinished("look at", name))
    }

    /// Lists the processes of a running container as a forest.
    pub fn processes(&self, name: &Name) -> Result<Vec<Process>, Error> {
        Err(super::unfinished("list the processes of", name))
    }

    /// Sends `signal` to `process` if it is still the same process and still in the container.
    pub fn signal(&self, name: &Name, _process: &Process, _signal: i32) -> Result<(), Error> {
        Err(super::unfinished("signal a process of", name))
    }
}
