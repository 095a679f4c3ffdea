//! The verbs `freeze` and `unfreeze`.

use super::{Engine, Error, Name};

impl Engine {
    /// Freezes every process of the container and returns once they stand still.
    pub fn freeze(&self, name: &Name) -> Result<(), Error> {
        Err(super::unfinished("freeze", name))
    }

    /// Thaws the container.
    pub fn unfreeze(&self, name: &Name) -> Result<(), Error> {
        Err(super::unfinished("unfreeze", name))
    }
}
