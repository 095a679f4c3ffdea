//! Finds LXC's template programs, and runs them without a shell.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::engine::host::identity;
use crate::engine::sys;
use crate::engine::terms::error::words;
use crate::engine::terms::feature;
use crate::engine::terms::name::Name;
use crate::engine::terms::progress::Progress;
use crate::engine::terms::shown::shown_bytes;

/// Where LXC installs them, as `lxc-NAME`.
const DIRECTORY: &str = "/usr/share/lxc/templates";
/// How many lines of a failed template's output are reported.
const LAST_LINES: usize = 5;
/// How often to check whether it was cancelled.
const LOOK: Duration = Duration::from_millis(100);
/// How long a cancelled one has to remove what it has mounted.
const GRACE: Duration = Duration::from_secs(5);

/// Why a template failed.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine::verbs) enum TemplateError {
    #[error(
        "there is no template {name}: {path} does not exist; give a path, or {}",
        feature::TEMPLATES.remedy
    )]
    Missing { name: String, path: PathBuf },
    #[error("{0:?} is not a template: give an absolute path, or a name without /")]
    Name(String),
    #[error("run template {path}: {}", words(source))]
    Run { path: PathBuf, source: io::Error },
    #[error("template {path} failed ({status}): {said}")]
    Failed { path: PathBuf, status: ExitStatus, said: String },
    #[error(
        "template {0} asks a question on the terminal, where nobody can answer it; pass what it asks \
         for as its arguments, after --"
    )]
    Asks(PathBuf),
    #[error("cancelled; nothing is left")]
    Cancelled,
}

/// How a template ended.
pub(super) enum TemplateEnd {
    Exited(ExitStatus),
    /// It was stopped, being in the background, when it used the terminal.
    Asked,
}

/// Finds the program: an absolute path as it is, else `lxc-NAME` in LXC's directory.
pub(super) fn find(name: &str) -> Result<PathBuf, TemplateError> {
    let path = if name.starts_with('/') {
        PathBuf::from(name)
    } else if name.is_empty() || name.contains('/') {
        return Err(TemplateError::Name(name.to_owned()));
    } else {
        Path::new(DIRECTORY).join(format!("lxc-{name}"))
    };
    if path.is_file() {
        Ok(path)
    } else {
        Err(TemplateError::Missing { name: name.to_owned(), path })
    }
}

/// Runs it on `dir`, with the arguments that LXC passes.
pub(in crate::engine::verbs) fn run(
    program: &Path,
    name: &Name,
    dir: &Path,
    args: &[String],
    progress: &Progress,
) -> Result<(), TemplateError> {
    let mut command = Command::new(program);
    command
        .arg(format!("--path={}", dir.display()))
        .arg(format!("--name={name}"))
        .arg(format!("--rootfs={}", dir.join("rootfs").display()))
        .args(args)
        .stdin(Stdio::null());
    progress.begin("running the template", 0);
    let failed = |source| TemplateError::Run { path: program.to_path_buf(), source };
    let (end, said) = watch(&mut command, progress).map_err(failed)?;
    let status = match end {
        TemplateEnd::Exited(status) if status.success() => return Ok(()),
        TemplateEnd::Exited(status) => status,
        TemplateEnd::Asked => return Err(TemplateError::Asks(program.to_path_buf())),
    };
    if progress.is_cancelled() {
        return Err(TemplateError::Cancelled);
    }
    let (path, said) = (program.to_path_buf(), last_lines(&said));
    Err(TemplateError::Failed { path, status, said })
}

/// Waits for a program, with everything that it starts, and ends them if that is cancelled. Returns
/// what it printed, errors rather than output.
pub(super) fn watch(
    command: &mut Command,
    progress: &Progress,
) -> io::Result<(TemplateEnd, Vec<u8>)> {
    let file = || io::Result::Ok(File::from(memfd_create(c"template", MFdFlags::MFD_CLOEXEC)?));
    let [mut output, mut errors] = [file()?, file()?];
    command.stdout(output.try_clone()?).stderr(errors.try_clone()?).process_group(0);
    let mut child = command.spawn()?;
    let end = attend(&mut child, progress);
    if end.is_err() {
        // It may have ended meanwhile.
        _ = child.kill();
    }
    let mut said = Vec::new();
    for file in [&mut errors, &mut output] {
        if said.is_empty() {
            file.rewind()?;
            file.read_to_end(&mut said)?;
        }
    }
    Ok((end?, said))
}

fn attend(child: &mut Child, progress: &Progress) -> io::Result<TemplateEnd> {
    let pidfd = sys::pidfd_open(child.id() as i32)?;
    let group = Pid::from_raw(child.id() as i32);
    let mut asks = false;
    while !progress.is_cancelled() && !asks && !identity::has_ended(pidfd.as_fd(), LOOK)? {
        asks = is_stopped_by_terminal(group);
    }
    if progress.is_cancelled() || asks {
        // None matters if nobody is left.
        _ = killpg(group, Signal::SIGTERM);
        _ = killpg(group, Signal::SIGCONT);
        identity::has_ended(pidfd.as_fd(), GRACE)?;
        _ = killpg(group, Signal::SIGKILL);
    }
    let status = child.wait()?;
    Ok(if asks { TemplateEnd::Asked } else { TemplateEnd::Exited(status) })
}

/// Returns whether a child that is not the terminal's foreground is stopped because it has used that.
fn is_stopped_by_terminal(child: Pid) -> bool {
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let stopped = waitid(Id::Pid(child), flags);
    matches!(stopped, Ok(WaitStatus::Stopped(_, Signal::SIGTTIN | Signal::SIGTTOU)))
}

pub(super) fn last_lines(said: &[u8]) -> String {
    let lines: Vec<&[u8]> = said.split(|it| *it == b'\n').filter(|it| !it.is_empty()).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
    let last: Vec<String> = last.map(|it| shown_bytes(it)).collect();
    if last.is_empty() { "it printed nothing".to_owned() } else { last.join("; ") }
}
