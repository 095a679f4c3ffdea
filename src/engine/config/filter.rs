//! `lxc.seccomp.profile`: the file that it names, compiled for this machine's kernel.

use std::path::Path;

use super::error::{ConfigError, Reason};
use super::include;
use super::settings::{ConfigSettings, blame};
use crate::engine::host::short::text_at_once;
use crate::engine::seccomp::{self, Compiled, Machine};
use crate::engine::sys::filter::FilterInstruction;
use crate::engine::terms::spec::{At, ConfigPlace, NotifySpec};

/// What a profile means.
#[derive(Debug, Default)]
pub(super) struct ProfileRead {
    pub(super) filter: Option<At<Vec<FilterInstruction>>>,
    /// Who decides about some of the calls, if the profile leaves them to others.
    pub(super) notify: Option<NotifySpec>,
    /// About what has no effect in it.
    pub(super) warnings: Vec<String>,
}

const PROXY: &str = "lxc.seccomp.notify.proxy";
/// The longest address of a socket.
const LONGEST: usize = 107;

/// Compiles the profile. As with LXC, a process that is already under a filter loads none unless
/// `lxc.seccomp.allow_nesting` says so.
pub(super) fn of(settings: &ConfigSettings) -> Result<ProfileRead, ConfigError> {
    let proxy = proxy(settings)?;
    let Some(entry) = settings.last("lxc.seccomp.profile") else {
        return Ok(ProfileRead::default());
    };
    let file = Path::new(&entry.value);
    if settings.number("lxc.seccomp.allow_nesting") == 0 && is_filtered() {
        let said = format!(
            "the seccomp profile {} is not loaded, since wharf itself runs under a filter; \
             lxc.seccomp.allow_nesting = 1 loads it",
            file.display()
        );
        return Ok(ProfileRead { warnings: vec![said], ..ProfileRead::default() });
    }
    let compiled = compile(file, &|reason| blame(entry, reason))?;
    let warning =
        |(line, said)| format!("{said} ({})", ConfigPlace { file: file.to_path_buf(), line });
    let mut warnings: Vec<String> = compiled.warnings.into_iter().map(warning).collect();
    if compiled.notifies && proxy.is_none() {
        warnings.push(format!(
            "the calls with the action notify in {} fail with ENOSYS, since {PROXY} is not set",
            file.display()
        ));
    }
    let notify = compiled.notifies.then(|| {
        let cookie = settings.last("lxc.seccomp.notify.cookie").map(|it| it.value.clone());
        NotifySpec { proxy, cookie: cookie.unwrap_or_default() }
    });
    let filter = Some(At { value: compiled.program, place: entry.place.clone() });
    Ok(ProfileRead { filter, notify, warnings })
}

/// Reads the address of who decides about calls: a path, or `@NAME`.
fn proxy(settings: &ConfigSettings) -> Result<Option<String>, ConfigError> {
    let Some(entry) = settings.last(PROXY) else { return Ok(None) };
    let address = entry
        .value
        .strip_prefix("unix:")
        .filter(|it| it.starts_with(['/', '@']) && it.len() > 1 && it.len() <= LONGEST);
    let wrong = || blame(entry, Reason::Expected("unix:/PATH or unix:@NAME, of up to 107 bytes"));
    address.map(|it| Some(it.to_owned())).ok_or_else(wrong)
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
    let status = text_at_once("/proc/self/status").unwrap_or_default();
    let mode = status.lines().find_map(|it| it.strip_prefix("Seccomp:")).map(str::trim);
    mode.is_some_and(|it| it != "0")
}
