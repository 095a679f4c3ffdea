//! What belongs to a running container: supervisor, sockets, record, journal.

pub mod command_socket;
pub(in crate::engine) mod delegation;
pub mod event;
pub(in crate::engine) mod groups;
pub(in crate::engine) mod halt;
mod listing;
pub(in crate::engine) mod monitord;
pub mod oom;
pub(in crate::engine) mod order;
pub(in crate::engine) mod pending;
pub(in crate::engine) mod reclaim;
pub(in crate::engine) mod record;
pub(in crate::engine) mod removal;
pub(in crate::engine) mod renaming;
pub(in crate::engine) mod saving;
mod shares;
pub(in crate::engine) mod supervisor;
pub(in crate::engine) mod trashing;
