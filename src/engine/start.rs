//! The verbs `start` and `execute`.

use std::path::PathBuf;

use super::{Engine, Error, Exit, Name};

/// How to start a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The command instead of `lxc.init.cmd`; empty: what is configured, else `/sbin/init`.
    pub argv: Vec<String>,
    /// A configuration file instead of `LXCPATH/NAME/config` (`-f`).
    pub config: Option<PathBuf>,
    /// `key = value` lines applied after the file (`-s`).
    pub settings: Vec<(String, String)>,
}

impl Engine {
    /// Starts the container in the background and returns once it runs (its init was executed).
    /// Safe to call from a process with threads: the supervisor is a program of its own.
    pub fn start(&self, name: &Name, _start: &Start) -> Result<(), Error> {
        Err(super::unfinished("start", name))
    }

    /// Runs the container in the foreground of this single-threaded process, on its terminal,
    /// and returns how init ended (`start -F`).
    pub fn start_foreground(&self, name: &Name, _start: &Start) -> Result<Exit, Error> {
        Err(super::unfinished("start", name))
    }

    /// Runs a command under wharf's own init as pid 1, creating and destroying the container on
    /// the way if it is not defined, and returns how the command ended. Single-threaded callers.
    pub fn execute(&self, name: &Name, _start: &Start) -> Result<Exit, Error> {
        Err(super::unfinished("execute", name))
    }
}
