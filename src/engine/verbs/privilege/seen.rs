//! What a process can see of its own restrictions, and what that says about an error. Observation
//! and judgement are separate: the judgement is a pure function.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, geteuid};

use super::calls::{CALLS, Call, FORK, Watched};
use crate::engine::host::mountinfo;
use crate::engine::host::short::{read_short, text_at_once};
use crate::engine::sys::probe::{self, TrialOutcome};

/// The mode of seccomp(2) in which a program decides about each call.
const FILTERED: &str = "2";

/// What this process can see of itself.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) is_root: bool,
    /// The capabilities in effect.
    pub(super) effective: u64,
    /// What a filter denies.
    pub(super) refused: Vec<(&'static Call, TrialOutcome)>,
    /// A cgroup v1 hierarchy decides about devices.
    pub(super) old_devices: bool,
    pub(super) apart: Vec<Apart>,
    pub(super) read_only: Vec<(String, ReadOnly)>,
}

/// What is hidden from the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Apart {
    Users,
    Devices,
}

/// Why a directory is read-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadOnly {
    /// The mount is read-only; the file system itself is not.
    Mount,
    FileSystem,
}

/// What `/proc/self/status` says of this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// The capabilities in effect.
    pub(super) effective: u64,
    /// A program decides about its system calls.
    pub(super) is_filtered: bool,
}

impl Standing {
    /// Reads it once: it changes only for a process that asks for that, which this one does not.
    pub(super) fn read() -> Self {
        static OWN: OnceLock<Standing> = OnceLock::new();
        *OWN.get_or_init(Self::read_anew)
    }

    fn read_anew() -> Self {
        let status = text_at_once("/proc/self/status").unwrap_or_default();
        let field = |key: &str| status.lines().find_map(|it| it.strip_prefix(key)).map(str::trim);
        let effective = field("CapEff:").and_then(|it| u64::from_str_radix(it, 16).ok());
        Self {
            effective: effective.unwrap_or(u64::MAX),
            is_filtered: field("Seccomp:") == Some(FILTERED),
        }
    }
}

impl Seen {
    /// Observes, including `places`. Tries system calls if there is a filter.
    pub(super) fn look(places: &[&Path]) -> Self {
        let Standing { effective, is_filtered } = Standing::read();
        let mounts = read("/proc/self/mountinfo");
        let cgroups = read("/proc/self/cgroup");
        let cgroup = cgroup_mounts(&mounts).find(|it| is_read_only(it));
        let places = places.iter().copied().filter(|it| is_read_only(it));
        let read_only = places.map(Path::to_path_buf).chain(cgroup);
        Self {
            is_root: geteuid().is_root(),
            effective,
            refused: if is_filtered { refused(effective) } else { Vec::new() },
            old_devices: cgroups.lines().any(|it| it.split(':').nth(1) == Some("devices")),
            apart: Apart::look(&mounts),
            read_only: read_only
                .map(|it| (it.display().to_string(), read_only_by(&mounts, &it)))
                .collect(),
        }
    }

    /// Returns which of this may be behind a refusal with `errno`; none: nothing visible.
    pub(super) fn behind(&self, errno: Errno) -> Option<String> {
        let denied = matches!(errno, Errno::EPERM | Errno::EACCES);
        let mut found = Vec::new();
        if denied || matches!(errno, Errno::ENOSYS | Errno::EAFNOSUPPORT) || self.answers(errno) {
            found.extend(self.filter());
        }
        if denied {
            found.extend(self.lacking());
        }
        // A device of the host's may be hidden.
        if denied || errno == Errno::ENOENT {
            found.extend(self.apart.iter().map(|it| it.words().to_owned()));
        }
        if denied || errno == Errno::EROFS {
            found.extend(
                [ReadOnly::Mount, ReadOnly::FileSystem]
                    .map(|it| self.read_only(it))
                    .into_iter()
                    .flatten(),
            );
        }
        (!found.is_empty()).then(|| restricted(&found.join(", ")))
    }

