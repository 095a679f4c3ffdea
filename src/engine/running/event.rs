//! What happened to containers, as a journal that every wharf process writes and may follow. It
//! only informs: no state is read back from it.

pub mod journal;
mod waker;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use journal::Follower;

use crate::engine::host::Host;
use crate::engine::host::lxcpath::{self, Lxcpath};
use crate::engine::running::oom::OomKill;
use crate::engine::terms::exit::Exit;
use crate::engine::terms::name::Name;
use crate::engine::terms::state::State;
use journal::Journal;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    #[serde(with = "lxcpath::written")]
    pub lxcpath: PathBuf,
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
    /// It has restarted itself so often in a row that the next start is delayed.
    Braked {
        restarts: u32,
        wait_ms: u64,
    },
    /// What has no effect in its configuration, or failed at its end, in words.
    Warned {
        said: String,
    },
    /// A start that failed, with the reason in words.
    Failed {
        reason: String,
    },
    /// Its supervisor was killed, and what that left was cleaned up, which may be long after.
    SupervisorKilled,
    Created,
    Destroyed,
    /// It was destroyed, and is in the trash.
    Trashed,
    /// It is back from the trash.
    Restored,
    /// A cgroup value was changed through wharf.
    Cgroup {
        file: String,
        old: String,
        new: String,
    },
    /// A limit that wharf had set is no longer in the kernel.
    LimitLost {
        file: String,
        was: String,
        now: String,
    },
    /// The kernel's OOM kills in this container since it started.
    OomKill {
        count: u64,
        /// The newest one, if the kernel's log has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last: Option<OomKill>,
    },
    /// A process was sent a signal through wharf. The pid is the host's.
    Signal {
        pid: i32,
        signal: i32,
    },
}

impl Event {
    /// Makes an event of `what` with the current time.
    pub fn now(lxcpath: &Path, name: &Name, what: What) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let at_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Self { at_ms, lxcpath: lxcpath.to_owned(), name: name.clone(), what }
    }

    /// Returns the state that the container entered, if that is what happened.
    pub const fn enters(&self) -> Option<State> {
        match self.what {
            What::State { to, .. } => Some(to),
            What::Exited { .. }
            | What::Braked { .. }
            | What::Warned { .. }
            | What::Failed { .. }
            | What::SupervisorKilled
            | What::Created
            | What::Destroyed
            | What::Trashed
            | What::Restored
            | What::Cgroup { .. }
            | What::LimitLost { .. }
            | What::OomKill { .. }
            | What::Signal { .. } => None,
        }
    }

    /// Returns when it happened.
    pub fn at(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.at_ms))
    }
}

/// Records that `what` happened to `name`. A journal that cannot be written must not make the act
/// itself fail, so nothing is returned.
pub fn publish(lxcpath: &Lxcpath, name: &Name, what: What) {
    _ = Journal::at(lxcpath.host().runtime_dir()).append(&Event::now(lxcpath, name, what));
}

/// Follows the journal from its present end.
pub fn follow(host: &Host) -> std::io::Result<Follower> {
    journal(host)?.follow()
}

/// Follows the journal, and returns the newest `most` of the `wanted` events that it held before,
/// oldest first.
pub fn follow_with_past(
    host: &Host,
    most: usize,
    wanted: &dyn Fn(&Event) -> bool,
) -> std::io::Result<(Vec<Event>, Follower)> {
    journal(host)?.follow_with_past(most, wanted)
}

fn journal(host: &Host) -> std::io::Result<Journal> {
    host.checked_runtime_dir().map(Journal::at).map_err(std::io::Error::other)
}
