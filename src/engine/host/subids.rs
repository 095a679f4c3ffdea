//! The ids that the host allots to this user for containers: `/etc/subuid` and `/etc/subgid`; see
//! subuid(5). Only `newuidmap` and `newgidmap` decide; this says beforehand what they will say.

use std::fs;
use std::path::Path;

use nix::unistd::{User, getegid, geteuid};

use crate::engine::terms::idmap::{IdKind, IdMap, IdRange};

/// How many ids a container needs by convention.
const WHOLE: u32 = 65536;
/// Where `useradd` begins.
const FIRST: u32 = 100_000;

/// What is allotted to one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct SubIds {
    user: String,
    uid: u32,
    gid: u32,
    users: Vec<Allotted>,
    groups: Vec<Allotted>,
}

/// Successive ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Allotted {
    first: u32,
    count: u32,
}

impl SubIds {
    /// Reads what the user of this process has.
    pub(in crate::engine) fn ours() -> Self {
        let (uid, gid) = (geteuid(), getegid().as_raw());
        let user = User::from_uid(uid).ok().flatten().map(|it| it.name);
        let user = user.unwrap_or_else(|| uid.to_string());
        let read = |kind| fs::read_to_string(file(kind)).unwrap_or_default();
        Self::parse(&user, (uid.as_raw(), gid), &read(IdKind::User), &read(IdKind::Group))
    }

    fn parse(user: &str, (uid, gid): (u32, u32), users: &str, groups: &str) -> Self {
        let of = |text: &str| {
            let lines = text.lines().filter_map(|line| {
                let mut words = line.trim().split(':');
                let owner = words.next()?;
                let mut number = || words.next()?.parse().ok();
                let ours = owner == user || owner == uid.to_string();
                let it = Allotted { first: number()?, count: number()? };
                ours.then_some(it)
            });
            lines.collect()
        };
        Self { user: user.to_owned(), uid, gid, users: of(users), groups: of(groups) }
    }

    /// Returns the lines of a configuration for a container of this user, or what is missing for
    /// them, with the command that root gives it by.
    pub(in crate::engine) fn lines(&self) -> Result<Vec<(String, String)>, String> {
        let line = |kind| match self.of(kind).iter().find(|it| it.count >= WHOLE) {
            Some(it) => Ok(("lxc.idmap".to_owned(), format!("{kind} 0 {} {WHOLE}", it.first))),
            None => Err(format!("{} allots no {WHOLE} ids to {}", file(kind), self.user)),
        };
        match (line(IdKind::User), line(IdKind::Group)) {
            (Ok(users), Ok(groups)) => Ok(vec![users, groups]),
            (Err(why), _) | (_, Err(why)) => {
                let (user, last) = (&self.user, FIRST + (WHOLE - 1));
                Err(format!(
                    "{why}; as root: usermod --add-subuids {FIRST}-{last} --add-subgids \
                     {FIRST}-{last} {user} (ids that no other user has there)"
                ))
            }
        }
    }

    /// Returns why `map` will be refused; none: it will not.
    pub(in crate::engine) fn refusal(&self, map: &IdMap) -> Option<String> {
        [IdKind::User, IdKind::Group].into_iter().find_map(|kind| {
            let range = map.ranges(kind).iter().find(|it| !self.covers(kind, **it))?;
            let (first, last) = (range.outside, range.outside.saturating_add(range.count - 1));
            let (file, user) = (file(kind), &self.user);
            let option = match kind {
                IdKind::User => "--add-subuids",
                IdKind::Group => "--add-subgids",
            };
            Some(format!(
                "{kind} {range}: {file} does not allot ids {first} to {last} to {user}; as root: \
                 usermod {option} {first}-{last} {user}"
            ))
        })
    }

    fn covers(&self, kind: IdKind, range: IdRange) -> bool {
        let own = match kind {
            IdKind::User => self.uid,
            IdKind::Group => self.gid,
        };
        if range.count == 1 && range.outside == own {
            return true;
        }
        let end = u64::from(range.outside) + u64::from(range.count);
        let mut at = u64::from(range.outside);
        // Ranges that touch are one.
        while at < end {
            let holds = |it: &&Allotted| {
                (u64::from(it.first)..u64::from(it.first) + u64::from(it.count)).contains(&at)
            };
            let Some(it) = self.of(kind).iter().find(holds) else { return false };
            at = u64::from(it.first) + u64::from(it.count);
        }
        true
    }

