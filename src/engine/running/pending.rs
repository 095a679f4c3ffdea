//! What a killed command has left half done of a container: a renaming, a restore, a creation or a
//! removal. Every command on a container settles that first.

use crate::engine::Name;
use crate::engine::running::renaming;
use crate::engine::store::{RemoveError, Store, has_draft, remove_draft};

/// Completes it, or leaves nothing of it. What can be done neither way is an error and stays. The
/// caller holds the container's lock. Returns whether there was something.
pub(in crate::engine) fn settle(store: &Store, name: &Name) -> Result<bool, RemoveError> {
    renaming::settle(store, name);
    remove_draft(store, name)
}

/// Does so if nobody is working on the container.
pub(in crate::engine) fn settle_if_free(store: &Store, name: &Name) -> Result<(), RemoveError> {
    renaming::settle_if_free(store, name);
    if has_draft(store, name)
        && let Ok(_lock) = store.try_lock(name)
    {
        remove_draft(store, name)?;
    }
    Ok(())
}
