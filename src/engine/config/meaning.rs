//! What one value means, and how LXC spells it: each is read once, here, by the kind of its key.

use super::error::Reason;
use super::keys::{Key, ValueKind};
use super::{caps, mounts, signals, values};
use crate::engine::terms::id::Id;
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{AutoMode, CgroupReach, ClockOffset, LogLevel, Mount};

/// A value as the engine understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The text, nothing else.
    Text,
    Number(u32),
    Bytes(u64),
    Signal(i32),
    /// A command line, split.
    Command(Vec<String>),
    Capability(u8),
    Variable {
        name: String,
        value: String,
    },
    Offset(ClockOffset),
    /// A variable that is to be copied from the environment but is not set there.
    Unset,
    /// A mount whose target is not yet related to the container's root.
    Mount(Box<Mount>),
    Auto(Auto),
}

impl Meaning {
    pub(super) const fn capability(&self) -> Option<u8> {
        if let Self::Capability(number) = self { Some(*number) } else { None }
    }

    pub(super) const fn number(&self) -> Option<u32> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    pub(super) const fn auto_group(&self) -> Option<AutoGroup> {
        if let Self::Auto(auto) = self { Some(auto.group) } else { None }
    }
}

/// One word of `lxc.mount.auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Auto {
    /// A later word replaces one of the same group.
    pub(super) group: AutoGroup,
    /// None: it was left open.
    pub(super) mode: Option<AutoMode>,
    /// `:force`: although the container has a cgroup namespace.
    pub(super) force: bool,
    pub(super) reach: CgroupReach,
}

/// What is mounted, in the order in which LXC lists the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum AutoGroup {
    Proc,
    Sys,
    Cgroup,
    Shmounts,
}

/// A value and what it means.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) value: String,
    pub(super) meaning: Meaning,
}

impl Item {
    const fn text(value: String) -> Self {
        Self { value, meaning: Meaning::Text }
    }

    fn id(id: Id) -> Self {
        Self::number(id.number())
    }

    fn number(number: u32) -> Self {
        Self { value: number.to_string(), meaning: Meaning::Number(number) }
    }
}

/// `lxc.cap.keep = none`: no capability at all.
pub(super) const NONE: &str = "none";

/// Reads a value that is not empty; returns the items it stands for, as LXC spells them.
pub(super) fn check(key: &Key, free: &str, value: &str) -> Result<Vec<Item>, Reason> {
    let kind = key.kind;
    if matches!(kind, ValueKind::Capabilities | ValueKind::CapabilitiesKept) {
        return capabilities(kind, value);
    }
    if kind == ValueKind::Gids {
        return value.split(',').map(|it| values::id(it).map(Item::id)).collect();
    }
    let word: fn(&str) -> Result<Item, Reason> = if kind == ValueKind::Group {
        |it| Ok(Item::text(it.to_owned()))
    } else if kind == ValueKind::Auto {
        auto_word
    } else if kind == ValueKind::Namespaces {
        |it| namespace(it).map(Item::text)
    } else {
        return Ok(vec![single(key, free, value)?]);
    };
    each(value, word)
}

/// Reads a value that is one item.
fn single(key: &Key, free: &str, value: &str) -> Result<Item, Reason> {
    let meant = |number: &dyn ToString, meaning| Item { value: number.to_string(), meaning };
    match key.kind {
        ValueKind::Hostname => hostname(value),
        ValueKind::Map => map(key, free, value),
        ValueKind::Path => Ok(values::path(value)),
        ValueKind::Rootfs => Ok(rootfs(value)),
        ValueKind::RootfsOptions => rootfs_options(value),
        ValueKind::Signed => values::signed(value).map(|it| it.to_string()),
        ValueKind::Arch => arch(value).map(str::to_owned),
        ValueKind::LogLevel => log_level(value).map(str::to_owned),
        ValueKind::Facility => facility(value),
        ValueKind::CgroupDir => values::cgroup_dir(value),
        ValueKind::CgroupName => values::cgroup_name(value),
        ValueKind::Limits => values::limits(value),
        ValueKind::IdMap => values::id_map(value),
        ValueKind::Bool => return values::boolean(value).map(|it| Item::number(it.into())),
        ValueKind::Unsigned => return values::unsigned32(value).map(Item::number),
        ValueKind::Id => return values::id(value).map(Item::id),
        ValueKind::Size => return values::size(value).map(|it| meant(&it, Meaning::Bytes(it))),
        ValueKind::Signal => {
            return signals::number(value).map(|it| meant(&it, Meaning::Signal(it)));
        }
        ValueKind::Command => return command(value),
        ValueKind::Words => {
            return values::words(value).map(|it| meant(&value, Meaning::Command(it)));
        }
        ValueKind::BootOffset => return offset(value, " "),
        ValueKind::Offset => return offset(value, ""),
        ValueKind::Mount => return mount(value),
        ValueKind::Environment => return variable(value),
        // These are several items, or taken as they are.
        ValueKind::Text
        | ValueKind::List
        | ValueKind::Include
        | ValueKind::Group
        | ValueKind::Capabilities
        | ValueKind::CapabilitiesKept
        | ValueKind::Auto
        | ValueKind::Namespaces
        | ValueKind::Gids => Ok(value.to_owned()),
    }
    .map(Item::text)
}

