//! Finds who holds an abstract name where no connection tells: whoever listens takes none, or only
//! has the name and does not listen. It looks at the descriptors of every process, so it is left
//! for the cases where nothing else helps.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::address::{Address, named, read_table};
use super::error::SocketError;
use super::trust::{Judge, Stranger};
use crate::engine::host::Host;

/// Fails if whoever holds `address` may not be the container's supervisor.
pub(super) fn check(address: &Address, judge: &Judge) -> Result<(), SocketError> {
    match address {
        // Nobody else can enter its directory.
        Address::Private(_) => Ok(()),
        Address::Public(name) => Ok(stranger(name, judge)?.map_or(Ok(()), Err)?),
    }
}

/// Returns who holds the abstract `name`, unless it may be the container's supervisor.
pub(super) fn stranger(name: &[u8], judge: &Judge) -> Result<Option<Stranger>, SocketError> {
    let table = read_table(judge.host()).map_err(SocketError::List)?;
    let inodes: Vec<u64> =
        named(&table).filter(|it| it.2 == name).map(|(_, inode, _)| inode).collect();
    let mut found = Stranger { pid: None, uid: None, ..judge.stranger(None) };
    for (pid, uid) in processes(judge.host()) {
        if !holds(judge.host(), pid, &inodes) {
            continue;
        }
        if judge.may_hold(pid, uid) {
            return Ok(None);
        }
        (found.pid, found.uid) = (Some(pid), Some(uid));
    }
    Ok(Some(found))
}

/// Lists every process with its user.
fn processes(host: &Host) -> impl Iterator<Item = (i32, u32)> {
    fs::read_dir(host.proc()).into_iter().flatten().flatten().filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, entry.metadata().ok()?.uid()))
    })
}

fn holds(host: &Host, pid: i32, inodes: &[u64]) -> bool {
    let fds = fs::read_dir(host.of_process(pid, "fd")).into_iter().flatten().flatten();
    fds.filter_map(|it| fs::read_link(it.path()).ok())
        .any(|target| inode_of(&target).is_some_and(|inode| inodes.contains(&inode)))
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
        assert!(holds(&host, me, &[inode]));
        assert!(!holds(&host, me, &[]));
        assert!(processes(&host).any(|(pid, _)| pid == me));
        assert_eq!(inode_of(Path::new("pipe:[7]")), None);
    }
}
