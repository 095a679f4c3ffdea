//! The verb `create`: writes a container's configuration, and its root if asked. An incomplete
//! container is never visible, and is removed on failure.

mod as_users;
mod base;
mod clone_hook;
mod content;
mod copied_config;
mod copied_root;
mod copy;
mod created;
mod packed;
mod root_init;
mod start_point;
pub(super) mod template;

use std::ffi::OsStr;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::engine::config::{self, Config, ConfigErrors, DocumentError};
pub use crate::engine::config::{Purpose, TEMPLATES, Template};
use crate::engine::entry::superblock;
use crate::engine::image::{self, Image, ImageError, Unpacked};
use crate::engine::running::command_socket::SeatError;
use crate::engine::running::event::{self, What};
use crate::engine::running::pending;
use crate::engine::store::{
    IN_DRAFT, RemoveError, Store, StoreError, draft_name, remove_dir, remove_draft,
};
use crate::engine::terms::error::words;
use crate::engine::terms::progress::Progress;
use crate::engine::{Engine, Error, ErrorKind, Name, Verb};
use base::Base;
pub(super) use copied_root::lay;
pub(super) use copy::Original;
pub use copy::{Copy, CopyKind};
use created::Basis;
pub use created::Created;
pub use packed::NewImage;
use root_init::RootInit;
pub use start_point::StartingPoint;

/// What to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Create {
    pub source: RootfsSource,
    /// A configuration file to start from (`-f`); none: the host's `default.conf`, completed by
    /// `assets/default.conf`. The name of a template stands for that one.
    pub config: Option<PathBuf>,
    /// What wharf's defaults are to allow.
    pub purpose: Purpose,
    /// More `key = value` lines, validated and appended (`-s`).
    pub settings: Vec<(String, String)>,
    /// The disk image that keeps a root which a template or an image fills (`-B loop`); none: a
    /// directory does.
    pub image: Option<NewImage>,
}

/// Where the container's files come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RootfsSource {
    /// Shares the host's files.
    #[default]
    Host,
    /// An existing directory, disk image or block device becomes `lxc.rootfs.path`.
    Directory(PathBuf),
    /// An LXC template program fills `LXCPATH/NAME/rootfs` and completes the configuration.
    Template { program: String, args: Vec<String> },
    /// An archive of a root, an OCI layout, what `docker save` wrote, or `docker://…`, unpacked
    /// into `LXCPATH/NAME/rootfs`.
    Image { from: String, tag: Option<String> },
}

/// The file of the seccomp profile, beside the configuration.
const PROFILE_FILE: &str = "seccomp";
/// The modes of the container's directory, its configuration, and the lxcpath if we create it. LXC
/// also gives the creator's group access to the first, but a user who can write there decides what
/// root starts; a group is only needed if the users inside are mapped.
const DIR_MODE: u32 = 0o700;
pub(super) const CONFIG_MODE: u32 = 0o640;
const LXCPATH_MODE: u32 = 0o711;
/// The root that is made for a container, and what is needed only meanwhile.
pub(super) const ROOTFS: &str = "rootfs";
const SPARE: &str = "spare";
/// Images that are in a registry.
const REGISTRY: &str = "docker://";
/// The top of a root must be open to the users inside.
const ROOTFS_MODE: u32 = 0o755;

