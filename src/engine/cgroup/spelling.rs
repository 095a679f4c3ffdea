//! The keys by which a configuration may set one limit: for cgroup v1 and for v2. Opens no file.

use crate::engine::cgroup::Version;
use crate::engine::cgroup::exact::exact;
use crate::engine::cgroup::knob;

/// Returns the key that sets `file` of that version.
pub(in crate::engine) fn key(version: Version, file: &str) -> String {
    match version {
        Version::V1 => format!("lxc.cgroup.{file}"),
        Version::V2 => format!("lxc.cgroup2.{file}"),
    }
}

/// Returns the key that sets `file`, of the version that has a file of this name.
pub fn key_of(file: &str) -> String {
    key(if knob::of(file).is_v1() { Version::V1 } else { Version::V2 }, file)
}

/// Returns the version and the file of a whole key such as `lxc.cgroup2.memory.max`.
pub fn of_key(key: &str) -> Option<(Version, &str)> {
    let v2 = key.strip_prefix("lxc.cgroup2.").map(|file| (Version::V2, file));
    v2.or_else(|| Some((Version::V1, key.strip_prefix("lxc.cgroup.")?)))
}

/// Returns the key of the same limit for the other version, and the name of its file.
pub(in crate::engine) fn other(version: Version, file: &str) -> (String, &str) {
    let other = knob::counterpart(file).unwrap_or(file);
    let version = match version {
        Version::V1 => Version::V2,
        Version::V2 => Version::V1,
    };
    (key(version, other), other)
}

/// Returns what a configuration contains for what was `typed`: the same text if the kernel, to
/// which LXC passes it on, accepts it, else the kernel's form.
pub(in crate::engine) fn written(typed: &str, wanted: &str) -> String {
    let typed = typed.trim();
    let digits = typed.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G', 't', 'T']);
    let plain = typed.len() - digits.len() <= 1
        && !digits.is_empty()
        && digits.bytes().all(|it| it.is_ascii_digit());
    if plain { typed.to_owned() } else { wanted.to_owned() }
}

/// Converts `value`, as the kernel accepts it for `file`, to what it accepts for `other` of the
/// other version. None: they have different meanings.
pub(in crate::engine) fn translated(file: &str, value: &str, other: &str) -> Option<String> {
    if file == other {
        return Some(value.to_owned());
    }
    // Swap alone, and memory and swap together, depend on another limit.
    let mut all = exact(file, value, &|_| None).ok()?;
    all.pop().filter(|it| all.is_empty() && it.0 == other).map(|it| it.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_to_its_file_and_back() {
        for (version, file) in [(Version::V1, "pids.max"), (Version::V2, "memory.max")] {
            assert_eq!(of_key(&key(version, file)), Some((version, file)));
        }
        assert_eq!(of_key("memory.max"), None);
    }

    #[test]
    fn the_other_spelling_has_the_other_name_or_the_same() {
        let (key, file) = other(Version::V2, "memory.max");
        assert_eq!(
            (key.as_str(), file),
            ("lxc.cgroup.memory.limit_in_bytes", "memory.limit_in_bytes")
        );
        let (key, file) = other(Version::V1, "pids.max");
        assert_eq!((key.as_str(), file), ("lxc.cgroup2.pids.max", "pids.max"));
    }

    #[test]
    fn a_value_is_said_for_the_other_version() {
        for (file, value, other, said) in [
            ("memory.max", "max", "memory.limit_in_bytes", Some("-1")),
            ("memory.limit_in_bytes", "-1", "memory.max", Some("max")),
            ("memory.max", "64M", "memory.limit_in_bytes", Some("64M")),
            ("cpu.max", "50000 100000", "cpu.cfs_quota_us", Some("50000")),
            ("cpu.max", "max 100000", "cpu.cfs_quota_us", Some("-1")),
            ("cpu.max", "50000 50000", "cpu.cfs_quota_us", None),
            ("cpu.cfs_quota_us", "50000", "cpu.max", Some("50000 100000")),
            ("cpu.shares", "2", "cpu.weight", Some("1")),
            ("cpu.shares", "1024", "cpu.weight", Some("100")),
            ("cpu.weight", "10000", "cpu.shares", Some("102400")),
            ("pids.max", "max", "pids.max", Some("max")),
            ("memory.swap.max", "0", "memory.memsw.limit_in_bytes", None),
            ("io.max", "8:0 rbps=1", "blkio.throttle.write_bps_device", None),
        ] {
            assert_eq!(translated(file, value, other).as_deref(), said, "{file} {value}");
        }
    }

    #[test]
    fn what_the_kernel_does_not_read_is_not_written() {
        for (typed, written_as) in
            [("64M", "64M"), ("1.5G", "7"), ("25%", "7"), ("5", "5"), ("MM", "7")]
        {
            assert_eq!(written(typed, "7"), written_as);
        }
    }
}
