//! The table of cgroup files: what each contains, in which range, its name under the other version,
//! how it is cleared, and what it means. Opens no file.

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KnobKind {
    Bytes,
    /// A number in a range, the last one being the kernel's own.
    Weight {
        least: u64,
        most: u64,
        normal: u64,
    },
    /// `QUOTA PERIOD`, in microseconds.
    Quota,
    /// Only a quota.
    QuotaUs,
    Count,
    /// Processors or memory nodes, such as `0-3,8`.
    List,
    /// One line for each device, such as `8:0 rbps=1048576`.
    Devices,
    /// Whatever the kernel takes.
    Other,
}

/// How a limit is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Clear {
    /// By this word.
    By(&'static str),
    /// By an empty line.
    Newline,
    /// For each device separately.
    Device,
    /// Only by its normal value.
    Never,
}

/// What happens when the container uses more than the file allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Kills,
    /// The kernel refuses the value, if it cannot get enough back (v1).
    Refused,
    Slows,
    Refuses,
    Nothing,
}

/// One file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knob {
    pub(in crate::engine) file: &'static str,
    pub value: KnobKind,
    pub(in crate::engine) clear: Clear,
    pub over: Over,
    /// What it is called under the other version.
    pub(in crate::engine) other: Option<&'static str>,
    pub meaning: &'static str,
    /// Its value stays until it is set again, unlike that of counters and commands.
    pub stays: bool,
}

const MAX: Clear = Clear::By("max");
const MINUS_ONE: Clear = Clear::By("-1");

const fn knob(file: &'static str, value: KnobKind, clear: Clear, meaning: &'static str) -> Knob {
    Knob { file, value, clear, over: Over::Nothing, other: None, meaning, stays: true }
}

impl Knob {
    const fn as_v1(self, other: &'static str) -> Self {
        Self { other: Some(other), ..self }
    }

    const fn over(self, over: Over) -> Self {
        Self { over, ..self }
    }

    const fn passing(self) -> Self {
        Self { stays: false, ..self }
    }

    /// Returns whether only cgroup v1 has it.
    pub(in crate::engine) fn is_v1(&self) -> bool {
        let by_name = self.file.ends_with("_in_bytes") || self.file.starts_with("blkio.");
        by_name
            || self.value == KnobKind::QuotaUs
            || matches!(self.file, "cpu.shares" | "cpu.cfs_period_us" | "memory.swappiness")
    }

    /// Describes what its value may be.
    pub const fn advice(&self) -> &'static str {
        match self.value {
            KnobKind::Bytes => "512M, 1.5G, 25% of the host, or max",
            KnobKind::Weight { most: 10_000, .. } => "1 to 10000, 100 is normal",
            KnobKind::Weight { most: 262_144, .. } => "2 to 262144, 1024 is normal",
            KnobKind::Weight { .. } => "10 to 1000, 500 is normal",
            KnobKind::Quota | KnobKind::QuotaUs => "50% of one processor, 200% for two, or max",
            KnobKind::Count => "a number, or max",
            KnobKind::List => "such as 0-3,8; empty: all that the group above has",
            KnobKind::Devices => "such as 8:0 rbps=1048576; a device's max clears it",
            KnobKind::Other => "what the kernel accepts",
        }
    }
}

const WEIGHT: KnobKind = KnobKind::Weight { least: 1, most: 10_000, normal: 100 };
const SHARES: KnobKind = KnobKind::Weight { least: 2, most: 262_144, normal: 1024 };
const BLKIO: KnobKind = KnobKind::Weight { least: 10, most: 1000, normal: 500 };

