//! The container to enter: its init, its namespaces, its cgroups and its confinement.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use nix::errno::Errno;

use super::access::{AttachAccess, CallersOwn};
use crate::engine::cgroup::Cgroup;
use crate::engine::config::{self, ConfigError};
use crate::engine::entry::perform::Door;
use crate::engine::host::label;
use crate::engine::running::command_socket::{Client, Init, SocketError};
use crate::engine::running::groups::{self, GroupError, Holding};
use crate::engine::sys::filter::FilterInstruction;
use crate::engine::terms::idmap::{IdMap, Owner};
use crate::engine::terms::label::Label;
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{At, ResourceLimit};
use crate::engine::{ErrorKind, Lxcpath, Name, sys};

/// A running container, held by a pidfd of its init.
#[derive(Debug)]
pub(in crate::engine::verbs) struct AttachTarget {
    pub(super) pid: i32,
    pidfd: OwnedFd,
    cgroup: Option<Cgroup>,
    /// `CLONE_NEW*` flags of the namespaces that differ from ours.
    pub(super) namespaces: i32,
    /// The map of its users, if they are not ours.
    idmap: Option<IdMap>,
    /// Init's capability bounding set.
    pub(super) bounding: u64,
    pub(super) no_new_privs: bool,
    /// The filter of system calls that init has loaded.
    pub(super) filter: Option<Vec<FilterInstruction>>,
    /// What confines init.
    pub(super) label: Option<Label>,
    /// `lxc.environment` and `lxc.environment.runtime`.
    pub(super) environment: Vec<(String, String)>,
    /// `lxc.prlimit.*`.
    pub(super) limits: Vec<At<ResourceLimit>>,
    /// Init's personality; none if the kernel does not show it.
    pub(super) personality: Option<u32>,
}

