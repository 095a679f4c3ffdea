//! Opens a container's network again that a killed CRIU has left closed: it drops all packets while it
//! saves connections.

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Criu;
use crate::engine::entry::script::{self, Bounds};
use crate::engine::host::Host;
use crate::engine::host::identity::Identity;

/// Undoes what CRIU does at first; each part fails harmlessly where it has not done that, or where the
/// program is not installed, with which it has then done nothing. The last is what newer ones do.
const UNDO: &str = r#"
for program in iptables-restore ip6tables-restore; do
    for rules in '-D INPUT -j CRIU' '-D OUTPUT -j CRIU' '-F CRIU
-X CRIU'; do
        printf '*filter\n%s\nCOMMIT\n' "$rules" | $program --noflush
    done
done
nft list tables | while read -r _ family name; do
    case $name in CRIU*) nft delete table "$family" "$name" ;; esac
done"#;
/// How long that may take; a lock of iptables may be another's.
const PATIENCE: Duration = Duration::from_secs(20);

/// A network, which is open, whatever becomes of the processes in it.
#[derive(Debug)]
pub(in crate::engine) struct OpenNetwork(File);

impl OpenNetwork {
    /// Opens that of a process, if this is still the one; none: it has ended.
    pub(in crate::engine) fn of(host: &Host, process: Identity) -> Option<Self> {
        let _alive: OwnedFd = process.hold(host)?;
        let network = File::open(format!("/proc/{}/ns/net", process.pid)).ok()?;
        // It was its own if the process has not ended before.
        process.lives(host).then_some(Self(network))
    }

    /// Removes CRIU's rules from it.
    pub(in crate::engine) fn release(&self, criu: &Criu) {
        let own = std::process::id();
        let mut command = Command::new("nsenter");
        command.env("PATH", &criu.path).arg(format!("--net=/proc/{own}/fd/{}", self.0.as_raw_fd()));
        command.args(["--", script::SHELL, "-c", UNDO]).stdin(Stdio::null());
        let bounds = Bounds { patience: PATIENCE, grace: Duration::ZERO, cancelled: &|| false };
        // What stays closed the next start of the container opens.
        _ = script::said_within(&mut command, bounds);
    }
}
