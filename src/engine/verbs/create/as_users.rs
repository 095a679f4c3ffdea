//! The root of an ordinary user's new container, whose files belong to the container's users.

use std::path::Path;

use super::{CreateError, Creation};
use crate::engine::config;
use crate::engine::entry::script::{HOUR, Script};
use crate::engine::host::mapped::{self, MappedJob, NewOverlay};
use crate::engine::image::{Image, Unpacked};

impl Creation<'_> {
    /// Unpacks an image as root of the users that the configuration `content` maps.
    pub(super) fn unpack_as_users(
        &self,
        image: &Image<'_>,
        root: &Path,
        content: &[u8],
    ) -> Result<Unpacked, CreateError> {
        let job = MappedJob::Unpack {
            from: image.path.to_path_buf(),
            tag: image.tag.map(str::to_owned),
            root: root.to_path_buf(),
            spare: image.spare.to_path_buf(),
        };
        self.progress.begin("unpacking", 0);
        let done = self.as_users(&job, content)?;
        Ok(Unpacked { settings: done.settings, notes: done.notes })
    }

    /// Copies a root as root of those users, and gives it the host name `name`.
    pub(super) fn copy_as_users(
        &self,
        from: &Path,
        to: &Path,
        name: Option<&str>,
        content: &[u8],
    ) -> Result<(), CreateError> {
        let (from, to) = (from.to_path_buf(), to.to_path_buf());
        self.progress.begin("copying", 0);
        let job = MappedJob::Copy { from, to, name: name.map(str::to_owned) };
        self.as_users(&job, content).map(drop)
    }

    /// Makes the directories of a copy's overlay as root of those users.
    pub(super) fn lay_as_users(
        &self,
        overlay: NewOverlay,
        content: &[u8],
    ) -> Result<(), CreateError> {
        self.progress.begin("copying", 0);
        self.as_users(&MappedJob::Lay(overlay), content).map(drop)
    }

    /// Has a template fill the container's directory as root of those users.
    pub(super) fn fill_as_users(
        &self,
        program: &Path,
        args: &[String],
        content: &[u8],
    ) -> Result<(), CreateError> {
        let (program, args) = (program.to_path_buf(), args.to_vec());
        let (dir, name) = (self.store.spelled(self.name), self.name.to_string());
        self.progress.begin("running the template", 0);
        let job = MappedJob::Fill { program, dir, name, args };
        self.as_users(&job, content).map(drop)
    }

    /// Runs a hook as root of those users, as LXC does.
    pub(super) fn run_as_users(&self, hook: &Script, content: &[u8]) -> Result<(), CreateError> {
        let (line, environment) = (hook.line(), hook.environment.clone());
        let job = MappedJob::Run { line, environment, seconds: HOUR.as_secs() };
        self.as_users(&job, content).map(drop)
    }

    fn as_users(&self, job: &MappedJob, content: &[u8]) -> Result<mapped::MappedDone, CreateError> {
        let file = self.store.config_path(self.name);
        let config = config::parse(self.name, self.store.lxcpath(), content, &file, &[])?;
        let map = config.idmap().map_err(config::ConfigErrors::from)?;
        mapped::run(map, job, self.progress).map_err(CreateError::AsUsers)
    }
}
