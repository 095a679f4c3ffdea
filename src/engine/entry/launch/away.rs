//! Takes this process into namespaces of others while it creates a process, which is born there.
//!
//! The pid namespace of a process is decided by its birth. The others are entered in the same way,
//! since the child may lack the privilege for it. From the users of another there is no way back:
//! the child enters those, and all the others then.

use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::{EXIT_SETUP_FAILED, LaunchError};
use crate::engine::entry::perform::SharedSpace;
use crate::engine::sys;
use crate::engine::terms::space::Space;

/// This process's own namespaces, to come back to.
#[derive(Debug, Default)]
pub(super) struct Away(Vec<(Space, OwnedFd)>);

/// The child enters these by itself: in them, this process would have other clocks, other files, or
/// could no longer create a process in the container's groups.
const fn is_for_the_child(space: Space) -> bool {
    match space {
        Space::User | Space::Cgroup | Space::Time | Space::Mnt => true,
        Space::Pid | Space::Uts | Space::Ipc | Space::Net => false,
    }
}

impl Away {
    /// Enters the namespaces; for that of pids this affects only children. The caller must be
    /// single-threaded. On failure it is back where it was.
    pub(super) fn into(shared: &[SharedSpace]) -> Result<Self, LaunchError> {
        let mut away = Self::default();
        if shared.iter().any(|it| it.space == Space::User) {
            return Ok(away);
        }
        for SharedSpace { space, file } in shared.iter().filter(|it| !is_for_the_child(it.space)) {
            let entered = own(*space).and_then(|own| {
                sys::setns(file.as_fd(), space.flag())?;
                away.0.push((*space, own));
                Ok(())
            });
            if let Err(source) = entered {
                away.back();
                return Err(LaunchError::Share { space: *space, source });
            }
        }
        Ok(away)
    }

    /// Comes back, or ends this process: anywhere else, what it does to clean up would change what is
    /// not the container's. The next command cleans up.
    pub(super) fn back(self) {
        for (space, own) in self.0 {
            if sys::setns(own.as_fd(), space.flag()).is_err() {
                sys::exit_now(EXIT_SETUP_FAILED);
            }
        }
    }
}

fn own(space: Space) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/ns/{}", space.word());
    open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
}
