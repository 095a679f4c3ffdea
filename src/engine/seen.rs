//! Cheap, repeated observation of containers and their processes.

pub mod process;
pub mod sample;
pub mod sampler;
