//! Maps the users of a process for a supervisor without root, which may map only itself: by the
//! setuid programs that check what the host allots to its user; see newuidmap(1).

use std::io;
use std::process::Command;

use super::LaunchError;
use crate::engine::entry::plan::{Step, UserStep};
use crate::engine::entry::script::run_to_its_end;
use crate::engine::terms::idmap::{IdKind, IdMap};
use crate::engine::terms::spec::At;

/// Carries out the step for `pid`, a child of this process that is not reaped yet, if it maps users
/// and this process is not root. Returns whether it did.
pub(super) fn by_ordinary_user(step: Option<&Step>, pid: i32) -> Result<bool, LaunchError> {
    let Some(Step::Users(UserStep::Map(At { value, place }))) = step else { return Ok(false) };
    if nix::unistd::geteuid().is_root() {
        return Ok(false);
    }
    write(pid, value).map_err(|source| LaunchError::map(source, place.as_ref()))?;
    Ok(true)
}

/// Maps the users of a child of this process: itself if it is root, else by the host's programs.
pub(in crate::engine) fn map_users(pid: i32, map: &IdMap) -> io::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return write(pid, map);
    }
    std::fs::write(format!("/proc/{pid}/uid_map"), map.text(IdKind::User))?;
    std::fs::write(format!("/proc/{pid}/gid_map"), map.text(IdKind::Group))
}

fn write(pid: i32, map: &IdMap) -> io::Result<()> {
    for kind in [IdKind::User, IdKind::Group] {
        let program = kind.mapper();
        let ids = map.text(kind);
        let mut command = Command::new(program);
        command.arg(pid.to_string()).args(ids.split_whitespace());
        run_to_its_end(&mut command)
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    }
    Ok(())
}
