//! A configuration under edit: locked, changed as text, read again, and replaced in one step. Every
//! command that edits one does it so.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};

use crate::engine::config::{self, Config, ConfigErrors, Document, Survey};
use crate::engine::store::{Lock, Store, StoreError, regular_file};
use crate::engine::terms::name::NameError;
use crate::engine::{Engine, Error, ErrorKind, Name, Verb};

/// Which configuration.
#[derive(Clone, Copy, Debug)]
pub enum ConfigFile<'a> {
    /// A container's own.
    Of(&'a Name),
    /// The file at a path, which a container may include or start from.
    At(&'a Path),
}

impl ConfigFile<'_> {
    /// Returns what messages call it.
    fn object(&self) -> String {
        match self {
            Self::Of(name) => name.to_string(),
            Self::At(path) => path.display().to_string(),
        }
    }
}

/// One that was read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) verb: Verb,
    pub(super) object: String,
    pub(super) document: Document,
    /// The path by which messages and other lines name it.
    pub(super) file: PathBuf,
    before: Vec<u8>,
    /// The container, or a name that stands for one.
    name: Name,
    path: PathBuf,
    store: Store,
    /// Held until it is written, or left as it was; none: it is only read.
    _lock: Option<Lock>,
}

impl Draft {
    /// Reads it in order to show it.
    pub(super) fn read(engine: &Engine, verb: Verb, file: ConfigFile<'_>) -> Result<Self, Error> {
        let store = Store::new(&engine.lxcpath);
        let object = file.object();
        let failed =
            |kind, why: Box<dyn StdError + Send + Sync>| Error::new(verb, &object, kind, why);
        let (name, path, spelled) = match file {
            ConfigFile::Of(name) => {
                let (path, spelled) = (store.config_path(name), store.spelled(name).join("config"));
                (name.clone(), path, spelled)
            }
            ConfigFile::At(path) => {
                let name = some_name(path).map_err(|why| failed(ErrorKind::Invalid, why.into()))?;
                (name, path.to_path_buf(), path.to_path_buf())
            }
        };
        let before = regular_file(&path).map_err(|source| {
            let kind = kind_of(&source);
            if let (ConfigFile::Of(name), ErrorKind::NotFound) = (file, kind) {
                return engine.no_such(verb, name);
            }
            let path = path.clone();
            failed(kind, StoreError::Read { path, source }.into())
        })?;
        let document = Document::parse(&before);
        Ok(Self { verb, object, document, file: spelled, before, name, path, store, _lock: None })
    }

    /// Reads it in order to change it, which no other command does meanwhile.
    pub(super) fn open(engine: &Engine, verb: Verb, file: ConfigFile<'_>) -> Result<Self, Error> {
        let store = Store::new(&engine.lxcpath);
        let failed = |why: StoreError| {
            let kind = match &why {
                StoreError::Busy(_) => ErrorKind::Busy,
                StoreError::Lock { .. }
                | StoreError::Read { .. }
                | StoreError::Write { .. }
                | StoreError::Link(_)
                | StoreError::Host(_) => ErrorKind::Failed,
            };
            Error::new(verb, file.object(), kind, why)
        };
        let lock = match file {
            ConfigFile::Of(name) => store.lock(name).map_err(failed)?,
            ConfigFile::At(path) => store.lock_file(path).map_err(failed)?.ok_or_else(|| {
                let why = "another command of wharf is changing it; try again";
                Error::new(verb, file.object(), ErrorKind::Busy, why)
            })?,
        };
        Ok(Self { _lock: Some(lock), ..Self::read(engine, verb, file)? })
    }

    /// Returns the content of the file.
    pub(super) fn before(&self) -> &[u8] {
        &self.before
    }

    /// Returns what it says now, line by line.
    pub(super) fn survey(&self) -> Survey {
        config::survey(&self.document.to_bytes(), &self.file)
    }

    /// Lists what a start would refuse now and did not before: what was wrong before does not keep a
    /// line from being mended.
    pub(super) fn new_errors(&self) -> Vec<String> {
        let known = config::survey(&self.before, &self.file).errors;
        let known: Vec<String> = known.iter().map(config::ConfigError::without_place).collect();
        let now = self.survey().errors;
        let fresh = now.iter().filter(|it| !known.contains(&it.without_place()));
        fresh.map(ToString::to_string).collect()
    }

    /// Returns what a start would make of it now.
    pub(super) fn config(&self) -> Result<Config, ConfigErrors> {
        let bytes = self.document.to_bytes();
        config::parse(&self.name, self.store.lxcpath(), &bytes, &self.file, &[])
    }

    /// Writes the file as it was to `backup`, with the same owner and mode.
    pub(super) fn back_up(&self, backup: &Path) -> Result<(), Error> {
        let copied = self.store.copy_like(&self.path, backup, &self.before);
        copied.map_err(|why| self.failed(ErrorKind::Failed, why))
    }

    /// Replaces the file, unless it has not changed.
    pub(super) fn write(self) -> Result<(), Error> {
        let after = self.document.to_bytes();
        if after == self.before {
            return Ok(());
        }
        // Other programs do not know of the lock.
        if regular_file(&self.path).is_ok_and(|it| it != self.before) {
            const MEANWHILE: &str = "another program has changed it meanwhile; try again";
            return Err(self.failed(ErrorKind::Busy, MEANWHILE));
        }
        let written = self.store.replace_file(&self.path, &after);
        written.map_err(|why| self.failed(ErrorKind::Failed, why))
    }

    /// Returns the error that it cannot be changed, for this reason.
    pub(super) fn failed(
        &self,
        kind: ErrorKind,
        why: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Error {
        Error::new(self.verb, &self.object, kind, why)
    }
}

fn kind_of(error: &std::io::Error) -> ErrorKind {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => ErrorKind::NotFound,
        Some(libc::EACCES | libc::EPERM) => ErrorKind::Denied,
        Some(_) | None => ErrorKind::Failed,
    }
}

/// Returns the name of the container in whose directory the file is, or of one that might be.
fn some_name(path: &Path) -> Result<Name, NameError> {
    const ANY: &str = "container";
    let dir = path.parent().and_then(Path::file_name).and_then(|it| it.to_str());
    dir.unwrap_or(ANY).parse().or_else(|_strange: NameError| ANY.parse())
}
