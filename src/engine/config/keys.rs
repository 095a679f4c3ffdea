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
    /// What it decides, in a few words.
    pub(super) meaning: &'static str,
    /// What the host must have for it: a feature that `checkconfig` lists; empty: nothing special.
    pub(super) needs: &'static str,
}

impl Key {
    const fn means(self, meaning: &'static str) -> Self {
        Self { meaning, ..self }
    }

    const fn needs(self, needs: &'static str) -> Self {
        Self { needs, ..self }
    }
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
    /// It changes nothing, for this reason.
    Ignored(&'static str),
    /// The start is refused if the profile must be made and the host cannot load it.
    AppArmor,
}

use Support::{Ignored, Now};
use ValueKind as F;

const fn key(
    name: &'static str,
    legacy: &'static [&'static str],
    kind: ValueKind,
    support: Support,
    default: &'static str,
) -> Key {
    Key { name, legacy, kind, support, default, meaning: "", needs: "" }
}

/// Why a key of LXC's past changes nothing.
pub(super) const GONE: &str = "LXC has no such key since 2.1";

/// Where LXC mounts the root before it turns into `/`; wharf does not need one.
const ROOTFS_MOUNT: &str = "/usr/lib/x86_64-linux-gnu/lxc/rootfs";

/// Every key but those of the network. Exact names come before the prefixes they share.
#[rustfmt::skip]
pub(super) const KEYS: &[Key] = &[
    key("lxc.include", &[], F::Include, Now, "")
        .means("another file, or the *.conf of a directory, in its place"),
    key("lxc.arch", &[], F::Arch, Now, "")
        .means("the machine that its programs see"),
    key("lxc.uts.name", &["lxc.utsname"], F::Hostname, Now, "")
        .means("its host name"),
    key("lxc.ephemeral", &[], F::Bool, Now, "0")
        .means("1: it is destroyed when it stops"),
    key("lxc.no_new_privs", &[], F::Bool, Now, "0")
        .means("1: no program in it gains privileges"),
    key("lxc.sched.core", &[], F::Bool, Now, "0")
        .means("1: no other process shares a core with its own").needs("core scheduling"),
    key("lxc.time.offset.boot", &[], F::BootOffset, Now, "0 ns\n")
        .means("how far its clock since boot is ahead").needs("time namespaces"),
    key("lxc.time.offset.monotonic", &[], F::Offset, Now, "0ns\n")
        .means("how far its monotonic clock is ahead").needs("time namespaces"),
    key("lxc.keyring.session", &[], F::Bool, Now, "0")
        .means("1: it keeps the session keyring of who starts it").needs("keyrings"),

    key("lxc.rootfs.path", &["lxc.rootfs"], F::Rootfs, Now, "")
        .means("its root: a directory, overlay, image, device or dataset"),
    key("lxc.rootfs.backend", &[], F::Text, Now, "")
        .means("the type of its root, as LXC 2.0 wrote it"),
    key("lxc.rootfs.mount", &[], F::Path, Now, ROOTFS_MOUNT)
        .means("where a root that is not a directory is mounted"),
    key("lxc.rootfs.options", &[], F::RootfsOptions, Now, "")
        .means("mount options of its root"),
    key("lxc.rootfs.managed", &[], F::Bool, Now, "1")
        .means("0: destroy leaves its files"),
    key("lxc.pivotdir", &[], F::Path, Ignored(GONE), "")
        .means("where LXC 2.0 put the host's root aside"),
    key("lxc.kmsg", &[], F::Bool, Ignored(GONE), "")
        .means("the link /dev/kmsg of LXC 2.0"),

    key("lxc.mount.fstab", &["lxc.mount"], F::Path, Now, "")
        .means("a file with a table of mounts"),
    key("lxc.mount.entry", &[], F::Mount, Now, "")
        .means("a mount, as a line of fstab(5)"),
    key("lxc.mount.auto", &[], F::Auto, Now, "")
        .means("proc, sys, cgroups and a tunnel for mounts"),

    key("lxc.cgroup.dir", &[], F::CgroupDir, Now, "")
        .means("the cgroup below which its own are"),
    key("lxc.cgroup.dir.container", &[], F::CgroupDir, Now, "")
        .means("the cgroup of its limits and processes"),
    key("lxc.cgroup.dir.container.inner", &[], F::CgroupName, Now, "")
        .means("a cgroup in it, for its processes alone"),
    key("lxc.cgroup.dir.monitor", &[], F::CgroupDir, Now, "")
        .means("the cgroup of its supervisor"),
    key("lxc.cgroup.dir.monitor.pivot", &[], F::CgroupDir, Ignored("its supervisor leaves its own cgroup before it ends"), "")
        .means("where LXC's supervisor ends"),
    key("lxc.cgroup.relative", &[], F::Bool, Now, "0")
        .means("1: its cgroups are below those of who starts it"),
    key("lxc.cgroup.", &[], F::List, Now, "")
        .means("a file of cgroup v1, or its counterpart on v2").needs("cgroups"),
    key("lxc.cgroup2.", &[], F::List, Now, "")
        .means("a file of cgroup v2, or its counterpart on v1").needs("cgroups"),

    key("lxc.cap.drop", &[], F::Capabilities, Now, "")
        .means("capabilities that it does not have"),
    key("lxc.cap.keep", &[], F::CapabilitiesKept, Now, "")
        .means("the only capabilities that it has"),
    key("lxc.idmap", &["lxc.id_map"], F::IdMap, Now, "")
        .means("which of the host's users and groups are its own").needs("user namespaces"),
    key("lxc.apparmor.profile", &["lxc.aa_profile"], F::Text, Support::AppArmor, "")
        .means("the AppArmor profile that confines it").needs("AppArmor"),
    key("lxc.apparmor.allow_incomplete", &["lxc.aa_allow_incomplete"], F::Bool, Now, "0")
        .means("1: start although the kernel's AppArmor decides about no mounts").needs("AppArmor"),
    key("lxc.apparmor.allow_nesting", &[], F::Bool, Now, "0")
        .means("1: a generated profile allows containers inside").needs("AppArmor"),
    key("lxc.apparmor.raw", &[], F::List, Now, "")
        .means("a rule of a generated profile").needs("AppArmor"),
    key("lxc.selinux.context", &["lxc.se_context"], F::Text, Now, "")
        .means("the SELinux context of its processes").needs("SELinux"),
    key("lxc.selinux.context.keyring", &[], F::Text, Now, "")
        .means("the SELinux context of its keyring").needs("SELinux"),
    key("lxc.seccomp.profile", &["lxc.seccomp"], F::Path, Now, "")
        .means("a file that says which system calls it may make").needs("seccomp"),
    key("lxc.seccomp.allow_nesting", &[], F::Bool, Now, "0")
        .means("1: load the profile although wharf itself has a filter").needs("seccomp"),
    key("lxc.seccomp.notify.proxy", &[], F::Text, Now, "")
        .means("the socket of the program that decides about calls").needs("seccomp"),
    key("lxc.seccomp.notify.cookie", &[], F::Text, Now, "")
        .means("a text that is passed to that program").needs("seccomp"),

    key("lxc.namespace.clone", &[], F::Namespaces, Now, "")
        .means("the namespaces of its own, and no others"),
    key("lxc.namespace.keep", &[], F::Namespaces, Now, "")
        .means("the namespaces that it shares with who starts it"),
    key("lxc.namespace.share.", &[], F::Map, Now, "")
        .means("a namespace of another container, process or path"),

    key("lxc.tty.max", &["lxc.tty"], F::Unsigned, Now, "0")
        .means("how many terminals it has besides the console"),
    key("lxc.tty.dir", &["lxc.devttydir"], F::Path, Now, "")
        .means("the directory in /dev of its terminals"),
    key("lxc.pty.max", &["lxc.pts"], F::Unsigned, Now, "0")
        .means("how many pseudo-terminals it can open"),
    key("lxc.console.path", &["lxc.console"], F::Path, Now, "")
        .means("where its console is shown as well; none: it has none"),
    key("lxc.console.logfile", &[], F::Path, Now, "")
        .means("the file of its console's output"),
    key("lxc.console.buffer.size", &[], F::Size, Now, "0")
        .means("how much of that output is kept in memory"),
    key("lxc.console.size", &[], F::Size, Now, "0")
        .means("how large the file of the output grows"),
    key("lxc.console.rotate", &[], F::Bool, Now, "0")
        .means("1: a full file is renamed"),
    key("lxc.autodev", &[], F::Bool, Now, "1")
        .means("0: its /dev is the one in its root"),
    key("lxc.autodev.tmpfs.size", &[], F::Unsigned, Now, "0")
        .means("the size of its /dev, in bytes"),

    key("lxc.hook.version", &[], F::Bool, Now, "0")
        .means("1: hooks get their information in variables only"),
    key("lxc.hook.pre-start", &[], F::List, Now, "")
        .means("a program to run on the host before anything is made"),
    key("lxc.hook.pre-mount", &[], F::List, Now, "")
        .means("a program to run before its root is mounted"),
    key("lxc.hook.mount", &[], F::List, Now, "")
        .means("a program to run after its root is mounted"),
    key("lxc.hook.autodev", &[], F::List, Now, "")
        .means("a program to run after its /dev is made"),
    key("lxc.hook.start-host", &[], F::List, Now, "")
        .means("a program to run on the host before its init"),
    key("lxc.hook.start", &[], F::List, Now, "")
        .means("a program to run in it before its init"),
    key("lxc.hook.stop", &[], F::List, Now, "")
        .means("a program to run on the host when its init has ended"),
    key("lxc.hook.post-stop", &[], F::List, Now, "")
        .means("a program to run on the host at the end"),
    key("lxc.hook.clone", &[], F::List, Now, "")
        .means("a program to run on the host to complete a copy"),
    key("lxc.hook.destroy", &[], F::List, Now, "")
        .means("a program to run before it is destroyed"),

    key("lxc.init.cmd", &["lxc.init_cmd"], F::Command, Now, "")
        .means("its first process"),
    key("lxc.execute.cmd", &[], F::Words, Now, "")
        .means("what `execute` runs without a command"),
    key("lxc.init.cwd", &[], F::Path, Now, "")
        .means("the directory in which its first process begins"),
    key("lxc.init.uid", &["lxc.init_uid"], F::Id, Now, "0")
        .means("the user of its first process"),
    key("lxc.init.gid", &["lxc.init_gid"], F::Id, Now, "0")
        .means("the group of its first process"),
    key("lxc.init.groups", &[], F::Gids, Now, "")
        .means("further groups of its first process"),
    key("lxc.signal.halt", &["lxc.haltsignal"], F::Signal, Now, "0")
        .means("the signal that asks it to stop"),
    key("lxc.signal.reboot", &["lxc.rebootsignal"], F::Signal, Now, "0")
        .means("the signal that asks it to restart"),
    key("lxc.signal.stop", &["lxc.stopsignal"], F::Signal, Now, "0")
        .means("the signal that ends it"),
    key("lxc.prlimit.", &["lxc.limit."], F::Limits, Now, "")
        .means("a resource limit of its processes; see setrlimit(2)"),
    key("lxc.sysctl.", &[], F::Map, Now, "")
        .means("a setting of the kernel, in its namespaces"),
    key("lxc.proc.", &[], F::Map, Now, "")
        .means("a file below /proc of its first process"),
    key("lxc.environment", &[], F::Environment, Now, "")
        .means("a variable of its first process and of hooks in it"),
    key("lxc.environment.runtime", &[], F::Environment, Now, "")
        .means("a variable of its first process alone"),
    key("lxc.environment.hooks", &[], F::Environment, Now, "")
        .means("a variable of hooks in it alone"),
    key("lxc.start.auto", &[], F::Bool, Now, "0")
        .means("1: it is started with the host"),
    key("lxc.start.delay", &[], F::Unsigned, Now, "0")
        .means("how long the next one waits for it, in seconds"),
    key("lxc.start.order", &[], F::Signed, Now, "0")
        .means("its place in the order of starts"),
    key("lxc.group", &[], F::Group, Now, "")
        .means("groups of containers that are started together"),
    key("lxc.monitor.unshare", &[], F::Unsigned, Now, "0")
        .means("1: its supervisor and hooks have mounts of their own"),
    key("lxc.monitor.signal.pdeath", &[], F::Signal, Now, "9")
        .means("the signal it gets when its supervisor dies"),
    key("lxc.log.level", &["lxc.loglevel"], F::LogLevel, Now, "NOTSET")
        .means("how important an entry of its log must be"),
    key("lxc.log.file", &["lxc.logfile"], F::Path, Now, "")
        .means("the file of its log"),
    key("lxc.log.syslog", &["lxc.syslog"], F::Facility, Now, "")
        .means("the facility by which its log goes to syslog"),
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
