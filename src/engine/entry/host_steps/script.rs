//! `lxc.net.N.script.up` and `.down`, run on the host with LXC's arguments and environment.

use std::fmt;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use crate::engine::config::Config;
use crate::engine::sys;
use crate::engine::terms::nic::{Nic, NicKind};
use crate::engine::terms::shown::shown;
use crate::engine::terms::spec::Spec;

/// How long a script may run: a start must end.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of what it says is read.
const MOST: u64 = 64 * 1024;

/// The scripts of one interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct NetScript {
    up: Option<String>,
    down: Option<String>,
    container: String,
    /// The type, the host's interface and the host's end of a pair.
    about: Vec<String>,
    environment: Vec<(String, String)>,
    /// By arguments as up to LXC 2.1, else by the environment.
    by_arguments: bool,
}

impl NetScript {
    /// Returns those of `nic`, if it has any.
    pub(super) fn of(
        nic: &Nic,
        peer: Option<String>,
        spec: &Spec,
        config: &Config,
    ) -> Option<Self> {
        if nic.script_up.is_none() && nic.script_down.is_none() {
            return None;
        }
        let by_arguments = config.get("lxc.hook.version").is_none_or(|it| it != "1");
        let link = nic.link.clone();
        let mut environment = vec![
            ("LXC_NAME", spec.name.as_str().to_owned()),
            ("LXC_CONFIG_FILE", config.file().to_string_lossy().into_owned()),
            ("LXC_ROOTFS_PATH", config.get("lxc.rootfs.path").unwrap_or_default()),
            ("LXC_CGNS_AWARE", "1".to_owned()),
            ("LXC_LOG_LEVEL", config.get("lxc.log.level").unwrap_or_default()),
            ("LXC_HOOK_VERSION", if by_arguments { "0" } else { "1" }.to_owned()),
        ];
        if !by_arguments {
            environment.push(("LXC_HOOK_SECTION", "net".to_owned()));
            environment.push(("LXC_NET_TYPE", nic.type_name().to_owned()));
            if matches!(nic.kind, NicKind::Veth(_) | NicKind::Macvlan(_) | NicKind::Phys) {
                environment.push(("LXC_NET_PARENT", link.clone().unwrap_or_default()));
            }
            environment.extend(peer.clone().map(|it| ("LXC_NET_PEER", it)));
        }
        let environment = environment.into_iter().map(|(key, it)| (key.to_owned(), it)).collect();
        let kind = nic.type_name().to_owned();
        let about = std::iter::once(kind).chain(link).chain(peer).collect();
        let (up, down) = (nic.script_up.clone(), nic.script_down.clone());
        let container = spec.name.as_str().to_owned();
        Some(Self { up, down, container, about, environment, by_arguments })
    }

    pub(super) fn run_up(&self) -> io::Result<()> {
        self.up.as_ref().map_or(Ok(()), |it| self.run(it, "up"))
    }

    /// What is left must be undone whatever the script says.
    pub(super) fn run_down(&self) {
        if let Some(script) = &self.down {
            _ = self.run(script, "down");
        }
    }

    fn run(&self, script: &str, moment: &str) -> io::Result<()> {
        let mut said = std::fs::File::from(memfd_create(c"script", MFdFlags::MFD_CLOEXEC)?);
        let child = Command::new("/bin/sh")
            .args(["-c", &self.line(script, moment)])
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .envs((!self.by_arguments).then_some(("LXC_HOOK_TYPE", moment)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.try_clone()?)
            .spawn()?;
        let status = wait(child)?;
        if status.success() {
            return Ok(());
        }
        let mut text = Vec::new();
        said.rewind()?;
        said.take(MOST).read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        let last = text.lines().last().map_or_else(String::new, |it| format!(": {}", shown(it)));
        Err(io::Error::other(format!("{status}{last}")))
    }

    fn line(&self, script: &str, moment: &str) -> String {
        if !self.by_arguments {
            return format!("exec {script}");
        }
        format!("exec {script} {} net {moment} {}", self.container, self.about.join(" "))
    }
}

/// Waits for the script; one that takes too long is killed.
fn wait(mut child: Child) -> io::Result<std::process::ExitStatus> {
    let pidfd = sys::pidfd_open(child.id() as i32)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], left) {
            Err(Errno::EINTR) => (),
            Err(errno) => return Err(errno.into()),
            Ok(0) => {
                child.kill()?;
                child.wait()?;
                let seconds = PATIENCE.as_secs();
                return Err(io::Error::other(format!("did not end within {seconds} s")));
            }
            Ok(_) => return child.wait(),
        }
    }
}

impl fmt::Display for NetScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.up, &self.down) {
            (Some(up), _) => write!(f, "run {}", shown(up)),
            (None, down) => {
                write!(f, "run {} at the end", shown(down.as_deref().unwrap_or_default()))
            }
        }
    }
}
