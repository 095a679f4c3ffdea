//! The bridges of Open vSwitch. The kernel does not know them: their own program is asked, which finds
//! the database where they are. Changes none.

use std::process::{Command, Stdio};

/// How long the program may wait for the database, in seconds: without it, for ever.
const PATIENCE: &str = "--timeout=10";

/// Returns the program, which is looked for along the PATH, as by LXC.
pub(in crate::engine) fn program() -> Command {
    let mut command = Command::new("ovs-vsctl");
    command.arg(PATIENCE).stdin(Stdio::null());
    command
}

/// Returns whether the interface `name` is such a bridge.
pub(in crate::engine) fn has_bridge(name: &str) -> bool {
    let mut command = program();
    command.args(["--", "br-exists", name]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|it| it.success())
}
