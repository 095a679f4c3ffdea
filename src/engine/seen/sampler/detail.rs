//! Details of only the container that is shown in full, besides its processes.

use std::path::Path;

use super::files::start_of;
use super::{faults, network};
use crate::engine::cgroup::Hierarchies;
use crate::engine::cgroup::configured;
use crate::engine::config;
use crate::engine::seen::sample::{Detail, Root};
use crate::engine::terms::name::Name;

/// Bounds the list, since a container can make any number of mounts.
const MOST_MOUNTS: usize = 200;
const MOUNTS_BYTES: u64 = 256 * 1024;
const CONFIG_BYTES: u64 = 256 * 1024;
const NAMESPACES: [&str; 8] = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time"];

/// Reads the configuration of `name`, and the details of its init in `/proc` if it is running, else
/// its future limits, if the hierarchies for these are given: without them only its root and its network.
/// Also returns why the configuration cannot be used.
pub(super) fn read(
    proc: &Path,
    init: Option<i32>,
    lxcpath: &Path,
    name: &Name,
    all: Option<&Hierarchies>,
) -> (Detail, Option<String>) {
    let file = lxcpath.join(name.as_str()).join("config");
    let mut detail = Detail::default();
    let mut fault = None;
    // A container running without a configuration was started from a file elsewhere.
    if file.symlink_metadata().is_ok() {
        match config::load(name, lxcpath, None, &[]) {
            Ok(config) => {
                detail.rootfs = Some(Root::of(config.written_root().unwrap_or_default()));
                if let Some(hierarchies) = all.filter(|_| init.is_none()) {
                    detail.files = configured::rows(&config, hierarchies);
                }
            }
            Err(errors) => fault = Some(faults::words(&errors)),
        }
    }
    let dir = init.map(|it| proc.join(it.to_string()));
    if let Some(dir) = &dir {
        detail.network = network::interfaces(dir);
    }
    if all.is_some() {
        detail.config = start_of(&file, CONFIG_BYTES);
    }
    if let Some(dir) = dir.filter(|_| all.is_some()) {
        detail.namespaces = namespaces(proc, &dir);
        let mounts = start_of(&dir.join("mountinfo"), MOUNTS_BYTES).unwrap_or_default();
        detail.mounts = mounts.lines().filter_map(mount).take(MOST_MOUNTS).collect();
    }
    (detail, fault)
}

/// Lists the namespaces that are not this process's own.
fn namespaces(proc: &Path, init: &Path) -> Vec<&'static str> {
    let link = |dir: &Path, kind: &str| std::fs::read_link(dir.join("ns").join(kind)).ok();
    let own = proc.join("self");
    let differs = |kind: &&str| link(init, kind).is_some_and(|it| Some(it) != link(&own, kind));
    NAMESPACES.into_iter().filter(differs).collect()
}

/// Makes `TARGET TYPE SOURCE OPTIONS` of a line of mountinfo, as in fstab(5) but the place first.
fn mount(line: &str) -> Option<String> {
    let (fixed, kind) = line.split_once(" - ")?;
    let mut fixed = fixed.split(' ').skip(4);
    let (target, options) = (fixed.next()?, fixed.next()?);
    let mut kind = kind.split(' ');
    let (fstype, source) = (kind.next()?, kind.next()?);
    Some(format!("{target} {fstype} {source} {options}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        "web".parse().unwrap()
    }

    /// Reads the details of a stopped container with this configuration.
    fn of_config(content: &[u8]) -> (Detail, Option<String>) {
        let lxcpath = tempfile::tempdir().unwrap();
        std::fs::create_dir(lxcpath.path().join("web")).unwrap();
        std::fs::write(lxcpath.path().join("web/config"), content).unwrap();
        read(Path::new("/proc"), None, lxcpath.path(), &name(), Some(&Hierarchies::default()))
    }

    #[test]
    fn the_last_root_counts() {
        let (detail, _) = of_config(b"# x\nlxc.rootfs = /old\nlxc.rootfs.path = dir:/srv/web\n");
        assert_eq!(detail.rootfs, Some(Root::Own("/srv/web".into())));
        assert_eq!(of_config(b"lxc.rootfs.path =\n").0.rootfs, Some(Root::Host));
        let (overlay, _) = of_config(b"lxc.rootfs.path = overlay:/a:/b\n");
        assert_eq!(overlay.rootfs, Some(Root::Own("overlay:/a:/b".into())));
    }

    #[test]
    fn a_configuration_that_cannot_be_used_says_nothing_of_the_root() {
        let (detail, fault) = of_config(b"lxc.rootfs.path = /srv/web\nlxc.bogus = 1\n");
        assert_eq!(detail.rootfs, None);
        let fault = fault.unwrap();
        assert!(fault.contains("lxc.bogus") && fault.contains("line 2 of"), "{fault}");
    }

    #[test]
    fn mounts_are_told_place_first() {
        let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        assert_eq!(mount(line).as_deref(), Some("/mnt2 ext3 /dev/root rw,noatime"));
        assert_eq!(mount("36 35"), None);
    }

    #[test]
    fn a_container_that_does_not_run_has_its_files() {
        let lxcpath = tempfile::tempdir().unwrap();
        let (detail, _) =
            read(Path::new("/proc"), None, lxcpath.path(), &name(), Some(&Hierarchies::default()));
        assert_eq!(detail.rootfs, None);
        assert_eq!((detail.config, detail.namespaces), (None, vec![]));
    }

    #[test]
    fn a_process_of_ours_shares_our_namespaces() {
        let lxcpath = tempfile::tempdir().unwrap();
        let own = std::process::id().try_into().ok();
        let (detail, _) =
            read(Path::new("/proc"), own, lxcpath.path(), &name(), Some(&Hierarchies::default()));
        assert!(detail.namespaces.is_empty(), "{:?}", detail.namespaces);
        assert!(!detail.mounts.is_empty());
    }
}
