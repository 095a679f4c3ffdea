//! Opens the namespaces of others that a container is to be in: those of a running container, of a
//! process, or at a path. Enters none.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use nix::unistd::geteuid;

use crate::engine::entry::perform::SharedSpace;
use crate::engine::host::lxcpath::Lxcpath;
use crate::engine::running::command_socket::{Client, Init, SocketError};
use crate::engine::sys;
use crate::engine::terms::error::{ErrorKind, words};
use crate::engine::terms::idmap::IdMap;
use crate::engine::terms::name::Name;
use crate::engine::terms::shown::shown;
use crate::engine::terms::space::Space;
use crate::engine::terms::spec::{At, Namespaces, Spec};

/// Why one cannot be shared. Prints as the line, the reason and its place.
#[derive(Debug, thiserror::Error)]
#[error("lxc.namespace.share.{} {}: {fault}{place}", space.word(), shown(from))]
pub(in crate::engine) struct ShareError {
    space: Space,
    from: String,
    fault: ShareFault,
    place: String,
}

#[derive(Debug, thiserror::Error)]
enum ShareFault {
    #[error("that container is not running; `wharf start {0}` starts it")]
    NotRunning(Name),
    #[error("there is no such process")]
    NoProcess,
    #[error("expected a container, a pid, or the absolute path of a container or of a namespace")]
    Meaningless,
    #[error("the file is not a namespace")]
    NotNamespace,
    #[error("the file is a namespace of another kind")]
    OtherKind,
    #[error("that container is another user's, who decides what is in it")]
    AnotherUsers,
    #[error(
        "its root may see this process, and could take it over and with it your account; share that \
         of a container with a pid namespace of its own"
    )]
    Exposed,
    #[error("{}", words(.0))]
    Open(#[source] io::Error),
    #[error("{0}")]
    Socket(#[source] SocketError),
}

impl ShareError {
    /// Returns the kind of refusal.
    pub(in crate::engine) fn kind(&self) -> ErrorKind {
        match &self.fault {
            ShareFault::Meaningless | ShareFault::NotNamespace | ShareFault::OtherKind => {
                ErrorKind::Invalid
            }
            ShareFault::AnotherUsers | ShareFault::Exposed => ErrorKind::Denied,
            ShareFault::Open(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                ErrorKind::Denied
            }
            ShareFault::NotRunning(_)
            | ShareFault::NoProcess
            | ShareFault::Open(_)
            | ShareFault::Socket(_) => ErrorKind::Failed,
        }
    }
}

/// The namespaces, which exist as long as they are open.
#[derive(Debug, Default)]
pub(in crate::engine) struct Shares {
    pub spaces: Vec<SharedSpace>,
    /// What the operator should know about them.
    pub warnings: Vec<String>,
}

/// Opens each.
pub(in crate::engine) fn open(
    lxcpath: &Lxcpath,
    namespaces: &Namespaces,
) -> Result<Shares, ShareError> {
    let mut shares = Shares::default();
    for (space, At { value: from, place }) in namespaces.shared() {
        let opened = open_one(lxcpath, space, from).and_then(|(file, pid)| {
            let exposed = space == Space::User && !geteuid().is_root() && sees_us(lxcpath, pid);
            if exposed { Err(ShareFault::Exposed) } else { Ok((file, pid)) }
        });
        let (file, pid) = opened.map_err(|fault| ShareError {
            space,
            from: from.clone(),
            fault,
            place: place.as_ref().map_or_else(String::new, |it| format!(" ({it})")),
        })?;
        if space == Space::Pid && pid.is_some_and(|it| may_trace(lxcpath, it)) {
            let from = shown(from);
            shares.warnings.push(format!(
                "lxc.namespace.share.pid {from}: its root may trace processes, and with them take \
                 over the host while this container starts; lxc.cap.drop = sys_ptrace there \
                 prevents that"
            ));
        }
        shares.spaces.push(SharedSpace { space, file });
    }
    Ok(shares)
}

/// Returns how the users of the process are mapped.
pub(in crate::engine) fn users_of(lxcpath: &Lxcpath, pid: i32) -> Option<IdMap> {
    let read = |file| std::fs::read_to_string(lxcpath.host().of_process(pid, file)).ok();
    Some(IdMap::of_kernel(&read("uid_map")?, &read("gid_map")?))
}

/// Says that a container has other users than its configuration maps: those of the namespace that it
/// shares, which count, as with LXC.
pub(in crate::engine) fn other_users(spec: &Spec, found: &IdMap) -> Option<String> {
    let (_, from) = spec.namespaces.shared().find(|(space, _)| *space == Space::User)?;
    let At { value: wanted, place } = spec.idmap.as_ref()?;
    let place = place.as_ref().map(|it| format!(" ({it})")).unwrap_or_default();
    (!found.is_same(wanted)).then(|| {
        format!(
            "lxc.idmap{place} is not the map of the user namespace of {}, whose own counts",
            shown(&from.value)
        )
    })
}

/// Returns whether the process may be in the pid namespace of this one.
fn sees_us(lxcpath: &Lxcpath, pid: Option<i32>) -> bool {
    let of = |path: std::path::PathBuf| std::fs::read_link(path).ok();
    let own = of(lxcpath.host().proc().join("self/ns/pid"));
    let its = pid.and_then(|it| of(lxcpath.host().of_process(it, "ns/pid")));
    own.is_none() || its.is_none() || own == its
}

/// Returns whether the process may trace those of the host's users, if its own are the same.
fn may_trace(lxcpath: &Lxcpath, pid: i32) -> bool {
    const SYS_PTRACE: u32 = 19;
    let of = |file: &str| lxcpath.host().of_process(pid, file);
    let own = std::fs::read_link(lxcpath.host().proc().join("self/ns/user")).ok();
    let status = std::fs::read_to_string(of("status")).unwrap_or_default();
    let bounding = status.lines().find_map(|it| it.strip_prefix("CapBnd:"));
    let bounding = bounding.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
    own == std::fs::read_link(of("ns/user")).ok()
        && bounding.is_some_and(|it| it & (1 << SYS_PTRACE) != 0)
}

/// An open namespace, and a process in it if that is known.
type OpenSpace = (OwnedFd, Option<i32>);

fn open_one(lxcpath: &Lxcpath, space: Space, from: &str) -> Result<OpenSpace, ShareFault> {
    let path = Path::new(from);
    if path.is_absolute() && !path.is_dir() {
        return of_file(space, path).map(|it| (it, None));
    }
    let (lxcpath, name) = match (path.is_absolute(), path.parent(), path.file_name()) {
        (true, Some(dir), Some(name)) => {
            (Lxcpath::open(lxcpath.host(), dir), name.to_str().unwrap_or_default())
        }
        _ => (lxcpath.clone(), from),
    };
    let name: Name = name.parse().map_err(|_not_a_name| ShareFault::Meaningless)?;
    // As with LXC, a pid is what no container is called.
    match Client::connect(&lxcpath, &name).map_err(ShareFault::Socket)? {
        Some(client) => {
            if matches!(space, Space::Mnt | Space::User)
                && client.is_another_users().map_err(ShareFault::Socket)?
            {
                return Err(ShareFault::AnotherUsers);
            }
            let Init { pid, pidfd } = client.init().map_err(ShareFault::Socket)?;
            let file = of_process(&lxcpath, space, pid)?;
            // The file is init's only if init is still alive.
            match sys::pidfd_send_signal(pidfd.as_fd(), 0) {
                Err(Errno::ESRCH) => Err(ShareFault::NotRunning(name)),
                Ok(()) | Err(_) => Ok((file, Some(pid))),
            }
        }
        None => match from.parse() {
            Ok(pid) => of_process(&lxcpath, space, pid).map(|it| (it, Some(pid))),
            Err(_) => Err(ShareFault::NotRunning(name)),
        },
    }
}

fn of_process(lxcpath: &Lxcpath, space: Space, pid: i32) -> Result<OwnedFd, ShareFault> {
    let path = lxcpath.host().of_process(pid, &format!("ns/{}", space.word()));
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ShareFault::NoProcess),
        opened => opened.map(Into::into).map_err(ShareFault::Open),
    }
}

