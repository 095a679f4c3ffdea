//! Finds a running container's groups, for reading and writing their files.

use super::command_socket::{Client, SocketError};
use super::record::Record;
use crate::engine::cgroup::{Cgroup, CgroupError, GroupPath, Hierarchies};
use crate::engine::{ErrorKind, Lxcpath, Name};

/// Which of a container's groups: LXC's `lxc.cgroup.dir.container.inner` separates the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Holding {
    Processes,
    Limits,
}

/// Why a group is not found.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum GroupError {
    #[error(transparent)]
    Socket(SocketError),
    #[error("{0}")]
    Cgroup(#[source] CgroupError),
}

impl GroupError {
    /// Returns the kind of refusal.
    pub(in crate::engine) fn kind(&self) -> ErrorKind {
        match self {
            Self::Socket(_) => ErrorKind::Failed,
            Self::Cgroup(error) => error.kind(),
        }
    }
}

/// Opens the group of `name`: the one in the record of our supervisor, which need not answer for
/// that, else the one that its supervisor reports. None: there is none, or no supervisor to ask.
pub(in crate::engine) fn find(
    lxcpath: &Lxcpath,
    name: &Name,
    client: Option<&Client>,
    holding: Holding,
) -> Result<Option<Cgroup>, GroupError> {
    let record = Record::read(lxcpath, name).filter(|it| it.is_live(lxcpath.host()));
    let recorded = record.and_then(|it| match holding {
        Holding::Processes => it.processes(),
        Holding::Limits => it.cgroup,
    });
    let path = match (recorded, client) {
        (Some(path), _) => Some(path),
        (None, Some(client)) => match holding {
            Holding::Processes => client.cgroup(),
            Holding::Limits => client.limit_cgroup(),
        }
        .map_err(GroupError::Socket)?
        .map(GroupPath::Same),
        (None, None) => None,
    };
    let Some(path) = path else { return Ok(None) };
    let hierarchies = Hierarchies::discover(lxcpath.host()).map_err(GroupError::Cgroup)?;
    Ok(Some(Cgroup::open(&hierarchies, &path)))
}
