//! What the container's processes start with: limits, kernel settings, groups, clocks.

use nix::sys::resource::{RLIM_INFINITY, Resource};

use super::error::{ConfigError, Reason};
use super::meaning::Meaning;
use super::settings::{ConfigSettings, Setting, blame};
use crate::engine::terms::spec::{
    At, ClockOffset, ClockOffsets, KernelSetting, ProcessSpec, ResourceLimit,
};

/// The names of LXC's resource limits.
const RESOURCES: [(&str, Resource); 16] = [
    ("as", Resource::RLIMIT_AS),
    ("core", Resource::RLIMIT_CORE),
    ("cpu", Resource::RLIMIT_CPU),
    ("data", Resource::RLIMIT_DATA),
    ("fsize", Resource::RLIMIT_FSIZE),
    ("locks", Resource::RLIMIT_LOCKS),
    ("memlock", Resource::RLIMIT_MEMLOCK),
    ("msgqueue", Resource::RLIMIT_MSGQUEUE),
    ("nice", Resource::RLIMIT_NICE),
    ("nofile", Resource::RLIMIT_NOFILE),
    ("nproc", Resource::RLIMIT_NPROC),
    ("rss", Resource::RLIMIT_RSS),
    ("rtprio", Resource::RLIMIT_RTPRIO),
    ("rttime", Resource::RLIMIT_RTTIME),
    ("sigpending", Resource::RLIMIT_SIGPENDING),
    ("stack", Resource::RLIMIT_STACK),
];

/// The execution domains of personality(2).
const PER_LINUX: u32 = 0;
const PER_LINUX32: u32 = 8;

/// Returns the personality of an architecture by the name that LXC prints for it.
fn of_arch(shown: &str) -> u32 {
    if shown == "i686" { PER_LINUX32 } else { PER_LINUX }
}

/// Returns the personality of an architecture as `lxc.arch` names it.
pub(in crate::engine) fn personality(name: &str) -> Option<u32> {
    super::meaning::arch(name).ok().map(of_arch)
}

/// Reads limits as LXC shows them, in lines such as `lxc.prlimit.nofile = 1024`. Lines that set no
/// limit are skipped.
pub(in crate::engine) fn limits(lines: &str) -> Vec<At<ResourceLimit>> {
    let mut settings = ConfigSettings::default();
    for (name, value) in lines.lines().filter_map(|it| it.split_once(" = ")) {
        // Invalid lines set nothing.
        _ = settings.set(name, value, None);
    }
    settings.all("lxc.prlimit.").filter_map(|it| limit(it).ok()).collect()
}

/// Builds the part of a spec that is about processes.
pub(super) fn spec(settings: &ConfigSettings) -> Result<ProcessSpec, ConfigError> {
    let groups = settings.all("lxc.init.groups");
    let groups = groups.filter_map(|it| it.meaning.number()).collect();
    let arch = settings.last("lxc.arch");
    let personality = arch.map(|it| of_arch(&it.value));
    let keyring = settings.last("lxc.keyring.session");
    let cores = settings.last("lxc.sched.core");
    Ok(ProcessSpec {
        personality,
        limits: settings.all("lxc.prlimit.").map(limit).collect::<Result<_, _>>()?,
        sysctls: kernel_settings(settings, "lxc.sysctl."),
        proc_files: kernel_settings(settings, "lxc.proc."),
        groups,
        own_cores: cores
            .filter(|it| it.meaning.number().is_some_and(|it| it != 0))
            .map(|it| At { value: (), place: it.place.clone() }),
        callers_keyring: keyring.is_some_and(|it| it.meaning == Meaning::Number(1)),
        clocks: clocks(settings),
    })
}

fn kernel_settings(settings: &ConfigSettings, prefix: &str) -> Vec<At<KernelSetting>> {
    let all = settings.all(prefix);
    all.map(|it| At { value: kernel_setting(it), place: it.place.clone() }).collect()
}

fn kernel_setting(entry: &Setting) -> KernelSetting {
    KernelSetting { name: entry.free.clone(), value: entry.value.clone() }
}

