//! What a supervisor needs beside the container itself: terminals, files, socket, signals.
//! Everything that can fail is acquired before the start counts as successful.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::sys::signalfd::SignalFd;

use super::Run;
use super::error::RunError;
use super::logfile::LogFile;
use super::server::Server;
use super::terminal::ConsoleTerminal;
use super::viewer::{self, Viewer};
use crate::engine::entry::plan::WindowSize;
use crate::engine::entry::relay::BlockedSignals;
use crate::engine::running::command_socket::Seat;
use crate::engine::sys;
use crate::engine::terms::spec::Spec;

/// The host's files that the console is copied to.
#[derive(Debug)]
pub(super) struct Opened {
    log: Option<LogFile>,
    path: Option<File>,
}

impl Opened {
    /// Opens what `spec` names.
    pub(super) fn by(spec: &Spec) -> Result<Self, RunError> {
        let rootfs = spec.rootfs.as_ref().and_then(|it| it.value.storage.changed());
        let console = &spec.console;
        let log = console.logfile.as_ref().map(|path| {
            LogFile::output(path)
                .unwrap_or_else(|| LogFile::open(path, console.log_bytes, console.rotate, rootfs))
                .map_err(|source| RunError::LogFile { path: path.clone(), source })
        });
        let path = console.path.as_ref().map(|path| {
            viewer::open(path, rootfs)
                .map_err(|source| RunError::ConsolePath { path: path.clone(), source })
        });
        // The terminal already shows the console, unless that is shown elsewhere.
        let twice = |it: &LogFile| path.is_none() && it.is_terminal();
        let log = log.transpose()?.filter(|it| !twice(it));
        Ok(Self { log, path: path.transpose()? })
    }

    /// Returns the size of the terminal that `lxc.console.path` names.
    pub(super) fn window_size(&self) -> Option<WindowSize> {
        let (rows, columns) = sys::window_size(self.path.as_ref()?.as_fd()).ok()?;
        (rows > 0 && columns > 0).then_some(WindowSize { rows, columns })
    }

    /// Takes the supervisor's side of the console, copied to the log.
    pub(super) fn console(
        self,
        console: Option<OwnedFd>,
        spec: &Spec,
    ) -> nix::Result<Option<ConsoleTerminal>> {
        let buffer = spec.console.buffer_bytes;
        console.map(|it| ConsoleTerminal::new(it, self.log, buffer)).transpose()
    }
}

/// What serves a running container; acquiring each can fail.
#[derive(Debug)]
pub(super) struct Equipment {
    pub(super) console: Option<ConsoleTerminal>,
    pub(super) viewer: Option<Viewer>,
    pub(super) server: Server,
    pub(super) signals: SignalFd,
}

impl Equipment {
    /// Takes up the supervisor's side of the console, the socket and the signals.
    pub(super) fn take(
        run: &Run,
        console: Option<OwnedFd>,
        seat: Seat,
        mut opened: Opened,
        signals: &BlockedSignals,
    ) -> Result<Self, RunError> {
        let path = opened.path.take();
        let console = opened.console(console, &run.spec).map_err(RunError::Watch)?;
        let viewer = match path {
            _ if console.is_none() => None,
            Some(file) => Some(Viewer::on(file)),
            None => run.foreground.then(Viewer::on_own_terminal),
        };
        let viewer = viewer.transpose().map_err(RunError::Terminal)?;
        let server = Server::new(seat).map_err(RunError::Listen)?;
        let signals = signals.open().map_err(RunError::Watch)?;
        Ok(Self { console, viewer, server, signals })
    }
}
