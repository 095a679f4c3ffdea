//! Whether this process may do what starting a container takes, and if not, who took it away. It
//! looks; it changes nothing.

use std::error::Error;
use std::fs::read_to_string;
use std::io;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, geteuid};

use super::launch::LaunchError;

const SYS_ADMIN: u32 = 21;
/// The mode of seccomp(2) in which a program decides about each call.
const FILTERED: u32 = 2;

/// Says why this process cannot start containers; none if it has what it takes at least.
pub(super) fn missing() -> Option<&'static str> {
    let capabilities = u64::from_str_radix(&status("CapEff:")?, 16).ok()?;
    if capabilities & (1 << SYS_ADMIN) != 0 {
        None
    } else if geteuid().is_root() {
        Some(
            "root lacks CAP_SYS_ADMIN here, which a container's namespaces and mounts require; a \
             unit's CapabilityBoundingSet=, or the container that wharf runs in, removed it",
        )
    } else {
        Some(
            "root is needed for a container's namespaces, mounts and cgroups (an ordinary user's \
             containers are not supported yet); run wharf as root, as with sudo",
        )
    }
}

/// Says what around this process may be behind `error`, with the settings of systemd that do so.
/// None where it runs as a root usually does, or the kernel refused for another reason.
pub(super) fn behind(error: &(dyn Error + 'static)) -> Option<String> {
    let refused = [libc::EPERM, libc::EACCES, libc::EROFS, libc::ENOSYS, libc::ENOENT];
    if !refused.contains(&errno(error)?) {
        return None;
    }
    let found: Vec<&str> = SIGNS.iter().filter(|(is, _)| is()).map(|(_, what)| *what).collect();
    (!found.is_empty()).then(|| format!("this process is restricted: {}", found.join(", ")))
}

/// How a restriction is seen, and what it is called.
type Sign = (fn() -> bool, &'static str);

const SIGNS: [Sign; 5] = [
    (
        || status("Seccomp:").and_then(|it| it.parse().ok()) == Some(FILTERED),
        "a filter refuses system calls (RestrictNamespaces=, RestrictSUIDSGID=, SystemCallFilter=)",
    ),
    (
        || read_to_string("/proc/self/uid_map").is_ok_and(|it| !it.trim().ends_with("4294967295")),
        "it is in a user namespace (PrivateUsers=)",
    ),
    (|| !is_devtmpfs(), "its /dev is not the host's (PrivateDevices=)"),
    (|| is_read_only("/sys/fs/cgroup"), "its cgroups are read-only (ProtectControlGroups=)"),
    (|| is_read_only("/run"), "its /run is read-only (ReadOnlyPaths=, ProtectSystem=strict)"),
];

fn is_devtmpfs() -> bool {
    let mounts = read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // The last mount on a place is the one that is seen.
    let dev = mounts.lines().rfind(|it| it.split(' ').nth(4) == Some("/dev"));
    dev.is_none_or(|it| it.contains(" - devtmpfs "))
}

fn is_read_only(path: &str) -> bool {
    access(path, AccessFlags::W_OK) == Err(Errno::EROFS)
}

fn status(key: &str) -> Option<String> {
    let status = read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|it| it.strip_prefix(key)).map(|it| it.trim().to_owned())
}

/// Returns the kernel's reason that is at the bottom of `error`.
fn errno(error: &(dyn Error + 'static)) -> Option<i32> {
    let mut next = Some(error);
    while let Some(it) = next {
        if let Some(LaunchError::Step { errno, .. }) = it.downcast_ref() {
            return Some(*errno as i32);
        }
        if let Some(errno) = it.downcast_ref::<Errno>() {
            return Some(*errno as i32);
        }
        if let Some(number) = it.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(number);
        }
        next = it.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Errno);

    #[test]
    fn the_kernels_reason_is_found_below() {
        assert_eq!(errno(&Outer(Errno::ENOSYS)), Some(libc::ENOSYS));
        assert_eq!(errno(&io::Error::from_raw_os_error(libc::EROFS)), Some(libc::EROFS));
        assert_eq!(errno(&io::Error::other("x")), None);
        let (step, reason, place) = ("make /dev".to_owned(), "", String::new());
        let step = LaunchError::Step { step, part: "", reason, place, errno: Errno::ENOENT };
        assert_eq!(errno(&step), Some(libc::ENOENT));
        assert_eq!(behind(&Outer(Errno::ENOSPC)), None);
    }
}
