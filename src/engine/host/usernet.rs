//! LXC's setuid program that gives an ordinary user's container an interface on a bridge, and what
//! it allows: `/etc/lxc/lxc-usernet`; see lxc-usernet(5). Only the program decides; this says
//! beforehand what it will say.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{getegid, geteuid, getgroups};

use super::accounts;

use crate::engine::terms::feature;

/// What it is called.
pub(in crate::engine) const PROGRAM: &str = "lxc-user-nic";
/// Where packages put it.
const DIRECTORIES: [&str; 6] = [
    "/usr/libexec/lxc",
    "/usr/lib/x86_64-linux-gnu/lxc",
    "/usr/lib/aarch64-linux-gnu/lxc",
    "/usr/lib/arm-linux-gnueabihf/lxc",
    "/usr/lib64/lxc",
    "/usr/lib/lxc",
];
const ALLOWED: &str = "/etc/lxc/lxc-usernet";
/// Where and how many the advice gives.
const USUAL_BRIDGE: &str = "lxcbr0";
const SOME: u32 = 10;

/// Returns the program, if it is installed.
pub(in crate::engine) fn program() -> Option<PathBuf> {
    DIRECTORIES.into_iter().map(|it| Path::new(it).join(PROGRAM)).find(|it| it.is_file())
}

/// Returns why the user of this process gets no interface on `bridge`, or on any at all; none: nothing
/// is known to be missing.
pub(in crate::engine) fn refusal(bridge: Option<&str>) -> Option<String> {
    if program().is_none() {
        return Some(feature::USER_NIC.refusal());
    }
    let user = accounts::user_name(geteuid().as_raw())?;
    let ids = getgroups().unwrap_or_default().into_iter().chain([getegid()]);
    let groups: Vec<String> = ids.filter_map(|it| accounts::group_name(it.as_raw())).collect();
    // Whoever cannot read it leaves it to the program.
    let text = match fs::read_to_string(ALLOWED) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return None,
        text => text.unwrap_or_default(),
    };
    (!allows(&text, (&user, &groups), bridge)).then(|| {
        let on = bridge.map(|it| format!(" on {it}")).unwrap_or_default();
        let bridge = bridge.unwrap_or(USUAL_BRIDGE);
        format!(
            "{ALLOWED} allows {user} no veth{on}; as root: echo '{user} veth {bridge} {SOME}' >> {ALLOWED}"
        )
    })
}

/// Returns whether a line such as `USER veth BRIDGE COUNT`, or with `@GROUP`, is for this user.
fn allows(text: &str, (user, groups): (&str, &[String]), bridge: Option<&str>) -> bool {
    text.lines().any(|line| {
        let mut words = line.split_whitespace();
        let (Some(who), Some("veth"), Some(link), Some(count)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return false;
        };
        let ours =
            who.strip_prefix('@').map_or(who == user, |it| groups.iter().any(|own| own == it));
        ours && bridge.is_none_or(|it| it == link) && count.parse::<u32>().is_ok_and(|it| it > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_allowed_by_name_or_group() {
        let text = "# veths\nweb veth lxcbr0 2\n@ops veth br1 10\nweb veth br2 0\nweb\n";
        let groups = ["web".to_owned(), "ops".to_owned()];
        for (bridge, allowed) in [("lxcbr0", true), ("br1", true), ("br2", false), ("br3", false)] {
            assert_eq!(allows(text, ("web", &groups), Some(bridge)), allowed, "{bridge}");
        }
        assert!(allows(text, ("web", &[]), None));
        assert!(!allows(text, ("db", &[]), Some("lxcbr0")) && !allows(text, ("db", &[]), None));
    }
}
