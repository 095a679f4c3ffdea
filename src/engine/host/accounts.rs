//! The host's users and groups: `/etc/passwd` and `/etc/group`, and where `/etc/nsswitch.conf` names
//! other sources, what getent(1) answers. The C library's own look-up loads its modules, which a
//! static program cannot.

use std::fs;

use super::asked;

const SWITCH: &str = "/etc/nsswitch.conf";
/// Part of the C library's package.
const GETENT: &str = "getent";

/// Returns the name of a user; none: it has none, or nobody answers.
pub fn user_name(uid: u32) -> Option<String> {
    name(&PASSWD, uid)
}

/// Returns the number of a user; none: there is no such one, or nobody answers.
pub fn user_id(name: &str) -> Option<u32> {
    let by_name = |it: &AccountLine<'_>| it.name == name;
    find(&PASSWD, by_name, name, |it| it.id)
}

/// Returns the name of a group; none: it has none, or nobody answers.
pub fn group_name(gid: u32) -> Option<String> {
    name(&GROUP, gid)
}

/// A file of accounts, and its name as a database of nsswitch.conf(5).
struct Accounts {
    file: &'static str,
    database: &'static str,
}

const PASSWD: Accounts = Accounts { file: "/etc/passwd", database: "passwd" };
const GROUP: Accounts = Accounts { file: "/etc/group", database: "group" };

/// What a line of passwd(5) and one of group(5) have in common.
#[derive(Debug, PartialEq, Eq)]
struct AccountLine<'a> {
    name: &'a str,
    id: u32,
}

fn name(accounts: &Accounts, id: u32) -> Option<String> {
    let by_id = |it: &AccountLine<'_>| it.id == id;
    find(accounts, by_id, &id.to_string(), |it| it.name.to_owned())
}

fn find<T>(
    accounts: &Accounts,
    fits: impl Fn(&AccountLine<'_>) -> bool,
    key: &str,
    take: impl Fn(AccountLine<'_>) -> T,
) -> Option<T> {
    let among = |text: &str| text.lines().filter_map(account).find(&fits).map(&take);
    // A single line in another encoding must not hide all others.
    let read =
        |path: &str| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    if let Some(found) = among(&read(accounts.file)) {
        return Some(found);
    }
    if !has_other_sources(&read(SWITCH), accounts.database) || key.starts_with('-') {
        return None;
    }
    among(&asked::answer(GETENT, &[accounts.database, key])?)
}

/// Reads a line such as `web:x:1000:1000::/home/web:/bin/sh`.
fn account(line: &str) -> Option<AccountLine<'_>> {
    let mut words = line.split(':');
    let name = words.next().filter(|it| !it.is_empty())?;
    Some(AccountLine { name, id: words.nth(1)?.parse().ok()? })
}

/// Returns whether the text of nsswitch.conf(5) names other sources than the files.
fn has_other_sources(switch: &str, database: &str) -> bool {
    let line = |line: &'_ str| -> Option<String> {
        let rest = line.trim().strip_prefix(database)?.strip_prefix(':')?;
        rest.split('#').next().map(str::to_owned)
    };
    let sources = switch.lines().find_map(line).unwrap_or_default();
    let other = |it: &str| !matches!(it, "files" | "compat") && !it.starts_with('[');
    sources.split_whitespace().any(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_files_are_read() {
        let web = AccountLine { name: "web", id: 1000 };
        assert_eq!(account("web:x:1000:100:Web,,,:/home/web:/bin/sh").unwrap(), web);
        assert_eq!(account("web:x:1000:").unwrap(), web);
        for line in ["", "web", "web:x", "web:x:many:1", "+::::::", ":x:0:0"] {
            assert_eq!(account(line), None, "{line}");
        }
    }

    #[test]
    fn other_sources_are_asked_only_where_they_are_named() {
        for (text, expected) in [
            ("passwd: files systemd\ngroup: files\n", true),
            ("passwd:  files # sss\n", false),
            ("passwd: compat [NOTFOUND=return] files", false),
            ("passwd: files [!NOTFOUND=return] ldap", true),
            ("passwd_compat: nis\n", false),
            ("", false),
        ] {
            assert_eq!(has_other_sources(text, "passwd"), expected, "{text}");
        }
    }

    #[test]
    fn the_same_is_found_as_the_c_library_finds() {
        for uid in [0, 1, 65_534, 3_999_999_999] {
            let expected = nix::unistd::User::from_uid(uid.into()).unwrap().map(|it| it.name);
            assert_eq!(user_name(uid), expected, "{uid}");
            let expected = nix::unistd::Group::from_gid(uid.into()).unwrap().map(|it| it.name);
            assert_eq!(group_name(uid), expected, "{uid}");
        }
        assert_eq!(user_id("root"), Some(0));
        assert_eq!(user_id("no such user"), None);
        assert_eq!(user_id("-s"), None);
    }
}
