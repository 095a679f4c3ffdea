//! Finds and removes what a test left on the machine: cgroups, mounts, processes.

use std::fs;
use std::path::{Path, PathBuf};

/// Describes everything left that belongs to `prefix` or is below `lxcpath`.
pub(crate) fn of(prefix: &str, lxcpath: &Path) -> Vec<String> {
    let mut left: Vec<String> = cgroups(&format!("{prefix}-"))
        .iter()
        .map(|it| format!("cgroup {}", it.display()))
        .collect();
    left.extend(mounts(lxcpath).iter().map(|it| format!("mount {}", it.display())));
    left.extend(processes(prefix, lxcpath).iter().map(|(pid, it)| format!("process {pid} {it}")));
    left
}

/// Kills, thaws, unmounts and removes what [`of`] finds, so that the next test starts clean.
pub(crate) fn remove(prefix: &str, lxcpath: &Path) {
    let mut groups = cgroups(&format!("{prefix}-"));
    for (pid, _) in processes(prefix, lxcpath) {
        let pid = nix::unistd::Pid::from_raw(pid);
        _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGKILL);
    }
    for group in &groups {
        _ = fs::write(group.join("freezer.state"), "THAWED");
        _ = fs::write(group.join("cgroup.freeze"), "0");
    }
    for mount in mounts(lxcpath) {
        _ = nix::mount::umount2(&mount, nix::mount::MntFlags::MNT_DETACH);
    }
    groups.sort_by_key(|it| std::cmp::Reverse(it.components().count()));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while !groups.is_empty() && std::time::Instant::now() < deadline {
        groups.retain(|it| fs::remove_dir(it).is_err() && it.exists());
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

/// Returns where cgroup file systems are mounted.
pub(crate) fn cgroup_mounts() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let of_line = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup").then(|| place.split(' ').nth(4).map(PathBuf::from))?
    };
    table.lines().filter_map(of_line).collect()
}

/// Returns the cgroups, in every hierarchy, whose path holds `mark`.
pub(crate) fn cgroups(mark: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = cgroup_mounts();
    while let Some(dir) = pending.pop() {
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        let dirs = entries.filter(|it| it.file_type().is_ok_and(|it| it.is_dir()));
        let dirs: Vec<PathBuf> = dirs.map(|it| it.path()).collect();
        found.extend(dirs.iter().filter(|it| it.to_string_lossy().contains(mark)).cloned());
        pending.extend(dirs);
    }
    found.sort();
    found.dedup();
    found
}

fn mounts(lxcpath: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let targets = table.lines().filter_map(|it| it.split(' ').nth(4)).map(PathBuf::from);
    targets.filter(|it| it.starts_with(lxcpath)).collect()
}

/// Returns the processes in a cgroup of `prefix` or with `lxcpath` on their command line.
fn processes(prefix: &str, lxcpath: &Path) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    let mark = format!("{prefix}-");
    let lxcpath = lxcpath.to_string_lossy();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|it| it.parse::<i32>().ok()) else {
            continue;
        };
        let read = |file| fs::read(entry.path().join(file)).unwrap_or_default();
        let groups = super::text(&read("cgroup"));
        let command = super::text(&read("cmdline")).replace('\0', " ");
        // LXC's daemon for a monitor that was killed ends by itself, once nobody has listened for a while.
        if command.contains("lxc-monitord ") {
            continue;
        }
        if pid != std::process::id().cast_signed()
            && (groups.contains(&mark) || command.contains(lxcpath.as_ref()))
        {
            found.push((pid, command));
        }
    }
    found
}
