//! Copies of containers: with files of their own, or as an overlay over those of the container.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::packed::{IMAGE, NewImage};
use super::{
    Basis, Create, CreateError, Created, Creation, DIR_MODE, ROOTFS, ROOTFS_MODE, make_new_dir,
};
use crate::engine::config::{self, Config, Document};
use crate::engine::image::{self, hostname};
use crate::engine::running::command_socket::{Seat, SeatError};
use crate::engine::running::event::{self, What};
use crate::engine::store::Store;
use crate::engine::store::dependents::{self, Dependent};
use crate::engine::terms::progress::Progress;
use crate::engine::terms::rootfs::{Layers, Storage};
use crate::engine::{Engine, Error, Name, Verb};

/// Where LXC puts the directories of a copy's overlay.
pub(super) const OVERLAY: &str = "overlay";
pub(super) const DELTA: &str = "delta";
pub(super) const WORK: &str = "work";
/// The prefix of LXC's hardware addresses, and the digits that are chosen.
const NEW_ADDRESS: &str = "10:66:6a:xx:xx:xx";

/// What to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub from: Name,
    /// Only what the copy changes is kept; the rest are the files of the container.
    pub snapshot: bool,
    /// The disk image that keeps the files of the copy; none: what keeps those of the container.
    pub image: Option<NewImage>,
    /// More `key = value` lines.
    pub settings: Vec<(String, String)>,
}

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

impl Engine {
    /// Creates the container `name` as a copy. A failure leaves nothing behind.
    pub fn copy(&self, name: &Name, copy: &Copy, progress: &Progress) -> Result<Created, Error> {
        let create = &Create { image: copy.image.clone(), ..Create::default() };
        let work = Creation { store: Store::new(&self.lxcpath), name, create, progress };
        let created =
            work.copy(copy).map_err(|error| Error::new(Verb::Create, name, error.kind(), error))?;
        event::publish(&self.lxcpath, name, What::Created);
        Ok(created)
    }
}

