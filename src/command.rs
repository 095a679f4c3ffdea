//! The table of everything wharf can be told to do: name, key, when it is allowed, help.
//!
//! The command line, the key map, the footer, the help screen and the palette all read it, so
//! that one word means one thing everywhere. It knows states, not screens.

use crate::engine::State;

/// Everything the operator can ask for that acts on containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Create,
    Start,
    Stop,
    Restart,
    Freeze,
    Console,
    Attach,
    EditCgroup,
    Destroy,
    Signal,
}

/// How much care a command asks for before it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    /// Changes nothing, or can be undone.
    Free,
    /// Runs at once and can be cancelled for a moment.
    Soft,
    /// Asks first.
    Hard,
}
