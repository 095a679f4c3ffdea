//! The table of LXC's keys: every name, old and new, the kind of its value, and what wharf does
//! with it. Network interfaces have a table of their own in `net`.

use super::nearest::nearest;

/// One key of lxc.container.conf(5).
#[derive(Debug)]
pub(super) struct Key {
    /// Today's name; one that ends in `.` has a free part behind it.
    pub(super) name: &'static str,
    /// Names from earlier releases with the same meaning.
    pub(super) legacy: &'static [&'static str],
    pub(super) kind: ValueKind,
    pub(super) support: Support,
    /// What LXC shows for the key when no line sets it.
    pub(super) default: &'static str,
}

/// How a value is checked, and whether several lines add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    // One value; the last line wins.
    Text,
    Hostname,
    Path,
    Rootfs,
    RootfsOptions,
    Bool,
    Unsigned,
    Id,
    Signed,
    Size,
    Signal,
    /// Words separated by blanks; a quote is an ordinary character, as with LXC.
    Command,
    /// Words, which quotes can group.
    Words,
    Arch,
    LogLevel,
    Facility,
    BootOffset,
    Offset,
    CgroupDir,
    CgroupName,
    // One value for each free part of the key.
    Limits,
    Map,
    // Lines add up.
    List,
    Group,
    Capabilities,
    CapabilitiesKept,
    Mount,
    Auto,
    IdMap,
    Namespaces,
    Environment,
    Gids,
    Include,
}

impl ValueKind {
    /// Returns whether several lines add up instead of the last one winning.
    pub(super) const fn is_list(self) -> bool {
        matches!(
            self,
            Self::List
                | Self::Group
                | Self::Capabilities
                | Self::CapabilitiesKept
                | Self::Mount
                | Self::Auto
                | Self::IdMap
                | Self::Namespaces
                | Self::Environment
                | Self::Gids
                | Self::Include
        )
    }
}

/// How `start` treats a key that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// It is supported.
    Now,
    /// It changes nothing in a running container, or other verbs read it.
    Harmless,
    /// These values ask for what happens anyway; for others the start is refused.
    Only(&'static [&'static str]),
    /// The start is refused if the profile must be made and the host cannot load it.
    AppArmor,
}

use Support::{Harmless, Now, Only};
use ValueKind as F;

const fn key(
    name: &'static str,
    legacy: &'static [&'static str],
    kind: ValueKind,
    support: Support,
    default: &'static str,
) -> Key {
    Key { name, legacy, kind, support, default }
}

/// Where LXC mounts the root before it turns into `/`; wharf does not need one.
const ROOTFS_MOUNT: &str = "/usr/lib/x86_64-linux-gnu/lxc/rootfs";

