//! The verb `destroy`: removes a stopped container, never through a link or a mount.

use super::{Engine, Error, Name};

impl Engine {
    /// Removes `LXCPATH/NAME` and what a dead supervisor left. Refuses a running container.
    pub fn destroy(&self, name: &Name) -> Result<(), Error> {
        Err(super::unfinished("destroy", name))
    }
}
