//! The types that all of the engine shares: names, states, verbs, errors. They use no other part of
//! it.

pub mod error;
pub mod exit;
pub(in crate::engine) mod feature;
pub(in crate::engine) mod group_path;
pub(in crate::engine) mod groups;
pub mod hook;
pub mod id;
pub mod idmap;
pub(in crate::engine) mod label;
pub mod name;
pub mod nic;
pub(in crate::engine) mod patience;
pub mod progress;
pub(in crate::engine) mod rootfs;
pub mod shown;
pub(in crate::engine) mod signal;
pub mod space;
pub mod spec;
pub mod state;
pub mod verb;
