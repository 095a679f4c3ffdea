//! What a caller can request: a file for each verb or family of verbs, as `impl Engine`.

pub mod apart;
pub mod attach;
pub mod autostart;
pub mod check;
pub mod checkpoint;
pub mod configure;
pub mod configured;
pub mod console;
pub mod create;
pub(in crate::engine) mod destroy;
pub(in crate::engine) mod device;
mod draft;
pub mod freeze;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
pub mod keys;
pub mod limits;
pub(in crate::engine) mod look;
pub mod mapped;
pub mod nested;
pub mod outline;
pub(in crate::engine) mod privilege;
pub mod proxmox;
pub(in crate::engine) mod rename;
pub mod snapshot;
pub mod start;
pub mod stop;
pub(in crate::engine) mod tidy;
pub mod trash;
pub(in crate::engine) mod wait;
