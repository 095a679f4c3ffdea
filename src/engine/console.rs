//! The verb `console`: this terminal becomes a terminal of the container.

use super::{Engine, Error, Name};

/// Which terminal, and how to leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Console {
    /// 0 is `/dev/console`, 1 to N `/dev/ttyN`, none the first free tty (or the console).
    pub tty: Option<u32>,
    /// The control code before `q`; none: only the end of the terminal leaves.
    pub escape: Option<u8>,
}

impl Engine {
    /// Relays this terminal until the escape key and `q`, or until the container ends.
    pub fn console(&self, name: &Name, _console: Console) -> Result<(), Error> {
        Err(super::unfinished("open the console of", name))
    }
}
