//! `lxc.namespace.*`: which namespaces are made, and what has no effect without one. Opens none.

use std::path::Path;

use super::error::{ConfigError, Reason};
use super::settings::{ConfigSettings, Setting, blame};
use crate::engine::terms::name::Name;
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{At, Belonging, ClockOffsets, Namespaces};

const CLONE: &str = "lxc.namespace.clone";
const KEEP: &str = "lxc.namespace.keep";
const IDMAP: &str = "lxc.idmap";
const SHARE: &str = "lxc.namespace.share.";

/// Decides about each kind as LXC does. With `keep` it would also make a user namespace for a
/// container that maps no ids, in which nothing could run.
pub(super) fn of(settings: &ConfigSettings, clocks: Option<ClockOffsets>) -> Namespaces {
    let lists = |key, space: Space| settings.all(key).any(|it| it.value == space.word());
    let mapped = settings.last(IDMAP).is_some();
    let (keeps, clones) = (settings.last(KEEP).is_some(), settings.last(CLONE).is_some());
    let own = |space| match space {
        Space::User if !mapped => false,
        _ if keeps => !lists(KEEP, space),
        _ if clones => lists(CLONE, space),
        Space::Net => !shares_network(settings),
        Space::Time => clocks.is_some(),
        Space::User | Space::Mnt | Space::Pid | Space::Uts | Space::Ipc | Space::Cgroup => true,
    };
    let shared = |space: Space| settings.all(SHARE).find(|it| it.free == space.word());
    Namespaces::of(|space| match shared(space) {
        Some(it) => Belonging::Shared(At { value: it.value.clone(), place: it.place.clone() }),
        None if own(space) && exists(space) => Belonging::Own,
        None => Belonging::Kept,
    })
}

/// The host's network is shared only if every interface says so, as in LXC since 1.0.
fn shares_network(settings: &ConfigSettings) -> bool {
    let interfaces = &settings.interfaces.by_index;
    !interfaces.is_empty() && interfaces.values().all(|it| it.kind == Some("none"))
}

/// Returns whether this kernel has the kind. All have most of them, and a start without one of
/// those fails.
fn exists(space: Space) -> bool {
    match space {
        Space::Cgroup | Space::Time => Path::new("/proc/self/ns").join(space.word()).exists(),
        Space::User | Space::Mnt | Space::Pid | Space::Uts | Space::Ipc | Space::Net => true,
    }
}

/// Lists the lines that cannot be carried out with these namespaces.
pub(super) fn refused(
    settings: &ConfigSettings,
    namespaces: &Namespaces,
    name: &Name,
) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    let (map, own_users) = (settings.last(IDMAP), namespaces.has_own(Space::User));
    let shares_users = namespaces.shares(Space::User);
    if map.is_none() {
        let user = settings.all(CLONE).find(|it| it.value == Space::User.word());
        errors.extend(user.map(|it| blame(it, Reason::Requires(IDMAP.to_owned()))));
    }
    let has_users = own_users || shares_users;
    if let (Some(map), false, true) = (map, has_users, settings.last(CLONE).is_some()) {
        // Without the map its root would be the host's.
        errors.push(blame(map, Reason::Requires(format!("user in {CLONE}"))));
    }
    for it in settings.all(SHARE) {
        if own_users && ["mnt", "cgroup", "time"].contains(&it.free.as_str()) {
            // The process enters them after it has parted from the host's users.
            errors.push(blame(it, Reason::Conflict(IDMAP)));
        } else if map.is_none() && it.free == Space::User.word() {
            // Nothing else says who is root there.
            errors.push(blame(it, Reason::Requires(IDMAP.to_owned())));
        } else if it.value == name.as_str() {
            errors.push(blame(it, Reason::Expected("another container")));
        }
    }
    let kept = settings.all(KEEP).find(|it| it.value == Space::Time.word());
    if let Some(kept) = kept.filter(|_| offset(settings).is_some()) {
        errors.push(blame(kept, Reason::Conflict("lxc.time.offset")));
    }
    let cores = settings.last("lxc.sched.core").filter(|it| it.meaning.number() != Some(0));
    if let Some(cores) = cores.filter(|_| !namespaces.has_own(Space::Pid)) {
        let own = "a pid namespace of the container's own".to_owned();
        errors.push(blame(cores, Reason::Requires(own)));
    }
    if !namespaces.has_own(Space::Mnt) {
        let all = settings.entries.iter().filter(|it| is_about_mounts(it));
        let own = || Reason::Requires("a mount namespace of the container's own".to_owned());
        errors.extend(all.map(|it| blame(it, own())));
    }
    errors
}

/// Without a mount namespace of its own, a container cannot have what would be seen by others.
fn is_about_mounts(entry: &Setting) -> bool {
    match entry.key.name {
        "lxc.rootfs.path" => entry.value != "/",
        "lxc.tty.max" => entry.meaning.number() != Some(0),
        "lxc.mount.fstab" | "lxc.mount.entry" | "lxc.mount.auto" | "lxc.rootfs.options"
        | "lxc.hook.pre-mount" | "lxc.hook.mount" | "lxc.hook.autodev" => true,
        _ => false,
    }
}

fn offset(settings: &ConfigSettings) -> Option<&Setting> {
    let names = ["lxc.time.offset.boot", "lxc.time.offset.monotonic"];
    names.into_iter().find_map(|it| settings.last(it))
}

