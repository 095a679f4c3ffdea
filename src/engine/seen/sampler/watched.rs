//! The group of one running container, as the sampler watches it.

use std::time::Instant;

use nix::sys::inotify::WatchDescriptor;

use super::counters::{Freezing, GroupCounters};
use super::files::Files;
use super::freezers::Freezers;
use super::rates::PastReadings;
use crate::engine::cgroup::GroupPath;
use crate::engine::running::record::SetLimit;
use crate::engine::terms::name::Name;

/// The counters of one running container.
#[derive(Debug)]
pub(super) struct WatchedGroup {
    pub(super) cgroup: GroupPath,
    /// The pid of the init that it held. With another one it is another group, also at this path.
    pub(super) init: Option<i32>,
    pub(super) group: GroupCounters,
    pub(super) past: PastReadings,
    /// In which of [`super::LIMIT_LOOKS`] samples its limits are read again.
    pub(super) turn: usize,
    pub(super) freezer: Looking,
    /// The last state of the freezer.
    pub(super) frozen: Option<bool>,
    /// Which of LXC's limits were lost at that time.
    pub(super) lost: Option<(Instant, Vec<SetLimit>)>,
}

impl WatchedGroup {
    /// Returns whether this is the group at `cgroup` that holds `init`, as far as both are known.
    pub(super) fn is_of(&mut self, cgroup: &GroupPath, init: Option<i32>) -> bool {
        let known = self.init.or(init);
        self.init = known;
        self.cgroup == *cgroup && (init.is_none() || init == known)
    }

    /// Reads the state of the freezer, and from the second time on has the kernel report changes.
    pub(super) fn look_at_freezer(
        &mut self,
        name: &Name,
        files: &mut Files,
        freezers: &mut Freezers,
    ) {
        match self.group.freezing(files) {
            Some(Freezing::Passing) => freezers.again(name),
            Some(it) => self.frozen = Some(it == Freezing::Frozen),
            None => self.frozen = None,
        }
        self.freezer = match self.freezer {
            Looking::Never => Looking::Once,
            Looking::Once => {
                let watch = self.group.freezer().and_then(|it| freezers.watch(name, it));
                watch.map_or(Looking::Always, Looking::Watched)
            }
            other @ (Looking::Always | Looking::Watched(_)) => other,
        };
    }
}

/// How the freezer of a container is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looking {
    Never,
    /// For a single sample a watch would cost more than it saves.
    Once,
    /// It is read for every sample.
    Always,
    /// It is read when the kernel has reported a change.
    Watched(WatchDescriptor),
}