/// Names on v2 first; names that v1 has too are listed once.
const KNOBS: &[Knob] = &[
    knob("memory.max", KnobKind::Bytes, MAX, "most memory it may use")
        .as_v1("memory.limit_in_bytes")
        .over(Over::Kills),
    knob("memory.high", KnobKind::Bytes, MAX, "memory above which it is slowed down")
        .as_v1("memory.soft_limit_in_bytes")
        .over(Over::Slows),
    knob("memory.low", KnobKind::Bytes, MAX, "memory that is reclaimed last"),
    knob("memory.min", KnobKind::Bytes, MAX, "memory that is never reclaimed"),
    knob("memory.swap.max", KnobKind::Bytes, MAX, "swap").as_v1("memory.memsw.limit_in_bytes"),
    knob("memory.swap.high", KnobKind::Bytes, MAX, "swap above which it is slowed down"),
    knob("memory.zswap.max", KnobKind::Bytes, MAX, "compressed swap"),
    knob("memory.reclaim", KnobKind::Bytes, Clear::Never, "memory to reclaim now").passing(),
    knob("memory.current", KnobKind::Bytes, Clear::Never, "memory in use")
        .as_v1("memory.usage_in_bytes")
        .passing(),
    knob("memory.peak", KnobKind::Bytes, Clear::Never, "most memory ever in use")
        .as_v1("memory.max_usage_in_bytes")
        .passing(),
    knob("memory.swap.current", KnobKind::Bytes, Clear::Never, "swap in use")
        .as_v1("memory.memsw.usage_in_bytes")
        .passing(),
    knob("memory.events", KnobKind::Other, Clear::Never, "how often limits were hit")
        .as_v1("memory.failcnt")
        .passing(),
    knob("memory.oom.group", KnobKind::Other, Clear::Never, "out of memory kills all or one")
        .as_v1("memory.oom_control"),
    knob("memory.limit_in_bytes", KnobKind::Bytes, MINUS_ONE, "most memory it may use")
        .over(Over::Refused),
    knob("memory.soft_limit_in_bytes", KnobKind::Bytes, MINUS_ONE, "memory it may keep"),
    knob("memory.memsw.limit_in_bytes", KnobKind::Bytes, MINUS_ONE, "memory and swap together"),
    knob("memory.kmem.limit_in_bytes", KnobKind::Bytes, MINUS_ONE, "memory of the kernel"),
    knob("memory.kmem.tcp.limit_in_bytes", KnobKind::Bytes, MINUS_ONE, "memory of TCP buffers"),
    knob("memory.usage_in_bytes", KnobKind::Bytes, Clear::Never, "memory in use").passing(),
    knob("memory.max_usage_in_bytes", KnobKind::Bytes, Clear::Never, "most memory ever in use")
        .passing(),
    knob("memory.swappiness", KnobKind::Other, Clear::Never, "how readily it is swapped"),
    knob("cpu.max", KnobKind::Quota, MAX, "processor time").as_v1("cpu.cfs_quota_us"),
    knob("cpu.weight", WEIGHT, Clear::Never, "share of busy processors").as_v1("cpu.shares"),
    knob("cpu.weight.nice", KnobKind::Other, Clear::Never, "the same as a nice value"),
    knob("cpu.idle", KnobKind::Other, Clear::Never, "runs only when nothing else does"),
    knob("cpu.max.burst", KnobKind::Other, Clear::Never, "unused quota that may be used later"),
    knob("cpu.stat", KnobKind::Other, Clear::Never, "time used").as_v1("cpuacct.usage").passing(),
    knob("cpu.cfs_quota_us", KnobKind::QuotaUs, MINUS_ONE, "processor time in a period"),
    knob("cpu.cfs_period_us", KnobKind::Other, Clear::Never, "the period of the quota"),
    knob("cpu.shares", SHARES, Clear::Never, "share of busy processors"),
    knob("cpuset.cpus", KnobKind::List, Clear::Newline, "processors it may run on"),
    knob("cpuset.mems", KnobKind::List, Clear::Newline, "memory nodes it may use"),
    knob("cpuset.cpus.exclusive", KnobKind::List, Clear::Newline, "processors for it alone"),
    knob("io.max", KnobKind::Devices, Clear::Device, "transfer rates of devices")
        .as_v1("blkio.throttle.write_bps_device"),
    knob("io.weight", KnobKind::Other, Clear::Never, "share of busy devices").as_v1("blkio.weight"),
    knob("io.bfq.weight", KnobKind::Other, Clear::Never, "share of busy devices"),
    knob("io.latency", KnobKind::Devices, Clear::Device, "latency it is guaranteed"),
    knob("io.stat", KnobKind::Other, Clear::Never, "transfers")
        .as_v1("blkio.throttle.io_service_bytes")
        .passing(),
    knob("blkio.weight", BLKIO, Clear::Never, "share of busy devices"),
    knob(
        "blkio.throttle.read_bps_device",
        KnobKind::Devices,
        Clear::Device,
        "bytes read per second",
    ),
    knob(
        "blkio.throttle.write_bps_device",
        KnobKind::Devices,
        Clear::Device,
        "bytes written per second",
    ),
    knob("blkio.throttle.read_iops_device", KnobKind::Devices, Clear::Device, "reads per second"),
    knob("blkio.throttle.write_iops_device", KnobKind::Devices, Clear::Device, "writes per second"),
    knob("pids.max", KnobKind::Count, MAX, "processes and threads").over(Over::Refuses),
    knob("cgroup.max.depth", KnobKind::Count, MAX, "depth of groups inside"),
    knob("cgroup.max.descendants", KnobKind::Count, MAX, "number of groups inside"),
    knob("cgroup.freeze", KnobKind::Other, Clear::Never, "whether it is frozen")
        .as_v1("freezer.state")
        .passing(),
    knob("cgroup.threads", KnobKind::Other, Clear::Never, "its threads").as_v1("tasks").passing(),
];

