//! Applying the `lxc.cgroup.*` and `lxc.cgroup2.*` lines of a configuration to fresh groups.

use std::error::Error as _;
use std::io::Write as _;

use super::file::controller_of;
use super::{Cgroup, CgroupError, DeviceRules, LoadedDevices, Version, values};
use crate::engine::terms::spec::{At, CgroupSetting};

/// The limit of memory and swap may not be below that of memory, so memory is written first.
const MEMORY: &str = "memory.limit_in_bytes";
const MEMORY_AND_SWAP: &str = "memory.memsw.limit_in_bytes";

/// What became of the rules for devices.
#[derive(Debug, Default)]
pub struct AppliedDevices {
    /// What is to be said about them.
    pub said: Option<String>,
    /// What can be changed later on: only on v2, where no file has them.
    pub(in crate::engine) loaded: Option<LoadedDevices>,
}

impl Cgroup {
    /// Writes all settings but those of devices: `v1` to the v1 hierarchies, `v2` to the unified
    /// one. As with LXC, lines for a version that the host does not mount are ignored. Returns what
    /// became of those that were translated, which never prevent a start.
    pub fn apply(
        &self,
        v1: &[At<CgroupSetting>],
        v2: &[At<CgroupSetting>],
    ) -> Result<Vec<String>, CgroupError> {
        let mut said = Vec::new();
        for (setting, prefix) in self.meant(v1, v2) {
            match (&setting.value.given, self.put(setting, prefix)) {
                (None, done) => done?,
                (Some(key), Ok(())) => said.push(became(key, setting, "is applied")),
                (Some(key), Err(why)) => {
                    let why = why.source().map_or_else(|| why.to_string(), ToString::to_string);
                    said.push(became(key, setting, "cannot be applied") + ": " + &why);
                }
            }
        }
        Ok(said)
    }

    /// Lists the settings for this host, in the order in which they are written, with the prefix of
    /// their keys.
    pub(in crate::engine) fn meant<'a>(
        &self,
        v1: &'a [At<CgroupSetting>],
        v2: &'a [At<CgroupSetting>],
    ) -> Vec<(&'a At<CgroupSetting>, &'static str)> {
        let mut meant = Vec::new();
        if self.has(Version::V1) {
            meant.extend(ordered(v1).into_iter().map(|it| (it, "lxc.cgroup")));
        }
        if self.has(Version::V2) {
            let unified = v2.iter().filter(|it| !is_device(it));
            meant.extend(unified.map(|it| (it, "lxc.cgroup2")));
        }
        meant
    }

    /// Applies the `devices.*` settings, in order. Must be called after the container's own `/dev`
    /// is made, since the rules may forbid that. Says so if they are the other version's.
    pub fn apply_devices(
        &self,
        v1: &[At<CgroupSetting>],
        v2: &[At<CgroupSetting>],
    ) -> Result<AppliedDevices, CgroupError> {
        let rules = |settings: &[At<CgroupSetting>]| -> Vec<At<CgroupSetting>> {
            settings.iter().filter(|it| is_device(it)).cloned().collect()
        };
        let (v1, v2) = (rules(v1), rules(v2));
        if self.v1("devices").is_some() {
            // A hybrid host has the controller only once; lines for just the unified hierarchy must
            // not leave a container unguarded.
            let (lines, foreign) = if v1.is_empty() { (&v2, true) } else { (&v1, false) };
            lines
                .chunk_by(|a, b| a.value.file == b.value.file)
                .try_for_each(|it| self.put_all(it))?;
            let first = lines.first().filter(|_| foreign);
            let said = first.map(|it| of_devices("lxc.cgroup2", it, "v1"));
            return Ok(AppliedDevices { said, loaded: None });
        }
        let Some(unified) = self.unified() else {
            // The container could access every device of the host.
            let unguarded = v1.iter().chain(&v2).next();
            let fail = |it| Err(failed(it, "lxc.cgroup", CgroupError::NoDevices));
            return unguarded.map_or_else(|| Ok(AppliedDevices::default()), fail);
        };
        // Nor must lines for only v1.
        let (lines, prefix) =
            if v2.is_empty() { (&v1, "lxc.cgroup") } else { (&v2, "lxc.cgroup2") };
        let Some(first) = lines.first() else {
            let loaded = Some(LoadedDevices::open(unified.dir.clone()));
            return Ok(AppliedDevices { said: None, loaded });
        };
        let mut rules = DeviceRules::default();
        for it in lines {
            rules.add(&it.value.file, &it.value.value).map_err(|why| failed(it, prefix, why))?;
        }
        let loaded = Some(LoadedDevices::load(rules, unified.dir.clone())?);
        let foreign = v2.is_empty();
        let said = foreign.then(|| of_devices("lxc.cgroup", first, "v2"));
        Ok(AppliedDevices { said, loaded })
    }

    /// Returns whether it has the v1 controller of devices, and needs no program for them.
    pub(in crate::engine) fn guards_devices_itself(&self) -> bool {
        self.v1("devices").is_some()
    }

    fn put(&self, setting: &At<CgroupSetting>, prefix: &str) -> Result<(), CgroupError> {
        let CgroupSetting { file, value, .. } = &setting.value;
        values::check_name(file)
            .and_then(|()| {
                // The kernel judges what the parser does not know, as with LXC.
                let wanted = self.parse(file, value);
                self.write(file, value, wanted.as_ref().unwrap_or(value))
            })
            .map_err(|source| failed(setting, prefix, source))
    }

    /// Writes rules that are all for one file, one after the other.
    fn put_all(&self, rules: &[At<CgroupSetting>]) -> Result<(), CgroupError> {
        let [first, ..] = rules else { return Ok(()) };
        let file = &first.value.file;
        let blame = |rule: &At<CgroupSetting>, why| failed(rule, "lxc.cgroup", why);
        let opened = values::check_name(file).and_then(|()| self.open_to_write(file));
        let (dir, opened) = opened.map_err(|why| blame(first, why))?;
        let refused = |rule: &At<CgroupSetting>, errno| {
            let value = rule.value.value.as_str();
            blame(rule, values::refused(dir, file, (value, value), errno))
        };
        let mut opened = opened.map_err(|errno| refused(first, errno))?;
        rules.iter().try_for_each(|rule| {
            let written = opened.write_all(rule.value.value.trim().as_bytes());
            written.map_err(|errno| refused(rule, errno))
        })
    }

    fn has(&self, version: Version) -> bool {
        self.groups.iter().any(|it| it.hierarchy.version == version)
    }
}

