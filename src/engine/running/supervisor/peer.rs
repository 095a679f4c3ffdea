//! Which processes may use a supervisor: those of root or its own user, in its own pid and user
//! namespaces. A container that shares the host's network can reach the socket; this is what keeps
//! it out.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;

use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;

/// The namespaces a peer must share with us.
const SHARED: [&str; 2] = ["pid", "user"];

/// Returns whether the process that connected may ask.
pub(super) fn may_ask(stream: &UnixStream) -> bool {
    let Ok(peer) = getsockopt(stream, sockopt::PeerCredentials) else { return false };
    // A pid of 0 belongs to a namespace that is not visible to us.
    let user = peer.uid() == 0 || peer.uid() == geteuid().as_raw();
    user && peer.pid() > 0 && SHARED.iter().all(|kind| shares(peer.pid(), kind))
}

fn shares(pid: i32, kind: &str) -> bool {
    let identity = |path: String| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    let theirs = identity(format!("/proc/{pid}/ns/{kind}"));
    theirs.is_some() && theirs == identity(format!("/proc/self/ns/{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_may_ask_itself() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert!(may_ask(&ours));
    }
}
