//! Finds the init of a root directory, and how that one is asked to end. Follows links only within
//! the directory.

use std::fmt;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::engine::sys;

/// An init, by the ways in which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RootInit {
    Systemd,
    Busybox,
    /// One that takes the signals that are LXC's defaults, such as that of SysV.
    Other,
}

/// The program that a container without `lxc.init.cmd` runs.
const INIT: &str = "sbin/init";

impl RootInit {
    /// Finds the init in `root`; none: there is none, or the kernel cannot look it up safely.
    pub(super) fn of(root: &Path) -> Option<Self> {
        let root = File::open(root).ok()?;
        let found = sys::open_inside(&root, INIT, OFlag::O_PATH).ok()?;
        let path = std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()?;
        File::from(found).metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(match path.file_name()?.to_str()? {
            "systemd" => Self::Systemd,
            "busybox" => Self::Busybox,
            _ => Self::Other,
        })
    }

    /// Returns which signals it is asked by, as settings, where they are not LXC's defaults.
    pub(super) const fn signals(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Systemd => {
                &[("lxc.signal.halt", "SIGRTMIN+3"), ("lxc.signal.reboot", "SIGRTMIN+5")]
            }
            Self::Busybox => &[("lxc.signal.halt", "SIGUSR2"), ("lxc.signal.reboot", "SIGTERM")],
            Self::Other => &[],
        }
    }
}

impl fmt::Display for RootInit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Systemd => "systemd",
            Self::Busybox => "busybox",
            Self::Other => "an init of its own",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn an_init_is_found_by_links_within_the_root_alone() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("usr/sbin")).unwrap();
        fs::create_dir_all(root.join("usr/lib/systemd")).unwrap();
        symlink("usr/sbin", root.join("sbin")).unwrap();
        assert_eq!(RootInit::of(&root), None);
        let init = root.join("usr/sbin/init");
        // Where an absolute link leads is seen from the root.
        symlink("/usr/lib/systemd/systemd", &init).unwrap();
        assert_eq!(RootInit::of(&root), None);
        fs::write(root.join("usr/lib/systemd/systemd"), "").unwrap();
        assert_eq!(RootInit::of(&root), Some(RootInit::Systemd));
        fs::remove_file(&init).unwrap();
        fs::write(dir.path().join("busybox"), "").unwrap();
        symlink("../../../busybox", &init).unwrap();
        assert_eq!(RootInit::of(&root), None);
        fs::write(root.join("busybox"), "").unwrap();
        assert_eq!(RootInit::of(&root), Some(RootInit::Busybox));
        fs::remove_file(&init).unwrap();
        fs::write(&init, "").unwrap();
        assert_eq!(RootInit::of(&root), Some(RootInit::Other));
    }
}