fn is_device(setting: &At<CgroupSetting>) -> bool {
    controller_of(&setting.value.file) == "devices"
}

/// Returns the settings in order, but with the memory limit before that of memory and swap.
fn ordered(settings: &[At<CgroupSetting>]) -> Vec<&At<CgroupSetting>> {
    let mut plain: Vec<_> = settings.iter().filter(|it| !is_device(it)).collect();
    let place = |file: &str| plain.iter().position(|it| it.value.file == file);
    if let (Some(both), Some(alone)) = (place(MEMORY_AND_SWAP), place(MEMORY))
        && both < alone
    {
        plain.swap(both, alone);
    }
    plain
}

/// Says what became of a translated line.
fn became(key: &str, setting: &At<CgroupSetting>, what: &str) -> String {
    let CgroupSetting { file, value, .. } = &setting.value;
    let place = setting.place.as_ref().map_or_else(String::new, |it| format!(" ({it})"));
    format!("{key}{place} {what} as {file} {}", value.trim())
}

/// Says that the rules for devices, of which `first` is the first, are the other version's.
fn of_devices(prefix: &str, first: &At<CgroupSetting>, version: &str) -> String {
    let place = first.place.as_ref().map_or_else(String::new, |it| format!(" ({it})"));
    format!("the rules of {prefix}.devices{place} are applied on cgroup {version}")
}

fn failed(setting: &At<CgroupSetting>, prefix: &str, source: CgroupError) -> CgroupError {
    CgroupError::Setting {
        key: format!("{prefix}.{}", setting.value.file),
        place: setting.place.clone(),
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(file: &str) -> At<CgroupSetting> {
        let value = CgroupSetting { file: file.to_owned(), value: "1".to_owned(), given: None };
        At { value, place: None }
    }

    #[test]
    fn memory_is_limited_before_memory_and_swap() {
        let given = [MEMORY_AND_SWAP, "cpu.shares", "devices.deny", MEMORY].map(setting);
        let files: Vec<_> = ordered(&given).iter().map(|it| it.value.file.as_str()).collect();
        assert_eq!(files, [MEMORY, "cpu.shares", MEMORY_AND_SWAP]);
    }
}