fn of_file(space: Space, path: &Path) -> Result<OwnedFd, ShareFault> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // A pipe in its place would make it wait.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(ShareFault::Open)?;
    let facts = fstatfs(&file).map_err(|errno| ShareFault::Open(errno.into()))?;
    if facts.filesystem_type() != NSFS_MAGIC {
        return Err(ShareFault::NotNamespace);
    }
    let kind = sys::namespace_kind(file.as_fd());
    let kind = kind.map_err(|errno| ShareFault::Open(errno.into()))?;
    if kind == space.flag() { Ok(file.into()) } else { Err(ShareFault::OtherKind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::host::made_up::MadeUp;

    fn refused(from: &str) -> String {
        let machine = MadeUp::new();
        open_one(&machine.lxcpath, Space::Net, from).unwrap_err().to_string()
    }

    #[test]
    fn whose_namespace_it_cannot_be_is_told() {
        assert!(refused("web").contains("`wharf start web`"), "{}", refused("web"));
        assert_eq!(refused("12345"), "there is no such process");
        assert!(refused("../web").starts_with("expected a container"));
        assert_eq!(refused("/etc/hostname"), "the file is not a namespace");
        assert_eq!(refused("/none/of/these"), "No such file or directory");
    }

    #[test]
    fn a_file_of_the_kernels_is_a_namespace() {
        let machine = MadeUp::new();
        open_one(&machine.lxcpath, Space::Net, "/proc/self/ns/net").unwrap();
        assert_eq!(refused("/proc/self/ns/uts"), "the file is a namespace of another kind");
    }
}
