//! The limits of a configuration as they are set on this host: those that are written for the other
//! version of cgroups become their exact counterparts, or it is said what is lost. Opens no file.

use super::exact::{exact, is_of_v2};
use super::file::controller_of;
use super::{Hierarchies, Version, knob, spelling};
use crate::engine::terms::spec::{At, CgroupSetting};

type CgroupLine = At<CgroupSetting>;

/// What the lines of a configuration come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::engine) struct Fitted {
    pub v1: Vec<CgroupLine>,
    pub v2: Vec<CgroupLine>,
    /// The limits that the container does not have, and why.
    pub lost: Vec<String>,
}

/// Translates what only the other version has. As with LXC, lines for this host's version alone
/// count where there are both for a controller. Device rules stay as they are: each version takes
/// those of the other.
pub(in crate::engine) fn fit(
    hierarchies: &Hierarchies,
    v1: &[CgroupLine],
    v2: &[CgroupLine],
) -> Fitted {
    let controllers = Controllers::of(hierarchies);
    let mut fitted = Fitted::default();
    controllers.take(Version::V1, (v1, v2), &mut fitted);
    controllers.take(Version::V2, (v2, v1), &mut fitted);
    fitted
}

/// What this host has on each version.
#[derive(Debug)]
struct Controllers {
    v1: Vec<String>,
    /// None: there is no cgroup v2.
    v2: Option<Vec<String>>,
}

impl Controllers {
    fn of(hierarchies: &Hierarchies) -> Self {
        let old = hierarchies.iter().filter(|it| it.version == Version::V1);
        Self {
            v1: old.flat_map(|it| it.controllers.clone()).collect(),
            v2: hierarchies.unified().map(|it| it.controllers.clone()),
        }
    }

    fn has_v1(&self, controller: &str) -> bool {
        self.v1.iter().any(|it| it == controller)
    }

    fn has_v2(&self, controller: &str) -> bool {
        // Every group has the files of the core.
        let has = |it: &Vec<String>| controller == CORE || it.iter().any(|it| it == controller);
        self.v2.as_ref().is_some_and(has)
    }

    /// Returns the version that has the controller of a line for `version`; none: neither.
    fn home(&self, version: Version, file: &str) -> Option<Version> {
        let own = controller_of(file);
        let other = renamed(version, own);
        let [v1, v2] = match version {
            Version::V1 => [own, other],
            Version::V2 => [other, own],
        };
        let by_name = |version| match version {
            Version::V1 => self.has_v1(v1),
            Version::V2 => self.has_v2(v2),
        };
        [version, opposite(version)].into_iter().find(|it| by_name(*it))
    }

    /// Takes the lines for `version`, beside which there are `others`.
    fn take(
        &self,
        version: Version,
        (lines, others): (&[CgroupLine], &[CgroupLine]),
        fitted: &mut Fitted,
    ) {
        for line in lines {
            let file = line.value.file.as_str();
            let home = self.home(version, file);
            let lacks_version = match version {
                Version::V1 => self.v1.is_empty(),
                Version::V2 => self.v2.is_none(),
            };
            if controller_of(file) == DEVICES
                || home == Some(version)
                || home.is_none() && !lacks_version
            {
                fitted.list(version).push(line.clone());
                continue;
            }
            let there = renamed(version, controller_of(file));
            if others.iter().any(|it| controller_of(&it.value.file) == there) {
                continue;
            }
            let to = opposite(version);
            match translated(version, line, lines) {
                Ok(all) if home == Some(to) => fitted.list(to).extend(all),
                Ok(_) => fitted.lost.push(lost(version, line, NOT_HERE)),
                Err(why) => fitted.lost.push(lost(version, line, &why)),
            }
        }
    }
}

impl Fitted {
    const fn list(&mut self, version: Version) -> &mut Vec<CgroupLine> {
        match version {
            Version::V1 => &mut self.v1,
            Version::V2 => &mut self.v2,
        }
    }
}

const DEVICES: &str = "devices";
/// The files of cgroup v2 itself begin with it.
const CORE: &str = "cgroup";
const NOT_HERE: &str = "this host has no controller for it";

const fn opposite(version: Version) -> Version {
    match version {
        Version::V1 => Version::V2,
        Version::V2 => Version::V1,
    }
}

/// Returns what the controller of a line for `version` is called on the other.
fn renamed(version: Version, controller: &str) -> &str {
    const RENAMED: [(&str, &str); 2] = [("blkio", "io"), ("freezer", CORE)];
    let mut all = RENAMED.iter();
    let found = match version {
        Version::V1 => all.find(|it| it.0 == controller).map(|it| it.1),
        Version::V2 => all.find(|it| it.1 == controller).map(|it| it.0),
    };
    found.unwrap_or(controller)
}

/// Translates a line for `version`; `lines` are all for it, of which the last for a file counts.
fn translated(
    version: Version,
    line: &CgroupLine,
    lines: &[CgroupLine],
) -> Result<Vec<CgroupLine>, String> {
    let CgroupSetting { file, value, .. } = &line.value;
    let given = Some(spelling::key(version, file));
    let set = |file: String, value: String| At {
        value: CgroupSetting { file, value, given: given.clone() },
        place: line.place.clone(),
    };
    // The key has the one version's name, and the file the other's.
    let misnamed = match version {
        Version::V1 => is_of_v2(file),
        Version::V2 => knob::of(file).is_v1(),
    };
    if misnamed {
        return Ok(vec![set(file.clone(), value.clone())]);
    }
    let sibling = |file: &str| {
        let found = lines.iter().rev().find(|it| it.value.file == file);
        found.map(|it| it.value.value.clone())
    };
    let all = exact(file, value, &sibling)?;
    Ok(all.into_iter().map(|(file, value)| set(file, value)).collect())
}

fn lost(version: Version, line: &CgroupLine, why: &str) -> String {
    let CgroupSetting { file, value, .. } = &line.value;
    let place = line.place.as_ref().map_or_else(String::new, |it| format!(" ({it})"));
    format!("{} {value} has no effect: {why}{place}", spelling::key(version, file))
}
