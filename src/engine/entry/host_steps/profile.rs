//! The AppArmor profile that a container has for itself: loaded for a start, and unloaded at the
//! end. The kernel's own file removes it, so that needs no program.

use std::fs;
use std::io::{self, Seek as _, Write as _};
use std::path::PathBuf;
use std::process::Command;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::engine::entry::script::run_to_its_end;
use crate::engine::host::apparmor;
use crate::engine::terms::label::OwnProfile;

/// Loads it in place of one that a killed run has left.
pub(in crate::engine) fn load(profile: &OwnProfile) -> io::Result<()> {
    if let Some(namespace) = namespace(profile) {
        match fs::create_dir(namespace) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => (),
        }
    }
    let parser = apparmor::parser().ok_or_else(|| io::Error::other("no apparmor_parser"))?;
    let mut text = fs::File::from(memfd_create(c"profile", MFdFlags::MFD_CLOEXEC)?);
    text.write_all(profile.text.as_bytes())?;
    text.rewind()?;
    let mut command = Command::new(parser);
    command.args(["--replace", "--skip-cache"]).stdin(text);
    run_to_its_end(&mut command)
}

/// Unloads it, and whatever the container has loaded into its namespace.
pub(in crate::engine) fn unload(profile: &OwnProfile) -> io::Result<()> {
    let removed = namespace(profile).map_or(Ok(()), fs::remove_dir);
    absent_is_fine(removed)?;
    absent_is_fine(apparmor::unload(&profile.name))
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn namespace(profile: &OwnProfile) -> Option<PathBuf> {
    profile.namespace.as_deref().map(apparmor::namespace)
}
