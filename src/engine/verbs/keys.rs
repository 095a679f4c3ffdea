//! What each key of a configuration decides, and what this host makes of it. Changes nothing.

use std::fmt;

use nix::unistd::geteuid;

use crate::engine::Lxcpath;
use crate::engine::config::{CatalogueKey, INTERFACE, Treatment, catalogue};
use crate::engine::terms::feature;
use crate::engine::verbs::check::{self, Feature, Probe, Status};
use crate::engine::verbs::privilege;

/// One key of lxc.container.conf(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// Today's name; `*` stands for its free part, and N for the number of an interface.
    pub key: String,
    /// Its names in earlier releases.
    pub earlier: Vec<String>,
    pub meaning: &'static str,
    pub here: KeyUse,
    /// Why it does not work, or which of its values do not; empty if all do.
    pub why: String,
}

/// What happens to a line that sets a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    Works,
    /// The host lacks what it needs.
    Needs,
    Ignored,
}

impl fmt::Display for KeyUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Works => "works",
            Self::Needs => "needs",
            Self::Ignored => "ignored",
        })
    }
}

/// One key as the manual has it, on whatever host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueLine {
    /// As in [`KnownKey`].
    pub key: String,
    /// Its names in earlier releases.
    pub earlier: Vec<String>,
    pub meaning: &'static str,
    /// Why it changes nothing anywhere; none: it has its effect.
    pub ignored: Option<&'static str>,
}

/// Lists every key without asking this host about any.
pub fn catalogue_lines() -> Vec<CatalogueLine> {
    let line = |it: CatalogueKey| CatalogueLine {
        key: it.name,
        earlier: it.earlier,
        meaning: it.meaning,
        ignored: match it.treatment {
            Treatment::Applied => None,
            Treatment::Ignored(why) => Some(why),
        },
    };
    catalogue().into_iter().map(line).collect()
}

/// Lists every key, for containers below `lxcpath`.
pub fn known(lxcpath: &Lxcpath) -> Vec<KnownKey> {
    let all = catalogue();
    let needed = all.iter().filter_map(|it| it.needs).chain(TYPES);
    let needed: Vec<&str> = needed.collect();
    let probes = check::probe_those(lxcpath, |feature| needed.contains(&feature.name));
    let ordinary = !geteuid().is_root();
    all.into_iter().map(|it| known_key(it, &probes, ordinary)).collect()
}

fn known_key(it: CatalogueKey, probes: &[Probe], ordinary: bool) -> KnownKey {
    let part = it.name.strip_prefix(INTERFACE);
    let barred = part.filter(|_| ordinary).and_then(privilege::barred_part);
    let lack = it.needs.and_then(|feature| lacking(probes, feature)).map(Feature::refusal);
    let (here, why) = match (it.treatment, barred.or(lack)) {
        (Treatment::Ignored(why), _) => (KeyUse::Ignored, why.to_owned()),
        (Treatment::Applied, Some(why)) => (KeyUse::Needs, why),
        (Treatment::Applied, None) if part == Some("type") => {
            (KeyUse::Works, if ordinary { privilege::barred_types() } else { lacked(probes) })
        }
        (Treatment::Applied, None) => (KeyUse::Works, String::new()),
    };
    KnownKey { key: it.name, earlier: it.earlier, meaning: it.meaning, here, why }
}

/// The types of interfaces, and what veth connects to, that a host may lack.
const TYPES: [&str; 5] = [
    feature::VETH.name,
    feature::BRIDGE.name,
    feature::MACVLAN.name,
    feature::IPVLAN.name,
    feature::VLAN.name,
];

/// Says which of them this host was found to lack.
fn lacked(probes: &[Probe]) -> String {
    let all = TYPES.into_iter().filter_map(|it| lacking(probes, it));
    all.map(|it| format!("no {}: {}", it.name, it.refusal())).collect::<Vec<_>>().join("; ")
}

/// Returns the feature of this name if the host was found to lack it.
fn lacking<'a>(probes: &'a [Probe], feature: &str) -> Option<&'a Feature> {
    let is_lacking = |it: &&Probe| match it.status {
        Status::Missing | Status::Required => it.feature.name == feature,
        Status::Present | Status::ForRoot | Status::NotTried => false,
    };
    probes.iter().find(is_lacking).map(|it| &it.feature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_needs_is_a_feature_that_is_tried() {
        for it in catalogue().iter().filter_map(|it| it.needs) {
            assert!(check::is_tried(it), "{it}");
        }
    }

    fn seen(key: &str, feature: Feature, status: Status, ordinary: bool) -> KnownKey {
        let probes = [Probe { feature, status, evidence: String::new() }];
        let key = catalogue().into_iter().find(|it| it.name == key).unwrap();
        known_key(key, &probes, ordinary)
    }

    #[test]
    fn a_host_that_lacks_a_feature_says_so_for_its_keys() {
        let idmap = |status| seen("lxc.idmap", feature::USERS, status, false);
        let lacks = idmap(Status::Missing);
        assert_eq!(lacks.here, KeyUse::Needs);
        assert!(lacks.why.starts_with("this kernel has no user namespaces; "), "{}", lacks.why);
        assert_eq!(idmap(Status::Present).here, KeyUse::Works);
        assert_eq!(idmap(Status::ForRoot).here, KeyUse::Works);
    }

    #[test]
    fn keys_of_interfaces_say_which_kinds_this_host_lacks() {
        let seen = |part: &str, ordinary| {
            seen(&format!("{INTERFACE}{part}"), feature::VLAN, Status::Missing, ordinary)
        };
        let (id, kind) = (seen("vlan.id", false), seen("type", false));
        assert_eq!(id.here, KeyUse::Needs);
        assert!(id.why.starts_with("this kernel does not support vlan; "), "{}", id.why);
        assert_eq!(kind.here, KeyUse::Works);
        assert!(kind.why.starts_with("no vlan: this kernel does not "), "{}", kind.why);
        assert_eq!(seen("macvlan.mode", false).here, KeyUse::Works);
        assert!(seen("macvlan.mode", true).why.starts_with("needs root; "));
        assert!(seen("l2proxy", true).why.starts_with("needs root; "));
        assert!(seen("type", true).why.starts_with("the others need root; "));
        assert_eq!(seen("link", true).here, KeyUse::Works);
    }
}
