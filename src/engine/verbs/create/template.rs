//! Finds LXC's template programs, and runs them without a shell.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::engine::terms::error::words;
use crate::engine::terms::name::Name;
use crate::engine::terms::shown::shown_bytes;

/// Where LXC installs them, as `lxc-NAME`.
const DIRECTORY: &str = "/usr/share/lxc/templates";
/// How many lines of a failed template's output are reported.
const LAST_LINES: usize = 5;

/// Why a template failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum TemplateError {
    #[error(
        "there is no template {name}: {path} does not exist; give a path, or install LXC's templates"
    )]
    Missing { name: String, path: PathBuf },
    #[error("{0:?} is not a template: give an absolute path, or a name without /")]
    Name(String),
    #[error("run template {path}: {}", words(source))]
    Run { path: PathBuf, source: io::Error },
    #[error("template {path} failed ({status}): {said}")]
    Failed { path: PathBuf, status: ExitStatus, said: String },
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
pub(super) fn run(
    program: &Path,
    name: &Name,
    dir: &Path,
    args: &[String],
) -> Result<(), TemplateError> {
    let output = Command::new(program)
        .arg(format!("--path={}", dir.display()))
        .arg(format!("--name={name}"))
        .arg(format!("--rootfs={}", dir.join("rootfs").display()))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| TemplateError::Run { path: program.to_path_buf(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    Err(TemplateError::Failed {
        path: program.to_path_buf(),
        status: output.status,
        said: last_lines(said),
    })
}

fn last_lines(said: &[u8]) -> String {
    let lines: Vec<&[u8]> = said.split(|it| *it == b'\n').filter(|it| !it.is_empty()).collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LAST_LINES));
    let last: Vec<String> = last.map(|it| shown_bytes(it)).collect();
    if last.is_empty() { "it printed nothing".to_owned() } else { last.join("; ") }
}
