//! The root of a copy and the files beside it, in the draft of the copy.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::copy::{Copy, CopyKind, Original};
use super::packed::IMAGE;
use super::{CreateError, Creation, DIR_MODE, ROOTFS, ROOTFS_MODE, make_new_dir};
use crate::engine::config::Config;
use crate::engine::host::mapped::NewOverlay;
use crate::engine::image::{self, hostname};
use crate::engine::terms::progress::Progress;
use crate::engine::terms::rootfs::{Layers, Storage};

/// Where LXC puts the directories of a copy's overlay.
pub(super) const OVERLAY: &str = "overlay";
pub(super) const DELTA: &str = "delta";
pub(super) const WORK: &str = "work";

/// How the root of a copy is made.
pub(super) enum CopiedRoot {
    /// The container has none of its own, and neither has the copy.
    None,
    Files(PathBuf),
    /// A disk image, copied as a file.
    Image(PathBuf),
    /// An overlay over these, with a copy of what the container itself has changed.
    Over {
        lower: Vec<PathBuf>,
        upper: Option<PathBuf>,
    },
}

impl Creation<'_> {
    /// Copies the files beside the configuration, such as hooks and profiles, but not those that
    /// only say something about the container. The directory gets its owner and mode.
    pub(super) fn copy_files(
        original: Original<'_>,
        root: &CopiedRoot,
        to: &Path,
    ) -> Result<(), CreateError> {
        const LEFT: [&str; 6] =
            ["config", "partial", "lxc_snapshots", "lxc_rdepends", "ts", "comment"];
        let dir = original.store.dir(original.name);
        let failed = |source| CreateError::Make { path: to.to_path_buf(), source };
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let left = name.to_str().is_none_or(|it| it.starts_with('.') || LEFT.contains(&it));
            // An image that is the root becomes that of the copy.
            let real = |path: &Path| fs::canonicalize(path).ok();
            let is_root = matches!(root, CopiedRoot::Image(it) if real(it) == real(&entry.path()));
            let left = left || is_root || name == IMAGE;
            let is_log = Path::new(&name).extension().is_some_and(|it| it == "log");
            if !left && !is_log && entry.file_type().map_err(failed)?.is_file() {
                fs::copy(entry.path(), to.join(&name)).map_err(failed)?;
                like(&entry.path(), &to.join(&name)).map_err(failed)?;
            }
        }
        like(&dir, to).map_err(failed)
    }

    pub(super) fn fill_root(
        &self,
        copy: &Copy,
        root: &CopiedRoot,
        path: &Path,
        content: &[u8],
    ) -> Result<(), CreateError> {
        let name = (!copy.keeps_name).then(|| self.name.as_str());
        let rename = |done: io::Result<()>, path: &Path| {
            done.map_err(|source| CreateError::Make { path: path.join("etc/hostname"), source })
        };
        let files = path.join(ROOTFS);
        match root {
            CopiedRoot::None => Ok(()),
            CopiedRoot::Files(from) => {
                make_new_dir(&files, ROOTFS_MODE)?;
                if !super::is_root() {
                    return self.copy_as_users(from, &files, name, content);
                }
                image::copy(from, &files, self.progress)?;
                let renamed = name.map_or(Ok(()), |it| hostname::rename(&files, it).map(drop));
                rename(renamed, &files)
            }
            CopiedRoot::Image(from) => {
                make_new_dir(&files, ROOTFS_MODE)?;
                Ok(image::copy_file(from, &path.join(IMAGE), self.progress)?)
            }
            CopiedRoot::Over { lower, upper } => {
                // LXC's tools look for it.
                make_new_dir(&files, ROOTFS_MODE)?;
                let Some(top) = lower.first() else { return Ok(()) };
                let overlay = NewOverlay {
                    dir: path.join(OVERLAY),
                    top: top.clone(),
                    upper: upper.clone(),
                    name: name.map(str::to_owned),
                };
                if super::is_root() {
                    lay(&overlay, self.progress)
                } else {
                    self.lay_as_users(overlay, content)
                }
            }
        }
    }
}

/// Makes the directories of a copy's overlay, with what its container has changed.
pub(in crate::engine::verbs) fn lay(
    overlay: &NewOverlay,
    progress: &Progress,
) -> Result<(), CreateError> {
    let NewOverlay { dir, top, upper, name } = overlay;
    let [delta, work] = [DELTA, WORK].map(|it| dir.join(it));
    make_new_dir(dir, ROOTFS_MODE)?;
    make_new_dir(&delta, ROOTFS_MODE)?;
    make_new_dir(&work, DIR_MODE)?;
    let failed = |path: PathBuf| |source| CreateError::Make { path, source };
    match upper {
        Some(upper) => image::copy(upper, &delta, progress)?,
        // The top of the root is that of the upper directory.
        None => like(top, &delta).map_err(failed(delta.clone()))?,
    }
    let renamed = name.as_ref().map_or(Ok(()), |it| hostname::rename_above(top, &delta, it));
    renamed.map_err(failed(delta.join("etc/hostname")))
}

pub(super) fn copied_root(config: &Config, copy: &Copy) -> Result<CopiedRoot, CreateError> {
    let refused = |why| Err(CreateError::NoCopy { from: copy.from.clone(), why });
    let kind = |path: &Path| {
        let failed = |source| CreateError::Root { path: path.to_path_buf(), source };
        Ok::<_, CreateError>(fs::metadata(path).map_err(failed)?.file_type())
    };
    let storage = match config.storage() {
        // Without a type, it is what it leads to.
        Some(Storage::Directory(path)) if kind(&path)?.is_file() => Some(Storage::Image(path)),
        Some(Storage::Directory(path)) if kind(&path)?.is_block_device() => {
            Some(Storage::Device(path))
        }
        other => other,
    };
    let snapshot = matches!(copy.kind, CopyKind::Overlay);
    let root = match (storage, snapshot) {
        (None, _) => CopiedRoot::None,
        (Some(Storage::Directory(path)), false) => CopiedRoot::Files(path),
        (Some(Storage::Directory(path)), true) => {
            CopiedRoot::Over { lower: vec![path], upper: None }
        }
        (Some(Storage::Overlay(Layers { lower, upper })), _) if copy.kind != CopyKind::Full => {
            kind(&upper)?;
            CopiedRoot::Over { lower, upper: Some(upper) }
        }
        (Some(Storage::Overlay(_)), _) => {
            return refused("its root is an overlay; --snapshot copies what it has changed");
        }
        (Some(Storage::Image(path)), false) => {
            kind(&path)?;
            CopiedRoot::Image(path)
        }
        (Some(Storage::Image(_)), true) => {
            return refused("its root is a disk image, which is copied whole, without --snapshot");
        }
        (Some(Storage::Device(_)), _) => {
            return refused(
                "its root is a block device; copy that by lvcreate or dd, and name the copy with \
                 --dir",
            );
        }
        (Some(Storage::Dataset(_)), _) => {
            return refused(
                "its root is a dataset of ZFS; copy that by zfs snapshot and zfs clone, and name \
                 the copy with -s lxc.rootfs.path=zfs:DATASET",
            );
        }
    };
    if copy.image.is_some() && !matches!(root, CopiedRoot::Files(_)) {
        return refused("-B loop packs only a root that is a directory");
    }
    Ok(root)
}

/// Gives `to` the owner and mode of `from`.
fn like(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::metadata(from)?;
    chown(to, Some(meta.uid()), Some(meta.gid()))?;
    fs::set_permissions(to, Permissions::from_mode(meta.mode() & 0o7777))
}
