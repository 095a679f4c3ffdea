//! AppArmor as far as containers need it: whether this kernel has it, which profiles are loaded,
//! and which one confines a process. Loads and changes no profile.

use std::fs;
use std::io;
use std::path::Path;

use crate::engine::host::Host;

/// LXC's profile for a container whose configuration names none.
pub(in crate::engine) const DEFAULT: &str = "lxc-container-default-cgns";
/// LXC's profile for a container that runs containers itself, or has an init such as systemd.
pub(in crate::engine) const NESTING: &str = "lxc-container-default-with-nesting";
/// The word for no confinement, in a configuration and for the kernel.
pub(in crate::engine) const UNCONFINED: &str = "unconfined";

const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";
const PROFILES: &str = "/sys/kernel/security/apparmor/profiles";

/// Returns whether the kernel uses AppArmor profiles.
pub(in crate::engine) fn is_enabled() -> bool {
    fs::read(ENABLED).is_ok_and(|it| it.starts_with(b"Y"))
}

/// Returns whether `profile` is loaded, where that can be seen: inside another container it cannot.
pub(in crate::engine) fn is_loaded(profile: &str) -> bool {
    let profiles = fs::read_to_string(PROFILES).unwrap_or_default();
    profiles.lines().any(|it| without_mode(it) == profile)
}

/// Returns the profile of the process `pid`; none: it is not confined.
pub(in crate::engine) fn confining(host: &Host, pid: i32) -> io::Result<Option<String>> {
    if !is_enabled() {
        return Ok(None);
    }
    // Before Linux 5.8 there was one file for whichever security module comes first.
    let own = host.of_process(pid, "attr/apparmor/current");
    let label = if Path::new("/proc/self/attr/apparmor").exists() {
        fs::read_to_string(own)?
    } else {
        fs::read_to_string(host.of_process(pid, "attr/current"))?
    };
    let label = without_mode(label.trim_end_matches(['\n', '\0']));
    Ok((label != UNCONFINED).then(|| label.to_owned()))
}

/// Removes what the kernel appends to a name: ` (enforce)`.
fn without_mode(label: &str) -> &str {
    label.rsplit_once(" (").filter(|(_, it)| it.ends_with(')')).map_or(label, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_blanks_and_brackets() {
        for (label, name) in [
            ("lxc-container-default-cgns (enforce)", "lxc-container-default-cgns"),
            ("unconfined", "unconfined"),
            ("a (b) (complain)", "a (b)"),
            ("web//&:lxc-web_<-lxc>:unconfined (enforce)", "web//&:lxc-web_<-lxc>:unconfined"),
        ] {
            assert_eq!(without_mode(label), name);
        }
    }
}
