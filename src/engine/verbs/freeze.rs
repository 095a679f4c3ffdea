//! The verbs `freeze` and `unfreeze`.

use std::time::Duration;

use crate::engine::cgroup::{Cgroup, CgroupError};
use crate::engine::running::command_socket::{Client, SocketError};
use crate::engine::running::event::{self, What};
use crate::engine::running::groups::{self, GroupError, Holding};
use crate::engine::running::record::Record;
use crate::engine::running::saving;
use crate::engine::terms::state::State;
use crate::engine::{Engine, Error, ErrorKind, Name, Verb};

/// How long freezing may take; a process in state D may take for ever.
pub const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
enum FreezeError {
    #[error("it is not running")]
    NotRunning,
    #[error("it is {0}")]
    State(State),
    #[error("permission denied: only root and the user who runs it may do this; try again as root")]
    Denied,
    #[error(transparent)]
    Socket(SocketError),
    #[error("{0}")]
    Cgroup(#[source] CgroupError),
    #[error("its supervisor does not report its cgroup")]
    Lost,
}

impl FreezeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotRunning | Self::State(_) => ErrorKind::NotRunning,
            Self::Socket(SocketError::Silent | SocketError::Halted { .. }) => ErrorKind::TimedOut,
            Self::Cgroup(error) => error.kind(),
            Self::Denied => ErrorKind::Denied,
            Self::Socket(_) | Self::Lost => ErrorKind::Failed,
        }
    }
}

impl Engine {
    /// Freezes every process of the container and returns once they are frozen.
    pub fn freeze(&self, name: &Name) -> Result<(), Error> {
        self.freeze_within(name, PATIENCE)
    }

    /// The same, in a time of the caller's.
    pub fn freeze_within(&self, name: &Name, patience: Duration) -> Result<(), Error> {
        _ = saving::settle_if_free(&self.lxcpath, name);
        self.try_freeze(name, patience)
            .map_err(|error| Error::new(Verb::Freeze, name, error.kind(), error))
    }

    /// Thaws the container.
    pub fn unfreeze(&self, name: &Name) -> Result<(), Error> {
        self.unfreeze_within(name, PATIENCE)
    }

    /// The same, in a time of the caller's.
    pub fn unfreeze_within(&self, name: &Name, patience: Duration) -> Result<(), Error> {
        _ = saving::settle_if_free(&self.lxcpath, name);
        self.try_unfreeze(name, patience)
            .map_err(|error| Error::new(Verb::Unfreeze, name, error.kind(), error))
    }

    fn try_freeze(&self, name: &Name, patience: Duration) -> Result<(), FreezeError> {
        let (client, cgroup) = self.reach(name)?;
        let state = client.state().map_err(FreezeError::Socket)?;
        match state {
            State::Running | State::Freezing | State::Thawed | State::Frozen => (),
            State::Stopped | State::Starting | State::Stopping | State::Aborting => {
                return Err(FreezeError::State(state));
            }
        }
        if state == State::Frozen && cgroup.frozen() == Some(true) {
            return Ok(());
        }
        self.report(name, &client, State::Running, State::Freezing);
        if let Err(error) = cgroup.freeze(patience) {
            // The container must not stay half frozen.
            _ = cgroup.thaw(PATIENCE);
            self.report(name, &client, State::Freezing, State::Thawed);
            self.report(name, &client, State::Thawed, State::Running);
            return Err(FreezeError::Cgroup(error));
        }
        self.report(name, &client, State::Freezing, State::Frozen);
        Ok(())
    }

    fn try_unfreeze(&self, name: &Name, patience: Duration) -> Result<(), FreezeError> {
        let (client, cgroup) = self.reach(name)?;
        let state = client.state().map_err(FreezeError::Socket)?;
        if state == State::Running && cgroup.frozen() == Some(false) {
            return Ok(());
        }
        cgroup.thaw(patience).map_err(FreezeError::Cgroup)?;
        self.report(name, &client, State::Frozen, State::Thawed);
        self.report(name, &client, State::Thawed, State::Running);
        Ok(())
    }

    /// Lets the supervisor report it; for one of LXC's, which does not write our journal, we do.
    fn report(&self, name: &Name, client: &Client, from: State, to: State) {
        // The freezer has been written, which is what matters.
        _ = client.serve_state(to);
        if !Record::read(&self.lxcpath, name).is_some_and(|it| it.is_live(self.lxcpath.host())) {
            event::publish(&self.lxcpath, name, What::State { from, to });
        }
    }

    fn reach(&self, name: &Name) -> Result<(Client, Cgroup), FreezeError> {
        let client = Client::connect(&self.lxcpath, name).map_err(FreezeError::Socket)?;
        let client = client.ok_or(FreezeError::NotRunning)?;
        match groups::find(&self.lxcpath, name, Some(&client), Holding::Limits) {
            Ok(Some(cgroup)) => Ok((client, cgroup)),
            Err(GroupError::Cgroup(error)) => Err(FreezeError::Cgroup(error)),
            Ok(None) | Err(GroupError::Socket(_)) if nix::unistd::geteuid().is_root() => {
                Err(FreezeError::Lost)
            }
            Ok(None) | Err(GroupError::Socket(_)) => Err(FreezeError::Denied),
        }
    }
}
