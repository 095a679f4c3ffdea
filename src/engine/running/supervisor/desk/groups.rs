//! Answers which groups a container has: paths and descriptors, in LXC's structures.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::super::reply::{FollowUp, Reply};
use super::Desk;
use crate::engine::cgroup::{Cgroup, Layout, Version};
use crate::engine::running::command_socket::wire;

impl Desk {
    pub(super) fn cgroup_path(&self, cgroup: &Cgroup, payload: &[u8]) -> Reply {
        let controller = match payload {
            [] => None,
            text => match wire::decode_text(text) {
                Some(text) => Some(text),
                None => return Reply::error(Errno::EINVAL),
            },
        };
        let found = self.dir_of(cgroup, controller).and_then(|it| self.path_of(&it));
        found.map_or_else(|| Reply::silence(FollowUp::Close), |it| Reply::text(&it))
    }

    /// Only on a v2-only host: LXC's tools freeze with it, and on a hybrid host everything else
    /// uses the v1 freezer.
    pub(super) fn unified_fd(&self, cgroup: &Cgroup) -> Reply {
        let pure = self.hierarchies.layout() == Some(Layout::V2);
        match self.dir_of(cgroup, None).filter(|_| pure) {
            Some(dir) => Reply::fd(open_dir(&dir)),
            None => Reply::error(Errno::EINVAL),
        }
    }

    /// LXC's `struct cgroup_fd`: layout, utilities, type, descriptor, and 64 bytes of a name.
    pub(super) fn cgroup_fd(&self, cgroup: &Cgroup, payload: &[u8]) -> Reply {
        const NAME: std::ops::Range<usize> = 16..80;
        let name = payload.get(NAME).unwrap_or_default();
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let Some(name) = std::str::from_utf8(name).ok().filter(|it| !it.is_empty()) else {
            return Reply::error(Errno::EINVAL);
        };
        let name = name.to_owned();
        let Some(dir) = self.dir_of(cgroup, Some(&name)) else {
            return Reply::error(Errno::ENOENT);
        };
        let unified = self.dir_of(cgroup, None).as_ref() == Some(&dir);
        let magic = if unified { libc::CGROUP2_SUPER_MAGIC } else { libc::CGROUP_SUPER_MAGIC };
        let mut answer = self.layout().to_ne_bytes().to_vec();
        answer.extend(0_u32.to_ne_bytes());
        answer.extend((magic as i32).to_ne_bytes());
        answer.extend((-1_i32).to_ne_bytes());
        answer.extend_from_slice(payload.get(NAME).unwrap_or_default());
        let reply = Reply::fd(open_dir(&dir));
        if reply.fds.is_empty() { reply } else { Reply { fds: reply.fds, ..Reply::bytes(answer) } }
    }

    /// LXC's `struct cgroup_ctx`: layout, utilities, and the number of descriptors, which lie in
    /// the message itself; the array for them is filled by the client.
    pub(super) fn cgroup_ctx(&self, payload: &[u8]) -> Reply {
        const LEN: usize = 96;
        const MOST: usize = 20;
        if payload.len() != LEN {
            return Reply::error(Errno::EINVAL);
        }
        let dirs = self.inner.dirs();
        let fds: io::Result<Vec<_>> = dirs.iter().take(MOST).map(|it| open_dir(it)).collect();
        let Some(fds) = fds.ok().filter(|it| !it.is_empty()) else {
            return Reply::error(Errno::ENOENT);
        };
        let mut answer = self.layout().to_ne_bytes().to_vec();
        answer.extend(0_u32.to_ne_bytes());
        answer.extend((fds.len() as u32).to_ne_bytes());
        answer.resize(LEN, 0);
        Reply { fds, ..Reply::bytes(answer) }
    }

    /// LXC's number for the host's layout.
    fn layout(&self) -> i32 {
        match self.hierarchies.layout() {
            None => -1,
            Some(Layout::V1) => 0,
            Some(Layout::Hybrid) => 1,
            Some(Layout::V2) => 2,
        }
    }

    /// Returns the path of a group below the root of its hierarchy.
    fn path_of(&self, dir: &Path) -> Option<String> {
        let mut all = self.hierarchies.iter();
        all.find(|it| dir.starts_with(&it.mount)).map(|it| it.path_of(dir))
    }

    /// Returns the directory of `cgroup` in the hierarchy of `controller`, or in the unified one.
    fn dir_of(&self, cgroup: &Cgroup, controller: Option<&str>) -> Option<PathBuf> {
        let dirs = cgroup.dirs();
        let hierarchy = self.hierarchies.iter().find(|it| match controller {
            Some(controller) => it.controls(controller),
            None => it.version == Version::V2,
        });
        // v2 freezes and filters devices without a controller of that name.
        let implied = matches!(controller, Some("freezer" | "devices" | "unified"));
        let hierarchy = hierarchy.or_else(|| self.hierarchies.unified().filter(|_| implied))?;
        dirs.into_iter().find(|it| it.starts_with(&hierarchy.mount))
    }
}

fn open_dir(dir: &Path) -> io::Result<OwnedFd> {
    let flags = libc::O_DIRECTORY | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    Ok(File::options().read(true).custom_flags(flags).open(dir)?.into())
}
