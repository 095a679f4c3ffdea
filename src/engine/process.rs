//! A process of a container, and the forest that parents make of a list of them. Pure.

/// One process as `/proc` showed it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    /// In the host's pid namespace.
    pub pid: i32,
    pub parent: i32,
    /// In the container's own pid namespace.
    pub inner_pid: Option<i32>,
    /// Clock ticks after boot; with `pid` it identifies the process.
    pub start_time: u64,
    /// The letter of proc_pid_stat(5): R, S, D, Z, T ….
    pub state: char,
    pub threads: u32,
    pub uid: Option<u32>,
    /// Percent of one processor since the sample before.
    pub cpu_percent: Option<f32>,
    pub rss_bytes: Option<u64>,
    /// The command line, or the name in brackets for want of one. Not safe to print as it is.
    pub command: String,
    /// Depth in the forest, 0 for a root.
    pub depth: u16,
    /// For each level down to this one: is there a later sibling? Draws the tree's lines.
    pub later_siblings: Vec<bool>,
}