fn hostname(value: &str) -> Result<String, Reason> {
    let fits = value.len() <= HOSTNAME_MAX;
    fits.then(|| value.to_owned()).ok_or(Reason::Expected("a host name of at most 64 bytes"))
}

fn each(value: &str, read: impl Fn(&str) -> Result<Item, Reason>) -> Result<Vec<Item>, Reason> {
    value.split_ascii_whitespace().map(read).collect()
}

const HOSTNAME_MAX: usize = 64;

/// Keeps `type:path`, taking off `dir:`, which is what a plain path is.
fn rootfs(value: &str) -> String {
    let plain = value.strip_prefix("dir:").unwrap_or(value);
    values::path(plain)
}

/// LXC mounts the root itself: options that only make sense in a mount table are refused.
fn rootfs_options(value: &str) -> Result<String, Reason> {
    let strange = |it: &str| matches!(it, "optional" | "relative") || it.starts_with("create=");
    if value.split(',').any(strange) {
        return Err(Reason::Expected("mount options, without create=, optional and relative"));
    }
    Ok(value.to_owned())
}

fn offset(value: &str, gap: &str) -> Result<Item, Reason> {
    values::offset(value, gap).map(|(value, it)| Item { value, meaning: Meaning::Offset(it) })
}

fn command(value: &str) -> Result<Item, Reason> {
    let words: Vec<String> =
        value.split(' ').filter(|it| !it.is_empty()).map(str::to_owned).collect();
    if words.first().is_some_and(|it| it.starts_with('/')) {
        return Ok(Item { value: value.to_owned(), meaning: Meaning::Command(words) });
    }
    Err(Reason::Expected("an absolute path, then arguments"))
}

fn capabilities(kind: ValueKind, value: &str) -> Result<Vec<Item>, Reason> {
    if matches!(kind, ValueKind::CapabilitiesKept) && value == NONE {
        return Ok(vec![Item::text(NONE.to_owned())]);
    }
    each(value, |it| {
        let meaning = Meaning::Capability(caps::number(it)?);
        Ok(Item { value: it.to_owned(), meaning })
    })
}

fn mount(value: &str) -> Result<Item, Reason> {
    let meaning = Meaning::Mount(Box::new(mounts::entry(value)?));
    Ok(Item { value: value.to_owned(), meaning })
}

/// Reads one word of `lxc.mount.auto`.
pub(super) fn auto_word(word: &str) -> Result<Item, Reason> {
    const WRONG: Reason = Reason::Expected(
        "words among proc[:mixed|rw], sys[:mixed|ro|rw], cgroup[-full][:mixed|ro|rw][:force], \
         cgroup2[:ro][:force], shmounts:HOST[:CONTAINER]",
    );
    let full = match word {
        "proc" => "proc:mixed",
        "sys" => "sys:mixed",
        _ => word,
    };
    let (kind, rest) = full.split_once(':').unwrap_or((full, ""));
    let group = match (kind, rest) {
        ("proc", "mixed" | "rw") => AutoGroup::Proc,
        ("sys", "mixed" | "ro" | "rw") => AutoGroup::Sys,
        ("cgroup" | "cgroup-full", _) if is_cgroup_mode(rest, &["mixed", "ro", "rw"]) => {
            AutoGroup::Cgroup
        }
        ("cgroup2", _) if is_cgroup_mode(rest, &["ro", "rw"]) => AutoGroup::Cgroup,
        ("shmounts", _) if full.contains(':') => AutoGroup::Shmounts,
        _ => return Err(WRONG),
    };
    let mut words = rest.split(':');
    let mode = match words.next() {
        Some("ro") => Some(AutoMode::ReadOnly),
        Some("rw") => Some(AutoMode::ReadWrite),
        Some("mixed") => Some(AutoMode::Mixed),
        _ => None,
    };
    let force = group == AutoGroup::Cgroup && rest.ends_with("force");
    let reach = if kind == "cgroup2" { CgroupReach::Unified } else { CgroupReach::All };
    Ok(Item { value: full.to_owned(), meaning: Meaning::Auto(Auto { group, mode, force, reach }) })
}

