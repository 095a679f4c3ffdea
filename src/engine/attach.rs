//! The verb `attach`: runs a command inside a running container, on a pty of its own.

use super::{Engine, Error, Exit, Name};

/// What to run inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attach {
    /// Empty: the login shell of the user inside, else `/bin/sh`.
    pub argv: Vec<String>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    /// `-v NAME=VALUE`.
    pub environment: Vec<(String, String)>,
    /// `--clear-env`.
    pub clear_environment: bool,
}

impl Engine {
    /// Runs the command and relays this process's terminal (or pipes) to it until it ends.
    /// Single-threaded callers: it forks.
    pub fn attach(&self, name: &Name, _attach: &Attach) -> Result<Exit, Error> {
        Err(super::unfinished("attach to", name))
    }
}
