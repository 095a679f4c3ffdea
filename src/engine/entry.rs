//! The one way into a container, for `start` and `attach`: a plan of steps, the process that is
//! created, and the steps that it performs.

pub(in crate::engine) mod criu;
pub(in crate::engine) mod host_steps;
pub(in crate::engine) mod init;
pub(in crate::engine) mod launch;
pub(in crate::engine) mod notifier;
pub(in crate::engine) mod perform;
pub(in crate::engine) mod plan;
pub(in crate::engine) mod relay;
pub(in crate::engine) mod report;
pub(in crate::engine) mod script;
pub(in crate::engine) mod seal;
pub(in crate::engine) mod superblock;
