//! The one way into a container, for `start` and `attach`: a plan of steps, the process that is
//! created, and the steps that it performs.

pub(in crate::engine) mod init;
pub mod launch;
pub(in crate::engine) mod perform;
pub mod plan;
pub mod relay;
pub(in crate::engine) mod report;
pub(in crate::engine) mod seal;
