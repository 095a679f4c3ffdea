//! What each key of a configuration decides, and what this host makes of it. Changes nothing.

use std::fmt;

use crate::engine::Lxcpath;
use crate::engine::config::{CatalogueKey, Treatment, catalogue};
use crate::engine::verbs::check::{self, Feature, Probe, Status};

/// One key of lxc.container.conf(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// Today's name; `*` stands for its free part, and N for the number of an interface.
    pub key: String,
    /// Its names in earlier releases.
    pub earlier: Vec<String>,
    pub meaning: &'static str,
    pub here: KeyUse,
    /// Why it does not work; empty if it does.
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

/// Lists every key, for containers below `lxcpath`.
pub fn known(lxcpath: &Lxcpath) -> Vec<KnownKey> {
    let all = catalogue();
    let is_needed = |feature: &Feature| all.iter().any(|it| it.needs == Some(feature.name));
    let probes = check::probe_those(lxcpath, is_needed);
    all.into_iter().map(|it| known_key(it, &probes)).collect()
}

fn known_key(it: CatalogueKey, probes: &[Probe]) -> KnownKey {
    let (here, why) = match it.treatment {
        Treatment::Ignored(why) => (KeyUse::Ignored, why.to_owned()),
        Treatment::Applied => match it.needs.and_then(|feature| lacking(probes, feature)) {
            Some(lack) => (KeyUse::Needs, lack.refusal()),
            None => (KeyUse::Works, String::new()),
        },
    };
    KnownKey { key: it.name, earlier: it.earlier, meaning: it.meaning, here, why }
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
    use crate::engine::terms::feature;

    #[test]
    fn what_a_key_needs_is_a_feature_that_is_tried() {
        for it in catalogue().iter().filter_map(|it| it.needs) {
            assert!(check::is_tried(it), "{it}");
        }
    }

    #[test]
    fn a_host_that_lacks_a_feature_says_so_for_its_keys() {
        let idmap = |status| {
            let probes = [Probe { feature: feature::USERS, status, evidence: String::new() }];
            let key = catalogue().into_iter().find(|it| it.name == "lxc.idmap").unwrap();
            known_key(key, &probes)
        };
        let lacks = idmap(Status::Missing);
        assert_eq!(lacks.here, KeyUse::Needs);
        assert!(lacks.why.starts_with("this kernel has no user namespaces; "), "{}", lacks.why);
        assert_eq!(idmap(Status::Present).here, KeyUse::Works);
        assert_eq!(idmap(Status::ForRoot).here, KeyUse::Works);
    }
}
