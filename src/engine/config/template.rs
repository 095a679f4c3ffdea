//! What wharf brings along for new configurations: the templates that `-f NAME` finds, and its own
//! defaults, which complete what a file does not set. Touches no file.

use std::path::{Component, Path};

use super::{Config, ConfigErrors, parse};
use crate::engine::terms::name::Name;

/// The configuration that a new container starts from: everything denied, then allowed line by
/// line.
pub(super) const DEFAULT: &str = include_str!("../../../assets/default.conf");
/// What a container needs beyond it, or instead of it, to boot a system.
const SYSTEM: &str = include_str!("../../../assets/system.conf");

/// A configuration that wharf brings along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template {
    /// The word that `-f` takes.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub about: &'static str,
    text: &'static str,
}

/// Every template, in alphabetical order.
#[rustfmt::skip]
pub const TEMPLATES: [Template; 7] = [
    template("complex", "a bridge port, a macvlan and a host interface", include_str!("../../../assets/templates/complex.conf")),
    template("empty-netns", "only a loopback", include_str!("../../../assets/templates/empty-netns.conf")),
    template("macvlan", "own address at the host's eth0", include_str!("../../../assets/templates/macvlan.conf")),
    template("no-netns", "the host's network itself", include_str!("../../../assets/templates/no-netns.conf")),
    template("phys", "the host's eth0, lent", include_str!("../../../assets/templates/phys.conf")),
    template("veth", "a port of the bridge br0", include_str!("../../../assets/templates/veth.conf")),
    template("vlan", "VLAN 1234 of the host's eth0", include_str!("../../../assets/templates/vlan.conf")),
];

const fn template(name: &'static str, about: &'static str, text: &'static str) -> Template {
    Template { name, about, text }
}

impl Template {
    /// Finds the template that `-f` names. A file of the same name is meant by `./NAME`.
    pub fn named(file: &Path) -> Option<&'static Self> {
        TEMPLATES.iter().find(|it| Path::new(it.name) == file)
    }
}

/// Returns whether `-f` may have meant a template: a path names a file.
pub(super) fn is_word(file: &Path) -> bool {
    let mut parts = file.components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}

/// Lists the templates for a message.
pub(super) fn list() -> String {
    TEMPLATES.map(|it| it.name).join(", ")
}

/// What the container is for, which decides what wharf's defaults allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// One program and its children.
    #[default]
    Application,
    /// A system with its own init.
    System,
}

/// A configuration to complete, and how the result names where it is from.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Given<'a> {
    pub(in crate::engine) content: &'a [u8],
    pub(in crate::engine) from: &'a str,
}

/// Who a configuration is for.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Place<'a> {
    pub(in crate::engine) name: &'a Name,
    pub(in crate::engine) lxcpath: &'a Path,
    /// The file that errors name.
    pub(in crate::engine) file: &'a Path,
}

impl Place<'_> {
    fn parse(&self, content: &[u8]) -> Result<Config, ConfigErrors> {
        parse(self.name, self.lxcpath, content, self.file, &[])
    }
}

/// Composes wharf's configuration for `purpose` around `theirs`: each of wharf's own lines is
/// there, with the comment that explains it, unless `theirs` sets the same.
pub(in crate::engine) fn compose(
    place: Place<'_>,
    theirs: Option<Given<'_>>,
    purpose: Purpose,
) -> Result<Vec<u8>, ConfigErrors> {
    let own: &[(&str, &str)] = match purpose {
        Purpose::Application => &[(DEFAULT, "")],
        Purpose::System => &[(SYSTEM, "What a system with its own init needs"), (DEFAULT, "")],
    };
    let first = own.first().map_or(DEFAULT, |(text, _)| text);
    let mut content = first.split("\n\n").next().unwrap_or_default().as_bytes().to_vec();
    content.push(b'\n');
    if let Some(Given { content: theirs, from }) = theirs {
        content.extend_from_slice(format!("\n# From {from}:\n").as_bytes());
        content.extend_from_slice(theirs);
        if !content.ends_with(b"\n") {
            content.push(b'\n');
        }
    }
    for (at, (text, title)) in own.iter().enumerate() {
        let title = match (at, theirs) {
            (0, None) => None,
            (_, _) if !title.is_empty() => Some(*title),
            (0, Some(_)) => Some("wharf's own defaults for what that file does not set"),
            (_, _) => Some("wharf's own defaults for what the lines above do not set"),
        };
        let so_far = place.parse(&content)?;
        content.extend_from_slice(&rest_of(text, &so_far, title));
    }
    Ok(content)
}

