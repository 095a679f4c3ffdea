//! Work that may take long: shows on the terminal how far it is, and lets Ctrl-C cancel it.

use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{SigId, flag, low_level};

use super::timeout;
use crate::engine::progress::{Progress, Reached};
use crate::format;

/// Work that ends within this time shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);
const REFRESH: Duration = Duration::from_millis(200);
/// Returns to the start of the line and clears it.
const CLEAR: &str = "\r\x1b[K";

/// Does `work`, and shows its progress on standard error if that is a terminal. It is given up when it
/// has taken as long as `limit`.
pub(in crate::cli) fn watched<T>(
    quiet: bool,
    limit: Option<Duration>,
    work: impl FnOnce(&Progress) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let progress = Progress::within(limit);
    // A flag needs neither a thread nor a pipe, which could fail when the work is done.
    let catch = |signal| flag::register(signal, progress.cancelling());
    let caught: Vec<SigId> =
        [SIGINT, SIGTERM, SIGHUP].into_iter().map(catch).collect::<Result<_, _>>()?;
    let (done, ended) = channel::<()>();
    let shown = progress.clone();
    let shows = !quiet && std::io::stderr().is_terminal();
    // Without a thread the work is done all the same.
    let showing = shows
        .then(|| thread::Builder::new().spawn(move || show(&shown, &ended)))
        .and_then(Result::ok);
    let outcome = work(&progress);
    drop(done);
    if let Some(showing) = showing {
        // It cannot panic.
        _ = showing.join();
    }
    for it in caught {
        low_level::unregister(it);
    }
    outcome.map_err(|error| timeout::explain(error, &progress, limit))
}

fn show(progress: &Progress, ended: &Receiver<()>) {
    let mut pause = PATIENCE;
    while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        pause = REFRESH;
        let Reached { stage, done_bytes, whole_bytes } = progress.reached();
        let line = format::progress(stage, done_bytes, whole_bytes);
        // A closed terminal must not end the work.
        _ = write!(std::io::stderr(), "{CLEAR}{line}");
    }
    if pause == REFRESH {
        _ = write!(std::io::stderr(), "{CLEAR}");
    }
}
