//! The verb `destroy`: moves a stopped container to the trash, or removes it, never through a link or a
//! mount.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::engine::running::command_socket::{Seat, SeatError};
use crate::engine::running::pending;
use crate::engine::running::reclaim::{self, ReclaimError};
use crate::engine::running::record::{self, Record};
use crate::engine::running::removal::{self, RemovalError};
use crate::engine::running::trashing::{self, Trashed, TrashingError};
use crate::engine::store::{Store, StoreError, no_such};
use crate::engine::terms::patience::Patience;
use crate::engine::verbs::proxmox::{self, Pct};
use crate::engine::{Engine, Error, ErrorKind, Name, State, Verb};

/// Why a container was not destroyed.
#[derive(Debug, thiserror::Error)]
enum DestroyError {
    #[error("{0}")]
    Missing(String),
    #[error("it is {0}; stop it first")]
    Running(State),
    #[error("Proxmox manages it ({}); `{instead}` removes it with its disks", conf.display())]
    Owned { conf: PathBuf, instead: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Reclaim(#[from] ReclaimError),
    #[error(transparent)]
    Seat(SeatError),
    #[error(transparent)]
    Removal(#[from] RemovalError),
    #[error(transparent)]
    Trashing(#[from] TrashingError),
}

/// How long a supervisor may take to exit after it has reported its container's end.
const GOING: Duration = Duration::from_secs(2);

impl DestroyError {
    const fn kind(&self) -> ErrorKind {
        match self {
            Self::Missing(_) => ErrorKind::NotFound,
            Self::Running(_) => ErrorKind::Running,
            Self::Removal(error) | Self::Trashing(TrashingError::Removal(error))
                if error.is_refusal() =>
            {
                ErrorKind::Invalid
            }
            Self::Owned { .. } => ErrorKind::Invalid,
            Self::Store(StoreError::Busy(_)) => ErrorKind::Busy,
            Self::Store(_)
            | Self::Removal(_)
            | Self::Trashing(_)
            | Self::Reclaim(_)
            | Self::Seat(_) => ErrorKind::Failed,
        }
    }
}

impl Engine {
    /// Moves the container to the trash, where [`Self::restore_trashed`] finds it, with its snapshots.
    /// Refuses a running one. A root outside of `LXCPATH/NAME` stays where it is. None: a removal
    /// that was killed was completed instead.
    pub fn discard(&self, name: &Name) -> Result<Option<Trashed>, Error> {
        let discarded = self.try_destroy(name, |store| Ok(trashing::discard(store, name)?));
        self.tidy();
        discarded.map_err(|error| Error::new(Verb::Destroy, name, error.kind(), error))
    }

    /// Removes `LXCPATH/NAME` for good, and what a dead supervisor left. Refuses a running
    /// container. A root outside of `LXCPATH/NAME` is not touched.
    pub fn destroy(&self, name: &Name) -> Result<(), Error> {
        self.destroy_by(name, |store| removal::remove(store, name))
    }

    /// Removes its snapshots with it. If something else keeps it, the snapshots stay as well.
    pub fn destroy_with_snapshots(&self, name: &Name) -> Result<(), Error> {
        self.destroy_by(name, |store| removal::remove_with_snapshots(store, name))
    }

    /// Returns why [`Self::destroy`] would refuse the container even if it did not run: whoever kills
    /// it first asks before.
    pub fn check_destroy(&self, name: &Name) -> Result<(), Error> {
        self.check_by(name, |store| Ok(removal::check(store, name).map(drop)?))
    }

    /// The same for [`Self::discard`].
    pub fn check_discard(&self, name: &Name) -> Result<(), Error> {
        self.check_by(name, |store| {
            trashing::check(store, name)?;
            Ok(trashing::check_room(store, name)?)
        })
    }

    fn check_by(
        &self,
        name: &Name,
        check: impl FnOnce(&Store) -> Result<(), DestroyError>,
    ) -> Result<(), Error> {
        let checked = check_owner(self, name).and_then(|()| check(&Store::new(&self.lxcpath)));
        checked.map_err(|error| Error::new(Verb::Destroy, name, error.kind(), error))
    }

    fn destroy_by(
        &self,
        name: &Name,
        remove: impl FnOnce(&Store) -> Result<(), RemovalError>,
    ) -> Result<(), Error> {
        let destroyed = self.try_destroy(name, |store| Ok(remove(store)?));
        self.tidy();
        destroyed.map(drop).map_err(|error| Error::new(Verb::Destroy, name, error.kind(), error))
    }

    /// Has the directory of a container that cannot run taken away. None: there is only what a
    /// removal that was killed has left.
    fn try_destroy<T>(
        &self,
        name: &Name,
        take: impl FnOnce(&Store) -> Result<T, DestroyError>,
    ) -> Result<Option<T>, DestroyError> {
        check_owner(self, name)?;
        let store = Store::new(&self.lxcpath);
        let _lock = store.lock(name)?;
        let had_draft = pending::settle(&store, name).map_err(RemovalError::from)?;
        let had_record = Record::read(&self.lxcpath, name).is_some();
        // A start has to wait for this, and then finds it gone.
        let _seat = self.take_seat(name)?;
        reclaim::clean_up_held(&self.lxcpath, name)?;
        let dir = store.dir(name);
        if dir.symlink_metadata().is_ok() {
            return take(&store).map(Some);
        }
        // A destruction that was killed has left only a record.
        if !had_record && !had_draft {
            return Err(DestroyError::Missing(no_such(store.lxcpath())));
        }
        record::forget(&self.lxcpath, name).map_err(RemovalError::Forget)?;
        Ok(None)
    }

    /// Takes the seat of the container's supervisor. One that has reported its container's end will
    /// exit in a moment.
    fn take_seat(&self, name: &Name) -> Result<Seat, DestroyError> {
        let mut patience = Patience::until(Instant::now() + GOING);
        loop {
            match Seat::take(&self.lxcpath, name) {
                Ok(seat) => return Ok(seat),
                Err(SeatError::Taken | SeatError::Locked) => (),
                Err(error) => return Err(DestroyError::Seat(error)),
            }
            let state = self.state(name).unwrap_or(State::Stopped);
            if state.is_active() || !patience.again() {
                return Err(DestroyError::Running(state));
            }
        }
    }
}

fn check_owner(engine: &Engine, name: &Name) -> Result<(), DestroyError> {
    let Some(owned) = proxmox::owner(engine.lxcpath.host(), name) else { return Ok(()) };
    let instead = owned.pct(Pct::Destroy);
    Err(DestroyError::Owned { conf: owned.conf, instead })
}
