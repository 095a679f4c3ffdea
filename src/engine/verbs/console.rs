//! The verb `console`: this terminal becomes a terminal of the container.

mod relay;

use std::io::{self, Write as _};

use nix::errno::Errno;

use crate::engine::running::command_socket::{Client, SocketError};
use crate::engine::{Engine, Error, ErrorKind, Name, Verb};
use relay::Remote;

/// Which terminal, and how to leave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Console {
    /// 0 is `/dev/console`, 1 to N `/dev/ttyN`, none the first free tty (or the console).
    pub tty: Option<u32>,
    /// The control code before `q`; none: only closing the terminal leaves.
    pub escape: Option<u8>,
}

#[derive(Debug, thiserror::Error)]
enum ConsoleError {
    #[error("it is not running")]
    NotRunning,
    #[error(transparent)]
    Socket(SocketError),
    #[error("take over the terminal")]
    Terminal(#[source] io::Error),
    #[error("relay the terminal")]
    Relay(#[source] Errno),
}

impl ConsoleError {
    const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotRunning => ErrorKind::NotRunning,
            Self::Socket(SocketError::Silent | SocketError::Halted { .. }) => ErrorKind::TimedOut,
            Self::Socket(SocketError::NoTty(_)) => ErrorKind::Busy,
            Self::Socket(_) | Self::Terminal(_) | Self::Relay(_) => ErrorKind::Failed,
        }
    }
}

impl Engine {
    /// Relays this terminal until the escape key and `q`, or until the container ends.
    pub fn console(&self, name: &Name, console: Console) -> Result<(), Error> {
        self.try_console(name, console)
            .map_err(|error| Error::new(Verb::Console, name, error.kind(), error))
    }

    fn try_console(&self, name: &Name, console: Console) -> Result<(), ConsoleError> {
        let client = Client::connect(&self.lxcpath, name).map_err(ConsoleError::Socket)?;
        let client = client.ok_or(ConsoleError::NotRunning)?;
        let remote = open(&client, console.tty).map_err(ConsoleError::Socket)?;
        greet(remote.number(), console.escape);
        relay::relay(&remote, console.escape)
    }
}

/// Opens the requested terminal, by default the first free tty, or the console if there is none.
fn open(client: &Client, tty: Option<u32>) -> Result<Remote, SocketError> {
    match tty {
        Some(0) => open_console(client),
        Some(number) => client.tty(Some(number)).map(Remote::Tty),
        None => match client.tty(None) {
            Err(SocketError::NoTty(_)) => open_console(client),
            other => other.map(Remote::Tty),
        },
    }
}

/// LXC's supervisors have no views: they give their console to one client at a time.
fn open_console(client: &Client) -> Result<Remote, SocketError> {
    match client.console_view() {
        Ok(view) => Ok(Remote::View(view)),
        Err(error) if error.is_unknown_command() => client.tty(Some(0)).map(Remote::Tty),
        Err(error) => Err(error),
    }
}

fn greet(number: u32, escape: Option<u8>) {
    let hint = escape.map(|code| {
        let key = char::from(code.wrapping_add(b'a' - 1));
        format!(
            "Type <Ctrl+{key} q> to exit the console, \
             <Ctrl+{key} Ctrl+{key}> to enter Ctrl+{key} itself\r\n"
        )
    });
    let text = format!("\r\nConnected to tty {number}\r\n{}", hint.unwrap_or_default());
    // A closed standard error must not prevent showing the console.
    _ = io::stderr().write_all(text.as_bytes());
}
