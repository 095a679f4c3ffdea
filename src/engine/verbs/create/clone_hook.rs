//! What completes a copy before anybody can see it: `lxc.hook.clone`, and the host name in an image.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;

use super::copied_root::{CopiedRoot, DELTA, OVERLAY, WORK};
use super::copy::Copy;
use super::packed::IMAGE;
use super::{CreateError, Creation, ROOTFS, is_root};
use crate::engine::config::{self, Config};
use crate::engine::entry::perform::mount_aside;
use crate::engine::entry::plan::RootSource;
use crate::engine::entry::script::{self, Script, Section};
use crate::engine::image::{ImageError, hostname};
use crate::engine::sys;
use crate::engine::terms::spec::{Hooks, ROOT_MOUNT};

/// Where the files of a copy are while it is completed, and what must be mounted there for it.
struct ShownRoot {
    path: PathBuf,
    mount: Option<OwnedFd>,
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
        let renames = matches!(root, CopiedRoot::Image(_)) && is_root() && !copy.keeps_name;
        if commands.is_empty() && !renames {
            return Ok(Vec::new());
        }
        let shown = match shown(root, dir) {
            Ok(Some(shown)) => shown,
            Ok(None) => {
                return Ok(vec![
                    "lxc.hook.clone was not run: it has no root of its own".to_owned(),
                ]);
            }
            Err(error) if commands.is_empty() => {
                return Ok(vec![format!("the host name in its image was not changed: {error}")]);
            }
            Err(error) => return Err(error),
        };
        let ShownRoot { path, mount } = shown;
        let hooks = self.hooks(config, copy, &path, dir);
        let work = || {
            for command in commands.lines() {
                let name = self.name.as_str();
                let mut hook = Script::new(Section::Container, "clone", command, name, &hooks);
                hook.about.clone_from(&copy.hook_arguments);
                self.run_hook(&hook, config)?;
            }
            if renames { rename(&path, self.name.as_str()) } else { Ok(()) }
        };
        match mount {
            Some(mount) => apart(mount, &path, work)?,
            None => work()?,
        }
        self.check_again(dir)?;
        Ok(Vec::new())
    }

    fn run_hook(&self, hook: &Script, config: &Config) -> Result<(), CreateError> {
        let ran = if is_root() {
            script::run_line(&hook.line(), &hook.environment, script::HOUR, self.progress)
        } else {
            let ran = self.run_as_users(hook, config.raw());
            ran.map_err(|error| io::Error::other(error.to_string()))
        };
        // It was killed, or has ended just before: nobody wants the copy any more.
        if self.progress.is_cancelled() {
            return Err(CreateError::Image(ImageError::Cancelled));
        }
        ran.map_err(|source| CreateError::Hook { hook: hook.to_string(), source })
    }

    /// What LXC tells them. Version 1 takes it from the environment alone.
    fn hooks(&self, config: &Config, copy: &Copy, mounted: &Path, dir: &Path) -> Hooks {
        let text = |it: &Path| it.to_string_lossy().into_owned();
        let file = dir.join("config");
        let root = config::load(self.name, self.store.lxcpath(), Some(&file), &[]);
        let root = root.ok().and_then(|it| it.written_root().map(typed)).unwrap_or_default();
        // With LXC it is already where it will be. Here it is not, and only what is there can be used.
        let within = |it: &Path| format!("{}/", text(it));
        let root = root.replace(&within(&self.store.spelled(self.name)), &within(dir));
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
            return Ok(Some(ShownRoot { path: dir.join(ROOTFS), mount: None }));
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
    Ok(Some(ShownRoot { path: dir.join(ROOTFS), mount: Some(mount) }))
}

/// Does `work` where `mount` is at `place` for it and for what it runs alone: in a mount namespace
/// that ends with them, so that a kill leaves no mount. A hook needs a place with a real name: a
/// mount that is nowhere is `/` for whoever asks what its path is.
fn apart(
    mount: OwnedFd,
    place: &Path,
    work: impl FnOnce() -> Result<(), CreateError> + Send,
) -> Result<(), CreateError> {
    let failed = |errno: Errno| CreateError::Make { path: place.into(), source: errno.into() };
    std::thread::scope(|scope| {
        let apart = || {
            attach(mount, place).map_err(failed)?;
            work()
        };
        let thread = std::thread::Builder::new().spawn_scoped(scope, apart);
        let thread =
            thread.map_err(|source| CreateError::Make { path: "a thread".into(), source })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Gives this thread a mount namespace, with `new` at `place` in it.
fn attach(new: OwnedFd, place: &Path) -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none = None::<&Path>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let place = open(place, flags, Mode::empty())?;
    sys::move_mount(new.as_fd(), place.as_fd())
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
