//! What is seen of containers and their processes, cheaply and again and again.

pub mod process;
pub mod sample;
pub mod sampler;
