//! `lxc.seccomp.profile`: the file that it names, compiled for this machine's kernel.

use std::path::Path;

use super::error::{ConfigError, Reason};
use super::include;
use super::settings::{ConfigSettings, blame};
use crate::engine::seccomp::{self, Compiled, Machine};
use crate::engine::sys::filter::FilterInstruction;
use crate::engine::terms::spec::{At, ConfigPlace};

/// A filter, and warnings about what has no effect in the profile.
type ProfileRead = (Option<At<Vec<FilterInstruction>>>, Vec<String>);

/// Compiles the profile. As with LXC, a process that is already under a filter loads none unless
/// `lxc.seccomp.allow_nesting` says so.
pub(super) fn of(settings: &ConfigSettings) -> Result<ProfileRead, ConfigError> {
    let Some(entry) = settings.last("lxc.seccomp.profile") else { return Ok((None, Vec::new())) };
    let file = Path::new(&entry.value);
    if settings.number("lxc.seccomp.allow_nesting") == 0 && is_filtered() {
        let said = format!(
            "the seccomp profile {} is not loaded, since wharf itself runs under a filter; \
             lxc.seccomp.allow_nesting = 1 loads it",
            file.display()
        );
        return Ok((None, vec![said]));
    }
    let compiled = compile(file, &|reason| blame(entry, reason))?;
    let warning =
        |(line, said)| format!("{said} ({})", ConfigPlace { file: file.to_path_buf(), line });
    let warnings = compiled.warnings.into_iter().map(warning).collect();
    Ok((Some(At { value: compiled.program, place: entry.place.clone() }), warnings))
}

/// Compiles the profile that a running container of LXC's names.
pub(in crate::engine) fn of_running(profile: &str) -> Result<Vec<FilterInstruction>, ConfigError> {
    let blame = |reason| ConfigError::of("lxc.seccomp.profile", profile, reason, None);
    compile(Path::new(profile), &blame).map(|it| it.program)
}

fn compile(file: &Path, blame: &dyn Fn(Reason) -> ConfigError) -> Result<Compiled, ConfigError> {
    let (content, _) = include::read(file).map_err(blame)?;
    let text = String::from_utf8(content).map_err(|_bytes| blame(Reason::NotText))?;
    let uname = nix::sys::utsname::uname();
    let uname = uname.map(|it| it.machine().to_string_lossy().into_owned()).unwrap_or_default();
    let machine = Machine::of(&uname).ok_or_else(|| blame(Reason::Machine(uname)))?;
    seccomp::compile(&text, machine).map_err(|error| {
        let fault = Reason::Profile(error.fault.to_string());
        let Some(line) = error.line else { return blame(fault) };
        let place = ConfigPlace { file: file.to_path_buf(), line };
        ConfigError::of(&error.text, "", fault, Some(&place))
    })
}

/// Returns whether this process is under a filter.
fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mode = status.lines().find_map(|it| it.strip_prefix("Seccomp:")).map(str::trim);
    mode.is_some_and(|it| it != "0")
}