/// Every key but those of the network. Exact names come before the prefixes they share.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("lxc.include", &[], F::Include, Now, ""),
    key("lxc.arch", &[], F::Arch, Now, ""),
    key("lxc.uts.name", &["lxc.utsname"], F::Hostname, Now, ""),
    key("lxc.ephemeral", &[], F::Bool, Now, "0"),
    key("lxc.no_new_privs", &[], F::Bool, Now, "0"),
    key("lxc.sched.core", &[], F::Bool, Now, "0"),
    key("lxc.time.offset.boot", &[], F::BootOffset, Now, "0 ns\n"),
    key("lxc.time.offset.monotonic", &[], F::Offset, Now, "0ns\n"),
    key("lxc.keyring.session", &[], F::Bool, Now, "0"),

    key("lxc.rootfs.path", &["lxc.rootfs"], F::Rootfs, Now, ""),
    key("lxc.rootfs.backend", &[], F::Text, Now, ""),
    key("lxc.rootfs.mount", &[], F::Path, Harmless, ROOTFS_MOUNT),
    key("lxc.rootfs.options", &[], F::RootfsOptions, Now, ""),
    key("lxc.rootfs.managed", &[], F::Bool, Harmless, "1"),
    key("lxc.pivotdir", &[], F::Path, Harmless, ""),
    key("lxc.kmsg", &[], F::Bool, Harmless, ""),

    key("lxc.mount.fstab", &["lxc.mount"], F::Path, Now, ""),
    key("lxc.mount.entry", &[], F::Mount, Now, ""),
    key("lxc.mount.auto", &[], F::Auto, Now, ""),

    key("lxc.cgroup.dir", &[], F::CgroupDir, Now, ""),
    key("lxc.cgroup.dir.container", &[], F::CgroupDir, Now, ""),
    key("lxc.cgroup.dir.container.inner", &[], F::CgroupName, Now, ""),
    key("lxc.cgroup.dir.monitor", &[], F::CgroupDir, Now, ""),
    key("lxc.cgroup.dir.monitor.pivot", &[], F::CgroupDir, Harmless, ""),
    key("lxc.cgroup.relative", &[], F::Bool, Only(&["0"]), "0"),
    key("lxc.cgroup.", &[], F::List, Now, ""),
    key("lxc.cgroup2.", &[], F::List, Now, ""),

    key("lxc.cap.drop", &[], F::Capabilities, Now, ""),
    key("lxc.cap.keep", &[], F::CapabilitiesKept, Now, ""),
    key("lxc.idmap", &["lxc.id_map"], F::IdMap, Now, ""),
    key("lxc.apparmor.profile", &["lxc.aa_profile"], F::Text, Support::AppArmor, ""),
    key("lxc.apparmor.allow_incomplete", &["lxc.aa_allow_incomplete"], F::Bool, Now, "0"),
    key("lxc.apparmor.allow_nesting", &[], F::Bool, Now, "0"),
    key("lxc.apparmor.raw", &[], F::List, Now, ""),
    key("lxc.selinux.context", &["lxc.se_context"], F::Text, Now, ""),
    key("lxc.selinux.context.keyring", &[], F::Text, Now, ""),
    key("lxc.seccomp.profile", &["lxc.seccomp"], F::Path, Now, ""),
    key("lxc.seccomp.allow_nesting", &[], F::Bool, Now, "0"),
    key("lxc.seccomp.notify.proxy", &[], F::Text, Now, ""),
    key("lxc.seccomp.notify.cookie", &[], F::Text, Now, ""),

    key("lxc.namespace.clone", &[], F::Namespaces, Now, ""),
    key("lxc.namespace.keep", &[], F::Namespaces, Now, ""),
    key("lxc.namespace.share.", &[], F::Map, Now, ""),

    key("lxc.tty.max", &["lxc.tty"], F::Unsigned, Now, "0"),
    key("lxc.tty.dir", &["lxc.devttydir"], F::Path, Now, ""),
    key("lxc.pty.max", &["lxc.pts"], F::Unsigned, Now, "0"),
    key("lxc.console.path", &["lxc.console"], F::Path, Now, ""),
    key("lxc.console.logfile", &[], F::Path, Now, ""),
    key("lxc.console.buffer.size", &[], F::Size, Now, "0"),
    key("lxc.console.size", &[], F::Size, Now, "0"),
    key("lxc.console.rotate", &[], F::Bool, Now, "0"),
    key("lxc.autodev", &[], F::Bool, Now, "1"),
    key("lxc.autodev.tmpfs.size", &[], F::Unsigned, Now, "0"),

    key("lxc.hook.version", &[], F::Bool, Harmless, "0"),
    key("lxc.hook.pre-start", &[], F::List, Now, ""),
    key("lxc.hook.pre-mount", &[], F::List, Now, ""),
    key("lxc.hook.mount", &[], F::List, Now, ""),
    key("lxc.hook.autodev", &[], F::List, Now, ""),
    key("lxc.hook.start-host", &[], F::List, Now, ""),
    key("lxc.hook.start", &[], F::List, Now, ""),
    key("lxc.hook.stop", &[], F::List, Now, ""),
    key("lxc.hook.post-stop", &[], F::List, Now, ""),
    key("lxc.hook.clone", &[], F::List, Harmless, ""),
    key("lxc.hook.destroy", &[], F::List, Harmless, ""),

    key("lxc.init.cmd", &["lxc.init_cmd"], F::Command, Now, ""),
    key("lxc.execute.cmd", &[], F::Words, Now, ""),
    key("lxc.init.cwd", &[], F::Path, Now, ""),
    key("lxc.init.uid", &["lxc.init_uid"], F::Id, Now, "0"),
    key("lxc.init.gid", &["lxc.init_gid"], F::Id, Now, "0"),
    key("lxc.init.groups", &[], F::Gids, Now, ""),
    key("lxc.signal.halt", &["lxc.haltsignal"], F::Signal, Now, "0"),
    key("lxc.signal.reboot", &["lxc.rebootsignal"], F::Signal, Now, "0"),
    key("lxc.signal.stop", &["lxc.stopsignal"], F::Signal, Now, "0"),
    key("lxc.prlimit.", &["lxc.limit."], F::Limits, Now, ""),
    key("lxc.sysctl.", &[], F::Map, Now, ""),
    key("lxc.proc.", &[], F::Map, Now, ""),
    key("lxc.environment", &[], F::Environment, Now, ""),
    key("lxc.environment.runtime", &[], F::Environment, Now, ""),
    key("lxc.environment.hooks", &[], F::Environment, Harmless, ""),
    key("lxc.start.auto", &[], F::Bool, Harmless, "0"),
    key("lxc.start.delay", &[], F::Unsigned, Harmless, "0"),
    key("lxc.start.order", &[], F::Signed, Harmless, "0"),
    key("lxc.group", &[], F::Group, Harmless, ""),
    key("lxc.monitor.unshare", &[], F::Unsigned, Only(&["0"]), "0"),
    key("lxc.monitor.signal.pdeath", &[], F::Signal, Now, "9"),
    key("lxc.log.level", &["lxc.loglevel"], F::LogLevel, Now, "NOTSET"),
    key("lxc.log.file", &["lxc.logfile"], F::Path, Now, ""),
    key("lxc.log.syslog", &["lxc.syslog"], F::Facility, Now, ""),
];

