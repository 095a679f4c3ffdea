//! Containers whose configuration Proxmox VE owns: it rewrites `LXCPATH/ID/config` from
//! `/etc/pve/lxc/ID.conf` at each start. Names the equivalent `pct` commands, runs none.

use std::path::PathBuf;

use crate::engine::Engine;
use crate::engine::cgroup::knob;
use crate::engine::host::Host;
use crate::engine::terms::name::Name;
use crate::engine::verbs::stop::Stop;

const MIB: u64 = 1 << 20;

/// A container of Proxmox's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    id: String,
    /// The configuration that is authoritative.
    pub conf: PathBuf,
}

/// What `pct` can do to a container, in its own terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pct {
    Start,
    /// Asks it to halt.
    Shutdown,
    /// Kills it.
    Stop,
    Reboot,
    Destroy,
}

impl Pct {
    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Shutdown => "shutdown",
            Self::Stop => "stop",
            Self::Reboot => "reboot",
            Self::Destroy => "destroy",
        }
    }
}

impl From<Stop> for Pct {
    fn from(way: Stop) -> Self {
        match way {
            Stop::Kill => Self::Stop,
            Stop::Ask | Stop::Gently { .. } => Self::Shutdown,
            Stop::AskToReboot | Stop::Reboot { .. } => Self::Reboot,
        }
    }
}

/// Returns whether `name` is a container of Proxmox's.
pub fn owner(host: &Host, name: &Name) -> Option<Owned> {
    let conf = host.proxmox().join(format!("{name}.conf"));
    conf.exists().then(|| Owned { id: name.to_string(), conf })
}

impl Engine {
    /// Returns whether Proxmox owns the container's configuration.
    pub fn is_proxmox(&self, name: &Name) -> bool {
        owner(self.lxcpath.host(), name).is_some()
    }

    /// Names Proxmox's own command if it owns the container: that one respects its locks, its
    /// storage and its cluster, too.
    pub fn proxmox_command(&self, name: &Name, does: Pct) -> Option<String> {
        let owned = owner(self.lxcpath.host(), name)?;
        let (conf, pct) = (owned.conf.display(), owned.pct(does));
        Some(format!("Proxmox manages it ({conf}); its own command is `{pct}`"))
    }
}

impl Owned {
    /// Returns the command line of `pct`.
    pub fn pct(&self, does: Pct) -> String {
        format!("pct {} {}", does.word(), self.id)
    }

    /// Returns the command that saves the limit `value`, which the kernel has in `file`.
    pub fn keeps(&self, file: &str, value: &str) -> String {
        let (key, conf) = (if is_v1(file) { "lxc.cgroup" } else { "lxc.cgroup2" }, &self.conf);
        if value.is_empty() {
            return format!("remove `{key}.{file}` from {}", conf.display());
        }
        option(file, value).map_or_else(
            || format!("write `{key}.{file}: {value}` into {}", conf.display()),
            |it| format!("run `pct set {} {it}`", self.id),
        )
    }
}

/// Returns the option of `pct set` for the value; most files have none.
fn option(file: &str, value: &str) -> Option<String> {
    // Proxmox accepts only whole MiB, and not 0.
    let mib = |value: &str| {
        let bytes = value.parse::<u64>().ok()?;
        (bytes > 0 && bytes.is_multiple_of(MIB)).then_some(bytes / MIB)
    };
    match file {
        "memory.max" | "memory.limit_in_bytes" => Some(format!("--memory {}", mib(value)?)),
        "memory.swap.max" if value == "0" => Some("--swap 0".to_owned()),
        "memory.swap.max" => Some(format!("--swap {}", mib(value)?)),
        "cpu.weight" | "cpu.shares" => Some(format!("--cpuunits {value}")),
        "cpu.max" => {
            let (quota, period) = value.split_once(' ')?;
            if quota == "max" {
                return Some("--cpulimit 0".to_owned());
            }
            let share = quota.parse::<f64>().ok()? / period.trim().parse::<f64>().ok()?;
            share.is_finite().then(|| format!("--cpulimit {share}"))
        }
        _ => None,
    }
}

fn is_v1(file: &str) -> bool {
    knob::of(file).is_v1()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_said_as_pct_wants_it() {
        let owned = Owned { id: "101".to_owned(), conf: "/etc/pve/lxc/101.conf".into() };
        for (file, value, said) in [
            ("memory.max", "67108864", "run `pct set 101 --memory 64`"),
            ("memory.swap.max", "0", "run `pct set 101 --swap 0`"),
            ("cpu.max", "150000 100000", "run `pct set 101 --cpulimit 1.5`"),
            ("cpu.max", "max 100000", "run `pct set 101 --cpulimit 0`"),
            ("cpu.weight", "50", "run `pct set 101 --cpuunits 50`"),
            ("pids.max", "7", "write `lxc.cgroup2.pids.max: 7` into /etc/pve/lxc/101.conf"),
            ("pids.max", "", "remove `lxc.cgroup2.pids.max` from /etc/pve/lxc/101.conf"),
            ("cpu.weight", "", "remove `lxc.cgroup2.cpu.weight` from /etc/pve/lxc/101.conf"),
            ("memory.max", "5", "write `lxc.cgroup2.memory.max: 5` into /etc/pve/lxc/101.conf"),
            (
                "memory.memsw.limit_in_bytes",
                "-1",
                "write `lxc.cgroup.memory.memsw.limit_in_bytes: -1` into /etc/pve/lxc/101.conf",
            ),
        ] {
            assert_eq!(owned.keeps(file, value), said);
        }
    }

    #[test]
    fn a_container_with_a_proxmox_file_is_proxmoxs() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::below(dir.path());
        let name: Name = "101".parse().unwrap();
        assert_eq!(owner(&host, &name), None);
        std::fs::create_dir_all(host.proxmox()).unwrap();
        std::fs::write(host.proxmox().join("101.conf"), "hostname: web\n").unwrap();
        let owned = owner(&host, &name).unwrap();
        assert_eq!(owned.pct(Stop::Kill.into()), "pct stop 101");
        assert_eq!(owned.pct(Stop::Ask.into()), "pct shutdown 101");
        assert_eq!(owned.pct(Stop::AskToReboot.into()), "pct reboot 101");
    }
}
