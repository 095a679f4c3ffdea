//! The kernel's report of OOM kills in a group: a count, and a descriptor that polls when the count
//! may have grown.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::poll::PollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::Cgroup;
use super::file::write_once;
use crate::engine::host::short::text_at_once;

/// The files that count kills, each in a line `oom_kill N`, by version.
const V2_COUNTER: &str = "memory.events";
const V1_COUNTER: &str = "memory.oom_control";
/// Longer than either of them, whose lines are few.
const COUNTS: usize = 512;
/// The files of the limits, in the same order.
const V2_LIMIT: &str = "memory.max";
const V1_LIMIT: &str = "memory.limit_in_bytes";
/// v1 shows "no limit" as the most pages that it can count; nobody sets that much.
const NO_LIMIT_FROM: u64 = 1 << 62;

/// A watch over the kills in one group.
#[derive(Debug)]
pub(in crate::engine) struct OomWatch {
    counter: File,
    limit: PathBuf,
    /// v1 notifies through a separate descriptor, and does so before it kills.
    notice: Option<EventFd>,
    seen: u64,
}

impl Cgroup {
    /// Counts the kills from now on; none if no memory controller reports them.
    pub(in crate::engine) fn watch_oom(&self) -> Option<OomWatch> {
        let v2 = self.unified().map(|it| (&it.dir, V2_COUNTER));
        let v1 = self.v1("memory").map(|it| (&it.dir, V1_COUNTER));
        let opened = |(dir, file): (&'_ PathBuf, _)| {
            let counter = File::open(dir.join(file)).ok()?;
            Some((dir.clone(), file, counter))
        };
        let (dir, file, counter) = v2.into_iter().chain(v1).find_map(opened)?;
        let notice = if file == V1_COUNTER { subscribe(&dir, &counter) } else { None };
        let limit = dir.join(if file == V1_COUNTER { V1_LIMIT } else { V2_LIMIT });
        let mut watch = OomWatch { counter, limit, notice, seen: 0 };
        watch.seen = watch.count()?;
        Some(watch)
    }
}

impl OomWatch {
    /// What to poll the descriptor for.
    pub(in crate::engine) const fn interest(&self) -> PollFlags {
        if self.notice.is_some() { PollFlags::POLLIN } else { PollFlags::POLLPRI }
    }

    /// Returns whether the descriptor polls before the count grows.
    pub(in crate::engine) const fn notifies_early(&self) -> bool {
        self.notice.is_some()
    }

    /// Returns how many were killed since the watch began, if it is more than at the last call.
    pub(in crate::engine) fn grown(&mut self) -> Option<u64> {
        if let Some(notice) = &self.notice {
            // Finding nothing to read is fine: there may have been no notice.
            _ = notice.read();
        }
        let count = self.count().filter(|it| *it > self.seen)?;
        self.seen = count;
        Some(count)
    }

    /// Returns the group's memory limit, if it has one.
    pub(in crate::engine) fn limit_bytes(&self) -> Option<u64> {
        let text = text_at_once(&self.limit).ok()?;
        text.trim().parse().ok().filter(|it| *it < NO_LIMIT_FROM)
    }

    fn count(&mut self) -> Option<u64> {
        let mut text = [0; COUNTS];
        // From the start, whatever was read before.
        let length = self.counter.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        text.lines().find_map(|it| it.strip_prefix("oom_kill "))?.trim().parse().ok()
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notice.as_ref().map_or_else(|| self.counter.as_fd(), EventFd::as_fd)
    }
}

/// Asks the v1 controller for notices; see memory.rst of the kernel's cgroup-v1 documents.
fn subscribe(dir: &Path, counter: &File) -> Option<EventFd> {
    let notice = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).ok()?;
    let order = format!("{} {}", notice.as_fd().as_raw_fd(), counter.as_raw_fd());
    write_once(&dir.join("cgroup.event_control"), order.as_bytes()).ok()?;
    Some(notice)
}
