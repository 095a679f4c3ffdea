//! AppArmor as far as containers need it: whether this kernel has it, which profiles are loaded,
//! and which one confines a process. Changes no profile, and unloads one that a container had for itself.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::engine::host::Host;

/// LXC's profile for a container whose configuration names none.
pub(in crate::engine) const DEFAULT: &str = "lxc-container-default-cgns";
/// The word for no confinement, in a configuration and for the kernel.
pub(in crate::engine) const UNCONFINED: &str = "unconfined";

const ENABLED: &str = "/sys/module/apparmor/parameters/enabled";
const FILES: &str = "/sys/kernel/security/apparmor";
/// By which a thread asks for a profile; before Linux 5.8 there was one file for all security modules.
const OWN: [&str; 2] =
    ["/proc/thread-self/attr/apparmor/current", "/proc/thread-self/attr/current"];
/// Where the program that loads profiles may be. It is not looked for along the PATH of whoever
/// starts a container.
const PROGRAMS: [&str; 5] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin"];
/// The first version of its rules in which one profile can be stacked on another.
const STACKING: (u32, u32) = (1, 2);
/// The first version of the program that loads profiles whose rules can allow user namespaces.
const USERS: (u32, u32) = (4, 0);
/// What `/proc/self/uid_map` says outside of all user namespaces.
const ALL_USERS: [&str; 3] = ["0", "0", "4294967295"];

/// Returns whether the kernel uses AppArmor profiles.
pub(in crate::engine) fn is_enabled() -> bool {
    fs::read(ENABLED).is_ok_and(|it| it.starts_with(b"Y"))
}

/// Returns whether `profile` is loaded, where that can be seen: inside another container it cannot.
pub(in crate::engine) fn is_loaded(profile: &str) -> bool {
    match fs::read_to_string(Path::new(FILES).join("profiles")) {
        Ok(profiles) => profiles.lines().any(|it| without_mode(it) == profile),
        // An ordinary user may not read them, but may ask for one.
        Err(_) => !nix::unistd::geteuid().is_root() && would_take(profile),
    }
}

/// Returns whether the kernel would confine this thread by `profile`.
fn would_take(profile: &str) -> bool {
    let own = OWN.iter().map(Path::new).find(|it| it.exists());
    let asked = format!("permprofile {profile}");
    own.is_some_and(|it| fs::write(it, &asked).is_ok())
}

/// Returns whether it decides about mounts, without which a container can escape from a profile.
pub(in crate::engine) fn mediates_mounts() -> bool {
    Path::new(FILES).join("features/mount/mask").exists()
}

/// Returns whether a container can have profiles of its own, below one of the host's. If wharf's
/// own profile is such a stack, it cannot.
pub(in crate::engine) fn can_stack() -> bool {
    let version = feature("features/domain/version");
    let version = version.trim().split_once('.');
    let version = version.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    feature("features/domain/stack") == "yes\n"
        && version.is_some_and(|it: (u32, u32)| it >= STACKING)
        && feature(".ns_stacked") != "yes\n"
}

/// Returns whether a profile has to allow user namespaces, which are denied otherwise: that is so where
/// the kernel decides about them and the program that loads profiles knows of it.
pub(in crate::engine) fn mediates_users() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    let mask = feature("features/namespaces/mask");
    mask.split_whitespace().any(|it| it == "userns_create")
        && *KNOWN.get_or_init(|| parser_version().is_some_and(|it| it >= USERS))
}

/// Asks the program that loads profiles for its major and minor version.
fn parser_version() -> Option<(u32, u32)> {
    let output = Command::new(parser()?).arg("--version").env_clear().output().ok()?;
    version_in(&String::from_utf8_lossy(&output.stdout))
}

/// Finds the version in what it says: `AppArmor parser version 4.1.0` and a copyright.
fn version_in(text: &str) -> Option<(u32, u32)> {
    let version = text.lines().next()?.rsplit(' ').next()?;
    let mut numbers = version.split(|it: char| !it.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn feature(name: &str) -> String {
    fs::read_to_string(Path::new(FILES).join(name)).unwrap_or_default()
}

/// Returns whether wharf is in a user namespace, whose root is not the host's.
pub(in crate::engine) fn has_own_users() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_whitespace().eq(ALL_USERS)
}

/// Returns the program that loads profiles, if it is installed.
pub(in crate::engine) fn parser() -> Option<PathBuf> {
    PROGRAMS.into_iter().map(|it| Path::new(it).join("apparmor_parser")).find(|it| it.exists())
}

/// Returns the directory that is the namespace of profiles called `name`.
pub(in crate::engine) fn namespace(name: &str) -> PathBuf {
    Path::new(FILES).join("policy/namespaces").join(name)
}

/// Unloads a profile.
pub(in crate::engine) fn unload(profile: &str) -> io::Result<()> {
    fs::File::options()
        .write(true)
        .open(Path::new(FILES).join(".remove"))?
        .write_all(profile.as_bytes())
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

    #[test]
    fn the_version_is_found_in_what_the_program_says() {
        for (text, version) in [
            ("AppArmor parser version 4.1.0\nCopyright (C) 1999-2008 Novell Inc.\n", Some((4, 1))),
            ("AppArmor parser version 3.0.8\n", Some((3, 0))),
            ("AppArmor parser version 4.0.0~beta3", Some((4, 0))),
            ("no version", None),
            ("", None),
        ] {
            assert_eq!(version_in(text), version, "{text}");
        }
    }
}
