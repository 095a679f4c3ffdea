//! Where a container's control group is: its path below the root of each hierarchy. Plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// The path of a group, such as `/lxc.payload.web`. Records keep it, and older ones have one text for
/// all hierarchies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum GroupPath {
    /// The same in all; empty: there is no group.
    Same(String),
    /// By the hierarchy's controllers, as in `/proc/PID/cgroup`; those it is not in are left out.
    Each(BTreeMap<String, String>),
}

impl GroupPath {
    /// No group.
    pub const NONE: Self = Self::Same(String::new());

    /// Gathers the path in each hierarchy, by its controllers.
    pub fn of(each: impl Iterator<Item = (String, String)>) -> Self {
        let each: BTreeMap<String, String> = each.collect();
        let mut paths = each.values();
        let first = paths.next().cloned().unwrap_or_default();
        if paths.all(|it| *it == first) { Self::Same(first) } else { Self::Each(each) }
    }

    /// Returns whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.paths().is_empty()
    }

    /// Returns the path in the hierarchy with these controllers.
    pub fn within(&self, controllers: &str) -> Option<&str> {
        match self {
            Self::Same(path) => Some(path),
            Self::Each(all) => all.get(controllers).map(String::as_str),
        }
    }

    /// Lists the paths, each once.
    pub fn paths(&self) -> BTreeSet<&str> {
        let all: Vec<&str> = match self {
            Self::Same(path) => vec![path],
            Self::Each(all) => all.values().map(String::as_str).collect(),
        };
        all.into_iter().filter(|it| !it.is_empty()).collect()
    }

    /// Returns the path of the group `name` below it, everywhere.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let below = |path: &String| format!("{}/{name}", path.trim_end_matches('/'));
        match self {
            Self::Same(path) => Self::Same(below(path)),
            Self::Each(all) => {
                Self::Each(all.iter().map(|(key, path)| (key.clone(), below(path))).collect())
            }
        }
    }
}

impl Default for GroupPath {
    fn default() -> Self {
        Self::NONE
    }
}

impl From<&str> for GroupPath {
    fn from(path: &str) -> Self {
        Self::Same(path.to_owned())
    }
}

impl fmt::Display for GroupPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.paths().into_iter().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(each: &[(&str, &str)]) -> GroupPath {
        GroupPath::of(each.iter().map(|(key, path)| ((*key).to_owned(), (*path).to_owned())))
    }

    #[test]
    fn one_path_is_written_as_text_and_several_by_hierarchy() {
        let same = of(&[("", "/a"), ("memory", "/a")]);
        assert_eq!(serde_json::to_string(&same).unwrap(), r#""/a""#);
        let each = of(&[("", "/a"), ("cpu,cpuacct", "/b")]);
        let text = serde_json::to_string(&each).unwrap();
        assert_eq!(text, r#"{"":"/a","cpu,cpuacct":"/b"}"#);
        for (text, path) in [(r#""/a""#, same), (&text, each)] {
            assert_eq!(serde_json::from_str::<GroupPath>(text).unwrap(), path);
        }
    }

    #[test]
    fn a_group_below_it_is_below_it_everywhere() {
        let each = of(&[("", "/a"), ("memory", "/")]).join("in");
        assert_eq!((each.within(""), each.within("memory")), (Some("/a/in"), Some("/in")));
        assert_eq!(each.within("pids"), None);
        assert_eq!(each.to_string(), "/a/in, /in");
        assert_eq!(GroupPath::NONE.join("web").within("pids"), Some("/web"));
        assert!(GroupPath::NONE.is_empty() && !each.is_empty());
    }
}