    /// Returns for which calls a filter kills, if that could not be reported afterwards.
    pub(super) fn deadly(&self) -> Option<String> {
        let kills = |(call, answer): &&(&Call, TrialOutcome)| {
            *answer == TrialOutcome::Killed
                && match call.watched {
                    Watched::Yes => false,
                    Watched::No => true,
                    Watched::NotOnV2 => !self.old_devices,
                }
        };
        self.refused.iter().find(kills)?;
        self.filter().as_deref().map(restricted)
    }

    fn answers(&self, errno: Errno) -> bool {
        self.refused.iter().any(|(_, answer)| *answer == TrialOutcome::Errno(errno as i32))
    }

    /// Names the denied calls, and the settings that may cause the filter.
    fn filter(&self) -> Option<String> {
        let names = |killed: bool| {
            let refused =
                self.refused.iter().filter(|(_, it)| (*it == TrialOutcome::Killed) == killed);
            let names: Vec<&str> = refused.map(|(call, _)| call.name).collect();
            names.join(" ")
        };
        let says = match (names(true).as_str(), names(false).as_str()) {
            ("", "") => return None,
            ("", refused) => format!("a system call filter denies it {refused}"),
            (killed, "") => format!("a system call filter kills it for {killed}"),
            (killed, refused) => {
                format!("a system call filter kills it for {killed} and denies it {refused}")
            }
        };
        let mut settings: Vec<&str> = self.refused.iter().filter_map(|it| it.0.setting).collect();
        settings.sort_unstable();
        settings.dedup();
        settings.push("SystemCallFilter=");
        Some(format!("{says} (a unit's {})", settings.join(" or ")))
    }

    /// Names the places that are read-only for this reason.
    fn read_only(&self, why: ReadOnly) -> Option<String> {
        let places = self.read_only.iter().filter(|it| it.1 == why).map(|it| it.0.as_str());
        let places: Vec<&str> = places.collect();
        let places = Some(places.join(" and ")).filter(|it| !it.is_empty())?;
        Some(match why {
            ReadOnly::Mount => format!(
                "it can only read {places} (ProtectSystem=, ProtectControlGroups= or \
                 ReadOnlyPaths= of a unit, or a container)"
            ),
            ReadOnly::FileSystem => format!("the file system at {places} is read-only"),
        })
    }

    /// Names the capabilities that root lacks.
    fn lacking(&self) -> Option<String> {
        let lacking = NEEDED.iter().filter(|(bit, _)| self.effective & (1 << bit) == 0);
        let lacking: Vec<&str> = lacking.map(|(_, name)| *name).collect();
        (self.is_root && !lacking.is_empty()).then(|| {
            let lacking = lacking.join(" ");
            format!("root lacks {lacking} here (a unit's CapabilityBoundingSet=, or a container)")
        })
    }
}

