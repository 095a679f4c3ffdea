//! Copies of containers: with files of their own, or as an overlay over those of the container.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::syncfs;

use super::copied_root::{CopiedRoot, copied_root};
use super::packed::NewImage;
use super::{Basis, Create, CreateError, Created, Creation, is_root, rename_new};
use crate::engine::config;
use crate::engine::running::command_socket::{Seat, SeatError};
use crate::engine::running::event::{self, What};
use crate::engine::running::pending;
use crate::engine::store::Store;
use crate::engine::store::dependents::{self, Dependent};
use crate::engine::terms::progress::Progress;
use crate::engine::{Engine, Error, Lxcpath, Name, Verb};

/// What to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub from: Name,
    pub kind: CopyKind,
    /// The disk image that keeps the files of the copy; none: what keeps those of the container.
    pub image: Option<NewImage>,
    /// More `key = value` lines.
    pub settings: Vec<(String, String)>,
    /// What of the container the copy has as well, though two of it in one network disturb each
    /// other: the host name, and the hardware addresses.
    pub keeps_name: bool,
    pub keeps_addresses: bool,
    /// The container may run, and change its files meanwhile.
    pub while_running: bool,
    /// The lxcpath of the copy; none: the container's own.
    pub into: Option<PathBuf>,
    /// Further arguments of the hooks that complete the copy.
    pub hook_arguments: Vec<String>,
}

/// How the files of a copy are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyKind {
    /// Every file is copied; where the file system can, both share what neither changes.
    Full,
    /// Only what the copy changes is kept; the rest are the files of the container.
    Overlay,
    /// As the container's own: what an overlay has changed is copied, and everything else whole.
    Alike,
}

impl Copy {
    /// Asks for a full copy of `from`.
    pub const fn of(from: Name) -> Self {
        Self {
            from,
            kind: CopyKind::Full,
            image: None,
            settings: Vec::new(),
            keeps_name: false,
            keeps_addresses: false,
            while_running: false,
            into: None,
            hook_arguments: Vec::new(),
        }
    }
}

/// The container that is copied, where it is.
#[derive(Clone, Copy)]
pub(in crate::engine::verbs) struct Original<'a> {
    pub(in crate::engine::verbs) store: &'a Store,
    pub(in crate::engine::verbs) name: &'a Name,
}

/// Puts a finished draft at a container's place.
pub(in crate::engine::verbs) type PutInPlace<'a> =
    &'a dyn Fn(&Path, &Path) -> Result<(), CreateError>;

impl Engine {
    /// Creates the container `name` as a copy. A failure leaves nothing behind.
    pub fn copy(&self, name: &Name, copy: &Copy, progress: &Progress) -> Result<Created, Error> {
        let create = &Create { image: copy.image.clone(), ..Create::default() };
        let source = Store::new(&self.lxcpath);
        let place = copy.into.as_ref().map(|it| Lxcpath::open(self.lxcpath.host(), it));
        let place = place.unwrap_or_else(|| self.lxcpath.clone());
        let work = Creation { store: Store::new(&place), name, create, progress };
        let created = work
            .copy(&source, copy)
            .map_err(|error| Error::new(Verb::Create, name, error.kind(), error))?;
        event::publish(&place, name, What::Created);
        Ok(created)
    }
}

impl Creation<'_> {
    fn copy(&self, source: &Store, copy: &Copy) -> Result<Created, CreateError> {
        let original = Original { store: source, name: &copy.from };
        if source.dir(&copy.from) == self.store.dir(self.name) {
            return Err(CreateError::Exists(self.store.dir(self.name)));
        }
        if copy.image.is_some() && !is_root() {
            return Err(CreateError::ImageOfRoot);
        }
        copy.image.as_ref().map(NewImage::program).transpose()?;
        let _lock = self.store.lock(self.name)?;
        let _lock_of_source = source.lock(&copy.from)?;
        pending::settle(source, &copy.from)?;
        self.clear_place()?;
        Engine::over(self.store.lxcpath().clone()).tidy();
        // It can neither run nor start meanwhile.
        let _seat = if copy.while_running { None } else { Some(original.hold_still()?) };
        let notes = self.make_copy(original, copy, &|draft, place| rename_new(draft, place))?;
        let basis = Basis::Copy(copy.from.clone());
        Ok(Created { basis, left_out: Vec::new(), hampered: None, notes })
    }

    /// Makes the copy, for a caller that holds the locks of both, and puts it in place. Returns what
    /// was left out.
    pub(in crate::engine::verbs) fn make_copy(
        &self,
        original: Original<'_>,
        copy: &Copy,
        put: PutInPlace<'_>,
    ) -> Result<Vec<String>, CreateError> {
        let config = config::load(original.name, original.store.lxcpath(), None, &[])?;
        let root = copied_root(&config, copy)?;
        let content = self.copied_config(&config, original, copy, &root)?;
        let bases = match &root {
            CopiedRoot::None | CopiedRoot::Files(_) | CopiedRoot::Image(_) => Vec::new(),
            CopiedRoot::Over { .. } => original.bases(copy.kind),
        };
        let own = Dependent::of(&self.store, self.name);
        let bound = |it: &&Dependent| !dependents::copies(&it.dir()).contains(&own);
        let unbound: Vec<&Dependent> = bases.iter().filter(bound).collect();
        let mut notes = Vec::new();
        let made = self.put_in_place(
            &mut |path| {
                Self::copy_files(original, &root, path)?;
                self.fill_root(copy, &root, path, &content)?;
                self.store.write_atomic(&path.join("config"), &content, super::CONFIG_MODE)?;
                notes = self.complete(&config, copy, &root, path)?;
                self.pack(path)?;
                let failed = |source| CreateError::Make { path: path.to_path_buf(), source };
                // What it replaces, or is kept for, may be gone a moment later.
                fs::File::open(path).and_then(|it| Ok(syncfs(&it)?)).map_err(failed)?;
                if !bases.is_empty() {
                    dependents::set_bases(path, &bases).map_err(failed)?;
                }
                // Before it is there: nothing may destroy them then.
                unbound
                    .iter()
                    .try_for_each(|it| dependents::add_copy(&it.dir(), &own))
                    .map_err(failed)
            },
            put,
        );
        if made.is_err() {
            // The first error is the one to report; a copy that is not there binds nobody.
            for it in &unbound {
                _ = dependents::remove_copy(&it.dir(), &own);
            }
        }
        made.map(|()| notes)
    }
}

impl Original<'_> {
    /// Keeps it from running.
    pub(in crate::engine::verbs) fn hold_still(&self) -> Result<Seat, CreateError> {
        Seat::take(self.store.lxcpath(), self.name).map_err(|error| match error {
            SeatError::Taken | SeatError::Locked => CreateError::Running(self.name.clone()),
            it @ (SeatError::Lock(_)
            | SeatError::Private { .. }
            | SeatError::Listen(_)
            | SeatError::Holder(_)) => CreateError::Seat(it),
        })
    }

    /// Whose files a copy shows: those of the containers whose files it shows itself, and its own.
    fn bases(&self, kind: CopyKind) -> Vec<Dependent> {
        let mut bases = dependents::bases(&self.store.dir(self.name));
        bases.retain(|it| it.dir().is_dir());
        match kind {
            CopyKind::Full | CopyKind::Alike => (),
            CopyKind::Overlay => bases.push(Dependent::of(self.store, self.name)),
        }
        bases
    }
}
