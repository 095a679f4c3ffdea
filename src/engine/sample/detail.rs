//! What only the container under the operator's eyes gets, besides its processes.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::network;
use crate::engine::snapshot::Detail;

/// A container can make as many mounts as it likes.
const MOST_MOUNTS: usize = 200;
const MOUNTS_BYTES: u64 = 256 * 1024;
const CONFIG_BYTES: u64 = 256 * 1024;
const NAMESPACES: [&str; 8] = ["mnt", "pid", "net", "ipc", "uts", "user", "cgroup", "time"];

/// Reads what `/proc` tells of the container whose init is `init`.
pub(super) fn read(proc: &Path, init: Option<i32>, home: &Path) -> Detail {
    let config = start_of(&home.join("config"), CONFIG_BYTES);
    let rootfs = config.as_deref().and_then(rootfs).map(Into::into);
    let mut detail = Detail { rootfs, config, ..Detail::default() };
    if let Some(pid) = init {
        let dir = proc.join(pid.to_string());
        detail.namespaces = namespaces(proc, &dir);
        detail.network = network::interfaces(&dir);
        let mounts = start_of(&dir.join("mountinfo"), MOUNTS_BYTES).unwrap_or_default();
        detail.mounts = mounts.lines().filter_map(mount).take(MOST_MOUNTS).collect();
    }
    detail
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

/// Finds the root in a configuration, in the new and the old spelling; the type before it is cut.
fn rootfs(config: &str) -> Option<&str> {
    let assigned = config.lines().filter_map(|it| it.split_once('='));
    let mut paths = assigned
        .filter(|(key, _)| matches!(key.trim(), "lxc.rootfs.path" | "lxc.rootfs"))
        .map(|(_, value)| value.trim());
    let path = paths.next_back()?;
    let path = path.strip_prefix("dir:").unwrap_or(path);
    (!path.is_empty()).then_some(path)
}

pub(super) fn start_of(path: &Path, most: u64) -> Option<String> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // A fifo in the place of a file must not make the sampler wait.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_root_counts() {
        let config = "# x\nlxc.rootfs = /old\nlxc.rootfs.path = dir:/srv/web\n";
        assert_eq!(rootfs(config), Some("/srv/web"));
        assert_eq!(rootfs("lxc.rootfs.path =\n"), None);
    }

    #[test]
    fn mounts_are_told_place_first() {
        let line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        assert_eq!(mount(line).as_deref(), Some("/mnt2 ext3 /dev/root rw,noatime"));
        assert_eq!(mount("36 35"), None);
    }

    #[test]
    fn a_container_that_does_not_run_has_its_files() {
        let home = tempfile::tempdir().unwrap();
        let detail = read(Path::new("/proc"), None, home.path());
        assert_eq!(detail.rootfs, None);
        assert_eq!((detail.config, detail.namespaces), (None, vec![]));
    }

    #[test]
    fn a_process_of_ours_shares_our_namespaces() {
        let home = tempfile::tempdir().unwrap();
        let own = std::process::id().try_into().ok();
        let detail = read(Path::new("/proc"), own, home.path());
        assert!(detail.namespaces.is_empty(), "{:?}", detail.namespaces);
        assert!(!detail.mounts.is_empty());
    }
}