/// Reads a file of this process; empty if it cannot be read.
fn read(path: &str) -> String {
    let bytes = File::open(path).and_then(|it| read_short(it, u64::MAX)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn restricted(how: &str) -> String {
    format!("this process is restricted: {how}; run wharf without these restrictions")
}

impl Apart {
    fn look(mounts: &str) -> Vec<Self> {
        const EVERYBODY: &str = "4294967295";
        let map = read("/proc/self/uid_map");
        let is_apart = !map.is_empty() && !map.trim().ends_with(EVERYBODY);
        let users = is_apart.then_some(Self::Users);
        users.into_iter().chain(has_own_dev(mounts).then_some(Self::Devices)).collect()
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Users => "it is in a user namespace (a unit's PrivateUsers=, or a container)",
            Self::Devices => {
                "its /dev is not the host's (a unit's PrivateDevices=, or a container)"
            }
        }
    }
}

/// Capabilities that root has and containers require, see capabilities(7).
const NEEDED: [(u8, &str); 12] = [
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (8, "CAP_SETPCAP"),
    (12, "CAP_NET_ADMIN"),
    (18, "CAP_SYS_CHROOT"),
    (19, "CAP_SYS_PTRACE"),
    (super::SYS_ADMIN, "CAP_SYS_ADMIN"),
    (27, "CAP_MKNOD"),
];

fn refused(effective: u64) -> Vec<(&'static Call, TrialOutcome)> {
    let trials: Vec<_> = CALLS.iter().map(|it| it.trial).collect();
    match probe::answers(&trials) {
        Ok(answers) => CALLS
            .iter()
            .zip(answers)
            .filter(|(call, answer)| call.is_filtered(*answer, effective))
            .collect(),
        // No process can be created to try the others.
        Err(errno @ (Errno::EPERM | Errno::EACCES | Errno::ENOSYS)) => CALLS
            .iter()
            .filter(|it| it.name == FORK)
            .map(|it| (it, TrialOutcome::Errno(errno as i32)))
            .collect(),
        Err(_) => Vec::new(),
    }
}

/// Returns whether /dev shows something other than the kernel's own devices.
fn has_own_dev(mounts: &str) -> bool {
    // The last mount on a path is the visible one.
    let dev = mounts.lines().rfind(|it| it.split(' ').nth(4) == Some("/dev"));
    dev.is_some_and(|it| !it.contains(" - devtmpfs "))
}

/// The field of a line of mountinfo that is the mount point.
const POINT: usize = 4;

/// Returns where cgroups are.
fn cgroup_mounts(mounts: &str) -> impl Iterator<Item = PathBuf> {
    let mounts = mounts.lines().filter(|it| it.contains(" - cgroup"));
    mounts.filter_map(|it| it.split(' ').nth(POINT)).map(|it| mountinfo::unescaped(it.as_bytes()))
}

fn is_read_only(place: &Path) -> bool {
    access(place, AccessFlags::W_OK) == Err(Errno::EROFS)
}

/// Returns what makes `place` read-only: the mount that it is on, or the file system in it.
fn read_only_by(mounts: &str, place: &Path) -> ReadOnly {
    let point = |line: &str| {
        line.split(' ').nth(POINT).map(|it| mountinfo::unescaped(it.as_bytes())).unwrap_or_default()
    };
    let holds = mounts.lines().filter(|it| place.starts_with(point(it)));
    // Of two on the same path the later one is visible.
    let mount = holds.max_by_key(|it| point(it).components().count());
    let options = mount.and_then(|it| it.rsplit(' ').next()).unwrap_or_default();
    if options.split(',').any(|it| it == "ro") { ReadOnly::FileSystem } else { ReadOnly::Mount }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: u64 = u64::MAX;

    fn root() -> Seen {
        Seen { is_root: true, effective: ALL, ..Seen::default() }
    }

    fn filtered(answers: &[(&str, TrialOutcome)]) -> Seen {
        let call = |name: &str| CALLS.iter().find(|it| it.name == name).unwrap();
        Seen { refused: answers.iter().map(|(it, answer)| (call(it), *answer)).collect(), ..root() }
    }

    fn said(seen: &Seen, errno: Errno) -> String {
        seen.behind(errno).unwrap_or_default()
    }

    #[test]
    fn the_kernel_itself_answers_each_trial_as_expected() {
        let status = read("/proc/self/status");
        if status.lines().any(|it| it == "Seccomp:\t0") {
            let refused = refused(Seen::look(&[]).effective);
            assert!(refused.is_empty(), "{refused:?}");
        }
    }

    #[test]
    fn nothing_is_said_of_a_root_whom_nothing_restricts() {
        for errno in [Errno::EPERM, Errno::EACCES, Errno::EROFS, Errno::ENOSYS, Errno::ENOENT] {
            assert_eq!(root().behind(errno), None, "{errno}");
        }
        assert_eq!(root().deadly(), None);
    }

    #[test]
    fn the_calls_that_a_filter_refuses_are_named_with_what_may_have_set_it() {
        let refusals = [("clone3", Errno::ENOSYS), ("unshare", Errno::EPERM)];
        let seen = filtered(&refusals.map(|(it, errno)| (it, TrialOutcome::Errno(errno as i32))));
        for errno in [Errno::ENOSYS, Errno::EPERM] {
            assert_eq!(
                said(&seen, errno),
                "this process is restricted: a system call filter denies it clone3 unshare (a \
                 unit's RestrictNamespaces= or SystemCallFilter=); run wharf without these \
                 restrictions"
            );
        }
        // An error number that the filter chose.
        let seen = filtered(&[("mount", TrialOutcome::Errno(libc::ENOLINK))]);
        assert!(
            said(&seen, Errno::ENOLINK).contains("denies it mount (a unit's SystemCallFilter=)")
        );
        assert_eq!(seen.behind(Errno::EROFS), None);
        assert_eq!(seen.deadly(), None);
        let seen = filtered(&[("socket(AF_UNIX)", TrialOutcome::Errno(libc::EAFNOSUPPORT))]);
        assert!(said(&seen, Errno::EAFNOSUPPORT).contains("RestrictAddressFamilies="));
    }

    #[test]
    fn a_filter_that_kills_is_reported_before_the_kill() {
        // The new process is watched when it mounts.
        assert_eq!(filtered(&[("mount", TrialOutcome::Killed)]).deadly(), None);
        let both = [("mount", TrialOutcome::Killed), ("open_tree", TrialOutcome::Killed)];
        let deadly = filtered(&both).deadly().unwrap();
        assert!(deadly.contains("kills it for mount open_tree (a unit's Sys"), "{deadly}");
        let bpf = filtered(&[("bpf", TrialOutcome::Killed)]);
        assert!(bpf.deadly().is_some());
        assert_eq!(Seen { old_devices: true, ..bpf }.deadly(), None);
    }

    #[test]
    fn what_root_lacks_is_named_and_is_not_taken_for_a_filter() {
        let seen = Seen { effective: ALL & !(1 << 1 | 1 << 27), ..root() };
        assert!(said(&seen, Errno::EACCES).contains("root lacks CAP_DAC_OVERRIDE CAP_MKNOD here"));
        assert_eq!(seen.behind(Errno::EROFS), None);
        assert_eq!(Seen { is_root: false, ..seen }.behind(Errno::EACCES), None);
        let hostname = CALLS.iter().find(|it| it.name == "sethostname").unwrap();
        let denied = TrialOutcome::Errno(libc::EPERM);
        assert!(hostname.is_filtered(denied, ALL));
        assert!(!hostname.is_filtered(denied, 0));
        assert!(hostname.is_filtered(TrialOutcome::Killed, 0));
        assert!(!hostname.is_filtered(TrialOutcome::Errno(libc::EINVAL), ALL));
    }

    #[test]
    fn what_is_read_only_is_told_of_writes_and_by_what_it_is() {
        const MOUNTS: &str = "30 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            31 30 8:1 /run /run ro,nosuid - tmpfs tmpfs rw,size=9k\n\
            32 31 8:2 / /run/media ro - iso9660 /dev/sr0 ro\n";
        let of = |path: &str| read_only_by(MOUNTS, Path::new(path));
        assert_eq!(of("/run/wharf"), ReadOnly::Mount);
        assert_eq!(of("/run/media/x"), ReadOnly::FileSystem);
        let read_only = vec![("/run".to_owned(), of("/run"))];
        let seen = Seen { read_only, apart: vec![Apart::Devices], ..root() };
        let words = said(&seen, Errno::EROFS);
        assert!(words.contains("it can only read /run (ProtectSystem=,"), "{words}");
        assert!(!words.contains("/dev"), "{words}");
        assert!(said(&seen, Errno::ENOENT).contains("PrivateDevices="));
        assert!(has_own_dev(
            "20 1 0:2 / /dev rw - devtmpfs d rw\n21 1 0:3 / /dev rw - tmpfs t rw\n"
        ));
    }
}
