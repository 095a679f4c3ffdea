//! The supervisor's seat: the process that has it is the container's only supervisor.
//!
//! The seat is a lock that no other user can take, with a socket beside it to which wharf's own
//! clients connect first. LXC's names for the container are bound as well: they keep LXC from
//! running it a second time, and let its tools connect. If a stranger holds one of those, the
//! container runs nevertheless, but LXC's tools cannot reach it.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::address::{Address, bind_private, bind_public, name_of, private_dir, spellings};
use super::client::Client;
use super::error::{SocketError, Stranger};
use super::trust::Judge;
use super::{find, holder};
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::record::Record;
use crate::engine::store::{Lock, StoreError, seat_lock, seat_lock_path};
use crate::engine::terms::name::Name;
use crate::engine::terms::patience::Patience;

/// Why the seat could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum SeatError {
    #[error("it is already running, starting or stopping")]
    Taken,
    /// By another process of wharf's: a supervisor, or a command that cleans up.
    #[error("it is already running, starting or stopping")]
    Locked,
    #[error(transparent)]
    Lock(StoreError),
    #[error("create the socket {path}")]
    Private { path: PathBuf, source: io::Error },
    #[error("listen on the command socket")]
    Listen(#[source] io::Error),
    #[error(transparent)]
    Holder(SocketError),
}

/// How long the clean-up of another command, and the exit of a supervisor, may take.
const CLEANING: Duration = Duration::from_secs(5);

/// The holder of a name may exit while it is being identified.
const TRIES: usize = 3;

/// The seat, released on drop.
#[derive(Debug)]
pub struct Seat {
    listeners: Vec<UnixListener>,
    /// Which process has the name by which LXC's tools look for the container.
    squatter: Option<Stranger>,
    path: PathBuf,
    // Dropped last: the next holder must find the socket gone.
    lock: Lock,
}

impl Seat {
    /// Takes the seat of `name`.
    pub fn take(lxcpath: &Lxcpath, name: &Name) -> Result<Self, SeatError> {
        let lock = seat_lock(lxcpath, name).map_err(|error| match error {
            StoreError::Busy(_) => SeatError::Locked,
            it @ (StoreError::Lock { .. }
            | StoreError::Read { .. }
            | StoreError::Write { .. }
            | StoreError::Link(_)
            | StoreError::Host(_)) => SeatError::Lock(it),
        })?;
        let dir = private_dir(lxcpath);
        let path = dir.join(name.as_str());
        let make = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
            bind_private(&path)
        };
        // Another command's clean-up removes an empty directory.
        let private = match make() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(),
            other => other,
        };
        let private =
            private.map_err(|source| SeatError::Private { path: path.clone(), source })?;
        let mut seat = Self { listeners: vec![private], squatter: None, path, lock };
        match take_public(lxcpath, name)? {
            Ok(listener) => seat.listeners.push(listener),
            Err(squatter) => seat.squatter = Some(squatter),
        }
        // One of LXC's, by another spelling of the path.
        if find::elsewhere(lxcpath, name).is_ok_and(|it| it.is_some()) {
            return Err(SeatError::Taken);
        }
        // A relative spelling may belong to a namesake elsewhere, and does not identify the
        // container.
        let others = spellings(lxcpath).into_iter().skip(1);
        let others = others.filter_map(|it| bind_public(&name_of(&it, name.as_str())).ok());
        seat.listeners.extend(others);
        let highest = seat.listeners.iter().map(AsRawFd::as_raw_fd).max().unwrap_or(0);
        seat.lock.outlive(highest).map_err(SeatError::Listen)?;
        Ok(seat)
    }

    /// The same, after another command that only cleans up, or a supervisor that has reported the
    /// end of its container.
    pub fn wait(lxcpath: &Lxcpath, name: &Name) -> Result<Self, SeatError> {
        let mut patience = Patience::until(Instant::now() + CLEANING);
        loop {
            match Self::take(lxcpath, name) {
                Err(SeatError::Locked) if !is_supervised(lxcpath, name) && patience.again() => (),
                taken => return taken,
            }
        }
    }

    /// Removes the leftovers of a killed supervisor's seat, unless the seat is taken again.
    pub fn tidy(lxcpath: &Lxcpath, name: &Name) {
        let path = private_dir(lxcpath).join(name.as_str());
        let left = [path.clone(), seat_lock_path(lxcpath, name)];
        if left.iter().any(|it| it.symlink_metadata().is_ok())
            && let Ok(_lock) = seat_lock(lxcpath, name)
        {
            _ = std::fs::remove_file(path);
        }
    }

    /// Returns the listeners: first that of wharf's own clients, then the rest.
    pub fn listeners(&self) -> &[UnixListener] {
        &self.listeners
    }

    /// Returns the stranger who keeps LXC's tools from the container, if there is one.
    pub const fn squatter(&self) -> Option<&Stranger> {
        self.squatter.as_ref()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // A leftover socket refuses connections, and is removed by the next supervisor.
        _ = std::fs::remove_file(&self.path);
    }
}

