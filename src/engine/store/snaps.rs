//! Where the snapshots of a container are, as LXC lays them out: each is a container of its own, in
//! a directory that is their lxcpath, with the time at which it was taken and a comment beside its
//! configuration.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::Store;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::terms::name::Name;

/// The directory of a container's snapshots, and what a directory beside the lxcpath adds to its
/// name that holds those of all.
pub(in crate::engine) const SNAPS: &str = "snaps";
/// The files in a snapshot.
pub(in crate::engine) const TIME: &str = "ts";
pub(in crate::engine) const COMMENT: &str = "comment";
/// What LXC calls them, each with the first number that is free.
const WORD: &str = "snap";

/// Returns the store of the snapshots of `name`: LXC keeps them beside the lxcpath, in a directory
/// with `snaps` at the end of its name, if that is there.
pub(in crate::engine) fn store_of(store: &Store, name: &Name) -> Store {
    let lxcpath = store.lxcpath();
    let beside = |path: &Path| {
        let mut path = OsString::from(path.as_os_str());
        path.push(SNAPS);
        PathBuf::from(path)
    };
    let shared = beside(&lxcpath.spelled());
    let place =
        if shared.is_dir() { shared.join(name.as_str()) } else { store.spelled(name).join(SNAPS) };
    Store::new(&Lxcpath::open(lxcpath.host(), &place))
}

/// Lists the snapshots of a store, the first one first, and those of which a removal has left a part.
pub(in crate::engine) fn names(snaps: &Store) -> Vec<Name> {
    let entries = fs::read_dir(snaps.lxcpath()).into_iter().flatten().flatten();
    let names = entries.filter_map(|it| it.file_name().to_str()?.parse::<Name>().ok());
    let mut names: Vec<Name> = names.filter(|it| snaps.config_path(it).is_file()).collect();
    names.sort_by_key(|it| (number(it), it.clone()));
    names
}

/// Returns the name of the next snapshot.
pub(in crate::engine) fn free_name(snaps: &Store) -> Option<Name> {
    let mut names = (0_u32..).map(|it| format!("{WORD}{it}"));
    names.find(|it| snaps.lxcpath().join(it).symlink_metadata().is_err())?.parse().ok()
}

fn number(name: &Name) -> u64 {
    let number = name.as_str().strip_prefix(WORD).and_then(|it| it.parse().ok());
    number.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::made_up::MadeUp;

    #[test]
    fn they_are_in_order_and_the_first_free_number_is_next() {
        let machine = MadeUp::new();
        let store = Store::new(&machine.lxcpath);
        let name = "web".parse().unwrap();
        let snaps = store_of(&store, &name);
        assert!(snaps.lxcpath().ends_with("web/snaps"), "{:?}", snaps.lxcpath().dir());
        assert_eq!(free_name(&snaps).unwrap().as_str(), "snap0");
        for it in ["snap0", "snap10", "snap2", "other"] {
            fs::create_dir_all(snaps.lxcpath().join(it)).unwrap();
            fs::write(snaps.lxcpath().join(it).join("config"), "").unwrap();
        }
        let found: Vec<String> = names(&snaps).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["snap0", "snap2", "snap10", "other"]);
        assert_eq!(free_name(&snaps).unwrap().as_str(), "snap1");
        let mut beside = machine.lxcpath.spelled().into_os_string();
        beside.push(SNAPS);
        fs::create_dir(&beside).unwrap();
        assert_eq!(store_of(&store, &name).lxcpath().spelled(), Path::new(&beside).join("web"));
    }
}
