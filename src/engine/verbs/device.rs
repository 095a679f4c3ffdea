//! The verb `device`: gives a running container a device or an interface of the host, or takes it
//! away. Nothing of it is in the configuration, so that it ends with the run.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use netlink_packet_route::link::LinkAttribute;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat, umask};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use super::attach::{AttachTarget, TargetError};
use crate::engine::host::links::{Link, Netlink, OWN_NAMESPACE};
use crate::engine::sys;
use crate::engine::{Engine, Error, ErrorKind, Name, Verb};

/// The most steps from a root directory down to a device.
const DEPTH: usize = 32;

/// Why a device or an interface did not move.
#[derive(Debug, thiserror::Error)]
enum DeviceError {
    #[error("permission denied: only root may do this; try again as root")]
    NotRoot,
    #[error("{0}")]
    Target(#[from] TargetError),
    #[error("{}: {source}", path.display())]
    Host { path: PathBuf, source: io::Error },
    #[error("{} is neither a device nor an interface of the host", .0.display())]
    NotADevice(PathBuf),
    #[error("{} in the container: {errno}", path.display())]
    Inside { path: PathBuf, errno: Errno },
    #[error("{} is no path to a device in the container", .0.display())]
    BadPath(PathBuf),
    #[error("the interface {name}: {source}")]
    Link { name: String, source: io::Error },
    #[error(transparent)]
    Rule(Box<Error>),
}

impl DeviceError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotRoot => ErrorKind::Denied,
            Self::Target(error) => error.kind(),
            Self::Host { source, .. } | Self::Link { source, .. } => {
                let is = |kind| source.kind() == kind;
                if is(io::ErrorKind::NotFound) {
                    ErrorKind::NotFound
                } else if is(io::ErrorKind::PermissionDenied) {
                    ErrorKind::Denied
                } else {
                    ErrorKind::Failed
                }
            }
            Self::NotADevice(_) | Self::BadPath(_) => ErrorKind::Invalid,
            Self::Inside { .. } => ErrorKind::Failed,
            Self::Rule(error) => error.kind,
        }
    }
}

/// A device of the host.
struct DeviceNode {
    kind: SFlag,
    mode: Mode,
    number: u64,
    /// As a rule names it.
    rule: String,
}

impl Engine {
    /// Makes the host's device `device`, or its interface of that name, available in the container as
    /// `inside`.
    pub fn add_device(&self, name: &Name, device: &Path, inside: &Path) -> Result<(), Error> {
        let done = || match interface(device) {
            Some(link) if is_on_host(link) => self.lend(name, link, &spelled(inside)),
            Some(_) | None => self.add_node(name, device, inside),
        };
        done().map_err(|error| Error::new(Verb::AddDevice, name, error.kind(), error))
    }

    /// Takes away what [`Self::add_device`] gives: the node `other` of the host's device `device`, or the
    /// interface `device` of the container, which the host gets back as `other`.
    pub fn remove_device(&self, name: &Name, device: &Path, other: &Path) -> Result<(), Error> {
        let done = || {
            let target = self.reached(name)?;
            let link = interface(device).map(|it| (it, links_of(&target)));
            match link {
                Some((link, Ok(links))) if links.find(link).is_ok_and(|it| it.is_some()) => {
                    fetch_back(&links, link, &spelled(other))
                }
                Some(_) | None => self.remove_node(name, &target, other, device),
            }
        };
        done().map_err(|error| Error::new(Verb::RemoveDevice, name, error.kind(), error))
    }

    fn reached(&self, name: &Name) -> Result<AttachTarget, DeviceError> {
        if !geteuid().is_root() {
            return Err(DeviceError::NotRoot);
        }
        Ok(AttachTarget::find(&self.lxcpath, name)?)
    }

    fn add_node(&self, name: &Name, device: &Path, inside: &Path) -> Result<(), DeviceError> {
        let target = self.reached(name)?;
        let node = DeviceNode::of(device)?;
        let root = target.root()?;
        node.make(&root, inside)?;
        self.rule(name, "devices.allow", &node.rule).inspect_err(|_| {
            // It could not be opened.
            _ = remove(&root, inside);
        })
    }

    fn remove_node(
        &self,
        name: &Name,
        target: &AttachTarget,
        inside: &Path,
        device: &Path,
    ) -> Result<(), DeviceError> {
        let node = DeviceNode::of(device)?;
        let root = target.root()?;
        remove(&root, inside).map_err(|errno| inside_error(inside, errno))?;
        self.rule(name, "devices.deny", &node.rule)
    }

    fn rule(&self, name: &Name, file: &str, rule: &str) -> Result<(), DeviceError> {
        self.change_device_rule(name, file, rule).map_err(|it| DeviceError::Rule(Box::new(it)))
    }

    fn lend(&self, name: &Name, link: &str, inside: &str) -> Result<(), DeviceError> {
        let target = self.reached(name)?;
        let failed = |source| DeviceError::Link { name: link.to_owned(), source };
        let namespace = target.namespace("net")?;
        let move_it = || {
            let host = Netlink::here()?;
            let found = host.get(link)?;
            let place = LinkAttribute::NetNsFd(namespace.as_raw_fd());
            move_link(&host, &found, inside, place)
        };
        move_it().map_err(failed)
    }
}

/// Returns the name of an interface that the path may mean: one without a directory.
fn interface(device: &Path) -> Option<&str> {
    device.to_str().filter(|it| !it.is_empty() && !it.contains('/'))
}

fn is_on_host(link: &str) -> bool {
    Netlink::here().and_then(|it| it.find(link)).is_ok_and(|it| it.is_some())
}