/// A single number is both limits, as with LXC.
fn limit(entry: &Setting) -> Result<At<ResourceLimit>, ConfigError> {
    const UNKNOWN: Reason = Reason::Expected(
        "a limit among as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio \
         rttime sigpending stack",
    );
    let resource = RESOURCES.iter().find(|(name, _)| *name == entry.free);
    let Some((_, resource)) = resource else { return Err(blame(entry, UNKNOWN)) };
    let number = |text: &str| match text {
        "unlimited" => Ok(RLIM_INFINITY),
        digits => digits.parse().map_err(|_overflow| blame(entry, Reason::TooLarge)),
    };
    let (soft, hard) = entry.value.split_once(':').unwrap_or((&entry.value, &entry.value));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if soft > hard {
        return Err(blame(entry, Reason::Expected("a soft limit that is not above the hard one")));
    }
    let setting = kernel_setting(entry);
    let value = ResourceLimit { resource: *resource, setting, soft, hard };
    Ok(At { value, place: entry.place.clone() })
}

/// A time namespace is made only for an offset that is not 0, as with LXC.
fn clocks(settings: &ConfigSettings) -> Option<ClockOffsets> {
    let offset = |name| match settings.last(name).map(|it| &it.meaning) {
        Some(Meaning::Offset(offset)) => *offset,
        _ => ClockOffset::default(),
    };
    let clocks = ClockOffsets {
        boot: offset("lxc.time.offset.boot"),
        monotonic: offset("lxc.time.offset.monotonic"),
    };
    (clocks != ClockOffsets::default()).then_some(clocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<ProcessSpec, ConfigError> {
        let mut settings = ConfigSettings::default();
        for (name, value) in lines {
            settings.set(name, value, None).unwrap();
        }
        spec(&settings)
    }

    #[test]
    fn one_number_is_both_limits() {
        let spec =
            read(&[("lxc.prlimit.nofile", "64"), ("lxc.limit.core", "0:unlimited")]).unwrap();
        let limits: Vec<_> = spec.limits.iter().map(|it| (it.value.soft, it.value.hard)).collect();
        assert_eq!(limits, [(64, 64), (0, RLIM_INFINITY)]);
        for (name, value) in [("lxc.prlimit.files", "1"), ("lxc.prlimit.core", "2:1")] {
            assert!(read(&[(name, value)]).is_err(), "{name} = {value} was accepted");
        }
    }

    #[test]
    fn limits_are_read_from_what_lxc_shows() {
        let shown = "lxc.prlimit.core = 5:6\nlxc.prlimit.bogus = 1\nnoise\nlxc.arch = i686\n";
        let read = limits(shown);
        assert_eq!(read.len(), 1);
        assert!(read.iter().all(|it| (it.value.soft, it.value.hard) == (5, 6)));
    }

    #[test]
    fn clocks_are_apart_only_if_an_offset_is_set() {
        assert_eq!(read(&[("lxc.time.offset.boot", "0s")]).unwrap().clocks, None);
        let clocks = read(&[("lxc.time.offset.monotonic", "-1500ms")]).unwrap().clocks.unwrap();
        assert_eq!(clocks.monotonic, ClockOffset { seconds: -2, nanoseconds: 500_000_000 });
        assert_eq!(clocks.boot, ClockOffset::default());
    }

    #[test]
    fn the_callers_keyring_is_kept_only_if_the_configuration_says_so() {
        let keeps = |value| read(&[("lxc.keyring.session", value)]).unwrap().callers_keyring;
        // The name suggests the opposite, and so does LXC's own default of 0.
        assert!(keeps("1") && !keeps("0"));
        assert!(!read(&[]).unwrap().callers_keyring);
    }

    #[test]
    fn cores_are_its_own_only_if_the_configuration_says_so() {
        let own = |lines: &[(&str, &str)]| read(lines).unwrap().own_cores.is_some();
        assert!(own(&[("lxc.sched.core", "1")]) && !own(&[("lxc.sched.core", "0")]));
        assert!(!own(&[]) && !own(&[("lxc.sched.core", "1"), ("lxc.sched.core", "")]));
    }

    #[test]
    fn a_32_bit_architecture_is_another_personality() {
        let of = |arch| read(&[("lxc.arch", arch)]).unwrap().personality;
        assert_eq!((of("i586"), of("amd64")), (Some(PER_LINUX32), Some(PER_LINUX)));
        assert_eq!(read(&[]).unwrap().personality, None);
    }
}
