//! The rules of a profile that a container has for itself: what LXC's generated profile denies and
//! allows. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What every such container may do.
const GIVEN: &str = "\
  capability,
  dbus,
  file,
  network,
  umount,
  unix (receive),
  unix peer=(label=@{profile_name}),
  signal (receive),
  signal peer=@{profile_name},
  ptrace (readby, tracedby),
  ptrace peer=@{profile_name},
";

/// Mounts that it may make: of a kind that holds nothing of the host's, or where that belongs.
const MOUNTS: &str = "
  mount fstype=tmpfs,
  mount fstype=hugetlbfs,
  mount fstype=mqueue,
  mount fstype=fuse,
  mount fstype=fuse.*,
  mount fstype=proc -> /proc/,
  mount fstype=binfmt_misc -> /proc/sys/fs/binfmt_misc/,
  mount fstype=sysfs -> /sys/,
  mount options=(rw,nosuid,nodev,noexec,remount) -> /sys/,
  mount fstype=efivarfs -> /sys/firmware/efi/efivars/,
  mount fstype=fusectl -> /sys/fs/fuse/connections/,
  mount fstype=securityfs -> /sys/kernel/security/,
  mount fstype=debugfs -> /sys/kernel/debug/,
  mount fstype=cgroup -> /sys/fs/cgroup/**,
  mount fstype=cgroup2 -> /sys/fs/cgroup/**,
  mount options=(ro,nosuid,nodev,noexec,remount,strictatime) -> /sys/fs/cgroup/,
";

/// What is denied, without a line in the log for each attempt.
const DENIED: &str = "
  deny mount options=(ro,remount) -> /,
  deny mount options=(ro,remount,silent) -> /,
  deny mount fstype=debugfs -> /var/lib/ureadahead/debugfs/,
  deny /proc/bus/** wklx,
  deny /proc/kcore rwklx,
  deny /proc/sysrq-trigger rwklx,
  deny /proc/acpi/** rwklx,
  deny /sys/firmware/efi/efivars/** rwklx,
  deny /sys/kernel/debug/{,**} rwklx,
";

/// What containers inside it need besides. Their mounts cannot be told from others.
const NESTING: &str = "
  pivot_root,
  ptrace,
  signal,
  mount,
  deny /dev/.lxc/proc/** rw,
  deny /dev/.lxc/sys/** rw,
";

/// What is harmless in a user namespace of its own.
const USERS: &str = "
  pivot_root,
  mount fstype=binfmt_misc,
  mount options=(rw,bind),
  mount options=(rw,rbind),
  mount options=(ro,remount),
";

/// How mounts can be passed on. Some versions of the parser (CVE-2016-1585) take such a rule for
/// leave to mount anything wherever it says, which is why it says the root alone.
const PROPAGATIONS: [&str; 8] = [
    "make-slave",
    "make-rslave",
    "make-shared",
    "make-rshared",
    "make-private",
    "make-rprivate",
    "make-unbindable",
    "make-runbindable",
];

/// Directories that show the host, with what LXC keeps for containers inside.
const HOSTS: [&str; 3] = ["dev/.lxc", "proc", "sys"];
/// The same, of which nothing below may be bound either.
const WHOLE_HOSTS: [&str; 3] = ["dev", "proc", "sys"];
/// Settings below `/proc/sys` that are the container's own.
const OWN_SETTINGS: [&str; 7] = [
    "fs/binfmt_misc",
    "kernel/domainname",
    "kernel/hostname",
    "kernel/msg*",
    "kernel/sem*",
    "kernel/shm*",
    "net",
];
/// What is the container's own below `/sys`.
const OWN_DEVICES: [&str; 3] = ["class/net", "devices/virtual/net", "fs/cgroup"];
const OWN_PROFILES: &str = "kernel/security/apparmor";

/// What decides about the rules.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) name: &'a str,
    /// Where it can load profiles of its own.
    pub(super) namespace: Option<&'a str>,
    /// `lxc.apparmor.allow_nesting`.
    pub(super) nests: bool,
    /// Its root is not the host's.
    pub(super) users: bool,
    /// User namespaces are denied where no rule allows them.
    pub(super) mediates_users: bool,
    /// `lxc.apparmor.raw`.
    pub(super) raw: Vec<&'a str>,
}

impl Rules<'_> {
    /// Writes the profile.
    pub(super) fn text(&self) -> String {
        let name = self.name;
        let mut text = format!(
            "#include <tunables/global>\n\
             profile \"{name}\" flags=(attach_disconnected,mediate_deleted) {{\n{GIVEN}"
        );
        if self.mediates_users {
            line(&mut text, "userns");
        }
        text.push_str(MOUNTS);
        for how in PROPAGATIONS {
            line(&mut text, &format!("mount options=(rw,{how}) -> /"));
        }
        for (how, kept) in [("bind", &HOSTS), ("rbind", &WHOLE_HOSTS), ("move", &HOSTS)] {
            line(&mut text, &format!("mount options=(rw,{how}) {}", all_but("/", kept)));
        }
        let path = all_but("/", &HOSTS);
        for flags in kept_flags() {
            line(&mut text, &format!("mount options=(ro,remount,bind{flags}) -> {path}"));
        }
        text.push_str(DENIED);
        deny(&mut text, &all_but("/proc/sys/fs/", &["binfmt_misc"]));
        if !self.users {
            deny(&mut text, "/proc/sys/fs/binfmt_misc/{,**}");
        }
        if self.nests {
            text.push_str(NESTING);
        } else {
            self.keep_settings(&mut text);
        }
        if self.users {
            text.push_str(USERS);
        }
        self.changes(&mut text);
        for rule in &self.raw {
            text.push_str(rule);
            text.push('\n');
        }
        text.push_str("}\n");
        text
    }

    /// Denies changes to the host's settings.
    fn keep_settings(&self, text: &mut String) {
        deny(text, &all_but("/proc/sys/", &OWN_SETTINGS));
        let profiles = self.namespace.map(|_| OWN_PROFILES);
        let own: Vec<&str> = OWN_DEVICES.into_iter().chain(profiles).collect();
        deny(text, &all_but("/sys/", &own));
        if self.namespace.is_none() {
            line(text, "deny /sys/kernel/{,**} rwklx");
        }
    }

    /// Lets it change to profiles of its own.
    fn changes(&self, text: &mut String) {
        if let Some(namespace) = self.namespace {
            line(text, &format!("change_profile -> \":{namespace}:*\""));
            line(text, &format!("change_profile -> \":{namespace}://*\""));
        } else if self.nests {
            line(text, &format!("change_profile -> \"{}\"", self.name));
        }
    }
}

fn line(text: &mut String, rule: &str) {
    // Writing to a string cannot fail.
    _ = writeln!(text, "  {rule},");
}

fn deny(text: &mut String, path: &str) {
    line(text, &format!("deny {path} wklx"));
}

/// Returns a pattern for everything below `dir` except `kept` and what is below that: rules have no
/// word for it. A name in `kept` that ends with `*` stands for all that begin so.
fn all_but(dir: &str, kept: &[&str]) -> String {
    format!("{dir}{{{}}}{{,/**}}", beginnings("", kept).join(","))
}

/// Lists how names can begin that are not `kept` ones.
fn beginnings(dir: &str, kept: &[&str]) -> Vec<String> {
    let mut below: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in kept {
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        below.entry(name).or_default().push(rest);
    }
    let stems: Vec<&str> = below.keys().map(|it| it.trim_end_matches('*')).collect();
    let prefixes: BTreeSet<&str> =
        stems.iter().flat_map(|it| (0..it.len()).filter_map(|end| it.get(..end))).collect();
    let mut all = Vec::new();
    for prefix in &prefixes {
        let next: BTreeSet<char> = stems
            .iter()
            .filter_map(|it| it.strip_prefix(prefix).and_then(|it| it.chars().next()))
            .collect();
        let next: String = next.into_iter().collect();
        all.push(format!("{dir}{prefix}[^{next}]*"));
    }
    for (name, rests) in below {
        if !name.ends_with('*') && !prefixes.contains(name) {
            all.push(format!("{dir}{name}?*"));
        }
        if !rests.contains(&"") {
            all.extend(beginnings(&format!("{dir}{name}/"), &rests));
        }
    }
    all
}

/// Lists every choice of the flags that a mount which becomes read-only can keep. LXC's rules name
/// each: `options in (...)` would allow other mounts as well.
fn kept_flags() -> impl Iterator<Item = String> {
    const FLAGS: [&str; 3] = [",nodev", ",nosuid", ",noexec"];
    let choice = |bits: usize| -> String {
        let chosen = (0_usize..).zip(FLAGS).filter(move |(at, _)| bits & (1 << at) != 0);
        chosen.map(|(_, it)| it).collect()
    };
    let choices = (0..1 << FLAGS.len()).map(choice);
    choices.flat_map(|it| ["", ",noatime", ",strictatime"].map(|time| format!("{it}{time}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(nests: bool, users: bool) -> String {
        let (name, namespace) = ("lxc-web_</lxc>", Some("lxc-web_<-lxc>"));
        let raw = vec!["deny /secret rw,"];
        Rules { name, namespace, nests, users, mediates_users: false, raw }.text()
    }

    #[test]
    fn user_namespaces_are_allowed_only_where_the_parser_knows_the_word() {
        let (name, namespace, raw) = ("lxc-web_</lxc>", None, Vec::new());
        let rules =
            Rules { name, namespace, nests: false, users: false, mediates_users: true, raw };
        assert!(rules.text().contains("\n  userns,\n"));
        let old = Rules { mediates_users: false, ..rules };
        assert!(!old.text().contains("userns"));
    }

    #[test]
    fn all_but_some_is_what_lxc_writes() {
        assert_eq!(
            all_but("/", &["dev/.l", "proc"]),
            "/{[^dp]*,d[^e]*,de[^v]*,p[^r]*,pr[^o]*,pro[^c]*,dev?*,dev/[^.]*,dev/.[^l]*,dev/.l?*,\
             proc?*}{,/**}"
        );
        let short = all_but("/k/", &["s*", "n", "net"]);
        assert_eq!(short, "/k/{[^ns]*,n[^e]*,ne[^t]*,net?*}{,/**}");
    }

    #[test]
    fn a_mount_that_becomes_read_only_keeps_any_of_its_flags() {
        let all: Vec<String> = kept_flags().collect();
        assert_eq!(all.len(), 24);
        for flags in ["", ",nosuid,noexec", ",nodev,nosuid,noexec,strictatime", ",noatime"] {
            assert!(all.iter().any(|it| it == flags), "{flags}: {all:?}");
        }
    }

    #[test]
    fn nesting_gives_mounts_and_takes_no_settings() {
        let (plain, nesting) = (rules(false, false), rules(true, false));
        assert!(nesting.contains("\n  mount,\n") && !plain.contains("\n  mount,\n"));
        let settings = "deny /proc/sys/{[^fkn]*,";
        assert!(plain.contains(settings) && !nesting.contains(settings), "{plain}");
        assert!(plain.contains(",kernel/security/apparmor?*}{,/**} wklx,"), "{plain}");
        for text in [plain, nesting] {
            assert!(text.starts_with("#include <tunables/global>\nprofile \"lxc-web_</lxc>\" "));
            assert!(text.contains("  change_profile -> \":lxc-web_<-lxc>://*\",\n"), "{text}");
            assert!(text.ends_with("deny /secret rw,\n}\n"), "{text}");
            assert!(text.contains("deny /proc/sysrq-trigger rwklx,"));
        }
    }

    #[test]
    fn a_root_that_is_not_the_hosts_may_bind_and_register_formats() {
        let formats = "deny /proc/sys/fs/binfmt_misc/{,**} wklx,";
        let (root, user) = (rules(false, false), rules(false, true));
        assert!(root.contains(formats) && !user.contains(formats));
        assert!(user.contains("\n  mount options=(rw,bind),\n"));
        assert!(!root.contains("\n  mount options=(rw,bind),\n"));
    }
}
