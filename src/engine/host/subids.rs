//! The ids that the host allots to this user for containers: `/etc/subuid` and `/etc/subgid`, or what
//! `subid` in `/etc/nsswitch.conf` names; see subuid(5). Only `newuidmap` and `newgidmap` decide;
//! this says beforehand what they will say.

use std::fmt;
use std::fs;
use std::path::Path;

use nix::unistd::{getegid, geteuid};

use super::apparmor::UNCONFINED;
use super::{accounts, asked};
use crate::engine::terms::feature;
use crate::engine::terms::idmap::{IdKind, IdMap, IdRange};
use crate::engine::terms::shown::shown;

/// How many ids a container needs by convention.
const WHOLE: u32 = 65536;
/// Where `useradd` begins.
const FIRST: u32 = 100_000;
const SWITCH: &str = "/etc/nsswitch.conf";
/// Lists what a source other than the files allots; of the package uidmap, as newuidmap is.
const ASKED: &str = "getsubids";

/// What is allotted to one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct SubIds {
    user: String,
    uid: u32,
    gid: u32,
    source: IdSource,
    users: Vec<Allotted>,
    groups: Vec<Allotted>,
}

/// Who says what is allotted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum IdSource {
    #[default]
    Files,
    /// The module of this name, which was asked.
    Module(String),
    /// The module of this name, which cannot be asked.
    Unknown(String),
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
        let user = accounts::user_name(uid.as_raw());
        let user = user.unwrap_or_else(|| uid.to_string());
        let ids = (uid.as_raw(), gid);
        let Some(module) = module(&fs::read_to_string(SWITCH).unwrap_or_default()) else {
            let read = |kind| fs::read_to_string(file(kind)).unwrap_or_default();
            return Self::parse(&user, ids, &read(IdKind::User), &read(IdKind::Group));
        };
        match (ask(&user, IdKind::User), ask(&user, IdKind::Group)) {
            (Some(users), Some(groups)) => {
                let source = IdSource::Module(module);
                Self { source, ..Self::parse(&user, ids, &users, &groups) }
            }
            _ => Self { source: IdSource::Unknown(module), ..Self::parse(&user, ids, "", "") },
        }
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
        let (users, groups) = (of(users), of(groups));
        Self { user: user.to_owned(), uid, gid, source: IdSource::Files, users, groups }
    }

    /// Returns the lines of a configuration for a container of this user, or what is missing for
    /// them, with the command that root gives it by.
    pub(in crate::engine) fn lines(&self) -> Result<Vec<(String, String)>, String> {
        let line = |kind| match self.of(kind).iter().find(|it| it.count >= WHOLE) {
            Some(it) => Ok(("lxc.idmap".to_owned(), format!("{kind} 0 {} {WHOLE}", it.first))),
            None => Err(self.lack(kind)),
        };
        match (line(IdKind::User), line(IdKind::Group)) {
            (Ok(users), Ok(groups)) => Ok(vec![users, groups]),
            (Err(why), _) | (_, Err(why)) => Err(why),
        }
    }

    /// Says that there are not as many ids as a container needs.
    fn lack(&self, kind: IdKind) -> String {
        let (user, last) = (&self.user, FIRST + (WHOLE - 1));
        match &self.source {
            IdSource::Files => format!(
                "{} allots no {WHOLE} ids to {user}; as root: usermod --add-subuids {FIRST}-{last} \
                 --add-subgids {FIRST}-{last} {user} (ids that no other user has there)",
                file(kind)
            ),
            IdSource::Module(_) => format!(
                "{}, asked by {ASKED}, allots no {WHOLE} ids to {user}; it has to be changed there",
                self.source
            ),
            IdSource::Unknown(_) => format!(
                "{} says which ids {user} has, and {ASKED} cannot be run to ask it; give them as \
                 lxc.idmap, or install the package uidmap",
                self.source
            ),
        }
    }

    /// Returns why `map` will be refused; none: it will not.
    pub(in crate::engine) fn refusal(&self, map: &IdMap) -> Option<String> {
        if matches!(self.source, IdSource::Unknown(_)) {
            return None;
        }
        [IdKind::User, IdKind::Group].into_iter().find_map(|kind| {
            let range = map.ranges(kind).iter().find(|it| !self.covers(kind, **it))?;
            let (first, last) = (range.outside, range.outside.saturating_add(range.count - 1));
            let (file, user) = (file(kind), &self.user);
            if let IdSource::Module(_) = self.source {
                return Some(format!(
                    "{kind} {range}: {}, asked by {ASKED}, does not allot ids {first} to {last} to \
                     {user}; it has to be changed there",
                    self.source
                ));
            }
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

    /// Returns a map of everything that the user has.
    pub(in crate::engine) fn whole(&self) -> IdMap {
        let mut map = IdMap::default();
        for kind in [IdKind::User, IdKind::Group] {
            let mut inside = 0;
            for it in self.of(kind) {
                // Ranges that overlap are mapped once.
                let range = IdRange { inside, outside: it.first, count: it.count };
                inside += map.add(kind, range).map_or(0, |()| it.count);
            }
        }
        map
    }

    /// Adds the user to a map, after all others.
    pub(in crate::engine) fn with_user(&self, mut map: IdMap) -> IdMap {
        for (kind, outside) in [(IdKind::User, self.uid), (IdKind::Group, self.gid)] {
            let ends = map.ranges(kind).iter().map(|it| it.inside.saturating_add(it.count));
            let inside = ends.max().unwrap_or_default();
            // If it is there, it cannot be added.
            _ = map.add(kind, IdRange { inside, outside, count: 1 });
        }
        map
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
        return Some(format!("{}; as root: {command}", feature::USERS_FOR_ALL.lack));
    }
    let mappers = [feature::MAP_USERS, feature::MAP_GROUPS];
    mappers.into_iter().find(|it| lacks_program(it.name)).map(|it| it.refusal())
}

/// Returns whether the user's PATH does not lead to it.
pub(in crate::engine) fn lacks_program(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    !std::env::split_paths(&path).any(|it| it.is_absolute() && it.join(program).is_file())
}

impl fmt::Display for IdSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files => f.write_str("/etc/subuid"),
            Self::Module(it) | Self::Unknown(it) => write!(f, "`subid: {it}` of {SWITCH}"),
        }
    }
}

