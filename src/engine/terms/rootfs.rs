//! Where a container's files are: what `lxc.rootfs.path` names, by its type. Plain data.

use std::path::{Path, PathBuf};

/// A container's root of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rootfs {
    /// As configured, with the type unless that is `dir`.
    pub written: String,
    pub storage: Storage,
    /// What `lxc.rootfs.options` asks of the file system itself.
    pub data: String,
    /// Where it is mounted until it becomes the root.
    pub stage: Stage,
}

/// What the files are kept in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A directory, which may be a subvolume of btrfs.
    Directory(PathBuf),
    Overlay(Layers),
    /// A file that contains a file system.
    Image(PathBuf),
    /// A block device that contains a file system.
    Device(PathBuf),
    /// A dataset of ZFS.
    Dataset(String),
}

/// The directories of an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    /// The one on top first. They are not changed.
    pub lower: Vec<PathBuf>,
    /// What the container changes.
    pub upper: PathBuf,
}

/// The place of a mount that nobody outside sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A directory is mounted on itself, and an overlay that its container's users mount on its first
    /// layer.
    Itself,
    /// A directory of wharf's, made when it is needed: below the runtime directory, which is not
    /// part of a configuration.
    Ours(PathBuf),
    /// `lxc.rootfs.mount`, which must exist.
    Configured(PathBuf),
}

/// Why a value of `lxc.rootfs.path` names no storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageError {
    Type,
    Absolute,
    Layers,
    Dataset,
    /// LXC's `nbd` and `rbd`.
    Attach(&'static str),
}

const NBD: &str = "wharf attaches no network block devices; `qemu-nbd --connect=/dev/nbd0 FILE` \
                   does, and lxc.rootfs.path = /dev/nbd0 (or its partition) uses it";
const RBD: &str = "wharf maps no RADOS block devices; `rbd map POOL/IMAGE` does, and \
                   lxc.rootfs.path = /dev/rbd0 uses it";

impl Storage {
    /// Reads `path` as that of the type `kind`.
    pub fn of_type(kind: &str, path: &str) -> Result<Self, StorageError> {
        match kind {
            "dir" | "btrfs" => absolute(path).map(Self::Directory),
            "overlay" | "overlayfs" => layers(path).map(Self::Overlay),
            "loop" => absolute(path).map(Self::Image),
            "lvm" => absolute(path).map(Self::Device),
            "zfs" if path.is_empty() || path.starts_with('/') => Err(StorageError::Dataset),
            "zfs" => Ok(Self::Dataset(path.to_owned())),
            "nbd" => Err(StorageError::Attach(NBD)),
            "rbd" => Err(StorageError::Attach(RBD)),
            _ => Err(StorageError::Type),
        }
    }

    /// Returns the directory of the host that shows the files, if there is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(dir) => Some(dir),
            Self::Overlay(_) | Self::Image(_) | Self::Device(_) | Self::Dataset(_) => None,
        }
    }

    /// Returns the directory of the host in whose place the files can be seen.
    fn shown(&self) -> Option<&Path> {
        match self {
            Self::Overlay(layers) => layers.lower.first().map(PathBuf::as_path),
            Self::Directory(_) | Self::Image(_) | Self::Device(_) | Self::Dataset(_) => {
                self.directory()
            }
        }
    }

    /// Returns the path on the host under which everything is that the container changes.
    pub fn changed(&self) -> Option<&Path> {
        match self {
            Self::Directory(path)
            | Self::Image(path)
            | Self::Overlay(Layers { upper: path, .. }) => Some(path),
            Self::Device(_) | Self::Dataset(_) => None,
        }
    }
}

impl Layers {
    /// Returns the directory in which the kernel prepares changes: beside the upper one. Where LXC
    /// makes both, it has the name that LXC gives it; elsewhere there may be several upper ones in
    /// one directory, which must not share it.
    pub fn work(&self) -> PathBuf {
        let upper = self.upper.file_name().unwrap_or_default();
        let mut name = upper.to_os_string();
        name.push(".work");
        self.upper.with_file_name(if upper == "delta" { "work".into() } else { name })
    }
}