fn links_of(target: &AttachTarget) -> io::Result<Netlink> {
    let namespace = target.namespace("net").map_err(io::Error::other)?;
    Netlink::of(&namespace)
}

fn spelled(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Moves an interface to another namespace, where it is called `name`. One that cannot be moved is as it
/// was.
fn move_link(from: &Netlink, link: &Link, name: &str, place: LinkAttribute) -> io::Result<()> {
    from.down(link.index)?;
    let moved = from.change(link.index, vec![LinkAttribute::IfName(name.to_owned()), place]);
    if moved.is_err() && link.is_up {
        // The first error is the one to report.
        _ = from.up(link.index);
    }
    moved
}

fn fetch_back(links: &Netlink, link: &str, name: &str) -> Result<(), DeviceError> {
    let move_it = || {
        let found = links.get(link)?;
        let own = File::open(OWN_NAMESPACE)?;
        let place = LinkAttribute::NetNsFd(own.as_raw_fd());
        move_link(links, &found, name, place)
    };
    move_it().map_err(|source| DeviceError::Link { name: link.to_owned(), source })
}

impl DeviceNode {
    /// Reads what the path is on the host.
    fn of(path: &Path) -> Result<Self, DeviceError> {
        let found = std::fs::metadata(path)
            .map_err(|source| DeviceError::Host { path: path.to_path_buf(), source })?;
        let (kind, letter) = if found.file_type().is_char_device() {
            (SFlag::S_IFCHR, 'c')
        } else if found.file_type().is_block_device() {
            (SFlag::S_IFBLK, 'b')
        } else {
            return Err(DeviceError::NotADevice(path.to_path_buf()));
        };
        let number = found.rdev();
        let (major, minor) = (libc::major(number), libc::minor(number));
        let rule = format!("{letter} {major}:{minor} rwm");
        Ok(Self { kind, mode: Mode::from_bits_truncate(found.mode()), number, rule })
    }

    /// Makes the node below `root`, in place of what is there, with the directories above it.
    fn make(&self, root: &OwnedFd, path: &Path) -> Result<(), DeviceError> {
        let failed = |errno| inside_error(path, errno);
        let (dir, name) = parted(path)?;
        let dir = directory(root, dir).map_err(failed)?;
        replace(&dir, name).map_err(failed)?;
        let before = umask(Mode::empty());
        let made = mknodat(&dir, name, self.kind, self.mode, self.number);
        umask(before);
        made.map_err(failed)
    }
}

fn inside_error(path: &Path, errno: Errno) -> DeviceError {
    DeviceError::Inside { path: path.to_path_buf(), errno }
}

/// Parts the path of a node into its directory, below the root, and its name.
fn parted(path: &Path) -> Result<(&Path, &Path), DeviceError> {
    let bad = || DeviceError::BadPath(path.to_path_buf());
    let name = path.file_name().ok_or_else(bad)?;
    let dir = path.parent().ok_or_else(bad)?;
    if dir.components().count() > DEPTH {
        return Err(bad());
    }
    Ok((dir, Path::new(name)))
}

/// Opens a directory of the container, and makes what is missing of it. Never leaves its root.
fn directory(root: &OwnedFd, dir: &Path) -> nix::Result<OwnedFd> {
    let mut at = root.try_clone().map_err(|_none_left| Errno::EMFILE)?;
    let mut whole = PathBuf::new();
    for part in dir.components().filter(|it| !matches!(it, std::path::Component::RootDir)) {
        whole.push(part);
        let name = Path::new(part.as_os_str());
        at = match open_below(root, &whole) {
            Err(Errno::ENOENT) => {
                match mkdirat(&at, name, Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(Errno::EEXIST) => (),
                    Err(errno) => return Err(errno),
                }
                open_below(root, &whole)?
            }
            opened => opened?,
        };
    }
    Ok(at)
}

fn open_below(root: &OwnedFd, path: &Path) -> nix::Result<OwnedFd> {
    sys::open_inside(root, path, OFlag::O_PATH | OFlag::O_DIRECTORY)
}

fn replace(dir: &OwnedFd, name: &Path) -> nix::Result<()> {
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        done => done,
    }
}

fn remove(root: &OwnedFd, path: &Path) -> nix::Result<()> {
    let (dir, name) = parted(path).map_err(|_bad| Errno::EINVAL)?;
    let relative = dir.strip_prefix("/").unwrap_or(dir);
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
    match open_below(root, relative) {
        Ok(dir) => replace(&dir, name),
        Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_never_leaves_the_root() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("dev")).unwrap();
        let root: OwnedFd = File::open(dir.path()).unwrap().into();
        // What the link leads to is looked up, and made, below the root.
        assert!(directory(&root, Path::new("/dev/x")).is_err() || dir.path().join("etc").exists());
        assert!(!Path::new("/etc/x").exists());
        directory(&root, Path::new("/a/../../b")).unwrap();
        assert!(dir.path().join("b").exists());
        assert!(parted(Path::new("/")).is_err() && parted(Path::new("..")).is_err());
    }

    #[test]
    fn a_device_is_known_by_its_numbers() {
        assert_eq!(DeviceNode::of(Path::new("/dev/null")).unwrap().rule, "c 1:3 rwm");
        assert!(matches!(DeviceNode::of(Path::new("/etc")), Err(DeviceError::NotADevice(_))));
        assert_eq!(interface(Path::new("eth0")), Some("eth0"));
        assert_eq!(interface(Path::new("/dev/null")), None);
    }
}
