//! Finds who runs on an overlay: two mounts with one upper directory lose each other's changes, and the
//! kernel only logs that. Changes nothing.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use crate::engine::host::Host;
use crate::engine::host::mountinfo::{mounted_at, unescaped};
use crate::engine::terms::groups::PAYLOAD;

/// Returns who has `upper` as the upper directory of its root: a container, or else one of its
/// processes.
pub(in crate::engine) fn holder(host: &Host, upper: &Path) -> Option<String> {
    let upper = fs::canonicalize(upper).ok()?;
    let mut seen = HashSet::new();
    let entries = fs::read_dir(host.proc()).ok()?.flatten();
    let mut pids = entries.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
    let found = pids.find(|pid| {
        // All processes of a container have its mounts.
        let space = fs::read_link(host.of_process(*pid, "ns/mnt"));
        space.is_ok_and(|it| seen.insert(it)) && is_root(host, *pid, &upper)
    })?;
    let groups = fs::read_to_string(host.of_process(found, "cgroup")).unwrap_or_default();
    let named = |line: &str| {
        let (_, rest) = line.split_once(PAYLOAD)?;
        rest.split('/').next().map(|it| format!("the container {it}"))
    };
    Some(groups.lines().find_map(named).unwrap_or_else(|| format!("the process {found}")))
}

/// Returns whether the root of the process is an overlay whose changes are in `upper`.
fn is_root(host: &Host, pid: i32, upper: &Path) -> bool {
    let table = fs::read(host.of_process(pid, "mountinfo")).unwrap_or_default();
    mounted_at(&table, Path::new("/"), b"overlay").any(|options| {
        let mut options = options.split(|it| *it == b',');
        let dir = options.find_map(|it| it.strip_prefix(b"upperdir="));
        dir.is_some_and(|it| fs::canonicalize(unescaped(it)).is_ok_and(|it| it == upper))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::made_up::MadeUp;

    #[test]
    fn who_runs_on_an_overlay_is_found_by_its_root() {
        let machine = MadeUp::new();
        let [upper, other] = ["up", "other"].map(|it| machine.path(it));
        for dir in [&upper, &other] {
            fs::create_dir(dir).unwrap();
        }
        let process = |pid: i32, point: &str, group: &str| {
            let line = format!(
                "30 1 0:2 / {point} rw - overlay none rw,lowerdir=/l,upperdir={},workdir=/w\n",
                upper.display()
            );
            machine.write(&format!("proc/{pid}/mountinfo"), &line);
            machine.write(&format!("proc/{pid}/cgroup"), &format!("0::{group}\n"));
            fs::create_dir_all(machine.path(&format!("proc/{pid}/ns"))).unwrap();
            let space = format!("mnt:[{pid}]");
            std::os::unix::fs::symlink(space, machine.path(&format!("proc/{pid}/ns/mnt"))).unwrap();
        };
        let found = |dir: &Path| holder(machine.lxcpath.host(), dir);
        process(70, "/mnt", "/lxc.payload.host");
        assert_eq!(found(&upper), None);
        process(71, "/", "/a/lxc.payload.web/init.scope");
        assert_eq!(found(&upper).as_deref(), Some("the container web"));
        assert_eq!(found(&other), None);
    }
}