impl Rootfs {
    /// Returns where it is mounted until it becomes the root.
    pub fn place(&self) -> &Path {
        match &self.stage {
            Stage::Itself => self.storage.shown().unwrap_or_else(|| Path::new("/")),
            Stage::Ours(place) | Stage::Configured(place) => place,
        }
    }

    /// Returns the directories of an overlay that its container's users mount.
    pub fn users_layers(&self) -> Option<&Layers> {
        let Storage::Overlay(layers) = &self.storage else { return None };
        Some(layers).filter(|_| self.stage == Stage::Itself)
    }

    /// Has its container's users mount an overlay, as an ordinary user's supervisor cannot.
    pub fn leave_to_users(&mut self) {
        if matches!(self.storage, Storage::Overlay(_)) {
            self.stage = Stage::Itself;
        }
    }

    /// A directory, as without any type.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            written: path.to_string_lossy().into_owned(),
            storage: Storage::Directory(path),
            data: String::new(),
            stage: Stage::Itself,
        }
    }
}

fn absolute(path: &str) -> Result<PathBuf, StorageError> {
    if path.starts_with('/') { Ok(path.into()) } else { Err(StorageError::Absolute) }
}

/// The last colon before a slash separates the upper directory, the others the lower ones.
fn layers(path: &str) -> Result<Layers, StorageError> {
    let (lower, upper) = path.rsplit_once(":/").ok_or(StorageError::Layers)?;
    let upper = PathBuf::from(format!("/{upper}"));
    if upper.file_name().is_none() || !lower.starts_with('/') {
        return Err(StorageError::Layers);
    }
    let lower = lower.strip_prefix('/').unwrap_or_default().split(":/");
    Ok(Layers { lower: lower.map(|it| PathBuf::from(format!("/{it}"))).collect(), upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_has_any_number_of_lower_directories() {
        let read = |path| match Storage::of_type("overlay", path) {
            Ok(Storage::Overlay(layers)) => layers,
            other => panic!("{path}: {other:?}"),
        };
        let one = read("/srv/base:/var/lib/lxc/web/overlay/delta");
        assert_eq!(one.lower, [Path::new("/srv/base")]);
        assert_eq!(one.upper, Path::new("/var/lib/lxc/web/overlay/delta"));
        assert_eq!(one.work(), Path::new("/var/lib/lxc/web/overlay/work"));
        let many = read("/a:/b c:/d:e:/up/");
        assert_eq!(many.lower, ["/a", "/b c", "/d:e"].map(Path::new));
        assert_eq!(many.work(), Path::new("/up.work"));
        for wrong in ["", "/a", "/a:b", "a:/b", ":/b", "/a:/"] {
            let read = Storage::of_type("overlayfs", wrong);
            assert_eq!(read, Err(StorageError::Layers), "{wrong}");
        }
    }

    #[test]
    fn every_type_of_lxcs_has_its_storage_or_its_reason() {
        let read = |kind, path| Storage::of_type(kind, path);
        assert_eq!(read("btrfs", "/a"), Ok(Storage::Directory("/a".into())));
        assert_eq!(read("loop", "/a"), Ok(Storage::Image("/a".into())));
        assert_eq!(read("lvm", "/dev/vg/a"), Ok(Storage::Device("/dev/vg/a".into())));
        assert_eq!(read("zfs", "tank/a"), Ok(Storage::Dataset("tank/a".to_owned())));
        assert_eq!(read("loop", "a"), Err(StorageError::Absolute));
        assert!(matches!(read("nbd", "/a:1"), Err(StorageError::Attach(_))));
        assert!(matches!(read("rbd", "pool/a"), Err(StorageError::Attach(_))));
        assert_eq!(read("aufs", "/a:/b"), Err(StorageError::Type));
    }

    #[test]
    fn what_a_container_changes_is_the_upper_layer_alone() {
        let storage = Storage::of_type("overlay", "/base:/up").unwrap();
        assert_eq!(storage.changed(), Some(Path::new("/up")));
        assert_eq!(storage.directory(), None);
        assert_eq!(Rootfs::directory("/a").storage.changed(), Some(Path::new("/a")));
    }
}
