//! What a caller can request: a file for each verb or family of verbs, as `impl Engine`.

pub mod attach;
pub mod check;
pub mod console;
pub mod create;
pub mod destroy;
pub mod freeze;
pub mod limits;
pub mod look;
pub(in crate::engine) mod privilege;
pub mod proxmox;
pub mod start;
pub mod stop;
pub(in crate::engine) mod tidy;
pub mod wait;
