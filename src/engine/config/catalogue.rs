//! Every key of LXC's, with what it decides and what a start does with it. Reads no configuration.

use super::keys::{KEYS, Support};
use super::net::{self, InterfaceKey};
use crate::engine::terms::feature;

/// How the keys of interfaces begin.
pub(in crate::engine) const INTERFACE: &str = "lxc.net.N.";

/// One key.
#[derive(Clone, Debug)]
pub(in crate::engine) struct CatalogueKey {
    /// Today's name; `*` stands for its free part, and N for the number of an interface.
    pub name: String,
    /// Its names in earlier releases.
    pub earlier: Vec<String>,
    pub meaning: &'static str,
    pub treatment: Treatment,
    /// The feature of the host without which it has no effect.
    pub needs: Option<&'static str>,
}

/// What a start does with a key that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Treatment {
    Applied,
    /// It changes nothing, for this reason.
    Ignored(&'static str),
}

/// Lists them in the order of the manual, the network's last.
pub(in crate::engine) fn catalogue() -> Vec<CatalogueKey> {
    let whole = |name: &str| format!("{name}{}", if name.ends_with('.') { "*" } else { "" });
    let keys = KEYS.iter().map(|key| CatalogueKey {
        name: whole(key.name),
        earlier: key.legacy.iter().copied().map(whole).collect(),
        meaning: key.meaning,
        treatment: match key.support {
            Support::Now | Support::AppArmor => Treatment::Applied,
            Support::Ignored(why) => Treatment::Ignored(why),
        },
        needs: Some(key.needs).filter(|it| !it.is_empty()),
    });
    let parts = net::parts().map(|InterfaceKey { name, legacy, meaning, of, .. }| CatalogueKey {
        name: format!("{INTERFACE}{name}"),
        earlier: vec![format!("lxc.network.{legacy}"), format!("lxc.network.N.{legacy}")],
        meaning,
        treatment: Treatment::Applied,
        needs: Some(of.and_then(feature::of_interface).unwrap_or(feature::NETWORKS).name),
    });
    keys.chain(parts).collect()
}
