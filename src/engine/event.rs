//! What happened to containers, as a journal that every wharf process writes and may follow.

use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::name::Name;
use super::state::State;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    pub lxcpath: std::path::PathBuf,
    pub name: Name,
    #[serde(flatten)]
    pub what: What,
}

/// The kinds of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    State {
        from: State,
        to: State,
    },
    /// Init ended.
    Exited {
        exit: Exit,
    },
    /// A start that failed, with the reason in words.
    Failed {
        reason: String,
    },
    Created,
    Destroyed,
    /// A cgroup value was changed through wharf.
    Cgroup {
        file: String,
        old: String,
        new: String,
    },
    /// The kernel killed in this container for want of memory: how often since it started.
    OomKill {
        count: u64,
    },
    /// A process was sent a signal through wharf. The pid is the host's.
    Signal {
        pid: i32,
        signal: i32,
    },
}