/// Returns whether a supervisor of wharf's has the seat, and a run.
fn is_supervised(lxcpath: &Lxcpath, name: &Name) -> bool {
    Record::read(lxcpath, name).is_some_and(|it| it.is_live(lxcpath.host()))
}

/// Binds the directory's own name for the container, or returns the stranger who has it.
fn take_public(
    lxcpath: &Lxcpath,
    name: &Name,
) -> Result<Result<UnixListener, Stranger>, SeatError> {
    let public = name_of(lxcpath.dir(), name.as_str());
    let judge = Judge::nameless(lxcpath, name.as_str());
    let mut squatter = None;
    for _ in 0..TRIES {
        match bind_public(&public) {
            Ok(listener) => return Ok(Ok(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => (),
            Err(error) => return Err(SeatError::Listen(error)),
        }
        let address = Address::Public(public.clone());
        let asked = Client::reach(address.clone(), &judge).and_then(|client| match client {
            Some(client) => client.state().map(Some),
            None => Ok(None),
        });
        match asked {
            Ok(Some(_state)) => return Err(SeatError::Taken),
            Err(SocketError::Stranger(it)) => return Ok(Err(it)),
            // It has ended, or it hangs, or it never listened: the descriptors show which process
            // it is.
            Ok(None) | Err(_) => match holder::check(&address, &judge) {
                // Unless it has exited meanwhile.
                Ok(()) => return bind_public(&public).map(Ok).map_err(|_busy| SeatError::Taken),
                Err(SocketError::Stranger(it)) => squatter = Some(it),
                Err(error) => return Err(SeatError::Holder(error)),
            },
        }
    }
    squatter.map_or(Err(SeatError::Taken), |it| Ok(Err(it)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Host;

    #[test]
    fn a_start_waits_for_a_clean_up_and_for_no_supervisor() {
        let dir = tempfile::tempdir().unwrap();
        let lxcpath = Lxcpath::open(&Host::keeping_in(dir.path()), dir.path());
        let name: Name = "web".parse().unwrap();
        let waits = |tries: &std::sync::mpsc::SyncSender<()>| {
            tries.send(()).unwrap();
            Seat::wait(&lxcpath, &name).is_ok()
        };
        for _ in 0..100 {
            let cleaning = Seat::take(&lxcpath, &name).unwrap();
            let (tries, tried) = std::sync::mpsc::sync_channel(1);
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| waits(&tries));
                tried.recv().unwrap();
                drop(cleaning);
                assert!(waiting.join().unwrap());
            });
        }
        let _supervised = Seat::take(&lxcpath, &name).unwrap();
        Record::begin(&lxcpath, &name).write(lxcpath.host()).unwrap();
        assert!(is_supervised(&lxcpath, &name));
        assert!(matches!(Seat::wait(&lxcpath, &name), Err(SeatError::Locked)));
    }
}
