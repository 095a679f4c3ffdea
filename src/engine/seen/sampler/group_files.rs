//! The files of the cgroup of the container in detail, with their values.

use std::time::{Duration, Instant};

use crate::engine::cgroup::{Cgroup, CgroupFile, FileList, GroupPath, Hierarchies};

/// Which files there are changes only when a controller is enabled or disabled.
const STALE: Duration = Duration::from_secs(2);

/// Lists the files now and then, and reads them each time.
#[derive(Debug, Default)]
pub(super) struct GroupFiles(Option<(GroupPath, Instant, FileList)>);

impl GroupFiles {
    /// Reads all files of the group at `path`.
    pub(super) fn read(&mut self, all: &Hierarchies, path: &GroupPath) -> Vec<CgroupFile> {
        let fresh = |(of, at, _): &(GroupPath, Instant, _)| of == path && at.elapsed() < STALE;
        let listed = self.0.take().filter(fresh).unwrap_or_else(|| {
            (path.clone(), Instant::now(), Cgroup::open(all, path).list_files())
        });
        let files = listed.2.read();
        self.0 = Some(listed);
        files
    }
}
