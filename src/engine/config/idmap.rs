//! `lxc.idmap`: the map of the container's user namespace, and the mounts that follow it. Reads no
//! file.

use super::error::{ConfigError, Reason};
use super::mounts;
use super::settings::{ConfigSettings, Setting, blame};
use crate::engine::terms::idmap::{IdKind, IdMap, IdRange, Owner};
use crate::engine::terms::spec::{At, MountUsers};

const KEY: &str = "lxc.idmap";

/// Reads the map; none: the container has the host's users.
pub(super) fn of(settings: &ConfigSettings) -> Result<Option<At<IdMap>>, ConfigError> {
    let Some(first) = settings.all(KEY).next() else { return Ok(None) };
    let mut map = IdMap::default();
    for entry in settings.all(KEY) {
        let (kind, range) = range(entry)?;
        map.add(kind, range).map_err(|error| blame(entry, Reason::IdMap(error)))?;
    }
    let init = Owner { uid: settings.number("lxc.init.uid"), gid: settings.number("lxc.init.gid") };
    map.setup(init).map_err(|error| blame(first, Reason::IdMap(error)))?;
    let mapped = [
        ("lxc.init.uid", IdKind::User, "user"),
        ("lxc.init.gid", IdKind::Group, "group"),
        ("lxc.init.groups", IdKind::Group, "group"),
    ];
    for (key, kind, word) in mapped {
        for entry in settings.all(key) {
            let id = entry.meaning.number().unwrap_or_default();
            if map.outside(kind, id).is_none() {
                return Err(blame(entry, Reason::Unmapped(word, id)));
            }
        }
    }
    Ok(Some(At { value: map, place: first.place.clone() }))
}

/// Reads by which map the root shows its files.
pub(super) fn of_root(settings: &ConfigSettings) -> Result<Option<MountUsers>, ConfigError> {
    let Some(entry) = settings.last("lxc.rootfs.options") else { return Ok(None) };
    let users = mounts::alone(&entry.value).map_err(|reason| blame(entry, reason))?.users;
    check(users.as_ref(), settings).map_err(|reason| blame(entry, reason))?;
    Ok(users)
}

/// Refuses a mount that follows the container's own map if there is none.
pub(super) fn check(users: Option<&MountUsers>, settings: &ConfigSettings) -> Result<(), Reason> {
    if users == Some(&MountUsers::Container) && settings.last(KEY).is_none() {
        return Err(Reason::Requires(format!("{KEY}, for idmap=container")));
    }
    Ok(())
}

/// The line was checked when it was read.
fn range(entry: &Setting) -> Result<(IdKind, IdRange), ConfigError> {
    let mut words = entry.value.split(' ');
    let kind = if words.next() == Some("u") { IdKind::User } else { IdKind::Group };
    let mut number = || words.next().and_then(|it| it.parse().ok());
    let range = match [number(), number(), number()] {
        [Some(inside), Some(outside), Some(count)] => IdRange { inside, outside, count },
        [..] => return Err(blame(entry, Reason::TooLarge)),
    };
    Ok((kind, range))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<Option<IdMap>, String> {
        let mut settings = ConfigSettings::default();
        for (key, value) in lines {
            settings.set(key, value, None).map_err(|it| it.to_string())?;
        }
        of(&settings).map(|it| it.map(|it| it.value)).map_err(|it| it.to_string())
    }

    #[test]
    fn lines_add_up_under_both_names() {
        let map = read(&[
            ("lxc.id_map", "u 0 100000 1000"),
            ("lxc.idmap", "u 1000  5000 1"),
            ("lxc.idmap", "g 0 200000 65536"),
        ]);
        let map = map.unwrap().unwrap();
        assert_eq!(map.text(IdKind::User), "0 100000 1000\n1000 5000 1");
        assert_eq!(map.outside(IdKind::Group, 5), Some(200_005));
        assert_eq!(read(&[("lxc.idmap", "u 0 1 1"), ("lxc.idmap", "")]), Ok(None));
    }

    #[test]
    fn a_map_that_cannot_be_is_refused_with_its_line() {
        let users = ("lxc.idmap", "u 0 100000 65536");
        let said = read(&[users]).unwrap_err();
        assert!(said.starts_with("lxc.idmap u 0 100000 65536: no line maps groups"), "{said}");
        let said = read(&[users, ("lxc.idmap", "u 5 1 1")]).unwrap_err();
        assert!(said.starts_with("lxc.idmap u 5 1 1: its ids inside overlap"), "{said}");
        let groups = ("lxc.idmap", "g 0 100000 65536");
        let said = read(&[users, groups, ("lxc.init.groups", "5,70000")]).unwrap_err();
        assert_eq!(said, "lxc.init.groups 70000: lxc.idmap does not map group 70000");
        let said = read(&[("lxc.idmap", "u 1 2 3"), groups]).unwrap_err();
        assert!(said.contains("no line maps u 0 (root)"), "{said}");
        read(&[("lxc.idmap", "u 1 2 3"), groups, ("lxc.init.uid", "2")]).unwrap();
    }

    #[test]
    fn a_mount_follows_a_map_only_if_there_is_one() {
        let mut settings = ConfigSettings::default();
        settings.set("lxc.rootfs.options", "ro,idmap=container", None).unwrap();
        assert!(of_root(&settings).unwrap_err().to_string().contains("it requires lxc.idmap"));
        settings.set("lxc.idmap", "u 0 1 1", None).unwrap();
        assert_eq!(of_root(&settings).unwrap(), Some(MountUsers::Container));
    }
}