/// Says what has no effect. LXC ignores it, too, but sets the host's own name.
pub(super) fn warnings(settings: &ConfigSettings, namespaces: &Namespaces) -> Vec<String> {
    let mut said = Vec::new();
    let mut tell = |space: Space, what: &str| {
        if !namespaces.has_own(space) {
            let word = space.word();
            said.push(format!("{what} has no effect without a {word} namespace of its own"));
        }
    };
    if settings.last(IDMAP).is_some() && !namespaces.shares(Space::User) {
        tell(Space::User, IDMAP);
    }
    if settings.last("lxc.uts.name").is_some() {
        tell(Space::Uts, "lxc.uts.name");
    }
    if let Some(entry) = offset(settings) {
        tell(Space::Time, entry.key.name);
    }
    tell(Space::Mnt, "/dev/console");
    let mut nics = settings.interfaces.by_index.values();
    if nics.any(|it| it.kind.is_some_and(|it| !["none", "empty"].contains(&it))) {
        tell(Space::Net, "lxc.net");
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> (Vec<&'static str>, Vec<String>, Vec<String>) {
        let mut settings = ConfigSettings::default();
        for (key, value) in lines {
            settings.set(key, value, None).unwrap();
        }
        let clocks = offset(&settings).map(|_| ClockOffsets::default());
        let namespaces = of(&settings, clocks);
        let own = Space::ALL.into_iter().filter(|it| namespaces.has_own(*it)).map(Space::word);
        let errors = refused(&settings, &namespaces, &"web".parse().unwrap());
        let errors = errors.iter().map(ToString::to_string).collect();
        (own.collect(), errors, warnings(&settings, &namespaces))
    }

    #[test]
    fn a_map_of_ids_is_never_dropped_in_silence() {
        let map = ("lxc.idmap", "u 0 100000 65536");
        let refused = |lines: &[(&str, &str)]| read(lines).1;
        let lacks = "lxc.idmap u 0 100000 65536: it requires user in lxc.namespace.clone";
        assert_eq!(refused(&[map, (CLONE, "mnt pid net")]), [lacks]);
        assert!(refused(&[map, (CLONE, "mnt pid net user")]).is_empty());
        let (own, errors, warnings) = read(&[map, (KEEP, "user")]);
        assert!(!own.contains(&"user") && errors.is_empty());
        assert_eq!(
            warnings,
            ["lxc.idmap has no effect without a user namespace of its own".to_owned()]
        );
        for kind in ["mnt", "cgroup", "time"] {
            let said = refused(&[map, (&format!("{SHARE}{kind}"), "other")]).concat();
            assert!(said.contains("it conflicts with lxc.idmap, which is also set"), "{said}");
            let users = (&*format!("{SHARE}user"), "other");
            let others = (&*format!("{SHARE}{kind}"), "other");
            assert_eq!(refused(&[map, users, others]), [""; 0]);
        }
    }

    #[test]
    fn what_is_made_is_what_lxc_makes() {
        let own = |lines: &[(&str, &str)]| read(lines).0;
        assert_eq!(own(&[]), ["mnt", "pid", "uts", "ipc", "net", "cgroup"]);
        assert_eq!(own(&[(CLONE, "mnt net"), (CLONE, "PID")]), ["mnt", "pid", "net"]);
        let kept = own(&[(KEEP, "net uts"), ("lxc.net.0.type", "none")]);
        assert_eq!(kept, ["mnt", "pid", "ipc", "cgroup", "time"]);
        assert!(!own(&[("lxc.net.0.type", "none")]).contains(&"net"));
        assert!(own(&[("lxc.time.offset.boot", "1s")]).contains(&"time"));
        let shared = own(&[("lxc.namespace.share.pid", "db"), (CLONE, "mnt pid ipc")]);
        assert_eq!(shared, ["mnt", "ipc"]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let errors = |lines: &[(&str, &str)]| read(lines).1.join("; ");
        assert!(errors(&[(CLONE, "user")]).contains("it requires lxc.idmap"));
        assert!(errors(&[("lxc.namespace.share.net", "web")]).contains("another container"));
        assert!(errors(&[(KEEP, "time"), ("lxc.time.offset.boot", "1s")]).contains("conflicts"));
        let mounts = [(KEEP, "mnt"), ("lxc.rootfs.path", "/srv/web"), ("lxc.tty.max", "0")];
        let said = "lxc.rootfs.path /srv/web: it requires a mount namespace of the container's own";
        assert_eq!(errors(&mounts), said);
        assert!(errors(&[(KEEP, "pid"), ("lxc.sched.core", "1")]).contains("a pid namespace"));
        assert_eq!(errors(&[(KEEP, "net"), ("lxc.rootfs.path", "/srv/web")]), "");
    }

    #[test]
    fn what_has_no_effect_is_told() {
        let lines = [(KEEP, "uts net"), ("lxc.uts.name", "web"), ("lxc.net.0.type", "veth")];
        let expected = ["lxc.uts.name", "lxc.net"].map(|what| {
            let word = if what == "lxc.net" { "net" } else { "uts" };
            format!("{what} has no effect without a {word} namespace of its own")
        });
        assert_eq!(read(&lines).2, expected);
        assert_eq!(read(&[("lxc.uts.name", "web")]).2, [""; 0]);
    }
}
