//! The verb `cgroup`: reads and changes any cgroup file of a running container.

use super::{Engine, Error, Name};

/// A value that was written, as the kernel kept it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    pub file: String,
    /// What the file held before; empty for a write-only file.
    pub old: String,
    /// What the file holds now, read back.
    pub new: String,
}

impl Engine {
    /// Reads `file` (such as `memory.max`) of the container's cgroup, its newline kept.
    pub fn cgroup_get(&self, name: &Name, _file: &str) -> Result<String, Error> {
        Err(super::unfinished("read a cgroup value of", name))
    }

    /// Writes `value` to `file` and reads back what the kernel kept.
    pub fn cgroup_set(&self, name: &Name, _file: &str, _value: &str) -> Result<Change, Error> {
        Err(super::unfinished("set a cgroup value of", name))
    }
}
