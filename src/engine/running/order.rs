//! The request for a start, and the resulting configuration, which is read for the first run, and
//! again whenever the container restarts under its supervisor.

use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use crate::engine::cgroup::{Hierarchies, Hierarchy};
use crate::engine::config::{self, Config};
use crate::engine::entry::criu::Criu;
use crate::engine::running::reclaim::reclaim;
use crate::engine::running::{pending, record, saving};
use crate::engine::store::Store;
use crate::engine::terms::spec::Spec;
use crate::engine::{Error, ErrorKind, Lxcpath, Name, Verb};

const HOST_INIT: &str = "it shares the host's files, and /sbin/init would run the host's own \
    services a second time; give a command after `--`, or set lxc.init.cmd";

/// How to start a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The command instead of `lxc.init.cmd`; empty: what is configured, else `/sbin/init`.
    pub argv: Vec<String>,
    /// A configuration file instead of `LXCPATH/NAME/config` (`-f`).
    pub config: Option<PathBuf>,
    /// `key = value` lines applied after the file (`-s`).
    pub settings: Vec<(String, String)>,
    /// The command is not pid 1 but the child of wharf's own init, as with `execute`.
    #[serde(default)]
    pub tended: bool,
    /// Its processes are not new.
    #[serde(default)]
    pub from: Option<Checkpointed>,
}

/// The processes of a container as CRIU has saved them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpointed {
    /// By its one path, and root's alone.
    pub dir: PathBuf,
    /// Lines of a configuration: the limits that were set while it ran.
    pub limits: Vec<(String, String)>,
    /// CRIU logs everything it does.
    pub verbose: bool,
    /// CRIU runs it at each of its stages.
    pub action_script: Option<PathBuf>,
    /// How long CRIU may take.
    pub patience: Duration,
    pub(in crate::engine) criu: Criu,
}

impl Start {
    /// Reads the configuration that it names, and applies its settings.
    pub(in crate::engine) fn load(
        &self,
        verb: Verb,
        lxcpath: &Lxcpath,
        name: &Name,
    ) -> Result<(Config, Spec), Error> {
        let store = Store::new(lxcpath);
        self.exists(verb, lxcpath, name)?;
        pending::settle_if_free(&store, name)
            .map_err(|source| Error::new(verb, name, ErrorKind::Failed, source))?;
        store.tidy(name);
        record::remove_drafts(lxcpath);
        _ = saving::settle_if_free(lxcpath, name);
        // A run that was killed may hold what is needed now; the start itself reports why it could
        // not be cleaned up.
        _ = reclaim(lxcpath, name);
        self.read(verb, lxcpath, name)
    }

    fn exists(&self, verb: Verb, lxcpath: &Lxcpath, name: &Name) -> Result<(), Error> {
        if self.config.is_some() || Store::new(lxcpath).exists(name) {
            return Ok(());
        }
        let reason = format!(
            "there is no such container in {}; `wharf create {name}` makes one",
            lxcpath.display()
        );
        Err(Error::new(verb, name, ErrorKind::NotFound, reason))
    }

    /// The same, and cleans nothing up first.
    pub(in crate::engine) fn read(
        &self,
        verb: Verb,
        lxcpath: &Lxcpath,
        name: &Name,
    ) -> Result<(Config, Spec), Error> {
        self.exists(verb, lxcpath, name)?;
        let file = self.config.as_deref();
        let invalid = |source| Error::new(verb, name, ErrorKind::Invalid, source);
        // What was asked for now counts, too.
        let mut settings: Vec<_> = self.from.iter().flat_map(|it| it.limits.clone()).collect();
        settings.extend(self.settings.clone());
        let config = config::load(name, lxcpath, file, &settings).map_err(invalid)?;
        let mut spec = config.spec().map_err(invalid)?;
        if !geteuid().is_root()
            && let Some(root) = &mut spec.rootfs
        {
            root.value.leave_to_users();
        }
        spec.stage_at(lxcpath.host().stage_path());
        if spec.auto.cgroup.is_some() {
            // The start itself reports why there are none.
            let all = Hierarchies::discover(lxcpath.host()).unwrap_or_default();
            spec.auto.hierarchies = all.iter().map(Hierarchy::as_mounted).collect();
        }
        if !self.argv.is_empty() {
            spec.init.argv.clone_from(&self.argv);
            spec.init.tended = self.tended;
        } else if spec.rootfs.is_none() && config.get("lxc.init.cmd").is_none_or(|it| it.is_empty())
        {
            return Err(Error::new(verb, name, ErrorKind::Invalid, HOST_INIT));
        }
        Ok((config, spec))
    }
}
