//! The one way into a container, for a start and for whoever attaches: a plan of steps, the process
//! that is made, and the steps that it takes.

pub(in crate::engine) mod init;
pub mod launch;
pub(in crate::engine) mod perform;
pub mod plan;
pub mod relay;
pub(in crate::engine) mod report;
pub(in crate::engine) mod seal;