/// Returns which module the text of `/etc/nsswitch.conf` names; none: the files count.
fn module(switch: &str) -> Option<String> {
    let named = switch.lines().find_map(|it| it.trim().strip_prefix("subid:"))?;
    let first = named.split('#').next()?.split_ascii_whitespace().next()?;
    (first != "files").then(|| shown(first).into_owned())
}

/// Asks what `user` has, in the form of the files; none: nobody answers.
fn ask(user: &str, kind: IdKind) -> Option<String> {
    let options: &[&str] = match kind {
        IdKind::User => &[],
        IdKind::Group => &["-g"],
    };
    asked::answer(ASKED, &[options, &[user]].concat()).map(|it| listed(&it))
}

/// Turns lines such as `0: web 100000 65536` into those of the files.
fn listed(output: &str) -> String {
    let lines = output.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_once(':')?.1.split_ascii_whitespace().collect();
        Some(words.join(":"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

const fn file(kind: IdKind) -> &'static str {
    match kind {
        IdKind::User => "/etc/subuid",
        IdKind::Group => "/etc/subgid",
    }
}

/// Returns the setting of this kernel that keeps this ordinary user's process from user namespaces,
/// as the command that changes it.
pub(in crate::engine) fn forbidden(proc: &Path) -> Option<String> {
    const SETTINGS: [(&str, &str, &str); 3] = [
        ("kernel/unprivileged_userns_clone", "0", "1"),
        (RESTRICTED, "1", "0"),
        ("user/max_user_namespaces", "0", "15000"),
    ];
    SETTINGS.into_iter().filter(|it| it.0 != RESTRICTED || is_unconfined(proc)).find_map(|it| {
        let (file, forbids, wanted) = it;
        let value = fs::read_to_string(proc.join("sys").join(file)).ok()?;
        let name = file.replace('/', ".");
        (value.trim() == forbids).then(|| format!("sysctl -w {name}={wanted}"))
    })
}

/// Ubuntu's and recent kernels' setting: who has no profile has no rights in a namespace of users.
const RESTRICTED: &str = "kernel/apparmor_restrict_unprivileged_userns";

/// Returns whether this process has no AppArmor profile at all. Under one, even one that confines
/// nothing (`lxc-start (unconfined)`), its rule `userns` decides.
fn is_unconfined(proc: &Path) -> bool {
    let files = ["self/attr/apparmor/current", "self/attr/current"];
    let label = files.into_iter().find_map(|it| fs::read_to_string(proc.join(it)).ok());
    label.is_none_or(|it| it.trim_end_matches(['\n', '\0']) == UNCONFINED)
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

    #[test]
    fn a_map_for_ones_own_files_has_the_user_last() {
        let text = "web:200000:1000\nweb:300000:10\n";
        let ids = SubIds::parse("web", (1001, 1002), text, text);
        let map = ids.with_user(ids.whole());
        assert_eq!(map.text(IdKind::User), "0 200000 1000\n1000 300000 10\n1010 1001 1");
        assert_eq!(map.outside(IdKind::Group, 1010), Some(1002));
    }

    #[test]
    fn another_source_is_asked_and_named() {
        for (text, found) in [
            ("passwd: files sss\nsubid: sss\n", Some("sss")),
            ("  subid:\tsss files # x\n", Some("sss")),
            ("subid: files\n", None),
            ("# subid: sss\nsubid:\n", None),
            ("", None),
        ] {
            assert_eq!(module(text).as_deref(), found, "{text}");
        }
        assert_eq!(listed("0: web 100000 65536\n1: web 7 1\n"), "web:100000:65536\nweb:7:1");
        let source = IdSource::Module("sss".to_owned());
        let ids = SubIds { source, ..SubIds::parse("web", (1001, 1001), USERS, "") };
        let said = ids.refusal(&map(&[(IdKind::User, 100_000, 65_536)])).unwrap();
        assert!(said.contains("`subid: sss` of /etc/nsswitch.conf, asked by getsubids"), "{said}");
        assert!(!said.contains("usermod"), "{said}");
        assert!(ids.lines().unwrap_err().contains("allots no 65536 ids to web"));
    }

    #[test]
    fn what_cannot_be_asked_is_left_to_those_who_decide() {
        let source = IdSource::Unknown("sss".to_owned());
        let ids = SubIds { source, ..SubIds::parse("web", (1001, 1001), "", "") };
        assert_eq!(ids.refusal(&map(&[(IdKind::User, 100_000, 65_536)])), None);
        let said = ids.lines().unwrap_err();
        assert!(said.contains("`subid: sss`") && said.contains("give them as lxc.idmap"), "{said}");
    }

    #[test]
    fn a_profile_of_its_own_lifts_apparmors_restriction() {
        let proc = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let file = proc.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        assert_eq!(forbidden(proc.path()), None);
        write("sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
        let command = Some("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0".to_owned());
        assert_eq!(forbidden(proc.path()), command);
        for (label, restricts) in
            [("unconfined\n", true), ("wharf (unconfined)\n", false), ("wharf (enforce)\n", false)]
        {
            write("self/attr/current", label);
            assert_eq!(forbidden(proc.path()).is_some(), restricts, "{label}");
        }
        write("self/attr/apparmor/current", "unconfined\n");
        assert_eq!(forbidden(proc.path()), command);
    }
}
