//! What completes a copy before anybody can see it: `lxc.hook.clone`, and the host name in an image.

use std::ffi::CString;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::copy::{CopiedRoot, Copy, DELTA, OVERLAY, WORK};
use super::packed::IMAGE;
use super::{CreateError, Creation, ROOTFS, is_root};
use crate::engine::config::{self, Config};
use crate::engine::entry::perform::mount_aside;
use crate::engine::entry::plan::RootSource;
use crate::engine::entry::script::{Script, Section};
use crate::engine::image::hostname;
use crate::engine::terms::spec::{Hooks, ROOT_MOUNT};

/// Where the files of a copy are while it is completed.
struct ShownRoot {
    /// For others than this process, as long as it holds the mount.
    path: PathBuf,
    _mount: Option<OwnedFd>,
}

impl Creation<'_> {
    /// Runs the hooks of the container that was copied on the copy in `dir`. A container without a
    /// root of its own is not theirs to change: the host's files are not. Returns what was left out.
    pub(super) fn complete(
        &self,
        config: &Config,
        copy: &Copy,
        root: &CopiedRoot,
        dir: &Path,
    ) -> Result<Vec<String>, CreateError> {
        let commands = config.get("lxc.hook.clone").unwrap_or_default();
        let renames = matches!(root, CopiedRoot::Image(_)) && is_root();
        if commands.is_empty() && !renames {
            return Ok(Vec::new());
        }
        let Some(shown) = shown(root, dir)? else {
            return Ok(vec!["lxc.hook.clone was not run: it has no root of its own".to_owned()]);
        };
        if !commands.is_empty() {
            let hooks = self.hooks(config, copy, &shown.path, dir);
            for command in commands.lines() {
                let name = self.name.as_str();
                let hook = Script::new(Section::Container, "clone", command, name, &hooks);
                hook.run()
                    .map_err(|source| CreateError::Hook { hook: hook.to_string(), source })?;
            }
            self.check_again(dir)?;
        }
        if renames {
            rename(&shown.path, self.name.as_str())?;
        }
        Ok(Vec::new())
    }

    /// What LXC tells them. Version 1 takes it from the environment alone.
    fn hooks(&self, config: &Config, copy: &Copy, mounted: &Path, dir: &Path) -> Hooks {
        let text = |it: &Path| it.to_string_lossy().into_owned();
        let file = dir.join("config");
        let root = config::load(self.name, self.store.lxcpath(), Some(&file), &[]);
        let root = root.ok().and_then(|it| it.written_root().map(typed)).unwrap_or_default();
        let environment = [
            ("LXC_SRC_NAME", copy.from.to_string()),
            ("LXC_NAME", self.name.to_string()),
            ("LXC_CONFIG_FILE", text(&file)),
            (ROOT_MOUNT, text(mounted)),
            ("LXC_ROOTFS_PATH", root),
        ];
        let environment = environment.map(|(key, value)| (key.to_owned(), value)).to_vec();
        let by_arguments = config.get("lxc.hook.version").as_deref() != Some("1");
        Hooks { by_arguments, environment, ..Hooks::default() }
    }

    /// A hook may change the configuration of the copy, too.
    fn check_again(&self, dir: &Path) -> Result<(), CreateError> {
        let path = dir.join("config");
        let content = std::fs::read(&path).map_err(|source| CreateError::Make { path, source })?;
        let file = self.store.config_path(self.name);
        config::parse(self.name, self.store.lxcpath(), &content, &file, &[])?;
        Ok(())
    }
}

/// LXC names the type of every root.
fn typed(written: &str) -> String {
    if written.starts_with('/') { format!("dir:{written}") } else { written.to_owned() }
}

/// Returns where the files of the copy can be changed; none: they are the host's.
fn shown(root: &CopiedRoot, dir: &Path) -> Result<Option<ShownRoot>, CreateError> {
    let (source, path) = match root {
        CopiedRoot::None => return Ok(None),
        CopiedRoot::Files(_) => {
            return Ok(Some(ShownRoot { path: dir.join(ROOTFS), _mount: None }));
        }
        CopiedRoot::Image(_) => {
            let path = dir.join(IMAGE);
            (RootSource::Image(text(&path)?), path)
        }
        CopiedRoot::Over { lower, .. } => {
            let [upper, work] = [DELTA, WORK].map(|it| dir.join(OVERLAY).join(it));
            let lower = lower.iter().map(|it| text(it)).collect::<Result<_, _>>()?;
            let (upper, work) = (text(&upper)?, text(&work)?);
            (RootSource::Overlay { lower, upper, work }, dir.join(OVERLAY))
        }
    };
    let failed = |errno: Errno| CreateError::Make { path, source: errno.into() };
    let mount = mount_aside(source).map_err(failed)?;
    let path = format!("/proc/{}/fd/{}", std::process::id(), mount.as_raw_fd()).into();
    Ok(Some(ShownRoot { path, _mount: Some(mount) }))
}

fn text(path: &Path) -> Result<CString, CreateError> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_nul| CreateError::NotText(path.to_path_buf()))
}

fn rename(root: &Path, name: &str) -> Result<(), CreateError> {
    match hostname::rename(root, name) {
        // Such as squashfs, which is never written.
        Err(error) if error.raw_os_error() == Some(libc::EROFS) => Ok(()),
        Err(source) => Err(CreateError::Make { path: root.join("etc/hostname"), source }),
        Ok(_) => Ok(()),
    }
}
