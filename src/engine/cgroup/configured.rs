//! The limits that a configuration sets, and those that it could set, as rows. Opens no file.

use std::collections::{BTreeMap, BTreeSet};

use super::spelling;
use super::translation::fit;
use crate::engine::cgroup::knob;
use crate::engine::cgroup::{CgroupFile, Hierarchies, Version};
use crate::engine::config::Config;
use crate::engine::terms::spec::{At, CgroupSetting};

/// Limits that are offered although they are not set, by their names on v1 and on v2.
const OFFERED: [(&str, &str); 9] = [
    ("cpu.cfs_quota_us", "cpu.max"),
    ("cpu.shares", "cpu.weight"),
    ("cpuset.cpus", "cpuset.cpus"),
    ("memory.limit_in_bytes", "memory.max"),
    ("memory.soft_limit_in_bytes", "memory.high"),
    ("memory.memsw.limit_in_bytes", "memory.swap.max"),
    ("pids.max", "pids.max"),
    ("blkio.weight", "io.weight"),
    ("blkio.throttle.write_bps_device", "io.max"),
];

/// Lists every limit that `config` sets, in each spelling that is used, followed, in the spelling
/// of this host, by those that it does not set.
pub(in crate::engine) fn rows(config: &Config, hierarchies: &Hierarchies) -> Vec<CgroupFile> {
    let translated = translated(config, hierarchies);
    let row = |key: &str, value: Option<&str>| {
        let (version, file) = spelling::of_key(key)?;
        let controller = file.split_once('.').map_or(file, |(controller, _)| controller);
        let other = || version_of(hierarchies, knob::counterpart(file)?);
        let here = version_of(hierarchies, file).or_else(other);
        Some(CgroupFile {
            controller: controller.to_owned(),
            version: if version == Version::V1 { 1 } else { 2 },
            file: key.to_owned(),
            value: value.map(str::to_owned),
            writable: true,
            applies: here.is_none_or(|it| it == version) || translated.contains(key),
        })
    };
    let mut keys: BTreeMap<String, Option<&str>> =
        config.cgroup_settings().into_iter().map(|(key, set)| (key, Some(set.value))).collect();
    for (v1, v2) in OFFERED {
        if let Some(version) = version_of(hierarchies, v2).or_else(|| version_of(hierarchies, v1)) {
            let file = if version == Version::V1 { v1 } else { v2 };
            keys.entry(spelling::key(version, file)).or_insert(None);
        }
    }
    keys.iter().filter_map(|(key, value)| row(key, *value)).collect()
}

/// Returns the keys of which a start sets the counterpart.
fn translated(config: &Config, hierarchies: &Hierarchies) -> BTreeSet<String> {
    let set = config.cgroup_settings();
    let lines = |version| {
        let lines = set.iter().filter_map(|(key, it)| {
            let (of, file) = spelling::of_key(key)?;
            let (file, value) = (file.to_owned(), it.value.to_owned());
            let value = CgroupSetting { file, value, given: None };
            (of == version).then_some(At { value, place: None })
        });
        lines.collect::<Vec<_>>()
    };
    let fitted = fit(hierarchies, &lines(Version::V1), &lines(Version::V2));
    fitted.v1.into_iter().chain(fitted.v2).filter_map(|it| it.value.given).collect()
}

/// Returns which version has `file` on this host, by the controller in its name.
pub(in crate::engine) fn version_of(hierarchies: &Hierarchies, file: &str) -> Option<Version> {
    let controller = file.split_once('.').map_or(file, |(controller, _)| controller);
    hierarchies.iter().find(|it| it.controls(controller)).map(|it| it.version)
}

/// Returns the name that this host has for `file`, if it is another version's.
pub(in crate::engine) fn name_here(version: Version, file: &str) -> Option<&'static str> {
    let other = knob::counterpart(file)?;
    // The table lists these under their names on v2.
    let named = if knob::of(file).other.is_some() { Version::V2 } else { Version::V1 };
    (named != version).then_some(other)
}
