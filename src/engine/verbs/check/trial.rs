//! One trial in a process of its own, so that nothing of it stays.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::sys::probe;
use crate::engine::terms::error::words;

/// What was found besides that it works, or why it does not.
pub(super) type Tried = Result<String, String>;

/// None takes longer unless it hangs, as a file of a FUSE daemon may. A large module takes seconds to
/// load on a slow machine.
const LONGEST: Duration = Duration::from_secs(30);

/// Has a child try it.
pub(super) fn alone(work: impl FnOnce() -> io::Result<()>) -> Tried {
    in_child(|| told(work().map(|()| String::new()))).and_then(|it: Tried| it)
}

/// Has a child answer.
pub(super) fn in_child<T: Serialize + DeserializeOwned>(
    work: impl FnOnce() -> T,
) -> Result<T, String> {
    let answer = probe::in_child(LONGEST, || serde_json::to_vec(&work()).unwrap_or_default());
    let answer = answer.map_err(|errno| {
        if errno == Errno::EIO {
            "the process that tried it was killed".to_owned()
        } else if errno == Errno::ETIMEDOUT {
            format!("no answer within {} s", LONGEST.as_secs())
        } else {
            errno.desc().to_owned()
        }
    })?;
    serde_json::from_slice(&answer).map_err(|error| error.to_string())
}

/// Does `work` before a signal that ends this process, or a terminal's interrupt, which goes to its
/// children as well: what those have made must be removed first.
pub(super) fn undisturbed<T>(work: impl FnOnce() -> T) -> T {
    let ends: SigSet =
        [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect();
    let before = ends.thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let done = work();
    if let Ok(before) = before {
        // It was in use until now.
        _ = before.thread_set_mask();
    }
    done
}

/// Puts an error into words.
pub(super) fn told(tried: io::Result<String>) -> Tried {
    tried.map_err(|error| words(&error))
}
