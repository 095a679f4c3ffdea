//! Finds which process holds an abstract name if no connection can tell: because it accepts none,
//! or has bound the name without listening. It reads the descriptors of every process, so it is
//! used only if nothing else helps.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::address::{Address, named, read_table};
use super::error::{SocketError, Stranger};
use super::trust::Judge;
use crate::engine::host::Host;

/// Fails if the process that holds `address` may not be the container's supervisor.
pub(super) fn check(address: &Address, judge: &Judge) -> Result<(), SocketError> {
    strangers(&[(address, judge)])?.pop().flatten().map_or(Ok(()), |it| Err(it.into()))
}

/// Returns for each address the stranger who holds it; none if the holder may be the supervisor.
/// One pass over all processes serves all addresses.
pub(super) fn strangers(
    asked: &[(&Address, &Judge)],
) -> Result<Vec<Option<Stranger>>, SocketError> {
    let Some((_, first)) = asked.first() else { return Ok(Vec::new()) };
    let table = read_table(first.host()).map_err(SocketError::List)?;
    let inodes_of = |address: &Address| -> Vec<u64> {
        match address {
            // Nobody else can enter its directory.
            Address::Private(_) => Vec::new(),
            Address::Public(name) => {
                named(&table).filter(|it| it.2 == name.as_slice()).map(|it| it.1).collect()
            }
        }
    };
    let wanted: Vec<Vec<u64>> = asked.iter().map(|it| inodes_of(it.0)).collect();
    let mut found: Vec<Option<Stranger>> = asked
        .iter()
        .zip(&wanted)
        // A name that is no longer bound has no holder.
        .map(|((_, judge), inodes)| (!inodes.is_empty()).then(|| judge.stranger(None)))
        .collect();
    for (pid, uid) in processes(first.host()) {
        let held = sockets_of(first.host(), pid);
        for ((inodes, (_, judge)), found) in wanted.iter().zip(asked).zip(&mut found) {
            if !inodes.iter().any(|it| held.contains(it)) {
                continue;
            }
            if judge.may_hold(pid, uid) {
                *found = None;
            } else if let Some(found) = found {
                (found.pid, found.uid) = (Some(pid), Some(uid));
            }
        }
    }
    Ok(found)
}

/// Lists every process with its user.
fn processes(host: &Host) -> impl Iterator<Item = (i32, u32)> {
    fs::read_dir(host.proc()).into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry.metadata().ok()?.uid()))
    })
}

fn sockets_of(host: &Host, pid: i32) -> HashSet<u64> {
    let fds = fs::read_dir(host.of_process(pid, "fd")).into_iter().flatten().flatten();
    fds.filter_map(|it| inode_of(&fs::read_link(it.path()).ok()?)).collect()
}

/// Reads the inode out of `socket:[4711]`.
fn inode_of(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_found_by_its_descriptor() {
        use std::os::fd::AsRawFd as _;
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", ours.as_raw_fd())).unwrap();
        let inode = inode_of(&link).unwrap();
        let me = std::process::id() as i32;
        let host = Host::this();
        assert!(sockets_of(&host, me).contains(&inode));
        assert!(processes(&host).any(|(pid, _)| pid == me));
        assert_eq!(inode_of(Path::new("pipe:[7]")), None);
    }
}
