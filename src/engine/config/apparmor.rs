//! `lxc.apparmor.*`: by which profile a container is confined, and the text of one that is made for
//! it alone. Loads none.

mod rules;

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::error::{ConfigError, Reason};
use super::settings::ConfigSettings;
use crate::engine::host::apparmor;
use crate::engine::host::lxcpath::fnv64;
use crate::engine::terms::label::{Label, OwnProfile, SecurityModule};
use crate::engine::terms::name::Name;
use crate::engine::terms::spec::At;
use rules::Rules;

/// The word for a profile that is made from the rest of the configuration.
pub(super) const GENERATED: &str = "generated";
/// The word for whatever confines wharf.
const UNCHANGED: &str = "unchanged";
/// As long as LXC lets a name be, with what it may be followed by.
const LONGEST: usize = 246;

/// A container's profile, and what is needed to load it if it is its own.
#[derive(Debug, Default)]
pub(super) struct Confining {
    pub(super) label: Option<At<Label>>,
    pub(super) own: Option<At<OwnProfile>>,
}

/// Chooses the container's profile, as LXC does; but if the default profile is not loaded, a
/// container whose configuration names none still starts.
pub(super) fn of(
    settings: &ConfigSettings,
    name: &Name,
    lxcpath: &Path,
) -> Result<Confining, ConfigError> {
    let entry = settings.last("lxc.apparmor.profile");
    let (value, place) = match entry {
        _ if !apparmor::is_enabled() => return Ok(Confining::default()),
        Some(it) => (it.value.as_str(), it.place.clone()),
        None if apparmor::is_loaded(apparmor::DEFAULT) => (apparmor::DEFAULT, None),
        None => return Ok(Confining::default()),
    };
    if [apparmor::UNCONFINED, UNCHANGED].contains(&value) {
        return Ok(Confining::default());
    }
    if settings.number("lxc.apparmor.allow_incomplete") == 0 && !apparmor::mediates_mounts() {
        let (key, place) = ("lxc.apparmor.profile", place.as_ref());
        return Err(ConfigError::of(key, value, Reason::Incomplete, place));
    }
    if value == GENERATED {
        let own = own(settings, name, lxcpath);
        let label = Some(At { value: own.label(), place: place.clone() });
        return Ok(Confining { label, own: Some(At { value: own, place }) });
    }
    let label = Label { module: SecurityModule::AppArmor, name: value.to_owned() };
    Ok(Confining { label: Some(At { value: label, place }), own: None })
}

/// Returns whether the profile is to be made, by a program that this host does not have.
pub(super) fn lacks_parser(value: &str) -> bool {
    value == GENERATED && apparmor::is_enabled() && apparmor::parser().is_none()
}

fn own(settings: &ConfigSettings, name: &Name, lxcpath: &Path) -> OwnProfile {
    let name = full_name(name, lxcpath);
    let namespace = apparmor::can_stack().then(|| namespace_of(&name, lxcpath));
    let rules = Rules {
        name: &name,
        namespace: namespace.as_deref(),
        nests: settings.number("lxc.apparmor.allow_nesting") != 0,
        users: settings.last("lxc.idmap").is_some() || apparmor::has_own_users(),
        mediates_users: apparmor::mediates_users(),
        raw: settings.all("lxc.apparmor.raw").map(|it| it.value.as_str()).collect(),
    };
    let text = rules.text();
    OwnProfile { name, namespace, text }
}

/// Names the namespace of a profile as LXC does, with other signs for slashes. Where the path has
/// such signs itself, another one would have the same name, so that a hash tells them apart.
fn namespace_of(name: &str, lxcpath: &Path) -> String {
    let path = lxcpath.as_os_str().as_bytes();
    if path.contains(&b'-') && name.contains('/') {
        return format!("lxc-{:016x}", fnv64(name.as_bytes()));
    }
    name.replace('/', "-")
}

/// Names the profile as LXC does, by container and lxcpath. One that is too long is a hash; so is
/// one with characters that mean something in a profile.
fn full_name(name: &Name, lxcpath: &Path) -> String {
    let parts = [b"lxc-", name.as_str().as_bytes(), b"_<", lxcpath.as_os_str().as_bytes(), b">"];
    let whole = parts.concat();
    let is_plain = |it: &u8| it.is_ascii_alphanumeric() || b"/_<>.-+@~,=".contains(it);
    if whole.len() > LONGEST || !whole.iter().all(is_plain) {
        return format!("{:016x}", fnv64(&whole));
    }
    String::from_utf8_lossy(&whole).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_named_by_container_and_lxcpath() {
        let name: Name = "web".parse().unwrap();
        assert_eq!(full_name(&name, Path::new("/var/lib/lxc")), "lxc-web_</var/lib/lxc>");
        for odd in ["/srv/a b", "/srv/\"", "/srv/*", "/srv/{a}", "/srv/a\\", &"/long".repeat(60)] {
            let hashed = full_name(&name, Path::new(odd));
            assert!(hashed.len() == 16 && hashed.bytes().all(|it| it.is_ascii_hexdigit()), "{odd}");
        }
    }

    #[test]
    fn no_two_profiles_have_one_namespace() {
        let of = |lxcpath: &str| {
            let lxcpath = Path::new(lxcpath);
            namespace_of(&full_name(&"web".parse().unwrap(), lxcpath), lxcpath)
        };
        assert_eq!(of("/var/lib/lxc"), "lxc-web_<-var-lib-lxc>");
        assert_ne!(of("/srv/a/b"), of("/srv/a-b"));
        assert_ne!(of("/srv/a-b/c"), of("/srv/a/b-c"));
    }

    #[test]
    fn a_profile_of_its_own_is_stacked_on_its_namespace() {
        let own = |namespace: Option<&str>| OwnProfile {
            name: "lxc-web_</lxc>".to_owned(),
            namespace: namespace.map(str::to_owned),
            text: String::new(),
        };
        assert_eq!(own(None).label().name, "lxc-web_</lxc>");
        let stacked = own(Some("lxc-web_<-lxc>")).label().name;
        assert_eq!(stacked, "lxc-web_</lxc>//&:lxc-web_<-lxc>:");
    }
}