/// Why a container cannot be entered.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine::verbs) enum TargetError {
    #[error("it is not running")]
    NotRunning,
    #[error(transparent)]
    Socket(SocketError),
    #[error(
        "its init (pid {pid}) shares every namespace that would separate the command from the host; \
             if that is what you want, run the command on the host"
    )]
    NotInside { pid: i32 },
    #[error("read {path}")]
    Proc { path: String, source: io::Error },
    #[error("this kernel has neither SELinux nor AppArmor, which would know a context")]
    NoModule,
    #[error("its filter of system calls is not known: {0}")]
    Filter(#[from] ConfigError),
    #[error(transparent)]
    Group(#[from] GroupError),
}

impl TargetError {
    pub(in crate::engine::verbs) fn kind(&self) -> ErrorKind {
        match self {
            Self::NotRunning => ErrorKind::NotRunning,
            Self::NoModule => ErrorKind::Invalid,
            Self::Socket(SocketError::Hold { source: Errno::EPERM, .. }) => ErrorKind::Denied,
            Self::Group(error) => error.kind(),
            Self::Socket(_) | Self::NotInside { .. } | Self::Filter(_) | Self::Proc { .. } => {
                ErrorKind::Failed
            }
        }
    }
}

impl AttachTarget {
    /// Asks the container's supervisor for its init.
    pub(in crate::engine::verbs) fn find(
        lxcpath: &Lxcpath,
        name: &Name,
    ) -> Result<Self, TargetError> {
        let client = Client::connect(lxcpath, name)
            .map_err(TargetError::Socket)?
            .ok_or(TargetError::NotRunning)?;
        let Init { pid, pidfd } = client.init().map_err(TargetError::Socket)?;
        let cgroup = groups::find(lxcpath, name, Some(&client), Holding::Processes)?;
        let status = read(format!("/proc/{pid}/status"))?;
        let namespaces = differing(pid)?;
        let label = label::confining(lxcpath.host(), pid).map_err(|source| TargetError::Proc {
            path: format!("/proc/{pid}/attr/current"),
            source,
        })?;
        let another = client.is_another_users().map_err(TargetError::Socket)?;
        let needed = if another { libc::CLONE_NEWUSER } else { namespaces };
        // The values read belong to init if it is still alive.
        if sys::pidfd_send_signal(pidfd.as_fd(), 0) == Err(Errno::ESRCH) {
            return Err(TargetError::NotRunning);
        }
        if needed == 0 || namespaces & needed != needed {
            return Err(TargetError::NotInside { pid });
        }
        Ok(Self {
            pid,
            pidfd,
            cgroup,
            namespaces,
            idmap: (namespaces & libc::CLONE_NEWUSER != 0).then(|| idmap(pid)).transpose()?,
            bounding: field(&status, "CapBnd:")
                .and_then(|it| u64::from_str_radix(it, 16).ok())
                .unwrap_or(0),
            no_new_privs: field(&status, "NoNewPrivs:") == Some("1"),
            filter: filter(&client, &status)?,
            label,
            environment: environment(&client)?,
            limits: limits(&client)?,
            personality: personality(pid),
        })
    }

    /// Leaves out what a command is not to have of it.
    pub(super) fn restrict(&mut self, access: &AttachAccess) -> Result<(), TargetError> {
        let left_out = Space::ALL.into_iter().filter(|it| !access.enters(*it));
        self.namespaces = left_out.fold(self.namespaces, |all, it| all & !it.flag());
        if !access.enters(Space::User) {
            self.idmap = None;
        }
        if access.keeps.contains(&CallersOwn::Cgroups) {
            self.cgroup = None;
        }
        if access.keeps.contains(&CallersOwn::Capabilities) {
            self.bounding = u64::MAX;
        }
        if access.keeps.contains(&CallersOwn::Freedom) {
            (self.label, self.filter) = (None, None);
        }
        if let Some(name) = &access.label {
            let module = label::module().ok_or(TargetError::NoModule)?;
            self.label = Some(Label { module, name: name.clone() });
        }
        self.personality = access.machine.map(|it| it.0).or(self.personality);
        Ok(())
    }

    /// Opens the root directory of init.
    pub(in crate::engine::verbs) fn root(&self) -> Result<OwnedFd, TargetError> {
        let path = format!("/proc/{}/root", self.pid);
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let root = fs::File::options().read(true).custom_flags(flags).open(&path);
        let root = root.map_err(|source| TargetError::Proc { path, source })?;
        // The pid, and so the opened root, is init's only if init is still alive.
        match sys::pidfd_send_signal(self.pidfd.as_fd(), 0) {
            Err(Errno::ESRCH) => Err(TargetError::NotRunning),
            Ok(()) | Err(_) => Ok(root.into()),
        }
    }

    /// Opens a namespace of init.
    pub(in crate::engine::verbs) fn namespace(&self, kind: &str) -> Result<fs::File, TargetError> {
        let path = format!("/proc/{}/ns/{kind}", self.pid);
        let space = fs::File::open(&path).map_err(|source| TargetError::Proc { path, source })?;
        match sys::pidfd_send_signal(self.pidfd.as_fd(), 0) {
            Err(Errno::ESRCH) => Err(TargetError::NotRunning),
            Ok(()) | Err(_) => Ok(space),
        }
    }

    /// Returns whether its processes are frozen, or about to be.
    pub(super) fn is_frozen(&self) -> bool {
        let cgroup = self.cgroup.as_ref();
        cgroup.is_some_and(|it| it.frozen() == Some(true) || it.thawed() == Some(false))
    }

    /// Returns by whom it is entered, if its users are not ours: its root, or whom the command will
    /// be where it has none.
    pub(super) fn owner(&self, uid: u32, gid: u32) -> Option<Owner> {
        let other = Owner { uid, gid };
        self.idmap.as_ref().map(|it| it.setup(other).unwrap_or(other))
    }

    /// Returns the handles for entering it.
    pub(super) fn door<'a>(&'a self, root: BorrowedFd<'a>) -> Door<'a> {
        Door { init: self.pidfd.as_fd(), root }
    }

    /// Returns the container's cgroups.
    pub(super) const fn cgroup(&self) -> Option<&Cgroup> {
        self.cgroup.as_ref()
    }
}

/// Asks for the configuration that the container runs with, since its file may have changed.
fn environment(client: &Client) -> Result<Vec<(String, String)>, TargetError> {
    let mut pairs = Vec::new();
    // LXC before 7.0 does not know the second.
    for key in ["lxc.environment", "lxc.environment.runtime"] {
        let lines = client.config_item(key).map_err(TargetError::Socket)?.unwrap_or_default();
        let found = lines.lines().filter_map(|line| line.split_once('='));
        pairs.extend(found.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    Ok(pairs)
}

/// Asks for the limits that the container was started with; init may have lowered its own since.
fn limits(client: &Client) -> Result<Vec<At<ResourceLimit>>, TargetError> {
    let lines = client.config_item("lxc.prlimit").map_err(TargetError::Socket)?;
    Ok(config::limits(&lines.unwrap_or_default()))
}

fn idmap(pid: i32) -> Result<IdMap, TargetError> {
    let users = read(format!("/proc/{pid}/uid_map"))?;
    Ok(IdMap::of_kernel(&users, &read(format!("/proc/{pid}/gid_map"))?))
}

fn personality(pid: i32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/personality")).ok()?;
    u32::from_str_radix(text.trim(), 16).ok()
}

/// Asks for the filter. LXC's supervisors only name the profile, which is compiled as it is now.
fn filter(client: &Client, status: &str) -> Result<Option<Vec<FilterInstruction>>, TargetError> {
    match client.filter() {
        Err(error) if error.is_unknown_command() => (),
        found => return found.map_err(TargetError::Socket),
    }
    if field(status, "Seccomp:") == Some("0") {
        return Ok(None);
    }
    let profile = client.config_item("lxc.seccomp.profile").map_err(TargetError::Socket)?;
    let profile = profile.filter(|it| !it.is_empty());
    Ok(profile.map(|it| config::running_filter(&it)).transpose()?)
}

/// Returns the flags of the namespaces that differ. One that cannot be read is an error: the
/// command would stay in the host's.
fn differing(pid: i32) -> Result<i32, TargetError> {
    let mut flags = 0;
    for space in Space::ALL {
        let name = space.word();
        // A kind of namespace that the kernel lacks cannot differ.
        let Ok(ours) = fs::read_link(format!("/proc/self/ns/{name}")) else { continue };
        let path = format!("/proc/{pid}/ns/{name}");
        let theirs = fs::read_link(&path).map_err(|source| TargetError::Proc { path, source })?;
        if theirs != ours {
            flags |= space.flag();
        }
    }
    Ok(flags)
}

fn read(path: String) -> Result<String, TargetError> {
    fs::read_to_string(&path).map_err(|source| TargetError::Proc { path, source })
}

fn field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}