/// Why a container was not created.
#[derive(Debug, thiserror::Error)]
pub(super) enum CreateError {
    #[error("{0} already exists; choose another name or destroy it first")]
    Exists(PathBuf),
    #[error("make {path}: {}", words(source))]
    Make { path: PathBuf, source: io::Error },
    #[error("root directory {path}: {}", words(source))]
    Root { path: PathBuf, source: io::Error },
    #[error("root {0}: neither a directory, nor a disk image or a block device with a file system")]
    NotRoot(PathBuf),
    #[error("root directory {0}: its path is not valid UTF-8, as a configuration must be")]
    NotText(PathBuf),
    #[error("{0} is running; stop it first")]
    Running(Name),
    #[error(
        "the file system of {0} cannot exchange two directories in one step; restore the snapshot \
         under another name"
    )]
    NoExchange(PathBuf),
    #[error(transparent)]
    Seat(SeatError),
    #[error("{from} cannot be copied: {why}")]
    NoCopy { from: Name, why: &'static str },
    #[error("without root a container needs a user namespace: {0}")]
    NoIds(String),
    #[error("-B loop needs root: the root of an ordinary user's container must be a directory")]
    ImageOfRoot,
    #[error("as root of the container's users: {0}")]
    AsUsers(String),
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Remove(#[from] RemoveError),
    #[error(transparent)]
    Template(#[from] template::TemplateError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Pack(#[from] packed::PackError),
    #[error("{hook}: {source}; nothing was created")]
    Hook { hook: String, source: io::Error },
}

impl CreateError {
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Exists(_) => ErrorKind::Exists,
            Self::Make { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                ErrorKind::Denied
            }
            Self::NoIds(_) | Self::ImageOfRoot => ErrorKind::Denied,
            Self::Store(StoreError::Busy(_)) => ErrorKind::Busy,
            Self::Running(_) => ErrorKind::Running,
            Self::NoCopy { .. }
            | Self::NoExchange(_)
            | Self::Config(_)
            | Self::Document(_)
            | Self::NotRoot(_)
            | Self::NotText(_) => ErrorKind::Invalid,
            Self::Root { .. } => ErrorKind::NotFound,
            Self::Make { .. }
            | Self::AsUsers(_)
            | Self::Store(_)
            | Self::Remove(_)
            | Self::Seat(_)
            | Self::Template(_)
            | Self::Image(_)
            | Self::Pack(_)
            | Self::Hook { .. } => ErrorKind::Failed,
        }
    }
}

impl Engine {
    /// Creates the container `name`. A failure leaves nothing behind.
    pub fn create(&self, name: &Name, create: &Create) -> Result<Created, Error> {
        self.create_watched(name, create, &Progress::default())
    }

    /// The same, for a caller who shows how far it is, or cancels it.
    pub fn create_watched(
        &self,
        name: &Name,
        create: &Create,
        progress: &Progress,
    ) -> Result<Created, Error> {
        let work = Creation { store: Store::new(&self.lxcpath), name, create, progress };
        let created =
            work.run().map_err(|error| Error::new(Verb::Create, name, error.kind(), error))?;
        event::publish(&self.lxcpath, name, What::Created);
        Ok(created)
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// One creation.
pub(super) struct Creation<'a> {
    pub(super) store: Store,
    pub(super) name: &'a Name,
    pub(super) create: &'a Create,
    pub(super) progress: &'a Progress,
}

impl Creation<'_> {
    fn run(&self) -> Result<Created, CreateError> {
        let root = match &self.create.source {
            RootfsSource::Host => None,
            RootfsSource::Directory(path) => Some(existing_root(path)?),
            RootfsSource::Template { .. } | RootfsSource::Image { .. } => {
                Some(self.store.spelled(self.name).join(ROOTFS))
            }
        };
        if self.create.image.is_some() && !is_root() {
            return Err(CreateError::ImageOfRoot);
        }
        self.create.image.as_ref().map(NewImage::program).transpose()?;
        let base = Base::of(self.name, self.store.lxcpath(), self.create)?;
        let mut init = init_of(&base.config, root.as_deref());
        let mut brought = Unpacked::default();
        let content = self.content(&base.config, root.as_deref(), init, &[])?;
        let _lock = self.store.lock(self.name)?;
        make_dir(self.store.lxcpath(), LXCPATH_MODE)?;
        self.clear_place()?;
        Engine::over(self.store.lxcpath().clone()).tidy();
        match &self.create.source {
            RootfsSource::Host | RootfsSource::Directory(_) => {
                let mut fill = |path: &Path| Ok(self.write_config(path, &content)?);
                self.put_in_place(&mut fill, &rename_new)?;
            }
            RootfsSource::Image { from, tag } => {
                let mut fill = |path: &Path| {
                    let files = path.join(ROOTFS);
                    make_new_dir(&files, ROOTFS_MODE)?;
                    brought = self.unpack(from, tag.as_deref(), path, &content)?;
                    brought.settings.retain(|(key, _)| self.wants(key));
                    let runs_own = brought.settings.iter().any(|(key, _)| key == "lxc.init.cmd");
                    init = RootInit::of(&files)
                        .filter(|_| !runs_own && unset(&base.config, "lxc.init.cmd"));
                    self.pack(path)?;
                    let content =
                        self.content(&base.config, root.as_deref(), init, &brought.settings)?;
                    Ok(self.write_config(path, &content)?)
                };
                self.put_in_place(&mut fill, &rename_new)?;
            }
            RootfsSource::Template { program, args } => {
                let made = self.fill(&content, program, args);
                if made.is_err() {
                    // The first error is the one to report; `partial` marks what may be left.
                    _ = remove_dir(self.store.lxcpath(), self.name.as_str());
                }
                made?;
            }
        }
        let dropped = base.config.get("lxc.cap.drop").unwrap_or_default();
        let hampered = init.filter(|_| dropped.split_whitespace().any(|it| it == "sys_admin"));
        let (basis, left_out, notes) = (base.basis, base.left_out, brought.notes);
        Ok(Created { basis, left_out, hampered, notes })
    }