/// The limits of huge pages have the size in their name.
const HUGE_V2: Knob = knob("hugetlb.SIZE.max", KnobKind::Bytes, MAX, "huge pages of that size");
const HUGE_V1: Knob =
    knob("hugetlb.SIZE.limit_in_bytes", KnobKind::Bytes, MINUS_ONE, "huge pages of that size");
/// An unknown file. It is not watched: it may be a counter.
const UNKNOWN: Knob = knob("", KnobKind::Other, Clear::Never, "").passing();

/// Returns what is known of `file`.
pub fn of(file: &str) -> Knob {
    if let Some(knob) = KNOBS.iter().find(|it| it.file == file) {
        return *knob;
    }
    match file.strip_prefix("hugetlb.").and_then(|it| it.split_once('.')) {
        Some((_, "max")) => HUGE_V2,
        Some((_, "limit_in_bytes")) => HUGE_V1,
        _ => UNKNOWN,
    }
}

/// Returns the other version's name for `file`, if it differs.
pub fn counterpart(file: &str) -> Option<&'static str> {
    KNOBS.iter().find_map(|it| match it.other {
        Some(other) if it.file == file => Some(other),
        Some(other) if other == file => Some(it.file),
        Some(_) | None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_stands_once_and_its_counterpart_leads_back() {
        for (at, it) in KNOBS.iter().enumerate() {
            assert!(KNOBS.iter().skip(at + 1).all(|other| other.file != it.file), "{}", it.file);
            assert!(!it.meaning.is_empty(), "{}", it.file);
            if let Some(other) = it.other {
                assert_eq!(counterpart(other), Some(it.file), "{other}");
            }
        }
    }

    #[test]
    fn the_other_versions_name_is_known_both_ways() {
        assert_eq!(counterpart("memory.max"), Some("memory.limit_in_bytes"));
        assert_eq!(counterpart("freezer.state"), Some("cgroup.freeze"));
        assert_eq!(counterpart("pids.max"), None);
        assert_eq!(of("hugetlb.2MB.limit_in_bytes").clear, MINUS_ONE);
        assert!(!of("memory.peak").stays && !of("no.such").stays && of("io.max").stays);
    }
}
