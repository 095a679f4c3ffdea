//! The kernel's refusals in words. An errno alone does not say what to do.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::file::words_of;

/// What to do when nothing may be written. What prevents root from writing is not known here.
fn delegate() -> &'static str {
    if nix::unistd::geteuid().is_root() {
        ""
    } else {
        "; run as root, or have your login's cgroup delegated to you (systemd: Delegate=yes)"
    }
}

/// How many names to suggest.
const SUGGESTIONS: usize = 3;

/// Returns an errno in words, lower case, with advice where there is one.
pub(super) fn reason(errno: &io::Error) -> String {
    match errno.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => format!("permission denied{}", delegate()),
        Some(libc::EROFS) => "the cgroup file system is mounted read-only".to_owned(),
        Some(libc::EBUSY) => "it is in use".to_owned(),
        Some(libc::ENOENT | libc::ENODEV) => {
            "it is gone; the container may have stopped".to_owned()
        }
        Some(libc::ENOSPC) => "the kernel has no room for another group".to_owned(),
        Some(libc::EOPNOTSUPP) => {
            "the group above it contains processes and has controllers enabled for its children, \
             and the kernel allows only one of these; move the processes into a group of their own \
             below it"
                .to_owned()
        }
        Some(number) => nix::errno::Errno::from_raw(number).desc().to_lowercase(),
        None => errno.to_string(),
    }
}

/// Shows what `typed` became, for comparison with the kernel's own numbers; nothing if it is the
/// same.
pub(super) fn meant(typed: &str, value: &str) -> String {
    let same = typed.trim() == value.trim();
    if same { String::new() } else { format!(" ({})", value.trim()) }
}

/// Says why the kernel refused a write to `file`. `content` reads another file of the group.
pub(super) fn refusal(
    file: &str,
    errno: &io::Error,
    content: &dyn Fn(&str) -> Option<String>,
) -> String {
    let number = errno.raw_os_error().unwrap_or_default();
    let value = |file: &str| content(file).unwrap_or_default().trim().to_owned();
    match (number, file) {
        (libc::EINVAL, "memory.memsw.limit_in_bytes") => {
            format!(
                "it must not be below memory.limit_in_bytes ({})",
                value("memory.limit_in_bytes")
            )
        }
        (libc::EINVAL, "memory.limit_in_bytes")
            if content("memory.memsw.limit_in_bytes").is_some() =>
        {
            format!(
                "not a size, or above memory.memsw.limit_in_bytes ({}); raise that one first",
                value("memory.memsw.limit_in_bytes")
            )
        }
        (libc::EBUSY, "memory.limit_in_bytes") => format!(
            "the container uses {} bytes and the kernel cannot get enough of them back",
            value("memory.usage_in_bytes")
        ),
        (
            libc::EINVAL | libc::EACCES | libc::ENOSPC | libc::ERANGE,
            "cpuset.cpus" | "cpuset.mems",
        ) => "expected a list such as 0-3,8, within the parent's".to_owned(),
        (libc::ENODEV, _) => {
            "there is no such device (expected MAJOR:MINOR of a whole disk)".to_owned()
        }
        (libc::EINVAL, _) => "this file does not accept it".to_owned(),
        (libc::ERANGE, _) => "it is out of range".to_owned(),
        (libc::EBUSY, "cgroup.subtree_control") => {
            "the group contains processes, and a group can have processes or controllers for its \
             children, not both"
                .to_owned()
        }
        _ => reason(errno),
    }
}

/// Says which group does not enable `controller` for the v2 group `dir`, and why; none if all do.
pub(super) fn not_enabled(dir: &Path, controller: &str) -> Option<String> {
    let mut lacking = None;
    // The topmost group without it is the cause.
    for above in dir.ancestors().skip(1) {
        let has = |file| words_of(&above.join(file)).iter().any(|it| it == controller);
        if has("cgroup.controllers") && !has("cgroup.subtree_control") {
            lacking = Some(above);
            break;
        }
    }
    let above = lacking?;
    let mut text = format!(
        "; {} does not enable the {controller} controller for its children",
        above.display()
    );
    let crowded = std::fs::read(above.join("cgroup.procs")).is_ok_and(|it| !it.is_empty());
    let is_root = !above.join("cgroup.type").exists();
    if crowded && !is_root {
        // Writing to a String cannot fail.
        _ = write!(
            text,
            ", because it contains processes: move them into a group of their own below it, then \
             write +{controller} to its cgroup.subtree_control"
        );
    }
    Some(text)
}

/// Suggests the names closest to `file`.
pub(super) fn nearest(file: &str, names: &[String]) -> String {
    let mut ranked: Vec<_> = names.iter().map(|it| (distance(file, it), it.as_str())).collect();
    ranked.sort_unstable();
    ranked.dedup();
    let close: Vec<_> = ranked.iter().take(SUGGESTIONS).map(|(_, name)| *name).collect();
    if close.is_empty() {
        return String::new();
    }
    format!("; the nearest names are {}", close.join(", "))
}

/// Counts the edits between two texts (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (to, cell) in b.chars().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(from != to);
            diagonal = *cell;
            left = replaced.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_find_the_right_name_first() {
        let names = ["pids.max", "memory.max", "memory.stat", "cpu.max"].map(str::to_owned);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert!(nearest("memroy.max", &names).starts_with("; the nearest names are memory.max"));
    }
}