    /// Returns whether what an image sets is of use: a system has an init that decides the rest.
    fn wants(&self, key: &str) -> bool {
        self.create.purpose != Purpose::System || key.starts_with("lxc.environment")
    }

    /// Packs the root that was made in `dir`, if that is wanted.
    fn pack(&self, dir: &Path) -> Result<(), CreateError> {
        self.create.image.as_ref().map_or(Ok(()), |it| it.pack(dir, self.progress))
    }

    /// Checks that nothing is in the way, and removes what an interrupted creation has left.
    pub(super) fn clear_place(&self) -> Result<(), CreateError> {
        let dir = self.store.dir(self.name);
        pending::settle(&self.store, self.name)?;
        if self.store.partial_path(self.name).exists() {
            if self.store.is_being_made(self.name) {
                return Err(CreateError::Store(StoreError::Busy(self.name.clone())));
            }
            remove_dir(self.store.lxcpath(), self.name.as_str())?;
        }
        if dir.symlink_metadata().is_ok() { Err(CreateError::Exists(dir)) } else { Ok(()) }
    }

    /// Builds the directory under a hidden name, and has it put in place.
    fn put_in_place(
        &self,
        fill: &mut dyn FnMut(&Path) -> Result<(), CreateError>,
        put: copy::PutInPlace<'_>,
    ) -> Result<(), CreateError> {
        let hidden = draft_name(self.name);
        let draft = self.store.lxcpath().join(&hidden);
        let path = draft.join(OsStr::from_bytes(IN_DRAFT.to_bytes()));
        let target = self.store.dir(self.name);
        make_new_dir(&draft, DIR_MODE)?;
        let made = make_new_dir(&path, DIR_MODE)
            .and_then(|()| fill(&path))
            .and_then(|()| put(&path, &target));
        // It is empty once the container is in place, or holds what it replaced; otherwise the first
        // error is the one to report. The next command finds what could not be removed.
        _ = remove_draft(&self.store, self.name);
        made
    }

    /// Unpacks an image into the root in the draft `path`.
    fn unpack(
        &self,
        from: &str,
        tag: Option<&str>,
        path: &Path,
        content: &[u8],
    ) -> Result<Unpacked, CreateError> {
        let spare = path.join(SPARE);
        make_new_dir(&spare, DIR_MODE)?;
        let mut source = PathBuf::from(from);
        if from.starts_with(REGISTRY) {
            source = spare.join("image");
            image::fetch(from, &source, self.progress)?;
        }
        let image = Image { path: &source, tag, spare: &spare };
        let files = path.join(ROOTFS);
        let done = if is_root() {
            image::unpack(image, &files, self.progress)?
        } else {
            self.unpack_as_users(&image, &files, content)?
        };
        let shown = spare.clone();
        let removed = std::fs::remove_dir_all(&spare);
        removed.map_err(|source| CreateError::Make { path: shown, source })?;
        Ok(done)
    }