    fn of(&self, kind: IdKind) -> &[Allotted] {
        match kind {
            IdKind::User => &self.users,
            IdKind::Group => &self.groups,
        }
    }
}

/// Returns what keeps an ordinary user of this host from containers with users of their own, and what
/// root does about it; none: nothing.
pub(in crate::engine) fn barred(proc: &Path) -> Option<String> {
    if let Some(command) = forbidden(proc) {
        return Some(format!(
            "this host does not let ordinary users make user namespaces; as root: {command}"
        ));
    }
    let mappers = [IdKind::User, IdKind::Group].map(IdKind::mapper);
    let lacking = mappers.into_iter().find(|it| lacks_program(it))?;
    Some(format!(
        "{lacking} is not installed, without which only root maps users; install the package uidmap"
    ))
}

/// Returns whether the user's PATH does not lead to it.
pub(in crate::engine) fn lacks_program(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    !std::env::split_paths(&path).any(|it| it.is_absolute() && it.join(program).is_file())
}

const fn file(kind: IdKind) -> &'static str {
    match kind {
        IdKind::User => "/etc/subuid",
        IdKind::Group => "/etc/subgid",
    }
}

/// Returns the setting of this kernel that keeps ordinary users from user namespaces, as the
/// command that changes it.
pub(in crate::engine) fn forbidden(proc: &Path) -> Option<String> {
    const SETTINGS: [(&str, &str, &str); 3] = [
        ("kernel/unprivileged_userns_clone", "0", "1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
        ("user/max_user_namespaces", "0", "15000"),
    ];
    SETTINGS.into_iter().find_map(|(file, forbids, wanted)| {
        let value = fs::read_to_string(proc.join("sys").join(file)).ok()?;
        let name = file.replace('/', ".");
        (value.trim() == forbids).then(|| format!("sysctl -w {name}={wanted}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "other:100000:65536\nweb:200000:1000\n1001:201000:64536\nweb:bad\n";

    fn map(lines: &[(IdKind, u32, u32)]) -> IdMap {
        let mut map = IdMap::default();
        let mut inside = 0;
        for (kind, outside, count) in lines {
            map.add(*kind, IdRange { inside, outside: *outside, count: *count }).unwrap();
            inside += count;
        }
        map
    }

    #[test]
    fn a_map_is_covered_by_what_the_user_has_under_name_and_number() {
        let ids = SubIds::parse("web", (1001, 1001), USERS, "web:200000:65536");
        let good = map(&[(IdKind::User, 200_000, 65_536), (IdKind::Group, 200_000, 65_536)]);
        assert_eq!(ids.refusal(&good), None);
        assert_eq!(ids.refusal(&map(&[(IdKind::User, 1001, 1)])), None);
        let said = ids.refusal(&map(&[(IdKind::User, 100_000, 65_536)])).unwrap();
        assert_eq!(
            said,
            "u 0 100000 65536: /etc/subuid does not allot ids 100000 to 165535 to web; as root: \
             usermod --add-subuids 100000-165535 web"
        );
        let said = ids.refusal(&map(&[(IdKind::Group, 1001, 2)])).unwrap();
        assert!(said.contains("--add-subgids 1001-1002 web"), "{said}");
    }

    #[test]
    fn lines_for_a_configuration_come_from_it_or_the_command_that_gives_them() {
        let ids = SubIds::parse("web", (1001, 1001), "web:300000:65536", "web:300000:65536");
        let lines: Vec<String> = ids.lines().unwrap().into_iter().map(|it| it.1).collect();
        assert_eq!(lines, ["u 0 300000 65536", "g 0 300000 65536"]);
        let said = SubIds::parse("web", (1001, 1001), USERS, "").lines().unwrap_err();
        assert!(said.contains("usermod --add-subuids 100000-165535 --add-subgids"), "{said}");
    }
}
