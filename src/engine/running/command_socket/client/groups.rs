//! Asks a supervisor for the container's groups: that of its processes, and that of its limits.

use super::{Client, text};
use crate::engine::running::command_socket::error::SocketError;
use crate::engine::running::command_socket::wire::{self, SocketCommand};

/// The controllers for which a supervisor is asked, the likeliest first; none: the unified
/// hierarchy. It answers for those that the host has.
pub(in crate::engine::running::command_socket) const ASKED_BY: [Option<&str>; 6] =
    [Some("freezer"), None, Some("memory"), Some("pids"), Some("cpu"), Some("cpuacct")];

impl Client {
    /// Asks for the group in which the container's processes are, below the hierarchies' roots.
    /// `None`: the supervisor reports none.
    pub fn cgroup(&self) -> Result<Option<String>, SocketError> {
        self.group(SocketCommand::GetCgroup)
    }

    /// Asks for the group that has the container's limits and counters: with LXC's
    /// `lxc.cgroup.dir.container.inner` it is one above the processes' own.
    pub fn limit_cgroup(&self) -> Result<Option<String>, SocketError> {
        match self.group(SocketCommand::GetLimitCgroup) {
            Ok(Some(path)) => Ok(Some(path)),
            // Older than LXC 4.0.5.
            Ok(None) => self.cgroup(),
            Err(error) if error.is_unknown_command() => self.cgroup(),
            Err(error) => Err(error),
        }
    }

    /// Asks in every way: LXC answers for a controller that the host has, and to a request that
    /// names none only if there is a unified hierarchy without controllers.
    fn group(&self, command: SocketCommand) -> Result<Option<String>, SocketError> {
        for controller in ASKED_BY {
            let payload = controller.map(wire::encode_text).unwrap_or_default();
            let path = match self.ask("the cgroup", command, 0, &payload) {
                Ok(answer) => text("the cgroup", &answer.payload)?,
                Err(SocketError::Closed) => continue,
                Err(error) => return Err(error),
            };
            // The root of the hierarchy belongs to no container.
            if path.trim_matches('/').is_empty() {
                continue;
            }
            let believed = self.judge.may_name_group(self.speaker()?, &path);
            return if believed { Ok(Some(path)) } else { Err(SocketError::Group { path }) };
        }
        Ok(None)
    }
}
