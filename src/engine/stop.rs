//! The verb `stop`: asks, waits, kills.

use std::time::Duration;

use super::{Engine, Error, Name};

/// How to stop a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Sends the halt signal and returns at once (`-W`).
    Ask,
    /// Sends the halt signal, waits, and kills what is left (`--nokill`: fails instead).
    Gently { timeout: Option<Duration>, then_kill: bool },
    /// Kills every process at once (`-k`).
    Kill,
}

impl Engine {
    /// Stops the container; returns once it is STOPPED (except for [`Stop::Ask`]).
    pub fn stop(&self, name: &Name, _stop: Stop) -> Result<(), Error> {
        Err(super::unfinished("stop", name))
    }
}