/// Returns the paragraphs of `own` after the first without what `theirs` sets already.
fn rest_of(own: &str, theirs: &Config, title: Option<&str>) -> Vec<u8> {
    let mut content = title.map_or_else(String::new, |it| format!("\n# {it}:\n"));
    for paragraph in own.split("\n\n").skip(1) {
        let lines: Vec<&str> = paragraph.lines().filter(|it| !says_already(theirs, it)).collect();
        if lines.iter().any(|it| !it.starts_with('#')) {
            content.push('\n');
            content.extend(lines.iter().flat_map(|it| [it, "\n"]));
        }
    }
    content.into_bytes()
}

/// Returns whether the file itself sets what `line` sets. Mounts add up: those of wharf hide
/// information about the host, whatever else is mounted.
fn says_already(theirs: &Config, line: &str) -> bool {
    key_of(line.as_bytes()).is_some_and(|key| key != "lxc.mount.entry" && theirs.speaks_of(key))
}

/// Returns the key that a line sets.
pub(in crate::engine) fn key_of(line: &[u8]) -> Option<&str> {
    let line = str::from_utf8(line).ok()?.trim();
    let (key, _) = line.split_once('=')?;
    key.starts_with("lxc.").then(|| key.trim())
}

/// Returns the whole configuration that the word stands for: the template with wharf's defaults.
pub(super) fn whole(place: Place<'_>, template: &Template) -> Result<Vec<u8>, ConfigErrors> {
    of_template(place, template, Purpose::Application)
}

/// The same for a purpose.
pub(in crate::engine) fn of_template(
    place: Place<'_>,
    template: &Template,
    purpose: Purpose,
) -> Result<Vec<u8>, ConfigErrors> {
    let from = format!("wharf's template {}", template.name);
    let theirs = Given { content: template.text.as_bytes(), from: &from };
    compose(place, Some(theirs), purpose)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::terms::space::Space;
    use crate::engine::terms::spec::{AutoMode, Capabilities};

    fn composed(theirs: Option<&str>, purpose: Purpose) -> Config {
        let name = "web".parse().unwrap();
        let place = Place { name: &name, lxcpath: Path::new("/lxc"), file: Path::new("made") };
        let theirs = theirs.map(|it| Given { content: it.as_bytes(), from: "x.conf" });
        place.parse(&compose(place, theirs, purpose).unwrap()).unwrap()
    }

    #[test]
    fn without_a_file_the_defaults_stay_as_they_are() {
        let composed = composed(None, Purpose::Application);
        assert_eq!(String::from_utf8_lossy(composed.raw()), DEFAULT);
    }

    #[test]
    fn every_template_is_hardened_and_keeps_its_own_network() {
        let name: Name = "web".parse().unwrap();
        let place = Place { name: &name, lxcpath: Path::new("/lxc"), file: Path::new("made") };
        for template in &TEMPLATES {
            let content = whole(place, template).unwrap();
            let config = place.parse(&super::super::fill_lines(&content)).unwrap();
            assert!(config.unsupported().is_empty(), "{}", template.name);
            let own = place.parse(template.text.as_bytes()).unwrap();
            let kind = own.get("lxc.net.0.type");
            assert!(kind.is_some(), "{}", template.name);
            assert_eq!(config.get("lxc.net.0.type"), kind, "{}", template.name);
            assert_eq!(config.get("lxc.no_new_privs").unwrap(), "1", "{}", template.name);
            assert_eq!(config.nics().unwrap().len(), own.nics().unwrap().len());
            assert!(is_word(Path::new(template.name)), "{}", template.name);
        }
    }

    #[test]
    fn a_system_may_mount_and_gain_privileges_and_is_masked_all_the_same() {
        let spec = composed(None, Purpose::System).spec().unwrap();
        let Capabilities::Drop(dropped) = &spec.capabilities else { panic!("they are kept") };
        assert_eq!(dropped.len(), 5);
        assert!(!spec.no_new_privs);
        assert_eq!(spec.auto.proc, Some(AutoMode::Mixed));
        assert!(spec.namespaces.has_own(Space::Net));
        let is_mounted = |on: &str| spec.mounts.iter().any(|it| it.value.target == Path::new(on));
        assert!(is_mounted("run") && is_mounted("proc/kcore"));
    }

    #[test]
    fn the_host_decides_about_a_system_too() {
        let theirs = "lxc.cap.drop = sys_boot\nlxc.net.0.type = none\n";
        let composed = composed(Some(theirs), Purpose::System);
        let spec = composed.spec().unwrap();
        assert_eq!(spec.capabilities, Capabilities::Drop(vec![22]));
        assert!(!spec.namespaces.has_own(Space::Net));
        assert!(!spec.no_new_privs && spec.tty_max == 4);
        let text = String::from_utf8_lossy(composed.raw());
        let order =
            ["# From x.conf:", "# What a system with", "# wharf's own defaults for what the"];
        let places: Vec<usize> = order.iter().map(|it| text.find(it).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
    }
}
