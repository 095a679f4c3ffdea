//! The verb `create`: writes a container's configuration, and its root if asked.

use std::path::PathBuf;

use super::{Engine, Error, Name};

/// What to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Create {
    pub source: Source,
    /// A configuration file to start from (`-f`); none: `assets/default.conf`.
    pub config: Option<PathBuf>,
    /// More `key = value` lines, validated and appended (`-s`).
    pub settings: Vec<(String, String)>,
}

/// Where the container's files come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Shares the host's files.
    #[default]
    Host,
    /// An existing directory becomes `lxc.rootfs.path`.
    Directory(PathBuf),
    /// An LXC template program fills `LXCPATH/NAME/rootfs` and completes the configuration.
    Template { program: String, args: Vec<String> },
}

impl Engine {
    /// Creates the container `name`. Nothing is left behind when it fails.
    pub fn create(&self, name: &Name, _create: &Create) -> Result<(), Error> {
        Err(super::unfinished("create", name))
    }
}