    /// Creates the directory in its final place, as templates expect, and lets one fill it.
    fn fill(&self, content: &[u8], program: &str, args: &[String]) -> Result<(), CreateError> {
        let (dir, partial) = (self.store.dir(self.name), self.store.partial_path(self.name));
        let program = template::find(program)?;
        make_new_dir(&dir, DIR_MODE)?;
        self.store.write_atomic(&partial, b"", CONFIG_MODE)?;
        make_new_dir(&dir.join(ROOTFS), ROOTFS_MODE)?;
        self.write_config(&dir, content)?;
        if is_root() {
            let dir = self.store.spelled(self.name);
            template::run(&program, self.name, &dir, args, self.progress)?;
        } else {
            self.fill_as_users(&program, args, content)?;
        }
        self.pack(&dir)?;
        config::load(self.name, self.store.lxcpath(), None, &[])?;
        std::fs::remove_file(&partial).map_err(|source| CreateError::Make { path: dir, source })
    }

    /// Writes the configuration into `dir`, and the profile that it may name.
    fn write_config(&self, dir: &Path, content: &[u8]) -> Result<(), StoreError> {
        let profile = config::DEFAULT_PROFILE.as_bytes();
        self.store.write_atomic(&dir.join(PROFILE_FILE), profile, CONFIG_MODE)?;
        self.store.write_atomic(&dir.join("config"), content, CONFIG_MODE)
    }
}

/// Finds the init that the root directory has and that the container would run.
fn init_of(base: &Config, root: Option<&Path>) -> Option<RootInit> {
    if !unset(base, "lxc.init.cmd") {
        return None;
    }
    let configured = base.get("lxc.rootfs.path").map(PathBuf::from);
    RootInit::of(root.or(configured.as_deref()).filter(|it| it.is_absolute())?)
}

fn unset(config: &Config, key: &str) -> bool {
    config.get(key).is_none_or(|it| it.is_empty())
}

fn existing_root(path: &Path) -> Result<PathBuf, CreateError> {
    let failed = |source| CreateError::Root { path: path.to_path_buf(), source };
    let full = path.canonicalize().map_err(failed)?;
    let holds_one = || {
        // A fifo would be waited for.
        let kind = full.metadata()?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Ok(false);
        }
        let file = std::fs::File::open(&full)?;
        Ok(superblock::recognise(|buffer, offset| file.read_at(buffer, offset)).is_some())
    };
    let can_be = full.is_dir() || holds_one().map_err(failed)?;
    if can_be { Ok(full) } else { Err(CreateError::NotRoot(path.to_path_buf())) }
}

/// Renames a directory to an unused name.
pub(super) fn rename_new(from: &Path, to: &Path) -> Result<(), CreateError> {
    let done = renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE);
    let failed = |source| CreateError::Make { path: to.to_path_buf(), source };
    match done {
        Ok(()) => Ok(()),
        Err(Errno::EEXIST) => Err(CreateError::Exists(to.to_path_buf())),
        // Not every file system can promise it; the container's lock keeps wharf's commands away.
        Err(Errno::EINVAL | Errno::ENOSYS) if to.symlink_metadata().is_ok() => {
            Err(CreateError::Exists(to.to_path_buf()))
        }
        Err(Errno::EINVAL | Errno::ENOSYS) => std::fs::rename(from, to).map_err(failed),
        Err(errno) => Err(failed(errno.into())),
    }
}

pub(super) fn make_dir(path: &Path, mode: u32) -> Result<(), CreateError> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|source| CreateError::Make { path: path.to_path_buf(), source })
}

fn make_new_dir(path: &Path, mode: u32) -> Result<(), CreateError> {
    let made = DirBuilder::new().mode(mode).create(path);
    // Whatever the umask of the caller is.
    let open = || std::fs::set_permissions(path, Permissions::from_mode(mode));
    let made = made.and_then(|()| open().inspect_err(|_| _ = std::fs::remove_dir(path)));
    made.map_err(|source| CreateError::Make { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests;
