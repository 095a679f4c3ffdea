//! The configuration of a new container, composed of what it starts from and what was asked for. It
//! writes no file.

use std::path::Path;

use super::packed::IMAGE;
use super::root_init::RootInit;
use super::{CreateError, Creation, PROFILE_FILE, Purpose, Template, is_root, unset};
use crate::engine::config::{self, Config, Document};
use crate::engine::host::subids::SubIds;

/// The default command of a container that shares the host's files.
const SHELL: &str = "/bin/sh";
const SHELL_NOTE: &str = "
# What runs: a shell, as the child of wharf's own init, which reaps, halts and restarts. Setting
# both keys to one command requests that init; LXC's lxc-start uses only the first key.
";
const PROFILE_KEY: &str = "lxc.seccomp.profile";
const PROFILE_NOTE: &str = "
# System calls: what the profile denies, such as making a user namespace. A line that names another
# profile replaces it; without a value it turns it off.
";
const RUNTIME: &str = "lxc.environment.runtime";
const RUNTIME_NOTE: &str = "
# Variables of the image for the container alone: programs that hooks run as the host's root could obey
# them. LXC before 7.0 does not know this key.
";

impl Creation<'_> {
    /// Composes the configuration, and checks it as a whole.
    pub(super) fn content(
        &self,
        base: &Config,
        root: Option<&Path>,
        init: Option<RootInit>,
        image: &[(String, String)],
    ) -> Result<Vec<u8>, CreateError> {
        let mut document = Document::parse(base.raw());
        if self.create.config.is_none() || unset(base, "lxc.uts.name") {
            document.set("lxc.uts.name", self.name.as_str())?;
        }
        if let Some(root) = root {
            document.set("lxc.rootfs.path", &self.root_value(root)?)?;
        } else if unset(base, "lxc.rootfs.path") && unset(base, "lxc.init.cmd") {
            // The host's own init must not run a second time on the host's files.
            if unset(base, "lxc.execute.cmd") {
                document.comment(SHELL_NOTE);
                document.set("lxc.execute.cmd", SHELL)?;
            }
            document.set("lxc.init.cmd", SHELL)?;
        }
        if let Some(init) = init.filter(|_| self.create.purpose == Purpose::System) {
            for (key, value) in init.signals().iter().filter(|(key, _)| !base.speaks_of(key)) {
                document.set(key, value)?;
            }
        }
        if !is_root() && unset(base, "lxc.idmap") {
            for (key, value) in SubIds::ours().lines().map_err(CreateError::NoIds)? {
                document.append(&key, &value)?;
            }
        }
        // A configuration cannot name a path that is no text.
        let profile = self.store.spelled(self.name).join(PROFILE_FILE);
        if let (true, Some(text)) = (self.brings_profile(base), profile.to_str()) {
            document.comment(PROFILE_NOTE);
            document.set(PROFILE_KEY, text)?;
        }
        let (runtime, other): (Vec<_>, Vec<_>) = image.iter().partition(|(key, _)| key == RUNTIME);
        for (key, value) in other {
            document.append(key, value)?;
        }
        if !runtime.is_empty() {
            document.comment(RUNTIME_NOTE);
        }
        for (key, value) in runtime.into_iter().chain(&self.create.settings) {
            document.append(key, value)?;
        }
        // Random digits of hardware addresses are chosen once.
        let content = config::fill_lines(&document.to_bytes());
        let file = self.store.config_path(self.name);
        config::parse(self.name, self.store.lxcpath(), &content, &file, &[])?;
        Ok(content)
    }

    /// Returns what names `root` in the configuration.
    pub(super) fn root_value(&self, root: &Path) -> Result<String, CreateError> {
        let image = self.create.image.as_ref().map(|_| self.store.spelled(self.name).join(IMAGE));
        let path = image.as_deref().unwrap_or(root);
        let text = path.to_str().ok_or_else(|| CreateError::NotText(path.to_path_buf()))?;
        Ok(if image.is_some() { format!("loop:{text}") } else { text.to_owned() })
    }

    /// Returns whether the container gets wharf's own seccomp profile: unless a file was given, or
    /// the host's decides.
    fn brings_profile(&self, base: &Config) -> bool {
        let given = self.create.config.as_deref();
        let own = given.is_none_or(|it| Template::named(it).is_some());
        (own || self.create.purpose == Purpose::System) && !base.speaks_of(PROFILE_KEY)
    }
}