impl Creation<'_> {
    fn copy(&self, copy: &Copy) -> Result<Created, CreateError> {
        let from = &copy.from;
        if from == self.name {
            return Err(CreateError::Exists(self.store.dir(self.name)));
        }
        if copy.image.is_some() && !super::is_root() {
            return Err(CreateError::ImageOfRoot);
        }
        copy.image.as_ref().map(NewImage::program).transpose()?;
        let _lock = self.store.lock(self.name)?;
        let _lock_of_source = self.store.lock(from)?;
        self.clear_place()?;
        Engine::over(self.store.lxcpath().clone()).tidy();
        // It can neither run nor start meanwhile.
        let _seat = Seat::take(self.store.lxcpath(), from).map_err(|error| match error {
            SeatError::Taken | SeatError::Locked => CreateError::Running(from.clone()),
            it @ (SeatError::Lock(_)
            | SeatError::Private { .. }
            | SeatError::Listen(_)
            | SeatError::Holder(_)) => CreateError::Seat(it),
        })?;
        let config = config::load(from, self.store.lxcpath(), None, &[])?;
        let root = copied_root(&config, copy)?;
        if matches!(root, CopiedRoot::Over { .. }) && !super::is_root() {
            return Err(CreateError::NotMapped);
        }
        let content = self.copied_config(&config, copy, &root)?;
        let bases = match &root {
            CopiedRoot::None | CopiedRoot::Files(_) | CopiedRoot::Image(_) => Vec::new(),
            CopiedRoot::Over { .. } => self.bases(from),
        };
        let own = self.dependent(self.name);
        let mut notes = Vec::new();
        let made = self.put_in_place(&mut |path| {
            self.copy_files(from, &root, path)?;
            self.fill_root(&root, path, &content)?;
            self.store.write_atomic(&path.join("config"), &content, super::CONFIG_MODE)?;
            notes = self.complete(&config, copy, &root, path)?;
            self.pack(path)?;
            let failed = |source| CreateError::Make { path: path.to_path_buf(), source };
            if !bases.is_empty() {
                dependents::set_bases(path, &bases).map_err(failed)?;
            }
            // Before it is there: nothing may destroy them then.
            bases.iter().try_for_each(|it| dependents::add_copy(&it.dir(), &own)).map_err(failed)
        });
        if made.is_err() {
            // The first error is the one to report; a copy that is not there binds nobody.
            for it in &bases {
                _ = dependents::remove_copy(&it.dir(), &own);
            }
        }
        made?;
        let basis = Basis::Copy(from.clone());
        Ok(Created { basis, left_out: Vec::new(), hampered: None, notes })
    }

    fn dependent(&self, name: &Name) -> Dependent {
        let lxcpath = self.store.lxcpath().spelled().to_string_lossy().into_owned();
        Dependent { lxcpath, name: name.to_string() }
    }

    /// Whose files a copy of `from` shows: those of the containers that `from` shows, and its own.
    fn bases(&self, from: &Name) -> Vec<Dependent> {
        let mut bases = dependents::bases(&self.store.dir(from));
        bases.retain(|it| it.dir().is_dir());
        bases.push(self.dependent(from));
        bases
    }

    /// Changes the configuration as LXC does: name, root, hardware addresses, and the paths of files
    /// that come along.
    fn copied_config(
        &self,
        config: &Config,
        copy: &Copy,
        root: &CopiedRoot,
    ) -> Result<Vec<u8>, CreateError> {
        let mut document = Document::parse(config.raw());
        let home = self.store.spelled(self.name);
        let from = [self.store.spelled(&copy.from), self.store.dir(&copy.from)];
        document.rewrite(|key, value| {
            if key.starts_with("lxc.net") && key.ends_with(".hwaddr") {
                return Some(NEW_ADDRESS.to_owned());
            }
            if key == "lxc.mount.entry" || key.starts_with("lxc.rootfs") {
                return None;
            }
            let below = from.iter().find_map(|it| value.strip_prefix(it.to_str()?))?;
            // What lies deeper is part of the root, or not the container's alone.
            let file = below.strip_prefix('/').filter(|it| !it.contains('/'))?;
            Some(home.join(file).to_str()?.to_owned())
        })?;
        document.set("lxc.uts.name", self.name.as_str())?;
        let text = |path: &Path| {
            let text = path.to_str().map(str::to_owned);
            text.ok_or_else(|| CreateError::NotText(path.to_path_buf()))
        };
        match root {
            CopiedRoot::None => (),
            CopiedRoot::Files(_) => {
                document.set("lxc.rootfs.path", &self.root_value(&home.join(ROOTFS))?)?;
            }
            CopiedRoot::Image(_) => {
                document.set("lxc.rootfs.path", &format!("loop:{}", text(&home.join(IMAGE))?))?;
            }
            CopiedRoot::Over { lower, .. } => {
                let lower: Result<Vec<String>, _> = lower.iter().map(|it| text(it)).collect();
                let upper = text(&home.join(OVERLAY).join(DELTA))?;
                let value = format!("overlay:{}:{upper}", lower?.join(":"));
                document.set("lxc.rootfs.path", &value)?;
            }
        }
        for (key, value) in &copy.settings {
            document.append(key, value)?;
        }
        let content = config::fill_lines(&document.to_bytes());
        let file = self.store.config_path(self.name);
        config::parse(self.name, self.store.lxcpath(), &content, &file, &[])?;
        Ok(content)
    }

    /// Copies the files beside the configuration, such as hooks and profiles, but not those that
    /// only say something about the container. The directory gets its owner and mode.
    fn copy_files(&self, from: &Name, root: &CopiedRoot, to: &Path) -> Result<(), CreateError> {
        const LEFT: [&str; 5] = ["config", "partial", "lxc_snapshots", "lxc_rdepends", "ts"];
        let dir = self.store.dir(from);
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

    fn fill_root(&self, root: &CopiedRoot, path: &Path, content: &[u8]) -> Result<(), CreateError> {
        let rename = |done: io::Result<()>, path: &Path| {
            done.map_err(|source| CreateError::Make { path: path.join("etc/hostname"), source })
        };
        let files = path.join(ROOTFS);
        match root {
            CopiedRoot::None => Ok(()),
            CopiedRoot::Files(from) => {
                make_new_dir(&files, ROOTFS_MODE)?;
                if !super::is_root() {
                    return self.copy_as_users(from, &files, content);
                }
                image::copy(from, &files, self.progress)?;
                rename(hostname::rename(&files, self.name.as_str()).map(drop), &files)
            }
            CopiedRoot::Image(from) => {
                make_new_dir(&files, ROOTFS_MODE)?;
                Ok(image::copy_file(from, &path.join(IMAGE), self.progress)?)
            }
            CopiedRoot::Over { lower, upper } => {
                // LXC's tools look for it.
                make_new_dir(&files, ROOTFS_MODE)?;
                let overlay = path.join(OVERLAY);
                let [delta, work] = [DELTA, WORK].map(|it| overlay.join(it));
                make_new_dir(&overlay, ROOTFS_MODE)?;
                make_new_dir(&delta, ROOTFS_MODE)?;
                make_new_dir(&work, DIR_MODE)?;
                let Some(top) = lower.first() else { return Ok(()) };
                match upper {
                    Some(upper) => image::copy(upper, &delta, self.progress)?,
                    // The top of the root is that of the upper directory.
                    None => like(top, &delta)
                        .map_err(|source| CreateError::Make { path: delta.clone(), source })?,
                }
                rename(hostname::rename_above(top, &delta, self.name.as_str()), &delta)
            }
        }
    }
}

fn copied_root(config: &Config, copy: &Copy) -> Result<CopiedRoot, CreateError> {
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
    let root = match (storage, copy.snapshot) {
        (None, _) => CopiedRoot::None,
        (Some(Storage::Directory(path)), false) => CopiedRoot::Files(path),
        (Some(Storage::Directory(path)), true) => {
            CopiedRoot::Over { lower: vec![path], upper: None }
        }
        (Some(Storage::Overlay(Layers { lower, upper })), true) => {
            kind(&upper)?;
            CopiedRoot::Over { lower, upper: Some(upper) }
        }
        (Some(Storage::Overlay(_)), false) => {
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