fn is_cgroup_mode(mode: &str, modes: &[&str]) -> bool {
    let mode = mode.strip_suffix("force").map_or(mode, |it| it.trim_end_matches(':'));
    mode.is_empty() || modes.contains(&mode)
}

/// Returns what LXC prints for an architecture: the name of its personality.
pub(super) fn arch(value: &str) -> Result<&'static str, Reason> {
    const BITS_32: &str = " arm armel armhf armv7l athlon i386 i486 i586 i686 linux32 mips mipsel \
                           ppc powerpc x32 x86 ";
    const BITS_64: &str = " aarch64 amd64 arm64 linux64 loongarch64 loong64 mips64 mips64el ppc64 \
                           ppc64el ppc64le powerpc64 riscv64 s390x x86_64 ";
    let is_in = |list: &str| list.split_ascii_whitespace().any(|it| it == value);
    if is_in(BITS_32) {
        Ok("i686")
    } else if is_in(BITS_64) {
        Ok("x86_64")
    } else {
        Err(Reason::Expected("an architecture, such as amd64, arm64 or i686"))
    }
}

fn log_level(value: &str) -> Result<&'static str, Reason> {
    let by_number = values::unsigned(value).ok().and_then(|it| usize::try_from(it).ok());
    let mut all = LogLevel::ALL.iter().map(|it| it.word()).enumerate();
    all.find(|(at, name)| by_number == Some(*at) || name.eq_ignore_ascii_case(value))
        .map(|(_, name)| name)
        .ok_or(Reason::Expected("0 to 8, or a level such as DEBUG or ERROR"))
}

fn facility(value: &str) -> Result<String, Reason> {
    let local = value.strip_prefix("local").and_then(|it| it.parse::<u8>().ok());
    if value == "daemon" || local.is_some_and(|it| it <= 7) {
        return Ok(value.to_owned());
    }
    Err(Reason::Expected("daemon or local0 to local7"))
}

fn namespace(word: &str) -> Result<String, Reason> {
    let known = Space::named(word).map(|it| it.word().to_owned());
    known.ok_or(Reason::Expected("namespaces among cgroup ipc mnt net pid time user uts"))
}

fn map(key: &Key, free: &str, value: &str) -> Result<String, Reason> {
    if key.name == "lxc.namespace.share." {
        // Unlike the values of the other two keys, in lower case.
        namespace(free).and_then(|it| {
            if it == free { Ok(()) } else { Err(Reason::Expected("a namespace in lower case")) }
        })?;
    }
    if free.contains("..") || free.contains('/') {
        return Err(Reason::Expected("a name without / and .."));
    }
    Ok(value.to_owned())
}

/// `NAME=VALUE`, or `NAME` alone, which is copied from the caller's environment.
fn variable(value: &str) -> Result<Item, Reason> {
    let full = match value.split_once('=') {
        Some(("", _)) => return Err(Reason::Expected("NAME=VALUE")),
        Some(_) => value.to_owned(),
        None => match std::env::var(value) {
            Ok(found) => format!("{value}={found}"),
            // Only a start needs the value; inspecting the container does not.
            Err(_) => return Ok(Item { value: value.to_owned(), meaning: Meaning::Unset }),
        },
    };
    let (name, value) = full.split_once('=').unwrap_or((&full, ""));
    let meaning = Meaning::Variable { name: name.to_owned(), value: value.to_owned() };
    Ok(Item { value: full, meaning })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(word: &str) -> Auto {
        let Meaning::Auto(auto) = auto_word(word).unwrap().meaning else { panic!("{word}") };
        auto
    }

    #[test]
    fn words_of_auto_are_spelt_out() {
        assert_eq!(auto_word("proc").unwrap().value, "proc:mixed");
        assert_eq!(auto_word("cgroup:force").unwrap().value, "cgroup:force");
        let full = auto("cgroup-full:rw:force");
        assert_eq!(full.group, AutoGroup::Cgroup);
        assert_eq!((full.mode, full.force), (Some(AutoMode::ReadWrite), true));
        assert_eq!((auto("cgroup").mode, auto("cgroup").force), (None, false));
        for word in ["proc:ro", "procfs", "cgroup:bad", "shmounts", "sys:mixed:force"] {
            assert!(auto_word(word).is_err(), "{word} was accepted");
        }
    }

    #[test]
    fn options_of_the_root_are_not_those_of_a_mount_table() {
        assert_eq!(rootfs_options("ro,foo=bar").unwrap(), "ro,foo=bar");
        for value in ["ro,create=dir", "optional", "relative,ro"] {
            assert!(rootfs_options(value).is_err(), "{value} was accepted");
        }
    }
}