/// Names without a value of their own: an empty one clears all keys that start with it.
pub(super) const GROUPS: &[(&str, &str)] = &[
    ("lxc.cgroup", "lxc.cgroup."),
    ("lxc.cgroup2", "lxc.cgroup2."),
    ("lxc.prlimit", "lxc.prlimit."),
    ("lxc.limit", "lxc.prlimit."),
    ("lxc.sysctl", "lxc.sysctl."),
    ("lxc.proc", "lxc.proc."),
    ("lxc.hook", "lxc.hook."),
];

/// Finds the key called `name`, by today's or an earlier name, and its free part.
pub(super) fn find(name: &str) -> Option<(&'static Key, &str)> {
    let whole = !name.ends_with('.');
    let exact = KEYS.iter().find(|it| whole && (it.name == name || it.legacy.contains(&name)));
    if let Some(key) = exact {
        return Some((key, ""));
    }
    KEYS.iter().find_map(|key| {
        let mut names = std::iter::once(&key.name).chain(key.legacy);
        let free = names.find_map(|it| name.strip_prefix(*it).filter(|_| it.ends_with('.')))?;
        (!free.is_empty()).then_some((key, free))
    })
}

/// Returns the known key that `name` most likely meant.
pub(super) fn nearest_name(name: &str) -> Option<&'static str> {
    let all = KEYS.iter().flat_map(|it| std::iter::once(&it.name).chain(it.legacy));
    nearest(name, all.copied().chain(super::net::NAMES.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_own_key() {
        for key in KEYS {
            for name in std::iter::once(&key.name).chain(key.legacy) {
                let asked = format!("{name}{}", "x".repeat(usize::from(name.ends_with('.'))));
                let (found, _) = find(&asked).unwrap();
                assert_eq!(found.name, key.name, "{asked}");
            }
        }
    }

    #[test]
    fn free_parts_are_split_off_and_prefixes_alone_are_nothing() {
        let (key, free) = find("lxc.cgroup.memory.limit_in_bytes").unwrap();
        assert_eq!((key.name, free), ("lxc.cgroup.", "memory.limit_in_bytes"));
        assert_eq!(find("lxc.cgroup2.memory.max").unwrap().0.name, "lxc.cgroup2.");
        assert_eq!(find("lxc.limit.nofile").unwrap().0.name, "lxc.prlimit.");
        assert!(find("lxc.cgroup.").is_none());
        assert!(find("lxc.ttyfoo").is_none());
    }

    #[test]
    fn a_mistyped_key_is_recognised() {
        assert_eq!(nearest_name("lxc.rootfs.pth"), Some("lxc.rootfs.path"));
        assert_eq!(nearest_name("lxc.utsnam"), Some("lxc.utsname"));
    }
}
