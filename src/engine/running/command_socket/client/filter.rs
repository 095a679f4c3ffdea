//! Asks a supervisor for the filter of system calls that the container runs under.

use std::fs::File;
use std::io::Read as _;

use super::Client;
use crate::engine::running::command_socket::error::SocketError;
use crate::engine::running::command_socket::wire::SocketCommand;
use crate::engine::sys::filter::FilterInstruction;

/// The kernel loads none that is longer.
const LONGEST: usize = libc::BPF_MAXINSNS as usize * size_of::<FilterInstruction>();

impl Client {
    /// Asks for the filter as init has loaded it; none: it has none. LXC's supervisors refuse this:
    /// see [`SocketError::is_unknown_command`].
    pub fn filter(&self) -> Result<Option<Vec<FilterInstruction>>, SocketError> {
        const WHAT: &str = "its filter of system calls";
        let answer = self.ask(WHAT, SocketCommand::GetFilterFd, 0, &[])?;
        let Some(fd) = answer.fds.into_iter().next() else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = File::from(fd).take(LONGEST as u64 + 1).read_to_end(&mut bytes);
        read.map_err(SocketError::Speak)?;
        match bytes.as_chunks() {
            (program, []) if bytes.len() <= LONGEST && !bytes.is_empty() => {
                Ok(Some(program.iter().map(|it| FilterInstruction::from_bytes(*it)).collect()))
            }
            _ => Err(SocketError::Nonsense { what: WHAT }),
        }
    }
}
